package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

func items(t *testing.T, e end) map[string]map[string]types.AttributeValue {
	t.Helper()
	out, err := e.client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &e.table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]types.AttributeValue{}
	for _, it := range out.Items {
		all[it["pk"].(*types.AttributeValueMemberS).Value+" "+it["sk"].(*types.AttributeValueMemberS).Value] = it
	}
	return all
}

// Every item arrives with every kind of attribute unchanged. A second copy
// changes nothing.
func TestCopyTable(t *testing.T) {
	client := dynamodb.NewFromConfig(awstest.Config(t))
	from, to := end{table: awstest.Table(t, "LedgerTable"), client: client}, end{table: awstest.Table(t, "LedgerTable"), client: client}
	const many = 90 // more than one batch of 25
	for i := range many {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &from.table, Item: map[string]types.AttributeValue{
			"pk":    &types.AttributeValueMemberS{Value: fmt.Sprint("ww", i%3)},
			"sk":    &types.AttributeValueMemberS{Value: fmt.Sprint("row#", i)},
			"seq":   &types.AttributeValueMemberN{Value: "18446744073709551615"},
			"raw":   &types.AttributeValueMemberB{Value: []byte{0, 0xff, byte(i)}},
			"empty": &types.AttributeValueMemberS{Value: ""},
			"map":   &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"n": &types.AttributeValueMemberNULL{Value: true}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if n, err := copyTable(t.Context(), from, to); err != nil || n != many {
			t.Fatalf("got %d items and %v, want %d", n, err, many)
		}
	}
	if got, want := items(t, to), items(t, from); !reflect.DeepEqual(got, want) || len(want) != many {
		t.Errorf("got %d items, want the same %d as in the first table", len(got), len(want))
	}
}

func TestCopyTableNamesTheTableOfAnError(t *testing.T) {
	client := dynamodb.NewFromConfig(awstest.Config(t))
	e := end{table: awstest.Table(t, "LedgerTable"), client: client}
	if _, err := copyTable(t.Context(), end{table: "absent", client: client}, e); err == nil || !strings.Contains(err.Error(), "read absent") {
		t.Errorf("got %v, want an error with the table's name", err)
	}
}

func TestArguments(t *testing.T) {
	for name, args := range map[string][]string{
		"no flags": nil, "no target": {"-from", "a"}, "same table": {"-from", "a", "-to", "a"}, "extra argument": {"-from", "a", "-to", "b", "now"},
	} {
		if err := run(t.Context(), args, operator.Streams{Out: io.Discard, Progress: io.Discard}); err == nil {
			t.Errorf("%s: got success, want an error", name)
		}
	}
}

// docs/upgrades.md names resources, by the ids that SAM gives them, and outputs.
// The template has each of them. The document copies every table except
// MessagesTable, which is rebuilt from the journal.
func TestUpgradesNamesExistingResources(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	doc, template := read("docs/upgrades.md"), read("template.yaml")
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  ([A-Z]\w+):$`).FindAllStringSubmatch(template, -1) {
		known[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?ms)^  (\w+Function):$.*?^      Events:$(.*?)(?:^  \S)`).FindAllStringSubmatch(template, -1) {
		for _, event := range regexp.MustCompile(`(?m)^        (\w+):$`).FindAllStringSubmatch(m[2], -1) {
			known[m[1]+event[1]] = true
		}
	}
	asked := regexp.MustCompile(`\b(?:res (?:old|new)|out) (\w+)`).FindAllStringSubmatch(doc, -1)
	if len(asked) < 15 {
		t.Fatalf("names: got %d, want at least 15", len(asked))
	}
	for _, m := range asked {
		if !known[m[1]] {
			t.Errorf("docs/upgrades.md names %s, which is not in the template", m[1])
		}
	}
	loop := regexp.MustCompile(`for id in ((?:\w+Table ?)+);`).FindStringSubmatch(doc)
	if loop == nil {
		t.Fatal("docs/upgrades.md: got no loop over tables")
	}
	order := strings.Fields(loop[1])
	for _, m := range regexp.MustCompile(`(?m)^  (\w+Table):$`).FindAllStringSubmatch(template, -1) {
		if m[1] != "MessagesTable" && !strings.Contains(loop[1], m[1]) {
			t.Errorf("docs/upgrades.md does not copy %s", m[1])
		}
	}
	if order[0] != "LedgerTable" || order[len(order)-1] != "CorpsTable" {
		t.Errorf("order: got %v, want the ledger first and the settings last: a company without its head would begin a second chain", order)
	}
}
