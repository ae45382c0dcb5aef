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

// NotifySetup implements [doctor.Notifier]. It sends the changes that are worth a
// notice to the operators.
func (n *Notifier) NotifySetup(ctx context.Context, corp archive.Corp, changes []doctor.Change) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(c doctor.Change) bool { return !c.Worth() })
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
		step, at := c.Check.Step(), c.At.UTC().Format(time.RFC3339)
		title, _ := doctor.StepTexts(step)
		text, own := doctor.TextOf(c.Check, c.Now, c.Evidence)
		if w := textOf(watch.Health(c.Now)); !own && c.Now != "" {
			text = doctor.Text{What: doctor.Words{ZH: w.whatZH, EN: w.what}, Remedy: doctor.Words{ZH: w.remedyZH, EN: w.remedy}}
		}
		paragraph(&b, fmt.Sprintf("设置步骤 %d「%s」，%s：%s → %s，%s", step, title.ZH, c.Check, c.From, c.To, clock(c.At)), text.What.ZH, text.Remedy.ZH)
		paragraph(&b, fmt.Sprintf("set-up step %d, %s: %s -> %s, %s", step, c.Check, c.From, c.To, at), text.What.EN, text.Remedy.EN)
	}
	return b.String()
}

// paragraph writes an empty line, then the lines that are not empty.
func paragraph(b *strings.Builder, lines ...string) {
	b.WriteByte('\n')
	for _, line := range lines {
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
}

// clock is a time for Chinese readers.
func clock(t time.Time) string { return archive.ClockOf(t) + "（北京时间）" }

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

// message makes the text. A single company has its facts in Chinese and then in
// English. Several companies have a line each, with values in English: all facts
// in both languages would not fit.
func message(changes []watch.Change) string {
	var b strings.Builder
	first, text := changes[0], textOf(changes[0].To)
	linesZH, lines := []string{text.whatZH, text.remedyZH}, []string{text.what, text.remedy}
	if len(changes) == 1 {
		fmt.Fprintf(&b, "%s %s\n", first.Corp, Quoted(first.Name))
		for _, f := range facts(first) {
			linesZH, lines = append(linesZH, f.nameZH+"："+f.valueZH), append(lines, f.name+": "+f.value)
		}
		paragraph(&b, linesZH...)
		paragraph(&b, lines...)
		return b.String()
	}
	fmt.Fprintf(&b, "%d 家企业 / %d companies\n", len(changes), len(changes))
	paragraph(&b, linesZH...)
	paragraph(&b, lines...)
	b.WriteByte('\n')
	for _, c := range changes {
		fmt.Fprintf(&b, "%s %s", c.Corp, Quoted(c.Name))
		for _, f := range facts(c) {
			fmt.Fprintf(&b, "; %s %s: %s", f.nameZH, f.name, f.value)
		}
		b.WriteByte('\n')
	}
	return b.String()
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
