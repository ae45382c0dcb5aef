// Package dynamostore keeps the archive's tables in DynamoDB. Each table has a
// type of its own ([Corps], [Ledger], [Messages], [Media], [Readings],
// [Contacts], [Consents]), so that a function is given only the tables that it
// may touch.
//
// All tables have the string keys pk and sk, declared in template.yaml. A pk
// begins with the corp (law 8). Every item carries v, the version of its
// format, now 1. [Contacts] and [Consents] describe their own keys; the other
// tables are laid out like this:
//
//	corps     <corp>            corp                            settings; attribute registry puts it on the index
//	          <corp>            keys#key#<key id>               a public key and its claim
//	          <corp>            keys#version#<version>          a binding
//	          <corp>            keyquota                        the bounds of its keys, and the imports so far
//	          <corp>            callback#<kind>                 which callback pairs are accepted, and the pairs, sealed
//	          <corp>            event#<day>#<place>             a callback event
//	          <corp>            eventcount#<day>                how many events arrived
//	ledger    <corp>#chain      head                            the end of the chain
//	          <corp>#chain      row#<after>                     a page or a gap
//	          <corp>            state                           the result of the last pulls
//	          <corp>            result#<after>                  the result of decoding a page
//	          <corp>            files#<after>                   the ids of the files that a page names
//	          <corp>            pending#<after>                 a page not decoded yet
//	          <corp>#losses     loss#<since>                    a possible loss
//	          <corp>            told                            the last notification about the corp
//	          <corp>#doctor     examined                        the last examination of the set-up
//	          <corp>#doctor     change#<ms>#<check>             what an examination found changed
//	          <corp>#jobs       replay#<id>                     a replay or a verify job
//	          <corp>#wanted     <work>                          a mark: the work is wanted for the corp
//	          @jobs             <corp>#replay, <corp>#verify    the corp's running job, or verification
//	          @address          try#<way>#<time>#<corp>#<by>#<id>  a secret was shown to WeCom; expires after a day
//	          @address          try#<way>#wait#<corp>           the corp waits for a free place in the budget
//	messages  <corp>#c#<conv>   <ms>!<msgid>!<seq>              a message
//	          <corp>#r#<conv>   <msgid>                         the message was revoked
//	          <corp>#p#<party>  <day>#<conv>                    the party was active that day in one conversation
//	          <corp>#p#<party>  <day>#~<digest>                 … in several conversations, which the item names
//	          <corp>#p#<party>  t#<ms>#<digest>                 … on a long day of a member: chats with customers, by time
//	          <corp>#u          <seq>                           a record set aside
//	          <corp>#k          <type>, or <type>+<field>       when it was first seen
//	          <corp>#d          <day>#<digest>                  conversations and parties that became active on the day
//	          <corp>#n          <ms>#<after>                    a change: the page's messages are stored; expires after an hour
//	media     <corp>            file#<sha256 of sdkfileid>      a file and its state
//	          <corp>            waiting#<lane>#<ms>#<sha256>    the file waits; ms is its deadline
//	          <corp>            problem#<ms>#<sha256>           the file is expired, failed or a mismatch
//	readings  <corp>#<day>      <ms>#<user>#<role>#<whose>      a reading
//	          <corp>#seen#<user> <conv>                         up to when the user has seen the conversation
//
// Numbers in keys are padded with zeros, so that they sort as numbers. Ids that
// others choose are escaped where they could be taken for another part of the
// key, and replaced by their digest where they are too long for a key. Two
// partitions are outside a corp: the tries belong to the address that all corps
// share, and the running jobs are found by dispatch with one Query.
//
// Keys and bindings share a prefix, so that one consistent Query reads both,
// however many events the corp has. A message's key ends in its seq. So one
// msgid under two seqs is two items: plain writes in any order store them with
// one result, and reading keeps the lower seq (DESIGN.md). An item does not
// repeat what its key says.
//
// Times are text of fixed width in UTC, so that the text sorts and compares as
// the times do. The zero time is stored like any other. Times in the keys of
// messages and readings are milliseconds.
//
// The errors of package archive, such as [archive.ErrNotFound] and
// [archive.ErrConflict], mean that an item is absent or that a race is lost; no
// other error means this. Every other error of DynamoDB is returned unchanged after
// the SDK's own retries. The caller may try again: every write here is conditional,
// or gives the same result however often it is done. A batch is tried until ctx
// ends, and so is a transaction that only collided with another one, so callers
// must bound ctx. All types are safe for concurrent use.
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
// their format. A change that raises formatVersion must keep reading items of
// the previous formats.
const formatVersion = 1

