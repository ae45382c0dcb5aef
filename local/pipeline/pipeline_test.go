package pipeline_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/pipeline"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

func start(t *testing.T, library ...standin.Option) (*pipeline.Pipeline, *wecom.Corp, pipeline.Options) {
	t.Helper()
	lib := built.Library(t, library...)
	sim := wecom.New(wecom.Config{Seed: 1})
	t.Cleanup(sim.Close)
	o := pipeline.Options{
		AWS: awstest.Config(t), Corps: awstest.Table(t, "CorpsTable"), Ledger: awstest.Table(t, "LedgerTable"),
		Messages: awstest.Table(t, "MessagesTable"), Consents: awstest.Table(t, "ConsentsTable"), Media: awstest.Table(t, "MediaTable"), Bucket: awstest.Bucket(t), Secrets: awstest.Name(t),
		Worker: built.Worker(t), Library: lib, WeCom: sim,
	}
	corp, err := sim.AddCorp(wecom.CorpConfig{ID: "ww0123456789abcdef", ScopeAll: true, Crowd: wecom.Crowd{Staff: 4, Customers: 6, Rooms: 2}})
	must(t, err)
	p := fresh(t, o)
	must(t, p.SetUp(t.Context(), corp))
	return p, corp, o
}

// fresh makes a pipeline with new processes, as after a cold start.
func fresh(t *testing.T, o pipeline.Options) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.New(o)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check compares the messages that WeCom archived with the view, byte for byte.
func check(t *testing.T, p *pipeline.Pipeline, corp *wecom.Corp) {
	t.Helper()
	got := make(map[uint64][]byte)
	rows, err := p.Ledger.Rows(t.Context(), corp.ID(), archive.RowQuery{Limit: 1000})
	must(t, err)
	for _, r := range rows {
		if r.State != archive.RowDecoded || r.Result.CountSetAside() != 0 {
			t.Errorf("row after %d is %s with %+v", r.After, r.State, r.Result)
		}
	}
	seen := make(map[archive.ConversationID]bool)
	for _, s := range corp.Details().Staff {
		days, err := p.View.ActiveDays(t.Context(), corp.ID(), s.UserID, "", 1000)
		must(t, err)
		for _, day := range days {
			for _, conv := range day.Conversations {
				if seen[conv] {
					continue
				}
				seen[conv] = true
				msgs, _, err := p.View.Messages(t.Context(), corp.ID(), conv, archive.MessageQuery{Limit: 1000, MaxBytes: 1 << 30})
				must(t, err)
				for _, m := range msgs {
					got[m.Seq] = m.Raw
				}
			}
		}
	}
	n := 0
	for _, s := range corp.Sent() {
		if s.LeftOut != "" {
			continue
		}
		n++
		if !bytes.Equal(got[s.Seq], s.Plain) {
			t.Errorf("seq %d: got %d bytes, want the %d sent bytes", s.Seq, len(got[s.Seq]), len(s.Plain))
		}
	}
	if len(got) != n || n == 0 {
		t.Errorf("got %d messages, want %d", len(got), n)
	}
}

func TestPullAndDecode(t *testing.T) {
	p, corp, _ := start(t)
	_, err := corp.Mixed(60)
	must(t, err)
	must(t, p.Pull(t.Context(), corp.ID()))
	must(t, p.Decode(t.Context()))
	must(t, p.AddKey(t.Context(), corp)) // a key rotation without a typed version
	_, err = corp.Mixed(20)
	must(t, err)
	must(t, p.Pull(t.Context(), corp.ID()))
	must(t, p.Decode(t.Context()))
	check(t, p, corp)

	// A verification finds no fault. After the view is removed, it names the
	// missing messages.
	verify := func(id string) decode.Replay {
		must(t, p.Replayer.StartReplay(t.Context(), decode.Replay{Corp: corp.ID(), ID: id, CreatedAt: time.Now(), UpdatedAt: time.Now(), Verify: true}))
		must(t, p.Decode(t.Context()))
		job, err := p.Ledger.Replay(t.Context(), corp.ID(), id)
		must(t, err)
		return job
	}
	if job := verify("well"); !job.Done || job.Faults != 0 {
		t.Errorf("got %+v, want no fault", job)
	}
	must(t, p.View.Clear(t.Context(), corp.ID(), nil))
	if job := verify("gone"); job.Faults == 0 || len(job.Findings) == 0 || job.Findings[0].What != decode.FaultMissing {
		t.Errorf("removed view: got %+v, want missing messages", job)
	}
}

