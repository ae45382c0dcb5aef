package financesdk_test

import (
	"bytes"
	"crypto/rand"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/financesdk"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// These tests load the stand-in into the process of the test. The functions
// never load a library into their own process. The tests of shared/sdkworker
// cover crashes.

var functions = []string{
	"NewSdk", "Init", "GetChatData", "DecryptData", "GetMediaData", "DestroySdk",
	"NewSlice", "FreeSlice", "GetContentFromSlice", "GetSliceLen",
	"NewMediaData", "FreeMediaData", "GetOutIndexBuf", "GetData", "GetIndexLen", "GetDataLen", "IsMediaDataFinish",
}

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// without copies the stand-in and removes one function's name from its dynamic
// symbols. A copy is faster than a compilation for each of 17 functions.
func without(t *testing.T, function string) string {
	t.Helper()
	b, err := os.ReadFile(built.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == function })
	if i < 0 {
		t.Fatalf("the stand-in has no %s", function)
	}
	// DynamicSymbols leaves out the first entry, which is empty. An entry begins
	// with the four bytes of its name's offset; offset 0 is the empty name.
	entry := f.Section(".dynsym").Offset + uint64(i+1)*elf.Sym64Size
	clear(b[entry : entry+4])
	path := filepath.Join(t.TempDir(), standin.Name)
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func wantFault(t *testing.T, err error, fault sdkproto.Fault, note string) {
	t.Helper()
	var load *financesdk.LoadError
	if !errors.As(err, &load) || load.Fault != fault || !strings.Contains(load.Note, note) {
		t.Errorf("got %v, want a LoadError: %s with the note %q", err, fault, note)
	}
}

func TestCheckAndOpenReturnTheSameFault(t *testing.T) {
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("\x7fELF cut short"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		fault      sdkproto.Fault // empty for a good library
		note       string
	}{
		{"good", built.Library(t), "", ""},
		{"missing", filepath.Join(t.TempDir(), "none.so"), sdkproto.FaultMissing, "none.so"},
		{"directory", t.TempDir(), sdkproto.FaultMachine, "no shared object"},
		{"cut short", text, sdkproto.FaultMachine, "no shared object"},
		{"library for another processor", built.Library(t, standin.ForMachine(machine[otherArch()])), sdkproto.FaultMachine, "want " + machine[runtime.GOARCH].String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, checked := financesdk.Check(tt.path, runtime.GOARCH)
			_, opened := financesdk.Open(tt.path)
			if tt.fault == "" {
				if checked != nil || opened != nil {
					t.Errorf("got %v and %v, want a good library", checked, opened)
				}
				return
			}
			wantFault(t, checked, tt.fault, tt.note)
			wantFault(t, opened, tt.fault, tt.note)
		})
	}
}

func TestCheckForTheOtherProcessor(t *testing.T) {
	path := built.Library(t)
	info, err := financesdk.Check(path, runtime.GOARCH)
	if err != nil || info.Machine == elf.EM_NONE || len(info.Needed) == 0 {
		t.Errorf("got %+v and %v, want the machine and the needed libraries", info, err)
	}
	_, err = financesdk.Check(path, otherArch())
	wantFault(t, err, sdkproto.FaultMachine, "want EM_")
	_, err = financesdk.Check(path, "mips")
	wantFault(t, err, sdkproto.FaultMachine, "mips")
}

func TestOpenNeedsEveryFunction(t *testing.T) {
	if len(functions) != 17 {
		t.Fatalf("functions: got %d, want 17", len(functions))
	}
	for _, name := range functions {
		t.Run(name, func(t *testing.T) {
			_, err := financesdk.Open(without(t, name))
			wantFault(t, err, sdkproto.FaultSymbol, "lacks "+name)
		})
	}
}

func open(t *testing.T) *financesdk.Library {
	t.Helper()
	l, err := financesdk.Open(built.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantCode(t *testing.T, err error, op string, code int32) {
	t.Helper()
	var got *financesdk.CodeError
	if !errors.As(err, &got) || *got != (financesdk.CodeError{Op: op, Code: code}) {
		t.Errorf("got %v, want %d from %s", err, code, op)
	}
}

func TestInitRefuses(t *testing.T) {
	l := open(t)
	for name, id := range map[string]financesdk.Identity{
		"no corpid":         {},
		"no secret":         {CorpID: "ww"},
		"NUL in the corpid": {CorpID: "w\x00w", Secret: secret.New("s")},
		"NUL in the secret": {CorpID: "ww", Secret: secret.New("s\x00")},
		"NUL in the proxy":  {CorpID: "ww", Secret: secret.New("s"), Proxy: "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.Init(id)
			wantCode(t, err, "Init", 10000)
		})
	}
}

func TestCallsReturnDataAndCodes(t *testing.T) {
	sdk, err := open(t).Init(financesdk.Identity{CorpID: "ww", Secret: secret.New("s"), Proxy: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer sdk.Close()
	key := standin.NewKeyText(rand.Reader)
	for range 3 { // the second and third round reuse the buffers of the arguments
		for _, msg := range []string{"", "short", "a\x00b", strings.Repeat("long", 1000)} {
			got, err := sdk.Decrypt([]byte(key), []byte(standin.Seal(key, []byte(msg), [12]byte{7})))
			if err != nil || string(got) != msg {
				t.Errorf("got %q and %v, want %q", got, err, msg)
			}
		}
	}
	// A longer key text must leave nothing behind in the reused buffer.
	_, err = sdk.Decrypt([]byte(key+"AAAA"), []byte("x"))
	wantCode(t, err, "DecryptData", 10008)
	if got, err := sdk.Decrypt([]byte(key), []byte(standin.Seal(key, []byte("again"), [12]byte{8}))); err != nil || string(got) != "again" {
		t.Errorf("after a longer key text: got %q and %v, want %q", got, err, "again")
	}
	_, err = sdk.Decrypt([]byte(key+"\x00"), []byte("x"))
	wantCode(t, err, "DecryptData", 10008)
	_, err = sdk.Decrypt([]byte(key), []byte("x\x00"))
	wantCode(t, err, "DecryptData", 10006)
	_, err = sdk.ChatData(0, 1001, time.Second)
	wantCode(t, err, "GetChatData", 10000)
	_, err = sdk.ChatData(0, 1000, time.Second)
	wantCode(t, err, "GetChatData", 10001)
	_, err = sdk.MediaChunk("", "\x00", time.Second)
	wantCode(t, err, "GetMediaData", 10000)
	_, err = sdk.MediaChunk("", "file", time.Second)
	wantCode(t, err, "GetMediaData", 10001)
}
