package dynamostore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// ViewsClient is what [Views] uses of the SDK's client.
type ViewsClient interface {
	putClient
	queryClient
}

// Views is the record of who looked at what. It cannot be made again.
type Views struct {
	table
	client ViewsClient
}

// NewViews uses the table of that name.
func NewViews(client ViewsClient, table string, options ...Option) *Views {
	return &Views{table: newTable(table, options), client: client}
}

type viewItem struct {
	Corp         string                 `dynamodbav:"-"`
	Viewer       string                 `dynamodbav:"viewer"`
	Role         string                 `dynamodbav:"role"`
	Conversation archive.ConversationID `dynamodbav:"conversation"`
	Party        string                 `dynamodbav:"party"`
	At           time.Time              `dynamodbav:"at"`
}

func viewPK(corp string, day archive.Day) string { return corp + "#" + string(day) }

// RecordView records a view under the Beijing day of its slot. The same view
// again is the same item.
func (v *Views) RecordView(ctx context.Context, view archive.View) error {
	slot, err := millis(view.At)
	if err != nil {
		return fmt.Errorf("recording a view in corp %s: %w", view.Corp, err)
	}
	// No conversation's id begins with '*', nor does an escaped party's.
	whose := conversationPart(view.Conversation)
	if view.Conversation == "" {
		whose = "*" + part(view.Party)
	}
	sk := slot + "#" + part(view.Viewer) + "#" + part(view.Role) + "#" + whose
	it, err := encode(viewPK(view.Corp, archive.DayOf(view.At)), sk, viewItem(view))
	if err != nil {
		return err
	}
	if err := v.put(ctx, v.client, it); err != nil {
		return fmt.Errorf("recording a view in corp %s: %w", view.Corp, err)
	}
	return nil
}

// longestSK is DynamoDB's limit of a sort key.
const longestSK = 1024

// Views lists the views of a Beijing day by slot, at most limit. cursor is
// empty, or next of the call before with the same corp and day; next is empty
// where there are no more. A cursor reaches nothing outside of corp and day,
// whatever it is; one that no call returned is [archive.ErrNotFound] or a
// place somewhere in the day.
func (v *Views) Views(ctx context.Context, corp string, day archive.Day, cursor string, limit int) (_ []archive.View, next string, _ error) {
	if limit < 1 {
		return nil, "", nil
	}
	if len(cursor) > longestSK {
		return nil, "", fmt.Errorf("views of corp %s: no such place: %w", corp, archive.ErrNotFound)
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(viewPK(corp, day))},
	}
	if cursor != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND sk > :after")
		in.ExpressionAttributeValues[":after"] = text(cursor)
	}
	var views []archive.View
	var last string
	for it, err := range atMost(limit+1, v.query(ctx, v.client, in)) {
		var view viewItem
		if err == nil {
			view, err = decode[viewItem](it)
		}
		if err != nil {
			return nil, "", fmt.Errorf("listing views of corp %s: %w", corp, err)
		}
		if len(views) == limit {
			return views, last, nil
		}
		view.Corp = corp
		views, last = append(views, archive.View(view)), keyOf(it, "sk")
	}
	return views, "", nil
}
