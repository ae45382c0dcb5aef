package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// decoders are the calls with which a package reads bytes.
var decoders = regexp.MustCompile(`json\.(Unmarshal|NewDecoder)\(|xml\.(Unmarshal|NewDecoder)\(|base64\.\w+\.Decode|\btar\.NewReader\(|\bzip\.NewReader\(|x509\.Parse|pem\.Decode\(|binary\.\w+Endian\.Uint`)

// inside are the packages that read only bytes of our own, or of a source that they
// must trust, with the reason why a fuzz target would show nothing.
var inside = map[string]string{
	"cmd/comeback":                        "reads answers of the operator's own account",
	"cmd/cost":                            "reads docs/prices.json and docs/measured.json",
	"cmd/ready":                           "reads answers of AWS and of the issuer that the operator names",
	"cmd/smoke":                           "reads answers of the operator's own API",
	"functions/api/internal/apitest":      "is a test's fixture",
	"functions/api/internal/callbackpair": "reads pairs that api sealed",
	"functions/api/internal/console":      "reads the console that is built into the binary",
	"shared/archive/archivetest":          "is for tests",
	"shared/archive/decode":               "reads base64 of a record that FuzzParseAnswer of shared/archive has read",
	"shared/s3store":                      "reads heads that dispatch wrote; a change shows in the chain",
	"shared/secretstore":                  "reads secrets that api wrote",
}

// Every package that decodes bytes from outside has a fuzz target.
func TestEveryDecoderHasATarget(t *testing.T) {
	const root = "../../.."
	list, err := targets(root)
	if err != nil {
		t.Fatal(err)
	}
	has := make(map[string]bool)
	for _, target := range list {
		has[target.Dir] = true
	}
	decodes := make(map[string]bool)
	for _, top := range []string{"cmd", "functions", "shared", "layers"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			dir, err := filepath.Rel(root, filepath.Dir(p))
			if decoders.Match(text) {
				decodes[filepath.ToSlash(dir)] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir := range decodes {
		_, ours := inside[dir]
		if !has[dir] && !ours {
			t.Errorf("%s decodes bytes and has no fuzz target", dir)
		}
		if has[dir] && ours {
			t.Errorf("%s has a fuzz target, and is listed as reading only bytes of our own", dir)
		}
	}
	for dir := range inside {
		if !decodes[dir] {
			t.Errorf("%s is listed and decodes nothing", dir)
		}
	}
	if !slices.ContainsFunc(list, func(x target) bool { return x == target{"shared/message", "FuzzRead"} }) {
		t.Errorf("FuzzRead of shared/message is missing from the list %v", list)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs/torture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range list {
		if !strings.Contains(string(doc), target.Name) {
			t.Errorf("docs/torture.md does not list %s", target)
		}
	}
}
