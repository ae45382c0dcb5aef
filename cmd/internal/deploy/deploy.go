// Package deploy checks a deployment before it begins: the settings of
// samconfig.toml, template.yaml with these settings, and the built files.
//
// The package does not deploy; `sam deploy` does. Its tests compare the template
// with the promises of the design: the grants of every role, the resources that
// outlive the stack, the runbook of every alarm.
package deploy

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// An Environment is a block of samconfig.toml. `sam deploy --config-env` names it.
type Environment struct {
	Name       string
	Stack      string
	Region     string
	Parameters map[string]string // parameter_overrides
}

// Environments reads the environments of samconfig.toml, by name.
func Environments(source []byte) (map[string]Environment, error) {
	var doc map[string]any
	if err := toml.Unmarshal(source, &doc); err != nil {
		return nil, fmt.Errorf("read samconfig.toml: %w", err)
	}
	all := map[string]Environment{}
	for name, block := range doc {
		commands, ok := block.(map[string]any)
		if !ok {
			continue // the entry "version"
		}
		global := section(commands, "global")
		e := Environment{Name: name, Parameters: map[string]string{}}
		e.Stack, _ = global["stack_name"].(string)
		e.Region, _ = global["region"].(string)
		overrides, _ := global["parameter_overrides"].(string)
		for _, pair := range strings.Fields(overrides) {
			k, v, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, fmt.Errorf("samconfig.toml: %s: %q is no Name=Value", name, pair)
			}
			if _, twice := e.Parameters[k]; twice {
				return nil, fmt.Errorf("samconfig.toml: %s: %s is set twice", name, k)
			}
			e.Parameters[k] = v
		}
		if e.Stack == "" || e.Region == "" {
			return nil, fmt.Errorf("samconfig.toml: %s: stack_name or region is missing", name)
		}
		all[name] = e
	}
	return all, nil
}

func section(commands map[string]any, name string) map[string]any {
	command, _ := commands[name].(map[string]any)
	parameters, _ := command["parameters"].(map[string]any)
	return parameters
}

// placeholders are the example values of samconfig.toml. No deployment may use
// them.
var placeholders = []string{"example.com", "111122223333"}

// Check returns every reason why e cannot be deployed from the repository at
// root. It needs no build. It finds: values that are still the examples;
// parameters that CloudFormation would refuse; values that AWS would refuse
// later, with half of the stack made; a vendor library that is missing or for
// another processor than that of e.
func Check(root string, e Environment) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		for _, p := range placeholders {
			if strings.Contains(e.Parameters[name], p) {
				errs = append(errs, fmt.Errorf("%s is still the example %q: set your own value in samconfig.toml", name, e.Parameters[name]))
				break
			}
		}
	}
	refused := template.Check(source, template.Options{StackName: e.Stack, Region: e.Region, Parameters: e.Parameters})
	errs = append(errs, refused)
	if refused == nil { // otherwise the checks below would repeat the errors
		errs = append(errs, e.checkNames(source), e.checkAPI(), e.checkEgress(), e.checkBreakGlass())
	}
	processor, err := e.processor(source)
	if err != nil {
		return err
	}
	errs = append(errs, checkLibrary(filepath.Join(root, "layers", "finance-sdk", "lib"), processor))
	return errors.Join(errs...)
}

// CheckBuilt returns the faults of the output of `sam build` for e: the output is
// missing, or it is for another processor.
func CheckBuilt(root string, e Environment) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	processor, err := e.processor(source)
	if err != nil {
		return err
	}
	return checkBuild(filepath.Join(root, ".aws-sam", "build"), processor)
}

// processor is the processor that e sets, or the template's default.
func (e Environment) processor(source []byte) (string, error) {
	if p := e.Parameters["Architecture"]; p != "" {
		return p, nil
	}
	parameters, err := template.Parameters(source)
	return parameters["Architecture"].Default, err
}

// stackName is CloudFormation's rule.
var stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)

// checkNames finds names of functions and queues that begin with the stack's name
// and are too long for their service.
func (e Environment) checkNames(source []byte) error {
	if !stackName.MatchString(e.Stack) {
		return fmt.Errorf("stack_name %q: want a letter, then letters, digits and dashes", e.Stack)
	}
	s, err := template.Read(source, template.Options{StackName: e.Stack, Region: e.Region, Parameters: e.Parameters, QueueEndpoint: "https://sqs"})
	if err != nil {
		return err
	}
	over := 0
	for _, f := range s.Functions {
		over = max(over, len(f.Name)-64)
	}
	for _, q := range s.Queues {
		over = max(over, len(q.Name)-80)
	}
	if over > 0 {
		return fmt.Errorf("stack_name %q is too long by %d letters: names of functions (at most 64 letters) and of queues (at most 80) begin with it", e.Stack, over)
	}
	return nil
}

