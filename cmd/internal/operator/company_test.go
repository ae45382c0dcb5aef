package operator_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
)

func TestParseCompany(t *testing.T) {
	const corp = "ww0123456789abcdef"
	samconfig, err := os.ReadFile("../../../samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	f := flag.NewFlagSet("x", flag.ContinueOnError)
	n := f.Int("n", 0, "")
	c, err := operator.ParseCompany(f, []string{"-env", "prod", "-corp", corp, "-n", "7"}, samconfig)
	if err != nil || c.Corp != corp || c.Env.Stack == "" || c.Env.Region == "" || *n != 7 {
		t.Errorf("got %+v, %d, %v", c, *n, err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no flags":       {nil, "block missing"},
		"unknown env":    {[]string{"-env", "x", "-corp", corp}, `no block "x"`},
		"no corpid":      {[]string{"-env", "prod", "-corp", "acme"}, "no corpid"},
		"extra argument": {[]string{"-env", "prod", "-corp", corp, "now"}, "unknown argument"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := operator.ParseCompany(flag.NewFlagSet("x", flag.ContinueOnError), c.args, samconfig); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
