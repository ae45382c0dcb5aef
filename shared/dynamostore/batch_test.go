package dynamostore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// busy is DynamoDB under load: it does half of each batch, and refuses every
// fifth batch whole.
type busy struct {
	*dynamodb.Client
	calls atomic.Int64
}

func (b *busy) refuses() bool { return b.calls.Add(1)%5 == 0 }

func (b *busy) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	if b.refuses() {
		return nil, &types.ProvisionedThroughputExceededException{}
	}
	var left map[string][]types.WriteRequest
	for table, writes := range in.RequestItems {
		if half := len(writes) / 2; half > 0 {
			left = map[string][]types.WriteRequest{table: writes[half:]}
			in.RequestItems = map[string][]types.WriteRequest{table: writes[:half]}
		}
	}
	out, err := b.Client.BatchWriteItem(ctx, in, o...)
	if err == nil {
		out.UnprocessedItems = left
	}
	return out, err
}

func (b *busy) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	if b.refuses() {
		return nil, &types.ThrottlingException{}
	}
	var left map[string]types.KeysAndAttributes
	for table, request := range in.RequestItems {
		if half := len(request.Keys) / 2; half > 0 {
			rest := request
			rest.Keys, request.Keys = request.Keys[half:], request.Keys[:half]
			left = map[string]types.KeysAndAttributes{table: rest}
			in.RequestItems = map[string]types.KeysAndAttributes{table: request}
		}
	}
	out, err := b.Client.BatchGetItem(ctx, in, o...)
	if err == nil {
		out.UnprocessedKeys = left
	}
	return out, err
}

func TestBatchesAreCompletedUnderLoad(t *testing.T) {
	ctx := t.Context()
	c := &busy{Client: client(t)}
	s := dynamostore.NewMessages(c, awstest.Table(t, "MessagesTable"))
	page := decode.Decoded{Corp: corp}
	for i := range 60 {
		page.Messages = append(page.Messages, message(i, "m", uint64(i)))
		page.Activities = append(page.Activities, archive.Activity{
			Corp: corp, Party: "p", Day: archive.DayOf(sent), Conversation: archive.RoomConversation(string(rune('a' + i))),
		})
	}
	must(t, s.WritePage(ctx, page))
	must(t, s.WritePage(ctx, page))
	check(t, "messages", len(readThrough(t, s, archive.MessageQuery{Limit: 1000})), 60)
	days, err := s.ActiveDays(ctx, corp, "p", "", 1)
	must(t, err)
	check(t, "conversations", len(days[0].Conversations), 60)

	var ids []string
	l := dynamostore.NewLedger(c, awstest.Table(t, "LedgerTable"))
	for _, id := range []string{corp, neighbor, "wwbbbbbbbbbbbbbbbb"} {
		ids = append(ids, id)
		must(t, l.SavePullState(ctx, archive.PullState{Corp: id, Limit: 7}))
	}
	states, err := l.PullStates(ctx, ids)
	must(t, err)
	for _, id := range ids {
		check(t, "state of "+id, states[id], archive.PullState{Corp: id, Limit: 7})
	}
}

// stuck answers every batch without doing any part of it.
type stuck struct{ *dynamodb.Client }

func (stuck) BatchWriteItem(_ context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	return &dynamodb.BatchWriteItemOutput{UnprocessedItems: in.RequestItems}, nil
}

func TestBatchesEndWithTheirContext(t *testing.T) {
	s := dynamostore.NewMessages(stuck{client(t)}, "any")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.WritePage(ctx, decode.Decoded{Corp: corp, Messages: []archive.Message{message(0, "m", 1)}})
	checkError(t, "WritePage", err, context.DeadlineExceeded)
}

// broken fails with an error that a retry does not help.
type broken struct{ *dynamodb.Client }

var errBroken = errors.New("broken")

func (broken) BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	return nil, errBroken
}

func TestBatchErrorsAreReturned(t *testing.T) {
	s := dynamostore.NewMessages(broken{client(t)}, "any")
	err := s.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: []archive.Message{message(0, "m", 1)}})
	checkError(t, "WritePage", err, errBroken)
}

// colliding refuses its first update because of a transaction.
type colliding struct {
	*dynamodb.Client
	refused atomic.Bool
}

func (c *colliding) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if !c.refused.Swap(true) {
		return nil, &types.TransactionConflictException{}
	}
	return c.Client.UpdateItem(ctx, in, o...)
}

func TestWriteThatCollidesIsRetried(t *testing.T) {
	c := &colliding{Client: client(t)}
	s := dynamostore.NewCorps(c, awstest.Table(t, "CorpsTable"))
	must(t, s.CreateCorp(t.Context(), archive.Corp{ID: corp}))
	must(t, s.Rename(t.Context(), corp, "name"))
	got, err := s.Corp(t.Context(), corp)
	must(t, err)
	check(t, "name", got.Name, "name")
	check(t, "collided", c.refused.Load(), true)
}

func TestCapacity(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][2]float64{}
	observe := dynamostore.WithCapacity(func(table, op string, wcu, rcu float64) {
		mu.Lock()
		defer mu.Unlock()
		sum := seen[op]
		seen[op] = [2]float64{sum[0] + wcu, sum[1] + rcu}
	})
	ctx, c := t.Context(), client(t)

	m := dynamostore.NewMessages(c, awstest.Table(t, "MessagesTable"), observe)
	page := decode.Decoded{Corp: corp, Activities: []archive.Activity{{Corp: corp, Party: "p", Day: "2026-03-01", Conversation: room}}}
	for i := range 30 {
		page.Messages = append(page.Messages, message(i, "m", uint64(i)))
	}
	must(t, m.WritePage(ctx, page))
	must(t, m.WritePage(ctx, page))
	readThrough(t, m, archive.MessageQuery{Limit: 1000})
	must(t, m.Clear(ctx, corp, nil))
	l := dynamostore.NewLedger(c, awstest.Table(t, "LedgerTable"), observe)
	head := grow(t, l, archive.NewHead(corp), 1)
	must(t, l.SavePullState(ctx, archive.PullState{Corp: corp}))
	_, err := l.PullState(ctx, corp)
	must(t, err)
	_, err = l.PullStates(ctx, []string{corp})
	must(t, err)
	checkError(t, "lost race", l.Append(ctx, archive.NewHead(corp), pageRow(head, "")), archive.ErrConflict)
	s := dynamostore.NewCorps(c, awstest.Table(t, "CorpsTable"), observe)
	must(t, s.CreateCorp(ctx, archive.Corp{ID: corp}))
	must(t, s.Rename(ctx, corp, "name"))

	mu.Lock()
	defer mu.Unlock()
	// Stored twice: 30 messages each time, the activity once, in the party's
	// list and in the corp's day; then cleared.
	check(t, "BatchWriteItem", seen["BatchWriteItem"], [2]float64{30 + 30 + 2 + 32, 0})
	for _, op := range []string{"TransactWriteItems", "PutItem", "UpdateItem"} {
		if seen[op][0] <= 0 || seen[op][1] != 0 {
			t.Errorf("%s: got %v units written and read, want some written", op, seen[op])
		}
	}
	for _, op := range []string{"BatchGetItem", "Query", "Scan", "GetItem"} {
		if seen[op][0] != 0 || seen[op][1] <= 0 {
			t.Errorf("%s: got %v units written and read, want some read", op, seen[op])
		}
	}
}
