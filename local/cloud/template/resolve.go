package template

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Document is the template as JSON would have it: maps, slices, strings and
// numbers, and short tags such as !Ref x in their long form. Nothing is resolved.
func Document(source []byte) (map[string]any, error) {
	doc, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("template unreadable: %w", err)
	}
	return doc, nil
}

// parse turns the YAML into maps, slices, strings and numbers. A short tag
// such as !Ref x becomes its long form, {Ref: x}.
func parse(source []byte) (map[string]any, error) {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("%d YAML documents found, want one", len(file.Docs))
	}
	v, err := value(file.Docs[0].Body)
	if err != nil {
		return nil, err
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("top level is %T, want an object", v)
	}
	return doc, nil
}

// value turns one node of the YAML into a Go value.
func value(n ast.Node) (any, error) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.TagNode:
		v, err := value(n.Value)
		if err != nil {
			return nil, err
		}
		return longForm(strings.TrimPrefix(n.Start.Value, "!"), v), nil
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
				return nil, fmt.Errorf("%s: map key is not a scalar", it.Key().GetToken().Position)
			}
			out[fmt.Sprint(key.GetValue())] = v
		}
		return out, nil
	case ast.ScalarNode:
		return n.GetValue(), nil
	}
	return nil, fmt.Errorf("line %d: YAML of type %s unsupported", n.GetToken().Position.Line, n.Type())
}

// longForm is the object that a short tag stands for.
func longForm(tag string, v any) map[string]any {
	switch tag {
	case "Ref", "Condition":
		return map[string]any{tag: v}
	case "GetAtt":
		if s, ok := v.(string); ok {
			id, attribute, _ := strings.Cut(s, ".")
			v = []any{id, attribute}
		}
	}
	return map[string]any{"Fn::" + tag: v}
}

// A resolver computes values. It collects all errors, so that one run reports
// every mistake.
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
				constraint, _ := object(d)["ConstraintDescription"].(string)
				r.fail("parameter "+name, "%q does not match: %s", text, cmp.Or(constraint, pattern))
			}
		}
		if allowed, ok := object(d)["AllowedValues"].([]any); ok && !slices.ContainsFunc(allowed, func(v any) bool { return fmt.Sprint(v) == text }) {
			r.fail("parameter "+name, "%q is not one of %v", text, allowed)
		}
		r.parameters[name] = text
	}
	for name := range r.options.Parameters {
		if _, ok := declared[name]; !ok {
			r.fail("parameter "+name, "is not declared")
		}
	}
}

// noValue is what AWS::NoValue resolves to. A property with this value is
// left out.
type noValue struct{}

// resolve computes the CloudFormation functions in v. It knows only the
// functions that the properties read by this package use.
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
		if name, arg, ok := functionCall(v); ok {
			return r.call(at, name, arg)
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

// functionCall reports whether v calls a CloudFormation function. A call is an
// object with one entry: the function's name and the argument.
func functionCall(v map[string]any) (name string, arg any, ok bool) {
	if len(v) != 1 {
		return "", nil, false
	}
	for name, arg = range v {
	}
	return name, arg, name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::")
}

// call computes one function. The argument is a text or a list, as the
// function requires; any other form is refused.
func (r *resolver) call(at, name string, arg any) any {
	text, isText := arg.(string)
	list, _ := arg.([]any)
	switch {
	case name == "Ref" && isText:
		if text == "AWS::NoValue" {
			return noValue{}
		}
		return r.ref(text)
	case name == "Fn::Sub" && isText:
		return r.sub(text)
	case name == "Fn::GetAtt" && len(list) == 2:
		return r.attribute(fmt.Sprint(list[0]), fmt.Sprint(list[1]))
	case name == "Fn::If" && len(list) == 3:
		if r.condition(fmt.Sprint(list[0])) {
			return r.resolve(at, list[1])
		}
		return r.resolve(at, list[2])
	case name == "Fn::Split" && len(list) == 2:
		if text, ok := r.resolve(at, list[1]).(string); ok {
			return split(text, fmt.Sprint(list[0]))
		}
	case name == "Fn::Join" && len(list) == 2:
		if parts, ok := r.resolve(at, list[1]).([]any); ok {
			return join(parts, fmt.Sprint(list[0]))
		}
	case name == "Fn::Select" && len(list) == 2:
		parts, _ := r.resolve(at, list[1]).([]any)
		if i, err := strconv.Atoi(fmt.Sprint(list[0])); err == nil && i >= 0 && i < len(parts) {
			return parts[i]
		}
	}
	r.fail(at, "%s of %v unsupported", name, arg)
	return ""
}

// split is Fn::Split.
func split(text, delimiter string) []any {
	var parts []any
	for part := range strings.SplitSeq(text, delimiter) {
		parts = append(parts, part)
	}
	return parts
}

// join is Fn::Join.
func join(parts []any, delimiter string) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = fmt.Sprint(p)
	}
	return strings.Join(texts, delimiter)
}

