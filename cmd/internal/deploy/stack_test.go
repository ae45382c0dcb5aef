package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

// skipped are the types that moto does not create. Tests compare them with the
// translated template instead. A new type that moto does not create fails the
// test below.
var skipped = []string{
	"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::Stage",
	"AWS::CloudWatch::Alarm", "AWS::Lambda::EventInvokeConfig", "AWS::Logs::MetricFilter", "AWS::S3::BucketPolicy",
	"AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy",
	// moto creates these without an id.
	"AWS::Events::EventBus", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission",
}

func TestMotoCreatesEveryResource(t *testing.T) {
	for _, s := range stacks(t) {
		if s.Made.Status != "CREATE_COMPLETE" {
			t.Errorf("%s: got status %s, want CREATE_COMPLETE", s.Name, s.Made.Status)
		}
		for id, r := range s.Translated.Resources {
			_, there := s.Made.Physical[id]
			if !there && r.Condition == "" && !slices.Contains(skipped, r.Type) {
				t.Errorf("%s: %s (%s): got no resource, want one", s.Name, id, r.Type)
			}
		}
	}
}

// SAM logs what it ignores or guesses. A warning of Python tells of a package that
// will change what it does.
func TestTranslationWarnsOfNothing(t *testing.T) {
	for _, s := range stacks(t) {
		for _, w := range s.Warnings {
			t.Errorf("%s: %s", s.Name, w)
		}
	}
}

// The template names no partition, domain suffix or region. The exceptions are
// the principals of services, which end in amazonaws.com in China too.
func TestTemplateNamesNoPartition(t *testing.T) {
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
			if !slices.Contains([]string{"lambda.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com", "cloudtrail.amazonaws.com", "cloudformation.amazonaws.com"}, m) {
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
				t.Errorf("%s: %s: got ARN %s, want partition %s", s.Name, id, q["QueueArn"], want)
			}
		}
	}
}

// samconfig.toml has dev, staging and prod for both regions of China, and for one
// outside of it.
// Blocks of one stage have the same parameters.
func TestEnvironmentsOfSamconfig(t *testing.T) {
	all := blocks(t)
	for name, region := range map[string]string{
		"dev": "cn-north-1", "staging": "cn-north-1", "prod": "cn-north-1",
		"dev-ningxia": "cn-northwest-1", "staging-ningxia": "cn-northwest-1", "prod-ningxia": "cn-northwest-1",
		"dev-global": "us-east-1", "staging-global": "us-east-1", "prod-global": "us-east-1",
	} {
		e, ok := all[name]
		if !ok || e.Region != region {
			t.Errorf("%s: got region %q, want %s", name, e.Region, region)
		}
		stage, _, _ := strings.Cut(name, "-")
		if got, want := slices.Sorted(maps.Keys(e.Parameters)), slices.Sorted(maps.Keys(all[stage].Parameters)); !slices.Equal(got, want) {
			t.Errorf("%s: got parameters %v, want those of %s: %v", name, got, stage, want)
		}
	}
}

// accountWide are the types whose names belong to an account in all of its regions,
// or to a whole partition, with the property that gives the name. Without a name
// CloudFormation makes one that is free.
var accountWide = map[string]string{
	"AWS::CloudWatch::Dashboard": "DashboardName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
	"AWS::IAM::Role": "RoleName", "AWS::S3::Bucket": "BucketName",
}

// The blocks of a partition may lie in one account, and blocks of one stage have one
// stack name, as a stack that moves to another region has. So no two of them make a
// resource with the same name where the name belongs to all regions.
func TestRegionsShareNoName(t *testing.T) {
	all := blocks(t)
	for _, regions := range [][]string{{"cn-north-1", "cn-northwest-1"}, {"us-east-1", "ap-east-1"}} {
		makes := map[string]string{} // the place that makes a name, by type and name
		for _, name := range slices.Sorted(maps.Keys(all)) {
			e := all[name]
			if e.Partition() != (deploy.Block{Region: regions[0]}).Partition() {
				continue
			}
			for _, region := range regions {
				place := e.Stack + " in " + region
				for id, r := range stackOf(t, name).Translated.Resources {
					property, wide := accountWide[r.Type]
					v, named := r.Properties[property]
					if !wide || !named {
						continue
					}
					of := strings.NewReplacer("AWS::StackName", e.Stack, "AWS::Region", region, "AWS::StackId", place).Replace(text(v))
					if other, taken := makes[r.Type+of]; taken && other != place {
						t.Errorf("%s: %s and %s both make the %s %s", id, other, place, r.Type, of)
					}
					makes[r.Type+of] = place
				}
			}
		}
		if len(makes) == 0 {
			t.Errorf("%v: got no name, want at least that of the dashboard", regions)
		}
	}
}

// usesTrustedAddress reports whether a function must call WeCom from the fixed
// address: its environment names the worker or the proxy. api calls WeCom too, on
// the open way, which is any address (section 7 of DESIGN.md).
func usesTrustedAddress(env map[string]string) bool {
	_, proxied := env["WECOM_PROXY"]
	return proxied || env["SDK_WORKER"] != ""
}

// The network as moto creates it. Two private subnets lie in two zones. Each
// reaches S3 and DynamoDB through gateway endpoints and everything else through
// a NAT gateway. Companies are given exactly the addresses of the NAT gateways.
func TestNetwork(t *testing.T) {
	for name, nats := range map[string]int{"prod": 2, "dev": 1, moved: 2} {
		t.Run(name, func(t *testing.T) {
			m := stackOf(t, name).Made
			t.Run("subnets", func(t *testing.T) { checkSubnets(t, m) })
			t.Run("routes", func(t *testing.T) { checkRoutes(t, m, nats) })
			t.Run("endpoints", func(t *testing.T) { checkEndpoints(t, m) })
			t.Run("addresses", func(t *testing.T) { checkAddresses(t, m) })
		})
	}
}

func checkSubnets(t *testing.T, m made) {
	private := []string{m.Physical["PrivateSubnetA"], m.Physical["PrivateSubnetB"]}
	for name, f := range m.Functions {
		var want []string
		if usesTrustedAddress(f.Environment) {
			want = private
		}
		if !slices.Equal(f.Subnets, want) {
			t.Errorf("%s: got subnets %v, want %v", name, f.Subnets, want)
		}
	}
	zones := map[string]bool{}
	for _, id := range private {
		zones[m.Subnets[id].Zone] = true
	}
	if len(zones) != 2 {
		t.Errorf("zones of the private subnets: got %v, want two", zones)
	}
}

func checkRoutes(t *testing.T, m made, nats int) {
	natB := "NatA"
	if nats == 2 {
		natB = "NatB"
	}
	for table, want := range map[string]string{"PrivateRoutesA": "NatA", "PrivateRoutesB": natB, "PublicRoutes": "Gate"} {
		if got := m.Routes[m.Physical[table]]; len(got) != 1 || got[0] != m.Physical[want] {
			t.Errorf("%s: got default routes %v, want one to %s", table, got, want)
		}
	}
	if len(m.Nats) != nats {
		t.Errorf("NAT gateways: got %d, want %d", len(m.Nats), nats)
	}
}

