package deploy_test

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// deployerNeeds are the actions that CloudFormation uses, with the deployer's
// rights, to create, read, change and delete a resource of each type of the
// template. A new type needs a line here and in docs/deployer-policy.json. The
// lists are from AWS's documentation and the handlers of its resource schemas, as
// far as the properties of the template need them; no account was at hand.
var deployerNeeds = map[string]string{
	"AWS::ApiGatewayV2::Api":                "apigateway: GET POST PUT PATCH DELETE TagResource UntagResource",
	"AWS::ApiGatewayV2::ApiMapping":         "apigateway: GET POST PATCH DELETE",
	"AWS::ApiGatewayV2::DomainName":         "apigateway: GET POST PATCH DELETE; acm: DescribeCertificate; iam: CreateServiceLinkedRole",
	"AWS::ApiGatewayV2::Stage":              "apigateway: GET POST PATCH DELETE; logs: CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies GetLogDelivery ListLogDeliveries PutResourcePolicy UpdateLogDelivery",
	"AWS::CloudTrail::Trail":                "cloudtrail: AddTags CreateTrail DeleteTrail DescribeTrails GetEventConfiguration GetEventSelectors GetInsightSelectors GetTrail GetTrailStatus ListTags PutEventSelectors RemoveTags StartLogging StopLogging UpdateTrail",
	"AWS::CloudWatch::Alarm":                "cloudwatch: DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource UntagResource",
	"AWS::CloudWatch::Dashboard":            "cloudwatch: DeleteDashboards GetDashboard PutDashboard",
	"AWS::DynamoDB::Table":                  "dynamodb: CreateTable DeleteTable DescribeContinuousBackups DescribeContributorInsights DescribeKinesisStreamingDestination DescribeTable DescribeTimeToLive GetResourcePolicy ListTagsOfResource TagResource UntagResource UpdateContinuousBackups UpdateTable UpdateTimeToLive; kms: CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey* ReEncrypt*",
	"AWS::EC2::EIP":                         "ec2: AllocateAddress CreateTags DeleteTags DescribeAddresses DisassociateAddress ReleaseAddress",
	"AWS::EC2::InternetGateway":             "ec2: CreateInternetGateway CreateTags DeleteInternetGateway DescribeInternetGateways",
	"AWS::EC2::NatGateway":                  "ec2: CreateNatGateway CreateTags DeleteNatGateway DescribeNatGateways",
	"AWS::EC2::Route":                       "ec2: CreateRoute DeleteRoute DescribeRouteTables ReplaceRoute",
	"AWS::EC2::RouteTable":                  "ec2: CreateRouteTable CreateTags DeleteRouteTable DescribeRouteTables",
	"AWS::EC2::SecurityGroup":               "ec2: AuthorizeSecurityGroupEgress CreateSecurityGroup CreateTags DeleteSecurityGroup DescribeInstances DescribeNetworkInterfaces DescribeSecurityGroups RevokeSecurityGroupEgress",
	"AWS::EC2::Subnet":                      "ec2: CreateSubnet CreateTags DeleteSubnet DescribeAvailabilityZones DescribeNetworkAcls DescribeSubnets ModifySubnetAttribute",
	"AWS::EC2::SubnetRouteTableAssociation": "ec2: AssociateRouteTable DescribeRouteTables DisassociateRouteTable",
	"AWS::EC2::VPC":                         "ec2: CreateTags CreateVpc DeleteVpc DescribeNetworkAcls DescribeSecurityGroups DescribeVpcAttribute DescribeVpcEncryptionControls DescribeVpcs ModifyVpcAttribute",
	"AWS::EC2::VPCEndpoint":                 "ec2: CreateTags CreateVpcEndpoint DeleteVpcEndpoints DescribeVpcEndpoints ModifyVpcEndpoint",
	"AWS::EC2::VPCGatewayAttachment":        "ec2: AttachInternetGateway DescribeInternetGateways DescribeVpnGateways DetachInternetGateway",
	"AWS::Events::EventBus":                 "events: CreateEventBus DeleteEventBus DescribeEventBus ListTagsForResource RemovePermission TagResource UntagResource UpdateEventBus",
	"AWS::Events::Rule":                     "events: DeleteRule DescribeRule ListTagsForResource ListTargetsByRule PutRule PutTargets RemoveTargets TagResource UntagResource",
	"AWS::IAM::Role":                        "iam: CreateRole DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
	"AWS::KMS::Key":                         "kms: CreateKey DescribeKey DisableKeyRotation EnableKeyRotation GetKeyPolicy GetKeyRotationStatus ListResourceTags PutKeyPolicy ScheduleKeyDeletion TagResource UntagResource UpdateKeyDescription",
	"AWS::Lambda::EventInvokeConfig":        "lambda: DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig",
	"AWS::Lambda::EventSourceMapping":       "lambda: CreateEventSourceMapping DeleteEventSourceMapping GetEventSourceMapping ListTags TagResource UntagResource UpdateEventSourceMapping",
	"AWS::Lambda::Function":                 "lambda: CreateFunction DeleteFunction DeleteFunctionConcurrency GetFunction GetFunctionConfiguration GetRuntimeManagementConfig PutFunctionConcurrency PutFunctionRecursionConfig ListTags TagResource UntagResource UpdateFunctionCode UpdateFunctionConfiguration; iam: PassRole; ec2: DescribeSecurityGroups DescribeSubnets DescribeVpcs; s3: GetObject GetObjectVersion",
	"AWS::Lambda::LayerVersion":             "lambda: DeleteLayerVersion GetLayerVersion PublishLayerVersion; s3: GetObject GetObjectVersion",
	"AWS::Lambda::Permission":               "lambda: AddPermission GetPolicy RemovePermission",
	"AWS::Logs::LogGroup":                   "logs: CreateLogGroup DeleteLogGroup DeleteRetentionPolicy DescribeIndexPolicies DescribeLogGroups GetDataProtectionPolicy ListTagsForResource PutRetentionPolicy TagResource UntagResource",
	"AWS::Logs::MetricFilter":               "logs: DeleteMetricFilter DescribeMetricFilters PutMetricFilter",
	"AWS::S3::Bucket":                       "s3: CreateBucket DeleteBucket GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketVersioning GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket ListTagsForResource PutBucketObjectLockConfiguration PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning PutEncryptionConfiguration PutLifecycleConfiguration TagResource UntagResource",
	"AWS::S3::BucketPolicy":                 "s3: DeleteBucketPolicy GetBucketPolicy PutBucketPolicy",
	"AWS::SNS::Subscription":                "sns: GetSubscriptionAttributes ListSubscriptionsByTopic SetSubscriptionAttributes Subscribe Unsubscribe",
	"AWS::SNS::Topic":                       "sns: CreateTopic DeleteTopic GetDataProtectionPolicy GetTopicAttributes ListTagsForResource SetTopicAttributes TagResource UntagResource",
	"AWS::SNS::TopicPolicy":                 "sns: GetTopicAttributes SetTopicAttributes",
	"AWS::SQS::Queue":                       "sqs: CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl ListQueueTags SetQueueAttributes TagQueue UntagQueue",
	"AWS::SQS::QueuePolicy":                 "sqs: GetQueueAttributes SetQueueAttributes",
	// What sam deploy, cmd/protect and cmd/ready -online do besides.
	"":         "cloudformation: CreateChangeSet DeleteChangeSet DescribeChangeSet DescribeStackEvents DescribeStackResource DescribeStackResources DescribeStacks ExecuteChangeSet GetStackPolicy GetTemplate GetTemplateSummary ListStackResources SetStackPolicy TagResource UntagResource UpdateTerminationProtection",
	"bucket":   "s3: CreateBucket GetBucketLocation GetBucketPolicy GetObject ListBucket PutBucketPolicy PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning PutEncryptionConfiguration PutObject",
	"question": "ec2: DescribeAccountAttributes; lambda: GetAccountSettings; servicequotas: GetServiceQuota; kms: ListAliases",
}

