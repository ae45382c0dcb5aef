// Command pull is the Lambda function that takes pages from WeCom into the
// journal, one corp at a time, on requests from a FIFO queue.
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
		log.Error("pull cannot start", "err", err)
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
		StartTimeout: archive.StartTimeout, InitTimeout: archive.InitTimeout, ChatDataTimeout: archive.CallTimeout,
		MaxProcesses: corpsAtOnce, MaxRSS: 128 << 20, MemoryLimit: 192 << 20, Log: log,
	})
	defer pool.Close()
	db := dynamodb.NewFromConfig(aws)
	queues := sqs.NewFromConfig(aws)
	puller := &archive.Puller{
		Corps:   dynamostore.NewCorps(db, cfg.corps),
		Secrets: secretstore.New(secretsmanager.NewFromConfig(aws), cfg.secrets, ""),
		Sources: pool,
		Ledger:  dynamostore.NewLedger(db, cfg.ledger),
		Journal: s3store.NewJournal(s3.NewFromConfig(aws), cfg.journal),
		Pulls:   sqsqueue.NewPull(queues, cfg.pulls, rand.Text),
		Decodes: sqsqueue.NewDecode(queues, cfg.decodes, rand.Text),
		Now:     time.Now,
		Sleep:   sleep,
		Log:     log,
	}
	lambda.StartWithOptions(handler{pull: puller.Pull, log: log}.handle, lambda.WithContext(ctx))
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
