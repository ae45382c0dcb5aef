package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
)

// kilobyte is what a write unit pays for, and the size up to which the cost of
// a message has a limit.
const kilobyte = 1024

// writeUnits measures what DynamoDB would charge for, and beside it what else
// the cost model takes (docs/measured.json).
func (b *bench) writeUnits(ctx context.Context) error {
	b.heading("write units per message (ConsumedCapacity), lists and ledger counted")
	fmt.Println("  (\"of up to 1 KB\": without the messages of over 1 KB and the units of their own items; all else counts)")
	people := func(n int) wecom.CorpConfig {
		return wecom.CorpConfig{ID: fmt.Sprintf("ww%016d", n), ScopeAll: true, Crowd: wecom.Crowd{Staff: 20, Customers: 100, Rooms: 15}}
	}
	full, stop, err := b.stage(ctx, "full", people(2))
	if err != nil {
		return err
	}
	defer stop()
	if err := full.begin(ctx); err != nil {
		return err
	}
	var pages []seen
	for _, page := range []string{"a full page of mixed chats, the first of the day", "a full page of mixed chats, a later one of the day"} {
		got, err := b.units(ctx, full, page, 1, func() error { return chats(full.corp, pull.PageLimit) })
		if err != nil {
			return err
		}
		pages = append(pages, got)
	}
	strangers, stopStrangers, err := b.stage(ctx, "strangers", people(5))
	if err != nil {
		return err
	}
	defer stopStrangers()
	if _, err := b.units(ctx, strangers, "a full page, every second message in a new chat", 1, func() error {
		_, err := strangers.corp.Mixed(pull.PageLimit)
		return err
	}); err != nil {
		return err
	}
	live, stopLive, err := b.stage(ctx, "live", people(3))
	if err != nil {
		return err
	}
	defer stopLive()
	live.Puller.Sleep = archive.Sleep // the pauses between calls of WeCom are billed too
	small, err := b.units(ctx, live, "live pages of 3 messages", 40, func() error {
		_, err := live.corp.Mixed(3)
		return err
	})
	if err != nil {
		return err
	}
	room := wecom.CorpConfig{ID: "ww0000000000000004", ScopeAll: true}
	members := []string{}
	for i := range 30 {
		id := fmt.Sprintf("member%02d", i)
		room.Staff = append(room.Staff, wecom.Staff{UserID: id, Name: id})
		members = append(members, id)
	}
	room.Rooms = []wecom.Room{{ID: "wrBENCHroom000001", Name: "room of 30", Owner: members[0], Members: members}}
	big, stopBig, err := b.stage(ctx, "room", room)
	if err != nil {
		return err
	}
	defer stopBig()
	next := 0
	if _, err := b.units(ctx, big, "a room of 30, live pages of 3 messages", 40, func() error {
		for range 3 {
			next++
			if _, err := big.corp.Send(wecom.Draft{From: members[next%30], Room: "wrBENCHroom000001"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}

	b.heading("for the cost model, under its names; seconds on this machine, with DynamoDB Local and moto for AWS")
	rows, err := full.Ledger.Rows(ctx, full.corp.ID(), archive.RowQuery{Limit: 2})
	if err != nil {
		return err
	}
	row := rows[1] // the first row is of the message that began the archive
	b.note("bytes_per_message_journal", float64(row.Size)/float64(row.Count), "B, of a full page of mixed chats")
	b.note("bytes_per_message_table", (pages[0].tableBytes+pages[1].tableBytes)/2, "B, of two such pages, lists and AWS's 100 B an item counted")
	b.note("view_units_per_message", pages[0].viewUnits, "WCU, messages and lists of the first of them")
	b.note("pull_seconds", small.pull, "s, a page of 3 messages and the call that finds no more")
	b.note("decode_overhead_seconds", small.decode-3*pages[1].decode/pages[1].messages, "s, a page of 3 messages less 3 as part of a full one")
	return nil
}

// begin archives a first message of the company. It proves the company's key,
// which starts a job: a cost of the key's first day, and of no page after it.
func (s *stage) begin(ctx context.Context) error {
	staff := s.corp.Details().Staff
	if _, err := s.corp.Send(wecom.Draft{From: staff[0].UserID, To: []string{staff[1].UserID}}); err != nil {
		return err
	}
	if err := s.Pull(ctx, s.corp.ID()); err != nil {
		return err
	}
	return s.Decode(ctx)
}

// mix is what people send, in hundredths: mostly text, now and then something
// else.
var mix = []struct {
	kind  string
	share int
}{{"text", 80}, {"image", 6}, {"voice", 4}, {"link", 3}, {"file", 2}, {"emotion", 2}, {"weapp", 1}, {"video", 1}, {"location", 1}}

// chats lets n messages be sent in sixty conversations, as in a busy quarter
// of an hour: forty single chats and twenty in rooms.
func chats(corp *wecom.Corp, n int) error {
	details := corp.Details()
	for i := range n {
		d := wecom.Draft{}
		for share := i * 37 % 100; d.Kind == ""; {
			for _, m := range mix {
				if share -= m.share; share < 0 {
					d.Kind = m.kind
					break
				}
			}
		}
		if c := i % 60; c < 40 {
			d.From, d.To = details.Staff[c%len(details.Staff)].UserID, []string{details.Customers[c].ExternalUserID}
			if i%2 == 1 {
				d.From, d.To = d.To[0], []string{d.From}
			}
		} else {
			room := details.Rooms[c%len(details.Rooms)]
			d.Room, d.From = room.ID, room.Members[i%len(room.Members)]
		}
		if _, err := corp.Send(d); err != nil {
			return err
		}
	}
	return nil
}

// seen is what pages of one kind cost: totals of all pages, and the median
// seconds of one.
type seen struct {
	messages     float64
	viewUnits    float64 // per message
	tableBytes   float64 // per message
	pull, decode float64 // s
}

func (b *bench) units(ctx context.Context, s *stage, name string, pages int, talk func() error) (seen, error) {
	s.meter.reset()
	before, err := s.stored(ctx)
	if err != nil {
		return seen{}, err
	}
	var pulls, decodes []float64
	for range pages {
		if err := talk(); err != nil {
			return seen{}, err
		}
		begun := time.Now()
		if err := s.Pull(ctx, s.corp.ID()); err != nil {
			return seen{}, err
		}
		pulls = append(pulls, time.Since(begun).Seconds())
		begun = time.Now()
		if err := s.Decode(ctx); err != nil {
			return seen{}, err
		}
		decodes = append(decodes, time.Since(begun).Seconds())
	}
	after, err := s.stored(ctx)
	if err != nil {
		return seen{}, err
	}
	count := after.messages - before.messages
	if count == 0 {
		return seen{}, fmt.Errorf("%s: no message was decoded; make build makes the worker that decodes", name)
	}
	large, largeUnits := after.large-before.large, after.largeUnits-before.largeUnits
	total := s.meter.total(s.messages, s.ledger, s.consents)
	b.note(name, total/count, "WCU")
	b.part(name, "messages and lists", s.meter.total(s.messages)/count, "WCU")
	b.part(name, "ledger", s.meter.total(s.ledger)/count, "WCU")
	b.part(name, "of up to 1 KB", (total-largeUnits)/(count-large), fmt.Sprintf("WCU (%.0f of %.0f messages)", count-large, count))
	b.part(name, "beside these, files to be fetched", s.meter.total(s.media)/count, "WCU")
	return seen{
		messages: count, viewUnits: s.meter.total(s.messages) / count, tableBytes: (after.bytes - before.bytes) / count,
		pull: median(pulls), decode: median(decodes),
	}, nil
}

// stored is what is in the table of messages.
type stored struct {
	messages   float64
	bytes      float64 // of all items, as AWS bills their storage
	large      float64 // messages of over 1 KB
	largeUnits float64 // to write those
}

// overhead is what AWS adds to each item's size when it bills storage.
const overhead = 100

func (s *stage) stored(ctx context.Context) (stored, error) {
	var all stored
	pages := dynamodb.NewScanPaginator(s.db, &dynamodb.ScanInput{TableName: &s.messages})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return stored{}, err
		}
		for _, it := range page.Items {
			size := itemSize(it)
			all.bytes += float64(size + overhead)
			length, ok := messageLength(it)
			if !ok {
				continue // an entry of a list, a revocation, a row set aside
			}
			all.messages++
			if length > kilobyte {
				all.large++
				all.largeUnits += math.Ceil(float64(size) / kilobyte)
			}
		}
	}
	return all, nil
}

// messageLength is how long the message is that the item holds, as decrypted;
// false if it is no message's.
func messageLength(it map[string]types.AttributeValue) (int, bool) {
	if raw, ok := it["raw"].(*types.AttributeValueMemberB); ok {
		return len(raw.Value), true
	}
	if size, ok := it["size"].(*types.AttributeValueMemberN); ok { // its bytes are in the bucket
		n, err := strconv.Atoi(size.Value)
		return n, err == nil
	}
	return 0, false
}

// itemSize is an item's size by the rules of
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
// for the types that our items have.
func itemSize(it map[string]types.AttributeValue) (size int) {
	for name, v := range it {
		size += len(name) + valueSize(v)
	}
	return size
}

func valueSize(v types.AttributeValue) (size int) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN: // a byte for two significant digits, and one
		digits := strings.Trim(strings.TrimLeft(v.Value, "-"), "0")
		size = (len(digits)+1)/2 + 1
		if strings.HasPrefix(v.Value, "-") {
			size++
		}
		return size
	case *types.AttributeValueMemberL:
		size = 3
		for _, e := range v.Value {
			size += 1 + valueSize(e)
		}
		return size
	case *types.AttributeValueMemberM:
		size = 3
		for name, e := range v.Value {
			size += 1 + len(name) + valueSize(e)
		}
		return size
	}
	return 1 // true, false, null
}
