// Command copytable copies a table into another table, perhaps of another
// account or region, byte for byte. An operator who moves a stack runs it, with
// rights in both accounts.
//
//	copytable -from-profile old -from-region R -from TABLE -to-profile new -to-region R -to TABLE
//
// No other process may write to either table meanwhile. The command keeps items
// that only the second table has. After a crash, part of the items is copied;
// run the command again, with the same result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
)

func main() { operator.Main("copytable", run) }

func run(ctx context.Context, args []string, s operator.Streams) error {
	f := flag.NewFlagSet("copytable", flag.ContinueOnError)
	f.SetOutput(s.Progress)
	var from, to end
	for name, e := range map[string]*end{"from": &from, "to": &to} {
		f.StringVar(&e.table, name, "", "`name` of the table")
		f.StringVar(&e.profile, name+"-profile", "", "`profile` of the AWS configuration")
		f.StringVar(&e.region, name+"-region", "", "`region` of the table")
	}
	if err := flags.ParseAll(f, args); err != nil {
		return err
	}
	if from.table == "" || to.table == "" {
		return flags.Mistake(errors.New("-from and -to are required"))
	}
	if from == to {
		return flags.Mistake(errors.New("-from and -to are the same table"))
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
	_, err = fmt.Fprintf(s.Out, "%s -> %s: %d items\n", from.table, to.table, n)
	return err
}

// An end is a table and the access to it.
type end struct {
	profile, region, table string
	client                 *dynamodb.Client
}

// segments is the number of parts of the table that are copied in parallel.
const segments = 16

// copyTable returns the number of items that were read and written.
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
			return n, fmt.Errorf("read %s: %w", from.table, err)
		}
		var writes []types.WriteRequest
		for _, item := range page.Items {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
		}
		if err := operator.WriteItems(ctx, to.client, to.table, writes); err != nil {
			return n, fmt.Errorf("write %s: %w", to.table, err)
		}
		n += len(page.Items)
	}
	return n, nil
}
