// Package financesdk binds WeCom's finance library, libWeWorkFinanceSdk_C.so,
// without cgo.
//
// The library may crash its process, and Go code cannot recover from that. So
// only layers/finance-sdk/worker, the program of the child process, imports
// this package. It holds one [SDK], on one locked thread. The parent of that
// process uses shared/sdkworker.
//
// Only this file calls C. It keeps the vendor's rules (documents 91774 and
// 91552):
//   - C's int is int32.
//   - A buffer is a pointer and a length, because messages may hold NULs.
//   - The function that receives memory of the library copies it and then
//     returns it to the library, on every path.
//   - The library's own functions read the library's structs.
package financesdk

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/yunduo-scrm/archive/shared/sdkproto"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// This package itself returns these codes of the library for an argument with a
// NUL. C would end such a string at the NUL.
const (
	codeBadArgument = 10000
	codeDecryption  = 10006
	codeBadKey      = 10008
)

// A CodeError is a return code other than 0 (wecom.md 1.4).
type CodeError struct {
	Op   string // the library's function
	Code int32
}

func (e *CodeError) Error() string { return fmt.Sprintf("%s returned %d", e.Op, e.Code) }

// ErrMisbehaved means that the library broke its own contract: it returned no
// slice, a negative length, or a nil buffer with a length. The process must end.
var ErrMisbehaved = errors.New("financesdk: contract broken by the library")

// functions holds the library's functions, in the order of its header. Handles
// are uintptr: C owns their memory, and Go never reads it. *byte arguments point
// to NUL-terminated bytes that outlive the call. The library keeps no argument
// after the call.
type functions struct {
	newSDK     func() uintptr
	init       func(sdk uintptr, corpID, secret *byte) int32
	getChat    func(sdk uintptr, seq uint64, limit uint32, proxy, password *byte, timeout int32, slice uintptr) int32
	decrypt    func(key, message *byte, slice uintptr) int32
	getMedia   func(sdk uintptr, index, fileID, proxy, password *byte, timeout int32, media uintptr) int32
	destroySDK func(sdk uintptr)

	newSlice     func() uintptr
	freeSlice    func(slice uintptr)
	sliceContent func(slice uintptr) unsafe.Pointer
	sliceLen     func(slice uintptr) int32

	newMedia      func() uintptr
	freeMedia     func(media uintptr)
	mediaIndex    func(media uintptr) unsafe.Pointer
	mediaData     func(media uintptr) unsafe.Pointer
	mediaIndexLen func(media uintptr) int32
	mediaDataLen  func(media uintptr) int32
	mediaFinished func(media uintptr) int32
}

type binding struct {
	name string
	fn   any // pointer to a field of functions
}

func (f *functions) bindings() []binding {
	return []binding{
		{"NewSdk", &f.newSDK},
		{"Init", &f.init},
		{"GetChatData", &f.getChat},
		{"DecryptData", &f.decrypt},
		{"GetMediaData", &f.getMedia},
		{"DestroySdk", &f.destroySDK},
		{"NewSlice", &f.newSlice},
		{"FreeSlice", &f.freeSlice},
		{"GetContentFromSlice", &f.sliceContent},
		{"GetSliceLen", &f.sliceLen},
		{"NewMediaData", &f.newMedia},
		{"FreeMediaData", &f.freeMedia},
		{"GetOutIndexBuf", &f.mediaIndex},
		{"GetData", &f.mediaData},
		{"GetIndexLen", &f.mediaIndexLen},
		{"GetDataLen", &f.mediaDataLen},
		{"IsMediaDataFinish", &f.mediaFinished},
	}
}

// A Library is loaded for the life of the process: unloading C++ code that may
// have started threads is unsafe.
type Library struct{ c functions }

// Open checks and loads the library. The error is a [*LoadError].
func Open(path string) (*Library, error) {
	if err := checkHere(path); err != nil {
		return nil, err
	}
	// NOW reports a missing dependency here, instead of in the middle of a call.
	// LOCAL keeps the library's C++ symbols apart from those of other libraries.
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, &LoadError{sdkproto.FaultLoad, err.Error()}
	}
	l := new(Library)
	for _, b := range l.c.bindings() {
		symbol, err := purego.Dlsym(handle, b.name)
		if err != nil {
			return nil, &LoadError{sdkproto.FaultSymbol, err.Error()}
		}
		purego.RegisterFunc(b.fn, symbol)
	}
	return l, nil
}

// Identity is the corp in whose name an SDK calls WeCom, its archive secret, and
// the proxy of its requests.
type Identity struct {
	CorpID        string
	Secret        secret.Value
	Proxy         string       // http://host:port, socks5://host:port, or empty
	ProxyPassword secret.Value // user:password, or empty
}

// An SDK is an initialised handle. It is not safe for concurrent use. The vendor
// advises one thread for each handle.
type SDK struct {
	c               *functions
	handle          uintptr
	proxy, password *byte
	key, message    []byte // NUL-terminated copies of Decrypt's arguments
}

