package deploy_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

func TestEnvironmentsRefusesMistakes(t *testing.T) {
	const head = "version = 0.1\n[prod.global.parameters]\nregion = \"cn-north-1\"\nstack_name = \"a\"\nparameter_overrides = "
	for name, c := range map[string]struct{ source, want string }{
		"not TOML":        {"[prod", "samconfig.toml"},
		"no region":       {"[prod.global.parameters]\nstack_name = \"a\"", "region is missing"},
		"set twice":       {head + `"A=1 A=2"`, "A is set twice"},
		"no name":         {head + `"A"`, `"A" is no Name=Value`},
		"no value":        {head + `"A="`, `write A="" for the empty value`},
		"quotes":          {head + `'A=x"y"'`, "without quotes"},
		"quotes within":   {head + `'A="x"y"z"'`, "without quotes"},
		"single quotes":   {head + `"A='x y'"`, "without quotes"},
		"half a quote":    {head + `'A="x y'`, "without quotes"},
		"list":            {head + `["A=1", "B=2"]`, "write it as a string"},
		"table":           {head + `{A = "1"}`, "write it as a string"},
		"profile":         {"[prod.global.parameters]\nregion = \"cn-north-1\"\nstack_name = \"a\"\n[prod.deploy.parameters]\nprofile = \"x\"", "set AWS_PROFILE instead"},
		"overruled":       {"[prod.global.parameters]\nregion = \"cn-north-1\"\nstack_name = \"a\"\n[prod.deploy.parameters]\nstack_name = \"b\"", "deploy sets stack_name"},
		"another command": {"[prod.deploy.parameters]\nregion = \"x\"", "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := deploy.Blocks([]byte(c.source)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	got, err := deploy.Blocks([]byte(head + `'A=1 B=x=y C="" D="x y" E="z"'`))
	if want := map[string]string{"A": "1", "B": "x=y", "C": "", "D": "x y", "E": "z"}; err != nil || !maps.Equal(got["prod"].Parameters, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
}
