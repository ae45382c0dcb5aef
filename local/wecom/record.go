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

// A Draft is a message to send.
type Draft struct {
	From string   `json:"from"`
	To   []string `json:"to"`   // empty means all other members of the room
	Room string   `json:"room"` // empty for a message outside rooms
	// Kind is the name of one of [chat.Kinds]. Empty means text.
	Kind string `json:"kind"`
	// Text is the text, title or file name. Empty means an invented text.
	Text string `json:"text"`
	// Target is the msgid that a message of msgtype revoke names. Empty means an invented
	// msgid.
	Target string    `json:"target"`
	MsgID  string    `json:"msgid"` // empty means an invented msgid
	Time   time.Time `json:"time"`  // time of sending; zero means now
	// Size is the size of the file in bytes, for kinds with a file. Nil means a
	// usual size.
	Size *int   `json:"size"`
	MD5  MD5Lie `json:"md5"`
}

// MD5Lie says whether a message names the true MD5 of its file.
type MD5Lie string

// The values of MD5Lie.
const (
	MD5True  MD5Lie = ""
	MD5Wrong MD5Lie = "wrong"
	MD5Empty MD5Lie = "empty"
)

// Sent is the result of sending a message.
type Sent struct {
	// LeftOut is the reason why the message was not archived, and empty for an
	// archived message. With a reason, Seq and KeyVersion are zero and Plain is
	// nil.
	LeftOut    string    `json:"left_out,omitempty"`
	Seq        uint64    `json:"seq"`
	MsgID      string    `json:"msgid"`
	KeyVersion uint32    `json:"key_version"`
	Kind       string    `json:"kind,omitempty"` // as in [Draft.Kind]; empty for SendRaw
	Plain      []byte    `json:"plain"`          // the exact plaintext; callers must not change it
	SentAt     time.Time `json:"sent_at"`
	ArchivedAt time.Time `json:"archived_at"`
	// Spoilt means that no key and no library can open the record.
	Spoilt bool `json:"spoilt,omitempty"`
}

// RawOptions say how [Corp.SendRaw] archives a plaintext.
type RawOptions struct {
	MsgID  string    `json:"msgid"` // msgid of the record; empty means an invented msgid
	SentAt time.Time `json:"sent_at"`
	// KeyVersion selects the key that encrypts the message. 0 means the newest
	// key.
	KeyVersion uint32 `json:"key_version"`
	// ClaimVersion replaces the true key version in the record, unless it is
	// zero.
	ClaimVersion uint32 `json:"claim_version"`
	Spoil        Spoil  `json:"spoil"`
}

// Spoil is a way to make a record unreadable.
type Spoil string

// The ways to make a record unreadable.
const (
	SpoilNothing   Spoil = ""
	SpoilRandomKey Spoil = "random_key" // encrypt_random_key is 256 random bytes, in base64
	SpoilBase64    Spoil = "base64"     // encrypt_random_key is not base64
	SpoilKeyText   Spoil = "key_text"   // encrypt_random_key wraps a text that is not a key text
	SpoilOtherKey  Spoil = "other_key"  // encrypt_random_key wraps the key text of another message
	SpoilMessage   Spoil = "message"    // encrypt_chat_msg is not a sealed message
)

// An entry is a record in the archive's log.
type entry struct {
	Sent
	randomKey string // encrypt_random_key
	message   string // encrypt_chat_msg
}

// The reasons why a message is not archived.
const (
	leftNotOpen = "archive not switched on"
	leftExpired = "licence expired"
	leftNoKey   = "no public key"
	leftScope   = "no member in scope"
	leftEdition = "edition does not archive this"
	leftConsent = "customer has not agreed"
)

// Send sends a message, and archives it if WeCom's rules say so. An agree or
// disagree message from a customer, to a member or in a room, changes the
// consent. An agree message to a member also sends an event to the app's
// callback.
func (c *Corp) Send(d Draft) (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(d)
}

