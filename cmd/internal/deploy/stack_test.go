package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// skipped are the types that moto does not make: what they say is asserted on
// the translated template. A type that is in neither list is news.
var skipped = []string{
	"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::Stage",
	"AWS::CloudWatch::Alarm", "AWS::Lambda::EventInvokeConfig", "AWS::Logs::MetricFilter", "AWS::S3::BucketPolicy",
	"AWS::SNS::Subscription", "AWS::SNS::TopicPolicy",
	// Made, but without an id to tell by.
	"AWS::Lambda::LayerVersion", "AWS::Lambda::Permission",
}

func TestStacksAreMade(t *testing.T) {
	for _, s := range stacks(t) {
		if s.Made.Status != "CREATE_COMPLETE" {
			t.Errorf("%s: got %s", s.Name, s.Made.Status)
		}
		for id, r := range s.Translated.Resources {
			_, there := s.Made.Physical[id]
			if !there && r.Condition == "" && !slices.Contains(skipped, r.Type) {
				t.Errorf("%s: %s (%s) was not made", s.Name, id, r.Type)
			}
		}
	}
}

// Nothing names a partition, a suffix or a region. Principals of services end
// in amazonaws.com in China too, for those that are used here.
func TestPartitions(t *testing.T) {
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(source), "\n") {
		if strings.Contains(line, "AllowedPattern") {
			continue
		}
		if m := regexp.MustCompile(`arn:aws|\b(cn|us|eu|ap)-(north|northwest|east|west|south|southeast|central)[a-z]*-\d`).FindString(line); m != "" {
			t.Errorf("template.yaml:%d names %s", n+1, m)
		}
		for _, m := range regexp.MustCompile(`[a-z0-9.-]*amazonaws\.com[a-z.]*`).FindAllString(line, -1) {
			if !slices.Contains([]string{"lambda.amazonaws.com", "cloudwatch.amazonaws.com"}, m) {
				t.Errorf("template.yaml:%d names %s", n+1, m)
			}
		}
	}
	for _, s := range stacks(t) {
		want := "aws"
		for _, d := range deployments(t) {
			if d.Name == s.Name && strings.HasPrefix(d.Region, "cn-") {
				want = "aws-cn"
			}
		}
		for id, q := range s.Made.Queues {
			if !strings.HasPrefix(q["QueueArn"], "arn:"+want+":") {
				t.Errorf("%s: %s is %s, want it in %s", s.Name, id, q["QueueArn"], want)
			}
		}
	}
}

// samconfig.toml has dev, staging and prod for both regions of China, each
// with the same parameters as the others of its kind.
func TestEnvironments(t *testing.T) {
	all := environments(t)
	for name, region := range map[string]string{
		"dev": "cn-north-1", "staging": "cn-north-1", "prod": "cn-north-1",
		"dev-ningxia": "cn-northwest-1", "staging-ningxia": "cn-northwest-1", "prod-ningxia": "cn-northwest-1",
		"prod-global": "us-east-1",
	} {
		e, ok := all[name]
		if !ok || e.Region != region {
			t.Errorf("%s: got region %q, want %s", name, e.Region, region)
		}
		stage, _, _ := strings.Cut(name, "-")
		if got, want := slices.Sorted(maps.Keys(e.Parameters)), slices.Sorted(maps.Keys(all[stage].Parameters)); !slices.Equal(got, want) {
			t.Errorf("%s has parameters %v, want those of %s: %v", name, got, stage, want)
		}
	}
}

// speaksWithWeCom tells the functions that have to leave by the trusted address
// from those that have not, by what they are told: the library or a URL.
func speaksWithWeCom(env map[string]string) bool {
	for name := range env {
		if name == "SDK_WORKER" || strings.HasPrefix(name, "WECOM_") {
			return true
		}
	}
	return false
}