func checkEndpoints(t *testing.T, m made) {
	private := []string{m.Physical["PrivateRoutesA"], m.Physical["PrivateRoutesB"]}
	slices.Sort(private)
	if len(m.Endpoints) != 2 {
		t.Errorf("endpoints: got %v, want two", m.Endpoints)
	}
	service := regexp.MustCompile(`^com\.amazonaws\.[a-z0-9-]+\.(s3|dynamodb)$`)
	for name, e := range m.Endpoints {
		if e.Type != "Gateway" || !slices.Equal(e.Tables, private) || !service.MatchString(name) {
			t.Errorf("endpoint %s: got %+v, want a gateway of both private subnets", name, e)
		}
	}
}

func checkAddresses(t *testing.T, m made) {
	var used []string
	for _, nat := range m.Nats {
		for ip, allocation := range m.Addresses {
			if allocation == nat.Allocation {
				used = append(used, ip)
			}
		}
	}
	slices.Sort(used)
	shown := strings.Split(m.Outputs["TrustedIps"], ";")
	if got := slices.Sorted(slices.Values(shown)); !slices.Equal(got, used) {
		t.Errorf("TrustedIps: got %v, want the addresses of the NAT gateways %v", got, used)
	}
	if got := m.Functions["ApiFunction"].Environment["TRUSTED_IPS"]; got != m.Outputs["TrustedIps"] {
		t.Errorf("addresses of the set-up page: got %q, want the stack's output %q", got, m.Outputs["TrustedIps"])
	}
}

// moto does not report these properties of the network.
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
		t.Errorf("route tables of the subnets: got %v, want %v", served, want)
	}
	if _, in := r["WayOut"].Properties["SecurityGroupIngress"]; in {
		t.Error("security group: got rules for incoming traffic, want an empty list")
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
		t.Errorf("outgoing traffic: got %q, want %q", out, want)
	}
}

// A deployment into an existing network creates no network.
func TestOwnNetwork(t *testing.T) {
	s := stackOf(t, ownNetwork)
	for _, kind := range []string{"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::VPCEndpoint"} {
		if slices.Contains(s.Made.Types, kind) {
			t.Errorf("got a %s, want the existing network only", kind)
		}
	}
	if got := s.Made.Outputs["TrustedIps"]; got != "203.0.113.9;203.0.113.10" {
		t.Errorf("TrustedIps: got %q, want the given addresses", got)
	}
	for f, made := range s.Made.Functions {
		if usesTrustedAddress(made.Environment) && !slices.Equal(made.Subnets, []string{"subnet-01234567", "subnet-76543210"}) {
			t.Errorf("%s: got subnets %v, want the given subnets", f, made.Subnets)
		}
	}
}

// One parameter sets the processor of all functions and of the layer.
func TestOneParameterSetsTheProcessor(t *testing.T) {
	s := stackOf(t, "prod")
	if layers := s.byType("AWS::Lambda::LayerVersion"); len(layers) != 1 || readable(s.Translated.Resources[layers[0]].Properties["LayerName"]) != "${AWS::StackName}-finance-sdk" {
		t.Errorf("layers: got %v, want one with the stack's name", layers)
	}
	for _, id := range s.byType("AWS::Lambda::Function") {
		if got := text(s.Translated.Resources[id].Properties["Architectures"]); got != `[{"Ref":"Architecture"}]` {
			t.Errorf("%s: got processor %s, want the parameter Architecture", id, got)
		}
	}
	for _, id := range s.byType("AWS::Lambda::LayerVersion") {
		if got := text(s.Translated.Resources[id].Properties["CompatibleArchitectures"]); got != `[{"Ref":"Architecture"}]` {
			t.Errorf("%s: got processor %s, want the parameter Architecture", id, got)
		}
	}
}

// With announce-two the stack reserves and shows the second address before any
// traffic uses it.
func TestSecondAddressIsShownBeforeItsUse(t *testing.T) {
	r := stackOf(t, "dev").Translated.Resources
	for id, want := range map[string]string{"AddressB": "MakesAddressB", "NatB": "HasSecondNat", "AddressA": "MakesAddressA", "NatA": "MakesNetwork"} {
		if r[id].Condition != want {
			t.Errorf("%s: got condition %s, want %s", id, r[id].Condition, want)
		}
	}
	c := stackOf(t, "dev").Translated.Conditions
	if !contains(c["MakesAddressB"], "HasSecondAddress", "HasAllocationB", "Fn::Not") || !contains(c["MakesAddressA"], "MakesNetwork", "HasAllocationA", "Fn::Not") {
		t.Errorf("conditions: got %s and %s, want an address made where none is given", text(c["MakesAddressA"]), text(c["MakesAddressB"]))
	}
	if !contains(c["HasSecondAddress"], "MakesNetwork", `"one"`, "Fn::Not") || !contains(c["HasSecondNat"], "MakesNetwork", `"two"`) {
		t.Errorf("conditions: got %s and %s, want the second address without its NAT gateway", text(c["HasSecondAddress"]), text(c["HasSecondNat"]))
	}
	env := r["ApiFunction"].Properties["Environment"]
	const first, second = "Fn::Select 1,Fn::Split /,AddressAllocationA if HasAllocationA else AddressA", "Fn::Select 1,Fn::Split /,AddressAllocationB if HasAllocationB else AddressB"
	const both = "Fn::Join ;," + first + "," + second + " if HasSecondAddress else " + first + " if MakesNetwork else TrustedIps"
	if got := readable(object(object(env)["Variables"])["TRUSTED_IPS"]); got != both {
		t.Errorf("addresses of the set-up page: got %s, want %s", got, both)
	}
}

// A stack that is given addresses makes none, and gives them back in the form in
// which the next stack takes them. So a company's settings in WeCom stay right.
func TestGivenAddressesAreUsed(t *testing.T) {
	m := stackOf(t, moved).Made
	if slices.Contains(m.Types, "AWS::EC2::EIP") {
		t.Error("got a new address, want the given ones only")
	}
	var allocations []string
	for _, nat := range m.Nats {
		allocations = append(allocations, nat.Allocation)
	}
	for _, name := range []string{"AddressAllocationA", "AddressAllocationB"} {
		allocation, ip, _ := strings.Cut(m.Given[name], "/")
		if !slices.Contains(allocations, allocation) || !strings.Contains(m.Outputs["TrustedIps"], ip) {
			t.Errorf("%s: got NAT gateways with %v and addresses %s, want %s in both", name, allocations, m.Outputs["TrustedIps"], m.Given[name])
		}
		if got := m.Outputs[name]; got != m.Given[name] {
			t.Errorf("output %s: got %s, want %s", name, got, m.Given[name])
		}
	}
	first := stackOf(t, "prod").Made
	parameters := stackOf(t, "prod").Translated.Parameters
	for _, name := range []string{"AddressAllocationA", "AddressAllocationB"} {
		pattern := fmt.Sprint(parameters[name]["AllowedPattern"])
		if got := first.Outputs[name]; !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("output %s: got %q, want what the parameter takes", name, got)
		}
	}
}

