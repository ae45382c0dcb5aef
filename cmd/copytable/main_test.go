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

// Every item arrives with every kind of attribute as it was, however often it
// is done.
func TestCopy(t *testing.T) {
	client := dynamodb.NewFromConfig(awstest.Config(t))
	from, to := end{table: awstest.Table(t, "LedgerTable"), client: client}, end{table: awstest.Table(t, "LedgerTable"), client: client}
	const many = 90 // more than a batch in some segment
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
			t.Fatalf("got %d items, error %v; want %d", n, err, many)
		}
	}
	if got, want := items(t, to), items(t, from); !reflect.DeepEqual(got, want) || len(want) != many {
		t.Errorf("got %d items that differ from the %d there were", len(got), len(want))
	}
}

func TestFailureIsSaid(t *testing.T) {
	client := dynamodb.NewFromConfig(awstest.Config(t))
	e := end{table: awstest.Table(t, "LedgerTable"), client: client}
	if _, err := copyTable(t.Context(), end{table: "absent", client: client}, e); err == nil || !strings.Contains(err.Error(), "reading absent") {
		t.Errorf("got %v, want the table named", err)
	}
}

func TestArguments(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing": nil, "no target": {"-from", "a"}, "the same": {"-from", "a", "-to", "a"}, "argument": {"-from", "a", "-to", "b", "now"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// What docs/upgrades.md asks the stack for is there: resources by the ids that
// SAM gives them, outputs, and every table but the one that is rebuilt.
func TestUpgradesNamesWhatThereIs(t *testing.T) {
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
		t.Fatalf("found %d names only", len(asked))
	}
	for _, m := range asked {
		if !known[m[1]] {
			t.Errorf("docs/upgrades.md asks for %s, which the template has not", m[1])
		}
	}
	loop := regexp.MustCompile(`for id in ((?:\w+Table ?)+);`).FindStringSubmatch(doc)
	if loop == nil {
		t.Fatal("docs/upgrades.md copies no tables")
	}
	order := strings.Fields(loop[1])
	for _, m := range regexp.MustCompile(`(?m)^  (\w+Table):$`).FindAllStringSubmatch(template, -1) {
		if m[1] != "MessagesTable" && !strings.Contains(loop[1], m[1]) {
			t.Errorf("docs/upgrades.md leaves %s behind", m[1])
		}
	}
	if order[0] != "LedgerTable" || order[len(order)-1] != "CorpsTable" {
		t.Errorf("got order %v, want the ledger before, and the settings after all: a company without its head would begin a second chain", order)
	}
}