// condition is the truth of a condition that the template declares.
func (r *resolver) condition(name string) bool {
	c, ok := object(r.doc["Conditions"])[name]
	if !ok {
		r.fail("condition "+name, "is not declared")
		return false
	}
	return r.truth("condition "+name, c)
}

// truth is the truth of an expression of conditions.
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
	r.fail(at, "condition %v unsupported", v)
	return false
}

var subName = regexp.MustCompile(`\$\{([^}]*)\}`)

// sub is Fn::Sub.
func (r *resolver) sub(s string) string {
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

// ref is Ref of a pseudo parameter, a parameter or a resource.
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
		return "" // setParameters has reported the missing value
	}
	if _, ok := r.resources[id]; !ok {
		r.fail("Ref", "parameter or resource %q not declared", id)
		return ""
	}
	if r.resourceType(id) == "AWS::SQS::Queue" {
		return r.options.QueueEndpoint + "/" + account + "/" + r.name(id)
	}
	if r.resourceType(id) == "AWS::SNS::Topic" {
		return "arn:" + r.partition() + ":sns:" + r.options.Region + ":" + account + ":" + r.name(id)
	}
	return r.name(id)
}

func (r *resolver) resourceType(id string) string {
	t, _ := object(r.resources[id])["Type"].(string)
	return t
}

// nameProperty is the property in which the template may name a resource, by
// the type of the resource.
var nameProperty = map[string]string{
	"AWS::SQS::Queue":           "QueueName",
	"AWS::SNS::Topic":           "TopicName",
	"AWS::Events::EventBus":     "Name",
	"AWS::DynamoDB::Table":      "TableName",
	"AWS::S3::Bucket":           "BucketName",
	"AWS::Serverless::Function": "FunctionName",
}

// name is the physical name of a resource. If the template names no resource,
// CloudFormation adds random letters to the logical id. This package uses the
// same name in every run, so that the next run finds the data of this run.
func (r *resolver) name(id string) string {
	t := r.resourceType(id)
	if property, ok := nameProperty[t]; ok {
		if v, ok := object(object(r.resources[id])["Properties"])[property]; ok {
			return fmt.Sprint(r.resolve(id, v))
		}
	}
	name := r.options.StackName + "-" + id
	if t == "AWS::S3::Bucket" {
		return strings.ToLower(name)
	}
	return name
}

// partition follows from the region.
func (r *resolver) partition() string {
	if strings.HasPrefix(r.options.Region, "cn-") {
		return "aws-cn"
	}
	return "aws"
}

// attribute is Fn::GetAtt.
func (r *resolver) attribute(id, attribute string) string {
	place := r.options.Region + ":" + account + ":"
	arn := "arn:" + r.partition() + ":"
	switch t := r.resourceType(id); {
	case t == "AWS::SQS::Queue" && attribute == "QueueName":
		return r.name(id)
	case t == "AWS::Events::EventBus" && attribute == "Name":
		return r.name(id)
	case attribute != "Arn":
	case t == "AWS::SQS::Queue":
		return arn + "sqs:" + place + r.name(id)
	case t == "AWS::Serverless::Function":
		return arn + "lambda:" + place + "function:" + r.name(id)
	case t == "AWS::DynamoDB::Table":
		return arn + "dynamodb:" + place + "table/" + r.name(id)
	case t == "AWS::S3::Bucket":
		return arn + "s3:::" + r.name(id)
	}
	r.fail("GetAtt", "%s.%s unsupported", id, attribute)
	return ""
}

// props are the properties of one resource. A property is resolved only when
// it is read. A property that is never read, such as a policy, may therefore
// use functions that this package does not know.
type props struct {
	r  *resolver
	at string // the place in the template, for error messages
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

// object returns an object whose values are not resolved yet.
func (p props) object(name string) props {
	return props{r: p.r, at: p.at + "." + name, m: object(p.m[name])}
}

func (p props) text(name string) string { return p.textOr(name, "") }

func (p props) textOr(name, otherwise string) string {
	if v, ok := p.optional(name); ok {
		return v
	}
	return otherwise
}

// optional returns a text, or false if there is none: it is absent or AWS::NoValue.
func (p props) optional(name string) (string, bool) {
	switch v := p.get(name).(type) {
	case nil:
		return "", false
	case []any, map[string]any:
		p.fail("%s is %T, want text", name, v)
		return "", false
	default:
		return fmt.Sprint(v), true
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
