package s3store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/s3store"
)

const corp = "ww0123456789abcdef"

var at = time.UnixMilli(1742000000007)

func newJournal(t *testing.T) (*s3store.Journal, *s3.Client, string) {
	client, bucket := s3.NewFromConfig(awstest.Config(t)), awstest.Bucket(t)
	return s3store.NewJournal(client, bucket), client, bucket
}

func TestJournalConformance(t *testing.T) {
	archivetest.TestJournal(t, func(t testing.TB) archivetest.JournalStore {
		return s3store.NewJournal(s3.NewFromConfig(awstest.Config(t)), awstest.Bucket(t))
	})
}

// names lists the objects of the bucket.
func names(t *testing.T, client *s3.Client, bucket string) string {
	t.Helper()
	out, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range out.Contents {
		all = append(all, *o.Key)
	}
	return strings.Join(all, " ")
}

func TestJournalNamesAndMetadata(t *testing.T) {
	j, client, bucket := newJournal(t)
	head := archive.NewHead(corp)
	head.Last = 41
	page, raw := []byte(`{"errcode":0}`), []byte("long")
	row := archivetest.PageRow(head, page, 42, 1<<64-1, 3, at)
	o := archive.Overflow{Sum: archivetest.Sum(raw), Size: len(raw)}
	for _, err := range []error{
		j.PutPage(t.Context(), row, page),
		j.PutHead(t.Context(), "2025-03-15", head),
		j.PutMessage(t.Context(), corp, o, raw),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	pageName := fmt.Sprintf("%s/pages/00000000000000000041-%s", corp, row.Sum)
	want := fmt.Sprintf("%s/heads/2025-03-15.json %[1]s/messages/%s %s", corp, o.Sum, pageName)
	if got := names(t, client, bucket); got != want {
		t.Errorf("got objects %s, want %s", got, want)
	}
	got, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &pageName})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{
		"after": "41", "first": "42", "last": "18446744073709551615", "count": "3",
		"at": "1742000000007", "prev": row.Prev, "hash": row.Hash,
	}; !maps.Equal(got.Metadata, want) {
		t.Errorf("got metadata %v, want %v", got.Metadata, want)
	}
}

func TestTakenNameIsNotOverwritten(t *testing.T) {
	j, client, bucket := newJournal(t)
	page := []byte("page")
	row := archivetest.PageRow(archive.NewHead(corp), page, 1, 1, 1, at)
	name := fmt.Sprintf("%s/pages/%020d-%s", corp, 0, row.Sum)
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &name, Body: strings.NewReader("seen")}); err != nil {
		t.Fatal(err)
	}
	if err := j.PutPage(t.Context(), row, page); err != nil {
		t.Errorf("taken name: got error %v, want none", err)
	}
	if _, err := j.Page(t.Context(), row); !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("got error %v, want %v, because the object keeps its first bytes", err, archive.ErrCorrupt)
	}
}

func TestForeignBytesAreCorrupt(t *testing.T) {
	j, client, bucket := newJournal(t)
	raw := bytes.Repeat([]byte("x"), 1000)
	o := archive.Overflow{Sum: archivetest.Sum(raw), Size: len(raw)}
	for name, body := range map[string]string{
		"longer": string(raw) + "x", "shorter": string(raw[1:]), "other": strings.Repeat("y", 1000), "empty": "",
	} {
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: aws.String(corp + "/messages/" + o.Sum), Body: strings.NewReader(body),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Message(t.Context(), corp, o); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("%s: got error %v, want %v", name, err, archive.ErrCorrupt)
		}
	}
	for name, body := range map[string]string{
		"no JSON": "head", "another's": `{"v":1,"corp":"ww99999999"}`, "no format": `{"corp":"` + corp + `"}`,
		"endless": strings.Repeat(" ", 1<<20),
	} {
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: aws.String(corp + "/heads/2025-03-15.json"), Body: strings.NewReader(body),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Head(t.Context(), corp, "2025-03-15"); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("head, %s: got error %v, want %v", name, err, archive.ErrCorrupt)
		}
	}
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String(corp + "/heads/2025-03-15.json"), Body: strings.NewReader(`{"v":2,"corp":"` + corp + `"}`),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Head(t.Context(), corp, "2025-03-15"); err == nil || errors.Is(err, archive.ErrCorrupt) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("head of the next format: got %v, want an error that names a newer version", err)
	}
}

