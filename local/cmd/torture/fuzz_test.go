package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reads are the calls with which a file reads bytes, a header, or a text of a client.
var reads = regexp.MustCompile(`json\.(Unmarshal|NewDecoder)\(|xml\.(Unmarshal|NewDecoder)\(|base64\.[\w.()]*\.Decode|hex\.Decode|\btar\.NewReader\(|\bzip\.NewReader\(|\bgzip\.NewReader\(|` +
	`\belf\.(Open|NewFile)\(|x509\.Parse|pem\.Decode\(|binary\.\w+Endian\.Uint|ParseAcceptLanguage\(|Header\.Get\("|\.Query\(\)\.Get\(|opaque\.[A-Z]\w+\([^)]*\)\.Open\(|QueryUnescape\(`)

// fuzzedBy names, for each file that reads from outside, the fuzz targets that cover it:
// package and name.
var fuzzedBy = map[string][]string{
	"cmd/sdk/check.go":   {"cmd/sdk FuzzLibrary"},
	"cmd/sdk/install.go": {"cmd/sdk FuzzLibrary"},
	"cmd/sdk/package.go": {"cmd/sdk FuzzPackage"},

	"functions/api/internal/callback/callback.go":  {"shared/msgcrypt FuzzReceived", "functions/api/internal/callback FuzzAppEvent"},
	"functions/api/internal/chats/bytes.go":        {"functions/api/internal/chats FuzzRange"},
	"functions/api/internal/chats/conversation.go": {"shared/opaque FuzzOpen", "shared/archive FuzzConversationID"},
	"functions/api/internal/chats/links.go":        {"functions/api/internal/chats FuzzPlaces"},
	"functions/api/internal/chats/list.go":         {"functions/api/internal/chats FuzzPlaces"},
	"functions/api/internal/chats/messages.go":     {"functions/api/internal/chats FuzzPlaces"},
	"functions/api/internal/chats/seen.go":         {"shared/opaque FuzzOpen", "shared/archive FuzzConversationID"},
	"functions/api/internal/console/console.go":    {"functions/api/internal/output FuzzAccepts", "functions/api/internal/output FuzzMatches"},
	"functions/api/internal/gateway/gateway.go":    {"functions/api/internal/gateway FuzzEvent"},
	"functions/api/internal/input/input.go":        {"functions/api/internal/input FuzzBody", "functions/api/internal/input FuzzQuery"},
	"functions/api/internal/problem/problem.go":    {"functions/api/internal/problem FuzzChoose"},
	"functions/api/internal/proof/readings.go":     {"shared/opaque FuzzOpen", "shared/archive FuzzConversationID"},
	"functions/api/internal/routes/serve.go": {
		"functions/api/internal/problem FuzzChoose", "functions/api/internal/output FuzzAccepts", "functions/api/internal/output FuzzMatches",
	},
	"functions/api/internal/session/caller.go": {"functions/api/internal/session FuzzCallerOf"},

	"shared/archive/decode/open.go": {"shared/archive FuzzParseAnswer", "shared/libcrypto FuzzUnpad"},
	"shared/archive/message.go":     {"shared/archive FuzzConversationID"},
	"shared/archive/page.go":        {"shared/archive FuzzParseAnswer"},
	"shared/dynamostore/keys.go":    {"shared/dynamostore FuzzMsgIDsInKeys", "shared/dynamostore FuzzIDsInKeys"},
	"shared/financesdk/check.go":    {"shared/financesdk FuzzCheck"},
	"shared/message/files.go":       {"shared/message FuzzFilesInStrings"},
	"shared/message/message.go":     {"shared/message FuzzRead", "shared/message FuzzTolerable"},
	"shared/message/object.go":      {"shared/message FuzzRead", "shared/message FuzzPayload"},
	"shared/message/scan.go":        {"shared/message FuzzRead", "shared/message FuzzTolerable"},
	"shared/msgcrypt/msgcrypt.go":   {"shared/msgcrypt FuzzOpen", "shared/msgcrypt FuzzReceived", "shared/msgcrypt FuzzLayout", "shared/msgcrypt FuzzXML"},
	"shared/opaque/opaque.go":       {"shared/opaque FuzzOpen"},
	"shared/rsakey/forms.go":        {"shared/rsakey FuzzImport"},
	"shared/rsakey/parse.go":        {"shared/rsakey FuzzImport"},
	"shared/sqsqueue/serve.go":      {"shared/sqsqueue FuzzParse"},
	"shared/wecomapi/wecomapi.go":   {"shared/wecomapi FuzzAnswers", "shared/wecomapi FuzzTokens"},
}

