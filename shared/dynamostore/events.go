package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	callbackPrefix   = "callback#"
	eventPrefix      = "event#"
	eventCountPrefix = "eventcount#"
)

type (
	callbackItem struct {
		Pair         string    `dynamodbav:"pair"`
		PairSealed   string    `dynamodbav:"pair_sealed"`
		Old          string    `dynamodbav:"old_pair"`
		OldSealed    string    `dynamodbav:"old_pair_sealed"`
		MadeAt       time.Time `dynamodbav:"made_at"`
		FirstEventAt time.Time `dynamodbav:"first_event_at"`
		VerifiedAt   time.Time `dynamodbav:"verified_at"`
		EventAt      time.Time `dynamodbav:"event_at"`
		SeenFrom     string    `dynamodbav:"seen_from"`

		RefusedDay  archive.Day        `dynamodbav:"refused_day"`
		Refused     int                `dynamodbav:"refused"`
		RefusedAt   time.Time          `dynamodbav:"refused_at"`
		RefusedWhy  archive.RefusedWhy `dynamodbav:"refused_why"`
		RefusedFrom string             `dynamodbav:"refused_from"`
	}
	eventItem struct {
		Type       string    `dynamodbav:"type"`
		ChangeType string    `dynamodbav:"change_type"`
		SentAt     time.Time `dynamodbav:"sent_at"`
		ArrivedAt  time.Time `dynamodbav:"arrived_at"`
		Body       []byte    `dynamodbav:"body"`
		Signature  string    `dynamodbav:"signature"`
		Timestamp  string    `dynamodbav:"timestamp"`
		Nonce      string    `dynamodbav:"nonce"`
		Encrypted  string    `dynamodbav:"encrypted"`
	}
	eventCountItem struct {
		Stored  int `dynamodbav:"kept"`
		Bytes   int `dynamodbav:"kept_bytes"`
		Dropped int `dynamodbav:"dropped"`
	}
)

// Callback reads consistently which pairs of a callback are accepted;
// [archive.ErrNotFound] if the corp has no pair.
func (c *Corps) Callback(ctx context.Context, id string, kind archive.CallbackKind) (archive.Callback, error) {
	it, err := c.get(ctx, c.client, key(id, callbackPrefix+string(kind)))
	var cb callbackItem
	if err == nil {
		cb, err = readItem[callbackItem](it)
	}
	if err != nil {
		return archive.Callback{}, fmt.Errorf("read the %s callback of corp %s: %w", kind, id, err)
	}
	return archive.Callback(cb), nil
}

// CreateCallback stores the first pair of a callback; [archive.ErrExists] if the
// callback has a pair.
func (c *Corps) CreateCallback(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error {
	it, err := encode(id, callbackPrefix+string(kind), callbackItem(cb))
	if err != nil {
		return err
	}
	if err := c.create(ctx, c.client, it); err != nil {
		return fmt.Errorf("create the %s callback of corp %s: %w", kind, id, err)
	}
	return nil
}

// SwapCallback replaces a callback; [archive.ErrConflict] if the pairs of the
// stored one are not those of from.
func (c *Corps) SwapCallback(ctx context.Context, id string, kind archive.CallbackKind, from, to archive.Callback) error {
	it, err := encode(id, callbackPrefix+string(kind), callbackItem(to))
	if err != nil {
		return err
	}
	err = c.putIf(ctx, c.client, dynamodb.PutItemInput{
		Item: it, ConditionExpression: aws.String("pair = :pair AND old_pair = :old"),
		ExpressionAttributeValues: item{":pair": text(from.Pair), ":old": text(from.Old)},
	})
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("change the %s callback of corp %s: %w", kind, id, err)
	}
	return nil
}

// NoteFirstEvent notes when the first event under a pair arrived. It changes
// nothing if the pair is not the newest, or if an event was noted before.
func (c *Corps) NoteFirstEvent(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time) error {
	err := c.update(ctx, id, callbackPrefix+string(kind), change{
		set:    "SET first_event_at = :at",
		only:   "pair = :pair AND first_event_at = :never",
		values: item{":at": moment(at), ":pair": text(pair), ":never": moment(time.Time{})},
	})
	if err != nil {
		return fmt.Errorf("note the first event of the %s callback of corp %s: %w", kind, id, err)
	}
	return nil
}

// NoteVerified notes that WeCom checked the URL with the newest pair.
func (c *Corps) NoteVerified(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time, from string) error {
	return c.noteCallback(ctx, id, kind, change{
		set: "SET verified_at = :at, seen_from = :from", only: "pair = :pair", values: item{":at": moment(at), ":from": text(from), ":pair": text(pair)},
	})
}

