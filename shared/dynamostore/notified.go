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

const notifiedSK = "told"

// notifiedItem is the last notification about a corp.
type notifiedItem struct {
	Health  watch.Health `dynamodbav:"health"`
	At      time.Time    `dynamodbav:"at"`
	Sending watch.Health `dynamodbav:"sending"`
}

// Notified implements [watch.Ledger].
func (l *Ledger) Notified(ctx context.Context, corps []string) (map[string]watch.Notified, error) {
	notified := make(map[string]watch.Notified, len(corps))
	var keys []item
	for _, corp := range corps {
		if _, twice := notified[corp]; !twice {
			notified[corp] = watch.Notified{Corp: corp}
			keys = append(keys, key(corp, notifiedSK))
		}
	}
	found, err := l.readLagging(ctx, l.client, keys)
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	for _, it := range found {
		t, err := readItem[notifiedItem](it)
		if err != nil {
			return nil, fmt.Errorf("read notifications: %w", err)
		}
		corp := keyOf(it, "pk")
		notified[corp] = watch.Notified{Corp: corp, Health: t.Health, At: t.At, Sending: t.Sending}
	}
	return notified, nil
}

// SaveNotified implements [watch.Ledger].
func (l *Ledger) SaveNotified(ctx context.Context, old, now watch.Notified) error {
	it, err := encode(now.Corp, notifiedSK, notifiedItem{Health: now.Health, At: now.At, Sending: now.Sending})
	if err != nil {
		return err
	}
	in := dynamodb.PutItemInput{Item: it, ConditionExpression: aws.String(absent)}
	if old.Health != "" {
		in.ConditionExpression = aws.String("#health = :was AND #at = :at AND #sending = :sending")
		in.ExpressionAttributeNames = map[string]string{"#health": "health", "#at": "at", "#sending": "sending"}
		in.ExpressionAttributeValues = item{":was": text(string(old.Health)), ":at": moment(old.At), ":sending": text(string(old.Sending))}
	}
	err = l.putIf(ctx, l.client, in)
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("save the notification about corp %s: %w", now.Corp, err)
	}
	return nil
}