// itemBytes is DynamoDB's limit of one item: 400 KB, with its keys and the names
// of its attributes. The two numbers that derive from it are below. A message
// over [archive.InlineLimit] is kept in the journal's bucket.
const itemBytes = 400 << 10

const (
	// headroom is kept free in every item that holds a message: keys take at
	// most 3 KB, and a msgid that fits no key is stored in the item.
	headroom = 100 << 10
	// entryBytes is about the most bytes of conversation ids in one entry of a
	// party's list. A day with more ids becomes several entries, so it is far below
	// the limit.
	entryBytes = 100 << 10
)

// The domain's limit fits: this does not compile otherwise.
const _ = uint(itemBytes - headroom - archive.InlineLimit)

// An Option changes how a table is used.
type Option func(*table)

// WithCapacity calls observe with the consumed capacity of every successful
// request: write units for operations that write, read units for operations that
// read. Several goroutines call observe at once. Without this option, requests
// do not ask DynamoDB for the capacity.
func WithCapacity(observe func(table, op string, wcu, rcu float64)) Option {
	return func(t *table) { t.observe = observe }
}

// table is the common part of the types of this package.
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

// capacity says whether a request asks for its consumed capacity.
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

// one is the capacity of a request to one table. DynamoDB leaves it out unless
// the request asks for it.
func one(c *types.ConsumedCapacity) types.ConsumedCapacity {
	if c == nil {
		return types.ConsumedCapacity{}
	}
	return *c
}

// item is an item or a key in the SDK's form.
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

// encode makes an item of a key and of attributes, a struct with dynamodbav
// tags.
func encode(pk, sk string, attributes any) (item, error) {
	av, err := attribute(attributes)
	if err != nil {
		return nil, err
	}
	m, ok := av.(*types.AttributeValueMemberM)
	if !ok {
		return nil, fmt.Errorf("encode an item: %T is not a struct", attributes)
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
		return nil, fmt.Errorf("encode an item: %w", err)
	}
	return av, nil
}

// readItem undoes encode. An item that no version wrote is [archive.ErrCorrupt].
func readItem[T any](it item) (T, error) {
	var attributes T
	if err := readable(it, formatVersion); err != nil {
		return attributes, fmt.Errorf("item %s: %w", keyOf(it, "sk"), err)
	}
	if err := attributevalue.UnmarshalMap(it, &attributes); err != nil {
		// The decoder's error is dropped, because it may quote values.
		return attributes, fmt.Errorf("item %s: attribute of a wrong type: %w", keyOf(it, "sk"), archive.ErrCorrupt)
	}
	return attributes, nil
}

// readable checks that a version that writes format own can read the item. It
// reads items of every earlier format too. After a roll-back it may find items of
// a newer format: these are not damaged and must not be recorded as such.
func readable(it item, own int) error {
	n, ok := it["v"].(*types.AttributeValueMemberN)
	if !ok {
		return fmt.Errorf("format missing: %w", archive.ErrCorrupt)
	}
	v, err := strconv.Atoi(n.Value)
	switch {
	case err != nil || v < 1:
		return fmt.Errorf("format unknown: %w", archive.ErrCorrupt)
	case v > own:
		return fmt.Errorf("written by a newer version in format %d: this version reads formats up to %d", v, own)
	}
	return nil
}

func key(pk, sk string) item { return item{"pk": text(pk), "sk": text(sk)} }

// keyOf returns a key attribute. DynamoDB guarantees that every item has it.
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

