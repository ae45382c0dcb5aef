package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

const (
	// smallArchive is the size at which reading is measured first.
	smallArchive = 10_000
	// step is how many messages arrive between two rows of the table.
	step = 50_000
	// scratchItems is how many items the store's own rate is measured with.
	scratchItems = 5000
)

// largeArchive builds an archive of one company in the folder data, or in memory if
// data is empty, and measures on the way whether it becomes slower or larger in
// memory. A run in a folder that ended early is continued: what is archived stays.
func (b *bench) largeArchive(ctx context.Context, data string, messages int) error {
	b.heading(fmt.Sprintf("an archive of %d messages of one company, in %s", messages, cmp.Or(data, "memory")))
	c, err := cloud.Start(ctx, cloud.Options{
		Root: b.root, Data: data, Log: quietLog(),
		Companies: []wecom.CorpConfig{{ID: "ww0000000000000001", Name: "company", Crowd: wecom.Crowd{Staff: 50, Customers: 5000, Rooms: 50}}},
		Sim:       wecom.Config{Seed: 1, PullsPerMinute: 1_000_000},
	})
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	corp := c.Sim.Corps()[0]
	watch := people.Watcher{API: c.API, Corp: corp.ID()}
	l := &large{bench: b, cloud: c, corp: corp, watch: &watch}
	if err := l.count(ctx); err != nil {
		return err
	}
	if l.have > 0 {
		// An earlier run may have ended with the company off, and with pages to decode.
		if err := enable(ctx, c, corp, true); err != nil {
			return err
		}
		if err := drained(ctx, l.watch, upTo(corp)); err != nil {
			return err
		}
	}
	fmt.Printf("  %d messages are there already\n  %10s %12s %14s %8s  resident memory, MB\n", l.have, "messages", "messages/s", "store's own/s", "ratio")
	var first, last grown
	for l.have < messages {
		small := l.have < smallArchive // this step starts the processes too
		n := min(step, messages-l.have)
		if small {
			n = smallArchive - l.have
		}
		if last, err = l.grow(ctx, n); err != nil {
			return err
		}
		if first == (grown{}) && !small {
			first = last
		}
		fmt.Printf("  %10d %12.0f %14.0f %8.2f  %s\n", l.have, last.rate, last.store, last.rate/last.store, last.memory)
		if small {
			if err := l.read(ctx, "with the first messages"); err != nil {
				return err
			}
		}
	}
	if first.store > 0 {
		b.note("messages a second at the end, of those at the start, relative to the store", last.rate/last.store/(first.rate/first.store), "")
	}
	return l.read(ctx, fmt.Sprintf("with %d messages", l.have))
}

type large struct {
	*bench
	cloud *cloud.Cloud
	corp  *wecom.Corp
	watch *people.Watcher
	have  int // messages that are archived
	// small are the times of reads with the first messages; nil if an earlier run has
	// archived these.
	small []float64
}

// count reads how many messages are archived.
func (l *large) count(ctx context.Context) error {
	p, err := l.watch.Look(ctx)
	l.have = p.Journaled
	return err
}

// grown is what one step measured.
type grown struct {
	rate, store float64 // messages, and items of the store alone, a second
	memory      string  // the most of each function's processes together
}

// grow lets n messages gather and measures how fast they become readable.
func (l *large) grow(ctx context.Context, n int) (grown, error) {
	if err := gather(ctx, l.cloud, l.corp, n); err != nil {
		return grown{}, err
	}
	before, begun := l.have, time.Now()
	if err := enable(ctx, l.cloud, l.corp, true); err != nil {
		return grown{}, err
	}
	most := map[string]int{}
	if err := drained(ctx, l.watch, upTo(l.corp), func() {
		for _, id := range l.cloud.FunctionIDs() {
			most[id] = max(most[id], resident(l.cloud.Function(id).Processes()))
		}
	}); err != nil {
		return grown{}, err
	}
	took := time.Since(begun)
	if err := l.count(ctx); err != nil {
		return grown{}, err
	}
	store, err := l.storeRate(ctx)
	var memory []string
	for _, id := range l.cloud.FunctionIDs() {
		memory = append(memory, fmt.Sprintf("%s %d", strings.ToLower(strings.TrimSuffix(id, "Function")), most[id]>>10))
	}
	return grown{rate: float64(l.have-before) / took.Seconds(), store: store, memory: strings.Join(memory, ", ")}, err
}

