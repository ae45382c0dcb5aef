package dynamostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// ConsentsClient lists the methods of the SDK's client that [Consents] calls.
type ConsentsClient interface {
	getClient
	putClient
	queryClient
}

// Consents is the table of the external contacts' answers to archiving:
//
//	<corp>  pair#<member>#<contact>  the newest answer of a contact to a member
//	<corp>  room#<room>#<contact>    the newest answer of a contact in a room
//	<corp>#history  pair#<member>#<contact>#<rank>, room#<room>#<contact>#<rank>  every answer
//	<corp>#history  version  what [Consents.ConsentsVersion] returns
//
// The index contact finds the items of one external contact by the attribute of
// the same name, which holds corp and contact. The index may lag by some seconds.
type Consents struct {
	table
	client ConsentsClient
	newer  func(context.Context, []archive.Consent)
}

// NewConsents uses the table of that name. Each call of RecordConsents calls newer
// at its end, with those of its answers that are newer than the stored ones were.
// These answers are durable then. A nil newer is not called.
func NewConsents(client ConsentsClient, table string, newer func(context.Context, []archive.Consent), options ...Option) *Consents {
	return &Consents{table: newTable(table, options), client: client, newer: newer}
}

var _ archive.ConsentWriter = (*Consents)(nil)

const (
	pairPrefix        = "pair#"
	roomConsentPrefix = "room#"
	contactIndex      = "contact" // and its attribute
)

type consentItem struct {
	Corp      string                `dynamodbav:"-"`
	Contact   string                `dynamodbav:"external_contact"`
	Member    string                `dynamodbav:"member,omitempty"`
	Room      string                `dynamodbav:"room,omitempty"`
	Status    archive.ConsentStatus `dynamodbav:"status"`
	ChangedAt time.Time             `dynamodbav:"changed"`
	Source    archive.ConsentSource `dynamodbav:"source"`
	At        time.Time             `dynamodbav:"at"`
}

func contactPK(corp, contact string) string { return corp + "#" + part(contact) }

func consentPrefix(member, room string) string {
	if room != "" {
		return roomConsentPrefix + part(room) + "#"
	}
	return pairPrefix + part(member) + "#"
}

// RecordConsents implements [archive.ConsentWriter].
func (c *Consents) RecordConsents(ctx context.Context, consents []archive.Consent) error {
	type recorded struct {
		archive.Consent
		newer bool
	}
	list := make([]*recorded, len(consents))
	for i, consent := range consents {
		list[i] = &recorded{Consent: consent}
	}
	err := each(ctx, list, func(ctx context.Context, r *recorded) (err error) {
		r.newer, err = c.record(ctx, r.Consent)
		return err
	})
	var newer []archive.Consent
	for _, r := range list {
		if r.newer {
			newer = append(newer, r.Consent)
		}
	}
	if len(newer) == 0 {
		return err
	}
	// A crash here leaves them without a new version and without the call.
	err = errors.Join(err, c.renew(ctx, newer))
	if c.newer != nil {
		c.newer(ctx, newer)
	}
	return err
}

// renew gives the corp that has newer answers a new version.
func (c *Consents) renew(ctx context.Context, newer []archive.Consent) error {
	corp := newer[0].Corp
	b, err := json.Marshal(newer)
	if err != nil {
		return fmt.Errorf("encode consents of corp %s: %w", corp, err)
	}
	sum := sha256.Sum256(b)
	it, err := encode(historyPK(corp), versionSK, consentsVersion{hex.EncodeToString(sum[:9])})
	if err == nil {
		err = c.put(ctx, c.client, it)
	}
	if err != nil {
		return fmt.Errorf("write the version of the consents of corp %s: %w", corp, err)
	}
	return nil
}

// versionSK sorts behind all answers of the history.
const versionSK = "version"

type consentsVersion struct {
	Version string `dynamodbav:"version"`
}

// ConsentsVersion differs from an earlier one if an answer became known that is newer
// than the stored one was, unless the writer crashed behind that answer. It is empty
// before the first answer.
func (c *Consents) ConsentsVersion(ctx context.Context, corp string) (string, error) {
	it, err := c.get(ctx, c.client, key(historyPK(corp), versionSK))
	if errors.Is(err, archive.ErrNotFound) {
		return "", nil
	}
	var v consentsVersion
	if err == nil {
		v, err = readItem[consentsVersion](it)
	}
	if err != nil {
		return "", fmt.Errorf("read the version of the consents of corp %s: %w", corp, err)
	}
	return v.Version, nil
}

