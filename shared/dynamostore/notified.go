package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

const toldSK = "told"

// toldItem is what people were last told of a corp.
type toldItem struct {
	Health watch.Health `dynamodbav:"health"`
	At     time.Time    `dynamodbav:"at"`
}

// Told implements [watch.Ledger], reading consistently.
func (l *Ledger) Notified(ctx context.Context, corps []string) (map[string]watch.Notified, error) {
	told := make(map[string]watch.Notified, len(corps))
	var keys []item
	for _, corp := range corps {
		if _, twice := told[corp]; !twice {
			told[corp] = watch.Notified{Corp: corp}
			keys = append(keys, key(corp, toldSK))
		}
	}
	found, err := l.readAll(ctx, l.client, keys)
	if err != nil {
		return nil, fmt.Errorf("reading what people were told: %w", err)
	}
	for _, it := range found {
		t, err := readItem[toldItem](it)
		if err != nil {
			return nil, fmt.Errorf("reading what people were told: %w", err)
		}
		corp := keyOf(it, "pk")
		told[corp] = watch.Notified{Corp: corp, Health: t.Health, At: t.At}
	}
	return told, nil
}

// SaveTold implements [watch.Ledger].
func (l *Ledger) SaveNotified(ctx context.Context, old, now watch.Notified) error {
	it, err := encode(now.Corp, toldSK, toldItem{Health: now.Health, At: now.At})
	if err != nil {
		return err
	}
	in := dynamodb.PutItemInput{Item: it, ConditionExpression: aws.String(absent)}
	if old.Health != "" {
		in.ConditionExpression = aws.String("#health = :was AND #at = :at")
		in.ExpressionAttributeNames = map[string]string{"#health": "health", "#at": "at"}
		in.ExpressionAttributeValues = item{":was": text(string(old.Health)), ":at": moment(old.At)}
	}
	err = l.putIf(ctx, l.client, in)
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("noting what people were told of corp %s: %w", now.Corp, err)
	}
	return nil
}
