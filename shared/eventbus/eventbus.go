// Package eventbus announces to the SCRM's backend what has changed, as events on
// an EventBridge bus. An announcement says where to look: it holds ids, codes and
// times, and no message text, secret or name. docs/announcements.md describes the
// kinds, and the document of the API has the form of each below webhooks.
//
// Announcements are hints. One may be repeated, late or missing: the SCRM finds
// what it missed by GET changes. So announcing never fails for its caller, and
// takes [announceTime] at most.
package eventbus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// Client is the part of [*eventbridge.Client] that the package uses.
type Client interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

var _ Client = (*eventbridge.Client)(nil)

// Source is the source of every event.
const Source = "yunduo-archive"

// Kind is the detail-type of an event.
type Kind string

// The kinds.
const (
	ConversationUpdated Kind = "conversation.updated" // messages of a conversation were stored
	ConsentChanged      Kind = "consent.changed"      // an external contact's newest answer is another one
	SetupChanged        Kind = "setup.changed"        // the doctor found a check changed
)

const (
	// entriesMost is the most events of one PutEvents.
	entriesMost = 10
	// announceTime bounds the announcements of one call, tries included.
	announceTime = 1500 * time.Millisecond
	// rest is the time without announcements after a failure. While the bus is
	// unavailable, each page would wait for it otherwise.
	rest = 30 * time.Second
)

// Bus announces to one event bus. Safe for concurrent use.
type Bus struct {
	client Client
	name   string
	now    func() time.Time
	log    *slog.Logger

	mu        sync.Mutex
	restUntil time.Time
}

var (
	_ decode.Announcer = (*Bus)(nil)
	_ doctor.Notifier  = (*Bus)(nil)
)

// New makes a Bus for the event bus of that name. With an empty name it announces
// nothing.
func New(client Client, name string, now func() time.Time, log *slog.Logger) *Bus {
	return &Bus{client: client, name: name, now: now, log: log}
}

type conversationDetail struct {
	Corp         string   `json:"corp"`
	Conversation string   `json:"conversation"` // as in the API's answers
	Kind         string   `json:"kind"`
	Room         *string  `json:"room"`
	Parties      []string `json:"parties"`
	LastAt       string   `json:"last_at"`
	Seq          string   `json:"seq"`
}

// AnnounceMessages implements [decode.Announcer].
func (b *Bus) AnnounceMessages(ctx context.Context, corp string, updates []decode.Update) {
	var list []any
	for _, u := range updates {
		id, err := opaque.Conversation(corp).Seal(u.Conversation)
		if err != nil { // a text always has JSON
			b.log.ErrorContext(ctx, "conversation not announced", "corp", corp, "err", err)
			continue
		}
		d := conversationDetail{
			Corp: corp, Conversation: id, Kind: u.Conversation.Kind(), Room: orNull(u.Conversation.Room()), Parties: append([]string{}, u.Parties...), LastAt: moment(u.LastAt), Seq: fmt.Sprint(u.Seq),
		}
		list = append(list, d)
	}
	b.put(ctx, corp, ConversationUpdated, list)
}

type consentDetail struct {
	Corp            string                `json:"corp"`
	ExternalContact string                `json:"external_contact"`
	Member          *string               `json:"member"`
	Room            *string               `json:"room"`
	Status          archive.ConsentStatus `json:"status"`
	ChangedAt       *string               `json:"changed_at"`
	Source          archive.ConsentSource `json:"source"`
}

// AnnounceConsents announces answers of one corp that replaced older ones.
func (b *Bus) AnnounceConsents(ctx context.Context, newer []archive.Consent) {
	var list []any
	for _, c := range newer {
		d := consentDetail{
			Corp: c.Corp, ExternalContact: c.Contact, Member: orNull(c.Member), Room: orNull(c.Room), Status: c.Status, Source: c.Source,
		}
		if !c.ChangedAt.IsZero() {
			d.ChangedAt = orNull(moment(c.ChangedAt))
		}
		list = append(list, d)
	}
	if len(newer) > 0 {
		b.put(ctx, newer[0].Corp, ConsentChanged, list)
	}
}

type setupDetail struct {
	Corp  string        `json:"corp"`
	Check doctor.Check  `json:"check"`
	Step  int           `json:"step"`
	From  *doctor.State `json:"from"`
	To    doctor.State  `json:"to"`
	Was   *doctor.Cause `json:"was"`
	Cause *doctor.Cause `json:"cause"`
	Who   string        `json:"who"`
	At    string        `json:"at"`
}

// NotifySetup implements [doctor.Notifier]. It announces every change, without its
// evidence, and returns nil: the list of changes has what is missing.
func (b *Bus) NotifySetup(ctx context.Context, corp archive.Corp, changes []doctor.Change) error {
	var list []any
	for _, c := range changes {
		list = append(list, setupDetail{
			Corp: corp.ID, Check: c.Check, Step: c.Check.Step(), From: orNull(c.From), To: c.To, Was: orNull(c.Was), Cause: orNull(c.Now), Who: doctor.Who(c.Operators), At: moment(c.At),
		})
	}
	b.put(ctx, corp.ID, SetupChanged, list)
	return nil
}

// orNull is nil for the empty text.
func orNull[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

// moment writes a time as the API does.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// put sends the details, ten at a time, until the first failure or the end of its
// time. One log line counts what was not sent.
func (b *Bus) put(ctx context.Context, corp string, kind Kind, details []any) {
	if b.name == "" || len(details) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	sent := 0
	err := b.resting()
	for part := range slices.Chunk(details, entriesMost) {
		if err != nil {
			break
		}
		var n int
		n, err = b.send(ctx, kind, part)
		sent += n
	}
	if err == nil {
		return
	}
	b.mu.Lock()
	if now := b.now(); b.restUntil.Before(now) {
		b.restUntil = now.Add(rest)
	}
	b.mu.Unlock()
	b.log.WarnContext(ctx, "announcements not sent", "corp", corp, "kind", kind, "sent", sent, "missing", len(details)-sent, "err", err)
}

// resting is an error while the bus is left alone after a failure.
func (b *Bus) resting() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now().Before(b.restUntil) {
		return fmt.Errorf("no announcements until %s, after a failure", moment(b.restUntil))
	}
	return nil
}

// send sends at most ten details, and returns how many EventBridge took.
func (b *Bus) send(ctx context.Context, kind Kind, details []any) (int, error) {
	in := &eventbridge.PutEventsInput{}
	for _, d := range details {
		text, err := json.Marshal(d)
		if err != nil {
			return 0, fmt.Errorf("encode announcement: %w", err)
		}
		in.Entries = append(in.Entries, types.PutEventsRequestEntry{
			EventBusName: &b.name, Source: aws.String(Source), DetailType: aws.String(string(kind)), Detail: aws.String(string(text)), Time: aws.Time(b.now()),
		})
	}
	out, err := b.client.PutEvents(ctx, in)
	if err != nil {
		return 0, fmt.Errorf("put events: %w", err)
	}
	if out.FailedEntryCount == 0 {
		return len(details), nil
	}
	codes := make(map[string]bool)
	for _, entry := range out.Entries {
		if entry.ErrorCode != nil {
			codes[*entry.ErrorCode] = true
		}
	}
	return len(details) - int(out.FailedEntryCount), fmt.Errorf("put events: %d of %d refused: %v", out.FailedEntryCount, len(details), slices.Sorted(maps.Keys(codes)))
}
