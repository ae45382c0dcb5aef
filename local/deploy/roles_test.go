package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A grant is one action on one resource, as a role of the template has it.
type grant struct {
	role, effect, action, resource, when string
}

func (g grant) String() string {
	s := fmt.Sprintf("%s %s %s on %s", g.role, strings.ToLower(g.effect), g.action, g.resource)
	if g.when != "" {
		s += " when " + g.when
	}
	return s
}

// grants lists what every role of the stack is granted and denied.
func (s stack) grants(t *testing.T) []grant {
	t.Helper()
	var all []grant
	for _, id := range s.byType("AWS::IAM::Role") {
		p := s.Translated.Resources[id].Properties
		for name := range p {
			if !slices.Contains([]string{"AssumeRolePolicyDocument", "Description", "Policies"}, name) {
				t.Errorf("%s has %s, which the table of roles does not show", id, name)
			}
		}
		for _, pol := range anys(p["Policies"]) {
			for _, st := range anys(pol.(map[string]any)["PolicyDocument"].(map[string]any)["Statement"]) {
				m := st.(map[string]any)
				for name := range m {
					if !slices.Contains([]string{"Sid", "Effect", "Action", "Resource", "Condition"}, name) {
						t.Errorf("%s: a statement has %s, which the table of roles does not show", id, name)
					}
				}
				when := ""
				if c, ok := m["Condition"]; ok {
					when = readable(c)
				}
				for _, action := range anys(m["Action"]) {
					for _, on := range anys(m["Resource"]) {
						all = append(all, grant{strings.TrimSuffix(id, "Role"), m["Effect"].(string), action.(string), readable(on), when})
					}
				}
			}
		}
	}
	return all
}

func anys(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

var (
	ownARN  = regexp.MustCompile(`^arn:\$\{AWS::Partition\}:([a-z]+):\$\{AWS::Region\}:\$\{AWS::AccountId\}:`)
	arnName = regexp.MustCompile(`\$\{(\w+)\.Arn\}`)
)

// readable is an expression of the template as the table writes it: resources
// by their logical ids.
func readable(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, readable(e))
		}
		return strings.Join(parts, ",")
	case map[string]any:
		if to, ok := v["Fn::GetAtt"].([]any); ok && to[1] == "Arn" {
			return to[0].(string)
		}
		if to, ok := v["Ref"].(string); ok {
			return to
		}
		if s, ok := v["Fn::Sub"].(string); ok {
			return arnName.ReplaceAllString(ownARN.ReplaceAllString(s, "$1:"), "$1")
		}
		if c, ok := v["Fn::If"].([]any); ok {
			return fmt.Sprintf("%s if %s else %s", readable(c[1]), c[0], readable(c[2]))
		}
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+" "+readable(v[k]))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}

// The table of testdata/roles.txt is what the functions may do, line by line.
// A policy that is widened, or narrowed, fails here until somebody changes the
// table too, and means it.
func TestRoles(t *testing.T) {
	b, err := os.ReadFile("testdata/roles.txt")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			table[line] = true
		}
	}
	// Roles are the same in every deployment: conditions stand in the lines.
	has := map[string]bool{}
	for _, g := range stackOf(t, "prod").grants(t) {
		has[g.String()] = true
		if !table[g.String()] {
			t.Errorf("not in testdata/roles.txt: %s", g)
		}
	}
	for line := range table {
		if !has[line] {
			t.Errorf("in testdata/roles.txt, but not in the template: %s", line)
		}
	}
}

