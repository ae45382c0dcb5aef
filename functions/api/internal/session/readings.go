package session

import (
	"context"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// rememberedMost bounds the readings that a [ReadingMemory] remembers.
const rememberedMost = 10_000

// A ReadingMemory passes readings on, each once. A user who pages through a chat makes
// the same reading in each request of a slot. Once it is durable, a second write would
// change nothing.
type ReadingMemory struct {
	to ReadingWriter

	mu       sync.Mutex
	slot     time.Time                    // of the readings in recorded
	recorded map[archive.Reading]struct{} // durable
}

// NewReadingMemory passes readings on to a store.
func NewReadingMemory(to ReadingWriter) *ReadingMemory { return &ReadingMemory{to: to} }

// RecordReading implements [ReadingWriter].
func (m *ReadingMemory) RecordReading(ctx context.Context, r archive.Reading) error {
	m.mu.Lock()
	_, durable := m.recorded[r]
	m.mu.Unlock()
	if durable {
		return nil
	}
	if err := m.to.RecordReading(ctx, r); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recorded == nil || !m.slot.Equal(r.At) || len(m.recorded) == rememberedMost {
		m.slot, m.recorded = r.At, make(map[archive.Reading]struct{})
	}
	m.recorded[r] = struct{}{}
	return nil
}
