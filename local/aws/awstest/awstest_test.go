package awstest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

func TestEachTestHasItsOwn(t *testing.T) {
	cfg, ctx := awstest.Config(t), t.Context()
	tables := dynamodb.NewFromConfig(cfg)
	a, b := awstest.Table(t, "CorpsTable"), awstest.Table(t, "CorpsTable")
	if a == b {
		t.Errorf("two tables are both named %s", a)
	}
	key := map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "p"},
		"sk": &types.AttributeValueMemberS{Value: "s"},
	}
	if _, err := tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: &a, Item: key}); err != nil {
		t.Error(err)
	}
	got, err := tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: &b, Key: key})
	if err != nil || len(got.Item) != 0 {
		t.Errorf("the other table: got %d attributes, error %v, want none", len(got.Item), err)
	}

	body := "hello"
	for name, url := range map[string]string{"queue": awstest.Queue(t), "fifo": awstest.FIFOQueue(t)} {
		in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}
		if name == "fifo" {
			in.MessageGroupId, in.MessageDeduplicationId = &body, &body
		}
		if _, err := sqs.NewFromConfig(cfg).SendMessage(ctx, in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bucket := awstest.Bucket(t)
	if _, err := s3.NewFromConfig(cfg).PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &body}); err != nil {
		t.Errorf("bucket: %v", err)
	}
}
