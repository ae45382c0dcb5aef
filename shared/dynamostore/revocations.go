package dynamostore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// revocationItem marks a message as revoked. Its key follows from the revoked
// message's msgid, so that a reader of the message finds the marker.
type revocationItem struct {
	MsgID string    `dynamodbav:"msgid"` // of the revoked message, as pre_msgid writes it
	By    string    `dynamodbav:"by"`
	At    time.Time `dynamodbav:"at"`
	Seq   uint64    `dynamodbav:"seq"`
}

func revocationPK(corp string, conv archive.ConversationID) string {
	return corp + "#r#" + conversationPart(conv)
}

func revocationSK(msgID string) string {
	sk, _ := msgIDPart(archive.RevocationKey(msgID))
	return sk
}

// writeRevocations writes one marker at a time, because each write is
// conditional: of two revocations of one message, the one with the lower seq
// stays, whichever is written first. Revocations are rare.
func (m *Messages) writeRevocations(ctx context.Context, revocations []archive.Revocation) error {
	for _, r := range revocations {
		if revocationSK(r.MsgID) == "" {
			continue // the revocation names no message
		}
		it, err := encode(revocationPK(r.Corp, r.Conversation), revocationSK(r.MsgID),
			revocationItem{MsgID: r.MsgID, By: r.By, At: r.At, Seq: r.Seq})
		if err != nil {
			return err
		}
		err = m.putIf(ctx, m.client, dynamodb.PutItemInput{
			Item:                      it,
			ConditionExpression:       aws.String(absent + " OR seq >= :seq"),
			ExpressionAttributeValues: item{":seq": &types.AttributeValueMemberN{Value: strconv.FormatUint(r.Seq, 10)}},
		})
		if _, stays := conditionFailed(err); err != nil && !stays {
			return err
		}
	}
	return nil
}

// Revocations finds the revoked messages among those with the msgids. The result
// has an entry, by msgid, for each revoked message.
func (m *Messages) Revocations(ctx context.Context, corp string, conv archive.ConversationID, msgIDs []string) (map[string]archive.Revocation, error) {
	var keys []item
	asked := make(map[string][]string, len(msgIDs)) // by sort key
	for _, id := range msgIDs {
		sk := revocationSK(id)
		if sk == "" { // no revocation can name an empty msgid
			continue
		}
		if asked[sk] == nil {
			keys = append(keys, key(revocationPK(corp, conv), sk))
		}
		asked[sk] = append(asked[sk], id)
	}
	items, err := m.readAll(ctx, m.client, keys)
	if err != nil {
		return nil, fmt.Errorf("read revocations of corp %s: %w", corp, err)
	}
	found := make(map[string]archive.Revocation, len(items))
	for _, it := range items {
		r, err := readRevocation(corp, conv, it)
		if err != nil {
			return nil, fmt.Errorf("read revocations of corp %s: %w", corp, err)
		}
		for _, id := range asked[keyOf(it, "sk")] {
			found[id] = r
		}
	}
	return found, nil
}

// FirstRevocations lists revocations of a conversation by the msgid of the revoked
// message, at most limit, and says whether there are more.
func (m *Messages) FirstRevocations(ctx context.Context, corp string, conv archive.ConversationID, limit int) (_ []archive.Revocation, more bool, _ error) {
	in := consistently(partition(revocationPK(corp, conv)))
	list, next, err := listPage(m.first(ctx, m.client, limit+1, in), limit, func(it item) (archive.Revocation, error) {
		return readRevocation(corp, conv, it)
	})
	if err != nil {
		return nil, false, fmt.Errorf("read revocations of corp %s: %w", corp, err)
	}
	return list, next != "", nil
}

func readRevocation(corp string, conv archive.ConversationID, it item) (archive.Revocation, error) {
	r, err := readItem[revocationItem](it)
	return archive.Revocation{Corp: corp, Conversation: conv, MsgID: r.MsgID, By: r.By, At: r.At, Seq: r.Seq}, err
}