// Init makes a handle and initialises it. Decrypt is a method of the SDK, although
// DecryptData takes no handle, because DecryptData before Init aborts the process
// (wecom.md 1.3). After a [*CodeError] the handle is destroyed.
func (l *Library) Init(id Identity) (*SDK, error) {
	corpID, ok1 := cString(id.CorpID)
	text, ok2 := cString(id.Secret.Reveal())
	proxy, ok3 := cString(id.Proxy)
	password, ok4 := cString(id.ProxyPassword.Reveal())
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return nil, &CodeError{"Init", codeBadArgument}
	}
	handle := l.c.newSDK()
	if handle == 0 {
		return nil, ErrMisbehaved
	}
	if code := l.c.init(handle, corpID, text); code != 0 {
		l.c.destroySDK(handle)
		return nil, &CodeError{"Init", code}
	}
	return &SDK{c: &l.c, handle: handle, proxy: proxy, password: password}, nil
}

// Close destroys the handle. No method may be called after it.
func (s *SDK) Close() {
	s.c.destroySDK(s.handle)
	s.handle = 0
}

// ChatData returns the JSON that GetChatData wrote. timeout limits each request
// of the library, in whole seconds, at least one.
func (s *SDK) ChatData(after uint64, limit uint32, timeout time.Duration) ([]byte, error) {
	return s.slice("GetChatData", func(slice uintptr) int32 {
		return s.c.getChat(s.handle, after, limit, s.proxy, s.password, seconds(timeout), slice)
	})
}

// Decrypt returns the message that DecryptData wrote. WeCom makes no key text or
// message with a NUL. Decrypt returns the library's own code for an unusable one.
func (s *SDK) Decrypt(keyText, message []byte) ([]byte, error) {
	if bytes.IndexByte(keyText, 0) >= 0 {
		return nil, &CodeError{"DecryptData", codeBadKey}
	}
	if bytes.IndexByte(message, 0) >= 0 {
		return nil, &CodeError{"DecryptData", codeDecryption}
	}
	s.key = append(append(s.key[:0], keyText...), 0)
	s.message = append(append(s.message[:0], message...), 0)
	return s.slice("DecryptData", func(slice uintptr) int32 {
		return s.c.decrypt(&s.key[0], &s.message[0], slice)
	})
}

// slice calls f with a new slice, copies the bytes that f wrote, and frees the
// slice.
func (s *SDK) slice(op string, f func(slice uintptr) int32) ([]byte, error) {
	slice := s.c.newSlice()
	if slice == 0 {
		return nil, ErrMisbehaved
	}
	defer s.c.freeSlice(slice)
	if code := f(slice); code != 0 {
		return nil, &CodeError{op, code}
	}
	return copied(s.c.sliceContent(slice), s.c.sliceLen(slice))
}

// Chunk is a part of a media file.
type Chunk struct {
	Data     []byte
	Next     string // index of the next part
	Finished bool
}

// MediaChunk returns one chunk of a file. index is empty for the first chunk.
func (s *SDK) MediaChunk(index, fileID string, timeout time.Duration) (Chunk, error) {
	i, ok1 := cString(index)
	file, ok2 := cString(fileID)
	if !ok1 || !ok2 {
		return Chunk{}, &CodeError{"GetMediaData", codeBadArgument}
	}
	media := s.c.newMedia()
	if media == 0 {
		return Chunk{}, ErrMisbehaved
	}
	defer s.c.freeMedia(media)
	if code := s.c.getMedia(s.handle, i, file, s.proxy, s.password, seconds(timeout), media); code != 0 {
		return Chunk{}, &CodeError{"GetMediaData", code}
	}
	data, err := copied(s.c.mediaData(media), s.c.mediaDataLen(media))
	if err != nil {
		return Chunk{}, err
	}
	next, err := copied(s.c.mediaIndex(media), s.c.mediaIndexLen(media))
	if err != nil {
		return Chunk{}, err
	}
	return Chunk{Data: data, Next: string(next), Finished: s.c.mediaFinished(media) == 1}, nil
}

// copied copies n bytes of C's memory into Go's.
func copied(p unsafe.Pointer, n int32) ([]byte, error) {
	if n < 0 || n > 0 && p == nil {
		return nil, ErrMisbehaved
	}
	return bytes.Clone(unsafe.Slice((*byte)(p), n)), nil
}

// cString returns s with a NUL appended. It fails if s contains a NUL.
func cString(s string) (*byte, bool) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, false
	}
	b := make([]byte, len(s)+1)
	copy(b, s)
	return &b[0], true
}

func seconds(d time.Duration) int32 { return int32(max(1, min(d/time.Second, 1<<20))) }

// DieOfFaults restores the kernel's handling of fault signals. A fault in C code
// then ends the process by its signal, and the parent can distinguish a
// segmentation fault from an abort. With Go's handlers the process would print
// its stacks and exit with status 2. After DieOfFaults a nil pointer in Go code
// also ends the process by a signal.
func DieOfFaults() error {
	addr, err := purego.Dlsym(purego.RTLD_DEFAULT, "signal")
	if err != nil {
		return fmt.Errorf("find signal(): %w", err)
	}
	var signal func(number int32, handler uintptr) uintptr
	purego.RegisterFunc(&signal, addr)
	const defaultHandler = 0 // SIG_DFL
	for _, number := range []syscall.Signal{
		syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGABRT, syscall.SIGTRAP,
	} {
		signal(int32(number), defaultHandler)
	}
	return nil
}
