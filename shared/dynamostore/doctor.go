package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
)

var _ doctor.Records = (*Ledger)(nil)

const (
	examinedSK   = "examined"
	changePrefix = "change#"
)

type (
	examinedItem struct {
		Rev    uint64                         `dynamodbav:"rev"`
		At     time.Time                      `dynamodbav:"at"`
		Checks map[doctor.Check]examinedCheck `dynamodbav:"checks"`
	}
	examinedCheck struct {
		State doctor.State `dynamodbav:"state"`
		Cause doctor.Cause `dynamodbav:"cause"`
		Since time.Time    `dynamodbav:"since"`
		Told  bool         `dynamodbav:"told,omitempty"`
	}
	setupChangeItem struct {
		Check     doctor.Check `dynamodbav:"check"`
		From      doctor.State `dynamodbav:"from"`
		To        doctor.State `dynamodbav:"to"`
		Was       doctor.Cause `dynamodbav:"was"`
		Now       doctor.Cause `dynamodbav:"now"`
		At        time.Time    `dynamodbav:"at"`
		Operators bool         `dynamodbav:"operators"`
		Evidence  []factItem   `dynamodbav:"evidence"`
	}
	factItem struct {
		Fact  doctor.Fact `dynamodbav:"fact"`
		Value string      `dynamodbav:"value"`
	}
)

func newChangeItem(c doctor.Change) setupChangeItem {
	it := setupChangeItem{Check: c.Check, From: c.From, To: c.To, Was: c.Was, Now: c.Now, At: c.At, Operators: c.Operators}
	for _, e := range c.Evidence {
		it.Evidence = append(it.Evidence, factItem(e))
	}
	return it
}

func (i setupChangeItem) change() doctor.Change {
	c := doctor.Change{Check: i.Check, From: i.From, To: i.To, Was: i.Was, Now: i.Now, At: i.At, Operators: i.Operators}
	for _, e := range i.Evidence {
		c.Evidence = append(c.Evidence, doctor.Evidence(e))
	}
	return c
}

// doctorPK is a partition of its own, so that only inspect may write there.
func doctorPK(corp string) string { return corp + "#doctor" }

// Examined implements [doctor.Records].
func (l *Ledger) Examined(ctx context.Context, corp string) (doctor.Record, error) {
	r := doctor.Record{Corp: corp}
	it, err := l.get(ctx, l.client, key(doctorPK(corp), examinedSK))
	if errors.Is(err, archive.ErrNotFound) {
		return r, nil
	}
	var attributes examinedItem
	if err == nil {
		attributes, err = readItem[examinedItem](it)
	}
	if err != nil {
		return doctor.Record{}, fmt.Errorf("read the examination of corp %s: %w", corp, err)
	}
	r.Rev, r.At, r.Checks = attributes.Rev, attributes.At, make(map[doctor.Check]doctor.Known, len(attributes.Checks))
	for check, known := range attributes.Checks {
		r.Checks[check] = doctor.Known(known)
	}
	return r, nil
}

// SaveExamined implements [doctor.Records].
func (l *Ledger) SaveExamined(ctx context.Context, r doctor.Record, changes []doctor.Change) error {
	attributes := examinedItem{Rev: r.Rev, At: r.At, Checks: make(map[doctor.Check]examinedCheck, len(r.Checks))}
	for check, known := range r.Checks {
		attributes.Checks[check] = examinedCheck(known)
	}
	it, err := encode(doctorPK(r.Corp), examinedSK, attributes)
	if err != nil {
		return err
	}
	put := &types.Put{TableName: &l.name, Item: it, ConditionExpression: aws.String(absent)}
	if r.Rev > 1 {
		put.ConditionExpression, put.ExpressionAttributeValues = aws.String("rev = :was"), item{":was": number(r.Rev - 1)}
	}
	writes := []types.TransactWriteItem{{Put: put}}
	for _, c := range changes {
		ms, err := millis(c.At)
		if err != nil {
			return err
		}
		row, err := encode(doctorPK(r.Corp), changePrefix+ms+"#"+string(c.Check), newChangeItem(c))
		if err != nil {
			return err
		}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &l.name, Item: row}})
	}
	err = untilQuiet(ctx, func() error { return l.transact(ctx, l.client, writes...) })
	if at, _ := failedAt(err); at == 0 {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("save the examination of corp %s: %w", r.Corp, err)
	}
	return nil
}

// SetupChanges lists the changes that examinations found, the newest first, at
// most limit. next is the cursor of the next page, empty at the end.
func (l *Ledger) SetupChanges(ctx context.Context, corp, cursor string, limit int) (list []doctor.Change, next string, err error) {
	last := changePrefix + keysEnd
	if changePrefix < cursor && cursor < last && len(cursor) < longestSK {
		last = cursor // the first one of the page
	}
	in := within(doctorPK(corp), changePrefix, last)
	in.ScanIndexForward = aws.Bool(false)
	for it, err := range l.first(ctx, l.client, limit+1, in) {
		var c setupChangeItem
		if err == nil {
			c, err = readItem[setupChangeItem](it)
		}
		if err != nil {
			return nil, "", fmt.Errorf("list changes of the set-up of corp %s: %w", corp, err)
		}
		if len(list) == limit {
			return list, keyOf(it, "sk"), nil
		}
		list = append(list, c.change())
	}
	return list, "", nil
}
