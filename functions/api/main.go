// Command api is the Lambda function that answers HTTP: WeCom's callbacks, and
// set-up, status, proofs and reading for the SCRM. openapi.yaml beside this
// file says what it answers; tests hold the two together.
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
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() {
	log := slog.New(lambdacontext.NewLogHandler())
	if err := run(context.Background(), os.Getenv, log); err != nil {
		log.Error("api cannot start", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	cfg, err := parseConfig(getenv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithLogger(awslog.New(log)))
	if err != nil {
		return err
	}
	db := dynamodb.NewFromConfig(aws)
	objects := s3.NewFromConfig(aws)
	queues := sqs.NewFromConfig(aws)
	secrets := secretstore.New(secretsmanager.NewFromConfig(aws), cfg.secrets, cfg.secretsKey)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	contacts := dynamostore.NewContacts(db, cfg.contacts)
	inspections := sqsqueue.NewInspect(queues, cfg.inspections, rand.Text)
	a := &api{
		corps:        dynamostore.NewCorps(db, cfg.corps),
		secrets:      secrets,
		callbacks:    newCallbackPairs(secrets.Callback, time.Now),
		appCallbacks: newCallbackPairs(secrets.AppCallback, time.Now),
		names: &archive.NameBook{
			Names: contacts, Asker: contacts, Reach: contacts, Requests: inspections, Now: time.Now, Log: log,
		},
		contacts:    contacts,
		consents:    dynamostore.NewConsents(db, cfg.consents),
		inspections: inspections,
		ledger:      ledger,
		messages:    dynamostore.NewMessages(db, cfg.messages),
		blobs:       s3store.NewJournal(objects, cfg.journal),
		views:       dynamostore.NewViews(db, cfg.views),
		files:       dynamostore.NewMedia(db, cfg.media),
		links:       s3store.NewLinks(s3.NewPresignClient(objects), cfg.files),
		pulls:       sqsqueue.NewPull(queues, cfg.pulls, rand.Text),
		replays:     &archive.Replayer{Ledger: ledger, Decodes: sqsqueue.NewDecode(queues, cfg.decodes, rand.Text)},
		makePair:    rsakey.Make,
		newID:       rand.Text,
		now:         time.Now,
		trustedIPs:  cfg.trustedIPs,
		publicURL:   cfg.publicURL,
		log:         log,
	}
	lambda.StartWithOptions(newHandler(a).handle, lambda.WithContext(ctx))
	return nil
}
