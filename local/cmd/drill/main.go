// Command drill practises a restoration on the local services. A company chats,
// its tables, secrets and objects are backed up, and then all of its stores are
// lost. The command restores what cannot be rebuilt (settings, keys, names,
// consents, readings, the ledger and the journal) from the backup into fresh
// stores, builds the view again, and verifies the company: chain, journal, view,
// and every message that was sent, byte for byte.
//
// On AWS the same steps restore tables from point-in-time recovery, and secrets
// and objects from their copies: docs/restoring.md.
//
//	drill [-messages N]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/local/standin"
)

func main() {
	f := flag.NewFlagSet("drill", flag.ContinueOnError)
	messages := f.Int("messages", 300, "`number` of messages that the company has before the backup")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := flags.ParseAll(f, os.Args[1:])
	if err == nil {
		err = run(ctx, *messages)
	}
	stop()
	flags.Exit("drill: ", err)
}

func run(ctx context.Context, messages int) error {
	services, ok := aws.FromEnv(os.Getenv)
	if !ok {
		return errors.New("local services missing: run make drill")
	}
	dir, err := os.MkdirTemp("", "drill-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	library, err := standin.Build(ctx, dir)
	if err != nil {
		return err
	}
	d := drill{
		root: ".", config: services.Config(), worker: filepath.Join("build", "FinanceSdkLayer", "finance-sdk", "worker"), library: library, environment: services.Env(),
		messages: messages, say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	}
	return d.run(ctx)
}
