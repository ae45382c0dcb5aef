// Command comeback writes what CloudFormation needs to take the stores and keys
// of a deleted stack into a new stack of the same name: a template with nothing
// else, its parameters, and the list of what to import. It reads the list of
// resources of the deleted stack, and sends no request.
//
//	comeback [-out <folder>] -old <list> <block>
//
// docs/upgrades.md, "Coming back", has the commands before and after it.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/flags"
)

func main() { operator.Main("comeback", run) }

func run(_ context.Context, args []string, s operator.Streams) error {
	f := flag.NewFlagSet("comeback", flag.ContinueOnError)
	out := f.String("out", "build/comeback", "`folder` to write to")
	old := f.String("old", "", "`file` with the answer of aws cloudformation list-stack-resources for the deleted stack")
	if err := flags.Parse(f, args); err != nil {
		return err
	}
	env, err := deploy.Named("samconfig.toml", f.Args())
	if err != nil {
		return err
	}
	source, err := os.ReadFile("template.yaml")
	if err != nil {
		return err
	}
	list, err := readOld(*old)
	if err != nil {
		return err
	}
	i, err := plan(source, env, list)
	if err != nil {
		return err
	}
	if err := i.write(*out); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s: %d stores and keys for the stack %s in %s\n", *out, len(i.resources), env.Stack, env.Region)
	return nil
}

// identifiers names the property that identifies a resource of each type to
// CloudFormation. Addresses are not imported: they are parameters of the template.
var identifiers = map[string]string{
	"AWS::DynamoDB::Table": "TableName",
	"AWS::KMS::Key":        "KeyId",
	"AWS::S3::Bucket":      "BucketName",
}

// A summary is what CloudFormation lists of a resource of a stack.
type summary struct {
	LogicalResourceID  string `json:"LogicalResourceId"`
	PhysicalResourceID string `json:"PhysicalResourceId"`
	ResourceType       string
	ResourceStatus     string
}

func readOld(file string) ([]summary, error) {
	if file == "" {
		return nil, flags.Mistake(errors.New("-old is missing: the list of resources of the deleted stack"))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var answer struct{ StackResourceSummaries []summary }
	if err := json.Unmarshal(b, &answer); err != nil || len(answer.StackResourceSummaries) == 0 {
		return nil, fmt.Errorf("%s has no StackResourceSummaries: want the answer of aws cloudformation list-stack-resources", file)
	}
	return answer.StackResourceSummaries, nil
}

// An imported is the content of the three files.
type imported struct {
	template   map[string]any
	parameters []parameter
	resources  []resource
}

type parameter struct{ ParameterKey, ParameterValue string }

type resource struct {
	ResourceType       string
	LogicalResourceID  string            `json:"LogicalResourceId"`
	ResourceIdentifier map[string]string // property to value
}

// bodyLimit is CloudFormation's limit of a template that is sent with a request.
const bodyLimit = 51200

// plan makes the files. It refuses a list in which a store is missing, was deleted,
// or still belongs to a stack: the new stack would make an empty one.
func plan(source []byte, env deploy.Block, old []summary) (imported, error) {
	doc, err := template.Document(source)
	if err != nil {
		return imported{}, err
	}
	values, err := env.Deployed(source)
	if err != nil {
		return imported{}, err
	}
	i := imported{template: map[string]any{"AWSTemplateFormatVersion": "2010-09-09"}}
	for _, section := range []string{"Description", "Parameters", "Mappings", "Conditions"} {
		i.template[section] = doc[section]
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i.parameters = append(i.parameters, parameter{name, values[name]})
	}
	all, kept := doc["Resources"].(map[string]any), map[string]any{}
	for id, v := range all {
		r, _ := v.(map[string]any)
		kind, _ := r["Type"].(string)
		if identifiers[kind] == "" {
			continue
		}
		// An import that fails is taken back. What CloudFormation then does with
		// RetainExceptOnCreate is not documented, and these stores hold data.
		r = maps.Clone(r)
		r["DeletionPolicy"] = "Retain"
		kept[id] = r
	}
	i.template["Resources"] = kept
	i.resources, err = toImport(kept, old)
	return i, err
}

// toImport lists the resources of the template that the old stack left behind.
func toImport(kept map[string]any, old []summary) ([]resource, error) {
	var list []resource
	var errs []error
	found := map[string]bool{}
	for _, s := range old {
		property := identifiers[s.ResourceType]
		if property == "" {
			continue
		}
		found[s.LogicalResourceID] = true
		switch {
		case kept[s.LogicalResourceID] == nil:
			errs = append(errs, fmt.Errorf("%s (%s) is not in this version's template: deploy the version that had it", s.LogicalResourceID, s.PhysicalResourceID))
		case s.ResourceStatus != "DELETE_SKIPPED":
			errs = append(errs, fmt.Errorf("%s (%s) is %s: want DELETE_SKIPPED, which a deleted stack leaves behind", s.LogicalResourceID, s.PhysicalResourceID, s.ResourceStatus))
		default:
			list = append(list, resource{s.ResourceType, s.LogicalResourceID, map[string]string{property: s.PhysicalResourceID}})
		}
	}
	for id, v := range kept {
		if r, _ := v.(map[string]any); r["Condition"] == nil && !found[id] {
			errs = append(errs, fmt.Errorf("%s is not in the list: is it of another stack?", id))
		}
	}
	slices.SortFunc(list, func(a, b resource) int { return cmp.Compare(a.LogicalResourceID, b.LogicalResourceID) })
	return list, errors.Join(errs...)
}

func (i imported) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, v := range map[string]any{"template.json": i.template, "parameters.json": i.parameters, "resources.json": i.resources} {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if len(b) > bodyLimit {
			return fmt.Errorf("%s has %d bytes, over CloudFormation's limit of %d", name, len(b), bodyLimit)
		}
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
