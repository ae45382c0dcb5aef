// Package deploy holds what operators' commands and the tests of the template
// share: the environments of samconfig.toml, and the zip of a function.
//
// The package does not deploy; `sam deploy` does. Its tests compare the template
// with the promises of the design: the grants of every role, the resources that
// outlive the stack, the runbook of every alarm.
package deploy

import (
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
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

// Partition is the AWS partition of e's region.
func (e Environment) Partition() string {
	if strings.HasPrefix(e.Region, "cn-") {
		return "aws-cn"
	}
	return "aws"
}
