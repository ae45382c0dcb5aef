package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// deployed is every parameter that `make deploy` gives to SAM for e.
func deployed(root string, e deploy.Block) (map[string]string, error) {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	return e.Deployed(source)
}

// writeDeployed writes the parameters of e to a TOML file, as SAM reads it from
// --parameter-overrides file://.
func writeDeployed(file, root string, e deploy.Block) error {
	all, err := deployed(root, e)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(all); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// notes says what an operator should know about parameters that AWS accepts.
func notes(e deploy.Block, processor string) (all []string) {
	if processor == "arm64" && e.Partition() == "aws-cn" {
		all = append(all, "Architecture=arm64 was not tried in China, and AWS publishes some layers there for x86_64 only: x86_64 is the safe choice")
	}
	return all
}

// stackName is CloudFormation's rule, without capitals: S3 has none in the names of
// buckets, which begin with the stack's, and IAM's policies compare letter for letter.
var stackName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,127}$`)

// checkNames finds names of functions and queues that begin with the stack's name
// and are too long for their service.
func checkNames(e deploy.Block, source []byte) error {
	if !stackName.MatchString(e.Stack) {
		return fmt.Errorf("stack_name %q: want a letter, then letters, digits and dashes, all in lower case", e.Stack)
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
func checkAPI(e deploy.Block) error {
	var errs []error
	if arn, here := e.Parameters["CertificateArn"], "arn:"+e.Partition()+":acm:"+e.Region+":"; arn != "" && !strings.HasPrefix(arn, here) {
		errs = append(errs, fmt.Errorf("CertificateArn %q is of another region: it must begin with %s", arn, here))
	}
	issuer := e.Parameters["JwtIssuer"]
	if !strings.HasPrefix(issuer, "https://") {
		errs = append(errs, fmt.Errorf("JwtIssuer %q: API Gateway accepts only https issuers", issuer))
	}
	if strings.Contains(issuer, "/.well-known") {
		errs = append(errs, fmt.Errorf("JwtIssuer %q: set the issuer as the tokens contain it, without /.well-known", issuer))
	}
	// The template allows two values only for the local cloud.
	if address := e.Parameters["PublicUrl"]; strings.HasPrefix(address, "http://") {
		errs = append(errs, fmt.Errorf("PublicUrl %q: tokens and chats need https", address))
	}
	if e.Parameters["AllowedOrigins"] == "*" {
		errs = append(errs, errors.New("AllowedOrigins *: name the origins of your pages, such as https://scrm.example.com"))
	}
	return errors.Join(errs...)
}

// checkTokens finds another stage whose tokens e would accept: the API accepts every
// token of its issuer for its audience. Blocks of one stage may share both.
func checkTokens(root string, e deploy.Block, all map[string]deploy.Block) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	declared, err := template.Parameters(source)
	if err != nil {
		return err
	}
	tokens := func(e deploy.Block) [2]string {
		values := e.Over(declared)
		return [2]string{values["JwtIssuer"], values["JwtAudience"]}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Stage() != e.Stage() && tokens(all[name]) == tokens(e) {
			errs = append(errs, fmt.Errorf("JwtIssuer and JwtAudience are those of %s too, so a token of %s is valid in %s: give each stage a JwtAudience of its own", name, name, e.Name))
		}
	}
	return errors.Join(errs...)
}

// checkIAM finds a role or policy of another partition. With such a break-glass
// role the key policies would deny every principal but a role that cannot exist.
func checkIAM(e deploy.Block) error {
	var errs []error
	for _, name := range []string{"BreakGlassRole", "PermissionsBoundary"} {
		if arn, here := e.Parameters[name], "arn:"+e.Partition()+":iam::"; arn != "" && !strings.HasPrefix(arn, here) {
			errs = append(errs, fmt.Errorf("%s %q is of another partition: it must begin with %s", name, arn, here))
		}
	}
	return errors.Join(errs...)
}
