// Package libcrypto does private-key operations in the system's OpenSSL 3, which
// takes about a quarter of the time that crypto/rsa takes. It calls the library
// through purego, without cgo.
//
// OpenSSL does the bare RSA operation, with blinding and without a padding. This
// package checks PKCS#1 v1.5 itself, in constant time: from version 3.2 on OpenSSL
// answers a wrong key with random bytes in place of an error (wecom.md 1.6), and
// these must not reach the vendor's library.
//
// A fault in the library ends the process. So the library is the system's, of one
// major version, and has given the right answer to a known question. The function
// decode alone imports this package: no other process holds private keys.
package libcrypto

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// Name is the name of OpenSSL 3's library, which the system's loader finds.
const Name = "libcrypto.so.3"

// majorVersion is the only one whose functions this package knows.
const majorVersion = 3

// functions holds the library's functions. Handles are uintptr: C owns their memory,
// and Go never reads it. *byte arguments outlive the call, and the library keeps none
// of them.
type functions struct {
	version      func() uint64
	init         func(options uint64, settings uintptr) int32
	parseKey     func(key uintptr, der *uintptr, size int64) uintptr
	freeKey      func(key uintptr)
	newContext   func(key, engine uintptr) uintptr
	freeContext  func(context uintptr)
	beginDecrypt func(context uintptr) int32
	setPadding   func(context uintptr, padding int32) int32
	decrypt      func(context uintptr, out *byte, outSize *uint64, in *byte, inSize uint64) int32
}

type binding struct {
	name string
	fn   any // pointer to a field of functions
}

func (f *functions) bindings() []binding {
	return []binding{
		{"OpenSSL_version_num", &f.version},
		{"OPENSSL_init_crypto", &f.init},
		{"d2i_AutoPrivateKey", &f.parseKey},
		{"EVP_PKEY_free", &f.freeKey},
		{"EVP_PKEY_CTX_new", &f.newContext},
		{"EVP_PKEY_CTX_free", &f.freeContext},
		{"EVP_PKEY_decrypt_init", &f.beginDecrypt},
		{"EVP_PKEY_CTX_set_rsa_padding", &f.setPadding},
		{"EVP_PKEY_decrypt", &f.decrypt},
	}
}

// The options of OPENSSL_init_crypto. The process takes no configuration of OpenSSL
// from files or from its environment.
const (
	noLoadConfig = 0x80
	noAtExit     = 0x80000
)

// noPadding is RSA_NO_PADDING.
const noPadding = 3

// A Library is loaded for the life of the process.
type Library struct{ c functions }

