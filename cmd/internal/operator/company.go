package operator

import (
	"errors"
	"flag"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// Company is a company of a deployed stack.
type Company struct {
	Env  deploy.Block
	Corp string
}

// ParseCompany reads the arguments of a command that acts on a company: -env, an
// block of samconfig.toml, and -corp beside the flags of f.
func ParseCompany(f *flag.FlagSet, args []string, samconfig []byte) (Company, error) {
	var c Company
	name := f.String("env", "", "`name` of a block of samconfig.toml")
	f.StringVar(&c.Corp, "corp", "", "`corpid` of the company")
	if err := flags.Parse(f, args); err != nil {
		return Company{}, err
	}
	all, err := deploy.Blocks(samconfig)
	if err != nil {
		return Company{}, err
	}
	var errs []error
	if c.Env, err = deploy.Choose(all, *name); err != nil {
		errs = append(errs, err)
	}
	if !archive.ValidCorpID(c.Corp) {
		errs = append(errs, errors.New("-corp is no corpid"))
	}
	return c, flags.Mistake(errors.Join(append(errs, flags.NoArguments(f))...))
}
