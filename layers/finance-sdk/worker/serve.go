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

// A worker answers requests one by one.
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

// A refusal ends the worker after its answer has been sent.
type refusal struct{ sdkproto.Refused }

func (r *refusal) Error() string { return fmt.Sprintf("refused, %s: %s", r.Fault, r.Note) }

func refuse(fault sdkproto.Fault, note string) error {
	return &refusal{sdkproto.Refused{Fault: fault, Note: note}}
}

// serve returns nil after Bye. Any other end is an error: of the parent's
// pipe, of the protocol, or one that was sent as a Refused.
func (w *worker) serve() error {
	for {
		id, request, err := w.reader.Read()
		var version *sdkproto.VersionError
		if errors.As(err, &version) {
			// The parent reads our version from it.
			return errors.Join(err, w.writer.Write(0, sdkproto.Hello{}))
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
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
			too := sdkproto.Refused{Fault: sdkproto.FaultLibrary, Note: "its answer is over the frame limit"}
			return errors.Join(err, w.writer.Write(id, too))
		}
		if err != nil {
			return fmt.Errorf("write an answer: %w", err)
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
		// For DecryptData this is more than order: it would abort the process.
		return nil, refuse(sdkproto.FaultProtocol, "a call before Init")
	}
	switch m := request.(type) {
	case sdkproto.Decrypt:
		data, err := w.sdk.Decrypt(m.KeyText, m.Message)
		return answered(sdkproto.Result{Data: data}, err)
	case sdkproto.ChatData:
		data, err := w.sdk.ChatData(m.After, m.Limit, time.Duration(m.Timeout)*time.Second)
		return answered(sdkproto.Result{Data: data}, err)
	case sdkproto.MediaChunk:
		c, err := w.sdk.MediaChunk(m.Index, m.SDKFileID, time.Duration(m.Timeout)*time.Second)
		return answered(sdkproto.Chunk{Data: c.Data, Next: c.Next, Finished: c.Finished}, err)
	}
	return nil, refuse(sdkproto.FaultProtocol, fmt.Sprintf("%T is no request", request))
}

// answered is ok, unless the call failed.
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

// hello takes away from the process what the library does not need, and loads
// it: its constructors already run under the limits.
func (w *worker) hello(m sdkproto.Hello) (sdkproto.Message, error) {
	if w.library != nil {
		return nil, refuse(sdkproto.FaultProtocol, "a second Hello")
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

// setProxy tells the library's HTTP client of the proxy: Init has no argument
// for it, and may want to fetch a token. The variable is set in memory, where
// the library's getenv finds it; what /proc shows of the process's environment
// stays as it was when the process began.
func setProxy(id financesdk.Identity) error {
	if id.Proxy == "" {
		return nil
	}
	u, err := url.Parse(id.Proxy)
	if err != nil {
		return errors.New("the proxy is no URL") // err would repeat it, perhaps with a password
	}
	if !id.ProxyPassword.IsZero() {
		user, password, _ := strings.Cut(id.ProxyPassword.Reveal(), ":")
		u.User = url.UserPassword(user, password)
	}
	if err := os.Setenv("https_proxy", u.String()); err != nil {
		return errors.New("the proxy cannot be set")
	}
	return nil
}
