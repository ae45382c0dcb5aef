package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"

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

// Resource returns the name of a resource of a stack, from AWS's CLI.
func Resource(ctx context.Context, env deploy.Environment, logicalID string) (string, error) {
	cmd := exec.CommandContext(ctx, "aws", "cloudformation", "describe-stack-resource", "--region", env.Region, "--stack-name", env.Stack,
		"--logical-resource-id", logicalID, "--query", "StackResourceDetail.PhysicalResourceId", "--output", "text")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	name := strings.TrimSpace(string(out))
	if err == nil && name == "" {
		err = errors.New("empty answer")
	}
	if err != nil {
		return "", fmt.Errorf("find %s of the stack %s: %w", logicalID, env.Stack, err)
	}
	return name, nil
}
