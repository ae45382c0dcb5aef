package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// readings counts the writes of readings, and fails them while err is set.
type readings struct {
	writes int
	err    error
}

func (r *readings) RecordReading(context.Context, archive.Reading) error {
	r.writes++
	return r.err
}

// A reading is written until it is durable, and then no more in its slot.
func TestAReadingIsWrittenOnce(t *testing.T) {
	store := &readings{}
	m := session.NewReadingMemory(store)
	slot := time.Date(2026, 1, 31, 6, 30, 0, 0, time.UTC)
	first := archive.Reading{Corp: "ww1", By: "u1", Role: "reader", Conversation: "single:a:b", At: slot}
	want := func(what string, r archive.Reading, writes int) {
		t.Helper()
		store.writes = 0
		if err := m.RecordReading(t.Context(), r); !errors.Is(err, store.err) || store.writes != writes {
			t.Errorf("%s: got %d writes, %v, want %d, %v", what, store.writes, err, writes, store.err)
		}
	}
	store.err = errors.New("throttled")
	want("a write that fails", first, 1)
	want("the next that fails", first, 1)
	store.err = nil
	want("the first that works", first, 1)
	want("the same reading", first, 0)
	for name, change := range map[string]func(*archive.Reading){
		"another corp": func(r *archive.Reading) { r.Corp = "ww2" }, "another user": func(r *archive.Reading) { r.By = "u2" },
		"another role": func(r *archive.Reading) { r.Role = "auditor" }, "another chat": func(r *archive.Reading) { r.Conversation = "room:r" },
		"a party's list":         func(r *archive.Reading) { r.Conversation, r.List, r.Party = "", archive.PartyList, "a" },
		"a day's list":           func(r *archive.Reading) { r.Conversation, r.List, r.Day = "", archive.DayList, "2026-01-30" },
		"another day's list":     func(r *archive.Reading) { r.Conversation, r.List, r.Day = "", archive.DayList, "2026-01-31" },
		"the unplaced messages'": func(r *archive.Reading) { r.Conversation, r.List = "", archive.UnplacedList },
	} {
		other := first
		change(&other)
		want(name, other, 1)
		want(name+", again", other, 0)
	}
	later := first
	later.At = slot.Add(archive.ReadingSlot)
	want("the next slot", later, 1)
	want("the next slot, again", later, 0)
	for i := range session.RememberedMost {
		want("many chats", archive.Reading{Corp: "ww1", By: "u1", Conversation: archive.ConversationID(fmt.Sprint(i)), At: later.At}, 1)
	}
	want("after too many", later, 1)
}
