package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"
)

// settle is how long to wait once settings and ledger are gone. Nothing begins
// for a company without them, whatever waits in the queues; what had begun has
// ended after it, since it is longer than any function runs.
const settle = 6 * time.Minute

// eraser does one job.
type eraser struct {
	job
	dynamo  *dynamodb.Client
	s3      *s3.Client
	secrets *secretsmanager.Client
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	naming  bool // not only counting what is there: what is left is named
}

// erase counts, or erases: everything, then what was written meanwhile by
// whatever was still running, and then it looks once more.
func (e eraser) erase(ctx context.Context) (receipt, error) {
	r := e.newReceipt()
	order, err := e.examine(ctx, &r)
	if err != nil {
		return r, err
	}
	if err := e.pass(ctx, order, &r); err != nil || !e.confirmed {
		return r, err
	}
	if err := e.sleep(ctx, settle); err != nil {
		return r, fmt.Errorf("erased once, and interrupted before what was still running had ended, so run it again: %w", err)
	}
	if err := e.pass(ctx, order, &r); err != nil {
		return r, err
	}
	again := e
	again.confirmed, again.naming = false, true
	seen := e.newReceipt()
	if err := again.pass(ctx, order, &seen); err != nil {
		return r, err
	}
	r.Left = e.locks(ctx, seen.versions, r.refused)
	for bucket, n := range seen.Buckets {
		if n.Uploads > 0 {
			r.Left = append(r.Left, fmt.Sprintf("%d unfinished uploads in %s", n.Uploads, bucket))
		}
	}
	for table, n := range seen.Tables {
		if n > 0 {
			r.Left = append(r.Left, fmt.Sprintf("%d items in %s", n, table))
		}
	}
	for _, name := range seen.Secrets {
		r.Left = append(r.Left, "secret "+name)
	}
	slices.Sort(r.Left)
	r.Erased = len(r.Left) == 0
	return r, nil
}

func (e eraser) newReceipt() receipt {
	return receipt{
		Stack: e.stack, CorpID: e.corp, At: e.now().UTC().Truncate(time.Second),
		Buckets: map[string]count{}, Tables: map[string]int{}, Secrets: []string{}, Left: []string{},
		refused: map[object]string{},
	}
}

// examine finds settings and ledger among the tables, so that they come last,
// and refuses a company that is still pulled: its messages would come again.
func (e eraser) examine(ctx context.Context, r *receipt) (order []string, err error) {
	var last []string
	for _, table := range e.tables {
		settings, err := e.item(ctx, table, "corp")
		if err != nil {
			return nil, err
		}
		chain, err := e.item(ctx, table, "head")
		if err != nil {
			return nil, err
		}
		switch {
		case settings != nil:
			if enabled, ok := settings["enabled"].(*types.AttributeValueMemberBOOL); ok && enabled.Value && e.confirmed {
				return nil, fmt.Errorf("%s is switched on: switch it off first (PUT /v1/corps/%s/state)", e.corp, e.corp)
			}
			last = append(last, table)
		case chain != nil:
			var h struct {
				Last uint64 `dynamodbav:"last"`
				Rows uint64 `dynamodbav:"rows"`
				Hash string `dynamodbav:"hash"`
			}
			if err := attributevalue.UnmarshalMap(chain, &h); err != nil {
				return nil, fmt.Errorf("reading the head of the chain: %w", err)
			}
			r.Head = &head{h.Last, h.Rows, h.Hash}
			last = slices.Insert(last, 0, table)
		default:
			order = append(order, table)
		}
	}
	return append(order, last...), nil
}

func (e eraser) item(ctx context.Context, table, sk string) (map[string]types.AttributeValue, error) {
	out, err := e.dynamo.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: e.corp}, "sk": &types.AttributeValueMemberS{Value: sk},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	return out.Item, nil
}

