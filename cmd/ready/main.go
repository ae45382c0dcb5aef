// Command ready says whether a deployment can begin: it checks an environment
// of samconfig.toml against the template, and with -built also what `sam build`
// made, against the processor that the environment asks for. It asks nobody
// outside of this machine.
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
	built := f.Bool("built", false, "look at what sam build made, too")
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
		return fmt.Errorf("which environment? samconfig.toml has %s", names)
	}
	e, ok := all[f.Arg(0)]
	if !ok {
		return fmt.Errorf("samconfig.toml has no environment %q, only %s", f.Arg(0), names)
	}
	err = deploy.Check(".", e)
	if *built {
		err = errors.Join(err, deploy.CheckBuilt(".", e))
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s is ready: stack %s in %s\n", e.Name, e.Stack, e.Region)
	return nil
}
