// Package dynamostore keeps the archive's tables in DynamoDB: [Corps],
// [Ledger], [Messages], [Media] and [Readings], one type per table, so that a
// function is given only the tables it may touch.
//
// All tables have the string keys pk and sk, declared in template.yaml. A pk
// begins with the corp (law 8). Every item carries v, the version of its
// format, now 1. This is the layout:
//
//	corps     <corp>            corp                            settings; attribute registry puts it on the index
//	          <corp>            keys#key#<key id>               a public key and its claim
//	          <corp>            keys#version#<version>          a binding
//	          <corp>            event#<day>#<type>#<digest>     a callback event
//	ledger    <corp>            head                            end of the chain
//	          <corp>            state                           what the last pulls found
//	          <corp>            row#<after>                     a page or a gap
//	          <corp>            files#<after>                   which files a page names
//	          <corp>            pending#<after>                 a page not decoded yet
//	          <corp>            loss#<since>
//	          <corp>            told                            what people were last told of the corp
//	          <corp>#jobs       replay#<id>                     a replay or a verify job
//	          @address          try#<way>#<time>#<corp>#<by>    a secret was shown to WeCom; expires after a day
//	          @address          try#<way>#wait#<corp>           the corp waits for a free place
//	messages  <corp>#c#<conv>   <ms>!<msgid>!<seq>              a message
//	          <corp>#r#<conv>   <msgid>                         the message was withdrawn
//	          <corp>#p#<party>  <day>#<conv>                    the party was active that day in one conversation
//	          <corp>#p#<party>  <day>#~<digest>                 … and in several, which the item names
//	          <corp>#u          <seq>                           a record set aside
//	          <corp>#k          <type>, or <type>+<field>       when it was first seen
//	media     <corp>            file#<sha256 of sdkfileid>      a file: what it is, how it is doing
//	          <corp>            waiting#<lane>#<ms>#<sha256>    it waits; ms is its deadline
//	          <corp>            problem#<ms>#<sha256>           it is expired, failed or not what was said
//	views     <corp>#<day>      <ms>#<viewer>#<role>#<whose>    somebody looked
//
// Numbers in keys are padded with zeros to sort as numbers; ids of others are
// escaped where they could be taken for another key's part, and replaced by
// their digest where they are too long for a key. The tries are the one
// partition that is no corp's: they belong to the address that all corps share.
//
// Keys and bindings share a prefix so that one consistent Query reads both,
// however many events the corp has. A message's key ends in its seq: one msgid
// under two seqs is two items, stored by plain writes in any order with one
// result, and reading keeps the lower (DESIGN.md). What the key says is not
// repeated in the item.
//
// Times are text of fixed width in UTC, which sorts and compares as they do;
// the zero time is stored like any other. In keys of messages and views they
// are milliseconds.
//
// Absent and lost races are the sentinels of package archive; no other error
// means one of them. Whatever else DynamoDB answers is returned as it is, after
// the SDK's own retries: the caller may try again, since every write here is
// conditional or the same however often it is done. A batch, or a transaction
// that only met another one, is tried until ctx ends, so callers must bound
// ctx. All types are safe for concurrent use.
package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// formatVersion is v of the items written now. Items are never rewritten for
// their format, so whoever raises it sees to it that the former ones are still
// read.
const formatVersion = 1

// An Option changes how a table is used.
type Option func(*table)

// WithCapacity reports the consumed capacity of every successful request:
// write units for operations that write, read units for those that read. It is
// called from several goroutines at once. Without it DynamoDB is not asked.
func WithCapacity(observe func(table, op string, wcu, rcu float64)) Option {
	return func(t *table) { t.observe = observe }
}

// table is what the types of this package share.
type table struct {
	name    string
	observe func(table, op string, wcu, rcu float64)
}

func newTable(name string, options []Option) table {
	t := table{name: name}
	for _, o := range options {
		o(&t)
	}
	return t
}

// capacity is what to ask of each request.
func (t *table) capacity() types.ReturnConsumedCapacity {
	if t.observe == nil {
		return types.ReturnConsumedCapacityNone
	}
	return types.ReturnConsumedCapacityTotal
}

func (t *table) wrote(op string, c ...types.ConsumedCapacity) {
	if t.observe != nil {
		t.observe(t.name, op, units(c), 0)
	}
}

func (t *table) read(op string, c ...types.ConsumedCapacity) {
	if t.observe != nil {
		t.observe(t.name, op, 0, units(c))
	}
}

func units(all []types.ConsumedCapacity) float64 {
	var sum float64
	for _, c := range all {
		sum += aws.ToFloat64(c.CapacityUnits)
	}
	return sum
}

