package archivetest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func TestDynamoLedger(t *testing.T) {
	archivetest.TestLedger(t, func(t testing.TB) archivetest.LedgerStore {
		return dynamostore.NewLedger(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "LedgerTable"))
	})
}

func TestDynamoMarks(t *testing.T) {
	archivetest.TestMarks(t, dynamostore.NewMarks(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "LedgerTable")))
}

func TestDynamoView(t *testing.T) {
	archivetest.TestView(t, func(t testing.TB) archivetest.ViewStore {
		return dynamostore.NewMessages(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "MessagesTable"))
	})
}

func TestDynamoCorps(t *testing.T) {
	archivetest.TestCorps(t, func(t testing.TB) archivetest.CorpStore {
		return dynamostore.NewCorps(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "CorpsTable"))
	})
}
