// Package deploy judges a deployment before AWS is asked to make it: the
// settings of samconfig.toml, template.yaml with them, and what was built.
//
// It does not deploy; `sam deploy` does. The tests beside this file hold the
// template against what the design promises: who may do what, which resources
// outlive the stack, which alarm has which runbook.
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

// An Environment is a block of samconfig.toml, what --config-env names.
type Environment struct {
	Name       string
	Stack      string
	Region     string
	Parameters map[string]string // parameter_overrides
}

// Environments reads samconfig.toml, by name.
func Environments(source []byte) (map[string]Environment, error) {
	var doc map[string]any
	if err := toml.Unmarshal(source, &doc); err != nil {
		return nil, fmt.Errorf("reading samconfig.toml: %w", err)
	}
	all := map[string]Environment{}
	for name, block := range doc {
		commands, ok := block.(map[string]any)
		if !ok {
			continue // version
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
				return nil, fmt.Errorf("samconfig.toml: %s: %s is given twice", name, k)
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

// placeholders are what samconfig.toml comes with and nobody owns.
var placeholders = []string{"example.com", "111122223333"}

// Check says everything that is wrong with deploying e from the repository at
// root before it is built: values that are still the examples', what
// CloudFormation would refuse of the parameters, what AWS would refuse later,
// with half of the stack made, and a vendor library that is not in place or for
// another processor than e asks for.
func Check(root string, e Environment) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		for _, p := range placeholders {
			if strings.Contains(e.Parameters[name], p) {
				errs = append(errs, fmt.Errorf("%s is still the example's %q: enter your own in samconfig.toml", name, e.Parameters[name]))
				break
			}
		}
	}
	refused := template.Check(source, template.Options{StackName: e.Stack, Region: e.Region, Parameters: e.Parameters})
	errs = append(errs, refused)
	if refused == nil { // else the same would be said again, in other words
		errs = append(errs, e.checkNames(source), e.checkDoor(), e.checkWayOut())
	}
	processor, err := e.processor(source)
	if err != nil {
		return err
	}
	errs = append(errs, checkLibrary(filepath.Join(root, "layers", "finance-sdk", "lib"), processor))
	return errors.Join(errs...)
}

// CheckBuilt says what is wrong with what `sam build` made for e: that it did
// not, or for another processor.
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

// processor is what e, or the template's default, builds for.
func (e Environment) processor(source []byte) (string, error) {
	if p := e.Parameters["Architecture"]; p != "" {
		return p, nil
	}
	parameters, err := template.Parameters(source)
	return parameters["Architecture"].Default, err
}

// stackName is CloudFormation's rule.
var stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)

// checkNames looks for names that are made from the stack's and too long for
// their service.
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
		return fmt.Errorf("stack_name %q is too long by %d: functions take 64 letters and queues 80, of which the stack's name is the beginning", e.Stack, over)
	}
	return nil
}

// checkDoor looks for what API Gateway would refuse.
func (e Environment) checkDoor() error {
	var errs []error
	partition := "aws"
	if strings.HasPrefix(e.Region, "cn-") {
		partition = "aws-cn"
	}
	if arn, here := e.Parameters["CertificateArn"], "arn:"+partition+":acm:"+e.Region+":"; arn != "" && !strings.HasPrefix(arn, here) {
		errs = append(errs, fmt.Errorf("CertificateArn %q is not of this stack's region: it has to begin with %s", arn, here))
	}
	issuer := e.Parameters["JwtIssuer"]
	if !strings.HasPrefix(issuer, "https://") {
		errs = append(errs, fmt.Errorf("JwtIssuer %q: API Gateway asks issuers over https only", issuer))
	}
	if strings.Contains(issuer, "/.well-known") {
		errs = append(errs, fmt.Errorf("JwtIssuer %q: enter the issuer alone, as it stands in the tokens, without /.well-known", issuer))
	}
	return errors.Join(errs...)
}

// checkWayOut looks for addresses that companies could not enter in WeCom, and
// for a proxy that the security group would not take.
func (e Environment) checkWayOut() error {
	var errs []error
	if ips := e.Parameters["TrustedIps"]; ips != "" {
		for ip := range strings.SplitSeq(ips, ";") {
			a, err := netip.ParseAddr(ip)
			if err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
				errs = append(errs, fmt.Errorf("TrustedIps: %s is no public address, which WeCom has to see", ip))
			}
		}
	}
	if proxy := e.Parameters["WecomProxy"]; proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("WecomProxy: %w", err))...)
		}
		if _, err := netip.ParseAddrPort("127.0.0.1:" + u.Port()); err != nil {
			errs = append(errs, fmt.Errorf("WecomProxy: there is no port %s", u.Port()))
		}
		// EC2 refuses a rule that is there already.
		if u.Port() == "443" || u.Port() == "53" {
			errs = append(errs, fmt.Errorf("WecomProxy: let the proxy listen on another port than %s, which the security group opens for other traffic", u.Port()))
		}
	}
	return errors.Join(errs...)
}

// checkLibrary reads what make layer wrote: the processor that is built for.
func checkLibrary(lib, processor string) error {
	b, err := os.ReadFile(filepath.Join(lib, "arch"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the vendor's library is not in place: run make layer SDK=<its package> ARCH=%s", processor)
	}
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); got != processor {
		return fmt.Errorf("the vendor's library in place is for %s, but Architecture is %s: run make layer SDK=<its package> ARCH=%s, or change Architecture", got, processor, processor)
	}
	return nil
}

// machines are the processors that Lambda has, by the template's names.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBuild looks at every program and library below dir.
func checkBuild(dir, processor string) error {
	want, ok := machines[processor]
	if !ok {
		return nil // the template's list has refused it
	}
	var errs []error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := elf.Open(path)
		if err != nil {
			if format := (*elf.FormatError)(nil); errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil // template.yaml and such, however short
			}
			return err
		}
		defer f.Close()
		if f.Machine != want {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			errs = append(errs, fmt.Errorf("%s was built for %v, but Architecture is %s: run make layer and sam build with ARCH=%s", rel, f.Machine, processor, processor))
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("nothing is built: run sam build")
	}
	return errors.Join(append(errs, err)...)
}