// The default network is small. Another one, and its zones, are parameters.
func TestNetworkOfOnesOwnChoice(t *testing.T) {
	for name, want := range map[string][]string{
		"dev": {"10.78.0.0/26", "10.78.0.64/26", "10.78.1.0/24", "10.78.2.0/24"},
		moved: {"10.20.0.0/26", "10.20.0.64/26", "10.20.1.0/24", "10.20.2.0/24"},
	} {
		m := stackOf(t, name).Made
		for i, id := range []string{"PublicSubnetA", "PublicSubnetB", "PrivateSubnetA", "PrivateSubnetB"} {
			subnet := m.Subnets[m.Physical[id]]
			if subnet.CIDR != want[i] {
				t.Errorf("%s: %s: got %s, want %s", name, id, subnet.CIDR, want[i])
			}
			if zone := []string{"us-east-1b", "us-east-1d"}[i%2]; name == moved && subnet.Zone != zone {
				t.Errorf("%s: %s: got zone %s, want %s", name, id, subnet.Zone, zone)
			}
		}
	}
}

// Without a domain and an address, the function takes the host of each request.
func TestNoAddressIsInvented(t *testing.T) {
	for name, want := range map[string]string{moved: "", ownNetwork: "https://archive.example.com"} {
		if got := stackOf(t, name).Made.Functions["ApiFunction"].Environment["PUBLIC_URL"]; got != want {
			t.Errorf("%s: got address %q, want %q", name, got, want)
		}
	}
	env := stackOf(t, "prod").Translated.Resources["ApiFunction"].Properties["Environment"]
	if got := readable(object(object(env)["Variables"])["PUBLIC_URL"]); got != "PublicUrl if HasPublicUrl else https://${DomainName} if HasDomain else " {
		t.Errorf("address: got %s, want PublicUrl, the domain, or none", got)
	}
}

// Every queue that feeds a function has dead letters of its own, a visibility
// timeout a little over the function's time limit, and a maximum concurrency. A
// FIFO queue's group is one corp.
func TestQueues(t *testing.T) {
	for _, s := range stacks(t) {
		mappings := s.byType("AWS::Lambda::EventSourceMapping")
		if n := len(mappings); n < 2 || len(s.Made.Queues) != 2*n {
			t.Errorf("%s: got %d queues for %d fed functions, want two each", s.Name, len(s.Made.Queues), n)
		}
		for _, id := range mappings {
			p := s.Translated.Resources[id].Properties
			f := feed{s, readable(p["EventSourceArn"]), readable(p["FunctionName"]), p}
			t.Run(s.Name+"/"+f.queue, func(t *testing.T) {
				f.checkTimes(t)
				f.checkBatches(t)
				f.checkDeadLetters(t)
				f.checkFunction(t)
			})
		}
	}
}

// A feed is a queue, and the function that it feeds.
type feed struct {
	stack
	queue, function string
	mapping         map[string]any
}

func (f feed) checkTimes(t *testing.T) {
	q := f.Made.Queues[f.queue]
	visible, err := strconv.Atoi(q["VisibilityTimeout"])
	if err != nil {
		t.Fatal(err)
	}
	limit := f.Made.Functions[f.function].Timeout
	if visible <= limit || visible > limit+60 {
		t.Errorf("visibility timeout: got %d s, want a little over the %d s of %s", visible, limit, f.function)
	}
	var redrive struct{ MaxReceiveCount int }
	if err := json.Unmarshal([]byte(q["RedrivePolicy"]), &redrive); err != nil {
		t.Fatal(err)
	}
	if n := redrive.MaxReceiveCount; n < 3 || n*visible >= 3600 {
		t.Errorf("tries: got %d, %d s apart, want at least 3 within an hour", n, visible)
	}
}

func (f feed) checkBatches(t *testing.T) {
	// The messages of a batch wait for the slowest, so a batch of two corps would
	// delay one of them.
	if fmt.Sprint(f.mapping["BatchSize"]) != "1" {
		t.Errorf("batch size: got %v, want 1", f.mapping["BatchSize"])
	}
	if !contains(f.mapping["FunctionResponseTypes"], "ReportBatchItemFailures") {
		t.Errorf("%s: got no report of single failures: one corp's failure would repeat the others' messages", f.function)
	}
	q := f.Made.Queues[f.queue]
	if n := f.Made.Mappings[q["QueueArn"]]; n < 2 {
		t.Errorf("maximum concurrency: got %d, want at least 2", n)
	}
	if q["FifoQueue"] != "true" || q["SqsManagedSseEnabled"] != "true" {
		t.Errorf("queue: got %v, want FIFO and encrypted", q)
	}
}

func (f feed) checkDeadLetters(t *testing.T) {
	dead := strings.TrimSuffix(f.queue, "Queue") + "DeadLetters"
	policy := f.Made.Queues[f.queue]["RedrivePolicy"]
	if arn := f.Made.Queues[dead]["QueueArn"]; arn == "" || !strings.Contains(policy, arn) {
		t.Errorf("dead letters: got %s, want %s", policy, dead)
	}
	if got := f.Made.Queues[dead]["MessageRetentionPeriod"]; got != "1209600" {
		t.Errorf("%s: got a retention of %s s, want 14 days", dead, got)
	}
	if allow := text(f.Translated.Resources[dead].Properties["RedriveAllowPolicy"]); !strings.Contains(allow, "byQueue") {
		t.Errorf("%s: got source queues %s, want its queue only", dead, allow)
	}
}

func (f feed) checkFunction(t *testing.T) {
	p := f.Translated.Resources[f.function].Properties
	for name, v := range object(object(p["Environment"])["Variables"]) {
		// Lambda has no such setting in China.
		if strings.HasSuffix(name, "_QUEUE_URL") && readable(v) == f.queue && readable(p["RecursiveLoop"]) != "AWS::NoValue if InChina else Allow" {
			t.Errorf("%s feeds its own queue without RecursiveLoop: Allow: Lambda would stop it after 16 runs", f.function)
		}
	}
	// Reserved concurrency fails on small accounts, so it needs a parameter. SQS
	// must not start more runs than are reserved: Lambda would refuse them.
	atOnce := readable(object(f.mapping["ScalingConfig"])["MaximumConcurrency"])
	if reserved := p["ReservedConcurrentExecutions"]; reserved != nil {
		name := strings.TrimSuffix(f.function, "Function")
		want := fmt.Sprintf("%sConcurrency if Reserves%s else AWS::NoValue", name, name)
		if got := readable(reserved); got != want {
			t.Errorf("%s: got reserved concurrency %s, want %s", f.function, got, want)
		}
		if want := fmt.Sprintf("%sConcurrency if Bounds%s else ", name, name); !strings.HasPrefix(atOnce, want) {
			t.Errorf("%s: got maximum concurrency %s, want the reserved number", f.function, atOnce)
		}
	}
}

