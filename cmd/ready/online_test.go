package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

// limits answers Lambda's account settings, which moto does not have.
type limits struct{ url string }

func (l limits) GetServiceBaseEndpoint(_ context.Context, id string) (string, bool, error) {
	return l.url, id == "Lambda", nil
}

// An account is a region of moto's account that no other test uses, with the
// given limit of Lambda runs.
func account(t *testing.T, region string, runs int) aws.Config {
	t.Helper()
	return accountWith(t, region, runs, 0)
}

// accountWith is such an account that has reserved some of its runs.
func accountWith(t *testing.T, region string, runs, reserved int) aws.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/account-settings/") && !strings.HasSuffix(r.URL.Path, "/account-settings") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"AccountLimit":{"ConcurrentExecutions":%d,"UnreservedConcurrentExecutions":%d}}`, runs, runs-reserved)
	}))
	t.Cleanup(server.Close)
	cfg := awstest.Config(t)
	cfg.Region = region
	cfg.ConfigSources = append([]any{limits{server.URL}}, cfg.ConfigSources...)
	return cfg
}

// An identityProvider is a local issuer with TLS.
type identityProvider struct {
	*httptest.Server
	issuer     string // empty for its own address
	algorithms []string
	keys       string // the key set
	delay      time.Duration
	status     int
}

func newIdentityProvider(t *testing.T) *identityProvider {
	t.Helper()
	p := &identityProvider{algorithms: []string{"RS256", "ES256"}, keys: `{"keys":[{"kty":"EC"},{"kty":"RSA"}]}`, status: http.StatusOK}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(p.delay):
		case <-r.Context().Done():
		}
		w.WriteHeader(p.status)
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			issuer := p.issuer
			if issuer == "" {
				issuer = p.URL
			}
			json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": p.algorithms})
		case "/keys":
			fmt.Fprint(w, p.keys)
		}
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that distrust it are part of the tests
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

// prepared is a deployment that nothing speaks against, in a region of its own.
func prepared(t *testing.T, region string, change map[string]string) (*online, *identityProvider) {
	t.Helper()
	issuer := newIdentityProvider(t)
	e := deploy.Block{Name: "prod", Stack: "archive", Region: region, Parameters: map[string]string{"JwtIssuer": issuer.URL, "PublicUrl": "https://archive.yunduo.cn"}}
	maps.Copy(e.Parameters, change)
	parameters, err := deployed(root, e)
	if err != nil {
		t.Fatal(err)
	}
	return &online{env: e, parameters: parameters, config: account(t, region, 1000), client: issuer.Client()}, issuer
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestOnlineReady(t *testing.T) {
	o, _ := prepared(t, "eu-west-1", nil)
	if err := o.check(t.Context()); err != nil || len(o.notes) > 0 || !o.first {
		t.Errorf("got %v and the notes %q, want a first deployment that is ready", err, o.notes)
	}
}

func TestOnlineIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		region string
		change map[string]string
		config func(*aws.Config)
		want   string
	}{
		"another account":             {"eu-west-1", map[string]string{"BreakGlassRole": "arn:aws:iam::210987654321:role/x"}, nil, "BreakGlassRole belongs to the account 210987654321, and your credentials belong to 123456789012"},
		"boundary of another account": {"eu-west-1", map[string]string{"PermissionsBoundary": "arn:aws:iam::210987654321:policy/x"}, nil, "PermissionsBoundary belongs to the account"},
		"another partition":           {"cn-north-1", nil, func(c *aws.Config) { c.Region = "eu-west-1" }, "credentials belong to the partition aws, and cn-north-1 is in aws-cn"},
		"no credentials":              {"eu-west-1", nil, func(c *aws.Config) { c.Credentials = aws.AnonymousCredentials{} }, "sign in (aws sso login)"},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := prepared(t, c.region, c.change)
			if c.config != nil {
				c.config(&o.config)
			}
			wantError(t, o.check(t.Context()), c.want)
		})
	}
}

