// Command media is the Lambda function that brings the files of messages into
// our own bucket, on requests from a FIFO queue.
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
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/awslog"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() {
	log := slog.New(lambdacontext.NewLogHandler())
	if err := run(context.Background(), os.Getenv, log); err != nil {
		log.Error("media cannot start", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	cfg, err := parseConfig(getenv)
	if err != nil {
		return err
	}
	if err := sdkworker.HideFromChildren(); err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithLogger(awslog.New(log)))
	if err != nil {
		return err
	}
	pool := sdkworker.NewPool(sdkworker.Config{
		Worker: cfg.worker, Library: cfg.library, Proxy: cfg.proxy,
		InitTimeout: archive.CallTimeout, MediaTimeout: archive.MediaCallTimeout, Log: log,
	})
	defer pool.Close()
	db := dynamodb.NewFromConfig(aws)
	fetcher := &archive.Fetcher{
		Corps:   dynamostore.NewCorps(db, cfg.corps),
		Secrets: secretstore.New(secretsmanager.NewFromConfig(aws), cfg.secrets, ""),
		Ledger:  dynamostore.NewLedger(db, cfg.ledger),
		Sources: pool,
		Files:   dynamostore.NewMedia(db, cfg.media),
		Objects: s3store.NewMedia(s3.NewFromConfig(aws), cfg.files),
		Queue:   sqsqueue.NewMedia(sqs.NewFromConfig(aws), cfg.requests, rand.Text),
		MaxSize: archive.MaxFileSize,
		Now:     time.Now,
		Sleep:   sleep,
		Log:     log,
	}
	lambda.StartWithOptions(handler{fetch: fetcher.Fetch, log: log}.handle, lambda.WithContext(ctx))
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