// By default no concurrency is reserved, and pull, decode and media have their
// limits. With the parameters each function has what it is given.
func TestConcurrency(t *testing.T) {
	s := stackOf(t, "prod")
	for id, want := range map[string]string{
		"ApiFunction": "ApiConcurrency if ReservesApi", "PullFunction": "PullConcurrency if ReservesPull",
		"DecodeFunction": "DecodeConcurrency if ReservesDecode", "MediaFunction": "MediaConcurrency if ReservesMedia",
	} {
		if got := readable(s.Translated.Resources[id].Properties["ReservedConcurrentExecutions"]); got != want+" else AWS::NoValue" {
			t.Errorf("%s: got reserved concurrency %s, want %s", id, got, want)
		}
	}
	for name, want := range map[string]struct{ pull, decode, media int }{"prod": {10, 20, 10}, ownNetwork: {12, 24, 14}} {
		s := stackOf(t, name)
		for queue, n := range map[string]int{"PullQueue": want.pull, "DecodeQueue": want.decode, "MediaQueue": want.media} {
			if got := s.Made.Mappings[s.Made.Queues[queue]["QueueArn"]]; got != n {
				t.Errorf("%s: %s: got %d runs at once, want %d", name, queue, got, n)
			}
		}
	}
}

// An account with a low limit has no runs to reserve, and needs the bounds of the
// queues all the more.
func TestConcurrencyIsReservedOnlyIfWanted(t *testing.T) {
	c := stackOf(t, "prod").Translated.Conditions
	if got := text(c["Reserves"]); got != `{"Fn::Equals":[{"Ref":"ReserveConcurrency"},"true"]}` {
		t.Errorf("condition Reserves: got %s", got)
	}
	for _, name := range []string{"Pull", "Decode", "Media"} {
		if got, want := text(c["Reserves"+name]), `{"Fn::And":[{"Condition":"Bounds`+name+`"},{"Condition":"Reserves"}]}`; got != want {
			t.Errorf("condition Reserves%s: got %s, want %s", name, got, want)
		}
	}
	if got := c["ReservesApi"]; !contains(got, "ApiConcurrency", `{"Condition":"Reserves"}`) {
		t.Errorf("condition ReservesApi: got %s", text(got))
	}
}

func TestMemory(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"prod":     {"ApiFunction": 1024, "DispatchFunction": 256, "PullFunction": 1024, "DecodeFunction": 1769, "MediaFunction": 1024},
		ownNetwork: {"ApiFunction": 1024, "DispatchFunction": 512, "PullFunction": 2048, "DecodeFunction": 3538, "MediaFunction": 1536},
	} {
		for id, n := range want {
			if got := stackOf(t, name).Made.Functions[id].Memory; got != n {
				t.Errorf("%s: %s: got %d MB, want %d", name, id, got, n)
			}
		}
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func TestTables(t *testing.T) {
	for _, s := range stacks(t) {
		if len(s.Made.Tables) < 4 {
			t.Errorf("%s: got %d tables, want at least 4", s.Name, len(s.Made.Tables))
		}
		for id, table := range s.Made.Tables {
			if table.Billing != "PAY_PER_REQUEST" || !table.Protected || !slices.Equal(table.Keys, []string{"pk", "sk"}) {
				t.Errorf("%s: %s: got %+v, want on demand, protected from deletion, keys pk and sk", s.Name, id, table)
			}
			// moto ignores these two properties of the template. The table of messages
			// is the only one that can be built again from another store.
			recovery, class := `{"PointInTimeRecoveryEnabled":true}`, "null"
			if id == "MessagesTable" {
				recovery = `{"PointInTimeRecoveryEnabled":{"Fn::If":["RecoversMessages",true,false]}}`
				class = `{"Fn::If":["InfrequentMessages","STANDARD_INFREQUENT_ACCESS","STANDARD"]}`
			}
			p := s.Translated.Resources[id].Properties
			if got := text(p["PointInTimeRecoverySpecification"]); got != recovery {
				t.Errorf("%s: %s: got recovery %s, want %s", s.Name, id, got, recovery)
			}
			if got := text(p["TableClass"]); got != class {
				t.Errorf("%s: %s: got class %s, want %s", s.Name, id, got, class)
			}
			// Without a key of ours, whoever may read the table reads chats and names,
			// and KMS records nothing.
			if got := text(s.Translated.Resources[id].Properties["SSESpecification"]); got != `{"KMSMasterKeyId":{"Fn::If":["KeyEach",{"Fn::GetAtt":["TablesKey","Arn"]},{"Fn::GetAtt":["JournalKey","Arn"]}]},"SSEEnabled":true,"SSEType":"KMS"}` {
				t.Errorf("%s: %s: got encryption %s, want TablesKey", s.Name, id, got)
			}
		}
	}
}

func TestBuckets(t *testing.T) {
	for _, s := range stacks(t) {
		keys := map[string]string{}
		for _, id := range s.byType("AWS::S3::Bucket") {
			if id == "TrailBucket" {
				continue // TestTrail
			}
			made := s.Made.Buckets[id].ApplyServerSideEncryptionByDefault
			shared := oneKey(t, s.Name) && keys[made.KMSMasterKeyID] != ""
			if made.SSEAlgorithm != "aws:kms" || made.KMSMasterKeyID == "" || keys[made.KMSMasterKeyID] != "" && !shared {
				t.Errorf("%s: %s: got encryption %+v, want a KMS key of its own, or the stack's one", s.Name, id, made)
			}
			keys[made.KMSMasterKeyID] = id
			t.Run(s.Name+"/"+id, func(t *testing.T) {
				s.checkBucket(t, s.Translated.Resources[id].Properties)
				if !s.requiresTLS(id) {
					t.Error("bucket policy: got access without TLS, want it denied")
				}
			})
		}
	}
}

func (s stack) checkBucket(t *testing.T, p map[string]any) {
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
			t.Errorf("%s: got %s, want %v", name, text(p[name]), want)
		}
	}
	if _, named := p["BucketName"]; named {
		t.Error("name: got a fixed name, which a retained bucket would block")
	}
	if contains(p["LifecycleConfiguration"], "Expiration") {
		t.Error("lifecycle: got an expiration of objects, want every object kept")
	}
}

// requiresTLS reports whether a bucket policy denies access without TLS.
func (s stack) requiresTLS(bucket string) (tls bool) {
	for _, id := range s.byType("AWS::S3::BucketPolicy") {
		p := s.Translated.Resources[id].Properties
		if readable(p["Bucket"]) == bucket {
			tls = contains(p["PolicyDocument"], `"aws:SecureTransport":"false"`, `"Effect":"Deny"`, `"Action":"s3:*"`, `"Principal":"*"`) &&
				contains(p["PolicyDocument"], bucket, `${`+bucket+`.Arn}/*`)
		}
	}
	return tls
}