// living makes a stack with these parameters in moto's account.
func living(t *testing.T, o *online, parameters map[string]string) {
	t.Helper()
	body, given := map[string]any{}, []cfntypes.Parameter{}
	for name, value := range parameters {
		body[name] = map[string]string{"Type": "String"}
		given = append(given, cfntypes.Parameter{ParameterKey: &name, ParameterValue: &value})
	}
	template := string(must[[]byte](t)(json.Marshal(map[string]any{"Parameters": body, "Resources": map[string]any{"Topic": map[string]any{"Type": "AWS::SNS::Topic", "Properties": map[string]any{}}}})))
	must[*cloudformation.CreateStackOutput](t)(cloudformation.NewFromConfig(o.config).CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &o.env.Stack, TemplateBody: &template, Parameters: given}))
}

// A stack keeps the value of Keys that it began with: its secrets and files are
// under the keys of that choice. While it makes its network, it keeps that too.
func TestStackKeepsWhatItCannotChange(t *testing.T) {
	own := map[string]string{"TrustedIps": "203.0.113.9", "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567"}
	with := func(change map[string]string) map[string]string {
		all := maps.Clone(own)
		maps.Copy(all, change)
		return all
	}
	for i, c := range []struct {
		is, wanted map[string]string
		want       []string
	}{
		{map[string]string{"Keys": "each"}, nil, nil},
		{map[string]string{"Keys": "one"}, map[string]string{"Keys": "one"}, nil},
		{map[string]string{"Keys": "each"}, map[string]string{"Keys": "one"}, []string{`Keys is "each" in the stack archive2, and a stack cannot change it to "one"`, "set Keys=each (docs/upgrades.md"}},
		{map[string]string{"Keys": "one"}, nil, []string{"set Keys=one"}},
		{map[string]string{"TrustedIps": "", "VpcCidr": "10.78.0.0/22", "Zones": ""}, nil, nil},
		{map[string]string{"TrustedIps": "", "VpcCidr": "10.78.0.0/22", "Zones": ""}, map[string]string{"VpcCidr": "10.20.0.0/20", "Zones": "eu-west-1a,eu-west-1b"}, []string{"set VpcCidr=10.78.0.0/22 (docs/deploying.md", `set Zones="" (docs/deploying.md`}},
		{map[string]string{"Zones": "eu-west-1a,eu-west-1b"}, map[string]string{"Zones": "eu-west-1a,eu-west-1c"}, []string{"set Zones=eu-west-1a,eu-west-1b"}},
		// To a network of one's own, and back to another network.
		{map[string]string{"TrustedIps": "", "VpcCidr": "10.78.0.0/22"}, with(map[string]string{"VpcCidr": "10.20.0.0/20"}), nil},
		{with(map[string]string{"VpcCidr": "10.78.0.0/22"}), map[string]string{"VpcCidr": "10.20.0.0/20"}, nil},
	} {
		o, _ := prepared(t, "eu-south-1", c.wanted)
		o.env.Stack = fmt.Sprint("archive", i)
		living(t, o, c.is)
		wantError(t, o.stack(t.Context()), c.want...)
	}
}

// No deployment changes a stack whose first deployment failed.
func TestOnlineStack(t *testing.T) {
	o, _ := prepared(t, "eu-west-2", nil)
	client := cloudformation.NewFromConfig(o.config)
	body := `{"Resources":{"Topic":{"Type":"AWS::SNS::Topic","Properties":{}}}}`
	must[*cloudformation.CreateStackOutput](t)(client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &o.env.Stack, TemplateBody: &body}))
	if err := o.check(t.Context()); err != nil || o.first {
		t.Errorf("got %v, %t, want a ready deployment that is not the first", err, o.first)
	}
	for status, want := range map[string]string{
		"ROLLBACK_COMPLETE": "delete it (aws cloudformation delete-stack --region eu-west-2 --stack-name archive)", "ROLLBACK_FAILED": "delete it",
		"DELETE_FAILED": "delete it again", "UPDATE_ROLLBACK_FAILED": "continue-update-rollback", "UPDATE_IN_PROGRESS": "wait until that operation ends",
		"UPDATE_COMPLETE": "set Keys=one", "UPDATE_ROLLBACK_COMPLETE": "set Keys=one", "REVIEW_IN_PROGRESS": "",
	} {
		o.first, o.config.ConfigSources = false, append([]any{cloudFormation{inState(t, status, "", "Keys", "one")}}, account(t, "eu-west-2", 1000).ConfigSources...)
		err := o.stack(t.Context())
		if want == "" {
			wantError(t, err)
		} else {
			wantError(t, err, want)
		}
	}
}

