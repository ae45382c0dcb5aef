// Command pull is the Lambda function that takes pages from WeCom into the
// journal, one corp at a time, on requests from a FIFO queue.
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
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// processes is how many library processes are kept, each for one of the corps that
// were pulled last: a new process needs a new token of WeCom. More would not fit
// into the memory that template.yaml gives the function.
const processes = 3

func main() { lambdamain.Run("pull", parseConfig, wire) }

// wire puts the function together.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	if err := sdkworker.HideFromChildren(); err != nil {
		return nil, err
	}
	pool := sdkworker.NewPool(sdkworker.Config{
		Worker: cfg.worker, Library: cfg.library, Proxy: cfg.proxy,
		StartTimeout: archive.StartTimeout, InitTimeout: archive.InitTimeout, ChatDataTimeout: archive.CallTimeout,
		MaxProcesses: processes, MaxRSS: 128 << 20, MemoryLimit: 192 << 20, Log: log,
	})
	db := dynamodb.NewFromConfig(sdk)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	queues := sqs.NewFromConfig(sdk)
	puller := &pull.Puller{
		Corps:   dynamostore.NewCorps(db, cfg.corps),
		Secrets: secretstore.NewMemory(secretstore.New(secretsmanager.NewFromConfig(sdk), cfg.secrets, ""), time.Now),
		Sources: pool,
		Ledger:  ledger,
		Gate:    &archive.Gate{Log: ledger, Now: time.Now},
		Journal: s3store.NewJournal(s3.NewFromConfig(sdk), cfg.journal),
		Pulls:   archive.NewWantedPulls(dynamostore.NewMarks(db, cfg.ledger), sqsqueue.NewPull(queues, cfg.pulls, rand.Text), time.Now),
		Decodes: sqsqueue.NewDecode(queues, cfg.decodes, rand.Text),
		Now:     time.Now,
		Sleep:   archive.Sleep,
		Log:     log,
	}
	return sqsqueue.Serve(log, sqsqueue.ParsePull, puller.Pull), nil
}