// one is the capacity of a request to one table, which DynamoDB leaves out
// unless asked.
func one(c *types.ConsumedCapacity) types.ConsumedCapacity {
	if c == nil {
		return types.ConsumedCapacity{}
	}
	return *c
}

// item is an item or a key as the SDK has it.
type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func flag(b bool) types.AttributeValue   { return &types.AttributeValueMemberBOOL{Value: b} }

func number[T int | int64 | uint32 | uint64](n T) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// timeFormat has a fixed width, so that DynamoDB compares times correctly.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

func timeText(t time.Time) string { return t.UTC().Format(timeFormat) }

func moment(t time.Time) types.AttributeValue { return text(timeText(t)) }

// encode makes the item of attributes, a struct with dynamodbav tags, at a key.
func encode(pk, sk string, attributes any) (item, error) {
	av, err := attribute(attributes)
	if err != nil {
		return nil, err
	}
	m, ok := av.(*types.AttributeValueMemberM)
	if !ok {
		return nil, fmt.Errorf("encoding an item: %T is no struct", attributes)
	}
	it := m.Value
	it["pk"], it["sk"], it["v"] = text(pk), text(sk), number(formatVersion)
	return it, nil
}

// attribute encodes a value with this package's form of times.
func attribute(v any) (types.AttributeValue, error) {
	av, err := attributevalue.MarshalWithOptions(v, func(o *attributevalue.EncoderOptions) {
		o.EncodeTime = func(t time.Time) (types.AttributeValue, error) { return moment(t), nil }
	})
	if err != nil {
		return nil, fmt.Errorf("encoding an item: %w", err)
	}
	return av, nil
}

// readItem undoes writeItem. An item that no version wrote is [archive.ErrCorrupt].
func readItem[T any](it item) (T, error) {
	var attributes T
	if err := readable(it, formatVersion); err != nil {
		return attributes, fmt.Errorf("item %s: %w", keyOf(it, "sk"), err)
	}
	if err := attributevalue.UnmarshalMap(it, &attributes); err != nil {
		// The decoder's own text may quote values.
		return attributes, fmt.Errorf("item %s: an attribute has another type: %w", keyOf(it, "sk"), archive.ErrCorrupt)
	}
	return attributes, nil
}

// readable says whether a version that writes format own reads the item: those
// of every former one too. One of a newer version, met after going back, is no
// damage and must not be recorded as such.
func readable(it item, own int) error {
	n, ok := it["v"].(*types.AttributeValueMemberN)
	if !ok {
		return fmt.Errorf("without a format: %w", archive.ErrCorrupt)
	}
	v, err := strconv.Atoi(n.Value)
	switch {
	case err != nil || v < 1:
		return fmt.Errorf("in no format that there was: %w", archive.ErrCorrupt)
	case v > own:
		return fmt.Errorf("written by a newer version, in format %d: this version reads up to %d", v, own)
	}
	return nil
}

func key(pk, sk string) item { return item{"pk": text(pk), "sk": text(sk)} }

// keyOf is a key attribute, which DynamoDB guarantees to be there.
func keyOf(it item, name string) string {
	s, ok := it[name].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return s.Value
}

// The parts of the SDK's client.
type (
	getClient interface {
		GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	}
	putClient interface {
		PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	}
	queryClient interface {
		Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	}
	transactClient interface {
		TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
	}
)

// get reads an item, consistently; [archive.ErrNotFound].
func (t *table) get(ctx context.Context, client getClient, key item) (item, error) {
	out, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:              &t.name,
		Key:                    key,
		ConsistentRead:         aws.Bool(true),
		ReturnConsumedCapacity: t.capacity(),
	})
	if err != nil {
		return nil, err
	}
	t.read("GetItem", one(out.ConsumedCapacity))
	if len(out.Item) == 0 {
		return nil, archive.ErrNotFound
	}
	return out.Item, nil
}

// put writes an item, whatever is there.
func (t *table) put(ctx context.Context, client putClient, it item) error {
	return t.putIf(ctx, client, dynamodb.PutItemInput{Item: it})
}

// create writes an item whose key is not there yet; [archive.ErrExists].
func (t *table) create(ctx context.Context, client putClient, it item) error {
	err := t.putIf(ctx, client, dynamodb.PutItemInput{Item: it, ConditionExpression: aws.String(absent)})
	if _, failed := conditionFailed(err); failed {
		return archive.ErrExists
	}
	return err
}

func (t *table) putIf(ctx context.Context, client putClient, in dynamodb.PutItemInput) error {
	in.TableName, in.ReturnConsumedCapacity = &t.name, t.capacity()
	return untilQuiet(ctx, func() error {
		out, err := client.PutItem(ctx, &in)
		if err == nil {
			t.wrote("PutItem", one(out.ConsumedCapacity))
		}
		return err
	})
}

