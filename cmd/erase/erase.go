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

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
)

// settle is the pause between the two passes. After the first pass the company
// has no settings and no ledger, so no function begins work for it, whatever
// the queues still hold. settle is longer than any function may run, so all
// earlier work has ended too.
const settle = 6 * time.Minute

// An eraser erases one company.
type eraser struct {
	job
	dynamo  *dynamodb.Client
	s3      *s3.Client
	secrets *secretsmanager.Client
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	naming  bool // collect the names of object versions, besides counting them
}

// erase counts, or erases in two passes and then looks for what is left.
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
		// After an interruption here it is enough to run the command again: it then
		// also deletes what a running function wrote after the first pass.
		return r, fmt.Errorf("interrupted between the two passes, so run it again: %w", err)
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

// examine orders the tables: the ledger second to last, the settings last. It
// refuses a company that is switched on, because pull would store its messages
// again.
func (e eraser) examine(ctx context.Context, r *receipt) (order []string, err error) {
	var last []string
	for _, table := range e.tables {
		settings, err := e.item(ctx, table, e.corp, "corp")
		if err != nil {
			return nil, err
		}
		chain, err := e.item(ctx, table, e.corp+"#chain", "head")
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
				return nil, fmt.Errorf("read the head of the chain: %w", err)
			}
			r.Head = &head{h.Last, h.Rows, h.Hash}
			last = slices.Insert(last, 0, table)
		default:
			order = append(order, table)
		}
	}
	return append(order, last...), nil
}

func (e eraser) item(ctx context.Context, table, pk, sk string) (map[string]types.AttributeValue, error) {
	out, err := e.dynamo.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	return out.Item, nil
}

// pass counts everything of the company, and erases it if the job is confirmed.
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

// bucket counts and erases versions of objects and unfinished uploads.
func (e eraser) bucket(ctx context.Context, bucket string, r *receipt) error {
	n := r.Buckets[bucket]
	if err := e.allVersions(ctx, bucket, &n, r); err != nil {
		return err
	}
	if err := e.uploads(ctx, bucket, &n); err != nil {
		return err
	}
	r.Buckets[bucket] = n
	return nil
}

// allVersions erases every version of every object, delete markers included.
// Locked versions stay.
func (e eraser) allVersions(ctx context.Context, bucket string, n *count, r *receipt) error {
	prefix := e.corp + "/"
	// Objects that S3 refused to delete in an earlier pass are in r.refused; do
	// not count them again.
	counted := maps.Clone(r.refused)
	pages := s3.NewListObjectVersionsPaginator(e.s3, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		var ids []s3types.ObjectIdentifier
		add := func(key, id *string, bytes int64) {
			ids = append(ids, s3types.ObjectIdentifier{Key: key, VersionId: id})
			if e.naming {
				r.versions = append(r.versions, version{object{bucket, *key}, aws.ToString(id)})
			}
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
		if err := e.deleteVersions(ctx, bucket, ids, r); err != nil {
			return err
		}
	}
	return nil
}

// uploads aborts uploads that were never finished.
func (e eraser) uploads(ctx context.Context, bucket string, n *count) error {
	prefix := e.corp + "/"
	pages := s3.NewListMultipartUploadsPaginator(e.s3, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		n.Uploads += len(page.Uploads)
		if !e.confirmed {
			continue
		}
		for _, u := range page.Uploads {
			_, err := e.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
			if absent := (*s3types.NoSuchUpload)(nil); err != nil && !errors.As(err, &absent) {
				return err
			}
		}
	}
	return nil
}

// deleteVersions deletes versions if the job is confirmed, and records the
// objects whose deletion S3 refused.
func (e eraser) deleteVersions(ctx context.Context, bucket string, ids []s3types.ObjectIdentifier, r *receipt) error {
	if !e.confirmed || len(ids) == 0 {
		return nil
	}
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

// locks names each version that is left, with the kind and the end of its
// lock. Without a readable lock the reason is S3's error code.
func (e eraser) locks(ctx context.Context, left []version, refused map[object]string) []string {
	names := make([]string, len(left))
	var group errgroup.Group
	group.SetLimit(16)
	for i, v := range left {
		group.Go(func() error {
			why := cmp.Or(refused[v.object], "written after the second pass")
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

// table erases the items of the company's partitions: their keys are its id, or
// begin with its id and '#'. The '#' matters, because the id of another company
// may begin with this one's. The running jobs of all companies share a partition;
// there the sort keys begin in that way.
func (e eraser) table(ctx context.Context, table string, r *receipt) error {
	pages := dynamodb.NewScanPaginator(e.dynamo, &dynamodb.ScanInput{
		TableName: &table, ConsistentRead: aws.Bool(true),
		FilterExpression: aws.String("pk = :corp OR begins_with(pk, :parts) OR pk = :jobs AND begins_with(sk, :parts)"), ProjectionExpression: aws.String("pk, sk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":corp": &types.AttributeValueMemberS{Value: e.corp}, ":parts": &types.AttributeValueMemberS{Value: e.corp + "#"},
			":jobs": &types.AttributeValueMemberS{Value: "@jobs"},
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
		var deletes []types.WriteRequest
		for _, key := range page.Items {
			deletes = append(deletes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}})
		}
		if err := operator.WriteItems(ctx, e.dynamo, table, deletes); err != nil {
			return err
		}
	}
	r.Tables[table] = n
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
			return fmt.Errorf("list secrets: %w", err)
		}
		for _, s := range page.SecretList {
			// The filter also matches words inside of a name. A secret that is
			// scheduled for deletion counts as gone.
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
			return fmt.Errorf("delete secret %s: %w", name, err)
		}
	}
	return nil
}
