package archive_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const corp = "ww0123456789abcdef"

// bench is a world with the algorithms in it, and a clock that moves only when
// told, or when somebody sleeps.
type bench struct {
	*archivetest.World
	t      testing.TB
	puller *archive.Puller
	clock  *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

func (c *clock) advance(d time.Duration) { _ = c.Sleep(context.Background(), d) }

var (
	start     = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	secretSet = start.Add(-time.Hour)
)

func newBench(t testing.TB, f *archivetest.Faults) *bench {
	w := archivetest.NewWorld(t, f)
	b := &bench{World: w, t: t, clock: &clock{now: start}}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.puller = &archive.Puller{
		Corps: w.Corps, Secrets: w.Secrets, Sources: w.Library, Ledger: w.Ledger, Journal: w.Journal,
		Pulls: w.Pulls, Decodes: w.Decodes, Now: b.clock.Now, Sleep: b.clock.Sleep, Log: log,
	}
	b.register(corp)
	return b
}

func (b *bench) register(id string) {
	ctx := b.t.Context()
	b.must(b.Corps.CreateCorp(ctx, archive.Corp{ID: id, Name: id, CreatedAt: start}))
	b.must(b.Corps.SetSecret(ctx, id, "secr", secretSet))
	b.must(b.Corps.SetEnabled(ctx, id, true, start))
	b.Secrets.Put(id, secret.New("secret of "+id))
}

// addKey gives the corp a key, claimed for a version if that is not 0.
func (b *bench) addKey(id, keyID string, claimed uint32) {
	ctx := b.t.Context()
	b.must(b.Corps.AddKey(ctx, id, archive.Key{ID: keyID, PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: b.clock.Now()}, false, ""))
	if claimed != 0 {
		b.must(b.Corps.Claim(ctx, id, keyID, claimed, b.clock.Now()))
	}
	b.Openers.Put(id, keyID)
	b.clock.advance(time.Second)
}

// say archives n text messages with key k1 of version 1, from seq on.
func (b *bench) say(id string, seq uint64, n int) {
	for i := range uint64(n) {
		b.Library.Say(id, record(seq+i, 1, "k1"))
	}
}

func record(seq uint64, version uint32, keyID string) archivetest.Record {
	return archivetest.Record{Seq: seq, MsgID: fmt.Sprintf("m%d", seq), KeyVersion: version, KeyID: keyID, Text: text(seq)}
}

func text(seq uint64) []byte {
	return fmt.Appendf(nil, `{"msgid":"m%d","action":"send","from":"lin.hua","tolist":["wmcustomer"],"roomid":"","msgtime":%d,"msgtype":"text","text":{"content":"第%d"}}`,
		seq, start.UnixMilli()+int64(seq), seq)
}

func (b *bench) pull(req archive.PullRequest) error {
	req.V, req.Corp = 1, corp
	return b.puller.Pull(b.t.Context(), req)
}

// pullFor asks for pulls every minute, as dispatch does, for a while.
func (b *bench) pullFor(d time.Duration) {
	b.t.Helper()
	for end := b.clock.Now().Add(d); b.clock.Now().Before(end); b.clock.advance(time.Minute) {
		b.must(b.pull(archive.PullRequest{}))
		b.Check()
	}
}

func (b *bench) head() archive.Head {
	h, err := b.Ledger.Head(b.t.Context(), corp)
	b.must(err)
	return h
}

func (b *bench) state() archive.PullState {
	s, err := b.Ledger.PullState(b.t.Context(), corp)
	b.must(err)
	return s
}

func (b *bench) rows() []archive.Row {
	rows, err := b.Ledger.Rows(b.t.Context(), corp, archive.RowQuery{Limit: 1000})
	b.must(err)
	return rows
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}
