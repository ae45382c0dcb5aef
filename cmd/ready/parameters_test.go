package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// written reads the parameters that writeDeployed writes for e, as SAM does:
// every key of the file is a parameter of the deployment.
func written(t *testing.T, e deploy.Block) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "build", "parameters.toml")
	if err := writeDeployed(file, root, e); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := toml.Unmarshal(source, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// What make ready judged is what is deployed. SAM sends UsePreviousValue for each
// parameter of the template that it is not given, so it is given all of them:
// those of the block of samconfig.toml, and the template's defaults.
func TestEveryParameterIsDeployed(t *testing.T) {
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	declared, err := template.Parameters(source)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range blocks(t) {
		got := written(t, e)
		if sent, all := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(declared)); !slices.Equal(sent, all) {
			t.Errorf("%s: got the parameters %v, want those of the template: %v", name, sent, all)
		}
		for parameter, value := range got {
			want, set := e.Parameters[parameter]
			if !set {
				want = declared[parameter].Default
			}
			if value != want {
				t.Errorf("%s: %s: got %q, want %q", name, parameter, value, want)
			}
		}
		// check and the deployment agree on every value, the examples included.
		options := template.Options{StackName: e.Stack, Region: e.Region}
		options.Parameters = e.Parameters
		judged := template.Check(source, options)
		options.Parameters = got
		if deployed := template.Check(source, options); (judged == nil) != (deployed == nil) {
			t.Errorf("%s: got %v for the block and %v for the deployment", name, judged, deployed)
		}
	}
}

// A parameter that was set once can be set to empty, and to its default by
// removing its line.
func TestParametersCanBeTakenBack(t *testing.T) {
	const block = "[prod.global.parameters]\nregion = \"cn-north-1\"\nstack_name = \"a\"\nparameter_overrides = "
	for text, want := range map[string]string{
		`"JwtAudience=other AlarmEmail=a@yunduo.cn"`: "a@yunduo.cn",
		`'AlarmEmail=""'`:     "",
		`"JwtAudience=other"`: "",
	} {
		all, err := deploy.Blocks([]byte(block + text))
		if err != nil {
			t.Fatal(err)
		}
		if got, sent := written(t, all["prod"])["AlarmEmail"]; !sent || got != want {
			t.Errorf("%s: got %q, %t, want %q", text, got, sent, want)
		}
	}
}

// No stage of samconfig.toml accepts a token of another, and check names a stage that
// would. Blocks of one stage may share issuer and audience.
func TestCheckTokens(t *testing.T) {
	all := blocks(t)
	for _, e := range all {
		wantError(t, checkTokens(root, e, all))
	}
	const issuer = "https://login.yunduo.cn"
	of := func(name, audience string) deploy.Block {
		p := map[string]string{"JwtIssuer": issuer}
		if audience != "" {
			p["JwtAudience"] = audience
		}
		return deploy.Block{Name: name, Parameters: p}
	}
	both := func(a, b deploy.Block) error {
		return checkTokens(root, a, map[string]deploy.Block{a.Name: a, b.Name: b})
	}
	wantError(t, both(of("prod", "archive"), of("dev", "archive")), "those of dev too, so a token of dev is valid in prod")
	wantError(t, both(of("prod", ""), of("staging-ningxia", "yunduo-archive")), "a token of staging-ningxia is valid in prod") // the template's default
	wantError(t, both(of("prod", "archive"), of("dev", "archive-dev")))
	wantError(t, both(of("prod", "archive"), of("prod-ningxia", "archive")))
}
