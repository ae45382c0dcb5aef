// Command erase removes everything of one company that left, and prints a
// receipt. It is run by a person with rights that no function has.
//
//	erase -stack S -corp ww… -tables "…" -buckets "…" [-confirm ww…]
//
// Tables and buckets are outputs of the stack. Without -confirm it only counts.
//
// The order: objects, items of every table with the ledger and then the
// settings last, secrets with private keys last. Functions that were at work
// for the company may have written behind that, so after some minutes, when
// none can be any more, all of it is done again, and then looked at. After a
// crash it is run again; the receipt then tells what was left. What expires by
// itself is not touched: point-in-time recovery, logs, refusals of our address.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/shared/archive"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "erase:", err)
		os.Exit(1)
	}
}

// run writes the receipt to out, and what a person waits for to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	j, err := parse(args)
	if err != nil {
		return err
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	e := eraser{
		job: j, dynamo: dynamodb.NewFromConfig(cfg), s3: s3.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg),
		now: time.Now,
		sleep: func(ctx context.Context, d time.Duration) error {
			fmt.Fprintf(progress, "erased once; in %v, when nothing can be at work for the company any more, what was written meanwhile\n", d)
			return archive.Sleep(ctx, d)
		},
	}
	r, err := e.erase(ctx)
	if err != nil {
		return err
	}
	return r.write(out)
}

// job is what is to be done.
type job struct {
	stack, corp   string
	tables        []string // the ledger's and the settings' included
	buckets       []string
	confirmed     bool // else count
	bypass        bool // of a GOVERNANCE lock
	secretsWindow int  // days in which secrets can be restored
}

func parse(args []string) (job, error) {
	f := flag.NewFlagSet("erase", flag.ContinueOnError)
	var j job
	f.StringVar(&j.stack, "stack", "", "`name` of the stack, which names of secrets begin with")
	f.StringVar(&j.corp, "corp", "", "`corpid` of the company")
	tables := f.String("tables", "", "names of the tables, separated by spaces: the output Tables")
	buckets := f.String("buckets", "", "names of the buckets, separated by spaces: the outputs JournalBucket and MediaBucket")
	confirm := f.String("confirm", "", "the `corpid` once more, to erase and not only count")
	f.BoolVar(&j.bypass, "bypass-governance", false, "erase objects under a GOVERNANCE lock too")
	f.IntVar(&j.secretsWindow, "secrets-window", 7, "`days` in which secrets and private keys can still be restored, 7 to 30")
	if err := f.Parse(args); err != nil {
		return job{}, err
	}
	j.tables, j.buckets, j.confirmed = strings.Fields(*tables), strings.Fields(*buckets), *confirm != ""
	var errs []error
	wrong := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New(text))
		}
	}
	wrong(j.stack == "", "-stack is missing")
	wrong(!archive.ValidCorpID(j.corp), "-corp is no corpid")
	wrong(len(j.tables) == 0 || len(j.buckets) == 0, "-tables and -buckets are needed: take them from the outputs of the stack")
	wrong(j.confirmed && *confirm != j.corp, "-confirm names another company than -corp")
	wrong(j.secretsWindow < 7 || j.secretsWindow > 30, "-secrets-window must be 7 to 30")
	wrong(f.NArg() > 0, "there are arguments without a flag")
	return j, errors.Join(errs...)
}

// receipt says what there was, and whether it is gone.
type receipt struct {
	Stack   string           `json:"stack"`
	CorpID  string           `json:"corp_id"`
	At      time.Time        `json:"at"`
	Erased  bool             `json:"erased"` // false: only counted, or something is left
	Head    *head            `json:"head"`   // the end of the chain as it stood; null if it had none
	Buckets map[string]count `json:"buckets"`
	Tables  map[string]int   `json:"tables"` // items
	Secrets []string         `json:"secrets"`
	// Left is what could not be erased, with the reason.
	Left []string `json:"left"`

	versions []version         // that are left
	refused  map[object]string // by S3 to be erased, and its code
}

type head struct {
	Last uint64 `json:"last_seq"`
	Rows uint64 `json:"rows"`
	Hash string `json:"hash"`
}

type count struct {
	Versions int   `json:"versions"`
	Bytes    int64 `json:"bytes"`
	Uploads  int   `json:"unfinished_uploads"`
}

func (r receipt) write(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
