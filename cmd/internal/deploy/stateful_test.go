package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// stateful are the types that hold data, keys, addresses or evidence, with the
// DeletionPolicy that they need. RetainExceptOnCreate keeps a resource, except if
// the deployment that made it fails: then nothing stays that costs or is counted by
// a quota. CloudFormation cannot take back a table that is protected from deletion.
var stateful = map[string]string{
	"AWS::DynamoDB::Table": "Retain", "AWS::Lambda::LayerVersion": "RetainExceptOnCreate",
	"AWS::S3::Bucket": "RetainExceptOnCreate", "AWS::S3::BucketPolicy": "RetainExceptOnCreate", "AWS::KMS::Key": "RetainExceptOnCreate",
	"AWS::EC2::EIP": "RetainExceptOnCreate", "AWS::Logs::LogGroup": "RetainExceptOnCreate",
}

func TestStatefulResourcesOutliveTheStack(t *testing.T) {
	for _, s := range stacks(t) {
		for id, r := range s.Translated.Resources {
			want, ok := stateful[r.Type]
			if !ok {
				continue
			}
			// A trail writes at once, and S3 deletes no bucket with an object.
			if strings.HasPrefix(id, "TrailBucket") {
				want = "Retain"
			}
			if r.DeletionPolicy != want {
				t.Errorf("%s: %s: got deletion policy %q, want %s", s.Name, id, r.DeletionPolicy, want)
			}
			if r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s: %s: got deletion on replacement, want Retain", s.Name, id)
			}
		}
	}
}

// What outlives a stack must not block the next stack of the same name. So no such
// resource has a name that the template makes of the stack's name alone.
func TestWhatStaysBlocksNoSecondStack(t *testing.T) {
	s := stackOf(t, "prod")
	for id, r := range s.Translated.Resources {
		if _, ok := stateful[r.Type]; !ok || r.Type == "AWS::Lambda::LayerVersion" { // versions are counted
			continue
		}
		for _, name := range []string{"TableName", "BucketName", "LogGroupName"} {
			if v, named := r.Properties[name]; named && !contains(v, "AWS::StackId") {
				t.Errorf("%s: got the name %s, which a resource that stayed may have", id, readable(v))
			}
		}
	}
}

// replacing are the properties of each type that CloudFormation cannot change
// without another resource: an empty table, a key that opens nothing, an address
// that no company has entered. It cannot change an index of a table either: it adds
// or removes one in a deployment.
var replacing = map[string][]string{
	"AWS::DynamoDB::Table":   {"TableName", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"},
	"AWS::S3::Bucket":        {"BucketName", "ObjectLockEnabled"},
	"AWS::KMS::Key":          {"KeySpec", "KeyUsage", "MultiRegion", "Origin"},
	"AWS::EC2::EIP":          {"Domain", "InstanceId", "NetworkBorderGroup", "PublicIpv4Pool", "TransferAddress", "Address"},
	"AWS::EC2::NatGateway":   {"AllocationId", "ConnectivityType", "PrivateIpAddress", "SubnetId"},
	"AWS::EC2::VPC":          {"CidrBlock"},
	"AWS::EC2::Subnet":       {"AvailabilityZone", "CidrBlock", "VpcId"},
	"AWS::ApiGatewayV2::Api": nil,
}

// testdata/stateful.txt freezes the logical ids of what holds data, keys or
// addresses, and the properties whose change makes CloudFormation replace them.
func TestStatefulResourcesAreFrozen(t *testing.T) {
	b, err := os.ReadFile("testdata/stateful.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	var got []string
	r := stackOf(t, "prod").Translated.Resources
	for _, id := range slices.Sorted(maps.Keys(r)) {
		properties, ok := replacing[r[id].Type]
		if !ok {
			continue
		}
		line := id + ": " + strings.TrimPrefix(r[id].Type, "AWS::")
		for _, name := range properties {
			if v, set := r[id].Properties[name]; set {
				line += fmt.Sprintf(", %s %s", name, readable(v))
			}
		}
		got = append(got, line)
	}
	if slices.Equal(got, lines) {
		return
	}
	const advice = "CloudFormation would make another, empty resource in the deployments that exist, and leave this one behind; " +
		"it refuses a changed global index of a table, and adds or removes one index in a deployment. " +
		"Undo the change. If it must be, write into docs/upgrades.md how a deployment moves its data, then change the table."
	for _, line := range lines {
		if !slices.Contains(got, line) {
			t.Errorf("the template lacks the line of testdata/stateful.txt: %s\n%s", line, advice)
		}
	}
	for _, line := range got {
		if !slices.Contains(lines, line) {
			t.Errorf("testdata/stateful.txt lacks the template's line: %s\nA new resource needs a line. For one that existed: %s", line, advice)
		}
	}
	if !t.Failed() {
		t.Errorf("testdata/stateful.txt: got another order, want\n%s", strings.Join(got, "\n"))
	}
}