// NoteEvent notes that an authentic event arrived.
func (c *Corps) NoteEvent(ctx context.Context, id string, kind archive.CallbackKind, at time.Time, from string) error {
	return c.noteCallback(ctx, id, kind, change{set: "SET event_at = :at, seen_from = :from", values: item{":at": moment(at), ":from": text(from)}})
}

// NoteRefused notes the Refused fields of cb, if its Pair is the newest one.
func (c *Corps) NoteRefused(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error {
	return c.noteCallback(ctx, id, kind, change{
		set:  "SET refused_day = :day, refused = :count, refused_at = :at, refused_why = :why, refused_from = :from",
		only: "pair = :pair",
		values: item{
			":day": text(string(cb.RefusedDay)), ":count": number(cb.Refused), ":at": moment(cb.RefusedAt), ":why": text(string(cb.RefusedWhy)),
			":from": text(cb.RefusedFrom), ":pair": text(cb.Pair),
		},
	})
}

func (c *Corps) noteCallback(ctx context.Context, id string, kind archive.CallbackKind, ch change) error {
	if err := c.update(ctx, id, callbackPrefix+string(kind), ch); err != nil {
		return fmt.Errorf("note a request of the %s callback of corp %s: %w", kind, id, err)
	}
	return nil
}

// RecordEvent stores an event under the Beijing day of its time, and counts it on
// the day of its arrival, in one transaction. If WeCom delivers the event again,
// the event stored first stays, and the count too. An event without room on the
// day of its arrival is only counted, and stored is false.
func (c *Corps) RecordEvent(ctx context.Context, id string, e archive.Event) (stored bool, _ error) {
	it, err := encode(id, eventPrefix+string(archive.DayOf(e.At()))+"#"+e.Place(), eventItem(e))
	if err != nil {
		return false, err
	}
	count := eventCountPrefix + string(archive.DayOf(e.ArrivedAt))
	most, room := e.Bounds()
	err = untilQuiet(ctx, func() error {
		return c.transact(ctx, c.client, c.putNew(it), types.TransactWriteItem{Update: &types.Update{
			TableName:           &c.name,
			Key:                 key(id, count),
			UpdateExpression:    aws.String("SET v = :v, dropped = if_not_exists(dropped, :none) ADD kept :one, kept_bytes :size"),
			ConditionExpression: aws.String(absent + " OR kept < :most AND kept_bytes <= :room"),
			ExpressionAttributeValues: item{
				":v": number(formatVersion), ":none": number(0), ":one": number(1), ":size": number(e.Size()),
				":most": number(most), ":room": number(room - e.Size()),
			},
		}})
	})
	switch at, _ := failedAt(err); at {
	case 0: // stored before
		return true, nil
	case 1:
		err = c.update(ctx, id, count, change{set: "ADD dropped :one", values: item{":one": number(1)}})
	default:
		stored = err == nil
	}
	if err != nil {
		return false, fmt.Errorf("record an event of corp %s: %w", id, err)
	}
	return stored, nil
}

// Events lists at most limit events of a Beijing day behind a place, in the
// order of [archive.Event.Place].
func (c *Corps) Events(ctx context.Context, id string, day archive.Day, place string, limit int) iter.Seq2[archive.Event, error] {
	return func(yield func(archive.Event, error) bool) {
		prefix := eventPrefix + string(day) + "#"
		for it, err := range c.first(ctx, c.client, limit, within(id, after(prefix, prefix+keysEnd, prefix+place), prefix+keysEnd)) {
			var e eventItem
			if err == nil {
				e, err = readItem[eventItem](it)
			}
			if err != nil {
				yield(archive.Event{}, fmt.Errorf("list events of corp %s: %w", id, err))
				return
			}
			if !yield(archive.Event(e), nil) {
				return
			}
		}
	}
}

// EventCount counts the events that arrived on a Beijing day.
func (c *Corps) EventCount(ctx context.Context, id string, day archive.Day) (archive.EventCount, error) {
	it, err := c.get(ctx, c.client, key(id, eventCountPrefix+string(day)))
	if errors.Is(err, archive.ErrNotFound) {
		return archive.EventCount{}, nil
	}
	var count eventCountItem
	if err == nil {
		count, err = readItem[eventCountItem](it)
	}
	if err != nil {
		return archive.EventCount{}, fmt.Errorf("count events of corp %s: %w", id, err)
	}
	return archive.EventCount(count), nil
}
