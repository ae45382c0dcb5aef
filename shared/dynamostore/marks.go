package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// MarksClient lists the methods of the SDK's client that [Marks] calls.
type MarksClient interface {
	getClient
	putClient
}

// Marks are the marks of wanted work, in a partition of the ledger's table beside
// the chain's: a function that only wants work has no access to rows and heads
// (template.yaml).
type Marks struct {
	table
	client MarksClient
}

// NewMarks uses the table of that name, which is the ledger's.
func NewMarks(client MarksClient, table string, options ...Option) *Marks {
	return &Marks{table: newTable(table, options), client: client}
}

var _ archive.Marks = (*Marks)(nil)

func wantedPK(corp string) string { return corp + "#wanted" }

// markItem has a SentAt only while a request waits, and a Wish only while one is
// wanted.
type markItem struct {
	SentAt *time.Time `dynamodbav:"sent,omitempty"`
	Wish   string     `dynamodbav:"wish,omitempty"`
}

func newMarkItem(m archive.Mark) markItem {
	it := markItem{Wish: m.Wish}
	if !m.SentAt.IsZero() {
		it.SentAt = &m.SentAt
	}
	return it
}

func readMark(it item) (archive.Mark, error) {
	v, err := readItem[markItem](it)
	m := archive.Mark{Corp: strings.TrimSuffix(keyOf(it, "pk"), wantedPK("")), Work: keyOf(it, "sk"), Wish: v.Wish}
	if v.SentAt != nil {
		m.SentAt = *v.SentAt
	}
	return m, err
}

// SetMark implements [archive.Marks].
func (s *Marks) SetMark(ctx context.Context, m archive.Mark) (archive.Mark, error) {
	stored, err := s.put(ctx, m, "attribute_not_exists(#sent) AND attribute_not_exists(#wish)", nil)
	if err != nil {
		return stored, fmt.Errorf("mark %s of corp %s as wanted: %w", m.Work, m.Corp, err)
	}
	return m, nil
}

// ReplaceMark implements [archive.Marks].
func (s *Marks) ReplaceMark(ctx context.Context, old, now archive.Mark) error {
	sent, wish := "attribute_not_exists(#sent)", "attribute_not_exists(#wish)"
	values := item{}
	if !old.SentAt.IsZero() {
		sent, values[":sent"] = "#sent = :sent", moment(old.SentAt)
	}
	if old.Wish != "" {
		wish, values[":wish"] = "#wish = :wish", text(old.Wish)
	}
	_, err := s.put(ctx, now, sent+" AND "+wish, values)
	if errors.Is(err, archive.ErrNotFound) && len(values) > 0 {
		err = archive.ErrConflict // old has a request or a wish, and there is no mark
	}
	if err != nil {
		return fmt.Errorf("replace the mark of %s of corp %s: %w", now.Work, now.Corp, err)
	}
	return nil
}

// put stores a mark if the stored one fulfils a condition. Otherwise it returns
// the stored mark and [archive.ErrConflict]. A mark without a request is stored
// only in place of another one: otherwise a request that fails after its corp was
// erased would leave one.
func (s *Marks) put(ctx context.Context, m archive.Mark, condition string, values item) (archive.Mark, error) {
	if m.SentAt.IsZero() {
		condition += " AND attribute_exists(pk)"
	}
	it, err := encode(wantedPK(m.Corp), m.Work, newMarkItem(m))
	if err != nil {
		return archive.Mark{}, err
	}
	in := dynamodb.PutItemInput{
		Item:                                it,
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            map[string]string{"#sent": "sent", "#wish": "wish"},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if len(values) > 0 {
		in.ExpressionAttributeValues = values
	}
	err = s.putIf(ctx, s.client, in)
	if now, failed := conditionFailed(err); failed {
		if len(now) == 0 { // there is no mark
			if m.SentAt.IsZero() {
				return archive.Mark{}, archive.ErrNotFound
			}
			return archive.Mark{Corp: m.Corp, Work: m.Work}, archive.ErrConflict
		}
		stored, err := readMark(now)
		if err == nil {
			err = archive.ErrConflict
		}
		return stored, err
	}
	return m, err
}

// Mark implements [archive.Marks], reading consistently.
func (s *Marks) Mark(ctx context.Context, corp, work string) (archive.Mark, error) {
	it, err := s.get(ctx, s.client, key(wantedPK(corp), work))
	if errors.Is(err, archive.ErrNotFound) {
		return archive.Mark{Corp: corp, Work: work}, nil
	}
	var m archive.Mark
	if err == nil {
		m, err = readMark(it)
	}
	if err != nil {
		return archive.Mark{}, fmt.Errorf("read the mark of %s of corp %s: %w", work, corp, err)
	}
	return m, nil
}