// record stores one answer, and reports whether it is newer than the stored one.
func (c *Consents) record(ctx context.Context, consent archive.Consent) (newer bool, _ error) {
	it, err := encode(consent.Corp, consentPrefix(consent.Member, consent.Room)+part(consent.Contact), consentItem(consent))
	if err != nil {
		return false, err
	}
	it[contactIndex] = text(contactPK(consent.Corp, consent.Contact))
	it["rank"] = number(consent.Order())
	err = c.putIf(ctx, c.client, dynamodb.PutItemInput{
		Item:                      it,
		ConditionExpression:       aws.String(absent + " OR #rank < :rank"),
		ExpressionAttributeNames:  map[string]string{"#rank": "rank"},
		ExpressionAttributeValues: item{":rank": it["rank"]},
	})
	_, older := conditionFailed(err)
	if older {
		err = nil
	}
	newer = err == nil && !older
	// A crash here leaves the newest answer without its place in the history, until
	// the message or event that reports it is processed again.
	if err == nil {
		err = c.remember(ctx, consent)
	}
	if err != nil {
		return newer, fmt.Errorf("record a consent of corp %s: %w", consent.Corp, err)
	}
	return newer, nil
}

// historyPK is a partition of its own, so that the newest answers stay a short
// list.
func historyPK(corp string) string { return corp + "#history" }

// remember stores an answer in the history. The same answer from the same source
// is stored once.
func (c *Consents) remember(ctx context.Context, consent archive.Consent) error {
	sk := fmt.Sprintf("%s%s#%020d", consentPrefix(consent.Member, consent.Room), part(consent.Contact), consent.Order())
	it, err := encode(historyPK(consent.Corp), sk, consentItem(consent))
	if err != nil {
		return err
	}
	return unlessExists(c.create(ctx, c.client, it))
}

// ConsentHistory lists every answer of a contact to a member, or of the contacts
// in a room, by contact and then by time, at most limit. cursor and next are as
// for [Consents.Consents].
func (c *Consents) ConsentHistory(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) (_ []archive.Consent, next string, _ error) {
	prefix := consentPrefix(q.Member, q.Room)
	if q.Contact != "" {
		prefix += part(q.Contact) + "#"
	}
	in := within(historyPK(corp), after(prefix, prefix+keysEnd, cursor), prefix+keysEnd)
	list, next, err := listPage(c.first(ctx, c.client, limit+1, in), limit, func(it item) (archive.Consent, error) {
		consent, err := readItem[consentItem](it)
		consent.Corp = corp
		return archive.Consent(consent), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list the history of consents of corp %s: %w", corp, err)
	}
	return list, next, nil
}

// EachConsent calls f with every newest answer of a corp, in the order of the keys,
// until f returns false.
func (c *Consents) EachConsent(ctx context.Context, corp string, f func(archive.Consent) bool) error {
	for it, err := range c.query(ctx, c.client, partition(corp)) {
		var consent consentItem
		if err == nil {
			consent, err = readItem[consentItem](it)
		}
		if err != nil {
			return fmt.Errorf("read consents of corp %s: %w", corp, err)
		}
		if consent.Corp = corp; !f(archive.Consent(consent)) {
			return nil
		}
	}
	return nil
}

// Consents lists answers in the order of their keys, at most limit. cursor and
// next are as for [Readings.Readings].
func (c *Consents) Consents(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) (_ []archive.Consent, next string, _ error) {
	var in dynamodb.QueryInput
	switch prefix := consentPrefix(q.Member, q.Room); {
	case q.Member == "" && q.Room == "":
		in = within(contactPK(corp, q.Contact), after("!", keysEnd, cursor), keysEnd)
		in.IndexName = aws.String(contactIndex)
		in.KeyConditionExpression = aws.String("contact = :pk AND sk BETWEEN :lo AND :hi")
	case q.Contact != "":
		in = within(corp, prefix+part(q.Contact), prefix+part(q.Contact))
	default:
		in = within(corp, after(prefix, prefix+keysEnd, cursor), prefix+keysEnd)
	}
	list, next, err := listPage(c.first(ctx, c.client, limit+1, in), limit, func(it item) (archive.Consent, error) {
		consent, err := readItem[consentItem](it)
		consent.Corp = corp
		return archive.Consent(consent), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list consents of corp %s: %w", corp, err)
	}
	return list, next, nil
}

// after returns where the list of the keys from begin to end continues after
// cursor. A cursor outside this range starts the list at its begin.
func after(begin, end, cursor string) string {
	if begin < cursor && cursor < end && len(cursor) < longestSK {
		return cursor + "\x00"
	}
	return begin
}
