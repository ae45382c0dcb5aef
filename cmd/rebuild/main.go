// Command rebuild empties the view of one company and lets it be built anew
// from the journal. It is for a version that puts messages elsewhere than the
// one before: a replay alone writes them where they belong and leaves what
// stands where it does not. It is run by a person with rights that no function
// has.
//
//	rebuild -env prod -corp ww…
//
// Pulling and decoding may go on. First everything of the view is removed,
// then a job is stored and requested that decodes all pages, up to the head as
// it is after that. A page that was decoded meanwhile, and of which part may
// have been removed, is among them; what is decoded later nobody removes.
//
// After a crash before the job is stored, part of the view is gone: run it
// again. From then on the job goes on by itself, watched or not.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rebuild:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	source, err := os.ReadFile("samconfig.toml")
	if err != nil {
		return err
	}
	env, corp, err := parse(args, source)
	if err != nil {
		return err
	}
	names := make(map[string]string)
	for _, id := range []string{"LedgerTable", "MessagesTable", "DecodeQueue"} {
		if names[id], err = physical(ctx, env, id); err != nil {
			return err
		}
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(env.Region))
	if err != nil {
		return err
	}
	db := dynamodb.NewFromConfig(cfg)
	ledger := dynamostore.NewLedger(db, names["LedgerTable"])
	decodes := sqsqueue.NewDecode(sqs.NewFromConfig(cfg), names["DecodeQueue"], rand.Text)
	r := rebuilder{
		corp: corp, ledger: ledger, view: dynamostore.NewMessages(db, names["MessagesTable"]),
		jobs: decode.NewJobStarter(ledger, decodes), now: time.Now, sleep: archive.Sleep, out: out,
	}
	return r.rebuild(ctx)
}

// parse finds the environment in samconfig.toml.
func parse(args []string, samconfig []byte) (env deploy.Environment, corp string, err error) {
	f := flag.NewFlagSet("rebuild", flag.ContinueOnError)
	name := f.String("env", "", "`name` of an environment of samconfig.toml")
	f.StringVar(&corp, "corp", "", "`corpid` of the company")
	if err := f.Parse(args); err != nil {
		return env, "", err
	}
	all, err := deploy.Environments(samconfig)
	if err != nil {
		return env, "", err
	}
	env, known := all[*name]
	var errs []error
	if !known {
		errs = append(errs, fmt.Errorf("-env: samconfig.toml has no environment %q", *name))
	}
	if !archive.ValidCorpID(corp) {
		errs = append(errs, errors.New("-corp is no corpid"))
	}
	if f.NArg() > 0 {
		errs = append(errs, errors.New("there are arguments without a flag"))
	}
	return env, corp, errors.Join(errs...)
}

// physical asks AWS's CLI what the stack calls a resource.
func physical(ctx context.Context, env deploy.Environment, logicalID string) (string, error) {
	cmd := exec.CommandContext(ctx, "aws", "cloudformation", "describe-stack-resource", "--region", env.Region, "--stack-name", env.Stack,
		"--logical-resource-id", logicalID, "--query", "StackResourceDetail.PhysicalResourceId", "--output", "text")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	name := strings.TrimSpace(string(out))
	if err == nil && name == "" {
		err = errors.New("no answer")
	}
	if err != nil {
		return "", fmt.Errorf("asking for %s of the stack %s: %w", logicalID, env.Stack, err)
	}
	return name, nil
}