// pass goes over everything once, erasing it if that is the job.
func (e eraser) pass(ctx context.Context, order []string, r *receipt) error {
	for _, bucket := range e.buckets {
		if err := e.bucket(ctx, bucket, r); err != nil {
			return fmt.Errorf("bucket %s: %w", bucket, err)
		}
	}
	for _, table := range order {
		if err := e.table(ctx, table, r); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return e.allSecrets(ctx, r)
}

type object struct{ bucket, key string }

type version struct {
	object
	id string
}

// bucket erases every version of every object, the marks of deleted ones, and
// uploads that were never finished. What is locked is left.
func (e eraser) bucket(ctx context.Context, bucket string, r *receipt) error {
	prefix := e.corp + "/"
	n, counted := r.Buckets[bucket], maps.Clone(r.refused)
	pages := s3.NewListObjectVersionsPaginator(e.s3, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		var ids []s3types.ObjectIdentifier
		add := func(key, id *string, bytes int64) {
			ids = append(ids, s3types.ObjectIdentifier{Key: key, VersionId: id})
			if _, again := counted[object{bucket, *key}]; !again {
				n.Versions++
				n.Bytes += bytes
			}
		}
		for _, v := range page.Versions {
			add(v.Key, v.VersionId, aws.ToInt64(v.Size))
		}
		for _, m := range page.DeleteMarkers {
			add(m.Key, m.VersionId, 0)
		}
		if e.naming {
			for _, id := range ids {
				r.versions = append(r.versions, version{object{bucket, *id.Key}, aws.ToString(id.VersionId)})
			}
		}
		if e.confirmed && len(ids) > 0 {
			if err := e.deleteVersions(ctx, bucket, ids, r); err != nil {
				return err
			}
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(e.s3, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			n.Uploads++
			if !e.confirmed {
				continue
			}
			_, err := e.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
			if absent := (*s3types.NoSuchUpload)(nil); err != nil && !errors.As(err, &absent) {
				return err
			}
		}
	}
	r.Buckets[bucket] = n
	return nil
}

func (e eraser) deleteVersions(ctx context.Context, bucket string, ids []s3types.ObjectIdentifier, r *receipt) error {
	in := &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &s3types.Delete{Objects: ids, Quiet: aws.Bool(true)}}
	if e.bypass {
		in.BypassGovernanceRetention = aws.Bool(true)
	}
	out, err := e.s3.DeleteObjects(ctx, in)
	if err != nil {
		return err
	}
	for _, refused := range out.Errors {
		r.refused[object{bucket, aws.ToString(refused.Key)}] = aws.ToString(refused.Code)
	}
	return nil
}

// locks names the versions that are left, each with the kind of its lock and
// when that ends, or with S3's refusal if there is none or it cannot be read.
func (e eraser) locks(ctx context.Context, left []version, refused map[object]string) []string {
	names := make([]string, len(left))
	var group errgroup.Group
	group.SetLimit(16)
	for i, v := range left {
		group.Go(func() error {
			why := cmp.Or(refused[v.object], "written at the end")
			out, err := e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &v.bucket, Key: &v.key, VersionId: &v.id})
			if err == nil && out.ObjectLockRetainUntilDate != nil {
				why = fmt.Sprintf("%s lock until %s", out.ObjectLockMode, out.ObjectLockRetainUntilDate.UTC().Format(time.RFC3339))
			}
			names[i] = fmt.Sprintf("%s of %s, version %s: %s", v.key, v.bucket, v.id, why)
			return nil
		})
	}
	_ = group.Wait()
	return names
}

// table erases the items whose partition is the company, or begins with it and
// a '#': another company's id may begin with this one's.
func (e eraser) table(ctx context.Context, table string, r *receipt) error {
	pages := dynamodb.NewScanPaginator(e.dynamo, &dynamodb.ScanInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		FilterExpression: aws.String("pk = :corp OR begins_with(pk, :parts)"), ProjectionExpression: aws.String("pk, sk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":corp": &types.AttributeValueMemberS{Value: e.corp}, ":parts": &types.AttributeValueMemberS{Value: e.corp + "#"},
		},
	})
	n := r.Tables[table]
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		n += len(page.Items)
		if !e.confirmed {
			continue
		}
		for keys := range slices.Chunk(page.Items, 25) {
			var writes []types.WriteRequest
			for _, key := range keys {
				writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}})
			}
			if err := e.deleteAll(ctx, table, writes); err != nil {
				return err
			}
		}
	}
	r.Tables[table] = n
	return nil
}

// deleteAll repeats what DynamoDB had no room for.
func (e eraser) deleteAll(ctx context.Context, table string, writes []types.WriteRequest) error {
	for len(writes) > 0 {
		out, err := e.dynamo.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: writes}})
		if err != nil {
			return err
		}
		if writes = out.UnprocessedItems[table]; len(writes) == 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// allSecrets schedules the company's secrets for deletion, private keys last.
func (e eraser) allSecrets(ctx context.Context, r *receipt) error {
	prefix := e.stack + "/" + e.corp + "/"
	pages := secretsmanager.NewListSecretsPaginator(e.secrets, &secretsmanager.ListSecretsInput{
		Filters: []smtypes.Filter{{Key: smtypes.FilterNameStringTypeName, Values: []string{prefix}}},
	})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing secrets: %w", err)
		}
		for _, s := range page.SecretList {
			// The filter also finds words; one that is deleted is listed no more.
			if name := aws.ToString(s.Name); strings.HasPrefix(name, prefix) && s.DeletedDate == nil {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		key := func(s string) int {
			if strings.Contains(s, "/key/") {
				return 1
			}
			return 0
		}
		if d := key(a) - key(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		r.Secrets = append(r.Secrets, name)
		if !e.confirmed {
			continue
		}
		_, err := e.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{
			SecretId: &name, RecoveryWindowInDays: aws.Int64(int64(e.secretsWindow)),
		})
		if absent := (*smtypes.ResourceNotFoundException)(nil); err != nil && !errors.As(err, &absent) {
			return fmt.Errorf("deleting secret %s: %w", name, err)
		}
	}
	return nil
}
