package operator

import (
	"errors"
	"flag"
	"fmt"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// Company is a company of a deployed stack.
type Company struct {
	Env  deploy.Environment
	Corp string
}

// ParseCompany reads the arguments of a command that acts on a company: -env, an
// environment of samconfig.toml, and -corp beside the flags of f.
func ParseCompany(f *flag.FlagSet, args []string, samconfig []byte) (Company, error) {
	var c Company
	name := f.String("env", "", "`name` of an environment of samconfig.toml")
	f.StringVar(&c.Corp, "corp", "", "`corpid` of the company")
	if err := f.Parse(args); err != nil {
		return Company{}, err
	}
	all, err := deploy.Environments(samconfig)
	if err != nil {
		return Company{}, err
	}
	var known bool
	var errs []error
	if c.Env, known = all[*name]; !known {
		errs = append(errs, fmt.Errorf("-env: samconfig.toml has no environment %q", *name))
	}
	if !archive.ValidCorpID(c.Corp) {
		errs = append(errs, errors.New("-corp is no corpid"))
	}
	return c, errors.Join(append(errs, NoArguments(f))...)
}
