package dynamostore_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func TestRevocations(t *testing.T) {
	const corp, conv = "ww0123456789abcdef", archive.ConversationID("single:a:b")
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	revoke := func(of, by string, seq uint64) archive.Revocation {
		return archive.Revocation{Corp: corp, Conversation: conv, MsgID: of, By: by, At: at, Seq: seq}
	}
	for name, order := range map[string][]archive.Revocation{
		"lower seq first": {revoke("m1_external", "first", 5), revoke("m1", "second", 9)},
		"lower seq last":  {revoke("m1", "second", 9), revoke("m1_external", "first", 5)},
		"twice the same":  {revoke("m1_external", "first", 5), revoke("m1_external", "first", 5)},
	} {
		t.Run(name, func(t *testing.T) {
			store := dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable"))
			for _, r := range append(order, revoke("_external", "of nothing", 1)) {
				if err := store.WritePage(t.Context(), decode.Decoded{Corp: corp, Revocations: []archive.Revocation{r}}); err != nil {
					t.Fatal(err)
				}
			}
			found, err := store.Revocations(t.Context(), corp, conv, []string{"m1", "m1_external", "m2", ""})
			if err != nil {
				t.Fatal(err)
			}
			want := revoke("m1_external", "first", 5)
			if len(found) != 2 || found["m1"] != want || found["m1_external"] != want {
				t.Errorf("got %+v, want both forms of m1 revoked by the lower seq", found)
			}
			if first, more, err := store.FirstRevocations(t.Context(), corp, conv, 2); err != nil || more || len(first) != 1 || first[0] != want {
				t.Errorf("all of the conversation: got %+v, %v, %v, want the one", first, more, err)
			}
			if first, more, err := store.FirstRevocations(t.Context(), corp, "single:a:c", 2); err != nil || more || len(first) != 0 {
				t.Errorf("all of another conversation: got %+v, %v, %v, want none", first, more, err)
			}
			if err := store.WritePage(t.Context(), decode.Decoded{Corp: corp, Revocations: []archive.Revocation{revoke("m2", "a", 7), revoke("m3", "a", 8)}}); err != nil {
				t.Fatal(err)
			}
			for limit, more := range map[int]bool{2: true, 3: false} {
				if first, got, err := store.FirstRevocations(t.Context(), corp, conv, limit); err != nil || len(first) != limit || got != more {
					t.Errorf("first %d of three: got %d, more %v, %v", limit, len(first), got, err)
				}
			}
			if found, err := store.Revocations(t.Context(), corp, "single:a:c", []string{"m1"}); err != nil || len(found) != 0 {
				t.Errorf("another conversation: got %+v, %v; want nothing", found, err)
			}
		})
	}
	foreign := revoke("m1", "x", 1)
	foreign.Corp = "wwother0000000000"
	if err := dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable")).WritePage(t.Context(), decode.Decoded{Corp: corp, Revocations: []archive.Revocation{foreign}}); err == nil {
		t.Error("a revocation of another corp was stored")
	}
}
