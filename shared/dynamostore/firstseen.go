package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// firstSeenItem says when a type or a field was first seen.
type firstSeenItem struct {
	Name string    `dynamodbav:"name"`
	At   time.Time `dynamodbav:"at"`
}

func firstSeenKey(corp, name string) item { return key(corp+"#k", "k#"+part(name)) }

// writeFirstSeen reads before it writes: nearly all that a page says is known.
func (m *Messages) writeFirstSeen(ctx context.Context, corp string, found []decode.FirstSeen) error {
	var names []string
	for _, k := range found {
		names = append(names, k.Name)
	}
	seen, err := m.FirstSeen(ctx, corp, names)
	if err != nil {
		return err
	}
	for _, k := range found {
		if at, known := seen[k.Name]; known && !k.At.Before(at) {
			continue
		}
		at := firstSeenKey(corp, k.Name)
		it, err := encode(keyOf(at, "pk"), keyOf(at, "sk"), firstSeenItem{Name: k.Name, At: k.At})
		if err != nil {
			return err
		}
		// Of two pages that do so at once the earlier stays.
		err = m.putIf(ctx, m.client, dynamodb.PutItemInput{
			Item:                      it,
			ConditionExpression:       aws.String(absent + " OR #at > :at"),
			ExpressionAttributeNames:  map[string]string{"#at": "at"},
			ExpressionAttributeValues: item{":at": moment(k.At)},
		})
		if _, stays := conditionFailed(err); err != nil && !stays {
			return err
		}
	}
	return nil
}

// FirstSeen finds when types and fields were first seen, by name, for those
// that were.
func (m *Messages) FirstSeen(ctx context.Context, corp string, names []string) (map[string]time.Time, error) {
	var keys []item
	for _, name := range names {
		keys = append(keys, firstSeenKey(corp, name))
	}
	items, err := m.readAll(ctx, m.client, distinct(keys))
	seen := make(map[string]time.Time, len(items))
	for _, it := range items {
		if err != nil {
			break
		}
		var k firstSeenItem
		k, err = readItem[firstSeenItem](it)
		seen[k.Name] = k.At
	}
	if err != nil {
		return nil, fmt.Errorf("reading what corp %s has seen: %w", corp, err)
	}
	return seen, nil
}