// inside are the files and folders that read only bytes of our own, or of a source that
// they must trust, with the reason why a fuzz target would show nothing.
var inside = map[string]string{
	"cmd/comeback":                        "reads answers of the operator's own account",
	"cmd/cost":                            "reads docs/prices.json and docs/measured.json",
	"cmd/ready":                           "reads what was built, answers of AWS, and of the issuer that the operator names",
	"cmd/smoke":                           "reads answers of the operator's own API",
	"functions/api/internal/apitest":      "is a test's fixture",
	"functions/api/internal/callbackpair": "reads pairs that api sealed",
	"shared/archive/archivetest":          "is for tests",
	"shared/archive/media/media.go":       "reads digests in hex; another text counts as none",
	"shared/archive/wanted.go":            "reads wishes that it wrote",
	"shared/dynamostore/ledger.go":        "reads items that it wrote",
	"shared/dynamostore/moves.go":         "reads items that it wrote",
	"shared/libcrypto/libcrypto.go":       "reads the key of the known answer",
	"shared/s3store":                      "reads heads that dispatch wrote; a change shows in the chain",
	"shared/secret":                       "reads digests that it wrote",
	"shared/secretstore":                  "reads secrets that api wrote",
}

// readers are the files of the product that read bytes.
func readers(t *testing.T, root string) (files []string) {
	t.Helper()
	for _, top := range []string{"cmd", "functions", "shared", "layers"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			text, err := os.ReadFile(p)
			if err != nil || !reads.Match(text) {
				return err
			}
			file, err := filepath.Rel(root, p)
			files = append(files, filepath.ToSlash(file))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Every file that reads bytes from outside names the fuzz targets that cover it, and
// the document lists every target beside its package.
func TestEveryReaderHasATarget(t *testing.T) {
	const root = "../../.."
	list, err := targets(root)
	if err != nil {
		t.Fatal(err)
	}
	has := make(map[string]bool)
	for _, target := range list {
		has[target.String()] = true
	}
	used := make(map[string]bool)
	for _, file := range readers(t, root) {
		var listed []string
		for _, name := range []string{file, path.Dir(file)} {
			if inside[name] != "" || fuzzedBy[name] != nil {
				listed, used[name] = append(listed, name), true
			}
		}
		if len(listed) != 1 || inside[listed[0]] != "" && fuzzedBy[listed[0]] != nil {
			t.Errorf("%s reads bytes: want it either with its fuzz targets or among those that read only bytes of our own, got it in %q", file, listed)
		}
	}
	for name := range inside {
		if !used[name] {
			t.Errorf("%s is listed and reads nothing", name)
		}
	}
	for file, names := range fuzzedBy {
		if !used[file] {
			t.Errorf("%s is listed and reads nothing", file)
		}
		for _, name := range names {
			if !has[name] {
				t.Errorf("%s: there is no target %q", file, name)
			}
		}
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs/torture.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([\\w/-]+)` \\|(.*)\\|$").FindAllStringSubmatch(string(doc), -1) {
		for _, name := range regexp.MustCompile("`(Fuzz\\w+)`").FindAllStringSubmatch(m[2], -1) {
			documented = append(documented, target{m[1], name[1]}.String())
		}
	}
	slices.Sort(documented)
	var want []string
	for _, target := range list {
		want = append(want, target.String())
	}
	if !slices.Equal(documented, want) {
		t.Errorf("docs/torture.md lists %q, want %q", documented, want)
	}
}

// The inputs that are kept are few, are small and large ones alike, and stay.
func TestKeptInputs(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "FuzzSome")
	write := func(dir, name string, size int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() (names []string) {
		t.Helper()
		if err := keep(from, to); err != nil {
			t.Fatal(err)
		}
		list, err := os.ReadDir(to)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, entry := range list {
			names = append(names, entry.Name())
		}
		return names
	}
	write(from, "large", keptBytes+1)
	if got := kept(); got != nil {
		t.Fatalf("got %q, want nothing of an input above the limit", got)
	}
	for i := range 100 {
		write(from, fmt.Sprintf("%02d", i), i)
	}
	first := kept()
	if len(first) != keptInputs || first[0] != "00" || first[keptInputs-1] < "90" || slices.Contains(first, "large") {
		t.Errorf("got %q, want %d from the smallest to a large one", first, keptInputs)
	}
	write(from, "new", 1)
	if got := kept(); !slices.Equal(got, first) {
		t.Errorf("got %q afterwards, want %q", got, first)
	}
}
