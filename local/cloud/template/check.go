package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Check reports the parameters that CloudFormation would refuse before it
// creates anything. CloudFormation refuses a value that breaks the pattern, the
// list or the bounds of the parameter, a parameter without default and value,
// and a combination that breaks the template's Rules. The error names all
// mistakes at once. It quotes the template's own sentence for a broken rule.
func Check(source []byte, o Options) error {
	doc, err := parse(source)
	if err != nil {
		return fmt.Errorf("template unreadable: %w", err)
	}
	r := &resolver{options: o, doc: doc, resources: object(doc["Resources"])}
	r.setParameters()
	r.checkBounds()
	if len(r.errs) > 0 {
		// The rules are not checked here: an invalid value may break a rule too, and a
		// second error for one mistake would confuse.
		return errors.Join(r.errs...)
	}
	rules := object(doc["Rules"])
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		r.checkRule(name, object(rules[name]))
	}
	return errors.Join(r.errs...)
}

func (r *resolver) checkBounds() {
	declared := object(r.doc["Parameters"])
	for _, name := range slices.Sorted(maps.Keys(r.parameters)) {
		p, text, at := object(declared[name]), r.parameters[name], "parameter "+name
		if most, ok := p["MaxLength"]; ok && len(text) > int(numberOf(most)) {
			r.fail(at, "is longer than %v", most)
		}
		if p["Type"] != "Number" {
			continue
		}
		// CloudFormation would accept a fraction, and the service would refuse it half-way:
		// every number of the template is one of days, runs, requests or megabytes.
		n, err := strconv.Atoi(text)
		if err != nil || strconv.Itoa(n) != text {
			r.fail(at, "%q is no whole number, such as 20", text)
			continue
		}
		if least, ok := p["MinValue"]; ok && float64(n) < numberOf(least) {
			r.fail(at, "%s is below %v", text, least)
		}
		if most, ok := p["MaxValue"]; ok && float64(n) > numberOf(most) {
			r.fail(at, "%s is above %v", text, most)
		}
	}
}

func numberOf(v any) float64 {
	n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
	return n
}

func (r *resolver) checkRule(name string, rule map[string]any) {
	at := "rule " + name
	if when, ok := rule["RuleCondition"]; ok && !r.truth(at, when) {
		return
	}
	assertions, _ := rule["Assertions"].([]any)
	if len(assertions) == 0 {
		r.fail(at, "assertions missing")
	}
	for _, a := range assertions {
		assertion := object(a)
		if !r.truth(at, assertion["Assert"]) {
			r.errs = append(r.errs, fmt.Errorf("%v", assertion["AssertDescription"]))
		}
	}
}

// A Parameter is what the template declares about a parameter.
type Parameter struct {
	Description string
	Default     string
	Required    bool   // the template declares no default
	Bounded     bool   // the template declares a pattern, a list or a maximum
	Pattern     bool   // the template declares a pattern
	Constraint  string // what CloudFormation says about a value that breaks the pattern
}

// Parameters lists the template's parameters by name.
func Parameters(source []byte) (map[string]Parameter, error) {
	doc, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("template unreadable: %w", err)
	}
	all := map[string]Parameter{}
	for name, v := range object(doc["Parameters"]) {
		p := object(v)
		_, pattern := p["AllowedPattern"]
		_, list := p["AllowedValues"]
		_, most := p["MaxValue"]
		def, given := p["Default"]
		q := Parameter{Required: !given, Bounded: pattern || list || most, Pattern: pattern}
		if given {
			q.Default = fmt.Sprint(def)
		}
		q.Description, _ = p["Description"].(string)
		q.Constraint, _ = p["ConstraintDescription"].(string)
		all[name] = q
	}
	return all, nil
}
