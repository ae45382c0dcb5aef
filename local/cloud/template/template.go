// Package template reads the project's SAM template: the functions with their
// triggers, the queues, the buckets and the HTTP API. The local cloud is made
// of what the template describes, and so matches what is deployed.
//
// The package knows the part of CloudFormation that the template uses. It
// refuses everything else rather than guess. Package local/aws, which tests
// share, reads the keys of the tables.
package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// account is the AWS account of every stack: moto's account.
const account = "123456789012"

// Options are what CloudFormation is given together with the template.
type Options struct {
	// StackName begins the names of resources that the template does not name.
	StackName string
	// Region decides the partition too: cn-* is aws-cn.
	Region string
	// Parameters override the template's defaults. Every parameter of the
	// template needs a value here or a default, and every name here must be a
	// parameter of the template.
	Parameters map[string]string
	// QueueEndpoint is the beginning of every queue URL, without a path.
	QueueEndpoint string
}

// A Stack is a template with all values resolved. Lists are in order of
// logical ids.
type Stack struct {
	// Partition, Region and Account are where the stack lives. They begin the
	// ARN of every resource; see [Stack.ARN].
	Partition, Region, Account string

	Functions []Function
	Queues    []Queue
	Buckets   []Bucket
	Tables    map[string]string // names, by logical id
	Topics    map[string]string // names of SNS topics, by logical id
	Buses     map[string]string // names of EventBridge buses, by logical id
	API       API
}

// A Function is an AWS::Serverless::Function.
type Function struct {
	ID          string // logical id, which also names the folder of the binary below build/
	Name, ARN   string
	Handler     string
	MemorySize  int // MB
	Timeout     time.Duration
	LogFormat   string // JSON or Text
	LogLevel    string // level of the application's own log, such as INFO
	Environment map[string]string
	Sources     []Source // queues that invoke the function
	Schedules   []Schedule
	Routes      []Route
}

// A Source is an SQS queue that invokes a function with its messages.
type Source struct {
	QueueARN       string
	BatchSize      int
	Concurrency    int  // most invocations at once
	PartialBatches bool // the function's answer names the failed messages
}

// A Schedule invokes a function periodically.
type Schedule struct {
	Name  string // name of the event in the template
	Every time.Duration
}

// A Route leads requests to a function. Method ANY matches all methods. Path
// is as in the template, with {name} and {name+}. Authorizer names the API's
// authorizer. A route without an authorizer is open: its requests need no
// token.
type Route struct {
	Method, Path string
	Authorizer   string
}

// API is the AWS::Serverless::HttpApi with the authorizer that checks tokens.
type API struct {
	ID         string // logical id
	Authorizer string // name of the only authorizer
	Issuer     string
	Audience   []string
	CORS       CORS
}

// CORS says which web pages of other origins may call the API, and how.
// Without Origins, no page of another origin may.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            time.Duration
}

// A Queue is an AWS::SQS::Queue.
type Queue struct {
	ID, Name, URL, ARN string
	FIFO               bool
	Visibility         time.Duration
	Retention          time.Duration // 0 means the default of SQS
	DeadLetterARN      string        // empty if the queue has no dead-letter queue
	MaxReceives        int
}

// A Bucket is an AWS::S3::Bucket.
type Bucket struct {
	ID, Name  string
	Versioned bool
}

// ARN names a resource of the stack in the given service, such as
// ARN("events", "rule/x").
func (s *Stack) ARN(service, resource string) string {
	return strings.Join([]string{"arn", s.Partition, service, s.Region, s.Account, resource}, ":")
}

