// Command keyquota raises the bounds of a company's keys, or shows them. An
// operator runs it after a company met a bound (a 409 of the API says so): a
// stored private key is kept permanently and costs money each month.
//
//	keyquota -env prod -corp ww… [-unproved N] [-imports-per-day N] [-imports N]
//
// A bound that is not given stays. The command changes one item of the table of
// companies, so after a crash the bounds are the former ones or the new ones.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func main() { operator.Main("keyquota", run) }

func run(ctx context.Context, args []string, s operator.Streams) error {
	source, err := os.ReadFile("samconfig.toml")
	if err != nil {
		return err
	}
	company, to, err := parse(args, source)
	if err != nil {
		return err
	}
	stack, err := operator.Open(ctx, company.Env)
	if err != nil {
		return err
	}
	table, err := stack.Resource(ctx, "CorpsTable")
	if err != nil {
		return err
	}
	q, err := raise(ctx, dynamostore.NewCorps(dynamodb.NewFromConfig(stack.Config), table), company.Corp, to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "%s: %d keys not proved; imports: %d a day, %d in all; %d begun, of these %d on %s\n",
		company.Corp, q.Unproved, q.ImportsPerDay, q.Imports, q.Begun, q.Today, q.Day)
	return err
}

// bounds are the bounds to set; 0 leaves one as it is.
type bounds struct{ unproved, importsPerDay, imports int }

func parse(args []string, samconfig []byte) (operator.Company, bounds, error) {
	f := flag.NewFlagSet("keyquota", flag.ContinueOnError)
	var to bounds
	least := archive.NewKeyQuota()
	given := []struct {
		name  string
		into  *int
		least int
		usage string
	}{
		{"unproved", &to.unproved, least.Unproved, "`number` of made keys that have not opened a message"},
		{"imports-per-day", &to.importsPerDay, least.ImportsPerDay, "`number` of keys imported a day"},
		{"imports", &to.imports, least.Imports, "`number` of keys imported in all"},
	}
	for _, fl := range given {
		f.IntVar(fl.into, fl.name, 0, fl.usage)
	}
	company, err := operator.ParseCompany(f, args, samconfig)
	errs := []error{err}
	for _, fl := range given {
		if n := *fl.into; n != 0 && n < fl.least {
			errs = append(errs, fmt.Errorf("-%s: got %d, want at least %d, the bound of every company", fl.name, n, fl.least))
		}
	}
	return company, to, flags.Mistake(errors.Join(errs...))
}

// quotas is the part of the table that the command changes.
type quotas interface {
	archive.CorpReader
	KeyQuota(ctx context.Context, corp string) (archive.KeyQuota, error)
	SaveKeyQuota(ctx context.Context, corp string, q archive.KeyQuota) error
}

// raiseTries bounds how often the command reads the quota again because the
// company imported a key meanwhile.
const raiseTries = 10

// raise sets the bounds of a company, and returns its quota.
func raise(ctx context.Context, store quotas, corp string, to bounds) (archive.KeyQuota, error) {
	if _, err := store.Corp(ctx, corp); err != nil {
		return archive.KeyQuota{}, err
	}
	for range raiseTries {
		q, err := store.KeyQuota(ctx, corp)
		if err != nil || to == (bounds{}) {
			return q, err
		}
		for _, bound := range []struct {
			of *int
			to int
		}{{&q.Unproved, to.unproved}, {&q.ImportsPerDay, to.importsPerDay}, {&q.Imports, to.imports}} {
			if bound.to != 0 {
				*bound.of = bound.to
			}
		}
		if err := store.SaveKeyQuota(ctx, corp, q); !errors.Is(err, archive.ErrConflict) {
			return q, err
		}
	}
	return archive.KeyQuota{}, fmt.Errorf("quota of %s: %w", corp, archive.ErrConflict)
}
