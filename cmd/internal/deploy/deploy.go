// Package deploy holds what operators' commands and the tests of the template
// share: the blocks of samconfig.toml, and the zip of a function.
//
// The package does not deploy; `sam deploy` does. Its tests compare the template
// with the promises of the design: the grants of every role, the resources that
// outlive the stack, the runbook of every alarm.
package deploy

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/flags"
)

// A Block is the part of samconfig.toml that `sam deploy --config-env` names.
type Block struct {
	Name       string
	Stack      string
	Region     string
	Parameters map[string]string // parameter_overrides
}

// Stage is the part of the name before the first dash: dev, staging or prod.
func (e Block) Stage() string {
	stage, _, _ := strings.Cut(e.Name, "-")
	return stage
}

// Blocks reads the blocks of samconfig.toml, by name.
func Blocks(source []byte) (map[string]Block, error) {
	var doc map[string]any
	if err := toml.Unmarshal(source, &doc); err != nil {
		return nil, fmt.Errorf("read samconfig.toml: %w", err)
	}
	all := map[string]Block{}
	for name, block := range doc {
		commands, ok := block.(map[string]any)
		if !ok {
			continue // the entry "version"
		}
		global := section(commands, "global")
		e := Block{Name: name, Parameters: map[string]string{}}
		e.Stack, _ = global["stack_name"].(string)
		e.Region, _ = global["region"].(string)
		overrides, ok := global["parameter_overrides"].(string)
		if !ok && global["parameter_overrides"] != nil {
			return nil, fmt.Errorf("samconfig.toml: %s: parameter_overrides is a list or table: write it as a string of pairs Name=Value", name)
		}
		for _, pair := range pairs.FindAllString(overrides, -1) {
			if err := e.set(pair); err != nil {
				return nil, fmt.Errorf("samconfig.toml: %s: %w", name, err)
			}
		}
		if e.Stack == "" || e.Region == "" {
			return nil, fmt.Errorf("samconfig.toml: %s: stack_name or region is missing", name)
		}
		if err := overruled(commands); err != nil {
			return nil, fmt.Errorf("samconfig.toml: %s: %w", name, err)
		}
		all[name] = e
	}
	return all, nil
}

// ReadBlocks reads the blocks of the file samconfig, by name.
func ReadBlocks(samconfig string) (map[string]Block, error) {
	source, err := os.ReadFile(samconfig)
	if err != nil {
		return nil, err
	}
	return Blocks(source)
}

// Named returns the block of samconfig.toml that the only argument of a
// command names.
func Named(samconfig string, args []string) (Block, error) {
	all, err := ReadBlocks(samconfig)
	if err != nil {
		return Block{}, err
	}
	if len(args) != 1 {
		args = []string{""}
	}
	return Choose(all, args[0])
}

// Choose returns the block with this name.
func Choose(all map[string]Block, name string) (Block, error) {
	names := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	if name == "" {
		return Block{}, flags.Mistake(fmt.Errorf("block missing: samconfig.toml has %s", names))
	}
	e, ok := all[name]
	if !ok {
		return Block{}, flags.Mistake(fmt.Errorf("samconfig.toml has no block %q; it has %s", name, names))
	}
	return e, nil
}

// pairs finds the pairs of parameter_overrides. Blanks separate them, as for SAM; a
// value in double quotes may have blanks.
var pairs = regexp.MustCompile(`(?:"[^"]*"|\S)+`)

// set adds a pair of parameter_overrides. An empty value is written Name="", and one
// with blanks Name="a b". SAM ignores Name= without a word, so set refuses it.
func (e Block) set(pair string) error {
	name, value, ok := strings.Cut(pair, "=")
	switch {
	case !ok:
		return fmt.Errorf("%q is no Name=Value", pair)
	case value == "":
		return fmt.Errorf("%s= has no value: write %s=\"\" for the empty value", name, name)
	case len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"':
		value = value[1 : len(value)-1]
	}
	if strings.ContainsAny(value, `"'\`) {
		return fmt.Errorf("%s: write the value without quotes and backslashes; only double quotes around the whole value are possible", name)
	}
	if _, twice := e.Parameters[name]; twice {
		return fmt.Errorf("%s is set twice", name)
	}
	e.Parameters[name] = value
	return nil
}

// overruled finds a setting of `sam deploy` that would replace the one that this
// package reads, or the credentials of all commands but SAM's.
func overruled(commands map[string]any) error {
	for _, command := range []string{"global", "deploy"} {
		if _, set := section(commands, command)["profile"]; set {
			return fmt.Errorf("%s sets profile, which only SAM would use: set AWS_PROFILE instead", command)
		}
	}
	for _, setting := range []string{"parameter_overrides", "region", "stack_name"} {
		if _, set := section(commands, "deploy")[setting]; set {
			return fmt.Errorf("deploy sets %s, which only sam deploy would use: set it in global", setting)
		}
	}
	return nil
}

func section(commands map[string]any, name string) map[string]any {
	command, _ := commands[name].(map[string]any)
	parameters, _ := command["parameters"].(map[string]any)
	return parameters
}

// Deployed is every parameter of the template with the value of e, or else the
// template's default. `make deploy` gives all of them to SAM: CloudFormation keeps
// the former value of a parameter that a deployment does not name.
func (e Block) Deployed(source []byte) (map[string]string, error) {
	declared, err := template.Parameters(source)
	if err != nil {
		return nil, err
	}
	return e.Over(declared), nil
}

// Over is Deployed for a template whose parameters were read.
func (e Block) Over(declared map[string]template.Parameter) map[string]string {
	all := make(map[string]string, len(declared))
	for name, p := range declared {
		all[name] = p.Default
	}
	maps.Copy(all, e.Parameters)
	return all
}

// Partition is the AWS partition of e's region.
func (e Block) Partition() string {
	if strings.HasPrefix(e.Region, "cn-") {
		return "aws-cn"
	}
	return "aws"
}