func TestJournalLock(t *testing.T) {
	p := stackOf(t, "prod").Translated.Resources["JournalBucket"].Properties
	if p["ObjectLockEnabled"] != true {
		t.Error("object lock: got disabled, want enabled from the first deployment: enabling it later could replace the bucket")
	}
	rule := object(p["ObjectLockConfiguration"])["Rule"]
	want := `{"Fn::If":["LocksJournal",{"DefaultRetention":{"Days":{"Ref":"JournalLockDays"},"Mode":{"Ref":"JournalLock"}}},{"Ref":"AWS::NoValue"}]}`
	if got := text(rule); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What protects an installation by default, and what a parameter switches.
func TestDefaultsThatProtect(t *testing.T) {
	s := stackOf(t, "prod")
	for name, want := range map[string]string{
		"BreakGlassRole": `""`, "Trail": `"create" of ["create","existing"]`, "Keys": `"each" of ["one","each"]`, "JournalLock": `"none" of ["none","GOVERNANCE","COMPLIANCE"]`,
		"Alarms": `"all" of ["essential","all"]`, "RequestsPerSecond": `100`, "CallbackRequestsPerSecond": `0`, "Companies": `250 of [250,500,1000,2500,5000,10000]`,
		"ApiConcurrency": `0`, "PullConcurrency": `0`, "DecodeConcurrency": `0`, "ReserveConcurrency": `"true" of ["true","false"]`,
	} {
		p := s.Translated.Parameters[name]
		got := text(p["Default"])
		if p["AllowedValues"] != nil {
			got += " of " + text(p["AllowedValues"])
		}
		if got != want {
			t.Errorf("parameter %s: got %s, want %s", name, got, want)
		}
	}
	given := func(name string) string { return `{"Fn::Not":[{"Fn::Equals":[{"Ref":"` + name + `"},""]}]}` }
	is := func(name, value string) string { return `{"Fn::Equals":[{"Ref":"` + name + `"},"` + value + `"]}` }
	more := func(name string) string { return `{"Fn::Not":[{"Fn::Equals":[{"Ref":"` + name + `"},0]}]}` }
	for name, want := range map[string]string{
		"HasBreakGlassRole": given("BreakGlassRole"), "HasBoundary": given("PermissionsBoundary"), "HasDecodeIdentity": given("DecodeIdentity"), "HasDomain": given("CertificateArn"),
		"MakesTrail": is("Trail", "create"), "KeyEach": is("Keys", "each"), "LocksJournal": `{"Fn::Not":[` + is("JournalLock", "none") + `]}`,
		"HasCallbackRate": more("CallbackRequestsPerSecond"), "BoundsPull": more("PullConcurrency"), "BoundsDecode": more("DecodeConcurrency"), "BoundsMedia": more("MediaConcurrency"),
		"ReservesApi": `{"Fn::And":[` + more("ApiConcurrency") + `,{"Condition":"Reserves"}]}`,
	} {
		if got := text(s.Translated.Conditions[name]); got != want {
			t.Errorf("condition %s: got %s, want %s", name, got, want)
		}
	}
}

// oneKey reports whether a deployment has Keys=one.
func oneKey(t *testing.T, name string) bool {
	return slices.ContainsFunc(deployments(t), func(d deployment) bool { return d.Name == name && d.Parameters["Keys"] == "one" })
}

// A stack has four keys or, with Keys=one, a single one that encrypts everything.
func TestKeys(t *testing.T) {
	for _, s := range stacks(t) {
		want := []string{"JournalKey", "MediaKey", "SecretsKey", "TablesKey"}
		if oneKey(t, s.Name) {
			want = want[:1]
		}
		if got := slices.Sorted(maps.Keys(s.Made.Keys)); !slices.Equal(got, want) {
			t.Errorf("%s: got KMS keys %v, want %v", s.Name, got, want)
		}
		for id, rotates := range s.Made.Keys {
			if !rotates {
				t.Errorf("%s: %s: got no rotation", s.Name, id)
			}
		}
	}
	m := stackOf(t, ownNetwork).Made
	one := m.Physical["JournalKey"]
	if got := m.Functions["ApiFunction"].Environment["SECRETS_KEY"]; got != one {
		t.Errorf("key of new secrets: got %s, want the one key %s", got, one)
	}
	for _, name := range []string{"JournalKey", "MediaKey", "SecretsKey", "TablesKey"} {
		if got := m.Outputs[name]; !strings.HasSuffix(got, "/"+one) {
			t.Errorf("output %s: got %s, want the one key %s", name, got, one)
		}
	}
}

func TestAPIDocument(t *testing.T) {
	s := stackOf(t, "prod")
	api := s.Translated.Resources["Api"].Properties
	body := object(api["Body"])
	if got := text(s.Translated.Conditions["InChina"]); got != `{"Fn::Equals":[{"Ref":"AWS::Partition"},"aws-cn"]}` {
		t.Errorf("condition InChina: got %s", got)
	}
	// A deployment must fail on any warning: an issuer that API Gateway cannot
	// reach is only a warning. So the document itself must cause no warning, see
	// issue 2424 of aws/serverless-application-model.
	if api["FailOnWarnings"] != true {
		t.Error("FailOnWarnings: got false, so an API without its authorizer could open")
	}
	for _, server := range anys(body["servers"]) {
		if url, _ := object(server)["url"].(string); url == "" || !contains(server, `"disableExecuteApiEndpoint":{"Fn::If":["HasDomain",true,false]}`) {
			t.Errorf("server of the document: got %s", text(server))
		}
	}
	if jwt := object(object(body["components"])["securitySchemes"])["Jwt"]; !contains(jwt, `"issuer":{"Ref":"JwtIssuer"}`, `"audience":[{"Ref":"JwtAudience"}]`) {
		t.Errorf("authorizer: got %s", text(jwt))
	}
	if cors := text(body["x-amazon-apigateway-cors"]); !strings.HasPrefix(cors, `{"Fn::If":["HasOrigins",`) || !strings.HasSuffix(cors, `,{"Ref":"AWS::NoValue"}]}`) ||
		!strings.Contains(cors, `"allowOrigins":{"Fn::Split":[",",`) || !strings.Contains(cors, `"authorization"`) {
		t.Errorf("access from pages of other origins: got %s", cors)
	}
}

// Every route needs a token, except the callbacks, the files of the console, which
// hold no data, and the health check.
func TestRoutesNeedAToken(t *testing.T) {
	body := object(stackOf(t, "prod").Translated.Resources["Api"].Properties["Body"])
	schemes := object(object(body["components"])["securitySchemes"])
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
						t.Errorf("%s %s: got scheme %s, which the document does not define", method, path, scheme)
					}
				}
			}
		}
	}
	slices.Sort(open)
	if want := []string{"get /callback/{corpid}", "get /callback/{corpid}/app", "get /console", "get /console/{file+}", "get /health", "head /console", "head /console/{file+}", "post /callback/{corpid}", "post /callback/{corpid}/app"}; !slices.Equal(open, want) {
		t.Errorf("routes without a token: got %v, want %v", open, want)
	}
}

func TestRoutesDeclareTheirVariables(t *testing.T) {
	body := object(stackOf(t, "prod").Translated.Resources["Api"].Properties["Body"])
	variable := regexp.MustCompile(`\{([^}]+)\}`)
	for path, methods := range object(body["paths"]) {
		for method, m := range object(methods) {
			for _, v := range variable.FindAllStringSubmatch(path, -1) {
				if !contains(object(m)["parameters"], `"name":"`+v[1]+`"`) {
					t.Errorf("%s %s: got no declaration of %s", method, path, v[1])
				}
			}
			// A browser sends OPTIONS without a token. API Gateway answers it by
			// itself, unless a route takes the request.
			if method == "options" || method == "x-amazon-apigateway-any-method" {
				t.Errorf("%s %s: got a route that takes OPTIONS", method, path)
			}
		}
	}
}

