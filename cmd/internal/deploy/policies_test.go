package deploy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// documents names, for each type with a resource policy, the property with the
// resource and the property with the policy.
var documents = map[string]struct{ of, document string }{
	"AWS::S3::BucketPolicy": {"Bucket", "PolicyDocument"},
	"AWS::SNS::TopicPolicy": {"Topics", "PolicyDocument"},
	"AWS::SQS::QueuePolicy": {"Queues", "PolicyDocument"},
	"AWS::KMS::Key":         {"", "KeyPolicy"},
	"AWS::EC2::VPCEndpoint": {"", "PolicyDocument"},
}

// policies lists the rights that resource policies grant, and the rights to
// invoke functions. It leaves out the rights of the functions' roles.
func (s stack) policies(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, id := range slices.Sorted(maps.Keys(s.Translated.Resources)) {
		r := s.Translated.Resources[id]
		p := r.Properties
		d, documented := documents[r.Type]
		switch {
		case documented:
			of := id
			if d.of != "" {
				of = readable(p[d.of])
			}
			for _, st := range anys(object(p[d.document])["Statement"]) {
				m, when := conditional(st)
				only(t, id, m, "Sid", "Effect", "Principal", "Action", "Resource", "Condition")
				line := fmt.Sprintf("%s: %s %s to %s on %s", of, strings.ToLower(readable(m["Effect"])), readable(m["Principal"]), readable(m["Action"]), readable(m["Resource"]))
				if c, ok := m["Condition"]; ok {
					line += " when " + readable(c)
				}
				all = append(all, line+when)
			}
		case r.Type == "AWS::Lambda::Permission":
			only(t, id, p, "Action", "FunctionName", "Principal", "SourceArn")
			all = append(all, fmt.Sprintf("%s: allow %s to %s from %s", readable(p["FunctionName"]), readable(p["Principal"]), readable(p["Action"]), readable(p["SourceArn"])))
		case r.Type == "AWS::SQS::Queue" && p["RedriveAllowPolicy"] != nil:
			all = append(all, fmt.Sprintf("%s: dead letters of %s", id, readable(p["RedriveAllowPolicy"])))
		case r.Type != "AWS::IAM::Role" && contains(p, `"Principal"`):
			t.Errorf("%s: got a policy that testdata/policies.txt cannot show", id)
		}
	}
	return all
}

// conditional is a statement of a policy, and the condition of the template under
// which the policy has it.
func conditional(statement any) (m map[string]any, when string) {
	m = object(statement)
	if c, ok := m["Fn::If"].([]any); ok {
		return object(c[1]), fmt.Sprintf(" if %v", c[0])
	}
	return m, ""
}

// only fails the test if m has a property that the table does not show.
func only(t *testing.T, id string, m map[string]any, shown ...string) {
	t.Helper()
	for name := range m {
		if !slices.Contains(shown, name) {
			t.Errorf("%s: got property %s, which no table shows", id, name)
		}
	}
}

// testdata/policies.txt lists every right that a resource policy grants.
func TestPoliciesEqualTheTable(t *testing.T) {
	compareWithTable(t, "policies.txt", stackOf(t, "prod").policies(t))
}

// alarms lists the condition of every alarm.
func (s stack) alarms(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, id := range s.byType("AWS::CloudWatch::Alarm") {
		r := s.Translated.Resources[id]
		p := r.Properties
		only(t, id, p, "AlarmName", "AlarmDescription", "AlarmActions", "OKActions",
			"Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "EvaluateLowSampleCountPercentile", "Period", "Metrics",
			"EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold", "TreatMissingData")
		what := ""
		if p["MetricName"] != nil {
			statistic := p["Statistic"]
			if statistic == nil {
				statistic = p["ExtendedStatistic"]
			}
			what = measured(statistic, p["Period"], p)
		}
		for _, q := range anys(p["Metrics"]) {
			m := object(q)
			if st := object(m["MetricStat"]); st != nil {
				what += measured(st["Stat"], st["Period"], object(st["Metric"])) + "; "
			} else if m != nil {
				what += readable(m["Expression"])
			}
			if m != nil && (m["ReturnData"] == true) != (m["Expression"] != nil) {
				t.Errorf("%s: %s: got ReturnData %v, want it for the expression only", id, readable(m["Id"]), m["ReturnData"])
			}
		}
		if r.Condition != "" {
			id += " if " + r.Condition
		}
		all = append(all, fmt.Sprintf("%s: %s %v %v, %v of %v, missing %v", id, what,
			p["ComparisonOperator"], p["Threshold"], p["DatapointsToAlarm"], p["EvaluationPeriods"], p["TreatMissingData"]))
	}
	return all
}

// measured names a metric, its statistic and its period.
func measured(statistic, period any, metric map[string]any) string {
	name := fmt.Sprintf("%s of %s %s", readable(statistic), readable(metric["Namespace"]), readable(metric["MetricName"]))
	if metric["Dimensions"] != nil {
		for _, d := range anys(metric["Dimensions"]) {
			name += " " + readable(object(d)["Name"]) + "=" + readable(object(d)["Value"])
		}
	}
	return fmt.Sprintf("%s in %v s", name, period)
}

// testdata/alarms.txt lists the condition of every alarm.
func TestAlarmsEqualTheTable(t *testing.T) {
	compareWithTable(t, "alarms.txt", stackOf(t, "prod").alarms(t))
}
