// Command api is the Lambda function that answers HTTP: WeCom's callbacks, and
// set-up, status, proofs and reading for the SCRM. openapi.yaml beside this
// file says what it answers; tests hold the two together.
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

	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() { lambdamain.Run("api", parseConfig, wire) }

// wire puts the function together.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	db := dynamodb.NewFromConfig(sdk)
	objects := s3.NewFromConfig(sdk)
	queues := sqs.NewFromConfig(sdk)
	secrets := secretstore.New(secretsmanager.NewFromConfig(sdk), cfg.secrets, cfg.secretsKey)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	contacts := dynamostore.NewContacts(db, cfg.contacts)
	inspections := sqsqueue.NewInspect(queues, cfg.inspections, rand.Text)
	a := &api{
		corps:        dynamostore.NewCorps(db, cfg.corps),
		secrets:      secrets,
		callbacks:    newCallbackPairs(secrets.Callback, time.Now),
		appCallbacks: newCallbackPairs(secrets.AppCallback, time.Now),
		names: &directory.NameBook{
			Names: contacts, Asker: contacts, Reach: contacts, Requests: inspections, Now: time.Now, Log: log,
		},
		contacts:    contacts,
		consents:    dynamostore.NewConsents(db, cfg.consents),
		inspections: inspections,
		ledger:      ledger,
		messages:    dynamostore.NewMessages(db, cfg.messages),
		blobs:       s3store.NewJournal(objects, cfg.journal),
		readings:    dynamostore.NewReadings(db, cfg.readings),
		files:       dynamostore.NewMedia(db, cfg.media),
		links:       s3store.NewLinks(s3.NewPresignClient(objects), cfg.files),
		pulls:       sqsqueue.NewPull(queues, cfg.pulls, rand.Text),
		replays:     decode.NewJobStarter(ledger, sqsqueue.NewDecode(queues, cfg.decodes, rand.Text)),
		makePair:    rsakey.Make,
		newID:       rand.Text,
		now:         time.Now,
		trustedIPs:  cfg.trustedIPs,
		publicURL:   cfg.publicURL,
		log:         log,
	}
	return newHandler(a).handle, nil
}
