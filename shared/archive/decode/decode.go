// Package decode turns journal pages into the view: it decodes pages, replays
// ranges of them, and verifies that journal, ledger and view agree (laws 2, 4,
// 5 and 6).
package decode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

// A DecodeLedger is where the decoder finds pages and says what it made of
// them. Safe for concurrent use.
type Ledger interface {
	// Row reads the row that was asked after the given seq; [archive.ErrNotFound].
	Row(ctx context.Context, corp string, after uint64) (archive.Row, error)
	// Finish records result on the row, sets its state to [archive.RowDecoded] and
	// takes it off the pending pages, in one transaction. Idempotent; the last
	// writer wins.
	//
	// files are the ids of the files that the page's messages name, at most
	// [archive.MaxFileIDs], sorted. They are durable before the result, and replace
	// those before unless there are none: then the result says so.
	Finish(ctx context.Context, corp string, after uint64, result archive.Result, files []string) error
}

// A ViewWriter stores what was decoded. Every write is the same however often
// it is done. Safe for concurrent use.
type ViewWriter interface {
	// WritePage makes all of p durable, in the order of its fields, before it
	// returns nil; after an error any part may have been stored.
	WritePage(ctx context.Context, p Decoded) error
	// SetAside lists the records set aside with First <= Seq <= Last, by Seq.
	SetAside(ctx context.Context, corp string, first, last uint64) ([]archive.SetAside, error)
}

// PageView is a page, decoded.
type Decoded struct {
	Corp        string
	Messages    []archive.Message    // Raw is nil where Overflow is set
	Revocations []archive.Revocation // of one [archive.RevocationKey] the lowest Seq stays
	Activities  []archive.Activity   // distinct; storing skips those already there
	SetAside    []archive.SetAside   // stored, replacing any of the same Seq
	Cleared     []uint64             // seqs whose records set aside are removed
	FirstSeen   []FirstSeen          // of the same Name the earliest At stays
}

// Kind says that messages of a type, or with a field that nobody here knows,
// came: when the first page with one was pulled. It lasts, so that a type of
// another year is not taken for a new one.
type FirstSeen struct {
	Corp string
	Name string // as a [archive.Result] counts it: a type, or a type, a space, and the field
	At   time.Time
}

// KeyBinder reads a corp's keys and records proofs.
type Keys interface {
	// KeySet reads consistently. A corp without keys has an empty set.
	KeySet(ctx context.Context, corp string) (archive.KeySet, error)
	// Bind records a proof; [archive.ErrExists] if the version is bound already, to
	// whichever key.
	Bind(ctx context.Context, corp string, b archive.Binding) error
}

// An Opener is a private key in use. Safe for concurrent use.
type Opener interface {
	// Open undoes RSA PKCS#1 v1.5 (wecom.md 1.6). It fails if the padding is
	// wrong; that it succeeds proves little.
	Open(ciphertext []byte) ([]byte, error)
}

// Openers fetches private keys by corp and key id; [archive.ErrNotFound] if the
// secret store has none. It may keep them in memory for some minutes. Safe
// for concurrent use.
type Openers interface {
	Opener(ctx context.Context, corp, keyID string) (Opener, error)
}

// A Decrypter is WeCom's DecryptData, in a process that serves one corp. Not
// safe for concurrent use. Errors are as for [pull.Source].
type Decrypter interface {
	// Decrypt takes the opened key text and the record's encrypt_chat_msg,
	// both unchanged. The caller owns the bytes returned.
	Decrypt(ctx context.Context, keyText []byte, message string) ([]byte, error)
}

// Decrypters opens decrypters; cheap where the corp's process is still there.
type Decrypters interface {
	Decrypter(ctx context.Context, corp string) (Decrypter, error)
}

