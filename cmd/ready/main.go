// Command ready checks whether a deployment can begin. It checks an environment
// of samconfig.toml against the template. With -built it also compares the
// output of `sam build` with the environment's processor. With -write it writes
// every parameter of the deployment to a file: what it judged is what
// `make deploy` gives to SAM.
//
//	ready [-built] [-write <file>.toml] <environment>
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

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
	write := f.String("write", "", "`file` for the parameters of the deployment, in TOML")
	if err := f.Parse(args); err != nil {
		return err
	}
	e, err := deploy.Named("samconfig.toml", f.Args())
	if err != nil {
		return err
	}
	err = check(".", e)
	if *built {
		err = errors.Join(err, checkBuilt(".", e))
	}
	if err == nil && *write != "" {
		err = writeDeployed(*write, ".", e)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s is ready: stack %s in %s\n", e.Name, e.Stack, e.Region)
	return nil
}
