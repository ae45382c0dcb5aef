package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"
)

const (
	// DynamoDB's limits of one request, in items.
	writeBatch = 25
	readBatch  = 100
	// batchesAtOnce bounds the requests of one call. Eight requests of 25 items
	// with the largest messages are 60 MB in flight.
	batchesAtOnce = 8
)

type batchWriteClient interface {
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
}

type batchGetClient interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

func puts(items []item) []types.WriteRequest {
	writes := make([]types.WriteRequest, 0, len(items))
	for _, it := range items {
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
	}
	return writes
}

func deletes(keys []item) []types.WriteRequest {
	writes := make([]types.WriteRequest, 0, len(keys))
	for _, k := range keys {
		writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: k}})
	}
	return writes
}

// writeAll does all writes, in no order. Their keys must be distinct. Writes that
// DynamoDB leaves out under load are sent again until ctx ends. After an error
// or a crash any of the writes may be done.
func (t *table) writeAll(ctx context.Context, client batchWriteClient, writes []types.WriteRequest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(batchesAtOnce)
	for batch := range slices.Chunk(writes, writeBatch) {
		group.Go(func() error { return t.writeBatch(ctx, client, batch) })
	}
	return group.Wait()
}

func (t *table) writeBatch(ctx context.Context, client batchWriteClient, batch []types.WriteRequest) error {
	for wait := (backoff{}); ; {
		out, err := client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems:           map[string][]types.WriteRequest{t.name: batch},
			ReturnConsumedCapacity: t.capacity(),
		})
		switch {
		case err == nil:
			t.wrote("BatchWriteItem", out.ConsumedCapacity...)
			left := out.UnprocessedItems[t.name]
			if len(left) == 0 {
				return nil
			}
			if len(left) < len(batch) {
				wait.progress()
			}
			batch = left
		case !throttled(err):
			return err
		}
		if err := wait.pause(ctx); err != nil {
			return fmt.Errorf("%d items of a batch not written: %w", len(batch), err)
		}
	}
}

// readAll reads the items with the keys, consistently and in no order, and
// leaves out absent items. The keys must be distinct. It reads the named
// attributes, or all attributes if the list is empty.
func (t *table) readAll(ctx context.Context, client batchGetClient, keys []item, attributes ...string) ([]item, error) {
	return t.readKeys(ctx, client, true, keys, attributes)
}

// readLagging is like readAll, for half the units: changes of the last seconds may
// be missing.
func (t *table) readLagging(ctx context.Context, client batchGetClient, keys []item) ([]item, error) {
	return t.readKeys(ctx, client, false, keys, nil)
}

func (t *table) readKeys(ctx context.Context, client batchGetClient, consistent bool, keys []item, attributes []string) ([]item, error) {
	batches := slices.Collect(slices.Chunk(keys, readBatch))
	found := make([][]item, len(batches))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(batchesAtOnce)
	for i, batch := range batches {
		group.Go(func() (err error) {
			found[i], err = t.readBatch(ctx, client, consistent, batch, attributes)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

func (t *table) readBatch(ctx context.Context, client batchGetClient, consistent bool, keys []item, attributes []string) ([]item, error) {
	request := types.KeysAndAttributes{Keys: keys, ConsistentRead: &consistent}
	if len(attributes) > 0 {
		names, list := map[string]string{}, ""
		for i, a := range attributes {
			alias := fmt.Sprintf("#a%d", i)
			names[alias] = a
			if i > 0 {
				list += ", "
			}
			list += alias
		}
		request.ExpressionAttributeNames, request.ProjectionExpression = names, &list
	}
	var found []item
	for wait := (backoff{}); ; {
		out, err := client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems:           map[string]types.KeysAndAttributes{t.name: request},
			ReturnConsumedCapacity: t.capacity(),
		})
		switch {
		case err == nil:
			t.read("BatchGetItem", out.ConsumedCapacity...)
			found = append(found, out.Responses[t.name]...)
			// DynamoDB leaves keys out under load, and when the answer reaches 16 MB.
			left, ok := out.UnprocessedKeys[t.name]
			if !ok || len(left.Keys) == 0 {
				return found, nil
			}
			if len(left.Keys) < len(request.Keys) {
				wait.progress()
			}
			request.Keys = left.Keys
		case !throttled(err):
			return nil, err
		}
		if err := wait.pause(ctx); err != nil {
			return nil, fmt.Errorf("%d items of a batch not read: %w", len(request.Keys), err)
		}
	}
}

// throttled reports whether DynamoDB processed nothing of a batch because capacity
// was missing. In this case DynamoDB returns an error, and no list of items to send
// again.
func throttled(err error) bool {
	if _, ok := errors.AsType[*types.ProvisionedThroughputExceededException](err); ok {
		return true
	}
	if _, ok := errors.AsType[*types.ThrottlingException](err); ok {
		return true
	}
	_, ok := errors.AsType[*types.RequestLimitExceeded](err)
	return ok
}
