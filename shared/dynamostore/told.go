package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const toldSK = "told"

// toldItem is what people were last told of a corp.
type toldItem struct {
	Health archive.Health `dynamodbav:"health"`
	At     time.Time      `dynamodbav:"at"`
}

// Told implements [archive.DispatchLedger], reading consistently.
func (l *Ledger) Told(ctx context.Context, corps []string) (map[string]archive.Told, error) {
	told := make(map[string]archive.Told, len(corps))
	var keys []item
	for _, corp := range corps {
		if _, twice := told[corp]; !twice {
			told[corp] = archive.Told{Corp: corp}
			keys = append(keys, key(corp, toldSK))
		}
	}
	found, err := l.readAll(ctx, l.client, keys)
	if err != nil {
		return nil, fmt.Errorf("reading what people were told: %w", err)
	}
	for _, it := range found {
		t, err := decode[toldItem](it)
		if err != nil {
			return nil, fmt.Errorf("reading what people were told: %w", err)
		}
		corp := keyOf(it, "pk")
		told[corp] = archive.Told{Corp: corp, Health: t.Health, At: t.At}
	}
	return told, nil
}

// SaveTold implements [archive.DispatchLedger].
func (l *Ledger) SaveTold(ctx context.Context, old, now archive.Told) error {
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
