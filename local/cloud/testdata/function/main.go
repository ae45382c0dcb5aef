// Command function is every function of testdata/template.yaml. The variable ROLE
// says which function it is. The tests compile it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	f := function{
		files: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), queue: sqs.NewFromConfig(cfg),
		tables: dynamodb.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg),
	}
	switch os.Getenv("ROLE") {
	case "front":
		lambda.Start(f.front)
	case "back":
		lambda.Start(f.back)
	case "tick":
		lambda.Start(f.tick)
	}
}

type function struct {
	files   *s3.Client
	queue   *sqs.Client
	tables  *dynamodb.Client
	secrets *secretsmanager.Client
}

func answer(status int, body string, err error) (events.APIGatewayV2HTTPResponse, error) {
	if err != nil {
		return events.APIGatewayV2HTTPResponse{StatusCode: 500, Body: err.Error()}, nil
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: status, Body: body}, nil
}

// front serves POST and GET of /v1/files/{name}, PUT and GET of /v1/secret, and
// GET of the last scheduled event and of the token's corp.
func (f function) front(ctx context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	name, isFile := strings.CutPrefix(r.RawPath, "/v1/files/")
	switch key := r.RequestContext.HTTP.Method + " " + r.RawPath; {
	case key == "GET /health":
		return answer(200, "well", nil)
	case key == "GET /v1/corp":
		return answer(200, r.RequestContext.Authorizer.JWT.Claims["corp"], nil)
	case key == "PUT /v1/secret":
		_, err := f.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(os.Getenv("SECRET")), SecretString: &r.Body})
		return answer(200, "", err)
	case key == "GET /v1/secret":
		s, err := f.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(os.Getenv("SECRET"))})
		if err != nil {
			return answer(0, "", err)
		}
		return answer(200, *s.SecretString, nil)
	case key == "GET /v1/ticks":
		got, err := f.tables.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: aws.String(os.Getenv("TABLE")), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "tick"}},
		})
		if err != nil || got.Item == nil {
			return answer(404, "", err)
		}
		return answer(200, got.Item["detail"].(*types.AttributeValueMemberS).Value, nil)
	case isFile && r.RequestContext.HTTP.Method == "POST":
		body, err := json.Marshal(map[string]string{"name": name, "text": r.Body})
		if err != nil {
			return answer(0, "", err)
		}
		_, err = f.queue.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: aws.String(os.Getenv("QUEUE_URL")), MessageGroupId: aws.String("files"),
			MessageDeduplicationId: aws.String(name), MessageBody: aws.String(string(body)),
		})
		return answer(202, "", err)
	case isFile:
		o, err := f.files.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(os.Getenv("BUCKET")), Key: &name})
		if err != nil {
			return answer(404, "", nil)
		}
		defer o.Body.Close()
		text, err := io.ReadAll(o.Body)
		return answer(200, string(text)+" by "+o.Metadata["by"], err)
	}
	return answer(404, "", nil)
}

// back stores the files that front sent. For a text such as $NAME it stores the
// value of that environment variable.
func (f function) back(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	var r events.SQSEventResponse
	for _, m := range e.Records {
		var file struct{ Name, Text string }
		if err := json.Unmarshal([]byte(m.Body), &file); err != nil {
			return r, err
		}
		if name, ok := strings.CutPrefix(file.Text, "$"); ok {
			file.Text = os.Getenv(name)
		}
		// The key has a slash and Chinese letters, like real keys.
		_, err := f.files.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(os.Getenv("BUCKET")), Key: &file.Name, Body: bytes.NewReader([]byte(file.Text)),
			Metadata: map[string]string{"by": "back"},
		})
		if err != nil {
			r.BatchItemFailures = append(r.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return r, nil
}

// tick stores the scheduled event.
func (f function) tick(ctx context.Context, e events.EventBridgeEvent) error {
	rule, _, _ := strings.Cut(strings.Join(e.Resources, " "), "rule/")
	detail := e.DetailType + " in " + e.Region + " of " + e.AccountID + " by " + rule + "rule/"
	_, err := f.tables.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(os.Getenv("TABLE")),
		Item: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "tick"}, "detail": &types.AttributeValueMemberS{Value: detail},
		},
	})
	return err
}
