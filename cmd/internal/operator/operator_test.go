package operator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
)

// smallTable takes three writes of a batch and leaves the others unprocessed.
type smallTable struct {
	t       *testing.T
	written map[string]int
	err     error
}

func (s *smallTable) BatchWriteItem(_ context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	writes := in.RequestItems["table"]
	if len(writes) == 0 || len(writes) > 25 {
		s.t.Errorf("batch: got %d writes, want 1 to 25", len(writes))
	}
	n := min(3, len(writes))
	for _, w := range writes[:n] {
		s.written[w.PutRequest.Item["pk"].(*types.AttributeValueMemberS).Value]++
	}
	return &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{"table": writes[n:]}}, s.err
}

func puts(n int) (all []types.WriteRequest) {
	for i := range n {
		item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: fmt.Sprint(i)}}
		all = append(all, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
	}
	return all
}

func TestWriteItemsRepeatsUnprocessedWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &smallTable{t: t, written: map[string]int{}}
		if err := operator.WriteItems(t.Context(), table, "table", puts(60)); err != nil {
			t.Fatal(err)
		}
		if len(table.written) != 60 {
			t.Errorf("items: got %d, want 60", len(table.written))
		}
		for pk, n := range table.written {
			if n != 1 {
				t.Errorf("item %s: got %d writes, want 1", pk, n)
			}
		}
	})
}

func TestWriteItemsEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		table := &smallTable{t: t, written: map[string]int{}}
		if err := operator.WriteItems(ctx, table, "table", puts(4)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func TestWriteItemsReturnsTheErrorOfTheTable(t *testing.T) {
	table := &smallTable{t: t, written: map[string]int{}, err: errors.New("access denied")}
	if err := operator.WriteItems(t.Context(), table, "table", puts(1)); !errors.Is(err, table.err) {
		t.Errorf("got %v, want %v", err, table.err)
	}
}
