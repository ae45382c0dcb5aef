package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

const root = "../.."

func output(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(append(args, "-root", root), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var sumLine = regexp.MustCompile(`(?m)^sum +([0-9.]+)$`)

func total(t *testing.T, args ...string) float64 {
	t.Helper()
	m := sumLine.FindStringSubmatch(output(t, args...))
	if m == nil {
		t.Fatal("output: got no sum")
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// More of anything costs more. A million messages cost less in a larger archive.
func TestMoreCostsMore(t *testing.T) {
	base := total(t)
	for _, args := range [][]string{{"-nats", "0"}, {"-keys", "one"}, {"-alarms", "essential"}, {"-class", "infrequent"}, {"-backup", "none"}} {
		if got := total(t, args...); got >= base {
			t.Errorf("%v: got %.2f, want less than %.2f", args, got, base)
		}
	}
	for _, args := range [][]string{
		{"-messages", "2000000"}, {"-media-gb", "100"}, {"-corps", "100"}, {"-nats", "2"}, {"-months", "36"},
	} {
		if got := total(t, args...); got <= base {
			t.Errorf("%v: got %.2f, want more than %.2f", args, got, base)
		}
	}
	if one, hundred := total(t, "-messages", "1e6"), total(t, "-messages", "1e8"); hundred >= 100*one {
		t.Errorf("got %.2f for 100 times the messages, want less than 100 times %.2f", hundred, one)
	}
	if got := total(t, "-messages", "0", "-media-gb", "0"); got <= 0 || got >= base {
		t.Errorf("no messages: got %.2f, want more than 0 and less than %.2f", got, base)
	}
}

// The output has the promised lines, and says that prices were not checked.
func TestOutputHasThePromisedLines(t *testing.T) {
	got := output(t)
	for _, want := range []string{"NAT gateway", "NAT traffic", "Internet traffic", "Lambda inspect", "Secrets", "KMS for tables", "Trail", "API Gateway", "SQS", "DynamoDB writes", "S3 storage", "Metrics", "could not be checked", "per million messages"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"negative":       {[]string{"-messages", "-1"}, "MESSAGES"},
		"no number":      {[]string{"-media-gb", "NaN"}, "MEDIA_GB"},
		"no company":     {[]string{"-corps", "0"}, "CORPS"},
		"three gateways": {[]string{"-nats", "3"}, "NATS"},
		"keys":           {[]string{"-keys", "two"}, "KEYS"},
		"alarms":         {[]string{"-alarms", "few"}, "ALARMS"},
		"class":          {[]string{"-class", "glacier"}, "CLASS"},
		"backup":         {[]string{"-backup", "daily"}, "BACKUP"},
		"no month":       {[]string{"-months", "0"}, "months"},
		"region":         {[]string{"-region", "eu-central-1"}, "no prices of eu-central-1"},
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

// copyOf copies the files into a new folder and replaces the first old in each by
// new.
func copyOf(t *testing.T, old, new string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Replace(b, []byte(old), []byte(new), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var files = []string{"docs/prices.json", "docs/measured.json", "template.yaml"}

// The weekly verifications cost at most 3 % of the bill.
func TestVerificationIsCheap(t *testing.T) {
	in, err := readInputs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{global, china} {
		b, err := in.book(region)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range columns {
			lines := b.bill(u)
			var verifying []line
			for _, l := range lines {
				if strings.HasPrefix(l.name, verificationPrefix) {
					verifying = append(verifying, l)
				}
			}
			if part := sum(verifying) / (sum(lines) - sum(verifying)); len(verifying) != 3 || part > 0.03 {
				t.Errorf("%s, %.0f million messages: got %d lines, %.2f %% of the bill, want 3 lines and at most 3 %%", region, u.messages/1e6, len(verifying), 100*part)
			}
		}
	}
}

// A missing number is an error with its name. It does not count as 0.
func TestMissingNumberIsNamed(t *testing.T) {
	for old, new := range map[string]string{`"nat_gb"`: "nat_gigabyte", `"pull_seconds"`: "pull_minutes", "\n  InspectFunction:": "Lookup"} {
		name := strings.Trim(old, "\"\n :")
		dir := copyOf(t, old, strings.Replace(old, name, new, 1), files...)
		for _, args := range [][]string{{"-root", dir}, {"-root", dir, "-write"}} {
			err := run(args, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v: got %v, want an error with %s", args, err, name)
			}
		}
	}
}

// The bill uses the memory sizes of the template. Only large objects move to
// cheaper storage.
func TestBillFollowsMemoryAndObjectSize(t *testing.T) {
	bill := func(dir string, u usage) map[string]float64 {
		t.Helper()
		in, err := readInputs(dir)
		if err != nil {
			t.Fatal(err)
		}
		b, err := in.book(global)
		if err != nil {
			t.Fatal(err)
		}
		amounts := make(map[string]float64)
		for _, l := range b.bill(u) {
			amounts[l.name] = l.amount
		}
		return amounts
	}
	u := usage{messages: 1e6, mediaGB: 20, corps: 10, nats: 1, months: 12}
	base := bill(root, u)
	if larger := bill(copyOf(t, "DispatchMemory:\n    Type: Number\n    Default: 256", "DispatchMemory:\n    Type: Number\n    Default: 512", files...), u); larger["Lambda dispatch"] <= base["Lambda dispatch"] {
		t.Errorf("twice the memory: got %.4f, want more than %.4f", larger["Lambda dispatch"], base["Lambda dispatch"])
	}
	small := bill(copyOf(t, `"bytes_per_file": {"value": 524288`, `"bytes_per_file": {"value": 100000`, files...), u)
	if small["S3 storage"] <= base["S3 storage"] {
		t.Errorf("small files: got %.4f, want more than %.4f", small["S3 storage"], base["S3 storage"])
	}
	// Full pages are large enough to move, and small pages are not.
	full, slow := usage{messages: 1e8, corps: 1, nats: 1, months: 12}, usage{messages: 1e8, corps: 10000, nats: 1, months: 12}
	if a, b := bill(root, full)["S3 storage"], bill(root, slow)["S3 storage"]; a >= b {
		t.Errorf("full pages: got %.2f, want less than the %.2f of small pages", a, b)
	}
	young := u
	young.months = 3
	if a, b := bill(root, young)["S3 requests"], base["S3 requests"]; a >= b {
		t.Errorf("before the first move: got %.4f, want less than %.4f", a, b)
	}
}

// The JSON files contain their date and sources, and no unused price.
func TestJSONFiles(t *testing.T) {
	in, err := readInputs(root)
	if err != nil {
		t.Fatal(err)
	}
	p, m := in.prices, in.measured
	day := regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	if !day.MatchString(p.Date) || !day.MatchString(m.Date) || m.Machine == "" || !strings.Contains(p.Note, "could not be checked") {
		t.Errorf("got dates %q and %q, machine %q, note %q", p.Date, m.Date, m.Machine, p.Note)
	}
	check := func(file string, numbers map[string]number, sources string) {
		t.Helper()
		for name, v := range numbers {
			if !regexp.MustCompile(`^(`+sources+`)(:| \(|$)`).MatchString(v.Source) || v.Value <= 0 {
				t.Errorf("%s: %s: got %v from %q, want a number from one of %s", file, name, v.Value, v.Source, sources)
			}
		}
	}
	check("measured.json", m.Values, "measured|derived|assumed")
	source, err := os.ReadFile("bill.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{global, china, "cn-northwest-1", "ap-southeast-1", "ap-east-1"} {
		if _, err := in.book(region); err != nil {
			t.Error(err)
		}
		output(t, "-region", region)
	}
	for region, r := range p.Regions {
		check(region, r.Prices, "list|seen|derived")
		for name := range r.Prices {
			if !strings.Contains(string(source), strconv.Quote(name)) {
				t.Errorf("prices.json: %s: got %s, which bill.go does not use", region, name)
			}
		}
	}
}

// The tables in the documents equal the computed tables.
func TestDocumentsAreCurrent(t *testing.T) {
	in, err := readInputs(root)
	if err != nil {
		t.Fatal(err)
	}
	all, err := documents(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, parts := range all {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := fill(string(b), parts); err != nil || want != string(b) {
			t.Errorf("%s: got outdated tables (error %v): run go run ./cmd/cost -write", name, err)
		}
	}
	dir := copyOf(t, "| **", "| old **", append(files, "docs/cost.md", "README.md", "README.zh-CN.md")...)
	if err := run([]string{"-root", dir, "-write"}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		got, err := os.ReadFile(filepath.Join(dir, name))
		want, err2 := os.ReadFile(filepath.Join(root, name))
		if err != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got another text than the current document", name)
		}
	}
}

// table is a table of the template's tests.
func table(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(root + "/cmd/internal/deploy/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// distinct are the different groups of what matches in a table.
func distinct(t *testing.T, name, expression string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(table(t, name), -1) {
		all[strings.Join(m[1:], " ")] = true
	}
	return all
}

// A small company pays little: at most 52 USD a month with a NAT gateway of its
// own, and 15 in a network that exists. 200 companies with 100 million messages
// pay at most 2114 USD.
func TestBoundsOfTheBill(t *testing.T) {
	small := []string{"-messages", "20000", "-media-gb", "1", "-corps", "1", "-keys", "one", "-alarms", "essential"}
	if got := total(t, small...); got > 52 {
		t.Errorf("smallest installation: got %.2f USD, want at most 52", got)
	}
	if got := total(t, append(small, "-nats", "0")...); got > 15 {
		t.Errorf("in a network that exists: got %.2f USD, want at most 15", got)
	}
	// The values are those of the prod blocks of samconfig.toml: two NAT gateways, and
	// MessagesClass=infrequent. With the default class the bill may be higher, and
	// docs/cost.md says so beside the sum.
	large := []string{"-messages", "1e8", "-media-gb", "2000", "-corps", "200", "-nats", "2", "-class"}
	if got := total(t, append(large, "infrequent")...); got > 2114 {
		t.Errorf("200 companies: got %.2f USD, want at most 2114", got)
	}
	document, err := os.ReadFile("../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(" %.0f |\n", total(t, append(large, "standard")...)); !regexp.MustCompile("(?m)^\\| the sum with `MessagesClass=standard`, the default .*" + regexp.QuoteMeta(want)).Match(document) {
		t.Errorf("docs/cost.md: got no sum of 200 companies with the default class, want%s", want)
	}
}

// The bill ends with what the smallest installation costs, and what adds to it.
func TestBillShowsTheFloor(t *testing.T) {
	for _, region := range []string{global, china} {
		got := output(t, "-region", region)
		for _, line := range []string{
			`the smallest installation: 1 company, 20,000 messages, 1 GB of media +[0-9]+\.[0-9]`,
			`the same in a network that exists \(VpcId, SubnetIds, TrustedIps\) +[0-9]+\.[0-9]`,
			`all alarms \(Alarms=all, the default\) +\+ [0-9]+\.[0-9]`,
		} {
			if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(got) {
				t.Errorf("%s: got no line %s in\n%s", region, line, got)
			}
		}
	}
}

// Every warm process reads a secret once an hour, not once a pull.
func TestSecretsAreReadRarely(t *testing.T) {
	in, err := readInputs(root)
	if err != nil {
		t.Fatal(err)
	}
	b, err := in.book(global)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range b.bill(columns[2]) {
		if l.name == "Secrets, calls" && l.amount > 30 {
			t.Errorf("200 companies: got %.2f USD for reads of secrets, want at most 30", l.amount)
		}
	}
}

// The table of parameters that cost money names parameters of the template. A new
// parameter belongs there, or in the list of those that are free.
func TestParametersThatCostMoney(t *testing.T) {
	b, err := os.ReadFile(root + "/docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	declared, err := template.Parameters(source)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "## Parameters that cost money\n")
	table, _, _ := strings.Cut(after, "\n## ")
	known := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[^|]+) \|`).FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			known[strings.Trim(name, "`")] = true
		}
	}
	free := []string{
		"AccountConcurrency", "AlarmEmail", "AllowedOrigins", "ApiConcurrency", "BreakGlassRole", "CertificateArn", "ConsoleClientId", "ConsoleParents", "ConsoleScopes",
		"DecodeConcurrency", "DomainName", "JwtAudience", "JwtIssuer", "LoginOrigins", "MediaConcurrency", "PermissionsBoundary", "PublicUrl", "PullConcurrency",
		"ReserveConcurrency", "VpcCidr", "WecomProxy", "Zones",
	}
	for _, name := range free {
		known[name] = true
	}
	for name := range declared {
		if !known[name] {
			t.Errorf("parameter %s: say in docs/cost.md what it costs, or in this test that it is free", name)
		}
	}
	for name := range known {
		if _, ok := declared[name]; !ok {
			t.Errorf("%s: the template has no such parameter", name)
		}
	}
}

// The counts in bill.go equal those of the template.
func TestCountsEqualTheTemplate(t *testing.T) {
	b, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	count := func(re string) int { return len(regexp.MustCompile(re).FindAllString(text, -1)) }
	if got := count(`(?m)^    Type: AWS::KMS::Key$`); got != kmsKeys {
		t.Errorf("keys: got %d in the template, want the bill's %d", got, kmsKeys)
	}
	if got := len(distinct(t, "roles.txt", `(?m)^(\w+) allow dynamodb:\S+ on (\w+Table)`)); got != keyedPairs {
		t.Errorf("functions and the tables that they use: got %d pairs, want the bill's %d", got, keyedPairs)
	}
	if got := count(fmt.Sprintf(`(?m)^  LogDays:\n    Type: Number\n    Default: %d$`, trailMonths*30)); got != 1 {
		t.Errorf("trail: the template keeps logs for another time than the bill's %d months", trailMonths)
	}
	metricsSource, err := os.ReadFile(root + "/functions/dispatch/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, m := range regexp.MustCompile(`"([A-Z][A-Za-z]+)", "(?:Count|Seconds|None)"|\{"([A-Z][A-Za-z]+)", f\.`).FindAllStringSubmatch(string(metricsSource), -1) {
		own[m[1]+m[2]] = true
	}
	for _, m := range regexp.MustCompile(`MetricName: ([A-Za-z]+), MetricValue: `).FindAllStringSubmatch(text, -1) {
		own[m[1]] = true
	}
	if got := len(own); got != ownMetrics {
		t.Errorf("own metrics: got %d, want the bill's %d", got, ownMetrics)
	}
	alarms := count(`(?m)^      MetricName: `) + count(`(?m)^            Metric: \{`)
	if alarms != alarmMetrics {
		t.Errorf("metrics of alarms: got %d, want the bill's %d", alarms, alarmMetrics)
	}
	essential := 0
	for line := range strings.Lines(table(t, "alarms.txt")) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "if AllAlarms") {
			essential += len(regexp.MustCompile(`\w of AWS(?:/|::)`).FindAllString(line, -1))
		}
	}
	if essential != fewerMetrics {
		t.Errorf("metrics of the essential alarms: got %d, want the bill's %d", essential, fewerMetrics)
	}
	_, dashboard, _ := strings.Cut(text, "DashboardBody:")
	if got := len(regexp.MustCompile(`\["[A-Z$][^"]*","[A-Za-z0-9]+"`).FindAllString(dashboard, -1)); got != dashboards {
		t.Errorf("metrics of the dashboard: got %d, want the bill's %d", got, dashboards)
	}
	if got := count(`(?m)^    Type: AWS::SQS::Queue$`); got != 2*queues { // each queue has one for dead letters
		t.Errorf("queues: got %d, want twice the bill's %d", got, queues)
	}
	moves := fmt.Sprintf(`ObjectSizeGreaterThan: "%d"\s+Transitions: \[\{StorageClass: STANDARD_IA, TransitionInDays: %d\}\]`, movesAbove, infrequentAfter*30)
	if got := count(moves); got != 2 {
		t.Errorf("lifecycle: got %d buckets that move large objects after %d months, want 2", got, infrequentAfter)
	}
}
