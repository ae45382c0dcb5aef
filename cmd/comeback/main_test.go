package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

const root = "../.."

// left is what a deleted stack of the block prod leaves behind, beside a
// function that is gone.
func left() []summary {
	list := []summary{{"ApiFunction", "archive-prod-api", "AWS::Lambda::Function", "DELETE_COMPLETE"}}
	for _, id := range []string{"Corps", "Ledger", "Messages", "Readings", "Media", "Contacts", "Consents"} {
		list = append(list, summary{id + "Table", "archive-prod-" + id + "Table-1", "AWS::DynamoDB::Table", "DELETE_SKIPPED"})
	}
	for _, id := range []string{"Journal", "Media", "Secrets", "Tables"} {
		list = append(list, summary{id + "Key", "00000000-0000-0000-0000-" + id, "AWS::KMS::Key", "DELETE_SKIPPED"})
	}
	for _, id := range []string{"Journal", "Media", "Trail"} {
		list = append(list, summary{id + "Bucket", "archive-prod-" + strings.ToLower(id) + "bucket-1", "AWS::S3::Bucket", "DELETE_SKIPPED"})
	}
	return list
}

// written runs the command in a copy of what it reads, and returns its folder.
func written(t *testing.T, list []summary, args ...string) (string, string, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"template.yaml", "samconfig.toml"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(map[string]any{"StackResourceSummaries": list})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "old.json"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	var out bytes.Buffer
	err = run(t.Context(), append([]string{"-out", "to", "-old", "old.json"}, args...), operator.Streams{Out: &out, Progress: io.Discard})
	return filepath.Join(dir, "to"), out.String(), err
}

func read[T any](t *testing.T, folder, name string) (v T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The files name every store and key of the old stack, and a template that makes
// nothing else. moto has no imports; that it makes a stack of the template shows
// that nothing is missing in it.
func TestComeback(t *testing.T) {
	folder, said, err := written(t, left(), "prod")
	if err != nil || !strings.Contains(said, "14 stores and keys for the stack archive-prod") {
		t.Fatalf("got %q, %v; want 14 stores and keys", said, err)
	}
	list := read[[]resource](t, folder, "resources.json")
	identified := map[string]string{}
	for _, r := range list {
		for property, value := range r.ResourceIdentifier {
			identified[r.LogicalResourceID] = property + " " + value
		}
	}
	for id, want := range map[string]string{
		"LedgerTable": "TableName archive-prod-LedgerTable-1", "SecretsKey": "KeyId 00000000-0000-0000-0000-Secrets", "JournalBucket": "BucketName archive-prod-journalbucket-1",
	} {
		if identified[id] != want {
			t.Errorf("%s: got %q, want %q", id, identified[id], want)
		}
	}
	made := read[struct {
		Transform any
		Resources map[string]struct{ Type, DeletionPolicy string }
	}](t, folder, "template.json")
	if made.Transform != nil {
		t.Errorf("got transform %v, want none", made.Transform)
	}
	if got, want := slices.Sorted(maps.Keys(made.Resources)), slices.Sorted(maps.Keys(identified)); !slices.Equal(got, want) {
		t.Errorf("template: got %v, want exactly what is imported: %v", got, want)
	}
	for id, r := range made.Resources {
		if r.DeletionPolicy != "Retain" {
			t.Errorf("%s: got deletion policy %s, want Retain", id, r.DeletionPolicy)
		}
	}

	body, err := os.ReadFile(filepath.Join(folder, "template.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfn, name := cloudformation.NewFromConfig(awstest.Config(t)), awstest.Name(t)
	in := &cloudformation.CreateStackInput{StackName: &name, TemplateBody: aws.String(string(body))}
	for _, p := range read[[]parameter](t, folder, "parameters.json") {
		in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: &p.ParameterKey, ParameterValue: &p.ParameterValue})
	}
	if _, err := cfn.CreateStack(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	out, err := cfn.DescribeStackResources(t.Context(), &cloudformation.DescribeStackResourcesInput{StackName: &name})
	if err != nil || len(out.StackResources) != len(list) {
		t.Errorf("got %d resources, %v; want %d", len(out.StackResources), err, len(list))
	}
}

// A list that is not whole would leave a store behind, and make an empty one.
func TestComebackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]summary) []summary
		args   []string
		want   string
	}{
		"a store that was deleted":  {func(l []summary) []summary { l[1].ResourceStatus = "DELETE_COMPLETE"; return l }, []string{"prod"}, "CorpsTable (archive-prod-Corps"},
		"a stack that still has it": {func(l []summary) []summary { l[1].ResourceStatus = "CREATE_COMPLETE"; return l }, []string{"prod"}, "is CREATE_COMPLETE: want DELETE_SKIPPED"},
		"a list without a table":    {func(l []summary) []summary { return slices.Delete(l, 2, 3) }, []string{"prod"}, "LedgerTable is not in the list"},
		"a store of another version": {func(l []summary) []summary {
			return append(l, summary{"ViewsTable", "v", "AWS::DynamoDB::Table", "DELETE_SKIPPED"})
		}, []string{"prod"}, "ViewsTable (v) is not in this version's template"},
		"no list":  {func([]summary) []summary { return nil }, []string{"prod"}, "has no StackResourceSummaries"},
		"no block": {func(l []summary) []summary { return l }, nil, "block missing"},
		"no file":  {func(l []summary) []summary { return l }, []string{"-old", "", "prod"}, "-old is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := written(t, c.change(left()), c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// With one key the other keys are neither listed nor missed.
func TestComebackWithOneKey(t *testing.T) {
	list := slices.DeleteFunc(left(), func(s summary) bool {
		return s.ResourceType == "AWS::KMS::Key" && s.LogicalResourceID != "JournalKey" || s.LogicalResourceID == "TrailBucket"
	})
	folder, _, err := written(t, list, "prod")
	if err != nil {
		t.Fatal(err)
	}
	if got := read[[]resource](t, folder, "resources.json"); len(got) != 10 {
		t.Errorf("got %d resources, want 7 tables, 2 buckets and a key", len(got))
	}
}
