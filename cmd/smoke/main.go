// Command smoke asks a deployed API what shows that the parts are connected: its
// health, a route with and without a token, and the verification of a callback, as
// WeCom's console sends it. It changes nothing but the note of the last
// verification on the set-up page.
//
//	TOKEN=… smoke -env prod [-corp ww…]
//
// The token comes by the environment, because other users of the machine can read
// arguments. Of -corp it needs the role admin or service.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/shared/archive"
)

func main() { operator.Main("smoke", run) }

func run(ctx context.Context, args []string, s operator.Streams) error {
	f := flag.NewFlagSet("smoke", flag.ContinueOnError)
	env := f.String("env", "", "`name` of a block of samconfig.toml")
	corp := f.String("corp", "", "`corpid` of a company whose callback to verify; empty for none")
	if err := flags.ParseAll(f, args); err != nil {
		return err
	}
	if *corp != "" && !archive.ValidCorpID(*corp) {
		return flags.Mistake(errors.New("-corp is no corpid"))
	}
	e, err := deploy.Named("samconfig.toml", []string{*env})
	if err != nil {
		return err
	}
	base, err := address(ctx, e)
	if err != nil {
		return err
	}
	return (&smoke{
		base: base, token: os.Getenv("TOKEN"), corp: *corp, china: e.Partition() == "aws-cn", client: &http.Client{Timeout: 15 * time.Second}, now: time.Now,
		say: func(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) },
	}).ask(ctx)
}

// address is where WeCom and the SCRM reach the API: PublicUrl, the domain, or
// else the address that API Gateway gave to it.
func address(ctx context.Context, e deploy.Block) (string, error) {
	if public := e.Parameters["PublicUrl"]; public != "" {
		return public, nil
	}
	if domain := e.Parameters["DomainName"]; domain != "" {
		return "https://" + domain, nil
	}
	stack, err := operator.Open(ctx, e)
	if err != nil {
		return "", err
	}
	return stack.Output(ctx, "ApiUrl")
}
