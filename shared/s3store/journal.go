// Package s3store keeps the journal in one S3 bucket, and the files of messages
// in another (see [Media]). The objects of the journal are:
//
//	<corp>/pages/<after, 20 digits>-<sha256>  a page, as WeCom sent it
//	<corp>/gaps/<after, 20 digits>-<sha256>   the evidence of a gap
//	<corp>/heads/<day>.json                   the first head of a day that dispatch saw
//	<corp>/messages/<sha256>                  a message too long for the table
//
// An object is written only if its name is free, and never again. Pages and gaps
// carry their ledger row as metadata (after, first, last, count, at in ms, prev,
// hash; a gap also its reason). With it the chain can be checked, and restored,
// from the bucket alone.
//
// If a pull crashes between the journal and the ledger, the page may be pulled
// again at another time. Then the object keeps the hash of the first attempt and
// its ledger row has another hash; each follows from its own "at".
//
// Writing needs no right to read. The digest in a taken name says which bytes the
// object has, and S3 has checked the digest of every upload. Reading finds an
// object that another writer has put under the name.
//
// Reading needs s3:ListBucket: without that right S3 answers 403 for an object
// that does not exist.
package s3store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Client is what [Journal] needs of [*s3.Client].
type Client interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
}

var _ Client = (*s3.Client)(nil)

// Journal is an [archive.Journal] in a bucket. The bucket's own settings decide
// on encryption, object lock and versions.
type Journal struct {
	client Client
	bucket string
}

var (
	_ archive.Journal  = (*Journal)(nil)
	_ watch.HeadWriter = (*Journal)(nil)
)

// NewJournal keeps the journal in the given bucket.
func NewJournal(client Client, bucket string) *Journal {
	return &Journal{client: client, bucket: bucket}
}

// PutPage implements [archive.Journal].
func (j *Journal) PutPage(ctx context.Context, row archive.Row, page []byte) error {
	return j.put(ctx, object{
		name:        pageName(row),
		contentType: "application/json",
		sum:         row.Sum,
		body:        page,
		metadata:    rowMetadata(row),
	})
}

func rowMetadata(row archive.Row) map[string]string {
	return map[string]string{
		"after": strconv.FormatUint(row.After, 10),
		"first": strconv.FormatUint(row.First, 10),
		"last":  strconv.FormatUint(row.Last, 10),
		"count": strconv.Itoa(row.Count),
		"at":    strconv.FormatInt(row.At.UnixMilli(), 10),
		"prev":  row.Prev,
		"hash":  row.Hash,
	}
}

// Page implements [archive.Journal].
func (j *Journal) Page(ctx context.Context, row archive.Row) ([]byte, error) {
	return j.get(ctx, pageName(row), row.Size, row.Sum)
}

// Pages implements [archive.Journal]. An object whose name is not that of a page
// is [archive.ErrCorrupt].
func (j *Journal) Pages(ctx context.Context, corp string, from uint64) iter.Seq2[archive.PageObject, error] {
	return list(ctx, j, corp+"/pages/", fmt.Sprintf("%020d", from), func(name string, o types.Object) (archive.PageObject, error) {
		p, err := readPageName(name)
		p.Size, p.At = int(aws.ToInt64(o.Size)), aws.ToTime(o.LastModified).UTC()
		return p, err
	})
}

// list lists the objects behind a prefix, from the name after first on, as read
// reads their names. It ends after the first error.
func list[T any](ctx context.Context, j *Journal, prefix, first string, read func(name string, o types.Object) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &j.bucket, Prefix: &prefix, StartAfter: aws.String(prefix + first)}
		for pages := s3.NewListObjectsV2Paginator(j.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(*new(T), fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			for _, o := range page.Contents {
				t, err := read(strings.TrimPrefix(aws.ToString(o.Key), prefix), o)
				if err != nil {
					err = fmt.Errorf("list %s: object %s: %w", prefix, aws.ToString(o.Key), err)
				}
				if !yield(t, err) || err != nil {
					return
				}
			}
		}
	}
}

// PutGap implements [archive.Journal].
func (j *Journal) PutGap(ctx context.Context, row archive.Row) error {
	metadata := rowMetadata(row)
	metadata["reason"] = row.Reason
	return j.put(ctx, object{
		name:        gapName(row),
		contentType: "text/plain; charset=utf-8",
		sum:         row.Sum,
		body:        []byte(row.Evidence),
		metadata:    metadata,
	})
}

// Gap implements [archive.Journal]. The evidence is a text about the gap. Which
// gap it is about says the metadata.
func (j *Journal) Gap(ctx context.Context, row archive.Row) error {
	name := gapName(row)
	body, metadata, err := j.read(ctx, name, len(row.Evidence))
	if err != nil {
		return err
	}
	if metadata["last"] != strconv.FormatUint(row.Last, 10) || metadata["reason"] != row.Reason || archive.Digest(body) != row.Sum {
		return fmt.Errorf("read %s: %w", name, archive.ErrCorrupt)
	}
	return nil
}

// PutMessage implements [archive.Journal].
func (j *Journal) PutMessage(ctx context.Context, corp string, o archive.Overflow, raw []byte) error {
	return j.put(ctx, object{
		name:        messageName(corp, o),
		contentType: "application/octet-stream",
		sum:         o.Sum,
		body:        raw,
	})
}

// Message implements [archive.Journal].
func (j *Journal) Message(ctx context.Context, corp string, o archive.Overflow) ([]byte, error) {
	return j.get(ctx, messageName(corp, o), o.Size, o.Sum)
}

// headJSON is the stored form of a head. Numbers that may exceed 2^53 are strings,
// because many JSON readers lose their last digits.
type headJSON struct {
	V    int       `json:"v"`
	Corp string    `json:"corp"`
	Last uint64    `json:"last,string"`
	Rows uint64    `json:"rows,string"`
	Hash string    `json:"hash"`
	At   time.Time `json:"at"`
}

