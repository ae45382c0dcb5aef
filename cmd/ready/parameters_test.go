package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// readTemplate reads the template, and the parameters that it declares.
func readTemplate(t *testing.T) (source []byte, declared map[string]template.Parameter) {
	t.Helper()
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	declared, err = template.Parameters(source)
	if err != nil {
		t.Fatal(err)
	}
	return source, declared
}

// What make ready judged is what is deployed. SAM sends UsePreviousValue for each
// parameter of the template that it is not given, so it is given all of them:
// those of the block of samconfig.toml, and the template's defaults.
func TestEveryParameterIsDeployed(t *testing.T) {
	source, declared := readTemplate(t)
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

// other is a valid value of each parameter that is not its default. Where the value needs
// others beside it, those follow as parameter_overrides has them.
var other = map[string][]string{
	"Architecture":              {"arm64"},
	"DomainName":                {"archive.yunduo.com", "CertificateArn=" + certificate},
	"CertificateArn":            {certificate, "DomainName=archive.yunduo.com"},
	"PublicUrl":                 {"https://proxy.yunduo.com"},
	"JwtIssuer":                 {"https://other.yunduo.com/realm"},
	"JwtAudience":               {"archive"},
	"AllowedOrigins":            {"https://scrm.yunduo.com,http://localhost:5173"},
	"ConsoleClientId":           {"console"},
	"ConsoleScopes":             {"openid offline_access archive/read"},
	"ConsoleParents":            {"https://scrm.yunduo.com"},
	"LoginOrigins":              {"https://token.yunduo.com"},
	"NatZones":                  {"two"},
	"AddressAllocationA":        {"eipalloc-0123456789abcdef0/203.0.113.9"},
	"AddressAllocationB":        {"eipalloc-0123456789abcdef1/203.0.113.10", "NatZones=announce-two"},
	"VpcCidr":                   {"172.20.0.0/16"},
	"Zones":                     {"us-east-1b,us-east-1c"},
	"TrustedIps":                {"203.0.113.9;203.0.113.10", "VpcId=vpc-01234567 SubnetIds=subnet-01234567"},
	"VpcId":                     {"vpc-0123456789abcdef0", "TrustedIps=203.0.113.9 SubnetIds=subnet-01234567"},
	"SubnetIds":                 {"subnet-01234567,subnet-76543210", "TrustedIps=203.0.113.9 VpcId=vpc-01234567"},
	"WecomProxy":                {"socks5://10.0.0.1:1080"},
	"DecodeIdentity":            {"archive/identity"},
	"JournalLock":               {"GOVERNANCE", "JournalLockDays=7"},
	"JournalLockDays":           {"1825", "JournalLock=COMPLIANCE"},
	"MessagesClass":             {"infrequent"},
	"MessagesBackup":            {"none"},
	"Keys":                      {"one"},
	"BreakGlassRole":            {"arn:aws:iam::123456789012:role/ops/break-glass"},
	"PermissionsBoundary":       {"arn:aws:iam::123456789012:policy/boundary"},
	"Trail":                     {"existing"},
	"LogDays":                   {"365"},
	"AlarmEmail":                {"archive@yunduo.com"},
	"Alarms":                    {"essential"},
	"Announcements":             {"none"},
	"Companies":                 {"500"},
	"RequestsPerSecond":         {"20"},
	"CallbackRequestsPerSecond": {"200"},
	"ApiConcurrency":            {"20"},
	"PullConcurrency":           {"20"},
	"DecodeConcurrency":         {"40"},
	"MediaConcurrency":          {"20"},
	"ReserveConcurrency":        {"false"},
	"AccountConcurrency":        {"10"},
	"DispatchMemory":            {"512"},
	"PullMemory":                {"2048"},
	"DecodeMemory":              {"3538"},
	"MediaMemory":               {"1769"},
}

// block is a block of samconfig.toml up to its parameters.
const block = "[prod.global.parameters]\nregion = \"us-east-1\"\nstack_name = \"a\"\nparameter_overrides = "

const certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"

// A value of a parameter is of use only if it can be written in samconfig.toml, the
// whole check accepts it, and SAM gets it as it was written.
func TestCheckAcceptsEveryParameter(t *testing.T) {
	_, declared := readTemplate(t)
	if got, want := slices.Sorted(maps.Keys(other)), slices.Sorted(maps.Keys(declared)); !slices.Equal(got, want) {
		t.Errorf("got values of %v, want one of each of the template's: %v", got, want)
	}
	for name, value := range other {
		t.Run(name, func(t *testing.T) {
			if value[0] == declared[name].Default {
				t.Errorf("got the default %q, want another value", value[0])
			}
			pairs := append([]string{name + `="` + value[0] + `"`}, value[1:]...)
			if name != "JwtIssuer" {
				pairs = append(pairs, "JwtIssuer=https://login.yunduo.com")
			}
			all, err := deploy.Blocks([]byte(block + "'" + strings.Join(pairs, " ") + "'"))
			if err != nil {
				t.Fatal(err)
			}
			library := "x86_64"
			if name == "Architecture" {
				library = value[0]
			}
			_, err = check(repository(t, library), all["prod"])
			wantError(t, err)
			if got := written(t, all["prod"])[name]; got != value[0] {
				t.Errorf("got %q for SAM, want %q", got, value[0])
			}
		})
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
