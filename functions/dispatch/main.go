// Command dispatch is the Lambda function that the schedule runs every minute.
// It requests pulls, requests again what was lost, notifies people of companies
// whose health changed, measures the fleet, writes the daily heads of chains, and
// starts the weekly verifications and the daily checks of set-ups.
package main

import (
	"crypto/rand"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/env"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/snsnotify"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// gcPercent lets the heap grow further between two collections: the function has
// memory to spare, and a small share of a processor.
const gcPercent = 400

func main() { lambdamain.Run("dispatch", parseConfig, wire) }

// wire makes the handler from the configuration.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	debug.SetGCPercent(gcPercent)
	db := dynamodb.NewFromConfig(sdk)
	queues := sqs.NewFromConfig(sdk)
	pulls := sqsqueue.NewPull(queues, cfg.pulls, rand.Text)
	decodes := sqsqueue.NewDecode(queues, cfg.decodes, rand.Text)
	files := sqsqueue.NewMedia(queues, cfg.files, rand.Text)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	marks := dynamostore.NewMarks(db, cfg.ledger)
	dispatcher := &watch.Dispatcher{
		Corps:       dynamostore.NewCorps(db, cfg.corps),
		Ledger:      ledger,
		SetAside:    dynamostore.NewMessages(db, cfg.messages),
		Pulls:       archive.NewWantedPulls(marks, pulls, time.Now),
		PullDepth:   pulls,
		Decodes:     decodes,
		DecodeDepth: decodes,
		Files:       dynamostore.NewMedia(db, cfg.media),
		Media:       media.NewWantedLanes(marks, files, time.Now),
		MediaDepth:  files,
		Jobs:        decode.NewJobStarter(ledger, decodes, time.Now),
		Inspections: directory.NewWantedInspections(marks, sqsqueue.NewInspect(queues, cfg.inspections, rand.Text), time.Now),
		Heads:       s3store.NewJournal(s3.NewFromConfig(sdk), cfg.journal),
		Notifier:    snsnotify.New(sns.NewFromConfig(sdk), cfg.topic, cfg.stack),
		Metrics:     metrics{namespace: cfg.stack, now: time.Now, log: log},
		Now:         time.Now,
		Log:         log,
	}
	return dispatcher.Tick, nil
}

// config is what template.yaml declares for this function.
type config struct {
	corps, ledger, messages, media string // tables
	journal                        string // bucket
	pulls, decodes, files          string // queue URLs
	inspections                    string // queue URL
	topic                          string // ARN of the topic for notices to people
	stack                          string // name of the stack, and namespace of the metrics
}

func parseConfig(getenv func(string) string) (config, error) {
	r := env.NewReader(getenv)
	return config{
		corps:       r.Required("CORPS_TABLE"),
		ledger:      r.Required("LEDGER_TABLE"),
		messages:    r.Required("MESSAGES_TABLE"),
		media:       r.Required("MEDIA_TABLE"),
		journal:     r.Required("JOURNAL_BUCKET"),
		pulls:       r.Required("PULL_QUEUE_URL"),
		decodes:     r.Required("DECODE_QUEUE_URL"),
		files:       r.Required("MEDIA_QUEUE_URL"),
		inspections: r.Required("INSPECT_QUEUE_URL"),
		topic:       r.Required("NOTICE_TOPIC"),
		stack:       r.Required("STACK_NAME"),
	}, r.Err()
}