// Read resolves the template. The error names all mistakes at once.
func Read(source []byte, o Options) (*Stack, error) {
	doc, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("template unreadable: %w", err)
	}
	r := &resolver{options: o, doc: doc, resources: object(doc["Resources"])}
	r.setParameters()
	s := &Stack{
		Partition: r.partition(), Region: o.Region, Account: account,
		Tables: map[string]string{}, Topics: map[string]string{}, Buses: map[string]string{},
	}
	globals := object(object(doc["Globals"])["Function"])
	for _, id := range slices.Sorted(maps.Keys(r.resources)) {
		resource := object(r.resources[id])
		if name, ok := resource["Condition"].(string); ok && !r.condition(name) {
			continue
		}
		p := props{r: r, at: id, m: object(resource["Properties"])}
		switch resource["Type"] {
		case "AWS::Serverless::Function":
			s.Functions = append(s.Functions, function(p, globals))
		case "AWS::Serverless::HttpApi":
			if s.API.ID != "" {
				p.fail("second HTTP API unsupported")
			}
			s.API = api(p)
		case "AWS::SQS::Queue":
			s.Queues = append(s.Queues, queue(p))
		case "AWS::S3::Bucket":
			s.Buckets = append(s.Buckets, Bucket{
				ID: id, Name: r.name(id), Versioned: p.object("VersioningConfiguration").text("Status") == "Enabled",
			})
		case "AWS::DynamoDB::Table":
			s.Tables[id] = r.name(id)
		case "AWS::SNS::Topic":
			s.Topics[id] = r.name(id)
		case "AWS::Events::EventBus":
			s.Buses[id] = r.name(id)
		}
	}
	for _, f := range s.Functions {
		for _, route := range f.Routes {
			if route.Authorizer != "" && route.Authorizer != s.API.Authorizer {
				r.fail(f.ID, "authorizer of %s %s not declared in the API: %s", route.Method, route.Path, route.Authorizer)
			}
		}
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func function(p props, globals map[string]any) Function {
	// The template's global properties are scalars and objects. SAM merges
	// objects, and the function's own scalars replace the global scalars.
	own := p.m
	p.m = merge(globals, own)
	f := Function{
		ID: p.at, Name: p.r.name(p.at), ARN: p.r.attribute(p.at, "Arn"),
		Handler:     p.text("Handler"),
		MemorySize:  p.number("MemorySize", 128),
		Timeout:     time.Duration(p.number("Timeout", 3)) * time.Second,
		LogFormat:   p.object("LoggingConfig").textOr("LogFormat", "Text"),
		LogLevel:    p.object("LoggingConfig").textOr("ApplicationLogLevel", "INFO"),
		Environment: map[string]string{},
	}
	env := p.object("Environment").object("Variables")
	for name := range env.m {
		if value, ok := env.optional(name); ok {
			f.Environment[name] = value
		}
	}
	events := p.object("Events")
	for _, name := range slices.Sorted(maps.Keys(events.m)) {
		event := events.object(name)
		ep := event.object("Properties")
		switch kind := event.text("Type"); kind {
		case "HttpApi":
			f.Routes = append(f.Routes, Route{
				Method:     strings.ToUpper(ep.textOr("Method", "ANY")),
				Path:       ep.text("Path"),
				Authorizer: ep.object("Auth").text("Authorizer"),
			})
		case "Schedule":
			f.Schedules = append(f.Schedules, Schedule{Name: name, Every: rate(ep)})
		case "SQS":
			f.Sources = append(f.Sources, Source{
				QueueARN:       ep.text("Queue"),
				BatchSize:      ep.number("BatchSize", 10),
				Concurrency:    ep.object("ScalingConfig").number("MaximumConcurrency", 10),
				PartialBatches: slices.Contains(ep.texts("FunctionResponseTypes"), "ReportBatchItemFailures"),
			})
		default:
			event.fail("events of type %q unsupported", kind)
		}
	}
	return f
}

func api(p props) API {
	a := API{ID: p.at}
	auth := p.object("Auth")
	if auth.get("DefaultAuthorizer") != nil {
		p.fail("default authorizer unsupported: each route must name its own")
	}
	authorizers := auth.object("Authorizers")
	for name := range authorizers.m {
		jwt := authorizers.object(name).object("JwtConfiguration")
		a.Authorizer, a.Issuer, a.Audience = name, jwt.text("issuer"), jwt.texts("audience")
	}
	if len(authorizers.m) != 1 || a.Issuer == "" || len(a.Audience) == 0 {
		p.fail("exactly one JWT authorizer with issuer and audience expected")
	}
	if c, ok := p.get("CorsConfiguration").(map[string]any); ok {
		cors := props{r: p.r, at: p.at + ".CorsConfiguration", m: c}
		a.CORS = CORS{
			Origins: cors.texts("AllowOrigins"), Methods: cors.texts("AllowMethods"),
			Headers: cors.texts("AllowHeaders"), Expose: cors.texts("ExposeHeaders"),
			MaxAge: time.Duration(cors.number("MaxAge", 0)) * time.Second,
		}
	}
	return a
}

func queue(p props) Queue {
	q := Queue{
		ID: p.at, Name: p.r.name(p.at), ARN: p.r.attribute(p.at, "Arn"), URL: p.r.ref(p.at),
		FIFO:       p.boolean("FifoQueue"),
		Visibility: time.Duration(p.number("VisibilityTimeout", 30)) * time.Second,
		Retention:  time.Duration(p.number("MessageRetentionPeriod", 0)) * time.Second,
	}
	redrive := p.object("RedrivePolicy")
	q.DeadLetterARN, q.MaxReceives = redrive.text("deadLetterTargetArn"), redrive.number("maxReceiveCount", 0)
	return q
}

// rate reads a schedule such as rate(1 minute). Cron expressions are refused.
func rate(p props) time.Duration {
	var n int
	var unit string
	text := p.text("Schedule")
	if _, err := fmt.Sscanf(strings.TrimSuffix(text, ")"), "rate(%d %s", &n, &unit); err == nil && n > 0 {
		switch strings.TrimSuffix(unit, "s") {
		case "minute":
			return time.Duration(n) * time.Minute
		case "hour":
			return time.Duration(n) * time.Hour
		case "day":
			return time.Duration(n) * 24 * time.Hour
		}
	}
	p.fail("schedule %q is not a rate(...)", text)
	return 0
}

// merge returns base with the values of own laid over it. Objects that both
// have are merged in the same way.
func merge(base, own map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range own {
		if sub, ok := v.(map[string]any); ok {
			if below, ok := out[k].(map[string]any); ok {
				v = merge(below, sub)
			}
		}
		out[k] = v
	}
	return out
}