// The decoder's bounds.
const (
	// decodeMargin is what one more record may take, if the library hangs on it
	// twice, and the time to store what is decoded.
	decodeMargin = 2*(archive.DecryptTimeout+archive.KillTimeout) + archive.StartTimeout + archive.InitTimeout + 10*time.Second
	maxKeyText   = 1024 // bytes; WeCom's is 88
)

// ErrUnfinished says that time ran out in the middle of a page. What was
// decoded is stored; the page stays pending and is to be requested again.
var ErrUnfinished = errors.New("page not finished in time")

// Redo says what to do with a page that may have been decoded before.
type Redo int

// The ways.
const (
	FirstTime Redo = iota // leave it alone if it was
	Again                 // everything anew, records that broke the library included
	CarryOn               // as Again, after an [ErrUnfinished]: what broke the library stays aside
)

// A Decoder turns journal pages into messages. Its fields never change. It may
// be used concurrently if its Decrypters give each caller its own.
type Decoder struct {
	Ledger     Ledger
	Journal    archive.Journal
	View       ViewWriter
	Keys       Keys
	Openers    Openers
	Decrypters Decrypters
	Replays    ReplayStarter
	Consents   archive.ConsentWriter
	Files      media.Table
	Media      media.Queue
	Parallel   int // private-key operations at a time, at least 1
	Now        func() time.Time
	Log        *slog.Logger
}

// A ReplayStarter begins a replay job; idempotent by the job's ID.
type ReplayStarter interface {
	StartReplay(ctx context.Context, r Replay) error
}

// Decode writes the view of one page, all of it, however often it is called.
// A page that is decoded already is left alone the [FirstTime].
//
// The order of writes: messages over [archive.InlineLimit] to the journal's bucket,
// then messages, revocations, activities, records set aside and kinds to the view,
// then consents, then the rows of the files that messages name, then the result
// on the ledger row together with the end of its pending mark. A crash anywhere
// leaves the page pending, and the same is written again (law 2). The files are
// requested last: a request that is lost is made again by dispatch.
//
// A record that cannot be decrypted is set aside and the rest is stored (laws
// 5 and 7). An error means that a store or the library as a whole failed, or
// [ErrUnfinished]; the request should then be tried again.
func (d *Decoder) Decode(ctx context.Context, corp string, after uint64, redo Redo) error {
	row, err := d.Ledger.Row(ctx, corp, after)
	if errors.Is(err, archive.ErrNotFound) {
		// Requests follow the row's transaction: this one was not made by us,
		// or the ledger was set back. Trying again cannot help.
		d.Log.ErrorContext(ctx, "decode requested for a page that the ledger does not have", "corp", corp, "after", after)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ledger row after %d: %w", after, err)
	}
	// A request for a decoded page that comes again may be of a delivery that
	// ended before it had looked for new keys, see keyCameMeanwhile.
	if row.Kind != archive.PageRow || redo == FirstTime && row.State == archive.RowDecoded && !lacksKey(row.Result) {
		return nil
	}
	begun := d.Now()
	p := d.page(row)
	if err := p.run(ctx, redo); err != nil {
		return fmt.Errorf("decode page after %d: %w", after, err)
	}
	p.result.At = d.Now().Truncate(time.Millisecond)
	if err := d.Ledger.Finish(ctx, corp, after, p.result, p.named); err != nil {
		return fmt.Errorf("finish page after %d: %w", after, err)
	}
	if err := d.Media.RequestMedia(ctx, media.Requests(corp, p.lanes)...); err != nil {
		return fmt.Errorf("request files of page after %d: %w", after, err)
	}
	level := slog.LevelInfo
	if p.result.CountSetAside() > 0 {
		level = slog.LevelError
	}
	d.Log.Log(ctx, level, "decoded", "corp", corp, "after", after, "records", row.Count, "stored", p.result.Stored,
		"unreadable", p.result.Unreadable, "set_aside", p.result.SetAside, "elapsed", d.Now().Sub(begun))
	return d.keyCameMeanwhile(ctx, p)
}

