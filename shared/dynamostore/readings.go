package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// ReadingsClient lists the methods of the SDK's client that [Readings] calls.
type ReadingsClient interface {
	putClient
	queryClient
	batchGetClient
}

// Readings is the table of readings: which user read which chat, and when. It
// cannot be rebuilt.
type Readings struct {
	table
	client ReadingsClient
}

// NewReadings uses the table of that name.
func NewReadings(client ReadingsClient, table string, options ...Option) *Readings {
	return &Readings{table: newTable(table, options), client: client}
}

type readingItem struct {
	Corp         string                 `dynamodbav:"-"`
	By           string                 `dynamodbav:"by"`
	Role         string                 `dynamodbav:"role"`
	Conversation archive.ConversationID `dynamodbav:"conversation"`
	List         archive.ListKind       `dynamodbav:"list"`
	Party        string                 `dynamodbav:"party"`
	Day          archive.Day            `dynamodbav:"day"`
	At           time.Time              `dynamodbav:"at"`
}

func readingPK(corp string, day archive.Day) string { return corp + "#" + string(day) }

// RecordReading records a reading under the Beijing day of its slot. Recording
// the same reading again writes the same item.
func (v *Readings) RecordReading(ctx context.Context, reading archive.Reading) error {
	slot, err := millis(reading.At)
	if err != nil {
		return fmt.Errorf("record a reading in corp %s: %w", reading.Corp, err)
	}
	// The id of a conversation never begins with '*'.
	what := conversationPart(reading.Conversation)
	if reading.Conversation == "" {
		what = "*" + part(string(reading.List)) + "#" + part(reading.Party) + "#" + part(string(reading.Day))
	}
	sk := slot + "#" + part(reading.By) + "#" + part(reading.Role) + "#" + what
	it, err := encode(readingPK(reading.Corp, archive.DayOf(reading.At)), sk, readingItem(reading))
	if err != nil {
		return err
	}
	if err := v.put(ctx, v.client, it); err != nil {
		return fmt.Errorf("record a reading in corp %s: %w", reading.Corp, err)
	}
	return nil
}

// longestSK is DynamoDB's limit of a sort key.
const longestSK = 1024

// Readings lists the readings of a Beijing day by slot, at most limit. cursor is
// empty, or next of the previous call with the same corp and day; next is empty
// at the end of the list. No cursor reaches a reading outside of corp and day. A
// cursor that no call returned gives [archive.ErrNotFound], or a place somewhere
// in the day.
func (v *Readings) Readings(ctx context.Context, corp string, day archive.Day, cursor string, limit int) (_ []archive.Reading, next string, _ error) {
	if limit < 1 {
		return nil, "", nil
	}
	if len(cursor) > longestSK {
		return nil, "", fmt.Errorf("readings of corp %s: cursor invalid: %w", corp, archive.ErrNotFound)
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(readingPK(corp, day))},
	}
	if cursor != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND sk > :after")
		in.ExpressionAttributeValues[":after"] = text(cursor)
	}
	readings, next, err := listPage(v.first(ctx, v.client, limit+1, in), limit, func(it item) (archive.Reading, error) {
		reading, err := readItem[readingItem](it)
		reading.Corp = corp
		return archive.Reading(reading), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list readings of corp %s: %w", corp, err)
	}
	return readings, next, nil
}
