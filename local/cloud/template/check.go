package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Check says what CloudFormation would refuse of the parameters before it
// creates anything: a value off its pattern, its list or its bounds, and what
// the template's Rules do not allow, in their own words. All of it is
// reported at once. A parameter without default and value is refused too.
func Check(source []byte, o Options) error {
	doc, err := parse(source)
	if err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	r := &resolver{options: o, doc: doc, resources: object(doc["Resources"])}
	r.setParameters()
	r.checkBounds()
	if len(r.errs) > 0 {
		return errors.Join(r.errs...) // rules about such values would only confuse
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
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			r.fail(at, "%q is no number", text)
			continue
		}
		if least, ok := p["MinValue"]; ok && n < numberOf(least) {
			r.fail(at, "%s is below %v", text, least)
		}
		if most, ok := p["MaxValue"]; ok && n > numberOf(most) {
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
		r.fail(at, "asserts nothing")
	}
	for _, a := range assertions {
		assertion := object(a)
		if !r.truth(at, assertion["Assert"]) {
			r.errs = append(r.errs, fmt.Errorf("%v", assertion["AssertDescription"]))
		}
	}
}

// A Parameter is what the template says about a parameter.
type Parameter struct {
	Description string
	Default     string
	Required    bool // has no default
	Bounded     bool // by a pattern, a list or numbers
	Pattern     bool
	Constraint  string // the words for a value off the pattern
}

// Parameters lists the template's parameters by name.
func Parameters(source []byte) (map[string]Parameter, error) {
	doc, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
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