// send is Send for a locked corp.
func (c *Corp) send(d Draft) (Sent, error) {
	kind, size, err := c.complete(&d)
	if err != nil {
		return Sent{}, err
	}
	now := c.sim.cfg.Now()
	def(&d.Time, now)
	answer := isConsent(kind)
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

// complete checks a draft and adds the receivers of a message in a room. It
// returns the draft's kind and the size of the file, which is negative for a
// usual size.
func (c *Corp) complete(d *Draft) (kind chat.Kind, size int, err error) {
	name := d.Kind
	def(&name, "text")
	kind, ok := chat.Lookup(name)
	if !ok {
		return kind, 0, fmt.Errorf("kind %q of message unknown", name)
	}
	if d.From == "" {
		return kind, 0, errors.New("sender (from) missing")
	}
	if d.Room != "" && len(d.To) == 0 {
		room, ok := c.room(d.Room)
		if !ok {
			return kind, 0, fmt.Errorf("room %q unknown and receivers (to) missing", d.Room)
		}
		for _, id := range room.Members {
			if id != d.From {
				d.To = append(d.To, id)
			}
		}
	}
	if len(d.To) == 0 && kind.Type() != "switch" {
		return kind, 0, errors.New("receiver (to) or room missing")
	}
	switch d.MD5 {
	case MD5True, MD5Wrong, MD5Empty:
	default:
		return kind, 0, fmt.Errorf("md5 %q is not empty, %q or %q", d.MD5, MD5Wrong, MD5Empty)
	}
	if isConsent(kind) && !external(d.From) {
		return kind, 0, fmt.Errorf("sender %q of %s is not a customer: the id begins with neither wm nor wo", d.From, kind.Type())
	}
	if d.Size == nil {
		return kind, -1, nil
	}
	if *d.Size < 0 || *d.Size > maxFile {
		return kind, 0, fmt.Errorf("file size %d is not 0 to %d bytes", *d.Size, maxFile)
	}
	return kind, *d.Size, nil
}

// isConsent reports whether a message of the kind is a customer's answer to the
// request for consent.
func isConsent(kind chat.Kind) bool { return kind.Type() == "agree" || kind.Type() == "disagree" }

// leaveOut returns the reason why a message is not archived. Empty means that the
// message is archived.
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

// refused reports whether a message is left out because a customer's consent is
// missing. In a room, only the sender's consent counts. Outside rooms, the
// consent of the customer to the member counts, whichever of them sends.
func (c *Corp) refused(d Draft) bool {
	if d.Room != "" {
		return external(d.From) && !c.agrees(d.Room, d.From)
	}
	if external(d.From) {
		return slices.ContainsFunc(d.To, func(id string) bool { return !external(id) && !c.agrees(id, d.From) })
	}
	return slices.ContainsFunc(d.To, func(id string) bool { return external(id) && !c.agrees(d.From, id) })
}

// agrees reports whether the customer agrees to the archiving of chats with a
// member or in a room.
func (c *Corp) agrees(with, customer string) bool {
	if answer, ok := c.consents[consentKey{with, customer}]; ok {
		return answer.agrees
	}
	return c.sim.Choices().Unanswered == UnansweredAgrees
}

// consent notes a customer's answer. An agreement to a member sends an event to
// the app's callback. A refusal sends no event (wecom.md 4.2).
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

// SendRaw archives a plaintext unchanged, and ignores scope and consent. The corp
// must have a public key.
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

// Redeliver archives a message again under a new seq.
func (c *Corp) Redeliver(msgid string) (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.firstOf[msgid]
	if !ok {
		return Sent{}, fmt.Errorf("message %q not archived", msgid)
	}
	again := c.log[i].Sent
	again.ArchivedAt, again.Spoilt = c.sim.cfg.Now(), false
	return c.archive(again, RawOptions{})
}

// archive seals s and appends it to the log. It sets the seq and the key version
// of s.
func (c *Corp) archive(s Sent, o RawOptions) (Sent, error) {
	if len(c.keys) == 0 {
		return Sent{}, errors.New("public key missing")
	}
	key := c.keys[len(c.keys)-1]
	if o.KeyVersion != 0 {
		i := slices.IndexFunc(c.keys, func(k publicKey) bool { return k.version == o.KeyVersion })
		if i < 0 {
			return Sent{}, fmt.Errorf("public key version %d unknown", o.KeyVersion)
		}
		key = c.keys[i]
	}
	s.KeyVersion = key.version
	if o.ClaimVersion != 0 {
		s.KeyVersion = o.ClaimVersion
	}

	keyText := standin.NewKeyText(c.bytes)
	var nonce [12]byte
	_, _ = c.bytes.Read(nonce[:]) // never fails
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
		return Sent{}, fmt.Errorf("spoil %q unknown", o.Spoil)
	}
	//lint:ignore SA1019 WeCom wraps its keys with PKCS #1 v1.5 (document 91774).
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, key.key, []byte(keyText))
	if err != nil {
		return Sent{}, fmt.Errorf("wrap a key with public key version %d: %w", key.version, err)
	}
	if o.Spoil == SpoilRandomKey {
		// The first byte stays, because the number must be below the modulus.
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

// newMsgID invents a msgid in one of the observed forms (wecom.md 1.5).
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

// Sent lists all archived messages by seq, including those past retention.
func (c *Corp) Sent() []Sent { return c.SentAfter(0, -1) }

// SentAfter lists at most limit archived messages with a higher seq. A negative
// limit means all.
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

// after is the index of the first entry of the log with a higher seq.
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

// retained lists at most limit entries with a higher seq that are not past
// retention.
func (c *Corp) retained(seq uint64, limit int) []entry {
	bySending := c.sim.Choices().RetainBySending
	for ; !bySending && c.kept < len(c.log) && c.gone(c.log[c.kept].ArchivedAt); c.kept++ {
		// Only the plaintext remains, for comparison.
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

// gone reports whether retention that began at the given time has ended.
func (c *Corp) gone(at time.Time) bool {
	return c.sim.cfg.Now().Add(c.aged).Sub(at) >= c.sim.cfg.Retention
}