// The stack's termination protection decides whether a guarded change is refused.
func TestOnlineProtectedStack(t *testing.T) {
	for protected, want := range map[string][]string{"true": {"run make unprotect ENV=prod first"}, "false": nil} {
		o, _ := prepared(t, "eu-west-2", map[string]string{"Trail": "existing"})
		url := inState(t, "UPDATE_COMPLETE", "<EnableTerminationProtection>"+protected+"</EnableTerminationProtection>", "Trail", "create")
		o.config.ConfigSources = append([]any{cloudFormation{url}}, o.config.ConfigSources...)
		wantError(t, o.stack(t.Context()), want...)
	}
}

// cloudFormation is a stand-in for stacks in states that moto never has.
type cloudFormation struct{ url string }

func (c cloudFormation) GetServiceBaseEndpoint(_ context.Context, id string) (string, bool, error) {
	return c.url, id == "CloudFormation", nil
}

func inState(t *testing.T, status, more, parameter, value string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>archive</StackName><StackStatus>%s</StackStatus>%s<Parameters><member><ParameterKey>%s</ParameterKey><ParameterValue>%s</ParameterValue></member></Parameters></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`, status, more, parameter, value)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestOnlineCertificate(t *testing.T) {
	const domain = "archive.yunduo.cn"
	o, _ := prepared(t, "eu-west-3", map[string]string{"DomainName": domain, "PublicUrl": ""})
	client := acm.NewFromConfig(o.config)
	requested := must[*acm.RequestCertificateOutput](t)(client.RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: aws.String(domain), ValidationMethod: acmtypes.ValidationMethodDns}))
	for _, c := range []struct {
		arn  string
		want []string
	}{
		{*requested.CertificateArn, []string{"PENDING_VALIDATION, not ISSUED: enter the DNS records"}},
		{imported(t, client, "*.yunduo.cn"), nil},
		{imported(t, client, "*.other.yunduo.cn"), []string{"the certificate is for *.other.yunduo.cn", "not for " + domain}},
		{"arn:aws:acm:eu-west-3:123456789012:certificate/00000000-0000-0000-0000-000000000000", []string{"request a certificate for " + domain}},
	} {
		o.parameters["CertificateArn"] = c.arn
		wantError(t, o.certificate(t.Context()), c.want...)
	}
}

// imported is a certificate that moto issues at once.
func imported(t *testing.T, client *acm.Client, name string) (arn string) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key))
	private := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	out := must[*acm.ImportCertificateOutput](t)(client.ImportCertificate(t.Context(), &acm.ImportCertificateInput{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}))
	return *out.CertificateArn
}

// API Gateway has a custom domain once in a region. The stack's own is no obstacle.
func TestOnlineDomain(t *testing.T) {
	o, _ := prepared(t, "eu-west-3", map[string]string{"DomainName": "taken.yunduo.cn", "CertificateArn": "arn:aws:acm:eu-west-3:123456789012:certificate/1"})
	wantError(t, o.domain(t.Context()))
	must[*apigatewayv2.CreateDomainNameOutput](t)(apigatewayv2.NewFromConfig(o.config).CreateDomainName(t.Context(), &apigatewayv2.CreateDomainNameInput{DomainName: aws.String("taken.yunduo.cn")}))
	wantError(t, o.domain(t.Context()), "has the custom domain taken.yunduo.cn in eu-west-3 already", "delete-domain-name --region eu-west-3 --domain-name taken.yunduo.cn")
	o.now = map[string]string{"DomainName": "taken.yunduo.cn"}
	wantError(t, o.domain(t.Context()))
}

// A change that the stack policy refuses is refused before it begins, with the command
// that admits it. After that command the change is noted.
func TestGuardedChanges(t *testing.T) {
	const allocation = "eipalloc-01234567/203.0.113.9"
	for _, c := range []struct {
		name, env   string
		now, wanted map[string]string
		want        []string // parameters with a refusal or a note
	}{
		{"nothing changes", "prod", map[string]string{"Trail": "create", "NatZones": "one", "TrustedIps": "", "AddressAllocationA": ""}, nil, nil},
		{"dev is not protected", "dev-global", map[string]string{"Trail": "create"}, map[string]string{"Trail": "existing"}, nil},
		{"the trail goes", "prod", map[string]string{"Trail": "create"}, map[string]string{"Trail": "existing"}, []string{"Trail"}},
		{"a trail comes", "prod", map[string]string{"Trail": "existing"}, map[string]string{"Trail": "create"}, nil},
		{"another address", "prod", map[string]string{"TrustedIps": "", "NatZones": "one", "AddressAllocationA": ""}, map[string]string{"AddressAllocationA": allocation}, []string{"AddressAllocationA"}},
		{"a second address of one's own", "prod", map[string]string{"TrustedIps": "", "NatZones": "one", "AddressAllocationB": ""}, map[string]string{"NatZones": "announce-two", "AddressAllocationB": allocation}, nil},
		{"another second address", "prod", map[string]string{"TrustedIps": "", "NatZones": "two", "AddressAllocationB": ""}, map[string]string{"NatZones": "two", "AddressAllocationB": allocation}, []string{"AddressAllocationB"}},
		{"to a network of one's own", "prod", map[string]string{"TrustedIps": ""}, map[string]string{"TrustedIps": "203.0.113.9"}, []string{"TrustedIps"}},
		{"back to the stack's network", "prod", map[string]string{"TrustedIps": "203.0.113.9", "NatZones": "one", "AddressAllocationA": ""}, map[string]string{"AddressAllocationA": allocation}, nil},
		{"to two zones", "prod", map[string]string{"NatZones": "announce-two"}, map[string]string{"NatZones": "two"}, nil},
		{"back to one", "prod", map[string]string{"NatZones": "two"}, map[string]string{"NatZones": "announce-two"}, []string{"NatZones"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := deploy.Block{Name: c.env, Parameters: c.wanted}
			parameters, err := deployed(root, e)
			if err != nil {
				t.Fatal(err)
			}
			o := &online{env: e, parameters: parameters, now: c.now}
			refused := o.guarded(true)
			if o.notes != nil || (refused == nil) != (c.want == nil) {
				t.Fatalf("protected: got %v and the notes %q, want a refusal of %v", refused, o.notes, c.want)
			}
			if err := o.guarded(false); err != nil || len(o.notes) != len(c.want) {
				t.Fatalf("not protected: got %v and the notes %q, want notes about %v", err, o.notes, c.want)
			}
			o.notes, o.preview = nil, true
			if err := o.guarded(true); err != nil || len(o.notes) != len(c.want) {
				t.Errorf("preview: got %v and notes %q, want a note for each of %q", err, o.notes, c.want)
			}
			for i, name := range c.want {
				wantError(t, refused, "the change of "+name+" ", "run make unprotect ENV="+c.env+" first")
				if !strings.HasPrefix(o.notes[i], "the change of "+name+" ") {
					t.Errorf("got the note %q, want one about %s", o.notes[i], name)
				}
			}
		})
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		name, domain string
		want         bool
	}{
		{"a.yunduo.cn", "a.yunduo.cn", true}, {"A.yunduo.cn", "a.yunduo.cn", true}, {"*.yunduo.cn", "a.yunduo.cn", true},
		{"*.yunduo.cn", "b.a.yunduo.cn", false}, {"*.yunduo.cn", "yunduo.cn", false}, {"b.yunduo.cn", "a.yunduo.cn", false},
	} {
		if got := covers(c.name, c.domain); got != c.want {
			t.Errorf("%s for %s: got %t, want %t", c.name, c.domain, got, c.want)
		}
	}
}

// moto's quotas are those of a new account: five addresses and five VPCs.
func TestOnlineNetwork(t *testing.T) {
	o, _ := prepared(t, "eu-central-1", map[string]string{"NatZones": "two"})
	client := ec2.NewFromConfig(o.config)
	allocate := func() {
		must[*ec2.AllocateAddressOutput](t)(client.AllocateAddress(t.Context(), &ec2.AllocateAddressInput{Domain: ec2types.DomainTypeVpc}))
	}
	for range 3 {
		allocate()
	}
	wantError(t, o.check(t.Context()))
	allocate()
	wantError(t, o.addresses(t.Context()), "4 of 5 Elastic IPs in eu-central-1, and the deployment makes 2", "ask for a higher quota")
	own := must[*ec2.DescribeAddressesOutput](t)(client.DescribeAddresses(t.Context(), &ec2.DescribeAddressesInput{})).Addresses[0]
	for allocation, want := range map[string]string{
		"eipalloc-0123456789abcdef0/203.0.113.9": "the account has no eipalloc-0123456789abcdef0 in eu-central-1",
		*own.AllocationId + "/203.0.113.9":       "the address of " + *own.AllocationId + " is " + *own.PublicIp,
	} {
		o.parameters["AddressAllocationA"] = allocation
		wantError(t, o.addresses(t.Context()), want)
	}
	o.parameters["AddressAllocationA"] = *own.AllocationId + "/" + *own.PublicIp
	wantError(t, o.addresses(t.Context()))
	taken := own
	taken.AssociationId = aws.String("eipassoc-1")
	wantError(t, o.allocations([]ec2types.Address{taken}), "serves something else")
	o.parameters["Zones"] = "eu-central-1a,eu-central-1b"
	wantError(t, o.zones(t.Context()))
	o.parameters["Zones"] = "eu-central-1a,eu-central-1z"
	wantError(t, o.zones(t.Context()), "eu-central-1a, ", "not eu-central-1z: choose two of these")

	wantError(t, o.vpcs(t.Context()))
	var vpc string
	for range 4 { // a region has one already
		vpc = *must[*ec2.CreateVpcOutput](t)(client.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})).Vpc.VpcId
	}
	wantError(t, o.vpcs(t.Context()), "5 of 5 VPCs in eu-central-1", "set VpcId, SubnetIds and TrustedIps")
	o.first = false // the stack has its VPC
	wantError(t, o.vpcs(t.Context()))

	subnet := *must[*ec2.CreateSubnetOutput](t)(client.CreateSubnet(t.Context(), &ec2.CreateSubnetInput{VpcId: &vpc, CidrBlock: aws.String("10.1.1.0/24")})).Subnet.SubnetId
	maps.Copy(o.parameters, map[string]string{"TrustedIps": "203.0.113.9", "VpcId": vpc, "SubnetIds": subnet})
	for _, ask := range []func(context.Context) error{o.subnets, o.addresses, o.vpcs} {
		wantError(t, ask(t.Context()))
	}
	o.parameters["VpcId"] = "vpc-01234567"
	wantError(t, o.subnets(t.Context()), subnet+" lies in "+vpc)
	o.parameters["SubnetIds"] = "subnet-01234567"
	wantError(t, o.subnets(t.Context()), "enter private subnets of vpc-01234567")
}

// The addresses of the stack itself count against the quota, and not against the
// deployment: with the quota used up, it needs those only that the stack lacks.
func TestOnlineAddressesOfTheStack(t *testing.T) {
	o, _ := prepared(t, "ca-central-1", map[string]string{"NatZones": "two"})
	o.env.Stack, o.first = "addresses", false
	address := `{"Type":"AWS::EC2::EIP","Properties":{"Domain":"vpc"}}`
	body := `{"Resources":{"AddressA":` + address + `,"Topic":{"Type":"AWS::SNS::Topic","Properties":{}},"AddressB":` + address + `}}`
	must[*cloudformation.CreateStackOutput](t)(cloudformation.NewFromConfig(o.config).CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &o.env.Stack, TemplateBody: &body}))
	for range 3 {
		must[*ec2.AllocateAddressOutput](t)(ec2.NewFromConfig(o.config).AllocateAddress(t.Context(), &ec2.AllocateAddressInput{Domain: ec2types.DomainTypeVpc}))
	}
	if n, err := o.resourcesOf(t.Context(), "AWS::EC2::EIP"); n != 2 || err != nil {
		t.Errorf("got %d and %v, want the 2 addresses of the stack", n, err)
	}
	wantError(t, o.addresses(t.Context()))
	o.first = true
	wantError(t, o.addresses(t.Context()), "5 of 5 Elastic IPs in ca-central-1, and the deployment makes 2")
	o.first, o.env.Stack = false, "gone"
	wantError(t, o.addresses(t.Context()), "resources of the stack gone: ")
}

func TestOnlineConcurrency(t *testing.T) {
	for _, c := range []struct {
		name  string
		runs  int
		taken int // reserved runs of the account
		pull  string
		none  bool              // ReserveConcurrency=false
		now   map[string]string // parameters of the stack
		want  string
		notes int
	}{
		{"a usual account", 1000, 0, "20", false, nil, "", 0},
		{"a new account", 10, 0, "0", false, nil, "", 2},
		{"a new account that reserves", 10, 0, "2", false, nil, "of the account's 10 only 0 may be reserved", 0},
		{"a new account that bounds", 10, 0, "2", true, nil, "", 2},
		{"an account with more", 3000, 0, "20", false, nil, "", 1},
		{"too many", 1000, 0, "901", false, nil, "reserves 901 concurrent Lambda runs, and of the account's 1000 only 900", 0},
		{"as many as AWS allows", 1000, 0, "900", false, nil, "", 0},
		{"beside other functions", 1000, 600, "301", false, nil, "only 300 may be reserved", 0},
		{"beside another stack", 1000, 600, "401", false, map[string]string{"PullConcurrency": "60", "ApiConcurrency": "40"}, "only 400 may be reserved", 0},
		{"as many as it has, and the rest", 1000, 600, "400", false, map[string]string{"PullConcurrency": "60", "ApiConcurrency": "40"}, "", 0},
		{"a stack that reserved none", 1000, 600, "301", false, map[string]string{"PullConcurrency": "60", "ReserveConcurrency": "false"}, "only 300 may be reserved", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, _ := prepared(t, "eu-north-1", map[string]string{"PullConcurrency": c.pull, "ReserveConcurrency": strconv.FormatBool(!c.none)})
			o.config, o.first, o.now = accountWith(t, "eu-north-1", c.runs, c.taken), c.now == nil, c.now
			err := o.concurrency(t.Context())
			if c.want == "" {
				wantError(t, err)
				if len(o.notes) != c.notes {
					t.Errorf("notes: got %q, want %d", o.notes, c.notes)
				}
			} else {
				wantError(t, err, c.want)
			}
		})
	}
}

func TestOnlineTrail(t *testing.T) {
	o, _ := prepared(t, "ap-south-1", map[string]string{"Trail": "existing"})
	wantError(t, o.trail(t.Context()), "no trail reports", "set Trail=create")
	client, bucket := cloudtrail.NewFromConfig(o.config), awstest.Name(t)
	must[*s3.CreateBucketOutput](t)(s3.NewFromConfig(o.config, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(o.config.Region)}}))
	make := func(name string, events bool) {
		must[*cloudtrail.CreateTrailOutput](t)(client.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: &bucket}))
		must[*cloudtrail.PutEventSelectorsOutput](t)(client.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &name, EventSelectors: []trailtypes.EventSelector{{IncludeManagementEvents: &events, ReadWriteType: trailtypes.ReadWriteTypeAll}}}))
	}
	start := func(name string) {
		must[*cloudtrail.StartLoggingOutput](t)(client.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: &name}))
	}
	make("archive", true)
	start("archive")
	make("data-only", false)
	start("data-only")
	make("stopped", true)
	wantError(t, o.trail(t.Context()), "no trail reports") // neither of the three does
	start("stopped")
	wantError(t, o.trail(t.Context()))
	o.parameters["Trail"] = "create"
	wantError(t, o.trail(t.Context()))
	if len(o.notes) != 1 || !strings.Contains(o.notes[0], "the trail stopped reports management events already, and AWS charges for a second: run make unprotect ENV=prod and set Trail=existing") {
		t.Errorf("notes: got %q, want one about the second trail", o.notes)
	}
	for want, selectors := range map[bool][]trailtypes.AdvancedFieldSelector{
		true:  {{Field: aws.String("eventCategory"), Equals: []string{"Management"}}},
		false: {{Field: aws.String("eventCategory"), Equals: []string{"Management"}}, {Field: aws.String("readOnly"), Equals: []string{"true"}}},
	} {
		name := fmt.Sprint("advanced-", want)
		make(name, false)
		start(name)
		must[*cloudtrail.PutEventSelectorsOutput](t)(client.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &name, AdvancedEventSelectors: []trailtypes.AdvancedEventSelector{{FieldSelectors: selectors}}}))
		if got, err := reports(t.Context(), client, name); err != nil || got != want {
			t.Errorf("%s: got %t and %v, want %t", name, got, err, want)
		}
	}
	wantError(t, o.trail(t.Context())) // the fifth is the stack's own
	o.env.Stack = "another"
	wantError(t, o.trail(t.Context()), "the account has 5 trails in ap-south-1, and AWS allows 5", "set Trail=existing")
}

func TestOnlineIssuer(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*identityProvider, *online)
		want   []string
	}{
		{"RS256", func(*identityProvider, *online) {}, nil},
		{"RS384 only", func(p *identityProvider, _ *online) { p.algorithms = []string{"ES256", "RS384"} }, nil},
		{"RS512 only", func(p *identityProvider, _ *online) { p.algorithms = []string{"RS512"} }, nil},
		{"names no algorithms", func(p *identityProvider, _ *online) { p.algorithms = nil }, nil},
		{"another issuer", func(p *identityProvider, _ *online) { p.issuer = p.URL + "/" }, []string{"set JwtIssuer to what the tokens contain as iss"}},
		{"elliptic curves only", func(p *identityProvider, _ *online) {
			p.algorithms, p.keys = []string{"ES256"}, `{"keys":[{"kty":"EC"}]}`
		}, []string{"signs with ES256", "has no RSA key"}},
		{"error", func(p *identityProvider, _ *online) { p.status = http.StatusNotFound }, []string{"it must answer 200"}},
		{"no JSON", func(p *identityProvider, _ *online) { p.keys = "<html>" }, []string{"/keys is no JSON document"}},
		{"slow", func(p *identityProvider, _ *online) { p.delay = 10 * time.Second }, []string{"took longer than 1.5s"}},
		{"down", func(p *identityProvider, _ *online) { p.Close() }, []string{"is unreachable: make it public"}},
		{"certificate that browsers refuse", func(_ *identityProvider, o *online) { o.client = &http.Client{} }, []string{"with a certificate that browsers accept"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIdentityProvider(t)
			o := &online{parameters: map[string]string{"JwtIssuer": p.URL}, client: p.Client()}
			c.change(p, o)
			wantError(t, o.issuer(t.Context()), c.want...)
		})
	}
}
