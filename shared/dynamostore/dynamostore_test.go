package dynamostore_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// The id of corp is the beginning of the id of neighbor. No item of corp may ever
// show in neighbor, or the reverse (law 8).
const (
	corp     = "wwaaaaaaaaaaaaaaaa"
	neighbor = "wwaaaaaaaaaaaaaaaa1"
)

type item = map[string]types.AttributeValue

var start = time.Date(2026, 3, 1, 8, 0, 0, 123456789, time.UTC)

func client(t testing.TB) *dynamodb.Client {
	return dynamodb.NewFromConfig(awstest.Config(t))
}

func newCorps(t testing.TB) *dynamostore.Corps {
	return dynamostore.NewCorps(client(t), awstest.Table(t, "CorpsTable"))
}

func newLedger(t testing.TB) *dynamostore.Ledger {
	return dynamostore.NewLedger(client(t), awstest.Table(t, "LedgerTable"))
}

func newMessages(t testing.TB) *dynamostore.Messages {
	return dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable"))
}

func newReadings(t testing.TB) *dynamostore.Readings {
	return dynamostore.NewReadings(client(t), awstest.Table(t, "ReadingsTable"))
}

// fill sets every field, at any depth, to a distinct value that is not zero. So a
// field that a store forgets comes back different.
func fill[T any]() T {
	var v T
	n := uint64(1) << 63 // seqs go beyond int64
	fillValue(reflect.ValueOf(&v).Elem(), &n)
	return v
}

func fillValue(v reflect.Value, n *uint64) {
	*n++
	small := *n - 1<<63
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(start.Add(time.Duration(small) * time.Hour)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(""), reflect.ValueOf(int(small)))
		v.SetMapIndex(reflect.ValueOf("a.b #图"), reflect.ValueOf(int(small)+1))
	case reflect.Array: // of bytes
		v.Index(0).SetUint(uint64(byte(small)))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.Set(reflect.ValueOf([]byte{0, 0xff, byte(small)}))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(v.Index(0), n)
		fillValue(v.Index(1), n)
	case reflect.String:
		v.SetString(fmt.Sprintf("文%d\"\x00", small))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(small))
	case reflect.Uint32:
		v.SetUint(1<<31 + small)
	case reflect.Uint64:
		v.SetUint(*n)
	default:
		panic("fill lacks a case for fields of kind " + v.Kind().String())
	}
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func checkError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryFieldComesBack(t *testing.T) {
	ctx := t.Context()
	t.Run("corp", func(t *testing.T) {
		s, want := newCorps(t), fill[archive.Corp]()
		want.ID = corp
		must(t, s.CreateCorp(ctx, want))
		got, err := s.Corp(ctx, corp)
		must(t, err)
		check(t, "corp", got, want)
		for listed, err := range s.Corps(ctx) {
			must(t, err)
			check(t, "listed corp", listed, want)
		}
	})
	t.Run("keys", func(t *testing.T) {
		s, k, b := newCorps(t), fill[archive.Key](), fill[archive.Binding]()
		must(t, s.CreateCorp(ctx, archive.Corp{ID: corp}))
		must(t, s.AddKey(ctx, corp, k, false, ""))
		must(t, s.Bind(ctx, corp, b))
		got, err := s.KeySet(ctx, corp)
		must(t, err)
		check(t, "keys", got, archive.KeySet{Keys: []archive.Key{k}, Bindings: []archive.Binding{b}})
	})
	t.Run("event", func(t *testing.T) {
		s, want := newCorps(t), fill[archive.Event]()
		record(t, s, corp, want)
		got, err := archivetest.AllEvents(ctx, s, corp, archive.DayOf(want.At()))
		must(t, err)
		check(t, "events", got, []archive.Event{want})
	})
	t.Run("callback", func(t *testing.T) {
		s, want := newCorps(t), fill[archive.Callback]()
		must(t, s.CreateCallback(ctx, corp, archive.AppCallback, want))
		got, err := s.Callback(ctx, corp, archive.AppCallback)
		must(t, err)
		check(t, "callback", got, want)
	})
	t.Run("key quota", func(t *testing.T) {
		s, want := newCorps(t), fill[archive.KeyQuota]()
		want.Rev = 0
		must(t, s.SaveKeyQuota(ctx, corp, want))
		want.Rev = 1
		got, err := s.KeyQuota(ctx, corp)
		must(t, err)
		check(t, "key quota", got, want)
	})
	t.Run("row", func(t *testing.T) {
		s, want := newLedger(t), fill[archive.Row]()
		want.Corp = corp
		must(t, s.Append(ctx, archive.NewHead(corp), want))
		must(t, s.Finish(ctx, corp, want.After, *want.Result, nil))
		want.State, want.Tries = archive.RowDecoded, 0
		got, err := s.Row(ctx, corp, want.After)
		must(t, err)
		check(t, "row", got, want)
		head, err := s.Head(ctx, corp)
		must(t, err)
		check(t, "head", head, archive.NewHead(corp).Next(want))
		listed, err := s.Rows(ctx, corp, archive.RowQuery{Limit: 1})
		must(t, err)
		check(t, "rows", listed, []archive.Row{want})
	})
	t.Run("state", func(t *testing.T) {
		s, want := newLedger(t), fill[archive.PullState]()
		want.Corp = corp
		must(t, s.SavePullState(ctx, want))
		got, err := s.PullState(ctx, corp)
		must(t, err)
		check(t, "state", got, want)
		all, err := s.PullStates(ctx, []string{corp, neighbor, corp})
		must(t, err)
		check(t, "states", all, map[string]archive.PullState{corp: want, neighbor: {Corp: neighbor}})
	})
	t.Run("loss", func(t *testing.T) {
		s, want := newLedger(t), fill[archive.Loss]()
		want.Corp = corp
		must(t, s.RecordLoss(ctx, want))
		got, err := s.Losses(ctx, corp)
		must(t, err)
		check(t, "losses", got, []archive.Loss{want})
	})
	t.Run("replay", func(t *testing.T) {
		s, want := newLedger(t), fill[decode.Replay]()
		want.Corp = corp
		must(t, s.CreateReplay(ctx, want))
		got, err := s.Replay(ctx, corp, want.ID)
		must(t, err)
		check(t, "replay", got, want)
	})
	t.Run("set_aside", func(t *testing.T) {
		s, want := newMessages(t), fill[archive.SetAside]()
		want.Corp = corp
		must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, SetAside: []archive.SetAside{want}}))
		got, err := s.SetAside(ctx, corp, want.Seq, want.Seq)
		must(t, err)
		check(t, "set aside", got, []archive.SetAside{want})
	})
	t.Run("message", func(t *testing.T) {
		s, inline := newMessages(t), fill[archive.Message]()
		inline.Corp, inline.Overflow, inline.Time = corp, nil, inline.Time.Truncate(time.Millisecond)
		over, empty := inline, inline
		over.Raw, over.Overflow, over.Conversation = nil, &archive.Overflow{Sum: "s", Size: 1 << 20}, "room:over"
		empty.Raw, empty.Conversation = []byte{}, "room:empty"
		all := []archive.Message{inline, over, empty}
		must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, Messages: all}))
		for _, want := range all {
			got, err := s.Message(ctx, corp, want.Conversation, want.Position())
			must(t, err)
			check(t, "message", got, want)
		}
	})
	t.Run("reading", func(t *testing.T) {
		s, want := newReadings(t), fill[archive.Reading]()
		want.Corp = corp
		must(t, s.RecordReading(ctx, want))
		got, next, err := s.Readings(ctx, corp, archive.DayOf(want.At), "", 10)
		must(t, err)
		check(t, "readings", got, []archive.Reading{want})
		check(t, "next", next, "")
	})
}

