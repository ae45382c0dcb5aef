package dynamostore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

const (
	// runningPK holds the running jobs of all corps, so that dispatch finds them
	// with one Query. It is never a corp id, which begins with a letter.
	runningPK = "@jobs"

	runningReplay = "replay"
	runningVerify = "verify"
)

// runningItem is a running job. What its key says is not repeated.
type runningItem struct {
	ID          string    `dynamodbav:"id"`
	RequestedAt time.Time `dynamodbav:"requested"`
	KeyCame     bool      `dynamodbav:"key_came"`
	Tries       int       `dynamodbav:"tries"`
	TookOver    bool      `dynamodbav:"took_over"`
}

func runningSK(corp string, verify bool) string {
	if verify {
		return corp + "#" + runningVerify
	}
	return corp + "#" + runningReplay
}

func encodeRunning(r decode.Running) (item, error) {
	return encode(runningPK, runningSK(r.Corp, r.Verify), runningItem{ID: r.ID, RequestedAt: r.RequestedAt, KeyCame: r.KeyCame, Tries: r.Tries, TookOver: r.TookOver})
}

func readRunning(it item) (decode.Running, error) {
	v, err := readItem[runningItem](it)
	corp, sort, _ := strings.Cut(keyOf(it, "sk"), "#")
	return decode.Running{Corp: corp, Verify: sort == runningVerify, ID: v.ID, RequestedAt: v.RequestedAt, KeyCame: v.KeyCame, Tries: v.Tries, TookOver: v.TookOver}, err
}

// Running implements [decode.RunningJobs].
func (l *Ledger) Running(ctx context.Context, corp string, verify bool) (decode.Running, error) {
	it, err := l.get(ctx, l.client, key(runningPK, runningSK(corp, verify)))
	var r decode.Running
	if err == nil {
		r, err = readRunning(it)
	}
	if err != nil {
		return decode.Running{}, fmt.Errorf("read the running job of corp %s: %w", corp, err)
	}
	return r, nil
}

// AllRunning implements [watch.Ledger].
func (l *Ledger) AllRunning(ctx context.Context) ([]decode.Running, error) {
	all, err := collect(l.query(ctx, l.client, partition(runningPK)), readRunning)
	if err != nil {
		return nil, fmt.Errorf("list running jobs: %w", err)
	}
	return all, nil
}

// SetRunning implements [decode.RunningJobs].
func (l *Ledger) SetRunning(ctx context.Context, r decode.Running) error {
	it, err := encodeRunning(r)
	if err != nil {
		return err
	}
	if err := l.create(ctx, l.client, it); err != nil {
		return fmt.Errorf("store running job %s of corp %s: %w", r.ID, r.Corp, err)
	}
	return nil
}

const sameRunning = "#id = :id AND #requested = :requested AND #key_came = :key_came"

func runningNames() map[string]string {
	return map[string]string{"#id": "id", "#requested": "requested", "#key_came": "key_came"}
}

func runningValues(r decode.Running) item {
	return item{":id": text(r.ID), ":requested": moment(r.RequestedAt), ":key_came": flag(r.KeyCame)}
}

// ReplaceRunning implements [decode.RunningJobs].
func (l *Ledger) ReplaceRunning(ctx context.Context, old, now decode.Running) error {
	it, err := encodeRunning(now)
	if err != nil {
		return err
	}
	err = l.putIf(ctx, l.client, dynamodb.PutItemInput{
		Item: it, ConditionExpression: aws.String(sameRunning), ExpressionAttributeNames: runningNames(), ExpressionAttributeValues: runningValues(old),
	})
	return changedRunning("replacing", old, err)
}

// RemoveRunning implements [decode.RunningJobs].
func (l *Ledger) RemoveRunning(ctx context.Context, old decode.Running) error {
	err := untilQuiet(ctx, func() error {
		out, err := l.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &l.name, Key: key(runningPK, runningSK(old.Corp, old.Verify)), ReturnConsumedCapacity: l.capacity(),
			ConditionExpression: aws.String(sameRunning), ExpressionAttributeNames: runningNames(), ExpressionAttributeValues: runningValues(old),
		})
		if err == nil {
			l.wrote("DeleteItem", one(out.ConsumedCapacity))
		}
		return err
	})
	return changedRunning("removing", old, err)
}

func changedRunning(what string, old decode.Running, err error) error {
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("%s running job %s of corp %s: %w", what, old.ID, old.Corp, err)
	}
	return nil
}