func TestAPIStageAndDomain(t *testing.T) {
	r := stackOf(t, "prod").Translated.Resources
	stage := r["ApiApiGatewayDefaultStage"].Properties
	for name, want := range map[string]string{
		"DefaultRouteSettings": `"ThrottlingBurstLimit":{"Ref":"RequestsPerSecond"},"ThrottlingRateLimit":{"Ref":"RequestsPerSecond"}`, "AccessLogSettings": "AccessLog",
	} {
		if !contains(stage[name], want) {
			t.Errorf("%s: got %s, want %s in it", name, text(stage[name]), want)
		}
	}
	// Junk on the open routes takes nothing from readers, nor they from callbacks.
	rate := map[string]any{"Fn::If": []any{"HasCallbackRate", map[string]any{"Ref": "CallbackRequestsPerSecond"}, map[string]any{"Fn::FindInMap": []any{"CallbackRates", map[string]any{"Ref": "Companies"}, "PerSecond"}}}}
	callbacks := map[string]any{"ThrottlingBurstLimit": rate, "ThrottlingRateLimit": rate}
	routes := map[string]any{"GET /health": map[string]any{"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 2}}
	for _, path := range []string{"/callback/{corpid}", "/callback/{corpid}/app"} {
		routes["GET "+path], routes["POST "+path] = callbacks, callbacks
	}
	if got := text(stage["RouteSettings"]); got != text(routes) {
		t.Errorf("throttles of routes: got %s, want %s", got, text(routes))
	}
	// Queries hold signatures, and headers hold tokens. The log must have neither.
	if format := text(stage["AccessLogSettings"]); strings.Contains(format, "querystring") || strings.Contains(format, "header") || strings.Contains(format, "$context.path") {
		t.Errorf("access log: got %s, want no query, header or path", format)
	}
	for id, kind := range map[string]string{"Domain": "AWS::ApiGatewayV2::DomainName", "DomainMapping": "AWS::ApiGatewayV2::ApiMapping"} {
		if r[id].Type != kind || r[id].Condition != "HasDomain" {
			t.Errorf("%s: got %s with condition %s, want %s with HasDomain", id, r[id].Type, r[id].Condition, kind)
		}
	}
	if !contains(r["Domain"].Properties, "TLS_1_2", "REGIONAL", "CertificateArn") {
		t.Errorf("domain: got %s", text(r["Domain"].Properties))
	}
}

// Callbacks get the larger of 50 a second and a fifth of the number of companies.
func TestCallbackRates(t *testing.T) {
	s := stackOf(t, "prod")
	rates, sizes := s.Translated.Mappings["CallbackRates"], anys(s.Translated.Parameters["Companies"]["AllowedValues"])
	if len(rates) != len(sizes) {
		t.Errorf("rates: got %d, want one for each of %v companies", len(rates), sizes)
	}
	for _, size := range sizes {
		n, err := strconv.Atoi(fmt.Sprint(size))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := rates[strconv.Itoa(n)]["PerSecond"], max(50, n/5); got != want {
			t.Errorf("%d companies: got %d callbacks a second, want %d", n, got, want)
		}
	}
}

func TestLogGroupsHaveARetention(t *testing.T) {
	for _, s := range stacks(t) {
		for _, id := range s.byType("AWS::Lambda::Function") {
			p := s.Translated.Resources[id].Properties
			name := strings.TrimSuffix(id, "Function")
			if got := readable(object(p["LoggingConfig"])["LogGroup"]); got != name+"Log" {
				t.Errorf("%s: %s: got log group %s, want %sLog", s.Name, id, got, name)
			}
			if !contains(p["LoggingConfig"], `"LogFormat":"JSON"`) {
				t.Errorf("%s: %s: got no JSON log, which metric filters need", s.Name, id)
			}
		}
		for group, days := range s.Made.LogGroups {
			if days == 0 {
				t.Errorf("%s: %s: got no retention, want a number of days", s.Name, group)
			}
		}
	}
}

// Lambda does not retry a tick: the next one comes within a minute.
func TestScheduleOfDispatch(t *testing.T) {
	r := stackOf(t, "prod").Translated.Resources
	if got := r["DispatchFunctionTick"].Properties["ScheduleExpression"]; got != "rate(1 minute)" {
		t.Errorf("schedule: got %v, want rate(1 minute)", got)
	}
	if got := r["DispatchFunctionEventInvokeConfig"].Properties["MaximumRetryAttempts"]; fmt.Sprint(got) != "0" {
		t.Errorf("retries of a tick: got %v, want 0", got)
	}
}

// Every alarm notifies the topic of its start and its end, and names a section of
// the runbooks. Every section belongs to an alarm. Name and heading are the logical
// id, by which an operator finds the section; only the alarm of the second NAT gateway
// is in the section of the first.
func TestAlarmsHaveRunbooks(t *testing.T) {
	b, err := os.ReadFile(root + "/docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## ([A-Za-z]+)$`).FindAllStringSubmatch(string(b), -1) {
		sections[m[1]] = true
		text, _, _ := strings.Cut(string(b)[strings.Index(string(b), m[0])+len(m[0]):], "\n## ")
		for _, part := range []string{"**Means.**", "**Look at.**", "**Do.**", "**Resolved when.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/runbooks.md: %s: got no %s", m[1], part)
			}
		}
	}
	s := stackOf(t, "prod")
	named := map[string]bool{}
	for _, id := range s.byType("AWS::CloudWatch::Alarm") {
		p := s.Translated.Resources[id].Properties
		m := regexp.MustCompile(`Runbook - docs/runbooks\.md, ([A-Za-z]+)\.$`).FindStringSubmatch(fmt.Sprint(p["AlarmDescription"]))
		if m == nil || !sections[m[1]] {
			t.Errorf("%s: got description %v, want a section of docs/runbooks.md in it", id, p["AlarmDescription"])
			continue
		}
		named[m[1]] = true
		name := strings.TrimSuffix(id, "Alarm")
		if got, want := readable(p["AlarmName"]), "${AWS::StackName}-"+name; got != want {
			t.Errorf("%s: got the name %s, want %s", id, got, want)
		}
		if want := strings.TrimPrefix(name, "Second"); m[1] != want {
			t.Errorf("%s: got the section %s, want %s", id, m[1], want)
		}
		optional := s.Translated.Resources[id].Condition == "AllAlarms"
		if strings.Contains(string(b), "\n## "+m[1]+"\n**Means.** (*all*) ") != optional {
			t.Errorf("docs/runbooks.md: %s: want (*all*) at the beginning exactly if the alarm needs Alarms=all", m[1])
		}
		for _, actions := range []string{"AlarmActions", "OKActions"} {
			if !contains(p[actions], "NoticeTopic") {
				t.Errorf("%s: %s: got %s, want the topic", id, actions, text(p[actions]))
			}
		}
	}
	for _, id := range s.rules() { // TestRulesNotify reads their texts
		named[id] = true
	}
	for section := range sections {
		if !named[section] {
			t.Errorf("docs/runbooks.md: got section %s without an alarm", section)
		}
	}
}

