// Package snsnotify tells people about companies by an SNS topic: one message
// for each change, in Chinese and English, which names the company, the cause
// and the mend. Who gets it (mail, a chat robot, a queue) is decided by the
// topic's subscriptions.
//
// A message holds names, codes and times; no chat, key or secret.
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
)

// Client is what the package needs of [*sns.Client].
type Client interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

var _ Client = (*sns.Client)(nil)

// Notifier is an [archive.Notifier]. Safe for concurrent use.
type Notifier struct {
	client Client
	topic  string
	stack  string
}

var _ archive.Notifier = (*Notifier)(nil)

// New makes a notifier for the topic with that ARN. stack is the name that
// subjects begin with, so that a reader of several stacks' messages can tell
// them apart.
func New(client Client, topic, stack string) *Notifier {
	return &Notifier{client: client, topic: topic, stack: stack}
}

// longestList is how many companies a message about many of them names.
const longestList = 200

// Notify implements [archive.Notifier].
func (n *Notifier) Notify(ctx context.Context, changes []archive.Change) error {
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
func (n *Notifier) subject(changes []archive.Change) string {
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

func message(changes []archive.Change) string {
	var b strings.Builder
	first := changes[0]
	text := textOf(first.To)
	if len(changes) == 1 {
		fmt.Fprintf(&b, "%s %s\n", first.Corp, oneLine(first.Name))
	} else {
		fmt.Fprintf(&b, "%d 家企业 / %d companies\n", len(changes), len(changes))
	}
	fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n%s\n\n", text.whatZH, text.mendZH, text.what, text.mend)
	if len(changes) == 1 {
		details(&b, first)
	} else {
		for i, c := range changes {
			if i == longestList {
				fmt.Fprintf(&b, "… %d more\n", len(changes)-i)
				break
			}
			fmt.Fprintf(&b, "%s %s (%s)\n", c.Corp, oneLine(c.Name), c.From)
		}
	}
	return b.String()
}

// details are what the cause alone does not say.
func details(b *strings.Builder, c archive.Change) {
	fmt.Fprintf(b, "health     %s -> %s, %s\n", c.From, c.To, c.At.UTC().Format(time.RFC3339))
	if c.To == archive.HealthOff {
		return
	}
	fmt.Fprintf(b, "hours left %.1f of 120\n", c.Left.Hours())
	if t := c.Trouble; t != nil {
		level := "errcode"
		if t.Native {
			level = "return code"
		}
		fmt.Fprintf(b, "cause      %s, %s %s %d, since %s\n", t.Cause, t.Op, level, t.Code, t.Since.UTC().Format(time.RFC3339))
		if t.FromIP != "" {
			fmt.Fprintf(b, "address    %s, as WeCom saw it\n", t.FromIP)
		}
		if step := t.Cause.Step(); step != 0 {
			fmt.Fprintf(b, "set-up     step %d\n", step)
		}
	}
	if len(c.Aside) == 0 {
		return
	}
	more := ""
	if c.AsideMore {
		more = " or more"
	}
	fmt.Fprintf(b, "rows       %d%s set aside, from seq %d\n", len(c.Aside), more, c.Aside[0].Seq)
	reasons, versions := map[string]int{}, []uint32{}
	for _, u := range c.Aside {
		reasons[string(u.Reason)]++
		if u.Reason == archive.ReasonNoKey && !slices.Contains(versions, u.KeyVersion) {
			versions = append(versions, u.KeyVersion)
		}
	}
	for _, reason := range sortedKeys(reasons) {
		fmt.Fprintf(b, "           %s: %d\n", reason, reasons[reason])
	}
	if len(versions) > 0 {
		slices.Sort(versions)
		fmt.Fprintf(b, "no key for version %s\n", strings.Trim(fmt.Sprint(versions), "[]"))
	}
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
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
