// Package awstest gives tests the local AWS services, and tables, queues and
// buckets of their own in them.
//
// The services are those that a parent process passed on by the environment
// (the command withaws runs all packages' tests with one pair), or else are
// started once per test process and end with it.
package awstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/needs"
)

// services start at the first test that needs them. There is no Stop: they
// serve until the last test, and die with the process.
var services = sync.OnceValues(func() (*aws.Services, error) {
	if s, ok := aws.FromEnv(os.Getenv); ok {
		return s, nil
	}
	return aws.Start(context.Background(), aws.Options{})
})

// Services are the local services. The test fails if they cannot be started;
// only make unit leaves the test out.
func Services(t testing.TB) *aws.Services {
	t.Helper()
	needs.Servers(t)
	s, err := services()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Config is an SDK configuration for the local services.
func Config(t testing.TB) sdk.Config {
	t.Helper()
	return Services(t).Config()
}

// Name makes a name that nothing else in the services has, good for tables,
// queues, buckets and secrets: lower-case letters, digits and dashes, at most
// 56 characters.
func Name(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	return strings.Trim(name[:min(len(name), 28)], "-") + "-" + strings.ToLower(rand.Text())
}

// Table makes an empty table with the keys and indexes that the resource with
// the given logical id has in the repository's template.yaml, and returns its
// name. It is deleted when the test ends.
func Table(t testing.TB, logicalID string) string {
	t.Helper()
	tables, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	schema, ok := tables[logicalID]
	if !ok {
		t.Fatalf("template.yaml has no table %s", logicalID)
	}
	in, name := *schema, Name(t)
	in.TableName = &name
	client := dynamodb.NewFromConfig(Config(t))
	if _, err := client.CreateTable(t.Context(), &in); err != nil {
		t.Fatalf("creating a table like %s: %v", logicalID, err)
	}
	cleanup(t, func(ctx context.Context) error {
		_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
		return err
	})
	return name
}

// Queue makes an empty standard queue and returns its URL. It is deleted when
// the test ends.
func Queue(t testing.TB) string {
	t.Helper()
	return queue(t, Name(t), nil)
}

// FIFOQueue is like Queue, for a FIFO queue without content-based
// deduplication.
func FIFOQueue(t testing.TB) string {
	t.Helper()
	return queue(t, Name(t)+".fifo", map[string]string{"FifoQueue": "true"})
}

func queue(t testing.TB, name string, attributes map[string]string) string {
	t.Helper()
	client := sqs.NewFromConfig(Config(t))
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatalf("creating a queue: %v", err)
	}
	cleanup(t, func(ctx context.Context) error {
		_, err := client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: made.QueueUrl})
		return err
	})
	return *made.QueueUrl
}

// Bucket makes an empty bucket and returns its name. It stays, with what the
// test put into it, as long as the services do.
func Bucket(t testing.TB) string {
	t.Helper()
	cfg, name := Config(t), Name(t)
	if _, err := s3.NewFromConfig(cfg).CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &name,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(cfg.Region),
		},
	}); err != nil {
		t.Fatalf("creating a bucket: %v", err)
	}
	return name
}

// cleanup runs f when the test has ended, when its own context is over.
func cleanup(t testing.TB, f func(context.Context) error) {
	t.Cleanup(func() {
		if err := f(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// schemas are the tables of the template.
var schemas = sync.OnceValues(func() (map[string]*dynamodb.CreateTableInput, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	template, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the tables' schema: %w", err)
	}
	return aws.Tables(template)
})

// repository is the folder of go.mod, found from the folder of the package
// under test, which is where tests run.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working folder: tests run within the repository")
		}
		dir = up
	}
}
