package aws_test

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/needs"
)

const template = `
Resources:
  CorpsTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties:
      TableName: !Sub "${AWS::StackName}-corps"
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: sk, AttributeType: S}
        - {AttributeName: registry, AttributeType: S}
      KeySchema:
        - {AttributeName: pk, KeyType: HASH}
        - {AttributeName: sk, KeyType: RANGE}
      GlobalSecondaryIndexes:
        - IndexName: registry
          KeySchema:
            - {AttributeName: registry, KeyType: HASH}
            - {AttributeName: pk, KeyType: RANGE}
          Projection: {ProjectionType: ALL}
      SSESpecification: !If [OwnKey, {SSEEnabled: true, KMSMasterKeyId: !Ref Key}, !Ref AWS::NoValue]
  Function:
    Type: AWS::Serverless::Function
    Properties:
      KeySchema: !Ref Something
      Policies: !GetAtt Other.Thing
`

func TestServices(t *testing.T) {
	needs.Servers(t)
	var first string
	dir := t.TempDir()
	for _, turn := range []string{"new folder", "same folder again"} {
		s, err := aws.Start(t.Context(), aws.Options{Dir: dir})
		if err != nil {
			t.Fatalf("%s: %v", turn, err)
		}
		t.Cleanup(s.Stop)
		client := dynamodb.NewFromConfig(s.Config())
		if first == "" {
			first = "some-table"
			tables, err := aws.Tables([]byte(template))
			if err != nil || len(tables) != 1 {
				t.Fatalf("Tables: got %d tables, error %v, want CorpsTable", len(tables), err)
			}
			in := tables["CorpsTable"]
			in.TableName = &first
			made, err := client.CreateTable(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(made.TableDescription.GlobalSecondaryIndexes); n != 1 {
				t.Errorf("got %d indexes, want 1", n)
			}
		}
		list, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(list.TableNames, []string{first}) {
			t.Errorf("%s: got tables %q, want %q", turn, list.TableNames, first)
		}
		if _, err := s3.NewFromConfig(s.Config()).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
			t.Errorf("%s: moto: %v", turn, err)
		}
		checkLoopbackOnly(t, s.Env())
		s.Stop()
		s.Stop()
		if _, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{}, func(o *dynamodb.Options) {
			o.Retryer = sdk.NopRetryer{}
		}); err == nil {
			t.Errorf("%s: DynamoDB answers after Stop", turn)
		}
	}
}

// checkLoopbackOnly tries the machine's other addresses.
func checkLoopbackOnly(t *testing.T, env []string) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "AWS_ENDPOINT_URL") {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || u.Hostname() != "127.0.0.1" {
			t.Errorf("%s: got %q, want a URL on 127.0.0.1", name, value)
			continue
		}
		for _, a := range addrs {
			ip := a.(*net.IPNet).IP
			if ip.IsLoopback() || ip.To4() == nil {
				continue
			}
			c, err := net.Dial("tcp", net.JoinHostPort(ip.String(), u.Port()))
			if err == nil {
				c.Close()
				t.Errorf("%s listens on %v too", name, ip)
			}
		}
	}
}

func TestFromEnv(t *testing.T) {
	const ours, account = "http://127.0.0.1:4711", "https://dynamodb.cn-north-1.amazonaws.com.cn"
	for _, c := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"passed on", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": ours, "AWS_ENDPOINT_URL_S3": ours}, true},
		{"nothing", nil, false},
		{"half", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": ours}, false},
		{"an account", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": account, "AWS_ENDPOINT_URL_S3": ours}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := aws.FromEnv(func(k string) string { return c.env[k] }); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