// keyCameMeanwhile closes a race: a key that was added after the page's keys
// were read starts a replay, which passes over a page that is not finished.
// So the keys are read once more, after the page was.
func (d *Decoder) keyCameMeanwhile(ctx context.Context, p *pageDecode) error {
	if !lacksKey(&p.result) {
		return nil
	}
	set, err := d.Keys.KeySet(ctx, p.row.Corp)
	if err != nil {
		return fmt.Errorf("read keys again: %w", err)
	}
	if len(set.Keys) == len(p.keys.set.Keys) { // keys are never removed
		return nil
	}
	return d.Decode(ctx, p.row.Corp, p.row.After, Again)
}

// lacksKey reports whether records of the page wait for a key, be it another of
// a version that is proved.
func lacksKey(r *archive.Result) bool {
	return r != nil && r.SetAside[string(archive.ReasonNoKey)]+r.SetAside[string(archive.ReasonBadKey)] > 0
}

// pageDecode is the decoding of one page.
type pageDecode struct {
	*Decoder
	row     archive.Row
	keys    *versionKeys
	decoded Decoded
	result  archive.Result
	seen    map[archive.Activity]bool // in view.Activities
	large   []largeMessage
	said    []archive.Consent
	files   []media.File
	named   []string // ids of the files, each once
	lanes   []int    // in which files wait
	// verifying: nothing is written, not even what the page proves.
	verifying bool

	decrypter Decrypter
}

// page begins the decoding of the row's page.
func (d *Decoder) page(row archive.Row) *pageDecode {
	return &pageDecode{
		Decoder: d, row: row, seen: make(map[archive.Activity]bool), decoded: Decoded{Corp: row.Corp},
		result: archive.Result{SetAside: make(map[string]int), Types: make(map[string]int)},
	}
}

// largeMessage is one whose bytes go to the journal's bucket.
type largeMessage struct {
	archive.Overflow
	raw []byte
}

// run decodes the page and writes what came of it, which in an [ErrUnfinished]
// page is only a part.
func (p *pageDecode) run(ctx context.Context, redo Redo) error {
	raw, err := p.Journal.Page(ctx, p.row)
	var stopped error
	switch {
	case errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt):
		p.damaged(ctx, err)
	case err != nil:
		return fmt.Errorf("read journal: %w", err)
	default:
		stopped = p.decode(ctx, raw, redo)
		if stopped != nil && !errors.Is(stopped, ErrUnfinished) {
			return stopped
		}
	}
	for _, m := range p.large {
		if err := p.Journal.PutMessage(ctx, p.row.Corp, m.Overflow, m.raw); err != nil {
			return fmt.Errorf("write large message to the bucket: %w", err)
		}
	}
	if err := p.View.WritePage(ctx, p.decoded); err != nil {
		return fmt.Errorf("write view: %w", err)
	}
	if err := p.Consents.RecordConsents(ctx, p.said); err != nil {
		return fmt.Errorf("record consents: %w", err)
	}
	if p.lanes, err = media.Register(ctx, p.Files, p.row.Corp, p.files, redo != FirstTime); err != nil {
		return fmt.Errorf("register files: %w", err)
	}
	return stopped
}

// damaged records that the journal does not have the page, or another one.
func (p *pageDecode) damaged(ctx context.Context, err error) {
	p.Log.ErrorContext(ctx, "journal page cannot be used", "corp", p.row.Corp, "after", p.row.After, "err", err)
	p.setAside(archive.Record{Seq: p.row.First}, archive.ReasonJournal, "the whole page")
	p.result.SetAside[string(archive.ReasonJournal)] = p.row.Count
}