// resident is the memory of processes in KiB. A process that has ended has none.
func resident(pids []int) (sum int) {
	for _, pid := range pids {
		status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		for line := range bytes.Lines(status) {
			if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
				kib, _ := strconv.Atoi(strings.Fields(string(rest))[0])
				sum += kib
			}
		}
	}
	return sum
}

// storeRate is how many items a second the store alone takes at its present size, in
// a table of its own.
func (l *large) storeRate(ctx context.Context) (float64, error) {
	db := dynamodb.NewFromConfig(l.cloud.Config)
	table := sdk.String("bench-scratch")
	var exists *types.ResourceInUseException
	if _, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: table, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: sdk.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: sdk.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
	}); err != nil && !errors.As(err, &exists) {
		return 0, err
	}
	var next atomic.Int64
	begun := time.Now()
	var writers errgroup.Group
	for range 8 {
		writers.Go(func() error {
			for from := int(next.Add(25)) - 25; from < scratchItems; from = int(next.Add(25)) - 25 {
				var batch []types.WriteRequest
				for i := range 25 {
					batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{
						"pk":  &types.AttributeValueMemberS{Value: strconv.Itoa(from + i)},
						"raw": &types.AttributeValueMemberB{Value: bytes.Repeat([]byte("x"), 700)},
					}}})
				}
				if _, err := db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*table: batch}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := writers.Wait()
	return scratchItems / time.Since(begun).Seconds(), err
}

// read measures reading at the present size of the archive.
func (l *large) read(ctx context.Context, when string) error {
	member, customer := l.corp.Details().Staff[0].UserID, l.corp.Details().Customers[0].ExternalUserID
	for i := range pageSize + 1 {
		s, err := l.corp.Send(wecom.Draft{From: member, To: []string{customer}, Text: fmt.Sprint("message ", i)})
		if err == nil && s.LeftOut != "" {
			err = fmt.Errorf("message was not archived: %s", s.LeftOut)
		}
		if err != nil {
			return err
		}
	}
	if err := drained(ctx, l.watch, upTo(l.corp)); err != nil {
		return err
	}
	chat, own, err := pageOfChat(ctx, l.cloud, l.corp.ID(), member, customer)
	if err != nil {
		return err
	}
	conversations := firstConversations(ctx, l.cloud, l.corp.ID(), member)
	// What the console asks for when a person opens the page of chats.
	console := func() error {
		for _, ask := range []func() error{func() error { return consoleConfig(ctx, l.cloud) }, conversations, chat} {
			if err := ask(); err != nil {
				return err
			}
		}
		return nil
	}
	times, err := l.inTurns(10*l.rounds, chat, own, conversations, console)
	if err != nil {
		return err
	}
	l.note("a page of a chat "+when, times[0]*1000, "ms")
	l.note("as a multiple of the store's own Query, "+when, times[0]/times[1], "")
	l.note("first conversations of a member "+when, times[2]*1000, "ms")
	l.note("first requests of the console "+when, times[3]*1000, "ms")
	if l.have <= smallArchive+pageSize {
		l.small = times
		return nil
	}
	if l.small == nil {
		return nil
	}
	for i, what := range []string{"a page of a chat", "", "first conversations of a member", "first requests of the console"} {
		if what == "" { // the store's own Query
			continue
		}
		l.note(fmt.Sprintf("%s, as a multiple of that with %d (aim: at most 1.2)", what, smallArchive), times[i]/l.small[i], "")
	}
	return nil
}

// consoleConfig reads what the console must know before it can sign a person in.
func consoleConfig(ctx context.Context, c *cloud.Cloud) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.API.Base+"/console/config.json", nil)
	if err != nil {
		return err
	}
	resp, err := c.API.Client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("config of the console: got status %d", resp.StatusCode)
	}
	return errors.Join(err, resp.Body.Close())
}
