package aws_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/needs"
)

// What is missing is named, all of it at once, with what helps.
func TestWhatIsMissing(t *testing.T) {
	needs.Servers(t)
	const bogusNPM = "#!/bin/sh\necho bogus > \"$5/amplify-dynamodb-simulator-2.9.30.tgz\"\n"
	for _, c := range []struct {
		name  string
		tools []string // of this machine
		npm   string   // a script
		want  []string
	}{
		{"all", nil, "", []string{"java is missing", "install a JDK", "python3 is missing"}},
		{"npm", []string{"java", "javac"}, "", []string{"npm is missing", "install Node.js"}},
		{"moto", []string{"java", "false"}, "", []string{"python3 -m pip install 'moto[server]'"}},
		{"another package", []string{"java", "javac"}, bogusNPM, []string{"has integrity sha512-", "refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := t.TempDir()
			for _, tool := range c.tools {
				path, err := exec.LookPath(tool)
				if err != nil {
					t.Fatal(err)
				}
				name := tool
				if tool == "false" {
					name = "python3" // one that has nothing
				}
				if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
					t.Fatal(err)
				}
			}
			if c.npm != "" {
				if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(c.npm), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			t.Chdir(t.TempDir()) // away from a Python that setup installed
			cache := t.TempDir()
			_, err := aws.Start(t.Context(), aws.Options{Cache: cache})
			if err == nil {
				t.Fatal("got no error")
			}
			for _, words := range c.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("got error %q, want %q in it", err, words)
				}
			}
			left, err := filepath.Glob(filepath.Join(cache, "*-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left in the cache: %q, error %v, want nothing", left, err)
			}
		})
	}
}

func TestTemplatesThatAreNone(t *testing.T) {
	for name, template := range map[string]string{
		"not YAML":      "Resources: [",
		"no properties": "Resources: {T: {Type: \"AWS::DynamoDB::Table\"}}",
		"no key":        "Resources: {T: {Type: \"AWS::DynamoDB::Table\", Properties: {}}}",
	} {
		t.Run(name, func(t *testing.T) {
			if tables, err := aws.Tables([]byte(template)); err == nil {
				t.Errorf("got %d tables and no error", len(tables))
			}
		})
	}
}
