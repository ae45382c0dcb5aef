// Package snsnotify notifies people of companies whose health changed, by an SNS
// topic. A message is about one change, or about many changes to the same health.
// It names every company, the cause and the remedy, in Chinese and English. The
// topic's subscriptions decide the receivers: mail, a chat robot, a queue.
//
// A message holds names, codes and times. It holds no chat, key or secret.
package snsnotify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Client is the part of [*sns.Client] that the package uses.
type Client interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

var _ Client = (*sns.Client)(nil)

// Notifier is a [watch.Notifier] and a [doctor.Notifier]. Safe for concurrent use.
type Notifier struct {
	client Client
	topic  string
	stack  string
}

var (
	_ watch.Notifier  = (*Notifier)(nil)
	_ doctor.Notifier = (*Notifier)(nil)
)

// New makes a notifier for the topic with that ARN. Subjects begin with stack, so
// that the messages of several stacks differ.
func New(client Client, topic, stack string) *Notifier {
	return &Notifier{client: client, topic: topic, stack: stack}
}

// Notify implements [watch.Notifier]. A message has room for 200 companies with
// the longest possible text about each. If SNS still refuses a message as too
// long, Notify fails: then no company counts as notified.
func (n *Notifier) Notify(ctx context.Context, changes []watch.Change) error {
	in := n.publication(n.subject(changes[0].Corp, len(changes), string(changes[0].To)), message(changes))
	in.MessageAttributes["health"] = attribute(string(changes[0].To))
	if len(changes) == 1 {
		in.MessageAttributes["corp"] = attribute(changes[0].Corp)
	}
	return n.publish(ctx, in)
}

// NotifySetup implements [doctor.Notifier]. It sends what no notice about the
// corp's health tells, and what a person can do something about.
func (n *Notifier) NotifySetup(ctx context.Context, corp archive.Corp, changes []doctor.Change) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(c doctor.Change) bool { return !c.Worth() || c.ToldByHealth() })
	if len(changes) == 0 {
		return nil
	}
	in := n.publication(n.subject(corp.ID, 1, "set-up"), setupMessage(corp, changes))
	in.MessageAttributes["setup"], in.MessageAttributes["corp"] = attribute(string(changes[0].Check)), attribute(corp.ID)
	return n.publish(ctx, in)
}

func setupMessage(corp archive.Corp, changes []doctor.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", corp.ID, Quoted(corp.Name))
	for _, c := range changes {
		fmt.Fprintf(&b, "\n设置步骤 set-up step %d, %s: %s -> %s, %s\n", c.Check.Step(), c.Check, c.From, c.To, c.At.UTC().Format(time.RFC3339))
		text, ok := doctor.TextOf(c.Check, c.Now)
		if !ok {
			continue
		}
		for _, w := range []doctor.Words{text.What, text.Remedy} {
			w = w.With(c.Evidence)
			fmt.Fprintf(&b, "%s\n%s\n", w.ZH, w.EN)
		}
	}
	return b.String()
}

func attribute(v string) types.MessageAttributeValue {
	kind := "String"
	return types.MessageAttributeValue{DataType: &kind, StringValue: &v}
}

// publication is a message without attributes. Subscriptions can filter by those
// that are set later.
func (n *Notifier) publication(subject, body string) *sns.PublishInput {
	return &sns.PublishInput{TopicArn: &n.topic, Subject: &subject, Message: &body, MessageAttributes: make(map[string]types.MessageAttributeValue)}
}

func (n *Notifier) publish(ctx context.Context, in *sns.PublishInput) error {
	if _, err := n.client.Publish(ctx, in); err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	return nil
}

// subject makes the subject: one line of ASCII with less than 100 characters,
// because SNS refuses any other.
func (n *Notifier) subject(corp string, corps int, about string) string {
	companies := corp
	if corps > 1 {
		companies = strconv.Itoa(corps) + " companies"
	}
	s := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf("[%s] %s: %s", n.stack, companies, about))
	return s[:min(len(s), 99)]
}

