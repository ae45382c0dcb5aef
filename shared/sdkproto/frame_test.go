package sdkproto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

var messages = []sdkproto.Message{
	sdkproto.Hello{MemoryLimit: 1 << 40, NoSockets: true},
	sdkproto.Init{CorpID: "ww1", Secret: "s", Proxy: "http://127.0.0.1:1", ProxyPassword: "u:p"},
	sdkproto.ChatData{After: 1<<63 + 5, Limit: 1000, Timeout: 20},
	sdkproto.Decrypt{KeyText: []byte("key"), Message: []byte("text")},
	sdkproto.DecryptAll{Records: []sdkproto.Decrypt{{KeyText: []byte("key"), Message: []byte("one")}, {KeyText: []byte{}, Message: []byte{}}}},
	sdkproto.DecryptAll{},
	sdkproto.MediaChunk{Index: "Range:bytes=1-2", SDKFileID: "file", Timeout: 1},
	sdkproto.Done{},
	sdkproto.Result{Data: []byte("a\x00b\xff")},
	sdkproto.Result{Data: []byte{}},
	sdkproto.Result{Data: bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)},
	sdkproto.Results{Records: []sdkproto.Outcome{{Data: []byte("a\x00")}, {Code: 10006, Data: []byte{}}, {Code: -1, Data: []byte{}}}},
	sdkproto.Results{},
	sdkproto.Chunk{Data: []byte("\x00"), Next: "n", Finished: true},
	sdkproto.Failed{Code: 10006},
	sdkproto.Failed{Code: -1},
	sdkproto.Refused{Fault: sdkproto.FaultMachine, Note: "aarch64"},
	sdkproto.Bye{}, // last, because no frame may follow it
}

// encoded returns m as a frame.
func encoded(t testing.TB, id uint32, m sdkproto.Message) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := sdkproto.NewWriter(&buf).Write(id, m); err != nil {
		t.Fatalf("write: %v", err)
	}
	return buf.Bytes()
}