const headFormat = 1

// PutHead implements [watch.HeadWriter].
func (j *Journal) PutHead(ctx context.Context, day archive.Day, head archive.Head) error {
	name := headName(head.Corp, day)
	body, err := json.Marshal(headJSON{
		V: headFormat, Corp: head.Corp, Last: head.Last, Rows: head.Rows, Hash: head.Hash,
		At: head.At.UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return j.put(ctx, object{name: name, contentType: "application/json", sum: archive.Digest(body), body: body})
}

// Head reads a day's head; [archive.ErrNotFound]. It answers
// [archive.ErrCorrupt] if the object is not a head of that corp.
func (j *Journal) Head(ctx context.Context, corp string, day archive.Day) (archive.Head, error) {
	name := headName(corp, day)
	const enough = 4 << 10 // a head has about 250 bytes
	body, _, err := j.read(ctx, name, enough)
	if err != nil {
		return archive.Head{}, err
	}
	var h headJSON
	if err := json.Unmarshal(body, &h); err != nil || h.V < 1 || h.Corp != corp {
		return archive.Head{}, fmt.Errorf("read %s: %w", name, archive.ErrCorrupt)
	}
	if h.V > headFormat {
		return archive.Head{}, fmt.Errorf("read %s: format %d of a newer version; this version reads formats up to %d", name, h.V, headFormat)
	}
	return archive.Head{Corp: h.Corp, Last: h.Last, Rows: h.Rows, Hash: h.Hash, At: h.At.UTC()}, nil
}

// Heads implements [archive.Journal]. An object whose name is not that of a head is
// [archive.ErrCorrupt].
func (j *Journal) Heads(ctx context.Context, corp string) iter.Seq2[archive.HeadObject, error] {
	return list(ctx, j, corp+"/heads/", "", func(name string, o types.Object) (archive.HeadObject, error) {
		day := archive.Day(strings.TrimSuffix(name, ".json"))
		if day.Start().IsZero() || headName(corp, day) != corp+"/heads/"+name {
			return archive.HeadObject{}, archive.ErrCorrupt
		}
		return archive.HeadObject{Day: day, At: aws.ToTime(o.LastModified).UTC()}, nil
	})
}

func pageName(r archive.Row) string {
	return fmt.Sprintf("%s/pages/%020d-%s", r.Corp, r.After, r.Sum)
}

func readPageName(name string) (archive.PageObject, error) {
	after, sum, _ := strings.Cut(name, "-")
	n, err := strconv.ParseUint(after, 10, 64)
	if err != nil || len(after) != 20 || len(sum) != 2*sha256.Size {
		return archive.PageObject{}, archive.ErrCorrupt
	}
	return archive.PageObject{After: n, Sum: sum}, nil
}

func gapName(r archive.Row) string {
	return fmt.Sprintf("%s/gaps/%020d-%s", r.Corp, r.After, r.Sum)
}

func headName(corp string, day archive.Day) string {
	return corp + "/heads/" + string(day) + ".json"
}

func messageName(corp string, o archive.Overflow) string {
	return corp + "/messages/" + o.Sum
}

// object is what put writes.
type object struct {
	name, contentType string
	sum               string // hex SHA-256 of body
	body              []byte
	metadata          map[string]string
}

// put writes an object if its name is free. It refuses bytes that do not have the
// digest that the ledger will have. S3 refuses bytes that change on their way.
//
// A crash after it leaves an object without a ledger row; the next attempt finds
// the name taken.
func (j *Journal) put(ctx context.Context, o object) error {
	if archive.Digest(o.body) != o.sum {
		return fmt.Errorf("write %s: bytes differ from the given digest", o.name)
	}
	_, err := j.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:         &j.bucket,
		Key:            &o.name,
		Body:           bytes.NewReader(o.body),
		ContentType:    &o.contentType,
		Metadata:       o.metadata,
		IfNoneMatch:    aws.String("*"),
		ChecksumSHA256: aws.String(checksum(o.body)),
	}, retryRaces)
	if statusOf(err) == http.StatusPreconditionFailed {
		return nil // the name is taken
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", o.name, err)
	}
	return nil
}

// retryRaces tries again after a 409. S3 may answer 409 during another write of
// the same name.
func retryRaces(o *s3.Options) {
	o.Retryer = retry.AddWithErrorCodes(o.Retryer, "ConditionalRequestConflict")
}

func (j *Journal) get(ctx context.Context, name string, size int, sum string) ([]byte, error) {
	body, _, err := j.read(ctx, name, size)
	if err != nil {
		return nil, err
	}
	if len(body) != size || archive.Digest(body) != sum {
		return nil, fmt.Errorf("read %s: %w", name, archive.ErrCorrupt)
	}
	return body, nil
}

// read returns an object of at most limit bytes, and its metadata. A longer object
// is not what was stored: [archive.ErrCorrupt].
func (j *Journal) read(ctx context.Context, name string, limit int) (_ []byte, metadata map[string]string, err error) {
	out, err := j.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &j.bucket, Key: &name})
	var absent *types.NoSuchKey
	if errors.As(err, &absent) {
		return nil, nil, fmt.Errorf("read %s: %w", name, archive.ErrNotFound)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	// Read has reported every error that matters.
	defer func() { _ = out.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(out.Body, int64(limit)+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) > limit {
		return nil, nil, fmt.Errorf("read %s: %w", name, archive.ErrCorrupt)
	}
	return body, out.Metadata, nil
}

func statusOf(err error) int {
	var response interface{ HTTPStatusCode() int }
	var api smithy.APIError
	if errors.As(err, &api) && errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