// checkAPI finds values that API Gateway would refuse.
func (e Environment) checkAPI() error {
	var errs []error
	if arn, here := e.Parameters["CertificateArn"], "arn:"+e.partition()+":acm:"+e.Region+":"; arn != "" && !strings.HasPrefix(arn, here) {
		errs = append(errs, fmt.Errorf("CertificateArn %q is of another region: it must begin with %s", arn, here))
	}
	issuer := e.Parameters["JwtIssuer"]
	if !strings.HasPrefix(issuer, "https://") {
		errs = append(errs, fmt.Errorf("JwtIssuer %q: API Gateway accepts only https issuers", issuer))
	}
	if strings.Contains(issuer, "/.well-known") {
		errs = append(errs, fmt.Errorf("JwtIssuer %q: set the issuer as the tokens contain it, without /.well-known", issuer))
	}
	// The template allows two values for the local cloud alone.
	if address := e.Parameters["PublicUrl"]; strings.HasPrefix(address, "http://") {
		errs = append(errs, fmt.Errorf("PublicUrl %q: tokens and chats need https", address))
	}
	if e.Parameters["AllowedOrigins"] == "*" {
		errs = append(errs, errors.New("AllowedOrigins *: name the origins of your pages, such as https://scrm.example.com"))
	}
	return errors.Join(errs...)
}

// partition is the AWS partition of e's region.
func (e Environment) partition() string {
	if strings.HasPrefix(e.Region, "cn-") {
		return "aws-cn"
	}
	return "aws"
}

// checkBreakGlass finds a role of another partition. The key policies would deny
// every principal but a role that cannot exist.
func (e Environment) checkBreakGlass() error {
	if arn, here := e.Parameters["BreakGlassRole"], "arn:"+e.partition()+":iam::"; arn != "" && !strings.HasPrefix(arn, here) {
		return fmt.Errorf("BreakGlassRole %q is of another partition: it must begin with %s", arn, here)
	}
	return nil
}

// checkEgress finds trusted addresses that WeCom cannot see, and a proxy whose
// port conflicts with the security group.
func (e Environment) checkEgress() error {
	var errs []error
	if ips := e.Parameters["TrustedIps"]; ips != "" {
		for ip := range strings.SplitSeq(ips, ";") {
			a, err := netip.ParseAddr(ip)
			if err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
				errs = append(errs, fmt.Errorf("TrustedIps: %s is no public address; WeCom sees only public addresses", ip))
			}
		}
	}
	if proxy := e.Parameters["WecomProxy"]; proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("WecomProxy: %w", err))...)
		}
		if _, err := netip.ParseAddrPort("127.0.0.1:" + u.Port()); err != nil {
			errs = append(errs, fmt.Errorf("WecomProxy: port %q is no port number", u.Port()))
		}
		// EC2 refuses a security group with the same rule twice.
		if u.Port() == "443" || u.Port() == "53" {
			errs = append(errs, fmt.Errorf("WecomProxy: move the proxy to another port than %s, which the security group opens for other traffic", u.Port()))
		}
	}
	return errors.Join(errs...)
}

// checkLibrary compares the processor with the file that make layer wrote.
func checkLibrary(lib, processor string) error {
	b, err := os.ReadFile(filepath.Join(lib, "arch"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("vendor library missing: run make layer SDK=<its package> ARCH=%s", processor)
	}
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); got != processor {
		return fmt.Errorf("the vendor library is for %s, but Architecture is %s: run make layer SDK=<its package> ARCH=%s, or change Architecture", got, processor, processor)
	}
	return nil
}

// machines maps the template's names of Lambda's processors to ELF machines.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBuild compares every program and library below dir with the processor.
func checkBuild(dir, processor string) error {
	want, ok := machines[processor]
	if !ok {
		return nil // template.Check has refused this value
	}
	var errs []error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := elf.Open(path)
		if err != nil {
			if format := (*elf.FormatError)(nil); errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil // a text file such as template.yaml
			}
			return err
		}
		defer f.Close()
		if f.Machine != want {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			errs = append(errs, fmt.Errorf("%s is built for %v, but Architecture is %s: run make layer and sam build with ARCH=%s", rel, f.Machine, processor, processor))
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("build output missing: run sam build")
	}
	return errors.Join(append(errs, err)...)
}