func TestZeroTimesComeBack(t *testing.T) {
	s := newCorps(t)
	must(t, s.CreateCorp(t.Context(), archive.Corp{ID: corp}))
	got, err := s.Corp(t.Context(), corp)
	must(t, err)
	check(t, "corp", got, archive.Corp{ID: corp})
}

// A version reads the items of its own format and of every earlier format. The
// error for an item of a newer version says so, and does not call it damaged.
func TestFormats(t *testing.T) {
	for v, want := range map[string]error{"1": nil, "2": nil, "3": nil, "0": archive.ErrCorrupt, "-1": archive.ErrCorrupt, "1.5": archive.ErrCorrupt} {
		checkError(t, "format "+v, dynamostore.Readable(item{"v": &types.AttributeValueMemberN{Value: v}}, 3), want)
	}
	checkError(t, "format missing", dynamostore.Readable(item{}, 3), archive.ErrCorrupt)

	db, table := client(t), awstest.Table(t, "LedgerTable")
	ledger := dynamostore.NewLedger(db, table)
	must(t, ledger.SavePullState(t.Context(), archive.PullState{Corp: corp}))
	if _, err := db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &table, Key: item{"pk": &types.AttributeValueMemberS{Value: corp}, "sk": &types.AttributeValueMemberS{Value: "state"}},
		UpdateExpression:          aws.String("SET v = v + :one"),
		ExpressionAttributeValues: item{":one": &types.AttributeValueMemberN{Value: "1"}},
	}); err != nil {
		t.Fatal(err)
	}
	_, err := ledger.PullState(t.Context(), corp)
	if err == nil || errors.Is(err, archive.ErrCorrupt) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("an item of the next format: got %v, want an error about a newer version", err)
	}
}
