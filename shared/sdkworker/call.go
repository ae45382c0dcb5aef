//go:build linux

package sdkworker

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

// Errors name the library's function by the library's own name. opStart stands for
// the start of the process, before any function is called.
const (
	opStart    = "start"
	opInit     = "Init"
	opChatData = "GetChatData"
	opDecrypt  = "DecryptData"
	opMedia    = "GetMediaData"
)

// A Session calls the library for one corp. It is not safe for concurrent
// use; sessions that share a process take turns.
//
// A method returns one of these errors:
//   - [*archive.SDKError]: the library returned a code; the process continues.
//   - [*archive.CrashError]: the process crashed, hung or broke the protocol,
//     and has ended.
//   - [*archive.LibraryError]: no process can be started.
//   - [ErrClosed].
//   - the context's error; if the process was working on the call, the process
//     has ended too.
//
// The Op of an SDKError or CrashError may be Init or "start" instead of the
// method's own function, because any call may have to start the process. Such
// an error says nothing about the method's arguments.
type Session struct {
	pool *Pool
	key  slotKey
	id   Identity
}

var (
	_ pull.Source      = (*Session)(nil)
	_ decode.Decrypter = (*Session)(nil)
	_ media.Source     = (*Session)(nil)
)

// ChatData implements [pull.Source]. A limit outside of C's int returns code
// 10000, as the library returns for a wrong limit.
func (s *Session) ChatData(ctx context.Context, after uint64, limit int) ([]byte, error) {
	if limit < 0 || limit > math.MaxInt32 {
		return nil, &archive.SDKError{Op: opChatData, Code: 10000}
	}
	timeout := s.pool.cfg.ChatDataTimeout
	return callFor(ctx, s, opChatData, timeout,
		sdkproto.ChatData{After: after, Limit: uint32(limit), Timeout: networkTimeout(timeout)},
		func(r sdkproto.Result) ([]byte, bool) { return r.Data, true })
}

// Decrypt implements [decode.Decrypter].
func (s *Session) Decrypt(ctx context.Context, keyText []byte, message string) ([]byte, error) {
	return callFor(ctx, s, opDecrypt, s.pool.cfg.DecryptTimeout,
		sdkproto.Decrypt{KeyText: keyText, Message: []byte(message)},
		func(r sdkproto.Result) ([]byte, bool) { return r.Data, true })
}

// DecryptAll implements [decode.Decrypter]. All records together have the time
// limit of one.
func (s *Session) DecryptAll(ctx context.Context, records []decode.Sealed) ([]decode.Decrypted, error) {
	request := sdkproto.DecryptAll{Records: make([]sdkproto.Decrypt, len(records))}
	for i, r := range records {
		request.Records[i] = sdkproto.Decrypt{KeyText: r.KeyText, Message: []byte(r.Message)}
	}
	return callFor(ctx, s, opDecrypt, s.pool.cfg.DecryptTimeout, request,
		func(r sdkproto.Results) ([]decode.Decrypted, bool) {
			if len(r.Records) != len(records) {
				return nil, false
			}
			all := make([]decode.Decrypted, len(r.Records))
			for i, o := range r.Records {
				all[i] = decode.Decrypted{Raw: o.Data, Code: int(o.Code)}
			}
			return all, true
		})
}

// MediaChunk implements [media.Source].
func (s *Session) MediaChunk(ctx context.Context, index, sdkFileID string) (media.Chunk, error) {
	timeout := s.pool.cfg.MediaTimeout
	return callFor(ctx, s, opMedia, timeout,
		sdkproto.MediaChunk{Index: index, SDKFileID: sdkFileID, Timeout: networkTimeout(timeout)},
		func(c sdkproto.Chunk) (media.Chunk, bool) {
			return media.Chunk{Data: c.Data, Next: c.Next, Finished: c.Finished}, true
		})
}

// networkTimeout is the library's limit for one request, see [Config].
func networkTimeout(call time.Duration) uint32 {
	return uint32(max(1, call/5/time.Second))
}

// callFor calls the library and converts the answer from A to V. If the answer has
// another type, or if the function value rejects it, callFor ends the process.
func callFor[A sdkproto.Message, V any](
	ctx context.Context, s *Session, op string, limit time.Duration, request sdkproto.Message, value func(A) (V, bool),
) (none V, err error) {
	if err := ctx.Err(); err != nil {
		return none, err
	}
	slot, err := s.pool.acquire(ctx, s.key)
	if err != nil {
		return none, err
	}
	defer s.pool.release(s.key, slot)
	answer, err := s.callSlot(ctx, slot, op, limit, request)
	if err != nil {
		return none, err
	}
	s.endIfTooLarge(ctx, slot, request)
	switch a := answer.(type) {
	case A:
		if v, ok := value(a); ok {
			return v, nil
		}
	case sdkproto.Failed:
		if _, batch := request.(sdkproto.DecryptAll); !batch { // its answer has a code for each record
			return none, &archive.SDKError{Op: op, Code: int(a.Code)}
		}
	}
	if slot.proc != nil {
		slot.proc.kill()
		slot.proc = nil
	}
	return none, &archive.CrashError{Op: op, How: archive.Nonsense, Note: wrongAnswer}
}

// callSlot calls the slot's process, and starts one if the slot has none.
func (s *Session) callSlot(ctx context.Context, slot *slot, op string, limit time.Duration, request sdkproto.Message) (answer sdkproto.Message, err error) {
	if slot.proc != nil {
		answer, err = slot.proc.call(ctx, op, limit, request)
		if err == nil {
			return answer, nil
		}
		slot.proc = nil
		if !errors.Is(err, errUndelivered) {
			return nil, err
		}
		// The process died between two calls, so no call caused the crash.
	}
	if slot.proc, err = start(ctx, &s.pool.cfg, s.id); err != nil {
		return nil, err
	}
	if answer, err = slot.proc.call(ctx, op, limit, request); err != nil {
		slot.proc = nil
		return nil, err
	}
	return answer, nil
}

// endIfTooLarge stops a process that has grown too large. The process has answered
// already, and the caller uses the answer.
func (s *Session) endIfTooLarge(ctx context.Context, slot *slot, request sdkproto.Message) {
	rss, large := slot.proc.tooLarge(request, s.pool.cfg.MaxRSS)
	if !large {
		return
	}
	s.pool.cfg.Log.InfoContext(ctx, "library process replaced", slog.Int64("rss", rss), slog.Int("calls", int(slot.proc.calls)))
	slot.proc.stop()
	slot.proc = nil
}
