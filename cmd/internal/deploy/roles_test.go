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
	ownARN  = regexp.MustCompile(`^arn:\$\{AWS::Partition\}:([a-z-]+):\$\{AWS::Region\}:\$\{AWS::AccountId\}:`)
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
		if to, ok := v["Fn::GetAtt"].([]any); ok {
			return strings.TrimSuffix(fmt.Sprintf("%v.%v", to[0], to[1]), ".Arn")
		}
		if to, ok := v["Ref"].(string); ok {
			return to
		}
		if s, ok := v["Fn::Sub"].(string); ok {
			return arnName.ReplaceAllString(ownARN.ReplaceAllString(s, "$1:"), "$1")
		}
		if l, ok := v["Fn::Sub"].([]any); ok {
			s := l[0].(string)
			for name, value := range object(l[1]) {
				s = strings.ReplaceAll(s, "${"+name+"}", readable(value))
			}
			return readable(map[string]any{"Fn::Sub": s})
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
	var lines []string
	for _, g := range stackOf(t, "prod").grants(t) {
		lines = append(lines, g.String())
	}
	holdAgainst(t, "roles.txt", lines)
}

// holdAgainst compares what the template has with a table of testdata, in both
// directions. It is the same in every deployment: conditions stand in the
// lines.
func holdAgainst(t *testing.T, file string, lines []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			table[line] = true
		}
	}
	for _, line := range lines {
		if !table[line] {
			t.Errorf("not in testdata/%s: %s", file, line)
		}
	}
	for line := range table {
		if !slices.Contains(lines, line) {
			t.Errorf("in testdata/%s, but not in the template: %s", file, line)
		}
	}
}

// What no change of the table may allow, each with its reason.
func TestRolesNever(t *testing.T) {
	never := []struct {
		but, action, resource string // regexps; but are the roles that may
		reason                string
	}{
		{``, `\*`, `.*`, "actions are named"},
		{`^(Pull|Decode|Media|Inspect)$`, `^ec2:`, `.*`, "only functions that speak with WeCom join the network"},
		{``, `^ec2:.*(Modify|Run|Authorize|Associate|Allocate)`, `.*`, "joining the network is all"},
		{``, `^(iam|sts):|^kms:(Create|Schedule|Disable|Put|Encrypt|ReEncrypt|Describe)`, `.*`, "no function changes who may do what"},
		{`^Decode$`, `^secretsmanager:(Get|BatchGet)`, `/key/|/\*$`, "nobody but decode reads private keys (law 6)"},
		{``, `^secretsmanager:(Delete|Update|Put|Restore|TagResource|List)`, `/key/|/\*$`, "a private key is created once and never written again (law 6)"},
		{`^Api$`, `^secretsmanager:(Create|Put|Update)`, `.*`, "nobody but api makes secrets"},
		{``, `^secretsmanager:(Delete|Restore|Update|Rotate|Replicate)`, `.*`, "no function takes a secret away"},
		{`^(Api|Pull|Decode|Media|Inspect)$`, `^(secretsmanager|kms|s3):`, `.*`, "dispatch needs neither secrets nor chats"},
		{`^(Api|Decode)$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `CorpsTable`, "nobody but api writes settings, and decode bindings"},
		{``, `^s3:(Delete|PutObjectRetention|PutObjectLegalHold|Bypass|PutBucket|PutLifecycle)`, `.*`, "the journal is written, never changed (law 1)"},
		{`^(Pull|Decode)$`, `^s3:(Put|Abort)`, `JournalBucket`, "nobody but pull writes the journal, and decode long messages"},
		{`^Media$`, `^s3:(Put|Abort)`, `MediaBucket`, "nobody but media writes files"},
		{`^Pull$`, `^s3:Put`, `/pages/|/heads/|JournalBucket(/\*)?$`, "nobody but pull writes pages (law 1)"},
		{`^(Api|Decode|Media)$`, `^s3:Get`, `.*`, "pull writes pages and reads none"},
		{`^Decode$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `MessagesTable`, "nobody but decode writes messages"},
		{`^(Dispatch|Pull|Decode)$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `LedgerTable$`, "nobody else writes the chain: api starts jobs, others note refusals, in partitions of their own"},
		{`^Api$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `ReadingsTable`, "nobody but api writes who looked"},
		{`^(Decode|Media)$`, `^dynamodb:Delete`, `.*`, "nobody else takes anything away"},
		{`^Decode$`, `^dynamodb:Delete`, `(Corps|Ledger|Messages|Views|Contacts|Consents)Table`, "media takes files off their lists, and nothing else away"},
		{``, `^dynamodb:(Scan|DeleteTable|UpdateTable|Export|PartiQL)`, `.*`, "nothing is listed across companies (law 8)"},
		{`^(Pull|Decode|Media|Inspect)$`, `.*`, `^\*$`, "resources are named"},
		{``, `^([^e]|e[^c]|ec[^2])`, `^\*$`, "resources are named; ec2 has none to name"},
	}
	match := func(re, s string) bool { return regexp.MustCompile(re).MatchString(s) }
	for _, g := range stackOf(t, "prod").grants(t) {
		if g.effect == "Deny" {
			continue
		}
		// What a condition keeps to a partition is not the rest of the table.
		on := g.resource
		if _, keys, ok := strings.Cut(g.when, "dynamodb:LeadingKeys "); ok {
			on += " " + keys
		}
		for _, n := range never {
			if (n.but == "" || !match(n.but, g.role)) && match(n.action, g.action) && match(n.resource, on) {
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
