package template_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

const sample = `
Parameters:
  Who: {Type: String}
  Extra: {Type: String, Default: ""}
  Origins: {Type: String, Default: ""}
Conditions:
  HasExtra: !Not [!Equals [!Ref Extra, ""]]
  HasOrigins: !Not [!Equals [!Ref Origins, ""]]
Globals:
  Function:
    Handler: bootstrap
    LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG}
    Environment:
      Variables: {EVERYWHERE: "yes"}
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 7
      MemorySize: 256
      Environment:
        Variables:
          QUEUE_URL: !Ref Jobs
          TABLE: !Ref Things
          BUCKET: {Ref: Files}
          TOPIC: !Ref News
          WHO: !Sub "${Who} in ${AWS::Region} of ${AWS::Partition}, ${!literal}, ${Jobs.Arn}"
          EXTRA: !If [HasExtra, !Ref Extra, !Ref AWS::NoValue]
          SECOND: !If [HasOrigins, !Select [1, !Split [",", !Ref Origins]], !Ref AWS::NoValue]
      Policies: [{Statement: !Unheard [of]}]
      Events:
        Jobs:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 3}
        Often: {Type: Schedule, Properties: {Schedule: rate(5 minutes)}}
        Open: {Type: HttpApi, Properties: {Path: "/a/{b}", Method: get}}
        Shut: {Type: HttpApi, Properties: {Path: "/v/{proxy+}", Method: ANY, Auth: {Authorizer: Jwt}}}
  Never: {Type: AWS::S3::Bucket, Condition: HasExtra}
  Files: {Type: AWS::S3::Bucket, Properties: {VersioningConfiguration: {Status: Enabled}}}
  Things: {Type: AWS::DynamoDB::Table}
  Hints:
    Type: AWS::Events::EventBus
    Properties:
      Name: !Ref AWS::StackName
  News: {Type: AWS::SNS::Topic, Properties: {TopicName: !Sub "${AWS::StackName}-news"}}
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${AWS::StackName}-jobs.fifo"
      FifoQueue: true
      VisibilityTimeout: 42
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 4}
  Dead: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, QueueName: dead.fifo, MessageRetentionPeriod: 1209600}}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: !If
        - HasOrigins
        - {AllowOrigins: !Split [",", !Ref Origins], AllowMethods: [GET], AllowHeaders: [a, b], ExposeHeaders: [c], MaxAge: 60}
        - !Ref AWS::NoValue
      Auth:
        Authorizers: {Jwt: {JwtConfiguration: {issuer: "https://issuer", audience: [!Ref Who]}}}
`

func options() template.Options {
	return template.Options{
		StackName: "st", Region: "cn-north-1", QueueEndpoint: "http://127.0.0.1:1",
		Parameters: map[string]string{"Who": "us"},
	}
}

