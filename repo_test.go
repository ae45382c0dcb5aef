// Package repo_test holds the rules of this repository that no compiler
// checks, each with its reason.
package repo_test

import (
	"cmp"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

const module = "github.com/yunduo-scrm/archive/"

// source is a Go file of the repository.
type source struct {
	path string // slash-separated, relative to the root
	dir  string
	test bool
	file *ast.File
	text string
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || name == "build" || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		all = append(all, source{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), file: file, text: string(text)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files only: the rules would check nothing", len(all))
	}
	return all
}

func imports(f source) []string {
	var paths []string
	for _, i := range f.file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// importRules say what the packages below a folder may import of this module
// and of others; the standard library is always allowed unless denied. The
// first rule that fits a folder counts.
var importRules = []struct {
	dirs   string // regexp on the folder
	allow  string // regexp on imports outside the standard library; own ones without the module path
	deny   string // regexp on any import
	reason string
}{
	{`^shared/pattern$`, `^$`, `^os(/exec)?$|^net(/http)?$`,
		"level 0 is the standard library: anything may build on it"},
	{`^shared/(secret|sdkproto|msgcrypt|message|env|opaque)$`, `^shared/pattern$`, `^os/exec$|^net/http$`,
		"level 0 is the standard library: anything may build on it"},
	{`^shared/archive$`, `^shared/(secret|message|pattern)$|^golang\.org/x/sync/`, `^os(/exec)?$|^net(/http)?$`,
		"the core holds words and contracts: it knows no room, no AWS, no process and no network"},
	{`^shared/archive/(pull|directory|media)$`, `^shared/(archive|secret|message|pattern)$|^golang\.org/x/sync/`, `^os(/exec)?$|^net(/http)?$`,
		"a room builds on the core and on no other room"},
	{`^shared/archive/decode$`, `^shared/(archive|secret|message)$|^shared/archive/media$|^golang\.org/x/sync/`, `^os(/exec)?$|^net(/http)?$`,
		"decode registers the files that messages name, and knows no other room"},
	{`^shared/archive/watch$`, `^shared/archive$|^shared/archive/(media|decode)$|^golang\.org/x/sync/`, `^os(/exec)?$|^net(/http)?$`,
		"watch requests again what media and decode left behind, and does neither"},
	{`^shared/archive/doctor$`, `^shared/archive$|^shared/archive/(directory|media|watch)$|^golang\.org/x/sync/`, `^os(/exec)?$|^net(/http)?$`,
		"the doctor judges what pull, decode, media and directory have stored, asks watch which health follows, and does none of their work"},
	{`^shared/archive/archivetest$`, `^shared/(archive|secret)$|^shared/archive/`, `^net/http$`,
		"fakes are made of the domain's contracts alone"},
	{`^shared/dynamostore$`, `^shared/(archive|secret)$|^shared/archive/(decode|directory|doctor|media|pull|watch)$|^github\.com/aws/aws-sdk-go-v2/(aws|feature/dynamodb/.*|service/dynamodb.*)$|^github\.com/aws/smithy-go|^golang\.org/x/sync/`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/s3store$`, `^shared/(archive|pattern|secret)$|^shared/archive/(decode|directory|doctor|media|pull|watch)$|^github\.com/aws/aws-sdk-go-v2/(aws(/retry)?|service/s3.*)$|^github\.com/aws/smithy-go`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/sqsqueue$`, `^shared/(archive|secret)$|^shared/archive/(decode|directory|doctor|media|pull|watch)$|^github\.com/aws/aws-sdk-go-v2/(aws(/retry)?|service/sqs.*)$|^github\.com/aws/aws-lambda-go/events$|^github\.com/aws/smithy-go`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/snsnotify$`, `^shared/(archive|secret)$|^shared/archive/(decode|directory|doctor|media|pull|watch)$|^github\.com/aws/aws-sdk-go-v2/(aws(/retry)?|service/sns.*)$|^github\.com/aws/smithy-go`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/eventbus$`, `^shared/(archive|opaque)$|^shared/archive/(decode|doctor)$|^github\.com/aws/aws-sdk-go-v2/(aws|service/eventbridge.*)$`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/secretstore$`, `^shared/(archive|secret)$|^shared/archive/(decode|directory|doctor|media|pull|watch)$|^github\.com/aws/aws-sdk-go-v2/(aws(/retry)?|service/secretsmanager.*)$|^github\.com/aws/smithy-go`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/wecomapi$`, `^shared/(archive|message|pattern|secret)$|^shared/archive/directory$`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/lambdamain$`, `^shared/awslog$|^github\.com/aws/aws-lambda-go/|^github\.com/aws/aws-sdk-go-v2/(aws|config)$`, ``,
		"the start of every function, and nothing of what it does"},
	{`^shared/awslog$`, `^github\.com/aws/smithy-go/logging$`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/rsakey$`, `^shared/(archive|pattern|secret)$|^shared/archive/decode$`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/libcrypto$`, `^shared/archive/decode$|^github\.com/ebitengine/purego$`, ``,
		"an adapter has one technology and never imports another adapter"},
	{`^shared/sdkworker$`, `^shared/(archive|secret|sdkproto)$|^shared/archive/(decode|media|pull)$|^golang\.org/x/sys/`, ``,
		"the parent of vendor code never loads it: it has no binding"},
	{`^shared/financesdk$`, `^shared/(secret|sdkproto)$|^github\.com/ebitengine/purego`, ``,
		"the binding knows the vendor's functions and nothing of us"},
	{`^layers/finance-sdk/`, `^shared/(financesdk|sdkproto|secret)$|^golang\.org/x/sys/`, ``,
		"the worker runs vendor code: it has no AWS SDK, no key and no domain (law 7)"},
	{`^functions/api/internal/apitest$`, `.`, `^` + module + `shared/financesdk$`,
		"the fixture of the API's tests runs the API on the local services"},
	{`^functions/api/internal/(callbackpair|gateway|input|output|problem|replay|session)$`, `^shared/(archive|message|opaque|rsakey|secret)$|^shared/archive/(decode|directory|doctor)$|^functions/api/internal/(gateway|input|output|problem)$|^github\.com/aws/aws-lambda-go/events$|^golang\.org/x/text/`, ``,
		"what several subjects share knows none of them"},
	{`^functions/api/internal/routes$`, `^shared/(archive|message|opaque|pattern)$|^functions/api/internal/|^github\.com/aws/aws-lambda-go/events$`, ``,
		"the table of routes knows each subject and no adapter"},
	{`^functions/api/internal/`, `^shared/(archive|message|msgcrypt|opaque|pattern|rsakey|secret)$|^shared/archive/|^functions/api/internal/(callbackpair|directory|gateway|input|output|problem|replay|session)$|^golang\.org/x/(sync|text)/`, ``,
		"a subject has ports of its own, which main fills with adapters; of the other subjects it knows directory, which names people"},
	{`^functions/decode$`, `^shared/(archive|secret|env|lambdamain|libcrypto|dynamostore|eventbus|s3store|sqsqueue|secretstore|rsakey|sdkworker)$|^shared/archive/(pull|decode|media)$|^github\.com/aws/aws-lambda-go/lambdacontext$|^github\.com/aws/aws-sdk-go-v2/`, ``,
		"decode alone uses private keys, so that no other function loads OpenSSL"},
	{`^functions/`, `^shared/(archive|secret|message|msgcrypt|env|lambdamain|opaque|dynamostore|eventbus|s3store|sqsqueue|snsnotify|secretstore|rsakey|sdkworker|wecomapi)$|^shared/archive/(pull|decode|media|directory|doctor|watch)$|^functions/api/internal/|^github\.com/aws/aws-lambda-go|^github\.com/aws/aws-sdk-go-v2/|^github\.com/awslabs/|^golang\.org/x/(sync|text)/`, ``,
		"a function wires what is shared; it never imports another function, the binding, or the local cloud"},
	{`^cmd/`, `.`, `^` + module + `functions/|^` + module + `shared/financesdk$`,
		"an operator's command acts on real accounts: it loads no vendor code and is no function"},
	{`^local/cmd/bench$`, `.`, `^` + module + `functions/`,
		"the benchmark compares decode with a plain wrapper, which loads the library itself"},
	{`^local/`, `.`, `^` + module + `functions/|^` + module + `shared/financesdk$`,
		"the local cloud runs the functions as binaries and loads no vendor code"},
	{`^(\.|web.*)$`, `.`, ``, "tests of the whole repository"},
}

func TestImports(t *testing.T) {
	type rule struct {
		dirs, allow, deny *regexp.Regexp
		reason            string
	}
	var rules []rule
	for _, r := range importRules {
		deny := cmp.Or(r.deny, "^$") // no import has an empty path
		rules = append(rules, rule{regexp.MustCompile(r.dirs), regexp.MustCompile(r.allow), regexp.MustCompile(deny), r.reason})
	}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		i := slices.IndexFunc(rules, func(r rule) bool { return r.dirs.MatchString(f.dir) })
		if i < 0 {
			t.Errorf("%s: no import rule covers its folder; decide which level it is", f.path)
			continue
		}
		for _, p := range imports(f) {
			first, _, _ := strings.Cut(p, "/")
			outside := strings.Contains(first, ".")
			if rules[i].deny.MatchString(p) || outside && !rules[i].allow.MatchString(strings.TrimPrefix(p, module)) {
				t.Errorf("%s imports %s: %s", f.path, p, rules[i].reason)
			}
		}
	}
}

func TestOnlyTestsImportTestPackages(t *testing.T) {
	for _, f := range sources(t) {
		if f.test || strings.HasPrefix(f.dir, "local/") || f.dir == "shared/archive/archivetest" || f.dir == "functions/api/internal/apitest" {
			continue
		}
		for _, p := range imports(f) {
			if p == "testing" || strings.HasSuffix(p, "test") && strings.HasPrefix(p, module) {
				t.Errorf("%s imports %s: what is for tests stays out of the binaries", f.path, p)
			}
		}
	}
}

// callRules say where a call may stand. Tests may do anything.
var callRules = []struct {
	call   string // regexp on the source text
	where  string // regexp on the paths that may hold it
	reason string
}{
	{`\.Reveal\(\)`, `^shared/(secret|secretstore|rsakey|sdkworker|wecomapi|financesdk|msgcrypt)/|^layers/finance-sdk/|^functions/api/|^(cmd|local)/`,
		"a secret leaves its type only where it goes to the system that needs it"},
	{`\bos\.(Getenv|LookupEnv|Environ|Exit)\(|\blog\.Fatal`, `^shared/lambdamain/|^layers/finance-sdk/worker/|^(cmd|local)/`,
		"only a main reads the environment and ends the process"},
	{`\bslog\.Default\(\)|\bslog\.(Info|Warn|Error|Debug)(Context)?\(`, `^(cmd|local)/`,
		"there is one logger, and it is passed in"},
	{`\bcontext\.(Background|TODO)\(\)`, `^shared/lambdamain/|^layers/finance-sdk/worker/|^(cmd|local)/`,
		"a context comes from the caller"},
	{`\bpanic\(`, `^(cmd|local)/`,
		"an error is returned"},
}

func TestCalls(t *testing.T) {
	var calls, wheres []*regexp.Regexp
	for _, rule := range callRules {
		calls, wheres = append(calls, regexp.MustCompile(rule.call)), append(wheres, regexp.MustCompile(rule.where))
	}
	for _, f := range sources(t) {
		if f.test || f.dir == "shared/archive/archivetest" {
			continue
		}
		for i, rule := range callRules {
			if wheres[i].MatchString(f.path) {
				continue
			}
			for n, line := range strings.Split(f.text, "\n") {
				code, _, _ := strings.Cut(line, "//")
				if calls[i].MatchString(code) {
					t.Errorf("%s:%d: %s: %s", f.path, n+1, strings.TrimSpace(line), rule.reason)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := make(map[string]bool)
	for _, f := range sources(t) {
		if !f.test {
			said[f.dir] = said[f.dir] || f.file.Doc != nil
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestNothingPutOff(t *testing.T) {
	marker := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	for _, f := range sources(t) {
		if f.path != "repo_test.go" && marker.MatchString(f.text) {
			t.Errorf("%s puts something off: do it, or write down in DESIGN.md why not", f.path)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGoMod(t *testing.T) {
	mod := read(t, "go.mod")
	if regexp.MustCompile(`(?m)^replace|^\s+replace`).MatchString(mod) {
		t.Error("go.mod has a replace: nobody else could build what imports us")
	}
	design := read(t, "DESIGN.md")
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) v\S+$`).FindAllStringSubmatch(mod, -1) {
		if name := m[1]; !strings.Contains(design, name) && !strings.HasPrefix(name, "github.com/aws/aws-sdk-go-v2/") {
			t.Errorf("DESIGN.md does not say what %s is for and what was rejected", name)
		}
	}
}

// What web/ is made of can be installed from any registry, and has a reason.
func TestWebDependencies(t *testing.T) {
	lock := read(t, "web/package-lock.json")
	if !strings.Contains(lock, `"integrity"`) || strings.Contains(lock, `"resolved"`) {
		t.Error("web/package-lock.json names the registry that somebody installed from, or holds no digests: npm reads web/.npmrc in that folder")
	}
	var pkg struct{ Dependencies, DevDependencies map[string]string }
	if err := json.Unmarshal([]byte(read(t, "web/package.json")), &pkg); err != nil {
		t.Fatal(err)
	}
	if len(pkg.Dependencies) > 0 || len(pkg.DevDependencies) == 0 {
		t.Errorf("the package is built whole: %v would be installed by whoever uses it", pkg.Dependencies)
	}
	reasons := read(t, "docs/console.md")
	for name, version := range pkg.DevDependencies {
		if !strings.Contains(reasons, name) {
			t.Errorf("docs/console.md does not say what %s is for", name)
		}
		if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("%s is not pinned: %s", name, version)
		}
	}
}

func stack(t *testing.T) *template.Stack {
	t.Helper()
	s, err := template.Read([]byte(read(t, "template.yaml")), template.Options{
		StackName: "x", Region: "cn-north-1", QueueEndpoint: "http://127.0.0.1:1",
		Parameters: map[string]string{"TrustedIps": "127.0.0.1", "PublicUrl": "http://127.0.0.1", "JwtIssuer": "http://127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// One folder is one Lambda is one resource is one Makefile target.
func TestFunctionsAndTemplateAgree(t *testing.T) {
	dirs, err := os.ReadDir("functions")
	if err != nil {
		t.Fatal(err)
	}
	var folders, resources []string
	for _, d := range dirs {
		folders = append(folders, d.Name())
	}
	makefile := read(t, "Makefile")
	for _, f := range stack(t).Functions {
		resources = append(resources, strings.ToLower(strings.TrimSuffix(f.ID, "Function")))
		// A rule has its targets before the first colon of a line.
		if !regexp.MustCompile(`(?m)^([^\s:]+ )*build-` + f.ID + `( [^\s:]+)*:`).MatchString(makefile) {
			t.Errorf("the Makefile has no target build-%s", f.ID)
		}
	}
	slices.Sort(resources)
	if !slices.Equal(folders, resources) {
		t.Errorf("got resources %v, want one for each of the folders %v", resources, folders)
	}
}

var envName = regexp.MustCompile(`\.(?:Required|Optional)\("([A-Z0-9_]+)"\)`)

// What a function reads is declared for it, and the reverse.
func TestEnvironmentsAgree(t *testing.T) {
	all := sources(t)
	for _, f := range stack(t).Functions {
		dir := "functions/" + strings.ToLower(strings.TrimSuffix(f.ID, "Function"))
		reads := make(map[string]bool)
		for _, s := range all {
			if s.test || s.dir != dir {
				continue
			}
			for _, m := range envName.FindAllStringSubmatch(s.text, -1) {
				reads[m[1]] = true
				if _, ok := f.Environment[m[1]]; !ok {
					t.Errorf("%s reads %s, which template.yaml does not declare for %s", s.path, m[1], f.ID)
				}
			}
		}
		for name := range f.Environment {
			if !reads[name] {
				t.Errorf("template.yaml declares %s for %s, which does not read it", name, f.ID)
			}
		}
	}
}