// actions splits a line of deployerNeeds.
func actions(line string) (all []string) {
	for service := range strings.SplitSeq(line, "; ") {
		name, verbs, _ := strings.Cut(service, ": ")
		for verb := range strings.FieldsSeq(verbs) {
			all = append(all, name+":"+verb)
		}
	}
	return all
}

type deployerStatement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  any
	Condition map[string]map[string]string
}

// policyOf reads a policy of docs.
func policyOf(t *testing.T, name string) []deployerStatement {
	t.Helper()
	var policy struct{ Statement []deployerStatement }
	if err := json.Unmarshal(read(t, "docs/"+name), &policy); err != nil {
		t.Fatal(err)
	}
	return policy.Statement
}

// allows reports whether the pattern of a policy covers the action, or the ARN.
func allows(pattern, action string) bool {
	flat := strings.NewReplacer("/", "|") // an asterisk of a policy covers slashes too
	ok, err := path.Match(flat.Replace(pattern), flat.Replace(action))
	return err == nil && ok
}

// allowsOn reports whether the statement allows the action on the resource, or, with
// an empty resource, on any.
func (s deployerStatement) allowsOn(action, resource string) bool {
	return slices.ContainsFunc(s.Action, func(pattern string) bool { return allows(pattern, action) }) &&
		(resource == "" || slices.ContainsFunc(anys(s.Resource), func(p any) bool { return allows(fmt.Sprint(p), resource) }))
}