// The way out, as moto made it: private subnets in two zones, whose S3 and
// DynamoDB traffic passes by the NAT gateways, and whose addresses are those
// that companies are told.
func TestNetwork(t *testing.T) {
	for _, c := range []struct {
		name string
		nats int
	}{{"prod", 2}, {"dev", 1}} {
		s := stackOf(t, c.name)
		id := s.Made.Physical
		for f, made := range s.Made.Functions {
			var want []string
			if speaksWithWeCom(made.Environment) {
				want = []string{id["PrivateSubnetA"], id["PrivateSubnetB"]}
			}
			if !slices.Equal(made.Subnets, want) {
				t.Errorf("%s: %s is in subnets %v, want %v", c.name, f, made.Subnets, want)
			}
		}
		zones := map[string]bool{}
		for _, subnet := range []string{"PrivateSubnetA", "PrivateSubnetB"} {
			zones[s.Made.Subnets[id[subnet]].Zone] = true
		}
		if len(zones) != 2 {
			t.Errorf("%s: private subnets in zones %v, want two", c.name, zones)
		}
		natB := "NatA"
		if c.nats == 2 {
			natB = "NatB"
		}
		for table, want := range map[string]string{"PrivateRoutesA": "NatA", "PrivateRoutesB": natB, "PublicRoutes": "Gate"} {
			if got := s.Made.Routes[id[table]]; len(got) != 1 || got[0] != id[want] {
				t.Errorf("%s: %s leads to %v, want %s", c.name, table, got, want)
			}
		}
		private := []string{id["PrivateRoutesA"], id["PrivateRoutesB"]}
		slices.Sort(private)
		if len(s.Made.Endpoints) != 2 {
			t.Errorf("%s: got endpoints %v, want two", c.name, s.Made.Endpoints)
		}
		for name, e := range s.Made.Endpoints {
			if e.Type != "Gateway" || !slices.Equal(e.Tables, private) || !regexp.MustCompile(`^com\.amazonaws\.[a-z0-9-]+\.(s3|dynamodb)$`).MatchString(name) {
				t.Errorf("%s: endpoint %s is %+v, want a gateway of both private subnets", c.name, name, e)
			}
		}
		if len(s.Made.Nats) != c.nats {
			t.Errorf("%s: got %d NAT gateways, want %d", c.name, len(s.Made.Nats), c.nats)
		}
		var out []string
		for _, nat := range s.Made.Nats {
			for ip, allocation := range s.Made.Addresses {
				if allocation == nat.Allocation {
					out = append(out, ip)
				}
			}
		}
		told := strings.Split(s.Made.Outputs["TrustedIps"], ";")
		slices.Sort(out)
		if got := slices.Sorted(slices.Values(told)); !slices.Equal(got, out) {
			t.Errorf("%s: companies are told %v, but traffic leaves by %v", c.name, got, out)
		}
		if got := s.Made.Functions["ApiFunction"].Environment["TRUSTED_IPS"]; got != s.Made.Outputs["TrustedIps"] {
			t.Errorf("%s: the set-up page shows %q, the stack's output is %q", c.name, got, s.Made.Outputs["TrustedIps"])
		}
	}
}

// What moto does not tell of the network.
func TestNetworkAsTranslated(t *testing.T) {
	s := stackOf(t, "prod")
	r := s.Translated.Resources
	served := map[string]string{}
	for _, id := range s.byType("AWS::EC2::SubnetRouteTableAssociation") {
		p := r[id].Properties
		served[readable(p["SubnetId"])] = readable(p["RouteTableId"])
	}
	want := map[string]string{
		"PublicSubnetA": "PublicRoutes", "PublicSubnetB": "PublicRoutes",
		"PrivateSubnetA": "PrivateRoutesA", "PrivateSubnetB": "PrivateRoutesB",
	}
	if !maps.Equal(served, want) {
		t.Errorf("subnets are served by %v, want %v", served, want)
	}
	if _, in := r["WayOut"].Properties["SecurityGroupIngress"]; in {
		t.Error("somebody may come in")
	}
	var out []string
	for _, rule := range anys(r["WayOut"].Properties["SecurityGroupEgress"]) {
		when := ""
		if c, ok := object(rule)["Fn::If"].([]any); ok {
			when, rule = fmt.Sprintf(" if %v", c[0]), c[1]
		}
		m := object(rule)
		out = append(out, fmt.Sprintf("%v %v-%v to %v%s", m["IpProtocol"], readable(m["FromPort"]), readable(m["ToPort"]), m["CidrIp"], when))
	}
	const port = "Fn::Select 2,Fn::Split :,WecomProxy"
	if want := []string{
		"tcp 443-443 to 0.0.0.0/0", "udp 53-53 to 0.0.0.0/0 if HasVpc", "tcp 53-53 to 0.0.0.0/0 if HasVpc",
		"tcp " + port + "-" + port + " to 0.0.0.0/0 if HasProxy",
	}; !slices.Equal(out, want) {
		t.Errorf("out goes %q, want %q", out, want)
	}
}

