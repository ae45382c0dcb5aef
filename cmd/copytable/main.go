// Command copytable copies a table into another one, of another account or
// region perhaps, byte for byte. It is run by a person who moves a stack, and
// has rights in both.
//
//	copytable -from-profile old -from-region R -from TABLE -to-profile new -to-region R -to TABLE
//
// Nobody may write to either meanwhile. What the second holds besides is left,
// so after a crash it is run again, with the same result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "copytable:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("copytable", flag.ContinueOnError)
	f.SetOutput(out)
	var from, to end
	for name, e := range map[string]*end{"from": &from, "to": &to} {
		f.StringVar(&e.table, name, "", "`name` of the table")
		f.StringVar(&e.profile, name+"-profile", "", "`profile` of the AWS configuration")
		f.StringVar(&e.region, name+"-region", "", "its `region`")
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || from.table == "" || to.table == "" {
		return errors.New("-from and -to are needed, and nothing without a flag")
	}
	if from == to {
		return errors.New("-from and -to are the same table")
	}
	for _, e := range []*end{&from, &to} {
		cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithSharedConfigProfile(e.profile), awsconfig.WithRegion(e.region))
		if err != nil {
			return err
		}
		e.client = dynamodb.NewFromConfig(cfg)
	}
	n, err := copyTable(ctx, from, to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s -> %s: %d items\n", from.table, to.table, n)
	return err
}

// end is a table and the way to it.
type end struct {
	profile, region, table string
	client                 *dynamodb.Client
}

const (
	segments  = 16 // of the table, each read and written by itself
	batchSize = 25 // of DynamoDB
)

// copyTable returns how many items were read and written.
func copyTable(ctx context.Context, from, to end) (int, error) {
	counts := make([]int, segments)
	group, ctx := errgroup.WithContext(ctx)
	for i := range segments {
		group.Go(func() (err error) {
			counts[i], err = copySegment(ctx, from, to, int32(i))
			return err
		})
	}
	err := group.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum, err
}

func copySegment(ctx context.Context, from, to end, segment int32) (n int, err error) {
	pages := dynamodb.NewScanPaginator(from.client, &dynamodb.ScanInput{
		TableName: &from.table, ConsistentRead: aws.Bool(true), Segment: &segment, TotalSegments: aws.Int32(segments),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, fmt.Errorf("reading %s: %w", from.table, err)
		}
		for items := range slices.Chunk(page.Items, batchSize) {
			var writes []types.WriteRequest
			for _, it := range items {
				writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
			}
			if err := write(ctx, to, writes); err != nil {
				return n, fmt.Errorf("writing %s: %w", to.table, err)
			}
			n += len(items)
		}
	}
	return n, nil
}

// write repeats what DynamoDB had no room for: a new table grows into a load.
func write(ctx context.Context, to end, writes []types.WriteRequest) error {
	for {
		out, err := to.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{to.table: writes}})
		if err != nil {
			return err
		}
		if writes = out.UnprocessedItems[to.table]; len(writes) == 0 {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
