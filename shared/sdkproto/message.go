package sdkproto

import (
	"fmt"
	"io"
	"math"
)

// A Message is one of the types below, by value.
type Message interface {
	kind() kind
	encode(*encoder)
}

// kind is the number of a message's type on the wire. A number is never reused
// for another type.
type kind uint8

const (
	kindHello      kind = 1
	kindInit       kind = 2
	kindChatData   kind = 3
	kindDecrypt    kind = 4
	kindMediaChunk kind = 5
	kindBye        kind = 6
	kindDecryptAll kind = 7

	kindDone    kind = 16
	kindResult  kind = 17
	kindChunk   kind = 18
	kindFailed  kind = 19
	kindRefused kind = 20
	kindResults kind = 21
)

// Hello is the first frame in each direction. Its first fields are the same in
// every version, so that each side can read the version of the other side. The
// parent's Hello carries the settings that the worker needs before it loads the
// library. The worker answers with its own Hello after it has loaded the library.
type Hello struct {
	// MemoryLimit is the number of bytes that the worker may allocate beyond its
	// memory at the start; 0 means no limit. Unused in the worker's Hello.
	MemoryLimit uint64
	// NoSockets takes the worker's right to make sockets away, before the library
	// is loaded. Unused in the worker's Hello.
	NoSockets bool
}

// Init requests an initialised handle. Its answer is Done or Failed. It is the
// first request after Hello, and occurs once.
type Init struct {
	CorpID        string
	Secret        string
	Proxy         string // http://host:port or socks5://host:port, or empty
	ProxyPassword string // user:password, or empty
}

// Format prints only the name, because the message holds secrets.
func (Init) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sdkproto.Init") }

// ChatData requests a call of GetChatData. Its answer is Result or Failed.
type ChatData struct {
	After   uint64
	Limit   uint32
	Timeout uint32 // seconds for each request of the library
}

// Decrypt requests a call of DecryptData. Its answer is Result or Failed.
type Decrypt struct {
	KeyText []byte
	Message []byte
}

// Format prints only the name, because the message holds a key.
func (Decrypt) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sdkproto.Decrypt") }

// MaxRecords is the largest number of records in a DecryptAll.
const MaxRecords = 1024

// DecryptAll requests a call of DecryptData for each record, in their order. Its
// answer is Results.
type DecryptAll struct{ Records []Decrypt }

// Format prints only the name, because the message holds keys.
func (DecryptAll) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sdkproto.DecryptAll") }

// MediaChunk requests a call of GetMediaData. Its answer is Chunk or Failed.
type MediaChunk struct {
	Index     string // empty for the first chunk
	SDKFileID string
	Timeout   uint32 // seconds for each request of the library
}

// Format prints only the name: SDKFileID and the archive secret are enough to
// fetch the file.
func (MediaChunk) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sdkproto.MediaChunk") }

// Bye is the last frame. The worker destroys its handle, answers Bye and exits.
type Bye struct{}

// Done means that Init returned 0.
type Done struct{}

// Result carries the bytes that a function wrote into its slice.
type Result struct{ Data []byte }

// Results carries what DecryptData returned for each record of a DecryptAll, in
// their order.
type Results struct{ Records []Outcome }

// Outcome is the return code of DecryptData, and the bytes of its slice if the
// code is 0.
type Outcome struct {
	Code int32
	Data []byte
}

// Chunk carries the answer of GetMediaData.
type Chunk struct {
	Data     []byte
	Next     string // index of the next chunk
	Finished bool   // whether this is the last chunk
}

// Failed carries a return code other than 0. The library stays usable, except
// after a failed Init.
type Failed struct{ Code int32 }

// Refused is the last answer of a worker that cannot continue. The worker exits.
type Refused struct {
	Fault Fault
	Note  string // details; holds no secret
}

// Fault is the reason of a refusal.
type Fault string

