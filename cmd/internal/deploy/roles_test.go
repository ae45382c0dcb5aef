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

// A grant is one action on one resource that a role of the template allows or
// denies.
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

// grants lists the grants of every role of the stack.
func (s stack) grants(t *testing.T) []grant {
	t.Helper()
	var all []grant
	for _, id := range s.byType("AWS::IAM::Role") {
		p := s.Translated.Resources[id].Properties
		only(t, id, p, "AssumeRolePolicyDocument", "Description", "PermissionsBoundary", "Policies")
		for _, policy := range anys(p["Policies"]) {
			for _, statement := range anys(object(object(policy)["PolicyDocument"])["Statement"]) {
				m := object(statement)
				only(t, id, m, "Sid", "Effect", "Action", "Resource", "Condition")
				all = append(all, grantsOf(strings.TrimSuffix(id, "Role"), m)...)
			}
		}
	}
	return all
}

// grantsOf lists the grants of one statement of a policy.
func grantsOf(role string, statement map[string]any) (all []grant) {
	when := ""
	if c, ok := statement["Condition"]; ok {
		when = readable(c)
	}
	for _, action := range anys(statement["Action"]) {
		for _, on := range anys(statement["Resource"]) {
			all = append(all, grant{role, readable(statement["Effect"]), readable(action), readable(on), when})
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

// readable formats an expression of the template as the tables of testdata do:
// it names resources by their logical ids.
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

// testdata/roles.txt lists every grant of the functions. A change of a policy
// fails this test until the table changes too, so that a reviewer sees it.
func TestRolesEqualTheTable(t *testing.T) {
	var lines []string
	for _, g := range stackOf(t, "prod").grants(t) {
		lines = append(lines, g.String())
	}
	compareWithTable(t, "roles.txt", lines)
}

// compareWithTable compares lines about the template with a table of testdata,
// in both directions. The table holds for every deployment, because its lines
// contain the template's conditions.
func compareWithTable(t *testing.T, file string, lines []string) {
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
			t.Errorf("testdata/%s lacks the template's line: %s", file, line)
		}
	}
	for line := range table {
		if !slices.Contains(lines, line) {
			t.Errorf("the template lacks the line of testdata/%s: %s", file, line)
		}
	}
}

// No change of the table may add one of these grants. Each has its reason.
func TestForbiddenGrants(t *testing.T) {
	never := []struct {
		but, action, resource string // regexps; but matches the roles that may have the grant
		reason                string
	}{
		{``, `\*`, `.*`, "actions are named"},
		{`^(Pull|Decode|Media|Inspect)$`, `^ec2:`, `.*`, "only functions that call WeCom join the network"},
		{``, `^ec2:.*(Modify|Run|Authorize|Associate|Allocate)`, `.*`, "no function changes the network"},
		{``, `^(iam|sts):|^kms:(Create|Schedule|Disable|Put|Encrypt|ReEncrypt|Describe)`, `.*`, "no function changes rights"},
		{`^(Decode|Media)$`, `^s3:List`, `Bucket$`, "only decode and media must tell a missing object from a forbidden one"},
		{`^Decode$`, `^secretsmanager:(Get|BatchGet)`, `/key/|/\*$`, "only decode reads private keys (law 6)"},
		{`^(Pull|Decode|Media|Inspect)$`, `^secretsmanager:(Get|BatchGet)`, `/(archive|app)(-|\*)|/\*$`, "api compares an entered secret by its digest"},
		{``, `^secretsmanager:(Delete|Update|Put|Restore|List)`, `/key/|/\*$`, "a private key is created once and never changed (law 6)"},
		{`^Api$`, `^secretsmanager:(Create|Put|Update)`, `.*`, "only api creates secrets"},
		{``, `^secretsmanager:(Delete|Restore|Update|Rotate|Replicate)`, `.*`, "no function deletes or replaces a secret"},
		{`^(Api|Pull|Decode|Media|Inspect)$`, `^(secretsmanager:|s3:(Get|List))`, `.*`, "dispatch reads no secrets and no chats"},
		{`^(Api|Pull|Decode|Media|Inspect)$`, `^kms:`, `^(Media|Secrets)Key\b`, "dispatch opens the tables and seals heads only"},
		{`^(Api|Decode)$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `CorpsTable`, "only api writes settings, and only decode writes bindings"},
		{``, `^s3:(Delete|PutObjectRetention|PutObjectLegalHold|Bypass|PutBucket|PutLifecycle)`, `.*`, "the journal is written, never changed (law 1)"},
		{`^(Pull|Decode|Dispatch)$`, `^s3:(Put|Abort)`, `JournalBucket`, "only pull writes pages and gaps, only decode long messages, and only dispatch heads"},
		{`^Media$`, `^s3:(Put|Abort)`, `MediaBucket`, "only media writes files"},
		{`^Pull$`, `^s3:Put`, `/pages/|/gaps/|JournalBucket(/\*)?$`, "only pull writes pages and evidence of gaps (law 1)"},
		{`^Dispatch$`, `^s3:Put`, `/heads/|JournalBucket(/\*)?$`, "only dispatch writes daily heads: pull moves the heads of chains"},
		{`^(Api|Decode|Media)$`, `^s3:Get`, `.*`, "pull writes pages and never reads them"},
		{`^Decode$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `MessagesTable`, "only decode writes messages"},
		{`^Pull$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `LedgerTable$|LedgerTable only (\*$|.*#chain)`, "only pull adds to the chain; other functions write to other partitions"},
		{``, `^dynamodb:(Update|Delete|BatchWrite)`, `LedgerTable$|LedgerTable only (\*$|.*#chain)`, "no function changes or deletes a row of the chain"},
		{`^(Decode|Dispatch)$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `LedgerTable not`, "api stores jobs and other functions note refusals, each in a partition that is named"},
		{`^Api$`, `^dynamodb:(Put|Update|Delete|BatchWrite)`, `ReadingsTable`, "only api writes readings"},
		{`^(Decode|Media)$`, `^dynamodb:Delete`, `.*`, "only decode and media delete items"},
		{`^Decode$`, `^dynamodb:Delete`, `(Corps|Ledger|Messages|Readings|Contacts|Consents)Table`, "media deletes only entries of its lists of files"},
		{``, `^dynamodb:(Scan|DeleteTable|UpdateTable|Export|PartiQL(\*|Select|Update|Delete))`, `.*`, "no function lists items of several companies (law 8)"},
		{`^Decode$`, `^dynamodb:PartiQLInsert`, `.*`, "only decode adds items by a statement, which replaces none"},
		{``, `^dynamodb:PartiQL`, `(Corps|Ledger|Messages|Readings|Contacts|Consents)Table`, "the items are rows of files"},
		{`^(Pull|Decode|Media|Inspect)$`, `.*`, `^\*$`, "resources are named"},
		{``, `^([^e]|e[^c]|ec[^2])`, `^\*$`, "resources are named; only ec2 has no names"},
	}
	match := func(re, s string) bool { return regexp.MustCompile(re).MatchString(s) }
	for _, g := range stackOf(t, "prod").grants(t) {
		if g.effect == "Deny" {
			continue
		}
		// A condition may restrict the grant to some partitions of the table.
		on := g.resource
		condition, _, _ := strings.Cut(g.when, " Null ")
		kind, keys, restricted := strings.Cut(condition, "dynamodb:LeadingKeys ")
		switch excludes := strings.Contains(kind, "Not"); {
		case restricted && !excludes:
			on += " only " + keys
		case restricted && (strings.Contains(keys, "*#chain") || strings.Contains(keys, "*#*")):
			on += " not " + keys
		}
		for _, n := range never {
			if (n.but == "" || !match(n.but, g.role)) && match(n.action, g.action) && match(n.resource, on) {
				t.Errorf("%s: %s", g, n.reason)
			}
		}
	}
}

// Evidence stays: no role deletes it, and each kind has the roles that store it. The
// function dispatch also counts the tries of a page, which is beside the chain.
func TestEvidenceStaysAndHasItsWriters(t *testing.T) {
	all := stackOf(t, "prod").grants(t)
	for partition, writers := range map[string][]string{
		"ww1#chain": {"Pull"}, "ww1#losses": {"Dispatch"}, "ww1#doctor": {"Inspect"}, "ww1#jobs": {"Api", "Decode", "Dispatch"},
	} {
		for _, role := range []string{"Api", "Decode", "Dispatch", "Inspect", "Media", "Pull"} {
			for _, action := range []string{"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"} {
				c := call{role, "dynamodb:" + action, "LedgerTable", []string{partition}}
				if want := action == "PutItem" && slices.Contains(writers, role); c.granted(all, "prod") != want {
					t.Errorf("%s: %s of %s: got %t, want %t", partition, action, role, !want, want)
				}
			}
		}
	}
}

// A private key is created once: no role may delete it or write another value
// (law 6). AWS ends the ARN of a secret with a dash and six letters, and a pattern
// with more room matches secrets of other names too.
func TestNoRoleDeletesOrReplacesAPrivateKey(t *testing.T) {
	const (
		key  = "secretsmanager:secret:${AWS::StackName}/ww0123456789abcdef/key/0123456789abcdef-AbCdEf"
		pair = "secretsmanager:secret:${AWS::StackName}/callbacks/pairkey-AbCdEf" // it opens every callback pair
	)
	for _, g := range stackOf(t, "prod").grants(t) {
		if g.effect != "Allow" || !strings.HasPrefix(g.action, "secretsmanager:") {
			continue
		}
		if (like(g.resource, key) || like(g.resource, pair)) && !slices.Contains([]string{"secretsmanager:CreateSecret", "secretsmanager:GetSecretValue", "secretsmanager:TagResource"}, g.action) {
			t.Errorf("%s: got a right over private keys, want creation with tags and reading only", g)
		}
		if !regexp.MustCompile(`-\?{6}( if |$)|/key/\*$`).MatchString(g.resource) {
			t.Errorf("%s: got a pattern for several names, want six letters after the dash", g)
		}
	}
}

// A role uses a KMS key only through the service whose store the key encrypts, so that
// it opens nothing that it copied.
func TestKeysAreUsedThroughTheirStores(t *testing.T) {
	through := map[string][]string{"JournalKey": {"s3"}, "MediaKey": {"s3"}, "SecretsKey": {"secretsmanager"}, "TablesKey": {"dynamodb"}}
	n := 0
	for _, g := range stackOf(t, "prod").grants(t) {
		if !strings.HasPrefix(g.action, "kms:") {
			continue
		}
		n++
		key, _, _ := strings.Cut(g.resource, " ")
		if !slices.ContainsFunc(through[key], func(service string) bool { return g.when == "StringLike kms:ViaService "+service+".${AWS::Region}.*" }) {
			t.Errorf("%s: got condition %q, want the use through %v", g, g.when, through[key])
		}
	}
	if n < 10 {
		t.Errorf("got %d grants of keys only: the rule would check nothing", n)
	}
}

// A condition on every value of a key holds for a request without the key, so a
// grant with such a condition needs the key too. The only tags that a role may
// set are corp and stack: rights may follow from tags.
func TestGrantsForAllValuesNeedAValue(t *testing.T) {
	conditions := map[string]bool{}
	for _, g := range stackOf(t, "prod").grants(t) {
		if m := regexp.MustCompile(`^ForAllValues:\w+ (\S+) `).FindStringSubmatch(g.when); m != nil {
			conditions[m[1]] = true
			if !strings.HasSuffix(g.when, " Null "+m[1]+" false") {
				t.Errorf("%s: got a right without %s, want the condition Null", g, m[1])
			}
		}
		if tags := "ForAllValues:StringEquals aws:TagKeys corp,stack Null aws:TagKeys false"; strings.HasSuffix(g.action, ":TagResource") && g.when != tags {
			t.Errorf("%s: got condition %q, want %q", g, g.when, tags)
		}
	}
	if len(conditions) != 2 {
		t.Errorf("got conditions on %v, want them on dynamodb:LeadingKeys and aws:TagKeys", conditions)
	}
}

// Every role has the boundary that an organization may require.
func TestEveryRoleHasTheBoundary(t *testing.T) {
	s := stackOf(t, "prod")
	for _, id := range s.byType("AWS::IAM::Role") {
		if got := readable(s.Translated.Resources[id].Properties["PermissionsBoundary"]); got != "PermissionsBoundary if HasBoundary else AWS::NoValue" {
			t.Errorf("%s: got boundary %s, want the parameter", id, got)
		}
	}
	for name, want := range map[string]string{"prod": "", ownNetwork: "arn:aws-cn:iam::123456789012:policy/boundary"} {
		for id, r := range stackOf(t, name).Made.Roles {
			if r.Boundary != want {
				t.Errorf("%s: %s: got boundary %q, want %q", name, id, r.Boundary, want)
			}
		}
	}
}

// Each function has its own role, with exactly one policy. Only Lambda may assume
// the role.
func TestEachFunctionHasItsOwnRole(t *testing.T) {
	for _, s := range stacks(t) {
		taken := map[string]string{}
		for _, id := range s.byType("AWS::Lambda::Function") {
			name := strings.TrimSuffix(id, "Function")
			if got := readable(s.Translated.Resources[id].Properties["Role"]); got != name+"Role" {
				t.Errorf("%s: %s: got role %s, want %sRole", s.Name, id, got, name)
			}
			arn := s.Made.Functions[id].Role
			if other := taken[arn]; other != "" {
				t.Errorf("%s: %s and %s: got one role, want two", s.Name, id, other)
			}
			taken[arn] = id
			trust := text(s.Translated.Resources[name+"Role"].Properties["AssumeRolePolicyDocument"])
			if want := `{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}],"Version":"2012-10-17"}`; trust != want {
				t.Errorf("%s: %sRole: got trust policy %s, want Lambda only", s.Name, name, trust)
			}
		}
		for id, r := range s.Made.Roles {
			if len(r.Managed) > 0 || len(r.Policies) != 1 {
				t.Errorf("%s: %s: got managed policies %v and inline policies %v, want one inline policy", s.Name, id, r.Managed, r.Policies)
			}
		}
		if len(taken) == 0 || len(s.Made.Roles) != len(taken) {
			t.Errorf("%s: got %d roles for %d functions, want one each", s.Name, len(s.Made.Roles), len(taken))
		}
	}
}