// decode makes the page's view and result of its bytes.
func (p *pageDecode) decode(ctx context.Context, raw []byte, redo Redo) error {
	answer, err := archive.ParseAnswer(raw)
	if err != nil {
		return err // the puller parsed the same bytes
	}
	aside, err := p.View.SetAside(ctx, p.row.Corp, p.row.First, p.row.Last)
	if err != nil {
		return fmt.Errorf("list rows set aside: %w", err)
	}
	known := make(map[uint64]archive.SetAside, len(aside))
	for _, u := range aside {
		known[u.Seq] = u
	}
	if p.keys, err = p.loadKeys(ctx); err != nil {
		return err
	}
	if p.decrypter, err = p.Decrypters.Decrypter(ctx, p.row.Corp); err != nil {
		return fmt.Errorf("start the library: %w", err)
	}

	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := p.openAll(opening, answer.Records)
	var stopped error
	for i, rec := range answer.Records {
		if stopped = p.timeLeft(ctx); stopped != nil {
			break
		}
		u, wasAside := known[rec.Seq]
		if wasAside && redo != Again && (u.Reason == archive.ReasonCrash || u.Reason == archive.ReasonHang) {
			// It cost two processes in a try that did not finish; without this
			// the page might never.
			p.setAside(rec, u.Reason, u.Detail)
			continue
		}
		o, err := opened.wait(ctx, i)
		if err != nil {
			return err
		}
		stored, err := p.record(ctx, rec, o)
		if err != nil {
			return err
		}
		if stored && wasAside {
			p.decoded.Cleared = append(p.decoded.Cleared, rec.Seq)
		}
	}
	p.countSetAside()
	for name := range p.result.Types {
		p.decoded.FirstSeen = append(p.decoded.FirstSeen, FirstSeen{Corp: p.row.Corp, Name: name, At: p.row.At})
	}
	for name := range p.result.Unknown {
		p.decoded.FirstSeen = append(p.decoded.FirstSeen, FirstSeen{Corp: p.row.Corp, Name: name, At: p.row.At})
	}
	ids := distinctFiles(p.files)
	p.result.Files, p.named = len(ids), ids[:min(len(ids), archive.MaxFileIDs)]
	return stopped
}

func (p *pageDecode) timeLeft(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(p.Now()) < decodeMargin {
		return ErrUnfinished
	}
	return nil
}

// record decrypts one record and adds what came of it to the view.
func (p *pageDecode) record(ctx context.Context, rec archive.Record, o opened) (stored bool, err error) {
	if o.reason != "" {
		p.setAside(rec, o.reason, o.detail)
		return false, nil
	}
	reason, detail := archive.ReasonNoKey, ""
	for _, candidate := range o.candidates {
		raw, failed, code, err := p.decrypt(ctx, candidate.text, rec.Message)
		if err != nil {
			return false, err
		}
		if failed != "" {
			reason, detail = failed, code
			continue
		}
		view := readContent(raw)
		if view.Kind != message.KindUnreadable && view.Fields.MsgID == rec.MsgID && rec.MsgID != "" && !candidate.bound {
			if err := p.prove(ctx, rec, candidate.keyID); err != nil {
				return false, err
			}
		}
		p.store(rec, raw, view)
		return true, nil
	}
	if o.err != nil {
		return false, o.err
	}
	p.setAside(rec, reason, detail)
	return false, nil
}

// decrypt asks the library; a record during which it died is tried once more,
// alone in the fresh process that the next call starts (law 7).
func (p *pageDecode) decrypt(ctx context.Context, keyText []byte, msg string) (raw []byte, failed archive.Reason, detail string, err error) {
	for try := 1; ; try++ {
		raw, err := p.decrypter.Decrypt(ctx, keyText, msg)
		var sdk *archive.SDKError
		var crash *archive.CrashError
		switch {
		case err == nil:
			return raw, "", "", nil
		case ctx.Err() != nil:
			return nil, "", "", ctx.Err()
		case errors.As(err, &sdk) && sdk.Op == "DecryptData":
			return nil, archive.ReasonLibrary, strconv.Itoa(sdk.Code), nil
		case errors.As(err, &crash) && crash.Op == "DecryptData":
			if try == 1 {
				continue
			}
			p.Log.ErrorContext(ctx, "record breaks the library", "corp", p.row.Corp, "after", p.row.After, "err", crash)
			if crash.How == archive.Hung {
				return nil, archive.ReasonHang, "", nil
			}
			return nil, archive.ReasonCrash, string(crash.How), nil
		}
		return nil, "", "", fmt.Errorf("decrypt: %w", err)
	}
}

