package wecom

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom/chat"
)

// A Draft is a message that somebody sends.
type Draft struct {
	From string   `json:"from"`
	To   []string `json:"to"`   // in a room that the corp knows: all other members, if empty
	Room string   `json:"room"` // empty outside rooms
	// Kind names a shape of [chat.Kinds]; text if empty.
	Kind string `json:"kind"`
	// Text is the text, title or file name; invented if empty.
	Text string `json:"text"`
	// Target is the msgid that a revoke withdraws; invented if empty.
	Target string    `json:"target"`
	MsgID  string    `json:"msgid"` // invented if empty
	Time   time.Time `json:"time"`  // of sending; now if zero
	// Size of the file, in bytes, for kinds that carry one; as is usual for
	// the kind if nil.
	Size *int   `json:"size"`
	MD5  MD5Lie `json:"md5"`
}

// MD5Lie is what a message says of its file's MD5.
type MD5Lie string

// The lies.
const (
	MD5True  MD5Lie = ""
	MD5Wrong MD5Lie = "wrong"
	MD5Empty MD5Lie = "empty"
)

// Sent is what became of a message.
type Sent struct {
	// LeftOut says why the message was not archived; then Seq and KeyVersion
	// are zero and Plain is nil.
	LeftOut    string    `json:"left_out,omitempty"`
	Seq        uint64    `json:"seq"`
	MsgID      string    `json:"msgid"`
	KeyVersion uint32    `json:"key_version"`
	Kind       string    `json:"kind,omitempty"` // as in [Draft.Kind]; empty for raw plaintext
	Plain      []byte    `json:"plain"`          // exactly as archived; not to be changed
	SentAt     time.Time `json:"sent_at"`
	ArchivedAt time.Time `json:"archived_at"`
	// Spoilt says that no key and no library can open the record.
	Spoilt bool `json:"spoilt,omitempty"`
}

// RawOptions says how plaintext given to [Corp.SendRaw] is archived.
type RawOptions struct {
	MsgID  string    `json:"msgid"` // of the record; invented if empty
	SentAt time.Time `json:"sent_at"`
	// KeyVersion is that of an older key to encrypt with; the newest if zero.
	KeyVersion uint32 `json:"key_version"`
	// ClaimVersion, if not zero, is put on the record in place of the true one.
	ClaimVersion uint32 `json:"claim_version"`
	Spoil        Spoil  `json:"spoil"`
}

// Spoil is how a record is made unreadable.
type Spoil string

// The ways.
const (
	SpoilNothing   Spoil = ""
	SpoilRandomKey Spoil = "random_key" // encrypt_random_key is 256 random bytes, in base64
	SpoilBase64    Spoil = "base64"     // encrypt_random_key is not base64
	SpoilKeyText   Spoil = "key_text"   // what it wraps is no key text
	SpoilOtherKey  Spoil = "other_key"  // it wraps the key text of another message
	SpoilMessage   Spoil = "message"    // encrypt_chat_msg is no sealed message
)

// An entry of the archive's log.
type entry struct {
	Sent
	randomKey string // encrypt_random_key
	message   string // encrypt_chat_msg
}

// Why a message is not archived.
const (
	leftNotOpen = "archive not switched on"
	leftExpired = "licence expired"
	leftNoKey   = "no public key"
	leftScope   = "no member in scope"
	leftEdition = "edition does not archive this"
	leftConsent = "customer has not agreed"
)

// Send lets a message be sent, and archived if the rules say so. An agree or
// disagree message (from the customer to the member, or in a room) also
// changes the consent, and an agree tells the app's callback.
func (c *Corp) Send(d Draft) (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(d)
}

