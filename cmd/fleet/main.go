// Command fleet lists all companies of a stack, the worst first, each with its
// health, the hours that are left, and what to do. It reads the tables that
// dispatch reads, and changes nothing. An operator runs it, with rights to read
// these tables.
//
//	fleet -env prod [-unwell]
package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func main() { operator.Main("fleet", run) }

func run(ctx context.Context, args []string, s operator.Streams) error {
	f := flag.NewFlagSet("fleet", flag.ContinueOnError)
	env := f.String("env", "", "`name` of a block of samconfig.toml")
	unwell := f.Bool("unwell", false, "leave out companies that are well or switched off")
	if err := flags.ParseAll(f, args); err != nil {
		return err
	}
	e, err := deploy.Named("samconfig.toml", []string{*env})
	if err != nil {
		return err
	}
	stack, err := operator.Open(ctx, e)
	if err != nil {
		return err
	}
	tables, err := stack.Resources(ctx, "CorpsTable", "LedgerTable", "MessagesTable", "MediaTable")
	if err != nil {
		return err
	}
	db := dynamodb.NewFromConfig(stack.Config)
	all, err := survey{
		corps: dynamostore.NewCorps(db, tables["CorpsTable"]), ledger: dynamostore.NewLedger(db, tables["LedgerTable"]),
		setAside: dynamostore.NewMessages(db, tables["MessagesTable"]), files: dynamostore.NewMedia(db, tables["MediaTable"]),
		now: time.Now(),
	}.companies(ctx)
	return errors.Join(err, write(s.Out, e.Stack, all, *unwell))
}
