package dynamostore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// BenchmarkWritePage stores new full pages of text messages of 400 bytes in 50
// single chats, and reports the capacity that a message costs.
func BenchmarkWritePage(b *testing.B) {
	var mu sync.Mutex
	var written, read float64
	s := dynamostore.NewMessages(client(b), awstest.Table(b, "MessagesTable"),
		dynamostore.WithCapacity(func(_, _ string, wcu, rcu float64) {
			mu.Lock()
			defer mu.Unlock()
			written, read = written+wcu, read+rcu
		}))
	pages := 0
	for b.Loop() {
		p := decode.Decoded{Corp: corp}
		for i := range pull.PageLimit {
			staff, customer := fmt.Sprintf("staff%02d", i%50), fmt.Sprintf("wm%030d", i%50)
			conv := archive.PartyConversation([]string{staff, customer})
			seq := uint64(pages*pull.PageLimit + i)
			p.Messages = append(p.Messages, archive.Message{
				Corp: corp, Conversation: conv, Time: sent.Add(time.Duration(seq) * time.Millisecond),
				MsgID: fmt.Sprintf("%019d_%d", seq, sent.UnixMilli()), Seq: seq, After: seq - uint64(i), KeyVersion: 1,
				Raw: make([]byte, 400),
			})
			if i < 50 {
				for _, party := range []string{staff, customer} {
					p.Activities = append(p.Activities, archive.Activity{
						Corp: corp, Party: party, Day: archive.DayOf(sent), Conversation: conv,
					})
				}
			}
		}
		if err := s.WritePage(b.Context(), p); err != nil {
			b.Fatal(err)
		}
		pages++
	}
	messages := float64(pages * pull.PageLimit)
	b.ReportMetric(messages/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(written/messages, "wcu/message")
	b.ReportMetric(read/messages, "rcu/message")
}