// The faults. The last two concern the library's behaviour and the parent's; the
// others concern the library's file.
const (
	FaultMissing  Fault = "missing"        // file missing
	FaultMachine  Fault = "wrong_machine"  // file for another processor, or no shared object
	FaultSymbol   Fault = "missing_symbol" // function missing
	FaultLoad     Fault = "not_loadable"   // refused by the loader
	FaultLibrary  Fault = "misbehaved"     // contract broken by the library, or answer over the limit
	FaultProtocol Fault = "protocol"       // protocol broken by the parent
)

func (Hello) kind() kind      { return kindHello }
func (Init) kind() kind       { return kindInit }
func (ChatData) kind() kind   { return kindChatData }
func (Decrypt) kind() kind    { return kindDecrypt }
func (DecryptAll) kind() kind { return kindDecryptAll }
func (MediaChunk) kind() kind { return kindMediaChunk }
func (Bye) kind() kind        { return kindBye }
func (Done) kind() kind       { return kindDone }
func (Result) kind() kind     { return kindResult }
func (Chunk) kind() kind      { return kindChunk }
func (Failed) kind() kind     { return kindFailed }
func (Refused) kind() kind    { return kindRefused }
func (Results) kind() kind    { return kindResults }

func (m Hello) encode(e *encoder) {
	e.raw(helloMagic)
	e.uint32(Version)
	e.uint64(m.MemoryLimit)
	e.bool(m.NoSockets)
}

func (m Init) encode(e *encoder) {
	e.text(m.CorpID)
	e.text(m.Secret)
	e.text(m.Proxy)
	e.text(m.ProxyPassword)
}

func (m ChatData) encode(e *encoder) {
	e.uint64(m.After)
	e.uint32(m.Limit)
	e.uint32(m.Timeout)
}

func (m Decrypt) encode(e *encoder) {
	e.bytes(m.KeyText)
	e.bytes(m.Message)
}

func (m DecryptAll) encode(e *encoder) {
	e.uint32(uint32(len(m.Records)))
	for _, r := range m.Records {
		r.encode(e)
	}
}

func (m MediaChunk) encode(e *encoder) {
	e.text(m.Index)
	e.text(m.SDKFileID)
	e.uint32(m.Timeout)
}

func (Bye) encode(*encoder)  {}
func (Done) encode(*encoder) {}

func (m Result) encode(e *encoder) { e.bytes(m.Data) }

func (m Results) encode(e *encoder) {
	e.uint32(uint32(len(m.Records)))
	for _, r := range m.Records {
		e.uint32(uint32(r.Code))
		e.bytes(r.Data)
	}
}

func (m Chunk) encode(e *encoder) {
	e.bytes(m.Data)
	e.text(m.Next)
	e.bool(m.Finished)
}

func (m Failed) encode(e *encoder) { e.uint32(uint32(m.Code)) }

func (m Refused) encode(e *encoder) {
	e.text(string(m.Fault))
	e.text(m.Note)
}

// decode reads a message from its fields b. The message keeps parts of b.
func decode(k kind, b []byte) (Message, error) {
	d := decoder{rest: b}
	var m Message
	switch k {
	case kindHello:
		if string(d.raw(len(helloMagic))) != helloMagic {
			return nil, &ProtocolError{Note: "Hello without its magic text"}
		}
		if v := d.uint32(); !d.short && v != Version {
			return nil, &VersionError{Theirs: v}
		}
		m = Hello{MemoryLimit: d.uint64(), NoSockets: d.bool()}
	case kindInit:
		m = Init{CorpID: d.text(), Secret: d.text(), Proxy: d.text(), ProxyPassword: d.text()}
	case kindChatData:
		m = ChatData{After: d.uint64(), Limit: d.uint32(), Timeout: d.uint32()}
	case kindDecrypt:
		m = Decrypt{KeyText: d.bytes(), Message: d.bytes()}
	case kindDecryptAll:
		m = DecryptAll{Records: list(&d, func() Decrypt { return Decrypt{KeyText: d.bytes(), Message: d.bytes()} })}
	case kindMediaChunk:
		m = MediaChunk{Index: d.text(), SDKFileID: d.text(), Timeout: d.uint32()}
	case kindBye:
		m = Bye{}
	case kindDone:
		m = Done{}
	case kindResult:
		m = Result{Data: d.bytes()}
	case kindChunk:
		m = Chunk{Data: d.bytes(), Next: d.text(), Finished: d.bool()}
	case kindFailed:
		code := int32(d.uint32())
		if code == 0 && !d.short {
			return nil, &ProtocolError{Note: "failure with code 0"}
		}
		m = Failed{Code: code}
	case kindRefused:
		m = Refused{Fault: Fault(d.text()), Note: d.text()}
	case kindResults:
		m = Results{Records: list(&d, func() Outcome { return Outcome{Code: int32(d.uint32()), Data: d.bytes()} })}
	default:
		return nil, &ProtocolError{Note: fmt.Sprintf("unknown kind %d", k)}
	}
	if d.short || d.badBool || len(d.rest) > 0 {
		return nil, &ProtocolError{Note: fmt.Sprintf("fields of kind %d do not fill the frame", k)}
	}
	return m, nil
}

