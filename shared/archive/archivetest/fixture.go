package archivetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// decoding is a bench with the decoder and replayer in it.
type DecodeFixture struct {
	*Fixture
	Consents *Consents
	Decoder  *decode.Decoder
	Replayer *decode.Replayer
	Config   decode.Config // of both; see Configure
}

// Configure replaces the decoder and the replayer by new ones.
func (d *DecodeFixture) Configure(cfg decode.Config) {
	d.Config = cfg
	d.Decoder, d.Replayer = decode.New(cfg)
}

func NewDecodeFixture(t testing.TB, f *Faults) *DecodeFixture {
	b := NewFixture(t, f)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	d := &DecodeFixture{Fixture: b, Consents: NewConsents(t, f)}
	d.Configure(decode.Config{
		Ledger: b.Ledger, Jobs: b.Ledger, Heads: b.Ledger, Journal: b.Journal, View: b.View, Keys: b.Corps, Openers: b.Openers, Decrypters: b.Library,
		Consents: d.Consents, Files: b.Files, Objects: b.Objects, Media: media.NewWantedLanes(b.Marks, b.Media, b.Clock.Now), Decodes: b.Decodes, Announcer: b.Announced, Parallel: 2, Now: b.Clock.Now, Log: log,
	})
	return d
}

// work serves decode requests until none is left, as the function would.
func (d *DecodeFixture) Work() {
	d.T.Helper()
	for round := 0; ; round++ {
		reqs := d.Decodes.Take()
		if len(reqs) == 0 {
			return
		}
		if round > 100 {
			d.T.Fatal("decode requests never end")
		}
		for _, r := range reqs {
			if r.Replay != "" {
				d.Must(d.Replayer.Run(d.T.Context(), r))
			} else {
				d.Must(d.Decoder.Decode(d.T.Context(), r.Corp, r.After, decode.FirstTime))
			}
		}
	}
}

func (d *DecodeFixture) PullAndDecode() {
	d.T.Helper()
	d.WriteHead()
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	d.Work()
	d.Check()
}

// stored returns the bytes of all messages of a conversation, in order.
func (d *DecodeFixture) StoredIn(conv archive.ConversationID) []archive.Message {
	d.T.Helper()
	msgs, more, err := d.View.Messages(d.T.Context(), Corp, conv, archive.MessageQuery{Limit: 1000, MaxBytes: 1 << 30})
	d.Must(err)
	if more {
		d.T.Fatal("more than 1000 messages")
	}
	return msgs
}

func (d *DecodeFixture) SetAsideReasons() map[uint64]archive.Reason {
	d.T.Helper()
	rows, err := d.View.SetAside(d.T.Context(), Corp, 0, 1<<63)
	d.Must(err)
	got := make(map[uint64]archive.Reason)
	for _, u := range rows {
		got[u.Seq] = u.Reason
	}
	return got
}

var SingleChat = archive.PartyConversation([]string{"lin.hua", "wmcustomer"})

const Corp = "ww0123456789abcdef"

// bench is a world with the algorithms in it, and a clock that moves only when
// told, or when somebody sleeps.
type Fixture struct {
	*World
	T      testing.TB
	Puller *pull.Puller
	Clock  *Clock
}

type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that stands at a time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

func (c *Clock) Advance(d time.Duration) { _ = c.Sleep(context.Background(), d) }

var (
	Start     = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	SecretSet = Start.Add(-time.Hour)
)

func NewFixture(t testing.TB, f *Faults) *Fixture {
	w := NewWorld(t, f)
	b := &Fixture{World: w, T: t, Clock: NewClock(Start)}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Puller = &pull.Puller{
		Corps: w.Corps, Secrets: w.Secrets, Sources: w.Library, Ledger: w.Ledger, Gate: &archive.Gate{Log: w.Ledger, Now: b.Clock.Now}, Journal: w.Journal,
		Pulls: archive.NewWantedPulls(w.Marks, w.Pulls, b.Clock.Now), Decodes: w.Decodes, Now: b.Clock.Now, Sleep: b.Clock.Sleep, Log: log,
	}
	b.Journal.now = b.Clock.Now
	b.Register(Corp)
	return b
}

