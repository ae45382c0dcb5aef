package dynamostore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// What a user has seen moves forward only, and is the user's own.
func TestSeen(t *testing.T) {
	s, ctx := dynamostore.NewReadings(client(t), awstest.Table(t, "ReadingsTable")), t.Context()
	long := archive.RoomConversation(strings.Repeat("房", 400))
	must(t, s.MarkSeen(ctx, corp, "u", room, sent))
	must(t, s.MarkSeen(ctx, corp, "u", long, sent))
	must(t, s.MarkSeen(ctx, corp, "u", room, sent.Add(time.Second)))
	must(t, s.MarkSeen(ctx, corp, "u", room, sent.Add(-time.Hour)))
	for user, want := range map[string]map[archive.ConversationID]time.Time{
		"u": {room: sent.Add(time.Second), long: sent}, "other": {},
	} {
		got, err := s.Seen(ctx, corp, user, []archive.ConversationID{room, long, archive.Unplaced, room})
		must(t, err)
		if len(got) != len(want) || !got[room].Equal(want[room]) || !got[long].Equal(want[long]) {
			t.Errorf("%s: got %v, want %v", user, got, want)
		}
	}
	got, err := s.Seen(ctx, "wwffffffffffffffff", "u", []archive.ConversationID{room})
	must(t, err)
	check(t, "another corp", len(got), 0)
	got, err = s.Seen(ctx, corp, "u", nil)
	must(t, err)
	check(t, "none", len(got), 0)
}
