// Package template reads the project's SAM template, so that the local cloud
// is made of what is deployed: its functions with their triggers, its queues,
// buckets and the HTTP API.
//
// It knows the part of CloudFormation that the template uses, and refuses what
// it does not know rather than guess. The keys of the tables are read by
// package local/aws, which tests share.
package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// account is where the stack lives: moto's account.
const account = "123456789012"

// Options are what CloudFormation is told beside the template.
type Options struct {
	// StackName begins the names of resources that the template does not name.
	StackName string
	// Region decides the partition too: cn-* is aws-cn.
	Region string
	// Parameters override the template's defaults. Every parameter needs one
	// of the two, and every name here must be a parameter.
	Parameters map[string]string
	// QueueEndpoint is the URL that queue URLs begin with, without a path.
	QueueEndpoint string
}

// A Stack is a template, resolved. Lists are in order of logical ids.
type Stack struct {
	Functions []Function
	Queues    []Queue
	Buckets   []Bucket
	Tables    map[string]string // names, by logical id
	Topics    map[string]string // names of SNS topics, by logical id
	API       API
}

// A Function is an AWS::Serverless::Function.
type Function struct {
	ID          string // logical id: also the folder that its binary is built into
	Name, ARN   string
	Handler     string
	MemorySize  int // MB
	Timeout     time.Duration
	LogFormat   string // JSON or Text
	LogLevel    string // of the application, such as INFO
	Environment map[string]string
	Sources     []Source // SQS events
	Schedules   []Schedule
	Routes      []Route
}

// A Source is an SQS queue whose messages a function gets.
type Source struct {
	QueueARN       string
	BatchSize      int
	Concurrency    int  // most invocations at once
	PartialBatches bool // the function answers which messages failed
}

// A Schedule invokes a function again and again.
type Schedule struct {
	Name  string // of the event in the template
	Every time.Duration
}

// A Route leads requests to a function. Method is ANY for all; Path is as in
// the template, with {name} and {name+}. Authorizer is the API's, or empty for
// an open route, which needs no token.
type Route struct {
	Method, Path string
	Authorizer   string
}

// API is the AWS::Serverless::HttpApi and how it checks tokens.
type API struct {
	ID         string // logical id
	Authorizer string // its one authorizer
	Issuer     string
	Audience   []string
	CORS       CORS
}

// CORS is which pages of other origins may call the API, and how; without
// origins none may.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            time.Duration
}

// A Queue is an AWS::SQS::Queue.
type Queue struct {
	ID, Name, URL, ARN string
	FIFO               bool
	Visibility         time.Duration
	Retention          time.Duration // 0 for the service's own default
	DeadLetterARN      string        // empty for none
	MaxReceives        int
}

// A Bucket is an AWS::S3::Bucket.
type Bucket struct {
	ID, Name  string
	Versioned bool
}

// Read resolves the template. All mistakes are reported at once.
func Read(source []byte, o Options) (*Stack, error) {
	doc, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	r := &resolver{options: o, doc: doc, resources: object(doc["Resources"])}
	r.setParameters()
	s := &Stack{Tables: map[string]string{}, Topics: map[string]string{}}
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
				p.fail("a second HTTP API is not supported")
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
		}
	}
	for _, f := range s.Functions {
		for _, route := range f.Routes {
			if route.Authorizer != "" && route.Authorizer != s.API.Authorizer {
				r.fail(f.ID, "%s %s has an authorizer that the API has not: %s", route.Method, route.Path, route.Authorizer)
			}
		}
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func function(p props, globals map[string]any) Function {
	// Of the global properties the template sets scalars and objects; SAM
	// merges objects and lets the function's own scalars win.
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
		// A variable whose value is AWS::NoValue is not set at all.
		if env.get(name) != nil {
			f.Environment[name] = env.text(name)
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
			event.fail("events of type %q are not supported", kind)
		}
	}
	return f
}

func api(p props) API {
	a := API{ID: p.at}
	auth := p.object("Auth")
	if auth.get("DefaultAuthorizer") != nil {
		p.fail("a default authorizer is not supported: routes name theirs")
	}
	authorizers := auth.object("Authorizers")
	for name := range authorizers.m {
		jwt := authorizers.object(name).object("JwtConfiguration")
		a.Authorizer, a.Issuer, a.Audience = name, jwt.text("issuer"), jwt.texts("audience")
	}
	if len(authorizers.m) != 1 || a.Issuer == "" || len(a.Audience) == 0 {
		p.fail("want one authorizer, JWT with issuer and audience")
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

// rate reads rate(1 minute) and the like; a cron expression is refused.
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

// merge lays own over base, objects within objects too.
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
