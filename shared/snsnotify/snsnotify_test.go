package snsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/snsnotify"
)

var at = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func change(to watch.Health) watch.Change {
	return watch.Change{Corp: "ww0123456789abcdef", Name: "云朵课堂", From: watch.Well, To: to, At: at, Left: 100 * time.Hour}
}

// sent keeps what was published.
type sent struct {
	in  []*sns.PublishInput
	err error
}

func (s *sent) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	s.in = append(s.in, in)
	return &sns.PublishOutput{}, s.err
}

func notify(t *testing.T, changes ...watch.Change) *sns.PublishInput {
	t.Helper()
	var s sent
	if err := snsnotify.New(&s, "arn", "archive").Notify(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if len(s.in) != 1 {
		t.Fatalf("got %d messages, want one", len(s.in))
	}
	return s.in[0]
}

// A message goes to the topic, and from the topic to its subscriptions.
func TestNoticeReachesTheTopic(t *testing.T) {
	cfg, ctx := awstest.Config(t), t.Context()
	topics, queues := sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	name, queue := awstest.Name(t), awstest.Queue(t)
	topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(queue, "/")
	protocol, arn := "sqs", "arn:aws-cn:sqs:"+cfg.Region+":123456789012:"+parts[len(parts)-1]
	if _, err := topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: &protocol, Endpoint: &arn}); err != nil {
		t.Fatal(err)
	}
	c := change(watch.Health(archive.CauseTrustedIP))
	c.Trouble = &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "GetChatData", Code: 301042, FromIP: "203.0.113.9", Since: at, At: at}
	if err := snsnotify.New(topics, *topic.TopicArn, "archive-prod").Notify(ctx, []watch.Change{c}); err != nil {
		t.Fatal(err)
	}
	got, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 10})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("got %v, error %v, want one message", got, err)
	}
	var m struct {
		Subject, Message  string
		MessageAttributes map[string]struct{ Value string }
	}
	if err := json.Unmarshal([]byte(*got.Messages[0].Body), &m); err != nil {
		t.Fatal(err)
	}
	if want := "[archive-prod] ww0123456789abcdef: trusted_ip"; m.Subject != want {
		t.Errorf("got subject %q, want %q", m.Subject, want)
	}
	for _, want := range []string{"ww0123456789abcdef “云朵课堂”", "可信IP", "set-up step: 4", "301042", "203.0.113.9", "hours left: 100.0", "设置步骤：第 4 步\n", "剩余时间：100.0 小时", "GetChatData，错误码 301042，始于 2026-03-01 17:00（北京时间）\n"} {
		if !strings.Contains(m.Message, want) {
			t.Errorf("got %q, want %q in it", m.Message, want)
		}
	}
	if m.MessageAttributes["corp"].Value != c.Corp || m.MessageAttributes["health"].Value != "trusted_ip" {
		t.Errorf("got attributes %v, want corp and health", m.MessageAttributes)
	}
}

func TestNoticeCountsRecordsSetAside(t *testing.T) {
	c := change(watch.SetAside)
	c.MoreSetAside = true
	for i := range 4 {
		c.SetAside = append(c.SetAside, archive.SetAside{Seq: uint64(70 + i), KeyVersion: uint32(9 - i%2), Reason: archive.ReasonNoKey})
	}
	c.SetAside = append(c.SetAside, archive.SetAside{Seq: 99, KeyVersion: 1, Reason: archive.ReasonCrash})
	got := *notify(t, c).Message
	for _, want := range []string{"set aside: 5 or more, from seq 70", "no_key: 4", "library_crashed: 1", "no key for version: 8 9\n", "搁置的记录：至少 5 条，从 seq 70 起", "缺少密钥的版本：8、9\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

// A message about many companies has a line for each, with the company's facts.
func TestManyCompaniesAreOneMessage(t *testing.T) {
	var changes []watch.Change
	for i := range 200 {
		c := change(watch.Health(archive.CauseTrustedIP))
		c.Corp, c.Name, c.Left = fmt.Sprintf("ww%016d", i), fmt.Sprintf("企业%d", i), time.Duration(i)*time.Hour/2
		c.Trouble = &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "GetChatData", Code: 301042, FromIP: fmt.Sprintf("203.0.113.%d", i), Since: at, At: at}
		changes = append(changes, c)
	}
	in := notify(t, changes...)
	if want := "[archive] 200 companies: trusted_ip"; *in.Subject != want {
		t.Errorf("got subject %q, want %q", *in.Subject, want)
	}
	lines := strings.Split(*in.Message, "\n")
	for i, c := range changes {
		j := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, c.Corp+" ") })
		if j < 0 {
			t.Errorf("%s is not named", c.Corp)
			continue
		}
		for _, want := range []string{c.Name, "well -> trusted_ip", "errcode 301042", c.Trouble.FromIP + ",", fmt.Sprintf("hours left: %.1f of", float64(i)/2), "set-up step: 4"} {
			if !strings.Contains(lines[j], want) {
				t.Errorf("got %q, want %q in it", lines[j], want)
			}
		}
	}
}

