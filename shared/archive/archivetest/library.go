package archivetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Library is WeCom with its library, as [pull.Sources], [decode.Decrypters] and
// [media.Sources]. It returns the archived records in pages, as WeCom does. The
// hooks OnChatData, OnDecrypt and OnMediaChunk script other answers; set them
// before use.
//
// It complains if two goroutines use a handle at once, or if a handle is used for
// another corp than its own.
type Library struct {
	// OnChatData may answer a call in WeCom's place. If it returns nil, WeCom
	// answers.
	OnChatData func(corp string, after uint64, limit int) *Answer
	// OnDecrypt may answer for the record of that seq in the library's place. If
	// it returns nil, the library answers. try counts the calls for this record,
	// from 1.
	OnDecrypt func(corp string, seq uint64, try int) *Answer
	// OnMediaChunk may change the answers of GetMediaData.
	OnMediaChunk func(corp, index, sdkFileID string, c media.Chunk, err error) (media.Chunk, error)

	t      testing.TB
	faults *Faults
	mu     sync.Mutex
	corps  map[string]*said
}

// Answer is a scripted answer.
type Answer struct {
	Bytes []byte
	Err   error
}

// said is what WeCom keeps of a corp.
type said struct {
	secret  secret.Value // zero: every secret is accepted
	records []Record     // by Seq
	tries   map[uint64]int
	files   map[string][]byte // by sdkfileid
}

// Record is a message as WeCom archives it.
type Record struct {
	Seq        uint64
	MsgID      string
	KeyVersion uint32
	KeyID      string // the key that was set in WeCom's console when the message was sent
	Text       []byte // the message
	// Broken, if set, is the record's JSON. The other fields then have no effect
	// on the page.
	Broken string
}

var (
	_ pull.Sources      = (*Library)(nil)
	_ decode.Decrypters = (*Library)(nil)
	_ media.Sources     = (*Library)(nil)
)

// NewLibrary makes a library without records.
func NewLibrary(t testing.TB, f *Faults) *Library {
	return &Library{t: t, faults: f, corps: make(map[string]*said)}
}

// of returns what WeCom keeps of the corp. The caller holds mu.
func (l *Library) of(corp string) *said {
	s, ok := l.corps[corp]
	if !ok {
		s = &said{tries: make(map[uint64]int)}
		l.corps[corp] = s
	}
	return s
}

// Say archives records of a corp.
func (l *Library) Say(corp string, records ...Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of(corp)
	s.records = append(s.records, records...)
	slices.SortStableFunc(s.records, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Forget deletes the records up to last, as WeCom does after 5 days.
func (l *Library) Forget(corp string, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of(corp)
	s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Seq <= last })
}

// SetSecret sets the corp's secret. From then on WeCom refuses every other secret
// with errcode 40001. Before, it accepts every secret.
func (l *Library) SetSecret(corp string, v secret.Value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(corp).secret = v
}

// Page makes the answer to GetChatData with these records.
func Page(corp string, records ...Record) []byte {
	parts := make([]string, len(records))
	for i, r := range records {
		parts[i] = r.json(corp)
	}
	return []byte(`{"errcode":0,"errmsg":"ok","chatdata":[` + strings.Join(parts, ",") + `]}`)
}

// Refused makes an answer to GetChatData with an error inside.
func Refused(errcode int, errmsg string) []byte {
	msg, _ := json.Marshal(errmsg) // a string always has a JSON form
	return fmt.Appendf(nil, `{"errcode":%d,"errmsg":%s,"chatdata":[]}`, errcode, msg)
}

func (r Record) json(corp string) string {
	if r.Broken != "" {
		return r.Broken
	}
	keyText := keyTextOf(corp, r.Seq)
	msgID, _ := json.Marshal(r.MsgID) // a string always has a JSON form
	return fmt.Sprintf(`{"seq":%d,"msgid":%s,"publickey_ver":%d,"encrypt_random_key":%q,"encrypt_chat_msg":%q}`,
		r.Seq, msgID, r.KeyVersion, base64.StdEncoding.EncodeToString(Seal(r.KeyID, keyText)), r.envelope(corp))
}

// keyTextOf is the key text of a record: 88 printable characters as in WeCom's,
// and the same in every run.
func keyTextOf(corp string, seq uint64) []byte {
	sum := sha512.Sum512(fmt.Appendf(nil, "%s/%d", corp, seq))
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// envelope stands for WeCom's encryption. It holds the corp and seq of the record,
// a digest of the key text that opens it, and the message.
func (r Record) envelope(corp string) string {
	sum := sha256.Sum256(keyTextOf(corp, r.Seq))
	b := fmt.Appendf(nil, "%s %d %x ", corp, r.Seq, sum)
	return base64.StdEncoding.EncodeToString(append(b, r.Text...))
}

// handle is a source or a decrypter of one corp.
type handle struct {
	l    *Library
	corp string
	key  secret.Value
	busy atomic.Bool
}

// Source implements [pull.Sources].
func (l *Library) Source(ctx context.Context, corp string, archiveSecret secret.Value) (pull.Source, error) {
	return read(ctx, l.faults, "Library.Source", corp, func() (pull.Source, error) {
		return &handle{l: l, corp: corp, key: archiveSecret}, nil
	})
}

// Decrypter implements [decode.Decrypters].
func (l *Library) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	return read(ctx, l.faults, "Library.Decrypter", corp, func() (decode.Decrypter, error) {
		return &handle{l: l, corp: corp}, nil
	})
}

// alone complains if another call of the handle is running. The returned function
// ends the call.
func (h *handle) alone(op string) func() {
	if !h.busy.CompareAndSwap(false, true) {
		h.l.t.Errorf("%s of %s while the same handle is busy", op, h.corp)
	}
	return func() { h.busy.Store(false) }
}

