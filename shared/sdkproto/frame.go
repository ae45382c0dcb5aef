// Package sdkproto is how a parent talks with the worker process that has
// WeCom's library loaded: frames over two pipes, one for requests and one for
// answers.
//
// The parent says [Hello], then [Init], then any number of [ChatData],
// [Decrypt] and [MediaChunk], then [Bye]. One request is in flight at a time
// and each gets exactly one answer, which carries the request's id. A reader
// refuses whatever it does not expect, and an end without Bye is an error:
// neither side goes on with a peer that it does not understand.
//
//	frame = length uint32, kind uint8, id uint32, fields
//	field = uint32 | uint64 | bool uint8 | length uint32, bytes
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

// Version is the protocol's version. A worker and a parent of two versions
// refuse each other.
const Version = 2

// MaxFrame is the most bytes that may follow a frame's length. Pages of
// GetChatData are the largest frames: some megabytes.
const MaxFrame = 64 << 20

const (
	helloMagic = "yunduo-sdk"
	headerSize = 4 + frameHead
	frameHead  = 1 + 4 // kind and id, counted in the length
	// eager is the most memory that is taken on the word of a frame's length
	// alone. A longer frame's memory grows with what really arrives.
	eager = 1 << 20
	// keep is the largest buffer that a Writer keeps for the next frame.
	keep = 64 << 10
)

var byteOrder = binary.BigEndian

// ErrTooLarge is returned by [Writer.Write] for a message over [MaxFrame].
// Nothing of it has been written.
var ErrTooLarge = errors.New("sdkproto: message is over the frame limit")

// ProtocolError says that the other side sent what it should not.
type ProtocolError struct{ Note string }

func (e *ProtocolError) Error() string { return "sdkproto: " + e.Note }

// VersionError says that the other side speaks another version.
type VersionError struct{ Theirs uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("sdkproto: the other side speaks version %d, this one %d", e.Theirs, Version)
}

// A Writer writes frames, each with one Write of the writer below. After an
// error of that, every Write returns it. Not safe for concurrent use.
type Writer struct {
	w   io.Writer
	enc encoder
	err error
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends m under id.
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
	if cap(w.enc.buf) > keep {
		w.enc.buf = nil
	}
	return w.err
}

// A Reader reads frames. After an error every Read returns it. Not safe for
// concurrent use.
type Reader struct {
	r   *bufio.Reader
	bye bool
	err error
}

// NewReader reads from r, and may read ahead.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, keep)} }

// Read returns the next message and its id. The message's bytes belong to the
// caller. Errors are [*ProtocolError], [*VersionError], io.EOF after [Bye],
// io.ErrUnexpectedEOF for an end anywhere else, or the reader's below.
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
		return 0, nil, &ProtocolError{Note: "a frame after the end"}
	}
	length, k, id := byteOrder.Uint32(head), kind(head[4]), byteOrder.Uint32(head[5:])
	if length < frameHead || length > MaxFrame {
		return 0, nil, &ProtocolError{Note: fmt.Sprintf("a frame of %d bytes", length)}
	}
	if _, err := r.r.Discard(headerSize); err != nil {
		return 0, nil, err // cannot be: they were there to peek at
	}
	fields, err := r.fields(int(length) - frameHead)
	if err != nil {
		return 0, nil, err
	}
	m, err := decode(k, fields)
	return id, m, err
}

func (r *Reader) fields(n int) ([]byte, error) {
	b := make([]byte, min(n, eager))
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
