// Command decode is the Lambda function that turns journal pages into
// messages, and runs replays.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"runtime"
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
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() {
	log := slog.New(lambdacontext.NewLogHandler())
	if err := run(context.Background(), os.Getenv, log); err != nil {
		log.Error("decode cannot start", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	cfg, err := parseConfig(getenv)
	if err != nil {
		return err
	}
	// Private keys are in this process and vendor code in a child of it.
	if err := sdkworker.HideFromChildren(); err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithLogger(awslog.New(log)))
	if err != nil {
		return err
	}
	pool := sdkworker.NewPool(sdkworker.Config{
		Worker: cfg.worker, Library: cfg.library, Proxy: cfg.proxy,
		StartTimeout: archive.StartTimeout, InitTimeout: archive.InitTimeout, DecryptTimeout: archive.DecryptTimeout,
		MaxProcesses: 4, MaxRSS: 128 << 20, MemoryLimit: 256 << 20, Log: log,
	})
	defer pool.Close()
	db := dynamodb.NewFromConfig(aws)
	secrets := secretstore.New(secretsmanager.NewFromConfig(aws), cfg.secrets, "")
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	corps := dynamostore.NewCorps(db, cfg.corps)
	view := dynamostore.NewMessages(db, cfg.messages)
	journal := s3store.NewJournal(s3.NewFromConfig(aws), cfg.journal)
	queues := sqs.NewFromConfig(aws)
	replayer := &archive.Replayer{
		Ledger:  ledger,
		Heads:   ledger,
		Journal: journal,
		View:    view,
		Decodes: sqsqueue.NewDecode(queues, cfg.decodes, rand.Text),
		Now:     time.Now,
		Log:     log,
	}
	decoder := &archive.Decoder{
		Ledger:     ledger,
		Journal:    journal,
		View:       view,
		Keys:       corps,
		Openers:    rsakey.NewRing(secrets, rsakey.Go, time.Now),
		Decrypters: newDecrypters(pool, secrets, ledger, cfg.identity, time.Now),
		Replays:    replayer,
		Consents:   dynamostore.NewConsents(db, cfg.consents),
		Files:      dynamostore.NewMedia(db, cfg.media),
		Media:      sqsqueue.NewMedia(queues, cfg.files, rand.Text),
		Parallel:   runtime.GOMAXPROCS(0),
		Now:        time.Now,
		Log:        log,
	}
	replayer.Decode = decoder.Decode
	replayer.Verify = (&archive.Verifier{Decoder: decoder, View: view}).Page
	lambda.StartWithOptions(handler{decode: decoder.Decode, replay: replayer.Run, now: time.Now, log: log}.handle, lambda.WithContext(ctx))
	return nil
}
