// Command ready says whether a deployment can begin: it checks an environment
// of samconfig.toml against the template, and what `sam build` made against
// the processor that the environment asks for. It asks nobody outside of this
// machine.
//
//	ready <environment>
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/local/deploy"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	source, err := os.ReadFile("samconfig.toml")
	if err != nil {
		return err
	}
	all, err := deploy.Environments(source)
	if err != nil {
		return err
	}
	names := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	if len(args) != 1 {
		return fmt.Errorf("which environment? samconfig.toml has %s", names)
	}
	e, ok := all[args[0]]
	if !ok {
		return fmt.Errorf("samconfig.toml has no environment %q, only %s", args[0], names)
	}
	if err := deploy.Check(".", e); err != nil {
		return err
	}
	fmt.Printf("%s is ready: stack %s in %s\n", e.Name, e.Stack, e.Region)
	return nil
}
