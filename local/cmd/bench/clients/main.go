// Command clients is a Lambda function that does nothing but construct the clients
// of the AWS services which CLIENTS names.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	var clients []any
	for name := range strings.SplitSeq(os.Getenv("CLIENTS"), " ") {
		switch name {
		case "dynamodb":
			clients = append(clients, dynamodb.NewFromConfig(cfg))
		case "eventbridge":
			clients = append(clients, eventbridge.NewFromConfig(cfg))
		case "s3":
			clients = append(clients, s3.NewFromConfig(cfg))
		case "secretsmanager":
			clients = append(clients, secretsmanager.NewFromConfig(cfg))
		case "sns":
			clients = append(clients, sns.NewFromConfig(cfg))
		case "sqs":
			clients = append(clients, sqs.NewFromConfig(cfg))
		default:
			log.Fatalf("CLIENTS names %q, which is no client", name)
		}
	}
	lambda.Start(func(map[string]any) (int, error) { return len(clients), nil })
}