// A message about 200 companies with the longest possible facts fits into SNS's
// limit.
func TestLongestMessageFits(t *testing.T) {
	var changes []watch.Change
	for i := range 200 {
		c := change(watch.SetAside)
		c.Corp, c.Name, c.MoreSetAside = "ww"+strings.Repeat("9", 40), strings.Repeat("𠮷", 100), true
		c.From, c.Left = watch.Health(archive.CauseUnknownResponse), -1000*time.Hour
		c.Trouble = &archive.Trouble{
			Cause: archive.CauseUnknownResponse, Op: "GetChatData", Native: true, Code: -1 << 31, Since: at,
			FromIP: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		}
		for n := range 1000 {
			reasons := []archive.Reason{archive.ReasonNoKey, archive.ReasonBadRecord, archive.ReasonBadKey, archive.ReasonLibrary, archive.ReasonCrash, archive.ReasonJournal, archive.ReasonHang}
			c.SetAside = append(c.SetAside, archive.SetAside{Seq: 1<<64 - 1, KeyVersion: uint32(4e9 + i*1000 + n), Reason: reasons[n%len(reasons)]})
		}
		changes = append(changes, c)
	}
	in := notify(t, changes...)
	if n := len(*in.Message); n > 256<<10-4<<10 { // attributes count too
		t.Errorf("got %d bytes, want less than SNS's 256 KB", n)
	}
	if !strings.Contains(*in.Message, "and 133 more") {
		t.Errorf("got %.1500q, want some versions and how many more", *in.Message)
	}
}

// SNS refuses a subject that is not short printable ASCII.
func TestSubjectIsShortASCII(t *testing.T) {
	c := change("云\n朵")
	var s sent
	if err := snsnotify.New(&s, "arn", strings.Repeat("n", 120)).Notify(t.Context(), []watch.Change{c}); err != nil {
		t.Fatal(err)
	}
	if got := *s.in[0].Subject; len(got) >= 100 || strings.ContainsAny(got, "\n云") {
		t.Errorf("got subject %q", got)
	}
}

// A company chooses its name. The name cannot imitate a line of the message, a
// link, an address or the end of the name.
func TestNameIsHarmless(t *testing.T) {
	for name, want := range map[string]string{
		"云朵课堂（上海）有限公司":                        "“云朵课堂（上海）有限公司”",
		"Müller & Söhne (Köln)":               "“Müller & Söhne (Köln)”",
		"a\nset-up     step 2":                "“a set-up step 2”",
		"open https://evil.example/login now": "“open https evil example login now”",
		"mail ops@evil.example":               "“mail ops evil example”",
		"a” locked, see “b":                   "“a locked see b”",
		"a\u202egnp.exe\u200b":                "“a gnp exe”",
		strings.Repeat("长", 100):              "“" + strings.Repeat("长", 40) + "”",
		"":                                    "“”",
	} {
		one, two := change(watch.Well), change(watch.Well)
		one.Name, two.Name = name, name
		two.Corp = "ww1"
		for _, got := range []string{*notify(t, one).Message, *notify(t, one, two).Message} {
			if !strings.Contains(got, one.Corp+" "+want) {
				t.Errorf("%q: got %q, want %s", name, got, want)
			}
		}
	}
}

func TestFailedPublishIsReported(t *testing.T) {
	s := sent{err: errors.New("throttled")}
	err := snsnotify.New(&s, "arn", "archive").Notify(t.Context(), []watch.Change{change(watch.Well)})
	if err == nil || !strings.Contains(err.Error(), "throttled") {
		t.Errorf("got %v, want the failure", err)
	}
}