// Open loads a library and checks that it is OpenSSL 3 and gives the known answer.
func Open(name string) (*Library, error) {
	handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	l := new(Library)
	for _, b := range l.c.bindings() {
		symbol, err := purego.Dlsym(handle, b.name)
		if err != nil {
			return nil, fmt.Errorf("find function in %s: %w", name, err)
		}
		purego.RegisterFunc(b.fn, symbol)
	}
	if v := l.c.version(); v>>28 != majorVersion {
		return nil, fmt.Errorf("%s is version %d of OpenSSL, not %d", name, v>>28, majorVersion)
	}
	if l.c.init(noLoadConfig|noAtExit, 0) != 1 {
		return nil, fmt.Errorf("%s cannot be initialised", name)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

var errAnswer = errors.New("wrong answer to the known question")

// check asks the known question, and the same with one bit changed.
func (l *Library) check() error {
	der, err := base64.StdEncoding.DecodeString(knownKey)
	if err != nil {
		return err
	}
	sealed, err := base64.StdEncoding.DecodeString(knownSealed)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return err
	}
	h, err := l.handles(key)
	if err != nil {
		return err
	}
	defer h.free()
	text, err := h.open(sealed)
	if err != nil || string(text) != knownText {
		return errAnswer
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := h.open(sealed); !errors.Is(err, rsa.ErrDecryption) {
		return errAnswer
	}
	return nil
}

// A Fit makes an opener of a key, as rsakey.Fit says.
type Fit = func(*rsa.PrivateKey) (decode.Opener, error)

// Choose returns the Fit of the library with this name, or other and one line in the
// log where the library cannot be used.
func Choose(name string, other Fit, log *slog.Logger) Fit {
	l, err := Open(name)
	if err != nil {
		log.Warn("OpenSSL not used, private-key operations take four times as long", "err", err)
		return other
	}
	return l.Fit
}

// Fit makes an opener. The memory of the key in C is overwritten and freed when the
// opener is unreachable.
func (l *Library) Fit(key *rsa.PrivateKey) (decode.Opener, error) {
	h, err := l.handles(key)
	if err != nil {
		return nil, err
	}
	o := &opener{h, key}
	runtime.AddCleanup(o, (*handles).free, h)
	return o, nil
}

// An opener opens with OpenSSL, and with crypto/rsa where OpenSSL itself fails: a
// failure that says nothing of the key must not look like a wrong key.
type opener struct {
	*handles
	key *rsa.PrivateKey
}

// Open returns the same error, [rsa.ErrDecryption], for every failure.
func (o *opener) Open(ciphertext []byte) ([]byte, error) {
	defer runtime.KeepAlive(o)
	text, err := o.open(ciphertext)
	if errors.Is(err, errOpenSSL) {
		//lint:ignore SA1019 the padding is WeCom's choice; an attacker cannot send ciphertexts and observe the results
		return rsa.DecryptPKCS1v15(nil, o.key, ciphertext)
	}
	return text, err
}

// errOpenSSL means that OpenSSL failed for a reason that has nothing to do with the
// ciphertext, such as memory.
var errOpenSSL = errors.New("OpenSSL failed")

// handles are a key in C's memory and its contexts. A context has one user at a time.
// There are at most as many contexts as processors, made when they are first needed.
type handles struct {
	c       *functions
	key     uintptr
	modulus []byte
	idle    chan *context // those without a user; nil for one that is not made yet
}

// A context is what one private-key operation at a time needs.
type context struct {
	handle uintptr
	in     []byte
	out    []byte
	size   uint64 // of out
}

func (l *Library) handles(key *rsa.PrivateKey) (*handles, error) {
	der := x509.MarshalPKCS1PrivateKey(key)
	defer clear(der)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(der))) // Go moves no memory of the heap
	h := &handles{c: &l.c, key: l.c.parseKey(0, &at, int64(len(der)))}
	runtime.KeepAlive(der)
	if h.key == 0 {
		return nil, fmt.Errorf("parse key: %w", errOpenSSL)
	}
	h.modulus = key.N.FillBytes(make([]byte, key.Size()))
	h.idle = make(chan *context, runtime.GOMAXPROCS(0))
	for range cap(h.idle) {
		h.idle <- nil
	}
	return h, nil
}

// free frees the key and its contexts. No other method may be running or follow.
func (h *handles) free() {
	for range cap(h.idle) {
		if c := <-h.idle; c != nil {
			h.c.freeContext(c.handle)
		}
	}
	h.c.freeKey(h.key)
}

// open undoes RSA PKCS#1 v1.5. Its errors are [rsa.ErrDecryption] and errOpenSSL.
func (h *handles) open(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != len(h.modulus) || bytes.Compare(ciphertext, h.modulus) >= 0 {
		return nil, rsa.ErrDecryption
	}
	c := <-h.idle
	defer func() { h.idle <- c }()
	if c == nil {
		if c = h.newContext(); c == nil {
			return nil, errOpenSSL
		}
	}
	copy(c.in, ciphertext)
	c.size = uint64(len(c.out))
	if h.c.decrypt(c.handle, &c.out[0], &c.size, &c.in[0], uint64(len(c.in))) != 1 || c.size != uint64(len(c.out)) {
		h.c.freeContext(c.handle)
		c = nil
		return nil, errOpenSSL
	}
	defer clear(c.out)
	return unpad(c.out)
}

// newContext returns nil if OpenSSL makes none.
func (h *handles) newContext() *context {
	handle := h.c.newContext(h.key, 0)
	if handle == 0 {
		return nil
	}
	if h.c.beginDecrypt(handle) != 1 || h.c.setPadding(handle, noPadding) != 1 {
		h.c.freeContext(handle)
		return nil
	}
	return &context{handle: handle, in: make([]byte, len(h.modulus)), out: make([]byte, len(h.modulus))}
}
