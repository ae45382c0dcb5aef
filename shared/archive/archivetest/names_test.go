package archivetest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func TestFakeContacts(t *testing.T) {
	archivetest.TestContacts(t, func(t testing.TB) archivetest.ContactStore {
		return archivetest.NewContacts(t, &archivetest.Faults{})
	})
}

func TestFakeConsents(t *testing.T) {
	archivetest.TestConsents(t, func(t testing.TB) archivetest.ConsentStore {
		return archivetest.NewConsents(t, &archivetest.Faults{})
	})
}

func TestDynamoContacts(t *testing.T) {
	archivetest.TestContacts(t, func(t testing.TB) archivetest.ContactStore {
		return dynamostore.NewContacts(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "ContactsTable"))
	})
}

func TestDynamoConsents(t *testing.T) {
	archivetest.TestConsents(t, func(t testing.TB) archivetest.ConsentStore {
		return dynamostore.NewConsents(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "ConsentsTable"), nil)
	})
}