// What no change of the table may allow, each with its reason.
func TestRolesNever(t *testing.T) {
	never := []struct {
		roles, effect, action, resource string // regexps
		reason                          string
	}{
		{`.*`, `Allow`, `\*`, `.*`, "actions are named"},
		{`^(Api|Dispatch)$`, `Allow`, `^ec2:`, `.*`, "only functions that speak with WeCom join the network"},
		{`.*`, `Allow`, `^ec2:(?:.*(?:Modify|Run|Authorize|Associate|Allocate))`, `.*`, "joining the network is all"},
		{`.*`, `Allow`, `^iam:|^sts:|^kms:(?:Create|Schedule|Disable|Put|Encrypt|ReEncrypt|Describe)`, `.*`, "no function changes who may do what"},
		{`.*`, `Allow`, `^secretsmanager:(Delete|Update|Put|Restore|TagResource|List)`, `/key/`, "a private key is created once and never written again (law 6)"},
		{`^(Api|Dispatch|Pull)$`, `Allow`, `^secretsmanager:GetSecretValue$`, `/key/|/\*$`, "only decode reads private keys (law 6)"},
		{`^(Dispatch|Pull|Decode)$`, `Allow`, `^secretsmanager:(Create|Put)`, `.*`, "only api makes secrets"},
		{`^Dispatch$`, `Allow`, `^(secretsmanager|kms|s3):`, `.*`, "dispatch needs neither secrets nor chats"},
		{`.*`, `Allow`, `^s3:(Delete|PutObjectRetention|PutObjectLegalHold|Bypass|PutBucket|PutLifecycle)`, `.*`, "the journal is written, never changed (law 1)"},
		{`^Api$`, `Allow`, `^s3:Put`, `.*`, "api does not write the journal"},
		{`^Api$`, `Allow`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `MessagesTable`, "api does not write messages"},
		{`^Api$`, `Allow`, `^dynamodb:(Update|Delete|BatchWrite)`, `LedgerTable`, "api starts replays and changes nothing else of the ledger"},
		{`^Pull$`, `Allow`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `CorpsTable|MessagesTable|ViewsTable`, "pull writes the ledger and nothing else"},
		{`^Pull$`, `Allow`, `^s3:Get`, `.*`, "pull writes pages and reads none"},
		{`^(Pull|Dispatch)$`, `Allow`, `^dynamodb:DeleteItem`, `.*`, "only decode takes a page off the pending ones"},
		{`.*`, `Allow`, `^dynamodb:(Scan|DeleteTable|UpdateTable|Export|PartiQL)`, `.*`, "nothing is listed across companies (law 8)"},
		{`.*`, `Allow`, `^(?:[^e]|e[^c]|ec[^2])`, `^\*$`, "resources are named; ec2 has none to name"},
	}
	match := func(re, s string) bool { return regexp.MustCompile(re).MatchString(s) }
	for _, g := range stackOf(t, "prod").grants(t) {
		for _, n := range never {
			if match(n.roles, g.role) && match(n.effect, g.effect) && match(n.action, g.action) && match(n.resource, g.resource) {
				t.Errorf("%s: %s", g, n.reason)
			}
		}
	}
}

// Each function has a role of its own that only Lambda may take, and moto
// finds nothing attached to it but the one policy.
func TestRolesAreTheFunctions(t *testing.T) {
	for _, s := range stacks(t) {
		taken := map[string]string{}
		for _, id := range s.byType("AWS::Lambda::Function") {
			name := strings.TrimSuffix(id, "Function")
			if got := readable(s.Translated.Resources[id].Properties["Role"]); got != name+"Role" {
				t.Errorf("%s: %s runs as %s, want %sRole", s.Name, id, got, name)
			}
			arn := s.Made.Functions[id].Role
			if other := taken[arn]; other != "" {
				t.Errorf("%s: %s and %s share a role", s.Name, id, other)
			}
			taken[arn] = id
			trust := text(s.Translated.Resources[name+"Role"].Properties["AssumeRolePolicyDocument"])
			if want := `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}],"Version":"2012-10-17"}`; trust != want {
				t.Errorf("%s: %sRole may be taken by %s", s.Name, name, trust)
			}
		}
		for id, r := range s.Made.Roles {
			if len(r.Managed) > 0 || len(r.Policies) != 1 {
				t.Errorf("%s: %s has managed policies %v and own ones %v, want one own", s.Name, id, r.Managed, r.Policies)
			}
		}
		if len(taken) == 0 || len(s.Made.Roles) != len(taken) {
			t.Errorf("%s: %d roles for %d functions", s.Name, len(s.Made.Roles), len(taken))
		}
	}
}
