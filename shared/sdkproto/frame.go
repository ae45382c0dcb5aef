// Package sdkproto defines the frames between a parent (shared/sdkworker) and
// its child process with WeCom's library (layers/finance-sdk/worker). One pipe
// carries requests, another carries answers.
//
// The parent sends [Hello], then [Init], then any number of [ChatData],
// [Decrypt], [DecryptAll] and [MediaChunk], then [Bye]. One request is in flight at a time.
// Each request gets exactly one answer, with the request's id. A reader refuses
// every unexpected frame, and an end without Bye is an error. After such an
// error a side stops using the connection.
//
//	frame = length uint32, kind uint8, id uint32, fields
//	field = uint32 | uint64 | bool uint8 | length uint32, bytes | number uint32, elements
//
// Numbers are big endian; a frame's length counts what follows it.
package sdkproto

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is the version of the protocol. A worker and a parent with different
// versions refuse each other.
const Version = 3

// MaxFrame is the largest value of a frame's length, in bytes. Pages of
// GetChatData are the largest frames, with some megabytes.
const MaxFrame = 64 << 20

const (
	helloMagic = "yunduo-sdk"
	headerSize = 4 + frameHead
	frameHead  = 1 + 4 // kind and id, counted in the length
	// firstAllocation is the most memory that a reader allocates because of a
	// frame's length alone. For a longer frame it allocates more as bytes arrive.
	firstAllocation = 1 << 20
	// keptBuffer is the largest buffer that a Writer keeps for the next frame.
	keptBuffer = 64 << 10
)

var byteOrder = binary.BigEndian

// ErrTooLarge is returned by [Writer.Write] for a message over [MaxFrame]. Write
// has written no byte of it.
var ErrTooLarge = errors.New("sdkproto: message over the frame limit")

// A ProtocolError means that the other side sent an invalid or unexpected frame.
type ProtocolError struct{ Note string }

func (e *ProtocolError) Error() string { return "sdkproto: " + e.Note }

// A VersionError means that the other side has another version of the protocol.
type VersionError struct{ Theirs uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("sdkproto: version %d of the other side, version %d here", e.Theirs, Version)
}

// A Writer writes each frame with one Write of the underlying writer. After an
// error of the underlying writer, every Write returns that error. A Writer is
// not safe for concurrent use.
type Writer struct {
	w   io.Writer
	enc encoder
	err error
}

// NewWriter returns a Writer of frames to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes m with the given id.
func (w *Writer) Write(id uint32, m Message) error {
	if w.err != nil {
		return w.err
	}
	n := size(m)
	if n > MaxFrame {
		return ErrTooLarge
	}
	if cap(w.enc.buf) < n {
		w.enc.buf = make([]byte, 0, n)
	}
	w.enc.buf = append(w.enc.buf[:0], 0, 0, 0, 0, byte(m.kind()))
	w.enc.uint32(id)
	m.encode(&w.enc)
	byteOrder.PutUint32(w.enc.buf, uint32(len(w.enc.buf)-4))
	_, w.err = w.w.Write(w.enc.buf)
	if cap(w.enc.buf) > keptBuffer {
		w.enc.buf = nil
	}
	return w.err
}

// A Reader reads frames. After an error every Read returns that error. A Reader
// is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	bye bool
	err error
}

// NewReader returns a Reader of frames from r. It may read ahead.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, keptBuffer)} }

// Read returns the next message and its id. The caller owns the message's bytes.
// Errors are [*ProtocolError], [*VersionError], io.EOF after [Bye],
// io.ErrUnexpectedEOF at any other end, or those of the underlying reader.
func (r *Reader) Read() (id uint32, m Message, err error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	id, m, r.err = r.read()
	if r.err != nil {
		return 0, nil, r.err
	}
	_, r.bye = m.(Bye)
	return id, m, nil
}

func (r *Reader) read() (uint32, Message, error) {
	head, err := r.r.Peek(headerSize)
	switch {
	case err == io.EOF && len(head) == 0 && r.bye:
		return 0, nil, io.EOF
	case err == io.EOF:
		return 0, nil, io.ErrUnexpectedEOF
	case err != nil:
		return 0, nil, err
	case r.bye:
		return 0, nil, &ProtocolError{Note: "frame after Bye"}
	}
	length, k, id := byteOrder.Uint32(head), kind(head[4]), byteOrder.Uint32(head[5:])
	if length < frameHead || length > MaxFrame {
		return 0, nil, &ProtocolError{Note: fmt.Sprintf("frame of %d bytes", length)}
	}
	if _, err := r.r.Discard(headerSize); err != nil {
		return 0, nil, err // impossible: Peek has buffered these bytes
	}
	fields, err := r.fields(int(length) - frameHead)
	if err != nil {
		return 0, nil, err
	}
	m, err := decode(k, fields)
	return id, m, err
}

// fields reads the n bytes of a frame's fields.
func (r *Reader) fields(n int) ([]byte, error) {
	b := make([]byte, min(n, firstAllocation))
	for got := 0; ; {
		m, err := io.ReadFull(r.r, b[got:])
		got += m
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case got == n:
			return b, nil
		}
		grown := make([]byte, min(n, 4*got))
		copy(grown, b)
		b = grown
	}
}