// WriteHead writes the day's head, as dispatch does every hour.
func (b *Fixture) WriteHead() {
	b.T.Helper()
	b.Must(b.Journal.PutHead(b.T.Context(), archive.DayOf(b.Clock.Now()), b.Head()))
}

func (b *Fixture) Register(id string) {
	ctx := b.T.Context()
	b.Must(b.Corps.CreateCorp(ctx, archive.Corp{ID: id, Name: id, CreatedAt: Start}))
	b.Must(b.Corps.SetSecret(ctx, id, "secr", SecretSet))
	b.Must(b.Corps.SetEnabled(ctx, id, true, "admin", "", Start))
	b.Secrets.Put(id, secret.New("secret of "+id))
}

// addKey gives the corp a key, claimed for a version if that is not 0.
func (b *Fixture) AddKey(id, keyID string, claimed uint32) {
	ctx := b.T.Context()
	b.Must(b.Corps.AddKey(ctx, id, archive.Key{ID: keyID, PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: b.Clock.Now()}, false, ""))
	if claimed != 0 {
		b.Must(b.Corps.Claim(ctx, id, keyID, claimed, "admin", b.Clock.Now()))
	}
	b.Openers.Put(id, keyID)
	b.Clock.Advance(time.Second)
}

// say archives n text messages with key k1 of version 1, from seq on.
func (b *Fixture) Say(id string, seq uint64, n int) {
	for i := range uint64(n) {
		b.Library.Say(id, TextRecord(seq+i, 1, "k1"))
	}
}

func TextRecord(seq uint64, version uint32, keyID string) Record {
	return Record{Seq: seq, MsgID: fmt.Sprintf("m%d", seq), KeyVersion: version, KeyID: keyID, Text: TextOf(seq)}
}

func TextOf(seq uint64) []byte {
	return fmt.Appendf(nil, `{"msgid":"m%d","action":"send","from":"lin.hua","tolist":["wmcustomer"],"roomid":"","msgtime":%d,"msgtype":"text","text":{"content":"第%d"}}`,
		seq, Start.UnixMilli()+int64(seq), seq)
}

func (b *Fixture) Pull(req archive.PullRequest) error {
	req.Corp = Corp
	return b.Puller.Pull(b.T.Context(), req)
}

// pullFor asks for pulls every minute, as dispatch does, for a while.
func (b *Fixture) PullFor(d time.Duration) {
	b.T.Helper()
	for end := b.Clock.Now().Add(d); b.Clock.Now().Before(end); b.Clock.Advance(time.Minute) {
		b.Must(b.Pull(archive.PullRequest{}))
		b.Check()
	}
}

func (b *Fixture) Head() archive.Head {
	h, err := b.Ledger.Head(b.T.Context(), Corp)
	b.Must(err)
	return h
}

func (b *Fixture) State() archive.PullState {
	s, err := b.Ledger.PullState(b.T.Context(), Corp)
	b.Must(err)
	return s
}

func (b *Fixture) Rows() []archive.Row {
	rows, err := b.Ledger.Rows(b.T.Context(), Corp, archive.RowQuery{Limit: 1000})
	b.Must(err)
	return rows
}

func (b *Fixture) Must(err error) {
	b.T.Helper()
	if err != nil {
		b.T.Fatal(err)
	}
}

// Set moves the clock to a moment.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Refuse notes that WeCom refused the secret of a corp at a time.
func (b *Fixture) Refuse(id string, at time.Time) {
	b.T.Helper()
	b.Must(b.Ledger.PutTry(b.T.Context(), archive.Try{Way: archive.Trusted, Corp: id, By: "pull", At: at, State: archive.TryRefused}))
}

// Refusals counts what WeCom refused to the fixed addresses since a time.
func (b *Fixture) Refusals(since time.Time) int {
	b.T.Helper()
	tries, err := b.Ledger.Tries(b.T.Context(), archive.Trusted, since)
	b.Must(err)
	n := 0
	for _, t := range tries {
		if t.State == archive.TryRefused || t.State == archive.TryRunning {
			n++
		}
	}
	return n
}

// Accepted is the standing of the fixture's secret after WeCom accepted it.
func Accepted() archive.Standing { return archive.Standing{SecretSetAt: SecretSet, OKAt: Start} }
