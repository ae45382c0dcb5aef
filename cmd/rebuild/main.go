// Command rebuild empties the view of one company, and starts a job that
// decodes the company's whole journal again. It is needed after an upgrade that
// stores messages under other keys: a replay alone writes each message under
// its new key and leaves the old item. An operator runs it, with rights that no
// function has.
//
//	rebuild -env prod -corp ww…
//
// Pulling and decoding may continue meanwhile. The command first removes the
// whole view. Then it stores and requests a job that decodes all pages up to
// the head at that time. A page that was decoded during the removal may have
// lost items; the job decodes it again. Nothing is removed after the job has
// been stored.
//
// After a crash before the job is stored, part of the view is missing: run the
// command again. Once the job is stored, the functions complete it, whether or
// not the command still runs.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() { operator.Main("rebuild", run) }

func run(ctx context.Context, args []string, s operator.Streams) error {
	source, err := os.ReadFile("samconfig.toml")
	if err != nil {
		return err
	}
	c, err := operator.ParseCompany(flag.NewFlagSet("rebuild", flag.ContinueOnError), args, source)
	if err != nil {
		return err
	}
	stack, err := operator.Open(ctx, c.Env)
	if err != nil {
		return err
	}
	names, err := stack.Resources(ctx, "LedgerTable", "MessagesTable", "DecodeQueue")
	if err != nil {
		return err
	}
	db := dynamodb.NewFromConfig(stack.Config)
	ledger := dynamostore.NewLedger(db, names["LedgerTable"])
	decodes := sqsqueue.NewDecode(sqs.NewFromConfig(stack.Config), names["DecodeQueue"], rand.Text)
	r := rebuilder{
		corp: c.Corp, ledger: ledger, view: dynamostore.NewMessages(db, names["MessagesTable"]),
		jobs: decode.NewJobStarter(ledger, decodes, time.Now), now: time.Now, sleep: archive.Sleep, out: s.Out,
	}
	return r.rebuild(ctx)
}
