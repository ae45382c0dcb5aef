// Command ready checks whether a deployment can begin. It checks a block
// of samconfig.toml against the template. With -built it also compares the
// output of `sam build` with the block's processor and with the console. With
// -living it compares the parameters with those of the stack; with -preview too, it only
// notes what the stack's policy would refuse. With -write it writes
// every parameter of the deployment to a file. `make deploy` passes this file to
// SAM, so SAM gets exactly the parameters that were checked.
//
//	ready [-online] [-built] [-living] [-preview] [-write <file>.toml] <block>
//
// Without -online and -living it sends no request. With -online it asks AWS and the
// issuer for what could make the deployment fail, the stack included. It changes
// nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
)

func main() {
	flags.Exit("", run(context.Background(), os.Args[1:], os.Stdout))
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("ready", flag.ContinueOnError)
	ask := f.Bool("online", false, "ask AWS and the issuer too")
	built := f.Bool("built", false, "check the output of sam build too")
	living := f.Bool("living", false, "ask AWS for the stack, and what a deployment cannot change in it")
	preview := f.Bool("preview", false, "note, and do not refuse, what the stack policy protects")
	write := f.String("write", "", "`file` for the parameters of the deployment, in TOML")
	if err := flags.Parse(f, args); err != nil {
		return err
	}
	e, err := deploy.Named("samconfig.toml", f.Args())
	if err != nil {
		return err
	}
	all, err := deploy.ReadBlocks("samconfig.toml")
	if err != nil {
		return err
	}
	notes, err := check(".", e)
	err = errors.Join(err, checkTokens(".", e, all))
	if *built {
		err = errors.Join(err, checkBuilt(".", e))
	}
	if err == nil && (*ask || *living) {
		var o *online
		if o, err = newOnline(ctx, ".", e); err == nil {
			o.preview = *preview
			if *ask {
				err = o.check(ctx)
			} else {
				err = o.stack(ctx)
			}
			notes = append(notes, o.notes...)
		}
	}
	if err == nil && *write != "" {
		err = writeDeployed(*write, ".", e)
	}
	for _, n := range notes {
		fmt.Fprintln(out, "note:", n)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is ready: stack %s in %s\n", e.Name, e.Stack, e.Region)
	return err
}

// newOnline asks AWS as the principal that the SDK finds.
func newOnline(ctx context.Context, root string, e deploy.Block) (*online, error) {
	parameters, err := deployed(root, e)
	if err != nil {
		return nil, err
	}
	stack, err := operator.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	return &online{env: e, parameters: parameters, config: stack.Config, client: http.DefaultClient}, nil
}
