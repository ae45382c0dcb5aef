package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/financesdk"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// A worker answers the parent's requests, one at a time.
type worker struct {
	path    string
	reader  *sdkproto.Reader
	writer  *sdkproto.Writer
	library *financesdk.Library // nil until Hello
	sdk     *financesdk.SDK     // nil until Init
}

func newWorker(path string, requests io.Reader, answers io.Writer) *worker {
	return &worker{path: path, reader: sdkproto.NewReader(requests), writer: sdkproto.NewWriter(answers)}
}

// A refusal is sent as the answer. The worker then ends.
type refusal struct{ sdkproto.Refused }

func (r *refusal) Error() string { return fmt.Sprintf("refused, %s: %s", r.Fault, r.Note) }

func refuse(fault sdkproto.Fault, note string) error {
	return &refusal{sdkproto.Refused{Fault: fault, Note: note}}
}

// serve returns nil after Bye. Any other end is an error: of the pipes, of the
// protocol, or a refusal that was sent.
func (w *worker) serve() error {
	for {
		id, request, err := w.reader.Read()
		var version *sdkproto.VersionError
		if errors.As(err, &version) {
			// The parent reads the worker's version from this Hello.
			return errors.Join(err, w.writer.Write(0, sdkproto.Hello{}))
		}
		if err != nil {
			return fmt.Errorf("request not read: %w", err)
		}
		answer, err := w.answer(request)
		var refused *refusal
		if errors.As(err, &refused) {
			return errors.Join(err, w.writer.Write(id, refused.Refused))
		}
		if err != nil {
			return err
		}
		err = w.writer.Write(id, answer)
		if errors.Is(err, sdkproto.ErrTooLarge) {
			too := sdkproto.Refused{Fault: sdkproto.FaultLibrary, Note: "library's answer over the frame limit"}
			return errors.Join(err, w.writer.Write(id, too))
		}
		if err != nil {
			return fmt.Errorf("answer not written: %w", err)
		}
		if _, bye := answer.(sdkproto.Bye); bye {
			return nil
		}
	}
}

func (w *worker) answer(request sdkproto.Message) (sdkproto.Message, error) {
	switch m := request.(type) {
	case sdkproto.Hello:
		return w.hello(m)
	case sdkproto.Init:
		return w.init(m)
	case sdkproto.Bye:
		if w.sdk != nil {
			w.sdk.Close()
		}
		return sdkproto.Bye{}, nil
	}
	if w.sdk == nil {
		// DecryptData before Init would abort the process (wecom.md 1.3).
		return nil, refuse(sdkproto.FaultProtocol, "call before Init")
	}
	switch m := request.(type) {
	case sdkproto.Decrypt:
		data, err := w.sdk.Decrypt(m.KeyText, m.Message)
		return answered(sdkproto.Result{Data: data}, err)
	case sdkproto.DecryptAll:
		return w.decryptAll(m)
	case sdkproto.ChatData:
		data, err := w.sdk.ChatData(m.After, m.Limit, time.Duration(m.Timeout)*time.Second)
		return answered(sdkproto.Result{Data: data}, err)
	case sdkproto.MediaChunk:
		c, err := w.sdk.MediaChunk(m.Index, m.SDKFileID, time.Duration(m.Timeout)*time.Second)
		return answered(sdkproto.Chunk{Data: c.Data, Next: c.Next, Finished: c.Finished}, err)
	}
	return nil, refuse(sdkproto.FaultProtocol, fmt.Sprintf("%T instead of a request", request))
}

// decryptAll keeps the library's code of each record. It refuses the whole
// request if the library breaks its contract.
func (w *worker) decryptAll(m sdkproto.DecryptAll) (sdkproto.Message, error) {
	results := sdkproto.Results{Records: make([]sdkproto.Outcome, len(m.Records))}
	for i, r := range m.Records {
		data, err := w.sdk.Decrypt(r.KeyText, r.Message)
		var code *financesdk.CodeError
		switch {
		case err == nil:
			results.Records[i].Data = data
		case errors.As(err, &code):
			results.Records[i].Code = code.Code
		default:
			return nil, refuse(sdkproto.FaultLibrary, err.Error())
		}
	}
	return results, nil
}

// answered returns ok if the call succeeded, and a message with the error code
// if it failed. Any other error is a refusal.
func answered(ok sdkproto.Message, err error) (sdkproto.Message, error) {
	var code *financesdk.CodeError
	switch {
	case err == nil:
		return ok, nil
	case errors.As(err, &code):
		return sdkproto.Failed{Code: code.Code}, nil
	default:
		return nil, refuse(sdkproto.FaultLibrary, err.Error())
	}
}

// hello limits this process, then loads the library. The library's constructors
// already run under the limits.
func (w *worker) hello(m sdkproto.Hello) (sdkproto.Message, error) {
	if w.library != nil {
		return nil, refuse(sdkproto.FaultProtocol, "second Hello")
	}
	if err := prepare(m); err != nil {
		return nil, refuse(sdkproto.FaultLoad, err.Error())
	}
	library, err := financesdk.Open(w.path)
	var load *financesdk.LoadError
	if errors.As(err, &load) {
		return nil, refuse(load.Fault, load.Note)
	}
	if err != nil {
		return nil, refuse(sdkproto.FaultLoad, err.Error())
	}
	w.library = library
	return sdkproto.Hello{}, nil
}

// prepare limits this process. A crash of the library then shows as a signal.
func prepare(m sdkproto.Hello) error {
	if err := ownFolder(); err != nil {
		return err
	}
	if err := confine(m.MemoryLimit, m.NoSockets); err != nil {
		return err
	}
	return financesdk.DieOfFaults()
}

func (w *worker) init(m sdkproto.Init) (sdkproto.Message, error) {
	if w.library == nil || w.sdk != nil {
		return nil, refuse(sdkproto.FaultProtocol, "Init out of turn")
	}
	id := financesdk.Identity{
		CorpID: m.CorpID, Secret: secret.New(m.Secret),
		Proxy: m.Proxy, ProxyPassword: secret.New(m.ProxyPassword),
	}
	if err := setProxy(id); err != nil {
		return nil, refuse(sdkproto.FaultLoad, err.Error())
	}
	sdk, err := w.library.Init(id)
	if err == nil {
		w.sdk = sdk
	}
	return answered(sdkproto.Done{}, err)
}

// setProxy passes the proxy to the library's HTTP client, because Init has no
// argument for a proxy and may request a token. The variable is set in memory,
// where the library's getenv finds it. /proc/<pid>/environ still shows the empty
// environment that the process started with.
func setProxy(id financesdk.Identity) error {
	if id.Proxy == "" {
		return nil
	}
	u, err := url.Parse(id.Proxy)
	if err != nil {
		return errors.New("proxy invalid: not a URL") // err would repeat the URL, which may hold a password
	}
	if !id.ProxyPassword.IsZero() {
		user, password, _ := strings.Cut(id.ProxyPassword.Reveal(), ":")
		u.User = url.UserPassword(user, password)
	}
	if err := os.Setenv("https_proxy", u.String()); err != nil {
		return errors.New("proxy not set")
	}
	return nil
}
