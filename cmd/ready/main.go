// Command ready checks whether a deployment can begin. It checks an environment
// of samconfig.toml against the template. With -built it also compares the
// output of `sam build` with the environment's processor. It sends no request.
//
//	ready [-built] <environment>
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("ready", flag.ContinueOnError)
	built := f.Bool("built", false, "check the output of sam build too")
	if err := f.Parse(args); err != nil {
		return err
	}
	source, err := os.ReadFile("samconfig.toml")
	if err != nil {
		return err
	}
	all, err := deploy.Environments(source)
	if err != nil {
		return err
	}
	names := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	if f.NArg() != 1 {
		return fmt.Errorf("environment missing: samconfig.toml has %s", names)
	}
	e, ok := all[f.Arg(0)]
	if !ok {
		return fmt.Errorf("samconfig.toml has no environment %q; it has %s", f.Arg(0), names)
	}
	err = check(".", e)
	if *built {
		err = errors.Join(err, checkBuilt(".", e))
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s is ready: stack %s in %s\n", e.Name, e.Stack, e.Region)
	return nil
}