// get reads an item consistently; [archive.ErrNotFound] if it is absent.
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

// put writes an item and replaces one with the same key.
func (t *table) put(ctx context.Context, client putClient, it item) error {
	return t.putIf(ctx, client, dynamodb.PutItemInput{Item: it})
}

// create writes an item; [archive.ErrExists] if its key is taken.
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

// unlessExists makes a repeated create succeed.
func unlessExists(err error) error {
	if errors.Is(err, archive.ErrExists) {
		return nil
	}
	return err
}

// transact does all writes or changes nothing. The SDK gives each call a token
// of its own: after a try that succeeded without an answer, a retry of the SDK
// succeeds too, although the conditions no longer hold.
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

// query runs a Query and requests further answers only while the caller takes
// items. A Limit bounds what the store reads for one answer. Behind a filter, each
// answer may read four times as much as the last one: a filter that removes nearly
// everything then costs few requests. query ends after the first error.
func (t *table) query(ctx context.Context, client queryClient, in dynamodb.QueryInput) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		in := in
		in.TableName, in.ReturnConsumedCapacity = &t.name, t.capacity()
		for {
			page, err := client.Query(ctx, &in)
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
			if len(page.LastEvaluatedKey) == 0 {
				return
			}
			in.ExclusiveStartKey = page.LastEvaluatedKey
			if in.Limit != nil && in.FilterExpression != nil {
				in.Limit = aws.Int32(min(4**in.Limit, mostRead))
			}
		}
	}
}

// mostRead is the largest Limit of a Query. An answer ends at 1 MB in any case.
const mostRead = 10_000

// first yields at most n items of a Query, and the store reads little beyond them.
// Without a Limit it would read up to 1 MB, which is paid for, however few items the
// caller takes.
func (t *table) first(ctx context.Context, client queryClient, n int, in dynamodb.QueryInput) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		if n < 1 {
			return
		}
		in := in
		in.Limit = aws.Int32(int32(min(n, mostRead)))
		left := n
		for it, err := range t.query(ctx, client, in) {
			if left--; !yield(it, err) || left == 0 {
				return
			}
		}
	}
}

// partition selects all items of a partition.
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

// reads is consistently or eventually.
type reads func(dynamodb.QueryInput) dynamodb.QueryInput

// eventually leaves a Query as it is: it may miss the writes of the last moments,
// and costs half.
func eventually(in dynamodb.QueryInput) dynamodb.QueryInput { return in }

// consistently makes the Query find every write that has returned.
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

// listPage reads at most limit items, in their order. next is the sort key of the
// last one if items holds one more, and empty at the end of the list.
func listPage[T any](items iter.Seq2[item, error], limit int, read func(item) (T, error)) (list []T, next string, _ error) {
	for it, err := range items {
		var one T
		if err == nil {
			one, err = read(it)
		}
		if err != nil {
			return nil, "", err
		}
		if len(list) == limit {
			return list, next, nil
		}
		list, next = append(list, one), keyOf(it, "sk")
	}
	return list, "", nil
}

// conditionFailed reports whether the condition of a single write failed. now is
// the stored item if the write asked for it, and empty if there is no item.
func conditionFailed(err error) (now item, failed bool) {
	e, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return e.Item, true
}

// failedAt returns the index of the first write of a cancelled transaction whose
// condition failed, or -1, and the stored item if the write asked for it.
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

// collided reports whether DynamoDB refused a write, without effect, only because
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

// The pauses between tries double from the first to the longest. Chance shortens
// each pause, so that many writers do not try again at the same moment.
const (
	firstPause   = 25 * time.Millisecond
	longestPause = 5 * time.Second
)

type backoff struct{ last time.Duration }

// pause waits. It returns the context's error as soon as the context ends.
func (b *backoff) pause(ctx context.Context) error {
	b.last = min(max(2*b.last, firstPause), longestPause)
	return archive.Sleep(ctx, b.last/2+rand.N(b.last/2))
}

// progress makes the next pause shorter than the last one. A batch that was done
// in part calls it.
func (b *backoff) progress() { b.last /= 4 }