// AWS charges for a dashboard with more than 50 metrics.
func TestTheDashboardIsFree(t *testing.T) {
	body := fmt.Sprint(object(stackOf(t, "prod").Translated.Resources["Dashboard"].Properties["DashboardBody"])["Fn::Sub"])
	var dashboard struct {
		Widgets []struct{ Properties struct{ Metrics []any } }
	}
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, w := range dashboard.Widgets {
		n += len(w.Properties.Metrics)
	}
	if n < 30 || n > 50 {
		t.Errorf("got %d metrics, want at most 50", n)
	}
	// Of the metrics of our own with an alarm, only this is for the SCRM, and its
	// runbook reads logs.
	for _, id := range stackOf(t, "prod").byType("AWS::CloudWatch::Alarm") {
		p := stackOf(t, "prod").Translated.Resources[id].Properties
		name := fmt.Sprint(p["MetricName"])
		if readable(p["Namespace"]) == "AWS::StackName" && name != "AnnouncementsMissing" && !strings.Contains(body, `"${AWS::StackName}","`+name+`"`) {
			t.Errorf("%s: got no metric %s on the dashboard", id, name)
		}
	}
}

// The essential alarms tell of lost messages and of what stops; the others need
// Alarms=all.
func TestEssentialAlarms(t *testing.T) {
	s := stackOf(t, "prod")
	var got []string
	for _, id := range s.byType("AWS::CloudWatch::Alarm") {
		if s.Translated.Resources[id].Condition != "AllAlarms" {
			got = append(got, strings.TrimSuffix(id, "Alarm"))
		}
	}
	want := []string{
		"ApiErrors", "CertificateExpires", "CorpsBroken", "DeadLetters", "DispatchErrors", "FewerCorps", "FileHoursLeft", "FunctionErrors", "Gaps", "HoursLeft", "Losing",
		"MediaNotWhole", "NatErrors", "NoTick", "NoticeFailures", "SecondNatErrors", "SetAside", "StuckPages", "TokenRefusals", "VerificationFindings",
		"VerificationsLate",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := text(s.Translated.Conditions["AllAlarms"]); got != `{"Fn::Equals":[{"Ref":"Alarms"},"all"]}` {
		t.Errorf("condition AllAlarms: got %s", got)
	}
}

// The commands of the runbooks find what Lambda writes about a run that ended
// badly: in a line of its own with LogFormat JSON, in a text otherwise, and as the
// text of aws-lambda-go or of Go's runtime in both.
func TestRunbooksFindTimeoutsAndPanics(t *testing.T) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(func() { panic("handler") }) // the process of panickingHandler; it ends here
	}
	b, err := os.ReadFile(root + "/docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	patterns := regexp.MustCompile(`--filter-pattern '(.*)'`).FindAllStringSubmatch(string(b), 2)
	if len(patterns) != 2 {
		t.Fatalf("patterns: got %d, want one for lines of JSON and one for texts", len(patterns))
	}
	field := regexp.MustCompile(`\(\$\.([a-z.]+) = "([A-Za-z]+)"\)`).FindAllStringSubmatch(patterns[0][1], -1)
	words := regexp.MustCompile(`\?"([^"]+)"`).FindAllStringSubmatch(patterns[1][1], -1)
	found := func(line string) bool {
		for _, f := range field {
			var v any
			if json.Unmarshal([]byte(line), &v) != nil {
				break
			}
			for name := range strings.SplitSeq(f[1], ".") {
				v = object(v)[name]
			}
			if v == f[2] {
				return true
			}
		}
		return slices.ContainsFunc(words, func(w []string) bool { return strings.Contains(line, w[1]) })
	}
	// aws-lambda-go recovers a panic of a handler: the text of Go's runtime is that of
	// other goroutines only.
	panicked := panickingHandler(t)
	if len(panicked) != 2 {
		t.Fatalf("a handler that panics: got the lines %q, want two", panicked)
	}
	for _, line := range panicked {
		if !found(line) {
			t.Errorf("%s: got false, want true", line)
		}
	}
	for line, want := range map[string]bool{
		`2026/06/01 08:00:00 {"errorMessage":"page not decoded","errorType":"errorString"}`:                                                      false,
		`{"time":"2026-06-01T08:00:00Z","type":"platform.report","record":{"requestId":"r","status":"timeout","metrics":{"durationMs":120000}}}`: true,
		`{"time":"2026-06-01T08:00:00Z","type":"platform.report","record":{"requestId":"r","status":"error","errorType":"Runtime.ExitError"}}`:   true,
		`{"time":"2026-06-01T08:00:00Z","type":"platform.report","record":{"requestId":"r","status":"success","metrics":{"durationMs":12}}}`:     false,
		`{"time":"2026-06-01T08:00:00Z","level":"ERROR","message":"page not decoded","requestId":"r"}`:                                           true,
		`{"time":"2026-06-01T08:00:00Z","level":"INFO","message":"answered","requestId":"r"}`:                                                    false,
		"REPORT RequestId: r\tDuration: 120000.00 ms\tBilled Duration: 120000 ms\tStatus: timeout":                                               true,
		"2026-06-01T08:00:00Z r Task timed out after 120.00 seconds":                                                                             true,
		"REPORT RequestId: r\tDuration: 12.00 ms\tBilled Duration: 12 ms":                                                                        false,
		"panic: runtime error: index out of range [1] with length 1":                                                                             true,
		"fatal error: concurrent map writes":                                                                                                     true,
		"goroutine 1 [running]:":                                                                                                                 false,
	} {
		if got := found(line); got != want {
			t.Errorf("%s: got %t, want %t", line, got, want)
		}
	}
}

