package deploy_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rules lists the rules that send events of CloudTrail to the topic.
func (s stack) rules() []string {
	return slices.DeleteFunc(s.byType("AWS::Events::Rule"), func(id string) bool {
		return s.Translated.Resources[id].Properties["EventPattern"] == nil
	})
}

// matches decides like EventBridge, for the filters that the template uses: a
// field of the event must have one of the listed values, and an event without
// the field does not match. It compares texts as the tables of testdata show
// them.
func matches(pattern, event any) bool {
	switch p := pattern.(type) {
	case map[string]any:
		if list, ok := event.([]any); ok {
			return slices.ContainsFunc(list, func(e any) bool { return matches(p, e) })
		}
		for name, sub := range p {
			if name == "$or" {
				if !slices.ContainsFunc(anys(sub), func(one any) bool { return matches(one, event) }) {
					return false
				}
			} else if value, ok := object(event)[name]; !ok || !matches(sub, value) {
				return false
			}
		}
		return true
	case []any:
		return slices.ContainsFunc(p, func(filter any) bool { return filtered(filter, fmt.Sprint(event)) })
	}
	return false
}

// filtered reports whether one entry of a pattern's list matches a value.
func filtered(filter any, value string) bool {
	m := object(filter)
	if prefix, ok := m["prefix"]; ok {
		return strings.HasPrefix(value, readable(prefix))
	}
	if wildcard, ok := m["wildcard"]; ok {
		return like(readable(wildcard), value)
	}
	if c, ok := m["Fn::If"].([]any); ok {
		return filtered(c[1], value) || filtered(c[2], value)
	}
	return readable(filter) == value
}

