package apitest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

// shared are the tables, by the logical id that template.yaml gives them, and
// the bucket that the tests of a process share. They last as long as the local
// services.
type shared struct {
	names  map[string]string
	bucket string
}

var (
	made     sync.Once
	tableSet shared
	errTable error
)

// tables makes the shared tables at the first call: creating tables took more
// time than the tests themselves when each test had its own.
func tables(t *testing.T) shared {
	t.Helper()
	cfg := awstest.Config(t)
	made.Do(func() {
		tableSet.bucket = awstest.Bucket(t)
		tableSet.names, errTable = createTables(context.WithoutCancel(t.Context()), dynamodb.NewFromConfig(cfg))
	})
	if errTable != nil {
		t.Fatal(errTable)
	}
	return tableSet
}

func createTables(ctx context.Context, client *dynamodb.Client) (map[string]string, error) {
	template, err := os.ReadFile("../../../../template.yaml")
	if err != nil {
		return nil, err
	}
	schemas, err := aws.Tables(template)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string)
	for _, id := range []string{"CorpsTable", "LedgerTable", "MessagesTable", "ReadingsTable", "MediaTable", "ContactsTable", "ConsentsTable"} {
		schema, ok := schemas[id]
		if !ok {
			return nil, fmt.Errorf("template.yaml has no table %s", id)
		}
		in, name := *schema, "api-"+id+"-"+strings.ToLower(rand.Text())
		in.TableName = &name
		if _, err := client.CreateTable(ctx, &in); err != nil {
			return nil, fmt.Errorf("create a table like %s: %w", id, err)
		}
		names[id] = name
	}
	return names, nil
}
