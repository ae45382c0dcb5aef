package deploy_test

import (
	"cmp"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
)

// What samconfig.toml comes with is for nobody, and is said to be so.
func TestExamplesAreNotReady(t *testing.T) {
	for name, e := range environments(t) {
		err := deploy.Check(root, e)
		if err == nil || !strings.Contains(err.Error(), "JwtIssuer is still the example's") {
			t.Errorf("%s: got %v, want the example's issuer named", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name         string
		stack        string // archive if empty
		architecture string
		library      string      // the processor of the library in place; empty for none
		built        elf.Machine // of what sam built; EM_NONE for nothing
		change       map[string]string
		want         []string // in the error; none for ready
	}{
		{name: "ready", architecture: "x86_64", library: "x86_64"},
		{name: "the default processor", library: "x86_64"},
		{name: "arm64", architecture: "arm64", library: "arm64"},
		// What an earlier build left is of no interest before the next.
		{name: "built for the other before", architecture: "arm64", library: "arm64", built: elf.EM_X86_64},
		{name: "no library", architecture: "x86_64", want: []string{"is not in place: run make layer"}},
		{name: "arm64 with an x86 layer", architecture: "arm64", library: "x86_64", want: []string{"in place is for x86_64, but Architecture is arm64"}},
		{
			name: "contradictions, all at once", architecture: "x86_64", library: "arm64",
			change: map[string]string{"JournalLock": "COMPLIANCE", "CertificateArn": ""},
			want:   []string{"DomainName needs CertificateArn", "JournalLock needs a retention", "in place is for arm64"},
		},
		{name: "certificate of another region", library: "x86_64", change: map[string]string{"CertificateArn": "arn:aws-cn:acm:cn-northwest-1:123456789012:certificate/1"}, want: []string{"has to begin with arn:aws-cn:acm:cn-north-1:"}},
		{name: "certificate of another partition", library: "x86_64", change: map[string]string{"CertificateArn": "arn:aws:acm:cn-north-1:123456789012:certificate/1"}, want: []string{"has to begin with arn:aws-cn:acm:cn-north-1:"}},
		{name: "issuer on this machine", library: "x86_64", change: map[string]string{"JwtIssuer": "http://127.0.0.1:8080"}, want: []string{"over https only"}},
		{name: "issuer's document", library: "x86_64", change: map[string]string{"JwtIssuer": "https://login.yunduo.cn/.well-known/openid-configuration"}, want: []string{"without /.well-known"}},
		{name: "longest name", stack: strings.Repeat("a", 55), library: "x86_64"},
		{name: "name too long", stack: strings.Repeat("a", 57), library: "x86_64", want: []string{"is too long by 2"}},
		{name: "no name", stack: "1st", library: "x86_64", want: []string{"want a letter"}},
		{name: "own network", library: "x86_64", change: ownNetworkOf("203.0.113.9;203.0.113.10", "http://10.0.0.1:8081")},
		{name: "private address", library: "x86_64", change: ownNetworkOf("203.0.113.9;10.0.0.1", ""), want: []string{"10.0.0.1 is no public address"}},
		{name: "address with zeros", library: "x86_64", change: ownNetworkOf("203.0.113.09", ""), want: []string{"203.0.113.09 is no public address"}},
		{name: "port beyond", library: "x86_64", change: ownNetworkOf("203.0.113.9", "http://10.0.0.1:65536"), want: []string{"no port 65536"}},
		{name: "port that is open", library: "x86_64", change: ownNetworkOf("203.0.113.9", "socks5://10.0.0.1:443"), want: []string{"another port than 443"}},
		{name: "unknown parameter", library: "x86_64", change: map[string]string{"Domain": "x"}, want: []string{"Domain: is not declared"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			source, err := os.ReadFile(root + "/template.yaml")
			if err != nil {
				t.Fatal(err)
			}
			write := func(name string, b []byte) {
				t.Helper()
				path := filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			write("template.yaml", source)
			if c.library != "" {
				write("layers/finance-sdk/lib/arch", []byte(c.library+"\n"))
			}
			if c.built != elf.EM_NONE {
				buildFor(t, dir, c.built)
			}
			e := deploy.Environment{Name: "prod", Stack: cmp.Or(c.stack, "archive"), Region: "cn-north-1", Parameters: map[string]string{
				"DomainName": "archive.yunduo.cn", "JwtIssuer": "https://login.yunduo.cn",
				"CertificateArn": "arn:aws-cn:acm:cn-north-1:123456789012:certificate/1",
			}}
			if c.architecture != "" {
				e.Parameters["Architecture"] = c.architecture
			}
			for k, v := range c.change {
				e.Parameters[k] = v
			}
			err = deploy.Check(dir, e)
			if len(c.want) == 0 && err != nil {
				t.Errorf("got %v, want it ready", err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want an error with %q", err, want)
				}
			}
		})
	}
}

func ownNetworkOf(ips, proxy string) map[string]string {
	return map[string]string{"TrustedIps": ips, "WecomProxy": proxy, "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567"}
}

// buildFor leaves what sam build would of a function.
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
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		architecture string // empty for the default
		built        elf.Machine
		want         string // in the error; empty for none
	}{
		{"the default processor", "", elf.EM_X86_64, ""},
		{"arm64", "arm64", elf.EM_AARCH64, ""},
		{"the other", "arm64", elf.EM_X86_64, "PullFunction/bootstrap was built for EM_X86_64, but Architecture is arm64"},
		{"not built", "", elf.EM_NONE, "nothing is built"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "template.yaml"), source, 0o644); err != nil {
				t.Fatal(err)
			}
			if c.built != elf.EM_NONE {
				buildFor(t, dir, c.built)
			}
			err := deploy.CheckBuilt(dir, deploy.Environment{Parameters: map[string]string{"Architecture": c.architecture}})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestEnvironmentsThatAreNone(t *testing.T) {
	const head = "version = 0.1\n[prod.global.parameters]\nregion = \"cn-north-1\"\nstack_name = \"a\"\nparameter_overrides = "
	for name, c := range map[string]struct{ source, want string }{
		"not TOML":        {"[prod", "samconfig.toml"},
		"no region":       {"[prod.global.parameters]\nstack_name = \"a\"", "region is missing"},
		"twice":           {head + `"A=1 A=2"`, "A is given twice"},
		"no name":         {head + `"A"`, `"A" is no Name=Value`},
		"another command": {"[prod.deploy.parameters]\nregion = \"x\"", "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := deploy.Environments([]byte(c.source)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	got, err := deploy.Environments([]byte(head + `"A=1 B=x=y"`))
	if err != nil || got["prod"].Parameters["B"] != "x=y" {
		t.Errorf("got %v, error %v", got, err)
	}
}