// Every cause and every health of the domain has a text.
func TestEveryHealthHasWords(t *testing.T) {
	unknown := *notify(t, change("unheard_of")).Message
	found := 0
	for _, file := range []string{"trouble.go", "watch/health.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), "../archive/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Cause" && kind.Name != "Health" {
				return true
			}
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found++
			if got := *notify(t, change(watch.Health(value))).Message; strings.Split(got, "\n")[2] == strings.Split(unknown, "\n")[2] {
				t.Errorf("%s has no text", spec.Names[0])
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("found %d constants only", found)
	}
}

// A notice about a set-up names each change that people can do something about and
// that no notice about the company's health tells, with both languages.
func TestSetupNotice(t *testing.T) {
	corp := archive.Corp{ID: "ww0123456789abcdef", Name: "云朵课堂"}
	refused := doctor.Change{
		Check: doctor.CheckCallback, From: doctor.OK, To: doctor.Bad, Now: doctor.CauseRefused, At: at,
		Evidence: []doctor.Evidence{{Fact: doctor.FactAtLeast, Value: "3"}, {Fact: doctor.FactWhy, Value: "signature"}, {Fact: doctor.FactSourceIP, Value: "203.0.113.9"}},
	}
	// A cause of the archive that the health does not tell: the corp is not switched on.
	untrusted := doctor.Change{Check: doctor.CheckTrustedIP, From: doctor.Unseen, To: doctor.Bad, Now: doctor.Cause(archive.CauseTrustedIP), At: at}
	fixed := doctor.Change{Check: doctor.CheckFiles, From: doctor.Bad, To: doctor.OK, Was: doctor.CauseFilesShort, At: at}
	for name, told := range map[string]doctor.Change{
		"no news":        {Check: doctor.CheckKey, From: doctor.Waiting, To: doctor.OK, At: at},
		"told by health": {Check: doctor.CheckTrustedIP, From: doctor.OK, To: doctor.Bad, Now: doctor.Cause(archive.CauseTrustedIP), At: at, Told: true},
	} {
		var s sent
		if err := snsnotify.New(&s, "arn", "archive").NotifySetup(t.Context(), corp, []doctor.Change{told}); err != nil || len(s.in) != 0 {
			t.Errorf("%s: got %d messages, error %v, want none", name, len(s.in), err)
		}
	}
	var s sent
	changes := []doctor.Change{{Check: doctor.CheckKey, From: doctor.Waiting, To: doctor.OK, At: at}, refused, fixed, untrusted}
	if err := snsnotify.New(&s, "arn", "archive").NotifySetup(t.Context(), corp, changes); err != nil {
		t.Fatal(err)
	}
	if len(s.in) != 1 || len(changes) != 4 {
		t.Fatalf("got %d messages, %d changes left; want one message and the caller's list as it was", len(s.in), len(changes))
	}
	in := s.in[0]
	if want := "[archive] ww0123456789abcdef: set-up"; *in.Subject != want || *in.TopicArn != "arn" {
		t.Errorf("got subject %q to %q, want %q", *in.Subject, *in.TopicArn, want)
	}
	for _, want := range []string{"云朵课堂", "step 5, callback: ok -> bad", "至少有 3 个回调请求", "today: at least 3", "203.0.113.9", "step 6, files: bad -> ok", "step 4, trusted_ip: unseen -> bad", "可信IP", "repeats step 4"} {
		if !strings.Contains(*in.Message, want) {
			t.Errorf("got %q, want %q in it", *in.Message, want)
		}
	}
	for _, wrong := range []string{"step 3, key", "unknown code"} { // no news, and a recovery has no cause
		if strings.Contains(*in.Message, wrong) {
			t.Errorf("got %q, want no %q in it", *in.Message, wrong)
		}
	}
	if *in.MessageAttributes["setup"].StringValue != "callback" || *in.MessageAttributes["corp"].StringValue != corp.ID {
		t.Errorf("got attributes %v, want setup and corp", in.MessageAttributes)
	}
	s.err = errors.New("throttled")
	if err := snsnotify.New(&s, "arn", "archive").NotifySetup(t.Context(), corp, changes); !errors.Is(err, s.err) {
		t.Errorf("got %v, want the topic's error", err)
	}
}
