package template

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parse turns the YAML into maps, slices, strings and numbers. A short tag
// such as !Ref x becomes its long form, {Ref: x}.
func parse(source []byte) (map[string]any, error) {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("%d documents in it, want one", len(file.Docs))
	}
	v, err := value(file.Docs[0].Body)
	if err != nil {
		return nil, err
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is %T, want an object", v)
	}
	return doc, nil
}

func value(n ast.Node) (any, error) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.TagNode:
		v, err := value(n.Value)
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(n.Start.Value, "!")
		switch name {
		case "Ref", "Condition":
		case "GetAtt":
			name = "Fn::GetAtt"
			if s, ok := v.(string); ok {
				id, attribute, _ := strings.Cut(s, ".")
				v = []any{id, attribute}
			}
		default:
			name = "Fn::" + name
		}
		return map[string]any{name: v}, nil
	case *ast.SequenceNode:
		out := make([]any, 0, len(n.Values))
		for _, item := range n.Values {
			v, err := value(item)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case ast.MapNode:
		out := map[string]any{}
		for it := n.MapRange(); it.Next(); {
			v, err := value(it.Value())
			if err != nil {
				return nil, err
			}
			key, ok := it.Key().(ast.ScalarNode)
			if !ok {
				return nil, fmt.Errorf("%s: a key that is no scalar", it.Key().GetToken().Position)
			}
			out[fmt.Sprint(key.GetValue())] = v
		}
		return out, nil
	case ast.ScalarNode:
		return n.GetValue(), nil
	}
	return nil, fmt.Errorf("line %d: YAML of kind %s is not supported", n.GetToken().Position.Line, n.Type())
}

// A resolver computes values. It collects errors, so that all are reported.
type resolver struct {
	options    Options
	doc        map[string]any
	resources  map[string]any
	parameters map[string]string
	errs       []error
}

func (r *resolver) fail(at, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("template: "+at+": "+format, args...))
}

func (r *resolver) setParameters() {
	r.parameters = map[string]string{}
	declared := object(r.doc["Parameters"])
	for name, d := range declared {
		text, given := r.options.Parameters[name]
		if !given {
			def, ok := object(d)["Default"]
			if !ok {
				r.fail("parameter "+name, "has no default and no value")
				continue
			}
			text = fmt.Sprint(def)
		}
		if pattern, ok := object(d)["AllowedPattern"].(string); ok {
			// CloudFormation matches the whole value.
			if re, err := regexp.Compile("^(?:" + pattern + ")$"); err != nil {
				r.fail("parameter "+name, "AllowedPattern: %w", err)
			} else if !re.MatchString(text) {
				r.fail("parameter "+name, "%q does not match %s", text, pattern)
			}
		}
		if allowed, ok := object(d)["AllowedValues"].([]any); ok && !slices.ContainsFunc(allowed, func(v any) bool { return fmt.Sprint(v) == text }) {
			r.fail("parameter "+name, "%q is none of %v", text, allowed)
		}
		r.parameters[name] = text
	}
	for name := range r.options.Parameters {
		if _, ok := declared[name]; !ok {
			r.fail("parameter "+name, "is not declared")
		}
	}
}

// noValue is what AWS::NoValue resolves to: the property is left out.
type noValue struct{}

// resolve computes the functions in v, as far as the template's properties
// that are read here use them.
func (r *resolver) resolve(at string, v any) any {
	switch v := v.(type) {
	case []any:
		var out []any
		for _, item := range v {
			if got := r.resolve(at, item); got != (any)(noValue{}) {
				out = append(out, got)
			}
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, arg := range v {
				if name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::") {
					return r.call(at, name, arg)
				}
			}
		}
		out := map[string]any{}
		for k, item := range v {
			if got := r.resolve(at, item); got != (any)(noValue{}) {
				out[k] = got
			}
		}
		return out
	}
	return v
}

func (r *resolver) call(at, name string, arg any) any {
	switch name {
	case "Ref":
		if id, ok := arg.(string); ok {
			if id == "AWS::NoValue" {
				return noValue{}
			}
			return r.ref(id)
		}
	case "Fn::Sub":
		if s, ok := arg.(string); ok {
			return r.sub(at, s)
		}
	case "Fn::GetAtt":
		if l, ok := arg.([]any); ok && len(l) == 2 {
			return r.attribute(fmt.Sprint(l[0]), fmt.Sprint(l[1]))
		}
	case "Fn::If":
		if l, ok := arg.([]any); ok && len(l) == 3 {
			if r.condition(fmt.Sprint(l[0])) {
				return r.resolve(at, l[1])
			}
			return r.resolve(at, l[2])
		}
	case "Fn::Split":
		if l, ok := arg.([]any); ok && len(l) == 2 {
			if text, ok := r.resolve(at, l[1]).(string); ok {
				var parts []any
				for part := range strings.SplitSeq(text, fmt.Sprint(l[0])) {
					parts = append(parts, part)
				}
				return parts
			}
		}
	case "Fn::Join":
		if l, ok := arg.([]any); ok && len(l) == 2 {
			if parts, ok := r.resolve(at, l[1]).([]any); ok {
				texts := make([]string, len(parts))
				for i, p := range parts {
					texts[i] = fmt.Sprint(p)
				}
				return strings.Join(texts, fmt.Sprint(l[0]))
			}
		}
	}
	r.fail(at, "%s of %v is not supported", name, arg)
	return ""
}

func (r *resolver) condition(name string) bool {
	c, ok := object(r.doc["Conditions"])[name]
	if !ok {
		r.fail("condition "+name, "is not declared")
		return false
	}
	return r.truth("condition "+name, c)
}