// A network that is there already is used as it is.
func TestOwnNetwork(t *testing.T) {
	s := stackOf(t, ownNetwork)
	for _, kind := range []string{"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::VPCEndpoint"} {
		if slices.Contains(s.Made.Types, kind) {
			t.Errorf("%s was made, want the network that is there", kind)
		}
	}
	if got := s.Made.Outputs["TrustedIps"]; got != "203.0.113.9;203.0.113.10" {
		t.Errorf("companies are told %q, want the addresses that were given", got)
	}
	for f, made := range s.Made.Functions {
		if speaksWithWeCom(made.Environment) && !slices.Equal(made.Subnets, []string{"subnet-01234567", "subnet-76543210"}) {
			t.Errorf("%s is in %v, want the subnets that were given", f, made.Subnets)
		}
	}
}

// One parameter is the processor of all functions and of the layer.
func TestProcessor(t *testing.T) {
	s := stackOf(t, "prod")
	if layers := s.byType("AWS::Lambda::LayerVersion"); len(layers) != 1 || readable(s.Translated.Resources[layers[0]].Properties["LayerName"]) != "${AWS::StackName}-finance-sdk" {
		t.Errorf("got layers %v, want one with a name that no other stack has", layers)
	}
	for _, id := range s.byType("AWS::Lambda::Function") {
		if got := text(s.Translated.Resources[id].Properties["Architectures"]); got != `[{"Ref":"Architecture"}]` {
			t.Errorf("%s is for %s", id, got)
		}
	}
	for _, id := range s.byType("AWS::Lambda::LayerVersion") {
		if got := text(s.Translated.Resources[id].Properties["CompatibleArchitectures"]); got != `[{"Ref":"Architecture"}]` {
			t.Errorf("%s is for %s", id, got)
		}
	}
}

// announce-two reserves and tells the second address before anything uses it.
func TestSecondAddressIsToldFirst(t *testing.T) {
	r := stackOf(t, "dev").Translated.Resources
	for id, want := range map[string]string{"AddressB": "HasSecondAddress", "NatB": "HasSecondNat", "AddressA": "MakesNetwork", "NatA": "MakesNetwork"} {
		if r[id].Condition != want {
			t.Errorf("%s is made if %s, want %s", id, r[id].Condition, want)
		}
	}
	c := stackOf(t, "dev").Translated.Conditions
	if !contains(c["HasSecondAddress"], "MakesNetwork", `"one"`, "Fn::Not") || !contains(c["HasSecondNat"], "MakesNetwork", `"two"`) {
		t.Errorf("got %s and %s", text(c["HasSecondAddress"]), text(c["HasSecondNat"]))
	}
	env := r["ApiFunction"].Properties["Environment"]
	if !contains(env, "HasSecondAddress", "${AddressA};${AddressB}") {
		t.Errorf("the set-up page is told %s", text(env))
	}
}