// panickingHandler returns what a function logs whose handler panics. The test binary
// is the function, and this process its Runtime API.
func panickingHandler(t *testing.T) []string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "r")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10))
		io.WriteString(w, "{}")
	}))
	defer api.Close()
	function := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunbooksFindTimeoutsAndPanics$")
	function.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"))
	out, err := function.CombinedOutput()
	if err == nil {
		t.Error("a handler that panics: got exit status 0, want another")
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// Every function, queue and NAT gateway has its alarms, and every function and
// queue is on the dashboard.
func TestEverythingIsWatched(t *testing.T) {
	s := stackOf(t, "prod")
	dashboard := fmt.Sprint(object(s.Translated.Resources["Dashboard"].Properties["DashboardBody"])["Fn::Sub"])
	for _, f := range s.byType("AWS::Lambda::Function") {
		t.Run(f, func(t *testing.T) { s.checkFunctionIsWatched(t, f, dashboard) })
	}
	for _, q := range s.byType("AWS::SQS::Queue") {
		t.Run(q, func(t *testing.T) { s.checkQueueIsWatched(t, q, dashboard) })
	}
	for _, nat := range s.byType("AWS::EC2::NatGateway") {
		if !slices.ContainsFunc(s.byType("AWS::CloudWatch::Alarm"), func(id string) bool {
			return contains(s.Translated.Resources[id].Properties["Metrics"], `"Ref":"`+nat+`"`)
		}) {
			t.Errorf("%s: got no alarm", nat)
		}
	}
}

func (s stack) checkFunctionIsWatched(t *testing.T, f, dashboard string) {
	// The alarm of most functions needs six errors in five minutes. dispatch runs
	// only five times, so it has an alarm of its own.
	errors := "FunctionErrorsAlarm"
	if f == "DispatchFunction" {
		errors = "DispatchErrorsAlarm"
	}
	for _, alarm := range []string{errors, "FunctionThrottlesAlarm"} {
		if !contains(s.Translated.Resources[alarm].Properties, `"Ref":"`+f+`"`) {
			t.Errorf("%s: got no metric of %s", alarm, f)
		}
	}
	if !strings.Contains(dashboard, "${"+f+"}") {
		t.Errorf("dashboard: got no %s", f)
	}
}

func (s stack) checkQueueIsWatched(t *testing.T, q, dashboard string) {
	r := s.Translated.Resources
	if !strings.Contains(dashboard, "${"+q+".QueueName}") {
		t.Errorf("dashboard: got no %s", q)
	}
	if strings.HasSuffix(q, "DeadLetters") {
		if !contains(r["DeadLettersAlarm"].Properties["Metrics"], `"`+q+`"`) {
			t.Errorf("DeadLettersAlarm: got no metric of %s", q)
		}
		return
	}
	if !strings.Contains(dashboard, `"ApproximateAgeOfOldestMessage","QueueName","${`+q+".QueueName}") {
		t.Errorf("dashboard: got no age of the oldest request in %s", q)
	}
	waits := r[strings.TrimSuffix(q, "Queue")+"WaitsAlarm"].Properties
	if waits["MetricName"] != "ApproximateAgeOfOldestMessage" || !contains(waits["Dimensions"], `"`+q+`"`) {
		t.Errorf("%s: got no alarm on the age of its oldest request", q)
	}
	depth := r[strings.TrimSuffix(q, "Queue")+"DepthAlarm"].Properties
	if depth["MetricName"] != "ApproximateNumberOfMessagesVisible" || !contains(depth["Dimensions"], `"`+q+`"`) {
		t.Errorf("%s: got no alarm on its depth", q)
	}
}

// dispatch or a metric filter writes every metric of our own that an alarm
// reads. A test of functions/dispatch covers the reverse.
func TestAlarmsReadMetricsThatAreWritten(t *testing.T) {
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
			t.Errorf("%s: got metric %s, which neither dispatch nor a filter writes", id, name)
		}
	}
	if own < 5 {
		t.Errorf("alarms on metrics of our own: got %d, want at least 5", own)
	}
}

// A metric filter finds a log line by its words. A change of the line needs a
// change of the filter.
func TestFiltersReadLinesThatAreWritten(t *testing.T) {
	s := stackOf(t, "prod")
	const notSent, notSentIn, notSentWords = `{ $.message = "announcements not sent" }`, "shared/eventbus/eventbus.go", `WarnContext(ctx, "announcements not sent", "corp", corp, "kind", kind, "sent", sent, "missing",`
	for id, c := range map[string]struct{ pattern, log, file, words string }{
		"AnnouncementsOfApi":     {notSent, "ApiLog", notSentIn, notSentWords},
		"AnnouncementsOfDecode":  {notSent, "DecodeLog", notSentIn, notSentWords},
		"AnnouncementsOfInspect": {notSent, "InspectLog", notSentIn, notSentWords},
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
			"MediaLog", "shared/archive/media/fetch.go", `"file is not whole", "corp", p.corp, "file", row.ID, "state", state`,
		},
		"VerificationFindings": {
			`{ $.message = "verification found differences" }`,
			"DecodeLog", "shared/archive/decode/verify.go", `ErrorContext(ctx, "verification found differences"`,
		},
	} {
		p := s.Translated.Resources[id].Properties
		if p["FilterPattern"] != c.pattern || readable(p["LogGroupName"]) != c.log {
			t.Errorf("%s: got pattern %v of %s, want %s of %s", id, p["FilterPattern"], readable(p["LogGroupName"]), c.pattern, c.log)
		}
		value := `"MetricValue":"1"`
		if c.pattern == notSent { // a line has the number of announcements
			value = `"MetricValue":"$.missing"`
		}
		if !contains(p["MetricTransformations"], `"MetricNamespace":{"Fn::Sub":"${AWS::StackName}"}`, value) {
			t.Errorf("%s: got transformation %s, want %s", id, text(p["MetricTransformations"]), value)
		}
		source, err := os.ReadFile(root + "/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), c.words) {
			t.Errorf("%s: got no line in %s with %s", id, c.file, c.words)
		}
	}
	if n := len(s.byType("AWS::Logs::MetricFilter")); n != 7+4 {
		t.Errorf("filters: got %d, want the 7 of this table and the 4 of the access log", n)
	}
}

// The filters of the access log read what its format writes. An answer of 401
// counts 1 and every other answer 0, so that the average is a share.
func TestFiltersReadTheAccessLog(t *testing.T) {
	r := stackOf(t, "prod").Translated.Resources
	var settings struct{ Format string }
	if err := json.Unmarshal([]byte(text(r["ApiApiGatewayDefaultStage"].Properties["AccessLogSettings"])), &settings); err != nil {
		t.Fatal(err)
	}
	// API Gateway quotes the value of no variable, and a filter compares numbers
	// only if they have no quotes.
	for _, part := range []string{`"route":"$context.routeKey"`, `"status":"$context.status"`, `"ms":$context.responseLatency,`} {
		if !strings.Contains(settings.Format, part) {
			t.Errorf("format: got %s, want %s in it", settings.Format, part)
		}
	}
	line := regexp.MustCompile(`\$context\.\w+(\.\w+)*`).ReplaceAllString(settings.Format, "1")
	if !json.Valid([]byte(line)) {
		t.Errorf("a line of the log: got %s, want JSON", line)
	}
	for id, c := range map[string]struct{ pattern, metric, value string }{
		"TokensRefused":      {`{ ($.route = "* /v1/*") && ($.status = "401") }`, "TokenRefusals", "1"},
		"TokensAccepted":     {`{ ($.route = "* /v1/*") && ($.status != "401") }`, "TokenRefusals", "0"},
		"CallbacksThrottled": {`{ ($.route = "POST /callback/*") && ($.status = "429") }`, "CallbackThrottles", "1"},
		"CallbackTimes":      {`{ $.route = "POST /callback/*" }`, "CallbackMilliseconds", "$.ms"},
	} {
		p := r[id].Properties
		if p["FilterPattern"] != c.pattern || readable(p["LogGroupName"]) != "AccessLog" {
			t.Errorf("%s: got pattern %v of %s, want %s of the access log", id, p["FilterPattern"], readable(p["LogGroupName"]), c.pattern)
		}
		m := object(anys(p["MetricTransformations"])[0])
		if m["MetricName"] != c.metric || m["MetricValue"] != c.value || m["DefaultValue"] != nil {
			t.Errorf("%s: got %s, want %s of %s without a default", id, text(m), c.value, c.metric)
		}
	}
}