func (r *resolver) truth(at string, v any) bool {
	for name, arg := range object(v) {
		list, _ := arg.([]any)
		switch {
		case name == "Condition":
			return r.condition(fmt.Sprint(arg))
		case name == "Fn::Not" && len(list) == 1:
			return !r.truth(at, list[0])
		case name == "Fn::Equals" && len(list) == 2:
			return fmt.Sprint(r.resolve(at, list[0])) == fmt.Sprint(r.resolve(at, list[1]))
		case name == "Fn::And" || name == "Fn::Or":
			for _, item := range list {
				if r.truth(at, item) == (name == "Fn::Or") {
					return name == "Fn::Or"
				}
			}
			return name == "Fn::And"
		}
	}
	r.fail(at, "%v is no condition that is supported", v)
	return false
}

var subName = regexp.MustCompile(`\$\{([^}]*)\}`)

func (r *resolver) sub(at, s string) string {
	return subName.ReplaceAllStringFunc(s, func(m string) string {
		name := m[2 : len(m)-1]
		switch {
		case strings.HasPrefix(name, "!"):
			return "${" + name[1:] + "}"
		case strings.Contains(name, "."):
			id, attribute, _ := strings.Cut(name, ".")
			return r.attribute(id, attribute)
		}
		return r.ref(name)
	})
}

func (r *resolver) ref(id string) string {
	switch id {
	case "AWS::StackName":
		return r.options.StackName
	case "AWS::Region":
		return r.options.Region
	case "AWS::AccountId":
		return account
	case "AWS::Partition":
		return r.partition()
	case "AWS::URLSuffix":
		if r.partition() == "aws-cn" {
			return "amazonaws.com.cn"
		}
		return "amazonaws.com"
	}
	if v, ok := r.parameters[id]; ok {
		return v
	}
	if _, ok := object(r.doc["Parameters"])[id]; ok {
		return "" // reported when the parameters were set
	}
	if _, ok := r.resources[id]; !ok {
		r.fail("Ref", "nothing is called %q", id)
		return ""
	}
	if r.kind(id) == "AWS::SQS::Queue" {
		return r.options.QueueEndpoint + "/" + account + "/" + r.name(id)
	}
	if r.kind(id) == "AWS::SNS::Topic" {
		return "arn:" + r.partition() + ":sns:" + r.options.Region + ":" + account + ":" + r.name(id)
	}
	return r.name(id)
}

func (r *resolver) kind(id string) string {
	kind, _ := object(r.resources[id])["Type"].(string)
	return kind
}

// nameProperty is where a template may name a resource itself.
var nameProperty = map[string]string{
	"AWS::SQS::Queue":           "QueueName",
	"AWS::SNS::Topic":           "TopicName",
	"AWS::DynamoDB::Table":      "TableName",
	"AWS::S3::Bucket":           "BucketName",
	"AWS::Serverless::Function": "FunctionName",
}

// name is the physical name of a resource. CloudFormation adds random letters
// where the template names nothing; here the name is the same in every run, so
// that kept data is found again.
func (r *resolver) name(id string) string {
	kind := r.kind(id)
	if property, ok := nameProperty[kind]; ok {
		if v, ok := object(object(r.resources[id])["Properties"])[property]; ok {
			return fmt.Sprint(r.resolve(id, v))
		}
	}
	name := r.options.StackName + "-" + id
	if kind == "AWS::S3::Bucket" {
		return strings.ToLower(name)
	}
	return name
}

func (r *resolver) partition() string {
	if strings.HasPrefix(r.options.Region, "cn-") {
		return "aws-cn"
	}
	return "aws"
}

func (r *resolver) attribute(id, attribute string) string {
	place := r.options.Region + ":" + account + ":"
	arn := "arn:" + r.partition() + ":"
	switch kind := r.kind(id); {
	case kind == "AWS::SQS::Queue" && attribute == "QueueName":
		return r.name(id)
	case attribute != "Arn":
	case kind == "AWS::SQS::Queue":
		return arn + "sqs:" + place + r.name(id)
	case kind == "AWS::Serverless::Function":
		return arn + "lambda:" + place + "function:" + r.name(id)
	case kind == "AWS::DynamoDB::Table":
		return arn + "dynamodb:" + place + "table/" + r.name(id)
	case kind == "AWS::S3::Bucket":
		return arn + "s3:::" + r.name(id)
	}
	r.fail("GetAtt", "%s.%s is not supported", id, attribute)
	return ""
}

// props are the properties of one resource, resolved when asked for: what
// nobody asks for, such as policies, may use functions not known here.
type props struct {
	r  *resolver
	at string // for messages
	m  map[string]any
}

func (p props) fail(format string, args ...any) { p.r.fail(p.at, format, args...) }

func (p props) get(name string) any {
	v, ok := p.m[name]
	if !ok {
		return nil
	}
	if v = p.r.resolve(p.at+"."+name, v); v == (any)(noValue{}) {
		return nil
	}
	return v
}

// object keeps the values within unresolved.
func (p props) object(name string) props {
	return props{r: p.r, at: p.at + "." + name, m: object(p.m[name])}
}

func (p props) text(name string) string { return p.textOr(name, "") }

func (p props) textOr(name, otherwise string) string {
	switch v := p.get(name).(type) {
	case nil:
		return otherwise
	case []any, map[string]any:
		p.fail("%s is %T, want text", name, v)
		return otherwise
	default:
		return fmt.Sprint(v)
	}
}

func (p props) texts(name string) []string {
	list, _ := p.get(name).([]any)
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func (p props) number(name string, otherwise int) int {
	text := p.textOr(name, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(text)
	if err != nil {
		p.fail("%s is %q, want a number", name, text)
	}
	return n
}

func (p props) boolean(name string) bool { return p.text(name) == "true" }

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
