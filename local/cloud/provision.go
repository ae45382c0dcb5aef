package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventbridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// provision makes the template's resources that do not exist yet.
func (c *Cloud) provision(ctx context.Context) error {
	for id := range c.tables {
		if err := c.createTable(ctx, id); err != nil {
			return err
		}
	}
	buckets := s3.NewFromConfig(c.Config)
	for _, b := range c.Stack.Buckets {
		if err := createBucket(ctx, buckets, c.Stack.Region, b); err != nil {
			return fmt.Errorf("make bucket %s: %w", b.Name, err)
		}
	}
	topics := sns.NewFromConfig(c.Config)
	for _, name := range c.Stack.Topics {
		if _, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name}); err != nil {
			return fmt.Errorf("make topic %s: %w", name, err)
		}
	}
	buses := eventbridge.NewFromConfig(c.Config)
	for _, name := range c.Stack.Buses {
		_, err := buses.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: &name})
		if exists := (*eventbridgetypes.ResourceAlreadyExistsException)(nil); err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("make event bus %s: %w", name, err)
		}
	}
	queues := sqs.NewFromConfig(c.Config)
	// A dead-letter queue is made before the queues that name it.
	inOrder := slices.Clone(c.Stack.Queues)
	slices.SortStableFunc(inOrder, func(a, b template.Queue) int {
		return len(a.DeadLetterARN) - len(b.DeadLetterARN)
	})
	for _, q := range inOrder {
		if err := createQueue(ctx, queues, q); err != nil {
			return fmt.Errorf("make queue %s: %w", q.Name, err)
		}
	}
	return nil
}

func (c *Cloud) createTable(ctx context.Context, id string) error {
	in := *c.tables[id]
	in.TableName = sdk.String(c.Stack.Tables[id])
	client := dynamodb.NewFromConfig(c.Config)
	_, err := client.CreateTable(ctx, &in)
	if exists := (*dynamodbtypes.ResourceInUseException)(nil); errors.As(err, &exists) {
		err = nil
	}
	if err == nil {
		err = dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: in.TableName}, time.Minute)
	}
	if err != nil {
		return fmt.Errorf("make table %s: %w", *in.TableName, err)
	}
	return nil
}

// WipeTable empties a table with the given logical id. Tests and people use it to
// see that the view can be rebuilt.
func (c *Cloud) WipeTable(ctx context.Context, id string) error {
	name, ok := c.Stack.Tables[id]
	if !ok {
		return fmt.Errorf("table %s not declared in the template", id)
	}
	client := dynamodb.NewFromConfig(c.Config)
	if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
		return fmt.Errorf("delete table %s: %w", name, err)
	}
	if err := dynamodb.NewTableNotExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		return fmt.Errorf("delete table %s: %w", name, err)
	}
	return c.createTable(ctx, id)
}

func createBucket(ctx context.Context, client *s3.Client, region string, b template.Bucket) error {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &b.Name,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{
			LocationConstraint: s3types.BucketLocationConstraint(region),
		},
	})
	if owned := (*s3types.BucketAlreadyOwnedByYou)(nil); err != nil && !errors.As(err, &owned) {
		return err
	}
	if !b.Versioned {
		return nil
	}
	_, err = client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  &b.Name,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	})
	return err
}

func createQueue(ctx context.Context, client *sqs.Client, q template.Queue) error {
	attributes := map[string]string{"VisibilityTimeout": seconds(q.Visibility)}
	if q.FIFO {
		attributes["FifoQueue"] = "true"
	}
	if q.Retention > 0 {
		attributes["MessageRetentionPeriod"] = seconds(q.Retention)
	}
	if q.DeadLetterARN != "" {
		redrive, err := json.Marshal(map[string]any{
			"deadLetterTargetArn": q.DeadLetterARN, "maxReceiveCount": q.MaxReceives,
		})
		if err != nil {
			return err
		}
		attributes["RedrivePolicy"] = string(redrive)
	}
	_, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &q.Name, Attributes: attributes})
	return err
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