// deployerBucket is the bucket that an action of S3 is for: one of the stack's, or
// the one that SAM keeps built code in.
func deployerBucket(kind, action string) string {
	switch {
	case !strings.HasPrefix(action, "s3:"):
		return ""
	case strings.HasPrefix(kind, "AWS::S3::"):
		return "arn:PARTITION:s3:::STACK-journalbucket-1"
	case strings.Contains(action, "Object"):
		return "arn:PARTITION:s3:::aws-sam-cli-managed-default-1/0123"
	}
	return "arn:PARTITION:s3:::aws-sam-cli-managed-default-1"
}

// The deployer may make, change and delete each type of the template, and each of
// its rights serves one of these types, or sam deploy.
func TestDeployerPolicyFitsTheTemplate(t *testing.T) {
	statements := policyOf(t, "deployer-policy.json")
	var granted []string
	for _, s := range statements {
		granted = append(granted, s.Action...)
	}
	used := map[string]bool{"": true, "bucket": true, "question": true}
	for _, s := range stacks(t) {
		for _, r := range s.Translated.Resources {
			used[r.Type] = true
		}
	}
	var needed []string
	for kind := range used {
		line, ok := deployerNeeds[kind]
		if !ok {
			t.Errorf("the template has a %s: say in deployerNeeds which actions it needs, and allow them in docs/deployer-policy.json", kind)
		}
		for _, action := range actions(line) {
			needed = append(needed, action)
			bucket := deployerBucket(kind, action)
			if !slices.ContainsFunc(statements, func(s deployerStatement) bool { return s.allowsOn(action, bucket) }) {
				t.Errorf("docs/deployer-policy.json: %s needs %s %s", kind, action, bucket)
			}
		}
	}
	for _, pattern := range granted {
		if !slices.ContainsFunc(needed, func(action string) bool { return allows(pattern, action) }) {
			t.Errorf("docs/deployer-policy.json allows %s, which no type of the template needs", pattern)
		}
	}
}

// The deployer reads no chat, no key and no secret, and gives its rights to
// Lambda's roles of the stack only.
func TestDeployerPolicyIsNarrow(t *testing.T) {
	statements, source := policyOf(t, "deployer-policy.json"), string(read(t, "docs/deployer-policy.json"))
	for _, s := range statements {
		own := contains(s.Resource, "STACK")
		for _, pattern := range s.Action {
			for _, action := range []string{
				"dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PutItem", "dynamodb:DeleteItem", "secretsmanager:GetSecretValue",
				"sqs:ReceiveMessage", "sqs:SendMessage", "lambda:InvokeFunction", "sts:AssumeRole", "iam:AttachRolePolicy", "iam:CreateUser", "s3:DeleteObject",
				"logs:GetLogEvents", "cloudformation:DeleteStack", "ec2:DescribeInstanceAttribute", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeVpnConnections", "ec2:RunInstances", "kms:DisableKey",
			} {
				if allows(pattern, action) {
					t.Errorf("%s allows %s", s.Sid, action)
				}
			}
			if (allows(pattern, "s3:GetObject") || allows(pattern, "s3:GetObjectVersion")) && own {
				t.Errorf("%s reads the objects of the archive", s.Sid)
			}
			// As the roles of the template: which suffix KMS sees in China is not known.
			if allows(pattern, "kms:Decrypt") && s.Condition["StringLike"]["kms:ViaService"] != "dynamodb.REGION.*" {
				t.Errorf("%s: got the condition %v on decrypting, want through DynamoDB with either suffix", s.Sid, s.Condition)
			}
			if pattern == "iam:PassRole" && s.Condition["StringEquals"]["iam:PassedToService"] != "lambda.amazonaws.com" {
				t.Errorf("%s passes roles to another service than Lambda", s.Sid)
			}
		}
		if s.Effect != "Allow" || s.Resource == "*" && len(s.Condition) == 0 && s.Sid != "Look" {
			t.Errorf("%s: got the effect %s on every resource without a condition", s.Sid, s.Effect)
		}
	}
	// The limit of a role's inline policies, white space not counted, with the longest
	// name of a stack that make ready admits.
	filled := strings.NewReplacer("PARTITION", "aws-cn", "REGION", "cn-northwest-1", "ACCOUNT", "123456789012", "STACK", strings.Repeat("a", 55)).Replace(source)
	if n := len(strings.Join(strings.Fields(filled), "")); n > 10240 {
		t.Errorf("the policy has %d characters, and IAM takes 10,240", n)
	}
}