// ChatData implements [pull.Source].
func (h *handle) ChatData(ctx context.Context, after uint64, limit int) ([]byte, error) {
	defer h.alone("ChatData")()
	return read(ctx, h.l.faults, "Source.ChatData", h.corp, func() ([]byte, error) {
		if h.l.OnChatData != nil {
			if a := h.l.OnChatData(h.corp, after, limit); a != nil {
				return bytes.Clone(a.Bytes), a.Err
			}
		}
		if limit < 1 || limit > pull.PageLimit {
			return nil, &archive.SDKError{Op: "GetChatData", Code: 10000}
		}
		h.l.mu.Lock()
		defer h.l.mu.Unlock()
		s := h.l.of(h.corp)
		if !s.secret.IsZero() && !s.secret.Equal(h.key) {
			return Refused(40001, "invalid credential"), nil
		}
		var page []Record
		for _, r := range s.records {
			if r.Seq > after && len(page) < limit {
				page = append(page, r)
			}
		}
		return Page(h.corp, page...), nil
	})
}

// Decrypt implements [decode.Decrypter].
func (h *handle) Decrypt(ctx context.Context, keyText []byte, message string) ([]byte, error) {
	defer h.alone("Decrypt")()
	return read(ctx, h.l.faults, "Decrypter.Decrypt", h.corp, func() ([]byte, error) { return h.decrypt(keyText, message) })
}

// DecryptAll implements [decode.Decrypter].
func (h *handle) DecryptAll(ctx context.Context, records []decode.Sealed) ([]decode.Decrypted, error) {
	defer h.alone("DecryptAll")()
	return read(ctx, h.l.faults, "Decrypter.DecryptAll", h.corp, func() ([]decode.Decrypted, error) {
		all := make([]decode.Decrypted, len(records))
		for i, r := range records {
			raw, err := h.decrypt(r.KeyText, r.Message)
			if code, ok := errors.AsType[*archive.SDKError](err); ok && code.Op == "DecryptData" {
				all[i].Code = code.Code
				continue
			}
			if err != nil {
				return nil, err
			}
			all[i].Raw = raw
		}
		return all, nil
	})
}

func (h *handle) decrypt(keyText []byte, message string) ([]byte, error) {
	var corp, sum string
	var seq uint64
	b, err := base64.StdEncoding.DecodeString(message)
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%s %d %s", &corp, &seq, &sum)
	}
	if err != nil {
		return nil, &archive.SDKError{Op: "DecryptData", Code: 10006}
	}
	if corp != h.corp {
		h.l.t.Errorf("record of %s decrypted in the process of %s (law 8)", corp, h.corp)
	}
	if h.l.OnDecrypt != nil {
		if a := h.l.OnDecrypt(corp, seq, h.l.try(corp, seq)); a != nil {
			return bytes.Clone(a.Bytes), a.Err
		}
	}
	if len(keyText) != 88 {
		return nil, &archive.SDKError{Op: "DecryptData", Code: 10008}
	}
	if Sum(keyText) != sum {
		return nil, &archive.SDKError{Op: "DecryptData", Code: 10006}
	}
	return b[len(fmt.Sprintf("%s %d %s ", corp, seq, sum)):], nil
}

func (l *Library) try(corp string, seq uint64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of(corp)
	s.tries[seq]++
	return s.tries[seq]
}

// Seal stands for RSA: it makes 256 bytes that only the opener of that key opens.
func Seal(keyID string, text []byte) []byte {
	sum := sha256.Sum256([]byte(keyID))
	b := make([]byte, 256)
	n := copy(b, sum[:])
	b[n] = byte(len(text))
	copy(b[n+1:], text)
	return b
}

// Openers is a [decode.Openers] whose keys undo [Seal].
type Openers struct {
	// Implicit makes a wrong key return random bytes of the right length in place
	// of an error, as OpenSSL 3.2 does. Set it before use.
	Implicit bool

	faults *Faults
	mu     sync.Mutex
	keys   map[[2]string]error // by corp and key id: nil, or why the key is unavailable
}

var _ decode.Openers = (*Openers)(nil)

// NewOpeners makes openers without keys.
func NewOpeners(f *Faults) *Openers {
	return &Openers{faults: f, keys: make(map[[2]string]error)}
}

// Put gives the corp a private key.
func (o *Openers) Put(corp, keyID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys[[2]string{corp, keyID}] = nil
}

// Withhold makes the key unavailable with that error, until the next Put.
func (o *Openers) Withhold(corp, keyID string, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys[[2]string{corp, keyID}] = why
}

// Opener implements [decode.Openers].
func (o *Openers) Opener(ctx context.Context, corp, keyID string) (decode.Opener, error) {
	return read(ctx, o.faults, "Openers.Opener", corp, func() (decode.Opener, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		why, ok := o.keys[[2]string{corp, keyID}]
		if !ok {
			return nil, archive.ErrNotFound
		}
		if why != nil {
			return nil, why
		}
		return opener{sum: sha256.Sum256([]byte(keyID)), implicit: o.Implicit}, nil
	})
}

type opener struct {
	sum      [sha256.Size]byte
	implicit bool
}

// Open implements [decode.Opener].
func (o opener) Open(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != 256 {
		return nil, rsa.ErrDecryption
	}
	if !bytes.HasPrefix(ciphertext, o.sum[:]) {
		if !o.implicit {
			return nil, rsa.ErrDecryption
		}
		noise := sha512.Sum512(append(o.sum[:], ciphertext...))
		return []byte(base64.StdEncoding.EncodeToString(noise[:])), nil
	}
	n := len(o.sum) + 1
	return bytes.Clone(ciphertext[n : n+int(ciphertext[n-1])]), nil
}
