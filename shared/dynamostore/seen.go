package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// seenItem says up to when a user has seen a conversation. It is no evidence that
// the user read it: readings are.
type seenItem struct {
	Seen time.Time `dynamodbav:"seen"`
}

func seenPK(corp, user string) string { return corp + "#seen#" + part(user) }

// MarkSeen records that a user has seen a conversation up to a time. An earlier
// time than the recorded one changes nothing.
func (v *Readings) MarkSeen(ctx context.Context, corp, user string, conv archive.ConversationID, until time.Time) error {
	it, err := encode(seenPK(corp, user), conversationPart(conv), seenItem{until})
	if err != nil {
		return err
	}
	err = v.putIf(ctx, v.client, dynamodb.PutItemInput{
		Item: it, ConditionExpression: aws.String(absent + " OR seen < :seen"), ExpressionAttributeValues: item{":seen": moment(until)},
	})
	if _, earlier := conditionFailed(err); err != nil && !earlier {
		return fmt.Errorf("mark a conversation of corp %s as seen: %w", corp, err)
	}
	return nil
}

// Seen reads up to when a user has seen conversations. The map has no entry for
// one that the user never saw.
func (v *Readings) Seen(ctx context.Context, corp, user string, conversations []archive.ConversationID) (map[archive.ConversationID]time.Time, error) {
	var keys []item
	of := make(map[string][]archive.ConversationID)
	for _, conv := range conversations {
		sk := conversationPart(conv)
		if of[sk] == nil {
			keys = append(keys, key(seenPK(corp, user), sk))
		}
		of[sk] = append(of[sk], conv)
	}
	stored, err := v.readAll(ctx, v.client, keys)
	seen := make(map[archive.ConversationID]time.Time, len(stored))
	for _, it := range stored {
		s, e := readItem[seenItem](it)
		if e != nil {
			err = e
			break
		}
		for _, conv := range of[keyOf(it, "sk")] {
			seen[conv] = s.Seen
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read what a user of corp %s has seen: %w", corp, err)
	}
	return seen, nil
}