func TestReaderReturnsEveryWrittenMessage(t *testing.T) {
	var wire bytes.Buffer
	w := sdkproto.NewWriter(&wire)
	for i, m := range messages {
		if err := w.Write(uint32(i), m); err != nil {
			t.Fatalf("write of %T: %v", m, err)
		}
	}
	for name, below := range map[string]io.Reader{
		"whole":   bytes.NewReader(wire.Bytes()),
		"pieces":  iotest.HalfReader(bytes.NewReader(wire.Bytes())),
		"dataerr": iotest.DataErrReader(bytes.NewReader(wire.Bytes())),
	} {
		t.Run(name, func(t *testing.T) {
			r := sdkproto.NewReader(below)
			for i, want := range messages {
				id, got, err := r.Read()
				if err != nil || id != uint32(i) || !reflect.DeepEqual(got, want) {
					t.Fatalf("message %d: got id %d, %T and %v, want id %d and %T", i, id, got, err, i, want)
				}
			}
			for range 2 {
				if _, _, err := r.Read(); err != io.EOF {
					t.Errorf("after bye: got %v, want io.EOF", err)
				}
			}
		})
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for _, m := range messages {
		whole := encoded(t, 7, m)
		if len(whole) > 1000 {
			continue // the test reads every prefix; short frames show the same
		}
		for n := range len(whole) {
			r := sdkproto.NewReader(bytes.NewReader(whole[:n]))
			for range 2 {
				if _, _, err := r.Read(); err != io.ErrUnexpectedEOF {
					t.Errorf("%T cut to %d of %d bytes: got %v, want io.ErrUnexpectedEOF", m, n, len(whole), err)
				}
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	frame := func(kind byte, fields ...byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(5+len(fields)))
		return append(append(b, kind, 0, 0, 0, 1), fields...)
	}
	tests := []struct {
		name string
		wire []byte
	}{
		{"unknown kind", frame(99)},
		{"kind 0", frame(0)},
		{"fields too short", frame(3, 1, 2, 3)},
		{"fields too long", frame(6, 0)},
		{"field longer than its frame", frame(17, 0, 0, 0, 9, 'x')},
		{"field of 4 GiB", frame(17, 0xff, 0xff, 0xff, 0xff, 'x')},
		{"bool of 2", frame(18, 0, 0, 0, 0, 0, 0, 0, 0, 2)},
		{"failure with code 0", frame(19, 0, 0, 0, 0)},
		{"Hello with another magic text", frame(1, []byte("yunduo-xxx\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00")...)},
		{"frame over the limit", binary.BigEndian.AppendUint32(nil, sdkproto.MaxFrame+1)},
		{"frame without a kind", []byte{0, 0, 0, 4, 1, 0, 0, 0, 0}},
		{"frame after Bye", append(encoded(t, 1, sdkproto.Bye{}), encoded(t, 2, sdkproto.Done{})...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sdkproto.NewReader(bytes.NewReader(append(tt.wire, make([]byte, 16)...)))
			_, m, err := r.Read()
			if _, bye := m.(sdkproto.Bye); bye {
				_, _, err = r.Read()
			}
			var refused *sdkproto.ProtocolError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a ProtocolError", err)
			}
			if _, _, again := r.Read(); again != err {
				t.Errorf("read again: got %v, want the same error", again)
			}
		})
	}
}

func TestVersionsRefuseEachOther(t *testing.T) {
	wire := encoded(t, 0, sdkproto.Hello{})
	// Another version may have other fields after its number.
	other := append(bytes.Clone(wire), "and more"...)
	binary.BigEndian.PutUint32(other, uint32(len(other)-4))
	at := bytes.Index(other, []byte("yunduo-sdk")) + len("yunduo-sdk")
	binary.BigEndian.PutUint32(other[at:], sdkproto.Version+1)
	_, _, err := sdkproto.NewReader(bytes.NewReader(other)).Read()
	var version *sdkproto.VersionError
	if !errors.As(err, &version) || version.Theirs != sdkproto.Version+1 {
		t.Errorf("got %v, want a VersionError with %d", err, sdkproto.Version+1)
	}
}

func TestWriterRefusesATooLargeMessageWhole(t *testing.T) {
	var wire bytes.Buffer
	w := sdkproto.NewWriter(&wire)
	if err := w.Write(1, sdkproto.Result{Data: make([]byte, sdkproto.MaxFrame)}); err != sdkproto.ErrTooLarge {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	if wire.Len() != 0 {
		t.Errorf("written: got %d bytes, want 0", wire.Len())
	}
	if err := w.Write(1, sdkproto.Refused{Fault: sdkproto.FaultLibrary}); err != nil {
		t.Errorf("the next frame: %v", err)
	}
}

func TestWriteErrorsAreSticky(t *testing.T) {
	broken := errors.New("broken")
	w := sdkproto.NewWriter(writerFunc(func([]byte) (int, error) {
		err := broken
		broken = errors.New("asked twice")
		return 0, err
	}))
	first := w.Write(1, sdkproto.Done{})
	if again := w.Write(2, sdkproto.Done{}); again != first {
		t.Errorf("got %v then %v, want one error", first, again)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestMessagesWithSecretsPrintTheirName(t *testing.T) {
	for _, m := range []sdkproto.Message{
		sdkproto.Init{CorpID: "c", Secret: "hunter2", ProxyPassword: "hunter2"},
		sdkproto.Decrypt{KeyText: []byte("hunter2")},
		sdkproto.DecryptAll{Records: []sdkproto.Decrypt{{KeyText: []byte("hunter2")}}},
		sdkproto.MediaChunk{SDKFileID: "hunter2"},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			out := fmt.Sprintf(verb, m)
			if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s of %T: got a secret in the output", verb, m)
			}
		}
	}
}

// FuzzReader checks that no input makes the reader panic, and that the reader
// accepts only the one encoding of each message.
func FuzzReader(f *testing.F) {
	for _, m := range messages {
		if b := encoded(f, 9, m); len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 17, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := sdkproto.NewReader(bytes.NewReader(wire))
		for {
			id, m, err := r.Read()
			if err != nil {
				if _, _, again := r.Read(); again != err {
					t.Fatalf("read again: got %v, want %v", again, err)
				}
				return
			}
			b := encoded(t, id, m)
			if !bytes.HasPrefix(wire, b) {
				t.Fatalf("%T: got a message from another encoding than its own", m)
			}
			wire = wire[len(b):]
		}
	})
}
