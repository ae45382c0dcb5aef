package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// longMessages is a table of messages whose bytes are in the journal.
type longMessages struct {
	chats.MessageStore
	list []archive.Message
}

func (l longMessages) Messages(_ context.Context, _ string, _ archive.ConversationID, q archive.MessageQuery) ([]archive.Message, bool, error) {
	from := 0
	for q.Start != nil && from < len(l.list) && !l.list[from].Time.After(q.Start.Time) {
		from++
	}
	to := min(from+q.Limit, len(l.list))
	return l.list[from:to], to < len(l.list), nil
}

func (longMessages) Revocations(context.Context, string, archive.ConversationID, []string) (map[string]archive.Revocation, error) {
	return nil, nil
}

// countedBytes is a journal that counts the bytes that an answer reads.
type countedBytes struct{ read int }

func (b *countedBytes) Message(_ context.Context, _ string, o archive.Overflow) ([]byte, error) {
	b.read += o.Size
	return []byte(`{"from":"zhao"}`), nil
}

type noNames struct{}

func (noNames) Beside(context.Context, archive.Corp, []string, []string) names.Names {
	return names.Names{}
}

type forgottenReadings struct{}

func (forgottenReadings) RecordReading(context.Context, archive.Reading) error { return nil }

// A page reads a bounded number of bytes from the journal. The pages together
// still reach every message.
func TestPagesReadABoundedNumberOfBytes(t *testing.T) {
	const corp, size, n = "ww0123456789abcdef", 5 << 20, 20
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	var list []archive.Message
	for i := range n {
		list = append(list, archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("wr1"), Time: start.Add(time.Duration(i) * time.Second), MsgID: fmt.Sprintf("m%02d", i),
			Seq: uint64(i + 1), Overflow: &archive.Overflow{Size: size},
		})
	}
	journal := &countedBytes{}
	h := &chats.Handlers{Messages: longMessages{list: list}, Blobs: journal, Names: noNames{}, Readings: forgottenReadings{}, Now: func() time.Time { return start }}
	conv, err := opaque.Conversation(corp).Seal(archive.RoomConversation("wr1"))
	if err != nil {
		t.Fatal(err)
	}
	read, pages := 0, 0
	for next := ""; ; pages++ {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetPathValue("conversation", conv)
		c := &session.Call{Request: r, CorpID: corp}
		query := ""
		if next != "" {
			query = "page=" + next
		}
		c.ReadQuery(query, []string{"page"})
		c.UsePages(opaque.Page("/list", nil))
		journal.read = 0
		ans, err := h.ListMessages(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if journal.read > chats.LookBytes {
			t.Fatalf("a page read %d bytes, want at most %d", journal.read, chats.LookBytes)
		}
		read += journal.read
		var page struct{ Next *string }
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			t.Fatal(err)
		}
		if page.Next == nil {
			break
		}
		next = *page.Next
	}
	if read != n*size || pages < 3 {
		t.Errorf("%d pages read %d bytes, want all %d", pages+1, read, n*size)
	}
}