func TestWrongDigestIsNotStored(t *testing.T) {
	j, client, bucket := newJournal(t)
	page := []byte("page")
	row := archivetest.PageRow(archive.NewHead(corp), page, 1, 1, 1, at)
	if err := j.PutPage(t.Context(), row, []byte("pagE")); err == nil {
		t.Error("bytes that differ from the digest: got no error")
	}
	row.Sum = "x"
	if err := j.PutPage(t.Context(), row, page); err == nil {
		t.Error("digest without the right form: got no error")
	}
	if got := names(t, client, bucket); got != "" {
		t.Errorf("got objects %s, want none", got)
	}
}

// scripted is an S3 that answers with the given statuses in order, and repeats
// the last one.
func scripted(t *testing.T, answers ...string) (*s3.Client, *atomic.Int32) {
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := int(calls.Add(1)) - 1
		status, code, _ := strings.Cut(answers[min(n, len(answers)-1)], " ")
		number, err := strconv.Atoi(status)
		if err != nil {
			panic(err)
		}
		w.WriteHeader(number)
		if code != "" {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>quoted</Message></Error>", code)
		}
	}))
	t.Cleanup(srv.Close)
	client := s3.New(s3.Options{
		Region:       "cn-north-1",
		BaseEndpoint: &srv.URL,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider("made", "up", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	})
	return client, &calls
}

func TestJournalReadsAnswersOfS3(t *testing.T) {
	page := []byte("page")
	row := archivetest.PageRow(archive.NewHead(corp), page, 1, 1, 1, at)
	for _, c := range []struct {
		name      string
		answers   []string
		wantErr   bool
		wantCalls int32
	}{
		{"taken name", []string{"412 PreconditionFailed"}, false, 1},
		{"another write at the same time, which loses", []string{"409 ConditionalRequestConflict", "200"}, false, 2},
		{"another write at the same time, which wins", []string{"409 ConditionalRequestConflict", "412 PreconditionFailed"}, false, 2},
		{"busy", []string{"503 SlowDown", "200"}, false, 2},
		{"forbidden", []string{"403 AccessDenied"}, true, 1},
		{"bytes damaged on their way", []string{"400 BadDigest"}, true, 1},
	} {
		client, calls := scripted(t, c.answers...)
		err := s3store.NewJournal(client, "bucket").PutPage(t.Context(), row, page)
		if (err != nil) != c.wantErr || calls.Load() != c.wantCalls {
			t.Errorf("%s: got error %v after %d calls, want error=%v after %d", c.name, err, calls.Load(), c.wantErr, c.wantCalls)
		}
	}
	for answer, want := range map[string]error{"404 NoSuchKey": archive.ErrNotFound, "403 AccessDenied": nil, "404 NoSuchBucket": nil} {
		client, _ := scripted(t, answer)
		_, err := s3store.NewJournal(client, "bucket").Page(t.Context(), row)
		if err == nil || errors.Is(err, archive.ErrNotFound) != (want != nil) || errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("read, %s: got error %v, want %v (nil: any other error)", answer, err, want)
		}
	}
}

func TestMissingBucketIsNotMissingPage(t *testing.T) {
	client := s3.NewFromConfig(awstest.Config(t))
	j := s3store.NewJournal(client, awstest.Name(t))
	row := archivetest.PageRow(archive.NewHead(corp), []byte("page"), 1, 1, 1, at)
	if _, err := j.Page(t.Context(), row); err == nil || errors.Is(err, archive.ErrNotFound) {
		t.Errorf("got error %v, want an error other than %v", err, archive.ErrNotFound)
	}
}
