package routes

import (
	"context"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// corpMemory is how long a process remembers a corp for the routes that read chats.
// Such a route needs only the registration and the page key, which never change, and
// whether WeCom may be asked for a name, which inspect decides again before it asks.
// The command erase waits longer between its two passes, so it finds what a reader of
// an erased corp still wrote.
const corpMemory = time.Minute

// rememberedCorps are registered corps that requests read. A corp that is not
// registered is never remembered, so callers cannot fill the memory.
type rememberedCorps struct {
	mu    sync.Mutex
	corps map[string]rememberedCorp
}

type rememberedCorp struct {
	archive.Corp
	read time.Time
}

// corp returns the corp, which it reads unless it did so within corpMemory.
func (r *rememberedCorps) corp(ctx context.Context, from archive.CorpReader, id string, now time.Time) (archive.Corp, error) {
	r.mu.Lock()
	known, ok := r.corps[id]
	r.mu.Unlock()
	if age := now.Sub(known.read); ok && 0 <= age && age < corpMemory {
		return known.Corp, nil
	}
	corp, err := from.Corp(ctx, id)
	if err != nil {
		return archive.Corp{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.corps == nil {
		r.corps = make(map[string]rememberedCorp)
	}
	r.corps[id] = rememberedCorp{corp, now}
	return corp, nil
}