// message makes the text. The facts of a single company have a line each; each of
// several companies has one line for all its facts.
func message(changes []watch.Change) string {
	var b strings.Builder
	first := changes[0]
	if len(changes) == 1 {
		fmt.Fprintf(&b, "%s %s\n", first.Corp, Quoted(first.Name))
	} else {
		fmt.Fprintf(&b, "%d 家企业 / %d companies\n", len(changes), len(changes))
	}
	text := textOf(first.To)
	fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n%s\n\n", text.whatZH, text.remedyZH, text.what, text.remedy)
	if len(changes) == 1 {
		for _, f := range facts(first) {
			fmt.Fprintf(&b, "%s: %s\n", f.label, f.text)
		}
		return b.String()
	}
	for _, c := range changes {
		fmt.Fprintf(&b, "%s %s", c.Corp, Quoted(c.Name))
		for _, f := range facts(c) {
			fmt.Fprintf(&b, "; %s: %s", f.label, f.text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

type fact struct{ label, text string }

// facts lists the facts that the general text about the health lacks.
func facts(c watch.Change) []fact {
	all := []fact{{"状态 health", fmt.Sprintf("%s -> %s, %s", c.From, c.To, c.At.UTC().Format(time.RFC3339))}}
	add := func(label, format string, args ...any) {
		all = append(all, fact{label, fmt.Sprintf(format, args...)})
	}
	if c.To == watch.Off {
		return all
	}
	add("剩余小时 hours left", "%.1f of 120", c.Left.Hours())
	if t := c.Trouble; t != nil {
		level := "errcode"
		if t.Native {
			level = "return code"
		}
		add("原因 cause", "%s, %s %s %d, since %s", t.Cause, t.Op, level, t.Code, t.Since.UTC().Format(time.RFC3339))
		if t.FromIP != "" {
			add("IP 地址 address", "%s, as seen by WeCom", t.FromIP)
		}
		if step := t.Cause.Step(); step != 0 {
			add("设置步骤 set-up step", "%d", step)
		}
	}
	if len(c.SetAside) == 0 {
		return all
	}
	more := ""
	if c.MoreSetAside {
		more = " or more"
	}
	reasons, versions := map[string]int{}, []uint32{}
	for _, u := range c.SetAside {
		reasons[string(u.Reason)]++
		if u.Reason == archive.ReasonNoKey && !slices.Contains(versions, u.KeyVersion) {
			versions = append(versions, u.KeyVersion)
		}
	}
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		why = append(why, fmt.Sprintf("%s: %d", reason, reasons[reason]))
	}
	add("搁置的记录 set aside", "%d%s, from seq %d (%s)", len(c.SetAside), more, c.SetAside[0].Seq, strings.Join(why, ", "))
	if len(versions) > 0 {
		slices.Sort(versions)
		add("缺少密钥的版本 no key for version", "%s", someOf(versions))
	}
	return all
}

// someOf lists the first few versions: a company may lack hundreds, and the
// message may be about many companies.
func someOf(versions []uint32) string {
	const few = 10
	if len(versions) <= few {
		return strings.Trim(fmt.Sprint(versions), "[]")
	}
	return fmt.Sprintf("%s and %d more", strings.Trim(fmt.Sprint(versions[:few]), "[]"), len(versions)-few)
}

// nameMost is the number of characters of a company's name in a message.
const nameMost = 40

// Quoted makes a company's name safe to print. The company chose the name, and
// operators read the message. So the name keeps letters, digits and the few signs
// that names need: it cannot imitate a line of the message, a link or an address.
// The quotation marks show where it ends.
func Quoted(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool {
		return !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) && !strings.ContainsRune("()（）·&-", r)
	})
	runes := []rune(strings.Join(words, " "))
	return "“" + string(runes[:min(len(runes), nameMost)]) + "”"
}