func (c *Corp) send(d Draft) (Sent, error) {
	name := d.Kind
	def(&name, "text")
	kind, ok := chat.Lookup(name)
	if !ok {
		return Sent{}, fmt.Errorf("there is no kind %q of message", name)
	}
	if d.From == "" {
		return Sent{}, errors.New("a message needs a sender in from")
	}
	if d.Room != "" && len(d.To) == 0 {
		room, ok := c.room(d.Room)
		if !ok {
			return Sent{}, fmt.Errorf("there is no room %q; name the receivers in to", d.Room)
		}
		for _, id := range room.Members {
			if id != d.From {
				d.To = append(d.To, id)
			}
		}
	}
	if len(d.To) == 0 && kind.Type() != "switch" {
		return Sent{}, errors.New("a message needs a receiver in to, or a room")
	}
	switch d.MD5 {
	case MD5True, MD5Wrong, MD5Empty:
	default:
		return Sent{}, fmt.Errorf("md5 is %q: it is empty, %q or %q", d.MD5, MD5Wrong, MD5Empty)
	}
	size := -1
	if d.Size != nil {
		if size = *d.Size; size < 0 || size > maxFile {
			return Sent{}, fmt.Errorf("a file has 0 to %d bytes", maxFile)
		}
	}
	now := c.sim.cfg.Now()
	def(&d.Time, now)

	answer := kind.Type() == "agree" || kind.Type() == "disagree"
	if answer && !external(d.From) {
		return Sent{}, fmt.Errorf("%q is no customer: an %s comes from an id that begins with wm or wo", d.From, kind.Type())
	}
	if answer {
		c.consent(d, kind.Type() == "agree")
	}
	if why := c.leaveOut(d, kind, answer); why != "" {
		c.counted.LeftOut[why]++
		return Sent{LeftOut: why, MsgID: d.MsgID, Kind: kind.Name, SentAt: d.Time}, nil
	}
	if d.MsgID == "" {
		outside := slices.ContainsFunc(append([]string{d.From}, d.To...), external)
		d.MsgID = c.newMsgID(d.Time, outside)
	}
	plain := kind.Compose(chat.Scene{
		Rand: c.rand, MsgID: d.MsgID, From: d.From, To: d.To, Room: d.Room, Time: d.Time, Text: d.Text, Target: d.Target, Size: size,
		Attach: func(ext string, size int) chat.Attachment { return c.attach(ext, size, d.MD5, d.Time) },
	})
	return c.archive(Sent{MsgID: d.MsgID, Kind: kind.Name, Plain: plain, SentAt: d.Time, ArchivedAt: now}, RawOptions{})
}

// leaveOut decides whether a message is archived; empty means yes.
func (c *Corp) leaveOut(d Draft, kind chat.Kind, answer bool) string {
	switch {
	case !c.open:
		return leftNotOpen
	case c.expired():
		return leftExpired
	case len(c.keys) == 0:
		return leftNoKey
	}
	var inScope, outside bool
	scope := c.inScope()
	for _, id := range append([]string{d.From}, d.To...) {
		outside = outside || external(id)
		inScope = inScope || slices.Contains(scope, id)
	}
	switch {
	case !inScope:
		return leftScope
	case outside && c.edition < 2, c.edition < 3 && (kind.Type() == "meeting_voice_call" || kind.Type() == "voip_doc_share"):
		return leftEdition
	case outside && !answer && c.refused(d):
		return leftConsent
	}
	return ""
}

// refused reports whether a customer's missing consent keeps a message out: in
// a room the sender's, outside rooms that of the one other party.
func (c *Corp) refused(d Draft) bool {
	if d.Room != "" {
		return external(d.From) && !c.agrees(d.Room, d.From)
	}
	if external(d.From) {
		return slices.ContainsFunc(d.To, func(id string) bool { return !external(id) && !c.agrees(id, d.From) })
	}
	return slices.ContainsFunc(d.To, func(id string) bool { return external(id) && !c.agrees(d.From, id) })
}

func (c *Corp) agrees(with, customer string) bool {
	if answer, ok := c.consents[consentKey{with, customer}]; ok {
		return answer.agrees
	}
	return c.sim.Choices().Unanswered == UnansweredAgrees
}

// consent notes a customer's answer, and tells the app's callback of an
// agreement; there is no event for a refusal (wecom.md 4.2).
func (c *Corp) consent(d Draft, agrees bool) {
	answer := consent{agrees: agrees, at: d.Time}
	if d.Room != "" {
		c.consents[consentKey{d.Room, d.From}] = answer
		return
	}
	for _, member := range d.To {
		c.consents[consentKey{member, d.From}] = answer
		if agrees {
			c.emit(Event{App: true, Event: "change_external_contact", ChangeType: "msg_audit_approved", UserID: member, ExternalUserID: d.From})
		}
	}
}

// SendRaw archives plaintext as it is, whatever the scope and consents say.
// The corp needs a public key.
func (c *Corp) SendRaw(plaintext []byte, o RawOptions) (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.sim.cfg.Now()
	def(&o.SentAt, now)
	if o.MsgID == "" {
		o.MsgID = c.newMsgID(o.SentAt, false)
	}
	return c.archive(Sent{MsgID: o.MsgID, Plain: slices.Clone(plaintext), SentAt: o.SentAt, ArchivedAt: now}, o)
}

// Redeliver archives a message once more, under a new seq.
func (c *Corp) Redeliver(msgid string) (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.firstOf[msgid]
	if !ok {
		return Sent{}, fmt.Errorf("no message %q was archived", msgid)
	}
	again := c.log[i].Sent
	again.ArchivedAt, again.Spoilt = c.sim.cfg.Now(), false
	return c.archive(again, RawOptions{})
}