// readWhole is the largest message that is understood in full; reading takes
// many times its size in memory. Of larger ones the fields and files are found.
const readWhole = 4 << 20

// understand reads what a message says, once for everything that is made of it.
func readContent(raw []byte) message.Content {
	if len(raw) > readWhole {
		return message.Skim(raw)
	}
	return message.Read(raw)
}

// store adds a decrypted message to the view.
func (p *pageDecode) store(rec archive.Record, raw []byte, view message.Content) {
	fields := view.Fields
	m := archive.Message{
		Corp:       p.row.Corp,
		MsgID:      rec.MsgID,
		Seq:        rec.Seq,
		After:      p.row.After,
		KeyVersion: rec.KeyVersion,
		Time:       sentAt(fields.Time, p.row.At),
		Raw:        raw,
	}
	if m.MsgID == "" {
		m.MsgID = fields.MsgID
	}
	m.MsgID = bounded(m.MsgID)
	parties := fields.Parties()
	for i, id := range parties {
		parties[i] = bounded(id)
	}
	m.Conversation = archive.PartyConversation(parties)
	if fields.RoomID != "" {
		m.Conversation = archive.RoomConversation(bounded(fields.RoomID))
	}
	if len(raw) > archive.InlineLimit {
		m.Raw, m.Overflow = nil, &archive.Overflow{Sum: archive.Digest(raw), Size: len(raw)}
		p.large = append(p.large, largeMessage{*m.Overflow, raw})
	}
	p.decoded.Messages = append(p.decoded.Messages, m)
	for _, named := range view.Files {
		p.files = append(p.files, media.NewFile(named, m, p.row.At, p.Now()))
	}
	if view.Revokes != "" {
		p.decoded.Revocations = append(p.decoded.Revocations, archive.Revocation{
			Corp: m.Corp, Conversation: m.Conversation, MsgID: bounded(view.Revokes), By: bounded(fields.From), At: m.Time, Seq: m.Seq,
		})
	}
	if view.Consent != nil {
		p.answered(m, fields, *view.Consent)
	}
	p.result.Stored++
	if view.Kind == message.KindUnreadable {
		p.result.Unreadable++
	} else {
		p.result.Types[archive.TypeName(fields.Kind())]++
	}
	for _, field := range view.Unknown {
		if view.Kind == message.KindUnknown {
			break // the type itself is what is unknown
		}
		p.unknownField(archive.TypeName(fields.Kind() + " " + field))
	}
	if len(parties) == 0 {
		parties = []string{""}
	}
	for _, party := range parties {
		p.active(archive.Activity{Corp: m.Corp, Party: party, Day: archive.DayOf(m.Time), Conversation: m.Conversation})
	}
}

// active notes an activity once: a page of a large room names its members a
// thousand times.
func (p *pageDecode) active(a archive.Activity) {
	if !p.seen[a] {
		p.seen[a] = true
		p.decoded.Activities = append(p.decoded.Activities, a)
	}
}

// unknownField counts a message with a field that nobody here knows.
func (p *pageDecode) unknownField(name string) {
	if p.result.Unknown == nil {
		p.result.Unknown = make(map[string]int)
	}
	if len(p.result.Unknown) < maxUnknown || p.result.Unknown[name] > 0 {
		p.result.Unknown[name]++
	}
}

// maxUnknown bounds the fields of a page that are counted by name: the row has
// to stay small.
const maxUnknown = 200