// The policies and pipelines of docs/pipeline.md are JSON and YAML.
func TestPipelineDocument(t *testing.T) {
	b := read(t, "docs/pipeline.md")
	blocks := regexp.MustCompile("(?ms)^ *```(json|yaml)\n(.*?)^ *```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) != 4 {
		t.Errorf("got %d blocks, want two policies and two pipelines", len(blocks))
	}
	for _, block := range blocks {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(block[2]), &v); err != nil {
			t.Errorf("%v in\n%s", err, block[2])
		}
		if block[1] == "json" && json.Unmarshal([]byte(block[2]), &v) != nil {
			t.Errorf("no JSON:\n%s", block[2])
		}
	}
	for _, step := range []string{"make changeset ENV=", "make deploy ENV=", "ARGS=--no-confirm-changeset"} {
		if !strings.Contains(string(b), step) {
			t.Errorf("docs/pipeline.md lacks %s", step)
		}
	}
}

// lookerNeeds is what `make ready ONLINE=1` and `make changeset` call, without the
// making of SAM's bucket.
const lookerNeeds = "cloudformation: CreateChangeSet DescribeChangeSet DescribeStacks GetTemplateSummary ListStackResources TagResource; s3: GetObject PutObject; " +
	"acm: DescribeCertificate; apigateway: GET; cloudtrail: DescribeTrails GetEventSelectors GetTrailStatus; ec2: DescribeAccountAttributes DescribeAddresses DescribeAvailabilityZones DescribeSubnets DescribeVpcs; " +
	"lambda: GetAccountSettings; servicequotas: GetServiceQuota"

// The job look waits for no approval. So its role may do what the job does, and
// nothing that changes the archive, or what a deployment will make of it. SAM does
// not upload code again that its bucket has under the name of its digest: who could
// write there, or change the bucket's policy, could have a deployment take other code.
func TestLookerChangesNothing(t *testing.T) {
	statements := policyOf(t, "looker-policy.json")
	var granted []string
	for _, s := range statements {
		granted = append(granted, s.Action...)
	}
	slices.Sort(granted)
	needed := actions(lookerNeeds)
	slices.Sort(needed)
	if got := slices.Compact(granted); !slices.Equal(got, needed) {
		t.Errorf("docs/looker-policy.json: got %v, want %v", got, needed)
	}
	for _, s := range statements {
		if s.Effect != "Allow" || s.Resource == "*" && s.Sid != "Look" {
			t.Errorf("%s: got the effect %s on %s", s.Sid, s.Effect, text(s.Resource))
		}
		for _, c := range []struct{ action, resource string }{
			{"cloudformation:CreateChangeSet", "arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/aws-sam-cli-managed-default/1"},
			{"s3:PutObject", deployerBucket("bucket", "s3:PutObject")},
			{"s3:PutObject", deployerBucket("AWS::S3::Bucket", "s3:PutObject")}, {"s3:GetObject", deployerBucket("AWS::S3::Bucket", "s3:GetObject")},
		} {
			if s.allowsOn(c.action, c.resource) {
				t.Errorf("%s allows %s on %s", s.Sid, c.action, c.resource)
			}
		}
	}
	// The document makes the role of this file, and the job uploads where it may.
	document := read(t, "docs/pipeline.md")
	for _, want := range []string{`--role-name yunduo-looker --policy-name look --policy-document "$(fill docs/looker-policy.json)"`, "`ARGS=--s3-prefix=look`"} {
		if !strings.Contains(string(document), want) {
			t.Errorf("docs/pipeline.md lacks %s", want)
		}
	}
}
