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

// writeFirstSeen reads before it writes, because nearly every type and field of
// a page is known.
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
		// If two pages write the same name at once, the earlier time stays.
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

// FirstSeen finds when types and fields were first seen, by name. A name that was
// never seen has no entry.
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
		return nil, fmt.Errorf("read the first-seen types of corp %s: %w", corp, err)
	}
	return seen, nil
}
