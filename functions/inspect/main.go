// Command inspect is the Lambda function that asks WeCom's HTTP API from the
// trusted address: whether set-up works, who is archived, who has agreed to
// it, and what people and rooms are called.
//
// It is asked through a FIFO queue whose group is the corp, and not invoked
// directly. So one instance at a time asks for a corp, which keeps WeCom's
// limits per corp and the pauses after refusals without a lock; a request
// that fails comes again, and one that nobody can serve is kept among the dead
// letters; and readers, who cause most requests, never wait for it.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/awslog"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
	"github.com/yunduo-scrm/archive/shared/wecomapi"
)

func main() {
	log := slog.New(lambdacontext.NewLogHandler())
	if err := run(context.Background(), os.Getenv, log); err != nil {
		log.Error("inspect cannot start", "err", err)
		os.Exit(1)
	}
}

// callTimeout bounds one call of WeCom's HTTP API.
const callTimeout = 5 * time.Second

func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	cfg, err := parseConfig(getenv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithLogger(awslog.New(log)))
	if err != nil {
		return err
	}
	wecom, err := wecomapi.New(wecomapi.Config{Base: cfg.base, Proxy: cfg.proxy, CallTimeout: callTimeout, Now: time.Now, Sleep: sleep})
	if err != nil {
		return err
	}
	db := dynamodb.NewFromConfig(aws)
	inspector := &archive.Inspector{
		Corps:    dynamostore.NewCorps(db, cfg.corps),
		Secrets:  secretstore.New(secretsmanager.NewFromConfig(aws), cfg.secrets, ""),
		WeCom:    wecom,
		Ledger:   dynamostore.NewLedger(db, cfg.ledger),
		Store:    dynamostore.NewContacts(db, cfg.contacts),
		Consents: dynamostore.NewConsents(db, cfg.consents),
		Requests: sqsqueue.NewInspect(sqs.NewFromConfig(aws), cfg.inspections, rand.Text),
		Now:      time.Now,
		Sleep:    sleep,
		Log:      log,
	}
	lambda.StartWithOptions(handler{inspect: inspector.Inspect, log: log}.handle, lambda.WithContext(ctx))
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