// Each call that takes something away for ever, or hides that, is matched by one
// rule. The same call on something else is not.
func TestRulesMatchCalls(t *testing.T) {
	type m = map[string]any
	call := func(source, name string, detail m) m {
		detail["eventName"] = name
		return m{"source": "aws." + source, "detail-type": "AWS API Call via CloudTrail", "detail": detail}
	}
	key := func(name, arn string) m { return call("kms", name, m{"resources": []any{m{"ARN": arn}}}) }
	secret := func(name, id string) m {
		return call("secretsmanager", name, m{"requestParameters": m{"secretId": id}})
	}
	table := func(name, id string) m { return call("dynamodb", name, m{"requestParameters": m{"tableName": id}}) }
	bucket := func(name, id string) m { return call("s3", name, m{"requestParameters": m{"bucketName": id}}) }
	address := func(name string, parameters m) m { return call("ec2", name, m{"requestParameters": parameters}) }
	const name, arn = "${AWS::StackName}/ww1/key/k1", "secretsmanager:secret:${AWS::StackName}/ww1/key/k1-AbCdEf"
	s := stackOf(t, "prod")
	matched := make(map[string][]string) // the calls that each rule matches
	for _, c := range []struct {
		event m
		want  string // empty for a call that no rule matches
	}{
		{key("ScheduleKeyDeletion", "JournalKey"), "KeysChanged"},
		{key("DisableKey", "TablesKey"), "KeysChanged"},
		{key("PutKeyPolicy", "SecretsKey"), "KeysChanged"},
		{key("ScheduleKeyDeletion", "MediaKey"), "KeysChanged"},
		{key("DisableKey", "another key"), ""},
		{key("CancelKeyDeletion", "JournalKey"), ""},
		{key("Decrypt", "JournalKey"), ""},
		{secret("DeleteSecret", name), "SecretsRemoved"},
		{secret("DeleteSecret", arn), "SecretsRemoved"},
		{secret("DeleteSecret", "${AWS::StackName}/ww1/archive"), "SecretsRemoved"},
		{secret("PutSecretValue", name), "SecretsRemoved"},
		{secret("UpdateSecretVersionStage", arn), "SecretsRemoved"},
		{secret("PutSecretValue", "${AWS::StackName}/ww1/archive"), ""},
		{secret("PutSecretValue", "${AWS::StackName}/callbacks/pairkey"), "SecretsRemoved"},
		{secret("UpdateSecret", "secretsmanager:secret:${AWS::StackName}/callbacks/pairkey-AbCdEf"), "SecretsRemoved"},
		{secret("DeleteSecret", "${AWS::StackName}/callbacks/pairkey"), "SecretsRemoved"},
		{secret("DeleteSecret", "other/ww1/archive"), ""},
		{secret("GetSecretValue", name), ""},
		{table("DeleteTable", "MessagesTable"), "TablesRemoved"},
		{table("UpdateTable", "LedgerTable"), "TablesRemoved"},
		{table("UpdateContinuousBackups", "CorpsTable"), "TablesRemoved"},
		{table("DeleteTable", "another table"), ""},
		{bucket("PutBucketPolicy", "JournalBucket"), "BucketsChanged"},
		{bucket("PutBucketLifecycle", "MediaBucket"), "BucketsChanged"},
		{bucket("PutBucketLifecycleConfiguration", "JournalBucket"), "BucketsChanged"},
		{bucket("DeleteBucketLifecycle", "MediaBucket"), "BucketsChanged"},
		{bucket("DeleteBucketPolicy", "TrailBucket"), "BucketsChanged"},
		{bucket("DeleteBucket", "TrailBucket"), "BucketsChanged"},
		{bucket("PutBucketEncryption", "JournalBucket"), "BucketsChanged"},
		{bucket("DeleteBucketEncryption", "MediaBucket"), "BucketsChanged"},
		{bucket("PutBucketObjectLockConfiguration", "JournalBucket"), "BucketsChanged"},
		{bucket("PutBucketVersioning", "JournalBucket"), "BucketsChanged"},
		{bucket("PutBucketLifecycle", "another bucket"), ""},
		{bucket("PutObject", "JournalBucket"), ""},
		{address("ReleaseAddress", m{"allocationId": "AddressA.AllocationId"}), "AddressesChanged"},
		{address("ReleaseAddress", m{"allocationId": "Fn::Select 0,Fn::Split /,AddressAllocationB"}), "AddressesChanged"},
		{address("ReleaseAddress", m{"allocationId": "another address"}), ""},
		{address("DeleteNatGateway", m{"DeleteNatGatewayRequest": m{"NatGatewayId": "NatB"}}), "AddressesChanged"},
		{address("DeleteNatGateway", m{"DeleteNatGatewayRequest": m{"NatGatewayId": "another gateway"}}), ""},
		{address("ReplaceRoute", m{"routeTableId": "PrivateRoutesA"}), "AddressesChanged"},
		{address("DeleteRoute", m{"routeTableId": "PrivateRoutesB"}), "AddressesChanged"},
		{address("DeleteRoute", m{"routeTableId": "PublicRoutes"}), ""},
		{call("cloudtrail", "StopLogging", m{}), "TrailChanged"},
		{call("cloudtrail", "DeleteTrail", m{}), "TrailChanged"},
		{call("cloudtrail", "UpdateTrail", m{}), "TrailChanged"},
		{call("cloudtrail", "PutEventSelectors", m{}), "TrailChanged"},
		{call("cloudtrail", "StartLogging", m{}), ""},
		{call("events", "DeleteRule", m{"requestParameters": m{"name": "${AWS::StackName}-TablesRemoved-1"}}), "TrailChanged"},
		{call("events", "DisableRule", m{"requestParameters": m{"name": "${AWS::StackName}-KeysChanged-1"}}), "TrailChanged"},
		{call("events", "PutRule", m{"requestParameters": m{"name": "${AWS::StackName}-KeysChanged-1"}}), "TrailChanged"},
		{call("events", "RemoveTargets", m{"requestParameters": m{"rule": "${AWS::StackName}-KeysChanged-1"}}), "TrailChanged"},
		{call("events", "PutTargets", m{"requestParameters": m{"rule": "${AWS::StackName}-KeysChanged-1"}}), "TrailChanged"},
		{call("events", "DisableRule", m{"requestParameters": m{"name": "other"}}), ""},
	} {
		var got []string
		for _, id := range s.rules() {
			if matches(s.Translated.Resources[id].Properties["EventPattern"], c.event) {
				got = append(got, id)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got rules %v, want %q", text(c.event), got, c.want)
		}
		matched[c.want] = append(matched[c.want], fmt.Sprint(object(c.event["detail"])["eventName"]))
	}
	for _, id := range s.rules() {
		names := callNames(s.Translated.Resources[id].Properties["EventPattern"])
		if got, want := sortedSet(names), sortedSet(matched[id]); !slices.Equal(got, want) {
			t.Errorf("%s: got calls %v, want those of this test: %v", id, got, want)
		}
	}
}

// callNames lists the names of the calls in a pattern.
func callNames(pattern any) (names []string) {
	for key, sub := range object(pattern) {
		if key == "eventName" {
			for _, name := range anys(sub) {
				names = append(names, fmt.Sprint(name))
			}
			continue
		}
		for _, one := range anys(sub) {
			names = append(names, callNames(one)...)
		}
	}
	return names
}

// Every table, key, bucket, address and NAT gateway of the stack is watched. A call
// names a table by its name or by its ARN. The rules are in every stack; without a
// network of its own a stack has no address.
func TestRulesNameEveryStore(t *testing.T) {
	s := stackOf(t, "prod")
	for _, id := range s.rules() {
		want := map[string]string{"AddressesChanged": "MakesNetwork"}[id]
		if got := s.Translated.Resources[id].Condition; got != want {
			t.Errorf("%s: got condition %q, want %q", id, got, want)
		}
	}
	for _, id := range s.byType("AWS::DynamoDB::Table") {
		if pattern := s.Translated.Resources["TablesRemoved"].Properties["EventPattern"]; !contains(pattern, `{"Ref":"`+id+`"}`, `{"Fn::GetAtt":["`+id+`","Arn"]}`) {
			t.Errorf("TablesRemoved: got no name or no ARN of %s", id)
		}
	}
	for kind, rule := range map[string]string{"AWS::KMS::Key": "KeysChanged", "AWS::DynamoDB::Table": "TablesRemoved", "AWS::S3::Bucket": "BucketsChanged", "AWS::EC2::EIP": "AddressesChanged", "AWS::EC2::NatGateway": "AddressesChanged"} {
		pattern := text(s.Translated.Resources[rule].Properties["EventPattern"])
		for _, id := range s.byType(kind) {
			if !strings.Contains(pattern, `"`+id+`"`) {
				t.Errorf("%s: got no %s", rule, id)
			}
		}
	}
}

// A rule sends one readable text to the topic: the call, the caller, and the
// section of the runbooks.
func TestRulesNotify(t *testing.T) {
	s := stackOf(t, "prod")
	runbooks, err := os.ReadFile(root + "/docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.rules()) < 5 {
		t.Errorf("rules: got %v, want one each for keys, secrets, tables, buckets and the trail", s.rules())
	}
	for _, id := range s.rules() {
		p := s.Translated.Resources[id].Properties
		only(t, id, p, "Description", "EventPattern", "Targets")
		targets := anys(p["Targets"])
		target := object(targets[0])
		if len(targets) != 1 || readable(target["Arn"]) != "NoticeTopic" || target["RoleArn"] != nil {
			t.Errorf("%s: got targets %s, want the topic", id, text(targets))
		}
		transformer := object(target["InputTransformer"])
		template := readable(transformer["InputTemplate"])
		for _, part := range []string{"${AWS::StackName}-" + id + ":", "<call>", "<who>", "<address>", "<time>", "Runbook - docs/runbooks.md, " + id + "."} {
			if !strings.Contains(template, part) {
				t.Errorf("%s: got %s, want %s in it", id, template, part)
			}
		}
		for _, m := range regexp.MustCompile(`<(\w+)>`).FindAllStringSubmatch(template, -1) {
			if object(transformer["InputPathsMap"])[m[1]] == nil {
				t.Errorf("%s: got the variable %s without a path", id, m[1])
			}
		}
		if !strings.Contains(string(runbooks), "\n## "+id+"\n") {
			t.Errorf("%s: got no section of docs/runbooks.md", id)
		}
	}
}

// The trail logs the management events of the region, and only CloudTrail writes
// its bucket. Without it the account must have one.
func TestTrail(t *testing.T) {
	s := stackOf(t, "prod")
	r := s.Translated.Resources
	for _, id := range []string{"ManagementTrail", "TrailBucket", "TrailBucketPolicy"} {
		if r[id].Condition != "MakesTrail" {
			t.Errorf("%s: got condition %q, want MakesTrail", id, r[id].Condition)
		}
	}
	if _, there := stackOf(t, ownNetwork).Made.Physical["TrailBucket"]; there {
		t.Error("existing trail: got a bucket for another")
	}
	trail := r["ManagementTrail"].Properties
	if trail["IsLogging"] != true || trail["EnableLogFileValidation"] != true || trail["EventSelectors"] != nil || readable(trail["S3BucketName"]) != "TrailBucket" {
		t.Errorf("trail: got %s, want all management events in TrailBucket, with validation", text(trail))
	}
	bucket := r["TrailBucket"].Properties
	for name, want := range map[string]string{"VersioningConfiguration": `"Status":"Enabled"`, "BucketEncryption": "AES256", "PublicAccessBlockConfiguration": `"RestrictPublicBuckets":true`, "OwnershipControls": "BucketOwnerEnforced"} {
		if !contains(bucket[name], want) {
			t.Errorf("trail's bucket: %s: got %s, want %s", name, text(bucket[name]), want)
		}
	}
	if !s.requiresTLS("TrailBucket") {
		t.Error("trail's bucket: got access without TLS, want it denied")
	}
}

// With a break-glass role, each key policy denies the calls that end a key to
// every principal but the role and CloudFormation. The condition names no other
// exception. Without a role, the policies have no such statement.
func TestOnlyTheBreakGlassRoleEndsKeys(t *testing.T) {
	s := stackOf(t, "prod")
	const want = `{"Action":["kms:DisableKey","kms:PutKeyPolicy","kms:ScheduleKeyDeletion"],` +
		`"Condition":{"ArnNotEquals":{"aws:PrincipalArn":{"Ref":"BreakGlassRole"}},"ForAllValues:StringNotEquals":{"aws:CalledVia":["cloudformation.amazonaws.com"]}},` +
		`"Effect":"Deny","Principal":"*","Resource":"*","Sid":"BreakGlass"}`
	for _, id := range s.byType("AWS::KMS::Key") {
		p := s.Translated.Resources[id].Properties
		var got []string
		for _, st := range anys(object(p["KeyPolicy"])["Statement"]) {
			if m, when := conditional(st); m["Effect"] == "Deny" {
				got = append(got, text(m)+when)
			}
		}
		if len(got) != 1 || got[0] != want+" if HasBreakGlassRole" {
			t.Errorf("%s: got denials %v, want %s", id, got, want)
		}
		// The longest time in which a deletion can be cancelled.
		if p["PendingWindowInDays"] != float64(30) {
			t.Errorf("%s: got %v days until a deletion, want 30", id, p["PendingWindowInDays"])
		}
		// KMS refuses a policy that its author may not change, unless told not to.
		if bypass := text(p["BypassPolicyLockoutSafetyCheck"]); bypass != `{"Fn::If":["HasBreakGlassRole",true,false]}` {
			t.Errorf("%s: got bypass of the safety check %s, want it with the role only", id, bypass)
		}
	}
}

// The endpoints of the network let through what the functions in it may do, and no
// other action, bucket or table.
func TestEndpointsLeadToTheStoresOnly(t *testing.T) {
	s := stackOf(t, "prod")
	for service, id := range map[string]string{"s3": "S3Endpoint", "dynamodb": "DynamoDBEndpoint"} {
		var actions, stores []string
		for _, g := range s.grants(t) {
			inside := slices.Contains([]string{"Pull", "Decode", "Media", "Inspect"}, g.role)
			if name, action, _ := strings.Cut(g.action, ":"); inside && name == service {
				store, _, _ := strings.Cut(g.resource, "/")
				actions, stores = append(actions, service+":"+action), append(stores, store)
			}
		}
		statements := anys(object(s.Translated.Resources[id].Properties["PolicyDocument"])["Statement"])
		if len(statements) != 1 {
			t.Fatalf("%s: got %d statements, want one", id, len(statements))
		}
		through := grantsOf(id, object(statements[0]))
		var passed, reached []string
		for _, g := range through {
			store, _, _ := strings.Cut(g.resource, "/")
			passed, reached = append(passed, g.action), append(reached, store)
			if g.when != "StringEquals aws:PrincipalAccount ${AWS::AccountId}" {
				t.Errorf("%s: got condition %q, want principals of the account", g, g.when)
			}
		}
		for what, c := range map[string][2][]string{"actions": {passed, actions}, "stores": {reached, stores}} {
			got, want := sortedSet(c[0]), sortedSet(c[1])
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s: got %v, want those of the functions in the network: %v", id, what, got, want)
			}
		}
	}
}

func sortedSet(list []string) []string {
	list = slices.Sorted(slices.Values(list))
	return slices.Compact(list)
}

// Queues and the topic refuse requests without TLS.
func TestQueuesAndTopicRequireTLS(t *testing.T) {
	s := stackOf(t, "prod")
	const condition = `"Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny","Principal":"*"`
	policy := s.Translated.Resources["QueuesPolicy"].Properties
	if !contains(policy["PolicyDocument"], condition, `"Action":"sqs:*"`) {
		t.Errorf("queues: got %s, want access without TLS denied", text(policy["PolicyDocument"]))
	}
	var queues []string
	for _, q := range anys(policy["Queues"]) {
		queues = append(queues, readable(q))
	}
	slices.Sort(queues)
	if want := s.byType("AWS::SQS::Queue"); !slices.Equal(queues, want) {
		t.Errorf("queues: got a policy of %v, want %v", queues, want)
	}
	if !contains(s.Translated.Resources["NoticeTopicPolicy"].Properties["PolicyDocument"], condition, `"Action":"sns:Publish"`) {
		t.Error("topic: got notices without TLS, want them denied")
	}
}
