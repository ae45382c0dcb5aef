// Package snsnotify tells people about companies by an SNS topic: one message
// for each change, or for many that are the same, in Chinese and English, which
// names every company with its cause, and the mend. Who gets it (mail, a chat robot, a queue) is decided by the
// topic's subscriptions.
//
// A message holds names, codes and times; no chat, key or secret.
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
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Client is what the package needs of [*sns.Client].
type Client interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

var _ Client = (*sns.Client)(nil)

// Notifier is an [watch.Notifier]. Safe for concurrent use.
type Notifier struct {
	client Client
	topic  string
	stack  string
}

var _ watch.Notifier = (*Notifier)(nil)

// New makes a notifier for the topic with that ARN. stack is the name that
// subjects begin with, so that a reader of several stacks' messages can tell
// them apart.
func New(client Client, topic, stack string) *Notifier {
	return &Notifier{client: client, topic: topic, stack: stack}
}

// Notify implements [watch.Notifier]. A message has room for 200 companies,
// whatever there is to say of each; what SNS does not take, as too long, is an
// error, so that nobody counts as told who is not named.
func (n *Notifier) Notify(ctx context.Context, changes []watch.Change) error {
	subject, body := n.subject(changes), message(changes)
	attribute := func(v string) types.MessageAttributeValue {
		kind := "String"
		return types.MessageAttributeValue{DataType: &kind, StringValue: &v}
	}
	in := &sns.PublishInput{
		TopicArn: &n.topic, Subject: &subject, Message: &body,
		// For subscriptions that want some messages only.
		MessageAttributes: map[string]types.MessageAttributeValue{"health": attribute(string(changes[0].To))},
	}
	if len(changes) == 1 {
		in.MessageAttributes["corp"] = attribute(changes[0].Corp)
	}
	if _, err := n.client.Publish(ctx, in); err != nil {
		return fmt.Errorf("publish a notice: %w", err)
	}
	return nil
}

// subject is ASCII, of less than 100 characters and one line: SNS takes no
// other.
func (n *Notifier) subject(changes []watch.Change) string {
	who := changes[0].Corp
	if len(changes) > 1 {
		who = strconv.Itoa(len(changes)) + " companies"
	}
	s := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf("[%s] %s: %s", n.stack, who, changes[0].To))
	return s[:min(len(s), 99)]
}

// message names every company with what there is to say of it: one has lines of
// its own, each of several has one line.
func message(changes []watch.Change) string {
	var b strings.Builder
	first := changes[0]
	if len(changes) == 1 {
		fmt.Fprintf(&b, "%s %s\n", first.Corp, oneLine(first.Name))
	} else {
		fmt.Fprintf(&b, "%d 家企业 / %d companies\n", len(changes), len(changes))
	}
	text := textOf(first.To)
	fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n%s\n\n", text.whatZH, text.mendZH, text.what, text.mend)
	if len(changes) == 1 {
		for _, f := range facts(first) {
			fmt.Fprintf(&b, "%-10s %s\n", f.label, f.text)
		}
		return b.String()
	}
	for _, c := range changes {
		fmt.Fprintf(&b, "%s %s", c.Corp, oneLine(c.Name))
		for _, f := range facts(c) {
			fmt.Fprintf(&b, "; %s %s", f.label, f.text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

type fact struct{ label, text string }

// facts are what the cause alone does not say.
func facts(c watch.Change) []fact {
	all := []fact{{"health", fmt.Sprintf("%s -> %s, %s", c.From, c.To, c.At.UTC().Format(time.RFC3339))}}
	add := func(label, format string, args ...any) {
		all = append(all, fact{label, fmt.Sprintf(format, args...)})
	}
	if c.To == watch.Off {
		return all
	}
	add("hours left", "%.1f of 120", c.Left.Hours())
	if t := c.Trouble; t != nil {
		level := "errcode"
		if t.Native {
			level = "return code"
		}
		add("cause", "%s, %s %s %d, since %s", t.Cause, t.Op, level, t.Code, t.Since.UTC().Format(time.RFC3339))
		if t.FromIP != "" {
			add("address", "%s, as WeCom saw it", t.FromIP)
		}
		if step := t.Cause.Step(); step != 0 {
			add("set-up", "step %d", step)
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
	add("rows", "%d%s set aside, from seq %d (%s)", len(c.SetAside), more, c.SetAside[0].Seq, strings.Join(why, ", "))
	if len(versions) > 0 {
		slices.Sort(versions)
		add("no key", "for version %s", someOf(versions))
	}
	return all
}

// someOf lists the first few: a company may lack hundreds, and share the
// message with others.
func someOf(versions []uint32) string {
	const few = 10
	if len(versions) <= few {
		return strings.Trim(fmt.Sprint(versions), "[]")
	}
	return fmt.Sprintf("%s and %d more", strings.Trim(fmt.Sprint(versions[:few]), "[]"), len(versions)-few)
}

// oneLine keeps a company's name from looking like another line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