// Every queue that a function is fed by has a place for dead letters that
// only it may use, a visibility a little over the function's time limit, and a
// bound on how many run at once. A FIFO queue's group is one corp.
func TestQueues(t *testing.T) {
	for _, s := range stacks(t) {
		feeds := 0
		for _, id := range s.byType("AWS::Lambda::EventSourceMapping") {
			p := s.Translated.Resources[id].Properties
			queue := readable(p["EventSourceArn"])
			function := readable(p["FunctionName"])
			feeds++
			q := s.Made.Queues[queue]
			visible, err := strconv.Atoi(q["VisibilityTimeout"])
			if err != nil {
				t.Fatalf("%s: %s: %v", s.Name, queue, err)
			}
			limit := s.Made.Functions[function].Timeout
			if visible <= limit || visible > limit+60 {
				t.Errorf("%s: %s hides messages for %d s, want a little over the %d s of %s", s.Name, queue, visible, limit, function)
			}
			var redrive struct{ MaxReceiveCount int }
			if err := json.Unmarshal([]byte(q["RedrivePolicy"]), &redrive); err != nil {
				t.Fatalf("%s: %s: %v", s.Name, queue, err)
			}
			if n := redrive.MaxReceiveCount; n < 3 || n*visible >= 3600 {
				t.Errorf("%s: %s tries %d times, %d s apart, want some tries, and an end within the hour", s.Name, queue, n, visible)
			}
			// A batch waits for its slowest: one corp would hold up others.
			if fmt.Sprint(p["BatchSize"]) != "1" {
				t.Errorf("%s: %s takes %v messages at once, want one", s.Name, function, p["BatchSize"])
			}
			if q["FifoQueue"] != "true" || q["SqsManagedSseEnabled"] != "true" {
				t.Errorf("%s: %s is not FIFO or not encrypted", s.Name, queue)
			}
			dead := strings.TrimSuffix(queue, "Queue") + "DeadLetters"
			if arn := s.Made.Queues[dead]["QueueArn"]; arn == "" || !strings.Contains(q["RedrivePolicy"], arn) {
				t.Errorf("%s: %s has dead letters in %s, want %s", s.Name, queue, q["RedrivePolicy"], arn)
			}
			if got := s.Made.Queues[dead]["MessageRetentionPeriod"]; got != "1209600" {
				t.Errorf("%s: %s keeps messages for %s s, want 14 days", s.Name, dead, got)
			}
			allow := text(s.Translated.Resources[dead].Properties["RedriveAllowPolicy"])
			if !strings.Contains(allow, "byQueue") {
				t.Errorf("%s: %s may be used by %s, want its queue alone", s.Name, dead, allow)
			}
			if n := s.Made.Mappings[q["QueueArn"]]; n < 2 {
				t.Errorf("%s: %s runs %d of %s at once, want a MaximumConcurrency", s.Name, queue, n, function)
			}
			if !contains(p["FunctionResponseTypes"], "ReportBatchItemFailures") {
				t.Errorf("%s: %s takes batches whole: one corp's failure would repeat the others'", s.Name, function)
			}
			f := s.Translated.Resources[function].Properties
			for name, v := range object(object(f["Environment"])["Variables"]) {
				// China's Lambda has no such setting.
				if strings.HasSuffix(name, "_QUEUE_URL") && readable(v) == queue && readable(f["RecursiveLoop"]) != "AWS::NoValue if InChina else Allow" {
					t.Errorf("%s: %s feeds its own queue without RecursiveLoop: Allow, and would be stopped after 16 rounds", s.Name, function)
				}
			}
			if _, reserved := f["ReservedConcurrentExecutions"]; reserved {
				t.Errorf("%s: %s has reserved concurrency, which fails on small accounts", s.Name, function)
			}
		}
		if feeds < 2 || len(s.Made.Queues) != 2*feeds {
			t.Errorf("%s: %d queues for %d functions that are fed, want two each", s.Name, len(s.Made.Queues), feeds)
		}
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// stateful are the types whose loss would lose something: they outlive the
// stack, and their replacement too.
var stateful = []string{
	"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::EC2::EIP", "AWS::Lambda::LayerVersion",
}

func TestWhatOutlivesTheStack(t *testing.T) {
	for _, s := range stacks(t) {
		for id, r := range s.Translated.Resources {
			if !slices.Contains(stateful, r.Type) {
				continue
			}
			if r.DeletionPolicy != "Retain" {
				t.Errorf("%s: %s is deleted with the stack", s.Name, id)
			}
			if r.UpdateReplacePolicy != "Retain" && r.Type != "AWS::Lambda::LayerVersion" {
				t.Errorf("%s: %s is deleted when it is replaced", s.Name, id)
			}
		}
	}
}

func TestTables(t *testing.T) {
	for _, s := range stacks(t) {
		if len(s.Made.Tables) < 4 {
			t.Errorf("%s: got %d tables", s.Name, len(s.Made.Tables))
		}
		for id, table := range s.Made.Tables {
			if table.Billing != "PAY_PER_REQUEST" || !table.Protected || !slices.Equal(table.Keys, []string{"pk", "sk"}) {
				t.Errorf("%s: %s is %+v, want on demand, protected from deletion, keys pk and sk", s.Name, id, table)
			}
			// moto does not take this over from the template.
			if got := s.Translated.Resources[id].Properties["PointInTimeRecoverySpecification"]; !contains(got, `"PointInTimeRecoveryEnabled":true`) {
				t.Errorf("%s: %s has no point-in-time recovery", s.Name, id)
			}
		}
	}
}

func TestBuckets(t *testing.T) {
	for _, s := range stacks(t) {
		keys := map[string]string{}
		for _, id := range s.byType("AWS::S3::Bucket") {
			p := s.Translated.Resources[id].Properties
			made := s.Made.Buckets[id].ApplyServerSideEncryptionByDefault
			if made.SSEAlgorithm != "aws:kms" || made.KMSMasterKeyID == "" || keys[made.KMSMasterKeyID] != "" {
				t.Errorf("%s: %s is encrypted by %+v, want a KMS key of its own", s.Name, id, made)
			}
			keys[made.KMSMasterKeyID] = id
			for name, want := range map[string][]string{
				"VersioningConfiguration": {`"Status":"Enabled"`},
				"BucketEncryption":        {`"BucketKeyEnabled":true`},
				"PublicAccessBlockConfiguration": {
					`"BlockPublicAcls":true`, `"BlockPublicPolicy":true`, `"IgnorePublicAcls":true`, `"RestrictPublicBuckets":true`,
				},
				"LifecycleConfiguration": {"AbortIncompleteMultipartUpload"},
				"OwnershipControls":      {"BucketOwnerEnforced"},
			} {
				if !contains(p[name], want...) {
					t.Errorf("%s: %s has %s %s, want %v", s.Name, id, name, text(p[name]), want)
				}
			}
			if _, named := p["BucketName"]; named {
				t.Errorf("%s: %s has a fixed name, which a retained bucket would block", s.Name, id)
			}
			// Nothing is taken away by itself.
			if contains(p["LifecycleConfiguration"], "Expiration") {
				t.Errorf("%s: %s expires objects", s.Name, id)
			}
			var tls bool
			for _, pid := range s.byType("AWS::S3::BucketPolicy") {
				bp := s.Translated.Resources[pid].Properties
				if readable(bp["Bucket"]) == id {
					tls = contains(bp["PolicyDocument"], `"aws:SecureTransport":"false"`, `"Effect":"Deny"`, `"Action":"s3:*"`, `"Principal":"*"`) &&
						contains(bp["PolicyDocument"], id, `${`+id+`.Arn}/*`)
				}
			}
			if !tls {
				t.Errorf("%s: %s may be reached without TLS", s.Name, id)
			}
		}
	}
}

func TestJournalLock(t *testing.T) {
	p := stackOf(t, "prod").Translated.Resources["JournalBucket"].Properties
	if p["ObjectLockEnabled"] != true {
		t.Error("object lock is not enabled from the start: adding it later could replace the bucket")
	}
	rule := object(p["ObjectLockConfiguration"])["Rule"]
	want := `{"Fn::If":["LocksJournal",{"DefaultRetention":{"Days":{"Ref":"JournalLockDays"},"Mode":{"Ref":"JournalLock"}}},{"Ref":"AWS::NoValue"}]}`
	if got := text(rule); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeys(t *testing.T) {
	for _, s := range stacks(t) {
		if len(s.Made.Keys) < 2 {
			t.Errorf("%s: got %d KMS keys, want one for the journal and one for secrets at least", s.Name, len(s.Made.Keys))
		}
		for id, rotates := range s.Made.Keys {
			if !rotates {
				t.Errorf("%s: %s is not rotated", s.Name, id)
			}
		}
	}
}

func TestDoor(t *testing.T) {
	s := stackOf(t, "prod")
	r := s.Translated.Resources
	body := object(r["Api"].Properties["Body"])
	schemes := object(object(body["components"])["securitySchemes"])
	if got := text(s.Translated.Conditions["InChina"]); got != `{"Fn::Equals":[{"Ref":"AWS::Partition"},"aws-cn"]}` {
		t.Errorf("it is China if %s", got)
	}
	// On any warning the deployment fails, and that it must: an issuer that is
	// not reached is one. So the document has to be without: issue 2424 of
	// aws/serverless-application-model.
	if r["Api"].Properties["FailOnWarnings"] != true {
		t.Error("a door without authorizer would be opened")
	}
	for _, server := range anys(body["servers"]) {
		if url, _ := object(server)["url"].(string); url == "" || !contains(server, `"disableExecuteApiEndpoint":{"Fn::If":["HasDomain",true,false]}`) {
			t.Errorf("a server of the API's document is %s", text(server))
		}
	}
	if !contains(schemes["Jwt"], `"issuer":{"Ref":"JwtIssuer"}`, `"audience":[{"Ref":"JwtAudience"}]`) {
		t.Errorf("the authorizer is %s", text(schemes["Jwt"]))
	}
	open := []string{}
	for path, methods := range object(body["paths"]) {
		for method, m := range object(methods) {
			security := anys(object(m)["security"])
			if !contains(security, "Jwt") {
				open = append(open, method+" "+path)
			}
			for _, need := range security {
				for scheme := range object(need) {
					if schemes[scheme] == nil {
						t.Errorf("%s %s needs %s, which is no scheme of the document", method, path, scheme)
					}
				}
			}
			for _, variable := range regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(path, -1) {
				if !contains(object(m)["parameters"], `"name":"`+variable[1]+`"`) {
					t.Errorf("%s %s does not declare %s", method, path, variable[1])
				}
			}
			// A browser asks without a token, and API Gateway answers it itself
			// where no route takes the question.
			if method == "options" || method == "x-amazon-apigateway-any-method" {
				t.Errorf("%s %s takes browsers' questions", method, path)
			}
		}
	}
	slices.Sort(open)
	if want := []string{"get /callback/{corpid}", "get /callback/{corpid}/app", "get /health", "post /callback/{corpid}", "post /callback/{corpid}/app"}; !slices.Equal(open, want) {
		t.Errorf("without a token one reaches %v, want %v", open, want)
	}
	if cors := text(body["x-amazon-apigateway-cors"]); !strings.HasPrefix(cors, `{"Fn::If":["HasOrigins",`) || !strings.HasSuffix(cors, `,{"Ref":"AWS::NoValue"}]}`) ||
		!strings.Contains(cors, `"allowOrigins":{"Fn::Split":[",",`) || !strings.Contains(cors, `"authorization"`) {
		t.Errorf("pages of other origins: %s", cors)
	}
	stage := r["ApiApiGatewayDefaultStage"].Properties
	for name, want := range map[string]string{"DefaultRouteSettings": `"ThrottlingRateLimit":{"Ref":"RequestsPerSecond"}`, "AccessLogSettings": "AccessLog"} {
		if !contains(stage[name], want) {
			t.Errorf("%s is %s, want %s in it", name, text(stage[name]), want)
		}
	}
	// What must not be logged: signatures in queries, tokens in headers.
	if format := text(stage["AccessLogSettings"]); strings.Contains(format, "querystring") || strings.Contains(format, "header") || strings.Contains(format, "$context.path") {
		t.Errorf("the access log has %s", format)
	}
	for id, kind := range map[string]string{"Domain": "AWS::ApiGatewayV2::DomainName", "DomainMapping": "AWS::ApiGatewayV2::ApiMapping"} {
		if r[id].Type != kind || r[id].Condition != "HasDomain" {
			t.Errorf("%s is %s if %s", id, r[id].Type, r[id].Condition)
		}
	}
	if !contains(r["Domain"].Properties, "TLS_1_2", "REGIONAL", "CertificateArn") {
		t.Errorf("the domain is %s", text(r["Domain"].Properties))
	}
}

func TestLogsAreKeptFor(t *testing.T) {
	for _, s := range stacks(t) {
		for _, id := range s.byType("AWS::Lambda::Function") {
			p := s.Translated.Resources[id].Properties
			name := strings.TrimSuffix(id, "Function")
			if got := readable(object(p["LoggingConfig"])["LogGroup"]); got != name+"Log" {
				t.Errorf("%s: %s logs to %s, want %sLog", s.Name, id, got, name)
			}
			if !contains(p["LoggingConfig"], `"LogFormat":"JSON"`) {
				t.Errorf("%s: %s does not log JSON, which alarms and metrics read", s.Name, id)
			}
		}
		for group, days := range s.Made.LogGroups {
			if days == 0 {
				t.Errorf("%s: %s is kept for ever", s.Name, group)
			}
		}
	}
}

// What is invoked by the schedule is not tried again behind its minute.
func TestSchedule(t *testing.T) {
	r := stackOf(t, "prod").Translated.Resources
	if got := r["DispatchFunctionTick"].Properties["ScheduleExpression"]; got != "rate(1 minute)" {
		t.Errorf("got schedule %v", got)
	}
	if got := r["DispatchFunctionEventInvokeConfig"].Properties["MaximumRetryAttempts"]; fmt.Sprint(got) != "0" {
		t.Errorf("a tick is tried again %v times, want 0", got)
	}
}

// Every alarm tells somebody, of its end too, and names a section of the
// runbooks; every section is an alarm's.
func TestAlarmsHaveRunbooks(t *testing.T) {
	b, err := os.ReadFile(root + "/docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## ([A-Za-z]+)$`).FindAllStringSubmatch(string(b), -1) {
		sections[m[1]] = true
		text, _, _ := strings.Cut(string(b)[strings.Index(string(b), m[0])+len(m[0]):], "\n## ")
		for _, part := range []string{"**Means.**", "**Look at.**", "**Do.**", "**Over when.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/runbooks.md: %s has no %s", m[1], part)
			}
		}
	}
	s := stackOf(t, "prod")
	named := map[string]bool{}
	for _, id := range s.byType("AWS::CloudWatch::Alarm") {
		p := s.Translated.Resources[id].Properties
		m := regexp.MustCompile(`Runbook - docs/runbooks\.md, ([A-Za-z]+)\.$`).FindStringSubmatch(fmt.Sprint(p["AlarmDescription"]))
		if m == nil || !sections[m[1]] {
			t.Errorf("%s names no section of docs/runbooks.md: %v", id, p["AlarmDescription"])
			continue
		}
		named[m[1]] = true
		for _, actions := range []string{"AlarmActions", "OKActions"} {
			if !contains(p[actions], "NoticeTopic") {
				t.Errorf("%s: %s are %s, want the topic", id, actions, text(p[actions]))
			}
		}
	}
	for section := range sections {
		if !named[section] {
			t.Errorf("docs/runbooks.md: no alarm is called %s", section)
		}
	}
}

// No function, queue or way out is without alarm, or off the dashboard.
func TestNothingIsUnwatched(t *testing.T) {
	s := stackOf(t, "prod")
	r := s.Translated.Resources
	dashboard := fmt.Sprint(object(r["Dashboard"].Properties["DashboardBody"])["Fn::Sub"])
	for _, f := range s.byType("AWS::Lambda::Function") {
		// Of dispatch's five rounds in five minutes six cannot fail.
		errors := "FunctionErrorsAlarm"
		if f == "DispatchFunction" {
			errors = "DispatchErrorsAlarm"
		}
		for _, alarm := range []string{errors, "FunctionThrottlesAlarm"} {
			if !contains(r[alarm].Properties, `"Ref":"`+f+`"`) {
				t.Errorf("%s does not watch %s", alarm, f)
			}
		}
		if !strings.Contains(dashboard, "${"+f+"}") {
			t.Errorf("the dashboard does not show %s", f)
		}
	}
	for _, q := range s.byType("AWS::SQS::Queue") {
		if strings.HasSuffix(q, "DeadLetters") && !contains(r["DeadLettersAlarm"].Properties["Metrics"], `"`+q+`"`) {
			t.Errorf("DeadLettersAlarm does not watch %s", q)
		}
		if !strings.Contains(dashboard, "${"+q+".QueueName}") {
			t.Errorf("the dashboard does not show %s", q)
		}
		if strings.HasSuffix(q, "DeadLetters") {
			continue
		}
		if !strings.Contains(dashboard, `"ApproximateAgeOfOldestMessage","QueueName","${`+q+".QueueName}") {
			t.Errorf("the dashboard does not show how long requests wait in %s", q)
		}
		// What inspect brings are names, and nobody waits for it.
		waits := r[strings.TrimSuffix(q, "Queue")+"WaitsAlarm"].Properties
		if q != "InspectQueue" && (waits["MetricName"] != "ApproximateAgeOfOldestMessage" || !contains(waits["Dimensions"], `"`+q+`"`)) {
			t.Errorf("no alarm says that requests wait in %s", q)
		}
	}
	for _, nat := range s.byType("AWS::EC2::NatGateway") {
		var watched bool
		for _, id := range s.byType("AWS::CloudWatch::Alarm") {
			watched = watched || contains(r[id].Properties["Metrics"], `"Ref":"`+nat+`"`)
		}
		if !watched {
			t.Errorf("no alarm watches %s", nat)
		}
	}
}

// The functions' own metrics that alarms wait for are written by somebody:
// functions/dispatch has a test for the reverse.
func TestAlarmsWaitForMetricsThatAreWritten(t *testing.T) {
	source, err := os.ReadFile(root + "/functions/dispatch/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	s := stackOf(t, "prod")
	own := 0
	for _, id := range s.byType("AWS::CloudWatch::Alarm") {
		p := s.Translated.Resources[id].Properties
		if readable(p["Namespace"]) != "AWS::StackName" {
			continue
		}
		own++
		name := fmt.Sprint(p["MetricName"])
		byFilter := false
		for _, f := range s.byType("AWS::Logs::MetricFilter") {
			byFilter = byFilter || contains(s.Translated.Resources[f].Properties, `"MetricName":"`+name+`"`)
		}
		if !byFilter && !strings.Contains(string(source), `"`+name+`"`) {
			t.Errorf("%s waits for %s, which nobody writes", id, name)
		}
	}
	if own < 5 {
		t.Errorf("found %d alarms on metrics of our own only", own)
	}
}

// Metric filters read log lines by their words: whoever changes a line has to
// change the filter.
func TestFiltersReadLinesThatAreWritten(t *testing.T) {
	s := stackOf(t, "prod")
	for id, c := range map[string]struct{ pattern, log, file, words string }{
		"CallbackRefusals": {
			`{ ($.message = "answered") && ($.route = "/callback/*") && ($.status = 401) }`,
			"ApiLog", "functions/api/internal/routes/serve.go", `"answered"`,
		},
		"GapRecorded": {
			`{ $.message = "gap recorded" }`,
			"PullLog", "shared/archive/pull/gap.go", `ErrorContext(ctx, "gap recorded"`,
		},
		"MediaNotWhole": {
			`{ $.message = "file is not whole" }`,
			"MediaLog", "shared/archive/media/fetch.go", `"file is not whole", "corp", d.corp, "file", row.ID, "state", state`,
		},
	} {
		p := s.Translated.Resources[id].Properties
		if p["FilterPattern"] != c.pattern || readable(p["LogGroupName"]) != c.log {
			t.Errorf("%s reads %v of %s, want %s of %s", id, p["FilterPattern"], readable(p["LogGroupName"]), c.pattern, c.log)
		}
		if !contains(p["MetricTransformations"], `"MetricNamespace":{"Fn::Sub":"${AWS::StackName}"}`, `"MetricValue":"1"`) {
			t.Errorf("%s counts %s", id, text(p["MetricTransformations"]))
		}
		source, err := os.ReadFile(root + "/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), c.words) {
			t.Errorf("%s reads a line that %s does not write: %s", id, c.file, c.words)
		}
	}
	if n := len(s.byType("AWS::Logs::MetricFilter")); n != 3 {
		t.Errorf("got %d filters, want each to be in the table of this test", n)
	}
}
