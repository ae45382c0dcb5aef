// Command api is the Lambda function that answers HTTP: the callbacks of WeCom,
// and set-up, status, proofs and reading for the SCRM. openapi.yaml beside this
// file describes the answers; tests compare the code with it.
package main

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/functions/api/internal/changes"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/console"
	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/doctor"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/functions/api/internal/setup"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	examine "github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/eventbus"
	"github.com/yunduo-scrm/archive/shared/lambdamain"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
	"github.com/yunduo-scrm/archive/shared/wecomapi"
)

func main() { lambdamain.Run("api", parseConfig, wire) }

// wire connects the subjects with the stores that each of them uses.
func wire(cfg config, sdk aws.Config, log *slog.Logger) (any, error) {
	// The api is outside the VPC, so its calls leave by the open way.
	wecom, err := wecomapi.New(wecomapi.Config{Base: cfg.wecom, CallTimeout: 3 * time.Second, Now: time.Now, Sleep: archive.Sleep})
	if err != nil {
		return nil, err
	}
	db := dynamodb.NewFromConfig(sdk)
	objects := s3.NewFromConfig(sdk)
	queues := sqs.NewFromConfig(sdk)
	secrets := secretstore.New(secretsmanager.NewFromConfig(sdk), cfg.secrets, cfg.secretsKey)
	pairs := callbackpair.NewSealer(secrets)
	corps := dynamostore.NewCorps(db, cfg.corps)
	ledger := dynamostore.NewLedger(db, cfg.ledger)
	messages := dynamostore.NewMessages(db, cfg.messages)
	files := dynamostore.NewMedia(db, cfg.media)
	readings := dynamostore.NewReadings(db, cfg.readings)
	recorded := session.NewReadingMemory(readings)
	contacts := dynamostore.NewContacts(db, cfg.contacts)
	bus := eventbus.New(eventbridge.NewFromConfig(sdk), cfg.bus, time.Now, log)
	consents := dynamostore.NewConsents(db, cfg.consents, bus.AnnounceConsents)
	marks := dynamostore.NewMarks(db, cfg.ledger)
	pulls := archive.NewWantedPulls(marks, sqsqueue.NewPull(queues, cfg.pulls, rand.Text), time.Now)
	inspections := book.NewWantedInspections(marks, sqsqueue.NewInspect(queues, cfg.inspections, rand.Text), time.Now)
	replays := decode.NewJobStarter(ledger, sqsqueue.NewDecode(queues, cfg.decodes, rand.Text), time.Now)

	names := &directory.Handlers{
		Book:     &book.NameBook{Names: contacts, Asker: contacts, Reach: contacts, Witness: messages, Requests: inspections, Now: time.Now, Log: log},
		Contacts: contacts, Consents: consents, Inspections: inspections, Activity: messages, Readings: recorded, Now: time.Now,
	}
	links := s3store.NewLinks(s3.NewPresignClient(objects), cfg.files)
	cfg.console.Version, cfg.console.Media = lambdamain.Version, links
	pages, err := console.New(cfg.console)
	if err != nil {
		return nil, err
	}
	table := routes.Table(routes.Subjects{
		Callback: &callback.Handlers{
			Pairs: callback.NewPairs(archive.ArchiveCallback, corps, pairs), AppPairs: callback.NewPairs(archive.AppCallback, corps, pairs),
			Corps: corps, Pulls: pulls, Consents: consents, Names: contacts, Inspections: inspections, Now: time.Now, Log: log,
		},
		Setup: &setup.Handlers{
			Corps: corps, Secrets: secrets, Pairs: pairs, Ledger: ledger, Gate: &archive.Gate{Log: ledger, Now: time.Now}, WeCom: wecom, SetAside: messages, App: contacts, Checks: names, Pulls: pulls, Replays: replays,
			MakePair: rsakey.Make, NewID: rand.Text, Now: time.Now, TrustedIPs: cfg.trustedIPs, PublicURL: cfg.publicURL,
		},
		Directory: names,
		Doctor: &doctor.Handlers{
			Facts: &examine.Reader{
				Ledger: ledger, Settings: corps, Reach: contacts, SetAside: messages, Files: files, TrustedIPs: cfg.trustedIPs, Now: time.Now,
			},
			Records: ledger, Marks: marks, Pulls: pulls, Checks: names, Now: time.Now,
		},
		Proof: &proof.Handlers{
			Ledger: ledger, Events: corps, Messages: messages, Files: files, Readings: readings, Replays: replays, Names: names, NewID: rand.Text, Now: time.Now,
		},
		Chats: &chats.Handlers{
			Messages: messages, Blobs: s3store.NewJournal(objects, cfg.journal), Files: files,
			Links: links, Names: names, Readings: recorded, Seen: readings, Now: time.Now,
		},
		Console: pages,
		Session: &session.Handlers{Corps: corps}, Changes: &changes.Handlers{Notes: messages, Consents: consents, Ledger: ledger, Keys: corps, Now: time.Now},
		Version: lambdamain.Version,
	})
	return routes.New(table, corps, log).Handle, nil
}