func TestRead(t *testing.T) {
	got, err := template.Read([]byte(sample), options())
	if err != nil {
		t.Fatal(err)
	}
	const sqs = "arn:aws-cn:sqs:cn-north-1:123456789012:"
	want := &template.Stack{
		Partition: "aws-cn", Region: "cn-north-1", Account: "123456789012",
		Functions: []template.Function{{
			ID: "Worker", Name: "st-Worker", ARN: "arn:aws-cn:lambda:cn-north-1:123456789012:function:st-Worker",
			Handler: "bootstrap", MemorySize: 256, Timeout: 7 * time.Second, LogFormat: "JSON", LogLevel: "DEBUG",
			Environment: map[string]string{
				"EVERYWHERE": "yes", "QUEUE_URL": "http://127.0.0.1:1/123456789012/st-jobs.fifo",
				"TABLE": "st-Things", "BUCKET": "st-files", "EXTRA": "",
				"TOPIC": "arn:aws-cn:sns:cn-north-1:123456789012:st-news",
				"WHO":   "us in cn-north-1 of aws-cn, ${literal}, " + sqs + "st-jobs.fifo",
			},
			Sources:   []template.Source{{QueueARN: sqs + "st-jobs.fifo", BatchSize: 5, Concurrency: 3, PartialBatches: true}},
			Schedules: []template.Schedule{{Name: "Often", Every: 5 * time.Minute}},
			Routes:    []template.Route{{Method: "GET", Path: "/a/{b}"}, {Method: "ANY", Path: "/v/{proxy+}", Authorizer: "Jwt"}},
		}},
		Queues: []template.Queue{
			{
				ID: "Dead", Name: "dead.fifo", URL: "http://127.0.0.1:1/123456789012/dead.fifo", ARN: sqs + "dead.fifo",
				FIFO: true, Visibility: 30 * time.Second, Retention: 14 * 24 * time.Hour,
			},
			{
				ID: "Jobs", Name: "st-jobs.fifo", URL: "http://127.0.0.1:1/123456789012/st-jobs.fifo", ARN: sqs + "st-jobs.fifo",
				FIFO: true, Visibility: 42 * time.Second, DeadLetterARN: sqs + "dead.fifo", MaxReceives: 4,
			},
		},
		Buckets: []template.Bucket{{ID: "Files", Name: "st-files", Versioned: true}},
		Tables:  map[string]string{"Things": "st-Things"},
		Topics:  map[string]string{"News": "st-news"},
		Buses:   map[string]string{"Hints": "st"},
		API:     template.API{ID: "Api", Authorizer: "Jwt", Issuer: "https://issuer", Audience: []string{"us"}},
	}
	// A variable without a value stays unset.
	delete(want.Functions[0].Environment, "EXTRA")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, want := got.ARN("events", "rule/x"), "arn:aws-cn:events:cn-north-1:123456789012:rule/x"; got != want {
		t.Errorf("ARN: got %q, want %q", got, want)
	}
}

func TestReadConditionTrue(t *testing.T) {
	o := options()
	o.Parameters["Extra"], o.Parameters["Origins"] = "more", "https://a,https://b"
	got, err := template.Read([]byte(sample), o)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"EXTRA": "more", "SECOND": "https://b"} {
		if v := got.Functions[0].Environment[name]; v != want {
			t.Errorf("%s: got %q, want %s", name, v, want)
		}
	}
	want := template.CORS{
		Origins: []string{"https://a", "https://b"}, Methods: []string{"GET"}, Headers: []string{"a", "b"}, Expose: []string{"c"}, MaxAge: time.Minute,
	}
	if !reflect.DeepEqual(got.API.CORS, want) {
		t.Errorf("got %+v, want %+v", got.API.CORS, want)
	}
	if len(got.Buckets) != 2 {
		t.Errorf("got %d buckets, want 2: the conditional bucket too", len(got.Buckets))
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"parameter without value": {"Who: {Type: String}", "Who: {Type: String}\n  Other: {Type: String}", "Other: has no default"},
		"parameter off pattern":   {"Who: {Type: String}", `Who: {Type: String, AllowedPattern: "[0-9]+"}`, `"us" does not match`},
		"parameter unknown":       {"Who: {Type: String}", "Whom: {Type: String, Default: x}", "Who: is not declared"},
		"unknown reference":       {"!Ref Things", "!Ref Nothing", `"Nothing" not declared`},
		"unknown function":        {"!Ref Things", "!ImportValue x", "Fn::ImportValue"},
		"no such part":            {"!Ref Things", `!Select [2, !Split [",", "a,b"]]`, "Fn::Select"},
		"cron":                    {"rate(5 minutes)", "cron(0 1 * * ? *)", "not a rate"},
		"unknown event":           {"Type: Schedule", "Type: SNS", `"SNS" unsupported`},
		"unknown authorizer":      {"Method: ANY, Auth: {Authorizer: Jwt}", "Method: ANY, Auth: {Authorizer: NONE}", "not declared in the API: NONE"},
		"default authorizer":      {"Authorizers: {Jwt:", "DefaultAuthorizer: Jwt\n        Authorizers: {Jwt:", "unsupported: each route must name its own"},
		"number":                  {"Timeout: 7", "Timeout: seven", `Timeout is "seven"`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(sample, c.old, c.new, 1)
			_, err := template.Read([]byte(changed), options())
			if err == nil || strings.Count(err.Error(), c.want) != 1 {
				t.Errorf("got %v, want an error with %q once", err, c.want)
			}
		})
	}
}
