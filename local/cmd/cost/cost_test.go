package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

func output(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(append(args, "-root", root), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var sumLine = regexp.MustCompile(`(?m)^sum +([0-9.]+)$`)

func sum(t *testing.T, args ...string) float64 {
	t.Helper()
	m := sumLine.FindStringSubmatch(output(t, args...))
	if m == nil {
		t.Fatal("there is no sum")
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Whoever has more of anything pays more, and a million messages cost less the
// more there are.
func TestMoreCostsMore(t *testing.T) {
	base := sum(t)
	for _, args := range [][]string{
		{"-messages", "2000000"}, {"-media-gb", "100"}, {"-corps", "100"}, {"-nats", "2"}, {"-months", "36"},
	} {
		if got := sum(t, args...); got <= base {
			t.Errorf("%v: got %.2f, want more than %.2f", args, got, base)
		}
	}
	if one, hundred := sum(t, "-messages", "1e6"), sum(t, "-messages", "1e8"); hundred >= 100*one {
		t.Errorf("got %.2f for 100 times the messages, want less than 100 times %.2f", hundred, one)
	}
	if got := sum(t, "-messages", "0", "-media-gb", "0"); got <= 0 || got >= base {
		t.Errorf("got %.2f for nothing, want more than 0 and less than %.2f", got, base)
	}
}

// The lines are there, and what the numbers are worth is said.
func TestLines(t *testing.T) {
	got := output(t)
	for _, want := range []string{"NAT gateway", "NAT traffic", "Secrets", "API Gateway", "SQS", "DynamoDB writes", "S3 storage", "Metrics", "could not be checked", "per million messages"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"negative":       {[]string{"-messages", "-1"}, "MESSAGES"},
		"no number":      {[]string{"-media-gb", "NaN"}, "MEDIA_GB"},
		"no company":     {[]string{"-corps", "0"}, "CORPS"},
		"three gateways": {[]string{"-nats", "3"}, "NATS"},
		"no month":       {[]string{"-months", "0"}, "months"},
		"region":         {[]string{"-region", "cn-north-1"}, "no prices of cn-north-1"},
		"argument":       {[]string{"lots"}, `"lots"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(append([]string{"-root", root}, c.args...), &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// A file that lacks a number is named, not taken as nought.
func TestMissingNumber(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prices.json", "measured.json"} {
		b, err := os.ReadFile(root + "/docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.Replace(b, []byte(`"nat_gb"`), []byte(`"nat_gigabyte"`), 1)
		if err := os.WriteFile(filepath.Join(dir, "docs", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"-root", dir}, {"-root", dir, "-table"}} {
		err := run(args, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "nat_gb") {
			t.Errorf("%v: got %v, want nat_gb named", args, err)
		}
	}
}

// The files say when and how, and use no number that nobody reads.
func TestFiles(t *testing.T) {
	var p pricesFile
	var m measuredFile
	if err := read(root+"/docs/prices.json", &p); err != nil {
		t.Fatal(err)
	}
	if err := read(root+"/docs/measured.json", &m); err != nil {
		t.Fatal(err)
	}
	day := regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	if !day.MatchString(p.Date) || !day.MatchString(m.Date) || m.Machine == "" || !strings.Contains(p.Note, "could not be checked") {
		t.Errorf("got dates %q and %q, machine %q, note %q", p.Date, m.Date, m.Machine, p.Note)
	}
	for name, v := range m.Values {
		if !regexp.MustCompile(`^(measured|derived|assumed)\b`).MatchString(v.Source) {
			t.Errorf("%s: source %q is neither measured, derived nor assumed", name, v.Source)
		}
	}
	source, err := os.ReadFile("bill.go")
	if err != nil {
		t.Fatal(err)
	}
	used := func(name string) bool { return strings.Contains(string(source), strconv.Quote(name)) }
	for name := range m.Values {
		if !used(name) {
			t.Errorf("measured.json: nobody reads %s", name)
		}
	}
	for region, r := range p.Regions {
		for name, v := range r.Prices {
			if !used(name) || v <= 0 {
				t.Errorf("prices.json: %s: nobody reads %s, or it costs nothing", region, name)
			}
		}
	}
}

// docs/cost.md holds the table as it is computed today.
func TestTableIsCurrent(t *testing.T) {
	b, err := os.ReadFile(root + "/docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := output(t, "-table"); !strings.Contains(string(b), want) {
		t.Errorf("docs/cost.md is older than its numbers; it wants\n%s", want)
	}
}

// What the bill takes from the template is what the template has.
func TestTemplateAgrees(t *testing.T) {
	b, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	count := func(re string) int { return len(regexp.MustCompile(re).FindAllString(text, -1)) }
	if got := count(`(?m)^    Type: AWS::KMS::Key$`); got != kmsKeys {
		t.Errorf("the template has %d keys, the bill %d", got, kmsKeys)
	}
	metricsSource, err := os.ReadFile(root + "/functions/dispatch/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, m := range regexp.MustCompile(`"([A-Z][A-Za-z]+)", "(?:Count|Seconds|None)"|\{"([A-Z][A-Za-z]+)", f\.`).FindAllStringSubmatch(string(metricsSource), -1) {
		own[m[1]+m[2]] = true
	}
	if got := len(own) + count(`MetricValue: "1"`); got != ownMetrics {
		t.Errorf("%d metrics are written, the bill has %d", got, ownMetrics)
	}
	alarms := count(`(?m)^      MetricName: `) + count(`(?m)^            Metric: \{`)
	if alarms != alarmMetrics {
		t.Errorf("alarms watch %d metrics, the bill has %d", alarms, alarmMetrics)
	}
	for function, gigabytes := range map[string]float64{"Api": apiGB, "Dispatch": dispatchGB, "Pull": pullGB, "Decode": decodeGB, "Media": mediaGB} {
		m := regexp.MustCompile(`(?s)\n  ` + function + `Function:.*?MemorySize: (\d+)`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("the template has no %s", function)
		}
		mb, err := strconv.ParseFloat(m[1], 64)
		if err != nil || mb/1024 > gigabytes*1.03 || mb/1024 < gigabytes*0.97 {
			t.Errorf("%s has %s MB, the bill %.3f GB", function, m[1], gigabytes)
		}
	}
}
