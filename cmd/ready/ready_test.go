package main

import (
	"cmp"
	"debug/elf"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
)

const root = "../.."

func blocks(t *testing.T) map[string]deploy.Block {
	t.Helper()
	all, err := deploy.ReadBlocks(root + "/samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every block of samconfig.toml has example values, and check names one.
func TestCheckRefusesTheExamples(t *testing.T) {
	for name, e := range blocks(t) {
		_, err := check(root, e)
		if err == nil || !strings.Contains(err.Error(), "JwtIssuer is still the example ") {
			t.Errorf("%s: got %v, want an error with the example issuer", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name         string
		stack        string // archive if empty
		architecture string
		library      string      // processor of the installed library; empty without a library
		built        elf.Machine // machine of an earlier build; EM_NONE without a build
		change       map[string]string
		want         []string // parts of the error; empty if the deployment is ready
	}{
		{name: "ready", architecture: "x86_64", library: "x86_64"},
		{name: "the default processor", library: "x86_64"},
		{name: "arm64", architecture: "arm64", library: "arm64"},
		// The next build replaces the output of an earlier one.
		{name: "earlier build for another processor", architecture: "arm64", library: "arm64", built: elf.EM_X86_64},
		{name: "no library", architecture: "x86_64", want: []string{"vendor library missing: run make layer"}},
		{name: "arm64 with an x86 layer", architecture: "arm64", library: "x86_64", want: []string{"vendor library is for x86_64, but Architecture is arm64"}},
		{
			name: "several contradictions", architecture: "x86_64", library: "arm64",
			change: map[string]string{"JournalLock": "COMPLIANCE", "CertificateArn": ""},
			want:   []string{"DomainName needs CertificateArn", "JournalLock needs a retention", "vendor library is for arm64"},
		},
		{name: "certificate of another region", library: "x86_64", change: map[string]string{"CertificateArn": "arn:aws-cn:acm:cn-northwest-1:123456789012:certificate/1"}, want: []string{"must begin with arn:aws-cn:acm:cn-north-1:"}},
		{name: "certificate of another partition", library: "x86_64", change: map[string]string{"CertificateArn": "arn:aws:acm:cn-north-1:123456789012:certificate/1"}, want: []string{"must begin with arn:aws-cn:acm:cn-north-1:"}},
		{name: "issuer on this machine", library: "x86_64", change: map[string]string{"JwtIssuer": "http://127.0.0.1:8080"}, want: []string{"accepts only https issuers"}},
		{name: "address without TLS", library: "x86_64", change: map[string]string{"PublicUrl": "http://127.0.0.1:8080"}, want: []string{"need https"}},
		{name: "pages of every origin", library: "x86_64", change: map[string]string{"AllowedOrigins": "*"}, want: []string{"name the origins"}},
		{name: "break-glass role", library: "x86_64", change: map[string]string{"BreakGlassRole": "arn:aws-cn:iam::123456789012:role/break-glass"}},
		{name: "boundary of another partition", library: "x86_64", change: map[string]string{"PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"}, want: []string{"PermissionsBoundary", "must begin with arn:aws-cn:iam::"}},
		{name: "private Elastic IP", library: "x86_64", change: map[string]string{"AddressAllocationA": "eipalloc-01234567/10.0.0.1"}, want: []string{"AddressAllocationA: 10.0.0.1 is no public address"}},
		{name: "network", library: "x86_64", change: map[string]string{"VpcCidr": "192.168.0.0/20"}},
		{name: "public network", library: "x86_64", change: map[string]string{"VpcCidr": "172.200.0.0/20"}, want: []string{"VpcCidr: 172.200.0.0/20 is no private network"}},
		{name: "address in a network", library: "x86_64", change: map[string]string{"VpcCidr": "10.78.0.1/20"}, want: []string{"VpcCidr: 10.78.0.1/20 is no private network"}},
		{name: "zones", library: "x86_64", change: map[string]string{"Zones": "cn-north-1a,cn-north-1b"}},
		{name: "one zone twice", library: "x86_64", change: map[string]string{"Zones": "cn-north-1a,cn-north-1a"}, want: []string{"Zones: cn-north-1a is named twice"}},
		{name: "zones of another region", library: "x86_64", change: map[string]string{"Zones": "cn-north-1a,us-east-1a"}, want: []string{"us-east-1a is no zone of cn-north-1"}},
		{name: "break-glass role of another partition", library: "x86_64", change: map[string]string{"BreakGlassRole": "arn:aws:iam::123456789012:role/break-glass"}, want: []string{"must begin with arn:aws-cn:iam::"}},
		{name: "path of the issuer's document", library: "x86_64", change: map[string]string{"JwtIssuer": "https://login.yunduo.cn/.well-known/openid-configuration"}, want: []string{"without /.well-known"}},
		{name: "longest name", stack: strings.Repeat("a", 55), library: "x86_64"},
		{name: "name too long", stack: strings.Repeat("a", 57), library: "x86_64", want: []string{"is too long by 2"}},
		{name: "invalid name", stack: "1st", library: "x86_64", want: []string{"want a letter"}},
		{name: "capitals in the name", stack: "Archive", library: "x86_64", want: []string{"all in lower case"}},
		{name: "own network", library: "x86_64", change: ownNetworkOf("203.0.113.9;203.0.113.10", "http://10.0.0.1:8081")},
		{name: "private address", library: "x86_64", change: ownNetworkOf("203.0.113.9;10.0.0.1", ""), want: []string{"10.0.0.1 is no public address"}},
		{name: "address with zeros", library: "x86_64", change: ownNetworkOf("203.0.113.09", ""), want: []string{"203.0.113.09 is no public address"}},
		{name: "port above 65535", library: "x86_64", change: ownNetworkOf("203.0.113.9", "http://10.0.0.1:65536"), want: []string{`port "65536" is no port number`}},
		{name: "port of another rule", library: "x86_64", change: ownNetworkOf("203.0.113.9", "socks5://10.0.0.1:443"), want: []string{"another port than 443"}},
		{name: "unknown processor", architecture: "amd64", library: "x86_64", want: []string{`Architecture: "amd64" is not one of [x86_64 arm64]`}},
		{name: "unknown parameter", library: "x86_64", change: map[string]string{"Domain": "x"}, want: []string{"Domain: is not declared"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t, c.library)
			if c.built != elf.EM_NONE {
				buildFor(t, dir, c.built)
			}
			e := deploy.Block{Name: "prod", Stack: cmp.Or(c.stack, "archive"), Region: "cn-north-1", Parameters: map[string]string{
				"DomainName": "archive.yunduo.cn", "JwtIssuer": "https://login.yunduo.cn",
				"CertificateArn": "arn:aws-cn:acm:cn-north-1:123456789012:certificate/1",
			}}
			if c.architecture != "" {
				e.Parameters["Architecture"] = c.architecture
			}
			maps.Copy(e.Parameters, c.change)
			said, err := check(dir, e)
			wantError(t, err, c.want...)
			if err != nil && strings.Contains(err.Error(), "ARCH=amd64") {
				t.Errorf("got %v, want no processor that make layer refuses", err)
			}
			if (len(said) > 0) != (c.architecture == "arm64") {
				t.Errorf("notes: got %q, want one about arm64 in China only", said)
			}
		})
	}
}

// repository makes a folder with the template, and with the processor of the
// library unless that is empty.
func repository(t *testing.T, library string) string {
	t.Helper()
	dir := t.TempDir()
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"template.yaml": source}
	if library != "" {
		files["layers/finance-sdk/lib/arch"] = []byte(library + "\n")
	}
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantError wants every part in the error, or success without parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if len(parts) == 0 && err != nil {
		t.Errorf("got %v, want success", err)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
}

func ownNetworkOf(ips, proxy string) map[string]string {
	return map[string]string{"TrustedIps": ips, "WecomProxy": proxy, "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567"}
}

// buildConsole makes the console with one digest, and api with another.
func buildConsole(t *testing.T, dir, built, embedded string) {
	t.Helper()
	for name, text := range map[string]string{
		"functions/api/internal/console/dist/build.json": `{"digest":"` + built + `"}`, ".aws-sam/build/ApiFunction/bootstrap": "program " + embedded + " program",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// The function api embeds the console as it was when sam built it.
func TestCheckBuiltConsole(t *testing.T) {
	e := deploy.Block{Parameters: map[string]string{}}
	dir := repository(t, "")
	buildConsole(t, dir, "abc", "abc")
	wantError(t, checkBuilt(dir, e))
	buildConsole(t, dir, "def", "abc")
	wantError(t, checkBuilt(dir, e), "another console than the one that is built: run sam build")
	if err := os.Remove(filepath.Join(dir, ".aws-sam/build/ApiFunction/bootstrap")); err != nil {
		t.Fatal(err)
	}
	wantError(t, checkBuilt(dir, e), "build output of ApiFunction missing")
	if err := os.RemoveAll(filepath.Join(dir, "functions")); err != nil {
		t.Fatal(err)
	}
	wantError(t, checkBuilt(dir, e), "console missing: run make web")
}

// buildFor makes the output that sam build makes for one function.
func buildFor(t *testing.T, dir string, machine elf.Machine) {
	t.Helper()
	needs.Compiler(t)
	to := filepath.Join(dir, ".aws-sam/build/PullFunction")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	made, err := standin.Build(t.Context(), to, standin.ForMachine(machine))
	if err == nil {
		err = errors.Join(os.Rename(made, filepath.Join(to, "bootstrap")), os.WriteFile(filepath.Join(dir, ".aws-sam/build/template.yaml"), []byte("{}"), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckBuilt(t *testing.T) {
	for _, c := range []struct {
		name         string
		architecture string // empty for the default
		built        elf.Machine
		want         string // part of the error; empty for success
	}{
		{"default processor", "", elf.EM_X86_64, ""},
		{"arm64", "arm64", elf.EM_AARCH64, ""},
		{"build for another processor", "arm64", elf.EM_X86_64, "PullFunction/bootstrap is built for EM_X86_64, but Architecture is arm64"},
		{"no build", "", elf.EM_NONE, "build output missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t, "")
			if c.built != elf.EM_NONE {
				buildFor(t, dir, c.built)
				buildConsole(t, dir, "abc", "abc")
			}
			err := checkBuilt(dir, deploy.Block{Parameters: map[string]string{"Architecture": c.architecture}})
			if c.want == "" {
				wantError(t, err)
			} else {
				wantError(t, err, c.want)
			}
		})
	}
}