// Conditions on an item as a whole.
const (
	absent  = "attribute_not_exists(pk)"
	present = "attribute_exists(pk)"
)

// unlessExists is for writes that are done once and may be asked for again.
func unlessExists(err error) error {
	if errors.Is(err, archive.ErrExists) {
		return nil
	}
	return err
}

// transact does all writes or none. The SDK gives each call a token of its
// own, so that its retries do not find what the first try has written.
func (t *table) transact(ctx context.Context, client transactClient, writes ...types.TransactWriteItem) error {
	out, err := client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: writes, ReturnConsumedCapacity: t.capacity(),
	})
	if err == nil {
		t.wrote("TransactWriteItems", out.ConsumedCapacity...)
	}
	return err
}

// putNew is the write of a transaction that creates an item.
func (t *table) putNew(it item) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &t.name, Item: it, ConditionExpression: aws.String(absent),
	}}
}

// query runs a Query page by page, as far as the items are consumed. It ends
// after the first error.
func (t *table) query(ctx context.Context, client queryClient, in dynamodb.QueryInput) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		in.TableName, in.ReturnConsumedCapacity = &t.name, t.capacity()
		for pages := dynamodb.NewQueryPaginator(client, &in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			t.read("Query", one(page.ConsumedCapacity))
			for _, it := range page.Items {
				if !yield(it, nil) {
					return
				}
			}
		}
	}
}

// partition selects all of a partition.
func partition(pk string) dynamodb.QueryInput {
	return dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(pk)},
	}
}

// within selects the sort keys from lo to hi, both included.
func within(pk, lo, hi string) dynamodb.QueryInput {
	return dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND sk BETWEEN :lo AND :hi"),
		ExpressionAttributeValues: item{":pk": text(pk), ":lo": text(lo), ":hi": text(hi)},
	}
}

// startingWith selects the sort keys with a prefix.
func startingWith(pk, prefix string) dynamodb.QueryInput {
	return dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :prefix)"),
		ExpressionAttributeValues: item{":pk": text(pk), ":prefix": text(prefix)},
	}
}

// consistently makes the Query see every write that has returned.
func consistently(in dynamodb.QueryInput) dynamodb.QueryInput {
	in.ConsistentRead = aws.Bool(true)
	return in
}

// collect decodes all items with read, in their order.
func collect[T any](items iter.Seq2[item, error], read func(item) (T, error)) ([]T, error) {
	var all []T
	for it, err := range items {
		if err != nil {
			return nil, err
		}
		one, err := read(it)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// atMost ends items after the first n.
func atMost(n int, items iter.Seq2[item, error]) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		left := n
		if left < 1 {
			return
		}
		for it, err := range items {
			if left--; !yield(it, err) || left == 0 {
				return
			}
		}
	}
}

// conditionFailed reports whether the condition of a single write did not
// hold. The item as it is comes along if the write asked for it, and is empty
// where there is none.
func conditionFailed(err error) (now item, failed bool) {
	e, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return e.Item, true
}

// failedAt is the index of the first write of a cancelled transaction whose
// condition did not hold, or -1, and the item as it is if the write asked for it.
func failedAt(err error) (int, item) {
	if e, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for i, r := range e.CancellationReasons {
			if aws.ToString(r.Code) == "ConditionalCheckFailed" {
				return i, r.Item
			}
		}
	}
	return -1, nil
}

// collided reports whether a write was refused, without effect, only because
// a transaction touched the same item at the same moment.
func collided(err error) bool {
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return true
	}
	e, ok := errors.AsType[*types.TransactionCanceledException](err)
	if at, _ := failedAt(err); !ok || at >= 0 {
		return false
	}
	return slices.ContainsFunc(e.CancellationReasons, func(r types.CancellationReason) bool {
		return aws.ToString(r.Code) == "TransactionConflict"
	})
}

// untilQuiet repeats a write while it collides.
func untilQuiet(ctx context.Context, write func() error) error {
	for wait := (backoff{}); ; {
		err := write()
		if !collided(err) {
			return err
		}
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
}

// The pauses between tries double from the first to the longest, each shortened
// by chance so that many writers do not come back together.
const (
	firstPause   = 25 * time.Millisecond
	longestPause = 5 * time.Second
)

type backoff struct{ last time.Duration }

// pause waits, or returns the context's error as soon as that ends.
func (b *backoff) pause(ctx context.Context) error {
	b.last = min(max(2*b.last, firstPause), longestPause)
	timer := time.NewTimer(b.last/2 + rand.N(b.last/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// progress makes the next pause shorter than the last instead of longer.
func (b *backoff) progress() { b.last /= 4 }