// bounded is an id as it may stand in keys and items. One that is far longer
// than any of WeCom's is named by its beginning and a digest, so that a single
// malformed message cannot make its whole page impossible to store.
func bounded(id string) string {
	const longest = 4 << 10
	if len(id) <= longest {
		return id
	}
	return strings.ToValidUTF8(id[:longest], "") + "~" + archive.Digest([]byte(id))
}

// answered notes what a customer said to having chats archived: in a room, or
// to the one member that the message was sent to.
func (p *pageDecode) answered(m archive.Message, fields message.Fields, answer message.Consent) {
	c := archive.Consent{
		Corp: m.Corp, Contact: bounded(answer.UserID), Room: bounded(fields.RoomID), Status: archive.Disagreed, Source: archive.ConsentMessage,
		ChangedAt: sentAt(answer.At, m.Time).Truncate(time.Second), At: p.row.At,
	}
	if answer.Agreed {
		c.Status = archive.Agreed
	}
	if c.Room == "" {
		others := slices.DeleteFunc(archive.Distinct(fields.Parties()), func(id string) bool { return id == answer.UserID })
		if len(others) != 1 {
			return // nobody can say whose chats it is about; the message itself is kept
		}
		c.Member = bounded(others[0])
	}
	if c.Contact != "" {
		p.said = append(p.said, c)
	}
}

// sentAt is the time of a message: its own, or that of the pull where it has
// none that a calendar knows.
func sentAt(ms int64, pulled time.Time) time.Time {
	const year10000 = 253402272000000 // in Beijing: days are compared as texts
	if ms <= 0 || ms >= year10000 {
		return pulled.UTC()
	}
	return time.UnixMilli(ms).UTC()
}

// distinctFiles are the ids of the files, each once.
func distinctFiles(all []media.File) []string {
	var ids []string
	for _, f := range all {
		ids = append(ids, f.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (p *pageDecode) setAside(rec archive.Record, reason archive.Reason, detail string) {
	p.decoded.SetAside = append(p.decoded.SetAside, archive.SetAside{
		Corp: p.row.Corp, Seq: rec.Seq, After: p.row.After, MsgID: rec.MsgID, KeyVersion: rec.KeyVersion,
		Reason: reason, Detail: detail, At: p.row.At,
	})
}

// countAside settles why rows were set aside, and counts them.
func (p *pageDecode) countSetAside() {
	for i, u := range p.decoded.SetAside {
		if u.Reason == archive.ReasonNoKey {
			u.Reason = p.keys.unopened(u.KeyVersion)
			p.decoded.SetAside[i] = u
		}
		p.result.SetAside[string(u.Reason)]++
	}
}

// prove binds the key to the record's version and lets everything that waited
// for it be tried again. The job comes first: if we crash before the binding,
// the next message proves it again and finds the job there.
func (p *pageDecode) prove(ctx context.Context, rec archive.Record, keyID string) error {
	if !p.keys.prove(rec.KeyVersion, keyID) || p.verifying {
		return nil
	}
	job := Replay{
		Corp: p.row.Corp, ID: fmt.Sprintf("key-proved-%010d", rec.KeyVersion), CreatedAt: p.Now(), By: "key proved",
		OnlySetAside: true, Version: rec.KeyVersion, UpdatedAt: p.Now(),
	}
	if err := p.Replays.StartReplay(ctx, job); err != nil {
		return fmt.Errorf("start replay for version %d: %w", rec.KeyVersion, err)
	}
	b := archive.Binding{Version: rec.KeyVersion, KeyID: keyID, Seq: rec.Seq, MsgID: rec.MsgID, At: p.Now()}
	if err := p.Keys.Bind(ctx, p.row.Corp, b); err != nil && !errors.Is(err, archive.ErrExists) {
		return fmt.Errorf("bind version %d: %w", rec.KeyVersion, err)
	}
	p.Log.InfoContext(ctx, "key proved", "corp", p.row.Corp, "publickey_ver", rec.KeyVersion, "key", keyID)
	return nil
}
