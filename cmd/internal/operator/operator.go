// Package operator holds what the commands that change real accounts share:
// their start and end, and the deletion and writing of items in batches.
package operator

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/flags"
)

// Streams are where a command writes: its result to Out, and lines for the
// waiting operator to Progress.
type Streams struct{ Out, Progress io.Writer }

// Main runs a command until it ends, or until the operator interrupts it. An
// error is printed under the command's name and ends the process with the status of
// package flags. Main is the last call of a main function.
func Main(name string, run func(ctx context.Context, args []string, s Streams) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], Streams{Out: os.Stdout, Progress: os.Stderr})
	stop()
	flags.Exit(name+": ", err)
}

// BatchWriter is the call of DynamoDB that WriteItems needs.
type BatchWriter interface {
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
}

const (
	batchSize  = 25 // DynamoDB's limit
	retryPause = 100 * time.Millisecond
)

// WriteItems writes or deletes items of one table. It repeats the writes that
// DynamoDB leaves unprocessed, since a new table grows only under load. After
// an error some of the writes have happened; every write is safe to repeat.
func WriteItems(ctx context.Context, client BatchWriter, table string, writes []types.WriteRequest) error {
	for batch := range slices.Chunk(writes, batchSize) {
		for len(batch) > 0 {
			out, err := client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: batch}})
			if err != nil {
				return err
			}
			if batch = out.UnprocessedItems[table]; len(batch) == 0 {
				break
			}
			select {
			case <-time.After(retryPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
