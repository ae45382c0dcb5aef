package template_test

import (
	"os"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// Check refuses every contradiction in the parameters of the deployed template
// with one sentence.
func TestCheckDeployedTemplate(t *testing.T) {
	source, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const certificate = "arn:aws-cn:acm:cn-north-1:111122223333:certificate/0"
	for name, c := range map[string]struct {
		change map[string]string
		want   string // part of the error; empty if the parameters are right
	}{
		"complete":                   {nil, ""},
		"domain with certificate":    {map[string]string{"PublicUrl": "", "DomainName": "a.example.com", "CertificateArn": certificate}, ""},
		"domain behind a proxy":      {map[string]string{"DomainName": "a.example.com", "CertificateArn": certificate}, ""},
		"domain without certificate": {map[string]string{"DomainName": "a.example.com"}, "DomainName needs CertificateArn"},
		"certificate without domain": {map[string]string{"CertificateArn": certificate}, "CertificateArn is of no use"},
		"no address":                 {map[string]string{"PublicUrl": ""}, ""},
		"own network":                {map[string]string{"TrustedIps": "203.0.113.9", "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567,subnet-76543210"}, ""},
		"own network in part":        {map[string]string{"TrustedIps": "203.0.113.9"}, "all three of VpcId"},
		"own subnets alone":          {map[string]string{"SubnetIds": "subnet-01234567"}, "all three of VpcId"},
		"own network, made zones":    {map[string]string{"TrustedIps": "203.0.113.9", "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567", "NatZones": "two"}, "leave it at one"},
		"two zones":                  {map[string]string{"NatZones": "two"}, ""},
		"addresses":                  {map[string]string{"NatZones": "two", "AddressAllocationA": "eipalloc-0123456789abcdef0/203.0.113.9", "AddressAllocationB": "eipalloc-0123456789abcdef1/203.0.113.10"}, ""},
		"one address twice":          {map[string]string{"AddressAllocationA": "eipalloc-01234567/203.0.113.9", "AddressAllocationB": "eipalloc-01234567/203.0.113.9"}, "are the same address"},
		"allocation without address": {map[string]string{"AddressAllocationA": "eipalloc-0123456789abcdef0"}, "AddressAllocationA"},
		"own network, address":       {map[string]string{"TrustedIps": "203.0.113.9", "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567", "AddressAllocationB": "eipalloc-01234567/203.0.113.9"}, "leave them empty"},
		"network":                    {map[string]string{"VpcCidr": "172.20.0.0/16", "Zones": "cn-north-1a,cn-north-1b"}, ""},
		"network too small":          {map[string]string{"VpcCidr": "10.0.0.0/23"}, "VpcCidr"},
		"public network":             {map[string]string{"VpcCidr": "203.0.112.0/22"}, "VpcCidr"},
		"one zone":                   {map[string]string{"Zones": "cn-north-1a"}, "Zones"},
		"one key":                    {map[string]string{"Keys": "one"}, ""},
		"some keys":                  {map[string]string{"Keys": "two"}, "Keys"},
		"boundary":                   {map[string]string{"PermissionsBoundary": "arn:aws-cn:iam::123456789012:policy/ops/boundary"}, ""},
		"role for a boundary":        {map[string]string{"PermissionsBoundary": "arn:aws-cn:iam::123456789012:role/boundary"}, "PermissionsBoundary"},
		"alarms":                     {map[string]string{"Alarms": "essential"}, ""},
		"no alarms":                  {map[string]string{"Alarms": "none"}, "Alarms"},
		"sizes":                      {map[string]string{"DispatchMemory": "1024", "PullMemory": "2048", "DecodeMemory": "3538", "MediaMemory": "1024", "AccountConcurrency": "10"}, ""},
		"too little memory":          {map[string]string{"DecodeMemory": "128"}, "DecodeMemory: 128 is below"},
		"lock":                       {map[string]string{"JournalLock": "COMPLIANCE", "JournalLockDays": "1825"}, ""},
		"lock without days":          {map[string]string{"JournalLock": "GOVERNANCE"}, "JournalLock needs a retention"},
		"days without lock":          {map[string]string{"JournalLockDays": "30"}, "locks nothing"},
		"no issuer":                  {map[string]string{"JwtIssuer": ""}, "JwtIssuer"},
		"issuer is no address":       {map[string]string{"JwtIssuer": "login.example.com"}, "JwtIssuer"},
		"issuer without TLS":         {map[string]string{"JwtIssuer": "http://login.example.com"}, "JwtIssuer"},
		"issuer with a query":        {map[string]string{"JwtIssuer": "https://login.example.com/?a=b"}, "JwtIssuer"},
		"pages":                      {map[string]string{"AllowedOrigins": "https://scrm.example.com,http://localhost:5173"}, ""},
		"page with a path":           {map[string]string{"AllowedOrigins": "https://scrm.example.com/"}, "AllowedOrigins"},
		"page without TLS":           {map[string]string{"AllowedOrigins": "https://scrm.example.com,http://scrm.example.com"}, "AllowedOrigins"},
		"page like this machine":     {map[string]string{"AllowedOrigins": "http://localhost.example.com"}, "AllowedOrigins"},
		"address without TLS":        {map[string]string{"PublicUrl": "http://archive.example.com"}, "PublicUrl"},
		"role":                       {map[string]string{"BreakGlassRole": "arn:aws-cn:iam::123456789012:role/ops/break-glass"}, ""},
		"user for a role":            {map[string]string{"BreakGlassRole": "arn:aws-cn:iam::123456789012:user/ops"}, "BreakGlassRole"},
		"another trail":              {map[string]string{"Trail": "mine"}, "Trail"},
		"companies":                  {map[string]string{"Companies": "5000"}, ""},
		"companies between":          {map[string]string{"Companies": "600"}, "Companies"},
		"callbacks beyond":           {map[string]string{"CallbackRequestsPerSecond": "5001"}, "CallbackRequestsPerSecond: 5001 is above"},
		"runs":                       {map[string]string{"ApiConcurrency": "1", "PullConcurrency": "2", "DecodeConcurrency": "40", "MediaConcurrency": "2"}, ""},
		"bounds only":                {map[string]string{"ReserveConcurrency": "false", "PullConcurrency": "3"}, ""},
		"reserved somehow":           {map[string]string{"ReserveConcurrency": "some"}, "ReserveConcurrency"},
		"a single run of pull":       {map[string]string{"PullConcurrency": "1"}, "no limit below 2"},
		"a single run of decode":     {map[string]string{"DecodeConcurrency": "1"}, "no limit below 2"},
		"a single run of media":      {map[string]string{"MediaConcurrency": "1"}, "no limit below 2"},
		"proxy":                      {map[string]string{"WecomProxy": "socks5://10.0.0.1:1080"}, ""},
		"proxy without a port":       {map[string]string{"WecomProxy": "http://10.0.0.1"}, "WecomProxy"},
		"proxy with a password":      {map[string]string{"WecomProxy": "http://user:word@10.0.0.1:8081"}, "WecomProxy"},
		"no such address":            {map[string]string{"TrustedIps": "999.1.1.1", "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567"}, "TrustedIps"},
		"processor":                  {map[string]string{"Architecture": "riscv64"}, "Architecture"},
		"address is no address":      {map[string]string{"TrustedIps": "203.0.113.9,203.0.113.10"}, "TrustedIps"},
		"mail":                       {map[string]string{"AlarmEmail": "ops at example"}, "AlarmEmail"},
		"domain in capitals":         {map[string]string{"DomainName": "Archive.example.com"}, "DomainName"},
		"domain too long":            {map[string]string{"DomainName": strings.Repeat("a.", 40) + "example.com"}, "DomainName: is longer"},
		"days beyond":                {map[string]string{"JournalLockDays": "36501"}, "JournalLockDays: 36501 is above"},
		"days negative":              {map[string]string{"JournalLockDays": "-1"}, "JournalLockDays: -1 is below"},
		"days are no number":         {map[string]string{"JournalLockDays": "many"}, `"many" is no whole number`},
		"half a day":                 {map[string]string{"JournalLock": "COMPLIANCE", "JournalLockDays": "1.5"}, `JournalLockDays: "1.5" is no whole number`},
		"half a run":                 {map[string]string{"ApiConcurrency": "2.5"}, `"2.5" is no whole number`},
		"exponent":                   {map[string]string{"RequestsPerSecond": "1e2"}, `"1e2" is no whole number`},
		"half a megabyte":            {map[string]string{"PullMemory": "1024.5"}, `"1024.5" is no whole number`},
		"days of logs":               {map[string]string{"LogDays": "45"}, "LogDays"},
		"unknown parameter":          {map[string]string{"Trusted": "x"}, "Trusted: is not declared"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Parameters = map[string]string{"JwtIssuer": "https://login.example.com", "PublicUrl": "https://archive.example.com"}
			for k, v := range c.change {
				o.Parameters[k] = v
			}
			err := template.Check(source, o)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// An operator who deploys learns from the template alone what to enter.
func TestEveryParameterIsDescribed(t *testing.T) {
	source, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parameters, err := template.Parameters(source)
	if err != nil {
		t.Fatal(err)
	}
	if len(parameters) == 0 {
		t.Fatal("got 0 parameters, want some")
	}
	for name, p := range parameters {
		if len(p.Description) < 30 {
			t.Errorf("%s: description %q is too short to say what to enter", name, p.Description)
		}
		if !p.Bounded {
			t.Errorf("%s: pattern, list and maximum are missing", name)
		}
		if !p.Pattern {
			continue
		}
		if p.Constraint == "" {
			t.Errorf("%s: pattern without ConstraintDescription", name)
		}
		o := options()
		o.Parameters = map[string]string{"JwtIssuer": "https://login.example.com"}
		o.Parameters[name] = "\n"
		if err := template.Check(source, o); err == nil || !strings.HasSuffix(err.Error(), `"\n" does not match: `+p.Constraint) {
			t.Errorf("%s: got %v, want the constraint: %s", name, err, p.Constraint)
		}
	}
}

func TestCheckRefusesUnreadableRules(t *testing.T) {
	const head = "Parameters: {A: {Type: String, Default: a}}\nRules:\n  R:\n    "
	for name, c := range map[string]struct{ rule, want string }{
		"no assertion":     {"RuleCondition: !Equals [!Ref A, a]", "assertions missing"},
		"unknown function": {"Assertions: [{Assert: !Contains [[a], !Ref A], AssertDescription: x}]", "unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			err := template.Check([]byte(head+c.rule), template.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
