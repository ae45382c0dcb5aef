// Command media is the Lambda function that brings the files of messages into
// our own bucket, on requests from a FIFO queue.
package main

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() { lambdamain.Run("media", parseConfig, wire) }

// wire makes the handler of the function from its configuration.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	if err := sdkworker.HideFromChildren(); err != nil {
		return nil, err
	}
	pool := sdkworker.NewPool(workers(cfg, log))
	db := dynamodb.NewFromConfig(sdk)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	fetcher := &media.Fetcher{
		Corps:   dynamostore.NewCorps(db, cfg.corps),
		Secrets: secretstore.NewMemory(secretstore.New(secretsmanager.NewFromConfig(sdk), cfg.secrets, ""), time.Now),
		Ledger:  ledger,
		Gate:    &archive.Gate{Log: ledger, Now: time.Now},
		Sources: pool,
		Files:   dynamostore.NewMedia(db, cfg.media),
		Objects: s3store.NewMedia(s3.NewFromConfig(sdk), cfg.files),
		Queue:   media.NewWantedLanes(dynamostore.NewMarks(db, cfg.ledger), sqsqueue.NewMedia(sqs.NewFromConfig(sdk), cfg.requests, rand.Text), time.Now),
		MaxSize: media.MaxSize,
		Now:     time.Now,
		Sleep:   archive.Sleep,
		Log:     log,
	}
	return sqsqueue.Serve(log, sqsqueue.ParseMedia, fetcher.Fetch), nil
}

// workers limits the library's processes. Their times are those of the margin
// that a pass keeps before its deadline. Three processes, each for one of the corps
// that were served last, fit into the least memory that template.yaml allows.
func workers(cfg config, log *slog.Logger) sdkworker.Config {
	return sdkworker.Config{
		Worker: cfg.worker, Library: cfg.library, Proxy: cfg.proxy,
		StartTimeout: archive.StartTimeout, InitTimeout: archive.InitTimeout, MediaTimeout: media.CallTimeout,
		MaxProcesses: 3, MaxRSS: 128 << 20, MemoryLimit: 192 << 20, Log: log,
	}
}
