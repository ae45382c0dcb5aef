// Command erase removes everything of one company that left, and prints a
// receipt. An operator runs it, with rights that no function has.
//
//	erase -stack S -corp ww… -tables "…" -buckets "…" [-role arn:…] [-confirm ww…]
//
// Tables and buckets are outputs of the stack. The role is the stack's
// BreakGlassRole, which the command assumes; without -role it acts with the
// operator's own rights. Without -confirm the command only counts.
//
// The order of deletion is: objects; items of every table, the ledger second
// to last and the settings last; secrets, private keys last. A function that
// was working for the company may write after its data was deleted. So the
// command waits until no such function can be running, deletes everything
// again, and then looks for what is left.
//
// After a crash some of the data is gone; run the command again. The receipt
// lists what is left. Data that expires by itself is not deleted:
// point-in-time recovery, logs, and refusals of our address.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/shared/archive"
)

func main() { operator.Main("erase", run) }

// run writes the receipt to s.Out.
func run(ctx context.Context, args []string, s operator.Streams) error {
	j, err := parse(args)
	if err != nil {
		return err
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	if j.role != "" {
		cfg = actAs(cfg, j.role, j.corp)
	}
	e := eraser{
		job: j, dynamo: dynamodb.NewFromConfig(cfg), s3: s3.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg),
		now: time.Now,
		sleep: func(ctx context.Context, d time.Duration) error {
			fmt.Fprintf(s.Progress, "first pass done; the second pass begins in %v, when no function works for the company any longer\n", d)
			return archive.Sleep(ctx, d)
		},
	}
	r, err := e.erase(ctx)
	if err != nil {
		return err
	}
	return r.write(s.Out)
}

// actAs makes cfg sign with the role's credentials, which it renews while the
// command runs. CloudTrail shows the company in the name of the session.
func actAs(cfg aws.Config, role, corp string) aws.Config {
	assumed := cfg.Copy()
	assumed.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "erase-" + corp
	}))
	return assumed
}

// roleARN is the form of a role's ARN in any partition.
var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/\S+$`)

// job is what the command line requests.
type job struct {
	stack, corp   string
	role          string   // ARN of the role to act as; empty for the operator's own rights
	tables        []string // with those of the ledger and the settings
	buckets       []string
	confirmed     bool // false: count only
	bypass        bool // delete objects under a GOVERNANCE lock too
	secretsWindow int  // days in which secrets can be restored
}

func parse(args []string) (job, error) {
	f := flag.NewFlagSet("erase", flag.ContinueOnError)
	var j job
	f.StringVar(&j.stack, "stack", "", "`name` of the stack; names of secrets begin with it")
	f.StringVar(&j.corp, "corp", "", "`corpid` of the company")
	tables := f.String("tables", "", "names of the tables, separated by spaces: the output Tables")
	buckets := f.String("buckets", "", "names of the buckets, separated by spaces: the outputs JournalBucket and MediaBucket")
	f.StringVar(&j.role, "role", "", "`ARN` of the stack's BreakGlassRole, to act as; empty for your own rights")
	confirm := f.String("confirm", "", "the `corpid` again, to erase instead of count")
	f.BoolVar(&j.bypass, "bypass-governance", false, "erase objects under a GOVERNANCE lock too")
	f.IntVar(&j.secretsWindow, "secrets-window", 7, "`days` in which secrets and private keys can be restored, 7 to 30")
	if err := flags.Parse(f, args); err != nil {
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
	wrong(len(j.tables) == 0 || len(j.buckets) == 0, "-tables and -buckets are required: take them from the outputs of the stack")
	wrong(j.role != "" && !roleARN.MatchString(j.role), "-role is no ARN of a role")
	wrong(j.confirmed && *confirm != j.corp, "-confirm names another company than -corp")
	wrong(j.secretsWindow < 7 || j.secretsWindow > 30, "-secrets-window must be 7 to 30")
	return j, flags.Mistake(errors.Join(append(errs, flags.NoArguments(f))...))
}