// size is an upper bound of a message's length on the wire. It does not encode
// the message.
func size(m Message) int {
	const small = headerSize + 64 // header, numbers and lengths
	switch m := m.(type) {
	case Init:
		return small + len(m.CorpID) + len(m.Secret) + len(m.Proxy) + len(m.ProxyPassword)
	case Decrypt:
		return small + len(m.KeyText) + len(m.Message)
	case DecryptAll:
		n := small
		for _, r := range m.Records {
			n += size(r)
		}
		return n
	case MediaChunk:
		return small + len(m.Index) + len(m.SDKFileID)
	case Results:
		n := small
		for _, r := range m.Records {
			n += small + len(r.Data)
		}
		return n
	case Result:
		return small + len(m.Data)
	case Chunk:
		return small + len(m.Data) + len(m.Next)
	case Refused:
		return small + len(m.Fault) + len(m.Note)
	}
	return small
}

// An encoder appends fields. Every length fits into its field, because
// [Writer.Write] checks [size] first.
type encoder struct{ buf []byte }

func (e *encoder) raw(s string)    { e.buf = append(e.buf, s...) }
func (e *encoder) uint32(v uint32) { e.buf = byteOrder.AppendUint32(e.buf, v) }
func (e *encoder) uint64(v uint64) { e.buf = byteOrder.AppendUint64(e.buf, v) }

func (e *encoder) bytes(b []byte) {
	e.uint32(uint32(len(b)))
	e.buf = append(e.buf, b...)
}

func (e *encoder) text(s string) {
	e.uint32(uint32(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) bool(v bool) {
	var b byte
	if v {
		b = 1
	}
	e.buf = append(e.buf, b)
}

// A decoder reads fields from rest. If a field is incomplete, short is set, and
// that field and every later one are zero.
type decoder struct {
	rest    []byte
	short   bool
	badBool bool
}

func (d *decoder) raw(n int) []byte {
	if d.short || n > len(d.rest) {
		d.short = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	if b := d.raw(4); b != nil {
		return byteOrder.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.raw(8); b != nil {
		return byteOrder.Uint64(b)
	}
	return 0
}

func (d *decoder) bytes() []byte {
	n := d.uint32()
	if n > math.MaxInt32 { // int may have 32 bits
		d.short = true
		return nil
	}
	return d.raw(int(n))
}

// list reads a number of elements, and the elements. A number over [MaxRecords] sets
// short: a hostile library could make small elements fill the parent's memory.
func list[E any](d *decoder, element func() E) (all []E) {
	n := d.uint32()
	d.short = d.short || n > MaxRecords
	for ; n > 0 && !d.short; n-- {
		all = append(all, element())
	}
	return all
}

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) bool() bool {
	b := d.raw(1)
	if b == nil {
		return false
	}
	d.badBool = d.badBool || b[0] > 1
	return b[0] == 1
}