// Decoding works without WeCom (law 2), whether Init checks the secret or not. See
// DESIGN.md, section 7.
func TestDecodingNeedsNoWeCom(t *testing.T) {
	prepare := func(t *testing.T, library ...standin.Option) (*wecom.Corp, pipeline.Options) {
		p, corp, o := start(t, library...)
		_, err := corp.Mixed(20)
		must(t, err)
		must(t, p.Pull(t.Context(), corp.ID()))
		corp.ResetSecret()
		return corp, o
	}
	decodeAgain := func(p *pipeline.Pipeline, corp *wecom.Corp) error {
		err := p.Replayer.StartReplay(t.Context(), decode.Replay{Corp: corp.ID(), ID: "again", CreatedAt: time.Now(), UpdatedAt: time.Now()})
		return errors.Join(err, p.Decode(t.Context()))
	}
	t.Run("Init checks nothing", func(t *testing.T) {
		corp, o := prepare(t)
		must(t, corp.SetFaults(wecom.Faults{Unreachable: true}))
		p := fresh(t, o)
		must(t, decodeAgain(p, corp))
		check(t, p, corp)
	})
	t.Run("Init checks the secret, own identity", func(t *testing.T) {
		corp, o := prepare(t, standin.InitChecksSecret())
		p := fresh(t, o)
		var refused *archive.SDKError
		if err := decodeAgain(p, corp); !errors.As(err, &refused) || refused.Op != "Init" {
			t.Fatalf("got %v, want Init refused because of the reset secret", err)
		}
		own, err := o.WeCom.AddCorp(wecom.CorpConfig{ID: "wwoperator00000000"})
		must(t, err)
		p.Identity = &sdkworker.Identity{CorpID: own.ID(), Secret: secret.New(own.Secret())}
		must(t, p.Decode(t.Context()))
		check(t, p, corp)
	})
	t.Run("Init checks the secret, WeCom unreachable", func(t *testing.T) {
		corp, o := prepare(t, standin.InitChecksSecret())
		p := fresh(t, o)
		must(t, p.SaveSecret(t.Context(), corp))
		must(t, corp.SetFaults(wecom.Faults{Unreachable: true}))
		if err := decodeAgain(p, corp); err == nil || !strings.Contains(err.Error(), "Init") {
			t.Fatalf("got %v, want Init to fail", err)
		}
		must(t, corp.SetFaults(wecom.Faults{}))
		must(t, p.Decode(t.Context()))
		check(t, p, corp)
	})
}

// A record that breaks the library is set aside alone (law 7).
func TestRecordsThatBreakTheLibrary(t *testing.T) {
	p, corp, _ := start(t)
	staff, customers := corp.Details().Staff, corp.Details().Customers
	say := func(text string) {
		_, err := corp.Send(wecom.Draft{From: staff[0].UserID, To: []string{customers[0].ExternalUserID}, Text: text})
		must(t, err)
	}
	say("before")
	say("##standin:crash##")
	say("between")
	say("##standin:abort##")
	say("##standin:code:10006##")
	say("##standin:print##")
	say("after")
	must(t, p.Pull(t.Context(), corp.ID()))
	must(t, p.Decode(t.Context()))
	rows, err := p.Ledger.Rows(t.Context(), corp.ID(), archive.RowQuery{Limit: 10})
	must(t, err)
	if r := rows[0].Result; r.Stored != 4 || r.SetAside["library_crashed"] != 2 || r.SetAside["library_refused"] != 1 {
		t.Errorf("got %+v, want 4 stored, 2 crashed, 1 refused", r)
	}
}

// If a page crashes the library, smaller pages follow until one record is left.
// This record becomes a gap, and all other records are archived.
func TestPageThatBreaksTheLibrary(t *testing.T) {
	p, corp, _ := start(t)
	sent, err := corp.Mixed(6)
	must(t, err)
	must(t, corp.SetFaults(wecom.Faults{Marker: "##standin:crash##", MarkerSeq: sent[3].Seq}))
	must(t, p.Pull(t.Context(), corp.ID()))
	for hours := range 4 { // the record is given up after ten minutes and twelve failed calls
		p.Puller.Now = func() time.Time { return time.Now().Add(time.Duration(hours+1) * time.Hour) }
		must(t, p.Pull(t.Context(), corp.ID()))
	}
	rows, err := p.Ledger.Rows(t.Context(), corp.ID(), archive.RowQuery{Limit: 100})
	must(t, err)
	records, gaps := 0, 0
	for _, r := range rows {
		records += r.Count
		if r.Kind == archive.GapRow {
			gaps++
			if r.Last != sent[3].Seq {
				t.Errorf("gap: got last seq %d, want %d", r.Last, sent[3].Seq)
			}
		}
	}
	if records != 5 || gaps != 1 {
		t.Errorf("got %d records and %d gaps, want 5 and 1", records, gaps)
	}
}
