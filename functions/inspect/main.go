// Command inspect is the Lambda function that asks WeCom's HTTP API from the
// trusted address: whether set-up works, who is archived, who has agreed to
// it, and what people and rooms are called. Afterwards it examines the set-up,
// and tells the operators and the SCRM what has changed.
//
// It gets its requests from a FIFO queue whose group is the corp, and is not invoked
// directly. So one instance at a time asks WeCom for a corp. So WeCom's limits per
// corp, and the pauses after refusals, need no lock. SQS delivers a request that
// failed again, and moves one that fails every time to the dead letters. Readers,
// who cause most requests, never wait for it.
package main

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/eventbus"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/snsnotify"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
	"github.com/yunduo-scrm/archive/shared/wecomapi"
)

func main() { lambdamain.Run("inspect", parseConfig, wire) }

// callTimeout bounds one call of WeCom's HTTP API.
const callTimeout = 5 * time.Second

// wire puts the function together.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	wecom, err := wecomapi.New(wecomapi.Config{Base: cfg.base, Proxy: cfg.proxy, CallTimeout: callTimeout, Now: time.Now, Sleep: archive.Sleep})
	if err != nil {
		return nil, err
	}
	db := dynamodb.NewFromConfig(sdk)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	corps := dynamostore.NewCorps(db, cfg.corps)
	contacts := dynamostore.NewContacts(db, cfg.contacts)
	bus := eventbus.New(eventbridge.NewFromConfig(sdk), cfg.bus, time.Now, log)
	consents := dynamostore.NewConsents(db, cfg.consents, bus.AnnounceConsents)
	inspector := &directory.Inspector{
		Corps:    corps,
		Secrets:  secretstore.NewMemory(secretstore.New(secretsmanager.NewFromConfig(sdk), cfg.secrets, ""), time.Now),
		WeCom:    wecom,
		Ledger:   ledger,
		Gate:     &archive.Gate{Log: ledger, Now: time.Now},
		Store:    contacts,
		Consents: consents,
		Doctor: &doctor.Examiner{
			Reader: &doctor.Reader{
				Ledger: ledger, Settings: corps, Reach: contacts, SetAside: dynamostore.NewMessages(db, cfg.messages), Files: dynamostore.NewMedia(db, cfg.media),
				TrustedIPs: cfg.trustedIPs, Now: time.Now,
			},
			Records:   ledger,
			Notifiers: []doctor.Notifier{snsnotify.New(sns.NewFromConfig(sdk), cfg.topic, cfg.stack), bus},
			Log:       log,
		},
		Requests: directory.NewWantedInspections(dynamostore.NewMarks(db, cfg.ledger), sqsqueue.NewInspect(sqs.NewFromConfig(sdk), cfg.inspections, rand.Text), time.Now),
		Now:      time.Now,
		Sleep:    archive.Sleep,
		Log:      log,
	}
	return sqsqueue.Serve(log, sqsqueue.ParseInspect, inspector.Inspect), nil
}