// archive seals s, which lacks its seq and key version, and appends it to the
// log.
func (c *Corp) archive(s Sent, o RawOptions) (Sent, error) {
	if len(c.keys) == 0 {
		return Sent{}, errors.New("the corp has uploaded no public key")
	}
	key := c.keys[len(c.keys)-1]
	if o.KeyVersion != 0 {
		i := slices.IndexFunc(c.keys, func(k publicKey) bool { return k.version == o.KeyVersion })
		if i < 0 {
			return Sent{}, fmt.Errorf("there is no public key of version %d", o.KeyVersion)
		}
		key = c.keys[i]
	}
	s.KeyVersion = key.version
	if o.ClaimVersion != 0 {
		s.KeyVersion = o.ClaimVersion
	}

	keyText := standin.NewKeyText(c.bytes)
	var nonce [12]byte
	_, _ = c.bytes.Read(nonce[:]) // cannot fail
	e := entry{message: standin.Seal(keyText, s.Plain, nonce)}
	s.Spoilt = o.Spoil != SpoilNothing
	switch o.Spoil {
	case SpoilNothing, SpoilRandomKey, SpoilBase64:
	case SpoilKeyText:
		keyText = strings.Repeat("?", len(keyText))
	case SpoilOtherKey:
		keyText = standin.NewKeyText(c.bytes)
	case SpoilMessage:
		e.message = randomID(c.rand, len(e.message), false)
	default:
		return Sent{}, fmt.Errorf("spoil is %q, which is no way to make a record unreadable", o.Spoil)
	}
	//lint:ignore SA1019 WeCom wraps its keys with PKCS #1 v1.5 (document 91774).
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, key.key, []byte(keyText))
	if err != nil {
		return Sent{}, fmt.Errorf("wrap a key with public key version %d: %w", key.version, err)
	}
	if o.Spoil == SpoilRandomKey {
		// The first byte is left: the number must stay below the modulus.
		_, _ = c.bytes.Read(wrapped[1:])
	}
	e.randomKey = base64.StdEncoding.EncodeToString(wrapped)
	if o.Spoil == SpoilBase64 {
		e.randomKey = "!" + e.randomKey[1:]
	}

	c.lastSeq++
	if c.rand.IntN(8) == 0 {
		c.lastSeq += 1 + c.rand.Uint64N(5)
	}
	s.Seq = c.lastSeq
	e.Sent = s
	if _, ok := c.firstOf[s.MsgID]; !ok {
		c.firstOf[s.MsgID] = len(c.log)
	}
	c.log = append(c.log, e)
	c.notify()
	return s, nil
}

// newMsgID invents a msgid in one of the shapes that were seen (wecom.md 1.5).
func (c *Corp) newMsgID(at time.Time, outside bool) string {
	var id string
	digits := 1e18 + c.rand.Uint64N(8e18)
	switch n := c.rand.IntN(10); {
	case n < 4:
		id = fmt.Sprintf("%d_%d", uint64(digits), at.UnixMilli())
	case n < 7:
		id = fmt.Sprintf("%d_%d", uint64(digits), at.Unix())
	case n < 8:
		id = fmt.Sprintf("%d", uint64(digits))
	default:
		var b [20]byte
		_, _ = c.bytes.Read(b[:])
		return "CAQQ" + base64.StdEncoding.EncodeToString(b[:])
	}
	if outside && c.rand.IntN(2) == 0 {
		id += "_external"
	}
	return id
}

// Sent lists everything that was ever archived, by seq, past retention too.
func (c *Corp) Sent() []Sent { return c.SentAfter(0, -1) }

// SentAfter lists what was archived under a higher seq, at most limit; all if
// limit is negative.
func (c *Corp) SentAfter(seq uint64, limit int) []Sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.log[c.after(seq):]
	if limit >= 0 && limit < len(rest) {
		rest = rest[:limit]
	}
	list := make([]Sent, len(rest))
	for i, e := range rest {
		list[i] = e.Sent
	}
	return list
}

// after is the index in the log of the first entry above seq.
func (c *Corp) after(seq uint64) int {
	i, found := slices.BinarySearchFunc(c.log, seq, func(e entry, seq uint64) int {
		switch {
		case e.Seq < seq:
			return -1
		case e.Seq > seq:
			return 1
		}
		return 0
	})
	if found {
		i++
	}
	return i
}

// retained lists at most limit entries above seq that WeCom still has.
func (c *Corp) retained(seq uint64, limit int) []entry {
	bySending := c.sim.Choices().RetainBySending
	for ; !bySending && c.kept < len(c.log) && c.gone(c.log[c.kept].ArchivedAt); c.kept++ {
		// Only the plaintext is kept for comparison.
		c.log[c.kept].randomKey, c.log[c.kept].message = "", ""
	}
	var list []entry
	for i := max(c.after(seq), c.kept); i < len(c.log) && len(list) < limit; i++ {
		if e := c.log[i]; !bySending || !c.gone(e.SentAt) {
			list = append(list, e)
		}
	}
	return list
}

// gone reports whether what began at that time is past retention.
func (c *Corp) gone(at time.Time) bool {
	return c.sim.cfg.Now().Add(c.aged).Sub(at) >= c.sim.cfg.Retention
}
