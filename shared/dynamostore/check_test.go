package dynamostore_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// A check of many small pages together reads little: the bill of the weekly
// verifications stands on it (verify_units_per_message in docs/measured.json).
func TestCheckOfManyPagesReadsLittle(t *testing.T) {
	const messages, chats, most = 1000, 200, 0.45
	var mu sync.Mutex
	var read float64
	m := dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable"), dynamostore.WithCapacity(func(_, _ string, _, rcu float64) {
		mu.Lock()
		defer mu.Unlock()
		read += rcu
	}))
	all, page := decode.Decoded{Corp: corp}, decode.Decoded{Corp: corp}
	seen := make(map[archive.Activity]bool)
	for i := range messages {
		staff, customer := fmt.Sprint("staff", i%10), fmt.Sprint("wmcustomer", i%chats)
		msg := archive.Message{
			Corp: corp, Conversation: archive.PartyConversation([]string{staff, customer}), Time: start.Add(time.Duration(i) * time.Minute / 2),
			MsgID: fmt.Sprintf("123456789%d_1603875610_external", i), Seq: uint64(i + 1), After: uint64(i / 20 * 20), KeyVersion: 1, Raw: bytes.Repeat([]byte("x"), 450),
		}
		all.Messages, page.Messages = append(all.Messages, msg), append(page.Messages, msg)
		for _, party := range []string{staff, customer} {
			a := archive.Activity{Corp: corp, Party: party, Day: archive.DayOf(msg.Time), Conversation: msg.Conversation}
			page.Activities = append(page.Activities, a)
			if !seen[a] {
				seen[a], all.Activities = true, append(all.Activities, a)
			}
		}
		if len(page.Messages) == 20 {
			must(t, m.WritePage(t.Context(), page))
			page = decode.Decoded{Corp: corp}
		}
	}
	mu.Lock()
	read = 0
	mu.Unlock()
	checked, err := m.Check(t.Context(), all)
	must(t, err)
	check(t, "differences", checked, decode.Checked{})
	if read == 0 || read > most*messages {
		t.Errorf("got %.0f units read for %d messages in %d chats, want at most %.1f a message", read, messages, chats, most)
	}
}

// lagging answers a Query that is not consistent as a replica that has no write yet.
type lagging struct{ *dynamodb.Client }

func (l lagging) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if in.ConsistentRead == nil || !*in.ConsistentRead {
		return &dynamodb.QueryOutput{}, nil
	}
	return l.Client.Query(ctx, in, options...)
}

// A check reads without consistency, and confirms what it finds by consistent reads:
// a replica that lags is no finding, and a message that is gone is one.
func TestCheckConfirmsWhatItFinds(t *testing.T) {
	m := dynamostore.NewMessages(lagging{client(t)}, awstest.Table(t, "MessagesTable"))
	page := decode.Decoded{Corp: corp, Messages: []archive.Message{{
		Corp: corp, Conversation: archive.PartyConversation([]string{"staff", "wmcustomer"}), Time: start, MsgID: "1_1603875610_external", Seq: 1, KeyVersion: 1, Raw: []byte("{}"),
	}}}
	must(t, m.WritePage(t.Context(), page))
	checked, err := m.Check(t.Context(), page)
	must(t, err)
	check(t, "differences while replicas lag", checked, decode.Checked{})
	other := page.Messages[0]
	other.Seq, other.MsgID = 2, "2_1603875610_external"
	page.Messages = append(page.Messages, other)
	checked, err = m.Check(t.Context(), page)
	must(t, err)
	check(t, "differences", checked, decode.Checked{Missing: []uint64{2}})
}
