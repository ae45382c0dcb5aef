package decode_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// rowsChanged is a ledger with other rows than those that were written.
type rowsChanged struct {
	decode.ReplayLedger
	change func([]archive.Row) []archive.Row
}

func (l rowsChanged) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	rows, err := l.ReplayLedger.Rows(ctx, corp, q)
	return l.change(rows), err
}

// editRows lets the replayer read every row as edit leaves it.
func editRows(d *archivetest.DecodeFixture, edit func(*archive.Row)) {
	cfg := d.Config
	cfg.Jobs = rowsChanged{d.Ledger, func(rows []archive.Row) []archive.Row {
		for i := range rows {
			edit(&rows[i])
		}
		return rows
	}}
	d.Configure(cfg)
}

// editRow lets the replayer read the row after a seq as edit leaves it.
func editRow(d *archivetest.DecodeFixture, after uint64, edit func(*archive.Row)) {
	editRows(d, func(r *archive.Row) {
		if r.After == after {
			edit(r)
		}
	})
}

// editResult is editRow for the row's result, where it has one.
func editResult(d *archivetest.DecodeFixture, after uint64, edit func(*archive.Result)) {
	editRow(d, after, func(r *archive.Row) {
		if r.Result != nil {
			result := *r.Result
			edit(&result)
			r.Result = &result
		}
	})
}

// rewriteChain lets the replayer read the rows from a seq on as edit leaves them, each
// with its own hash and that of the row before it.
func rewriteChain(d *archivetest.DecodeFixture, after uint64, edit func(*archive.Row)) {
	prev := ""
	editRows(d, func(r *archive.Row) {
		if r.After < after {
			return
		}
		edit(r)
		if prev != "" {
			r.Prev = prev
		}
		r.Hash = archive.ChainHash(*r)
		prev = r.Hash
	})
}

// removeRows hides the rows with first <= After <= last from the replayer.
func removeRows(d *archivetest.DecodeFixture, first, last uint64) {
	cfg := d.Config
	cfg.Jobs = rowsChanged{d.Ledger, func(rows []archive.Row) []archive.Row {
		return slices.DeleteFunc(rows, func(r archive.Row) bool { return r.After >= first && r.After <= last })
	}}
	d.Configure(cfg)
}

// verify runs a verify job over the seqs above from, and returns its findings
// as "after/seq fault".
func verify(d *archivetest.DecodeFixture, from uint64) (decode.Replay, []string) {
	d.T.Helper()
	return verifyAs(d, decode.Replay{From: from})
}

// verifyAs runs a verify job as described.
func verifyAs(d *archivetest.DecodeFixture, job decode.Replay) (decode.Replay, []string) {
	d.T.Helper()
	job.Corp, job.ID, job.Verify = archivetest.Corp, fmt.Sprint("v", d.Clock.Now().UnixNano()), true
	job.CreatedAt, job.UpdatedAt = d.Clock.Now(), d.Clock.Now()
	d.Must(d.Replayer.StartReplay(d.T.Context(), job))
	d.Clock.Advance(time.Second)
	d.Work()
	job, err := d.Ledger.Replay(d.T.Context(), archivetest.Corp, job.ID)
	d.Must(err)
	if !job.Done || job.Faults < len(job.Findings) {
		d.T.Errorf("got job %+v, want it done", job)
	}
	var found []string
	for _, f := range job.Findings {
		found = append(found, fmt.Sprintf("%d/%d %s", f.After, f.Seq, f.What))
	}
	return job, found
}

// newThreePages decodes three pages on two days: seqs 1-2, 3-4 and 5-6. Seq 2 is
// set aside for lack of a key, seq 4 is in the bucket, and seq 6 revokes seq 3.
func newThreePages(t *testing.T) *archivetest.DecodeFixture {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	large := archivetest.TextRecord(4, 1, "k1")
	large.Text = []byte(strings.Replace(string(large.Text), "第", strings.Repeat("长", archive.InlineLimit/3), 1))
	revoking := archivetest.TextRecord(6, 1, "k1")
	revoking.Text = fmt.Appendf(nil, `{"msgid":"m6","action":"recall","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"msgtype":"revoke","revoke":{"pre_msgid":"m3"}}`,
		archivetest.Start.UnixMilli()+6)
	for _, page := range [][]archivetest.Record{
		{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 9, "unknown")}, {archivetest.TextRecord(3, 1, "k1"), large}, {archivetest.TextRecord(5, 1, "k1"), revoking},
	} {
		d.Library.Say(archivetest.Corp, page...)
		d.PullAndDecode()
		d.Clock.Advance(20 * time.Hour)
	}
	d.WriteHead()
	return d
}

// A verify job names every difference between ledger, journal and view, and
// nothing else.
func TestVerifyFindsEveryDifference(t *testing.T) {
	tests := []struct {
		name string
		make func(d *archivetest.DecodeFixture) // makes the difference
		want []string
	}{
		{"no difference", func(*archivetest.DecodeFixture) {}, nil},
		{"message missing", func(d *archivetest.DecodeFixture) { d.View.Tamper(archivetest.Corp, 3, nil) }, []string{"2/3 message_missing"}},
		{"message changed", func(d *archivetest.DecodeFixture) { d.View.Tamper(archivetest.Corp, 6, []byte("other")) }, []string{"4/6 message_differs"}},
		{"large message missing from the bucket", func(d *archivetest.DecodeFixture) { d.Journal.LoseMessage(archivetest.Corp, *messageOf(d, 4).Overflow) }, []string{"2/4 message_differs"}},
		{"large message changed in the bucket", func(d *archivetest.DecodeFixture) {
			d.Journal.DamageMessage(archivetest.Corp, *messageOf(d, 4).Overflow)
		}, []string{"2/4 message_differs"}},
		{"large message missing from the view and the bucket", func(d *archivetest.DecodeFixture) {
			d.Journal.LoseMessage(archivetest.Corp, *messageOf(d, 4).Overflow)
			d.View.Tamper(archivetest.Corp, 4, nil)
		}, []string{"2/4 message_missing"}},
		{"result missing", func(d *archivetest.DecodeFixture) {
			editRow(d, 2, func(r *archive.Row) { r.Result = nil })
		}, []string{"2/0 not_decoded"}},
		{"page requested again", func(d *archivetest.DecodeFixture) {
			editRow(d, 2, func(r *archive.Row) { r.State = archive.RowRequested })
		}, []string{"2/0 not_decoded"}},
		{"view empty", func(d *archivetest.DecodeFixture) { d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil)) }, []string{
			"0/1 message_missing", "0/2 set_aside_missing", "0/0 lists_incomplete", "2/3 message_missing", "2/4 message_missing", "2/0 lists_incomplete",
			"4/5 message_missing", "4/6 message_missing", "4/6 revocation_missing", "4/0 lists_incomplete"}},
		{"revocations and lists missing", func(d *archivetest.DecodeFixture) { d.View.Forget(archivetest.Corp) }, []string{"0/0 lists_incomplete", "2/0 lists_incomplete", "4/6 revocation_missing", "4/0 lists_incomplete"}},
		{"message stored in a second place", func(d *archivetest.DecodeFixture) {
			m := messageOf(d, 3)
			m.MsgID, m.Time = "m3'", m.Time.Add(time.Millisecond)
			d.View.Plant(archivetest.Corp, []archive.Message{m}, nil)
		}, []string{"2/3 message_extra"}},
		{"revocation forged", func(d *archivetest.DecodeFixture) {
			m := messageOf(d, 5)
			d.View.Plant(archivetest.Corp, nil, []archive.Revocation{{Corp: archivetest.Corp, Conversation: m.Conversation, MsgID: "m5", By: "lin.hua", At: m.Time, Seq: 99}})
		}, []string{"4/99 revocation_extra"}},
		{"stored record still set aside", func(d *archivetest.DecodeFixture) {
			d.Must(d.View.WritePage(t.Context(), decode.Decoded{Corp: archivetest.Corp, SetAside: []archive.SetAside{{Corp: archivetest.Corp, Seq: 3, After: 2, Reason: archive.ReasonNoKey}}}))
		}, []string{"2/3 set_aside_stale"}},
		{"result counts too many messages", func(d *archivetest.DecodeFixture) {
			editResult(d, 4, func(result *archive.Result) { result.Stored++ })
		}, []string{"4/0 result_differs"}},
		{"result counts too few records set aside", func(d *archivetest.DecodeFixture) {
			editResult(d, 0, func(result *archive.Result) { result.SetAside = nil })
		}, []string{"0/0 result_differs"}},
		{"page changed", func(d *archivetest.DecodeFixture) { d.Journal.Damage(d.Rows()[1]) }, []string{"2/0 journal_changed"}},
		{"page missing", func(d *archivetest.DecodeFixture) { d.Journal.Lose(d.Rows()[1]) }, []string{"2/0 journal_missing"}},
		{"row edited", func(d *archivetest.DecodeFixture) {
			editRow(d, 2, func(r *archive.Row) { r.Count++ })
		}, []string{"2/0 row_changed", "2/0 records_differ"}},
		{"head of a day missing", func(d *archivetest.DecodeFixture) {
			d.Journal.LoseHead(archivetest.Corp, archive.DayOf(d.Rows()[1].At))
		}, []string{"2/0 head_missing"}},
		{"head of a day copied from the day after it", func(d *archivetest.DecodeFixture) {
			day := archive.DayOf(d.Rows()[1].At)
			d.Journal.LoseHead(archivetest.Corp, day)
			later, err := d.Journal.Head(t.Context(), archivetest.Corp, day.Next())
			d.Must(err)
			d.Must(d.Journal.PutHead(t.Context(), day, later))
		}, nil},
		{"head of a day after the last row missing", func(d *archivetest.DecodeFixture) { d.Clock.Advance(40 * time.Hour) }, []string{"4/0 head_missing"}},
		{"heads of several days after the last row missing", func(d *archivetest.DecodeFixture) { d.Clock.Advance(100 * time.Hour) }, []string{"4/0 head_missing"}},
		{"head of a day with the hash of a row and another seq", func(d *archivetest.DecodeFixture) {
			day := archive.DayOf(d.Rows()[1].At)
			head, err := d.Journal.Head(t.Context(), archivetest.Corp, day)
			d.Must(err)
			d.Journal.LoseHead(archivetest.Corp, day)
			head.Last--
			d.Must(d.Journal.PutHead(t.Context(), day, head))
		}, []string{"2/0 head_disagrees"}},
		{"head of a day unreadable", func(d *archivetest.DecodeFixture) {
			cfg := d.Config
			cfg.Journal = unreadableHead{d.Journal, archive.DayOf(d.Rows()[1].At)}
			d.Configure(cfg)
		}, []string{"2/0 head_disagrees"}},
		{"head of a day that began a short while ago", func(d *archivetest.DecodeFixture) {
			d.Clock.Set(archive.DayOf(d.Clock.Now()).Next().Start().Add(time.Hour))
		}, nil},
		{"head of a day that began three hours ago missing", func(d *archivetest.DecodeFixture) {
			d.Clock.Set(archive.DayOf(d.Clock.Now()).Next().Start().Add(3 * time.Hour))
		}, []string{"4/0 head_missing"}},
		{"row's time later than the head that has it", func(d *archivetest.DecodeFixture) {
			rewriteChain(d, 2, func(r *archive.Row) {
				if r.After == 2 {
					r.At = r.At.Add(21 * time.Hour)
				}
			})
		}, []string{"2/0 row_changed", "4/0 head_disagrees", "4/0 head_disagrees", "4/0 head_disagrees"}},
		{"row edited and its hash replaced", func(d *archivetest.DecodeFixture) {
			editRow(d, 2, func(r *archive.Row) {
				r.At = r.At.Add(time.Hour)
				r.Hash = archive.ChainHash(*r)
			})
		}, []string{"4/0 chain_broken"}},
		{"chain rewritten to its end", func(d *archivetest.DecodeFixture) {
			rewriteChain(d, 2, func(r *archive.Row) { r.At = r.At.Add(time.Minute) })
		}, []string{"4/0 head_disagrees", "4/0 head_disagrees", "4/0 head_disagrees"}}, // the heads of two days and the ledger's
		{"middle row missing", func(d *archivetest.DecodeFixture) { removeRows(d, 2, 2) }, []string{"4/0 chain_broken", "4/0 head_disagrees", "2/0 row_removed"}},
		{"first row missing", func(d *archivetest.DecodeFixture) { removeRows(d, 0, 0) }, []string{"2/0 chain_broken", "2/0 head_disagrees", "0/0 row_removed"}},
		{"last row missing", func(d *archivetest.DecodeFixture) { removeRows(d, 4, 4) }, []string{"4/0 rows_missing", "4/0 end_removed"}},
		{"all rows missing", func(d *archivetest.DecodeFixture) { removeRows(d, 0, 4) }, []string{
			"0/0 rows_missing", "0/0 end_removed", "2/0 end_removed", "4/0 end_removed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newThreePages(t)
			tt.make(d)
			job, got := verify(d, 0)
			if !slices.Equal(got, tt.want) || job.Faults != len(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// unreadableHead is a journal with an object that is not a head in the place of one.
type unreadableHead struct {
	archive.Journal
	day archive.Day
}

func (u unreadableHead) Head(ctx context.Context, corp string, day archive.Day) (archive.Head, error) {
	if day == u.day {
		return archive.Head{}, archive.ErrCorrupt
	}
	return u.Journal.Head(ctx, corp, day)
}

// messageOf reads the message of a seq from the view.
func messageOf(d *archivetest.DecodeFixture, seq uint64) archive.Message {
	d.T.Helper()
	list := d.StoredIn(archivetest.SingleChat)
	i := slices.IndexFunc(list, func(m archive.Message) bool { return m.Seq == seq })
	if i < 0 {
		d.T.Fatalf("seq %d is not in the view", seq)
	}
	return list[i]
}

// Of pages that are compared together, only those with a conversation that a list lacks
// are named.
func TestVerifyNamesThePageThatListsLack(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for seq, customer := range []string{1: "wmA", 2: "wmB", 3: "wmC"} {
		if customer != "" {
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: uint64(seq), MsgID: customer, KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
				`{"msgid":%q,"action":"send","from":"lin.hua","tolist":[%[1]q],"msgtime":%d,"msgtype":"text","text":{"content":"t"}}`, customer, archivetest.Start.UnixMilli())})
			d.PullAndDecode()
		}
	}
	lists := d.View.AllActivities(archivetest.Corp)
	d.View.Forget(archivetest.Corp)
	lists = slices.DeleteFunc(lists, func(a archive.Activity) bool { return slices.Contains(a.Conversation.Parties(), "wmB") })
	d.Must(d.View.WritePage(t.Context(), decode.Decoded{Corp: archivetest.Corp, Activities: lists}))
	if _, got := verify(d, 0); !slices.Equal(got, []string{"1/0 lists_incomplete"}) {
		t.Errorf("got %v, want the second page", got)
	}
}

func TestVerifyNamesPagesThatAreNotDecoded(t *testing.T) {
	d := newThreePages(t)
	d.Say(archivetest.Corp, 7, 1)
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	d.Decodes.Take()
	if _, got := verify(d, 4); !slices.Equal(got, []string{"6/0 not_decoded"}) {
		t.Errorf("got %v, want the page that is not decoded", got)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 6, decode.FirstTime))
	if _, got := verify(d, 6); got != nil {
		t.Errorf("from within the chain: got %v, want no finding", got)
	}
}

// slowHeads is a journal in which reading a head takes long. Every later day has
// the head end.
type slowHeads struct {
	archive.Journal
	clock *archivetest.Clock
	end   archive.Head
}

func (s slowHeads) Head(ctx context.Context, corp string, day archive.Day) (archive.Head, error) {
	head, err := s.Journal.Head(ctx, corp, day)
	if err != nil {
		return s.end, nil
	}
	s.clock.Advance(80 * time.Second)
	return head, nil
}

// A verify job that needs several invocations follows the chain across them.
func TestVerifyContinuesInAnotherInvocation(t *testing.T) {
	for name, c := range map[string]struct {
		missing bool // the second row
		want    []decode.Finding
	}{
		"whole chain":        {false, nil},
		"row missing before": {true, []decode.Finding{{After: 4, What: decode.FaultChain}, {After: 4, What: decode.FaultHead}, {After: 2, What: decode.FaultRowRemoved}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newThreePages(t)
			if c.missing {
				removeRows(d, 2, 2)
			}
			cfg := d.Config
			cfg.Journal = slowHeads{d.Journal, d.Clock, d.Head()}
			d.Configure(cfg)
			job := verifyInSeveralRuns(d)
			if !job.Done || !slices.Equal(job.Findings, c.want) {
				t.Errorf("got job %+v, want it done with findings %v", job, c.want)
			}
		})
	}
}

// An alarm counts the line of a verification with findings. A verification without
// findings has no such line.
func TestFindingsAreLogged(t *testing.T) {
	d := newThreePages(t)
	var log bytes.Buffer
	cfg := d.Config
	cfg.Log = slog.New(slog.NewJSONHandler(&log, nil))
	d.Configure(cfg)
	const line = `"msg":"verification found differences"`
	verify(d, 0)
	if strings.Contains(log.String(), line) {
		t.Errorf("without a difference: got log %s", log.String())
	}
	d.View.Tamper(archivetest.Corp, 3, nil)
	d.View.Tamper(archivetest.Corp, 5, nil)
	d.Journal.Lose(d.Rows()[0])
	job, _ := verify(d, 0)
	if strings.Count(log.String(), line) != 1 || !strings.Contains(log.String(), `"level":"ERROR",`+line+`,"corp":"`+archivetest.Corp+`","replay":"`+job.ID+`","faults":3,"kinds":["journal_missing","message_missing"]`) {
		t.Errorf("got log %s, want one line with the kinds of the findings", log.String())
	}
}

// lostWhileRead is a journal that loses its second page after the listing.
type lostWhileRead struct{ archive.Journal }

func (l lostWhileRead) Page(ctx context.Context, r archive.Row) ([]byte, error) {
	if r.After == 2 {
		return nil, archive.ErrNotFound
	}
	return l.Journal.Page(ctx, r)
}

func TestVerifyOfAPageThatIsLostMeanwhile(t *testing.T) {
	d := newThreePages(t)
	cfg := d.Config
	cfg.Journal = lostWhileRead{d.Journal}
	d.Configure(cfg)
	if _, got := verify(d, 0); !slices.Equal(got, []string{"2/0 journal_missing"}) {
		t.Errorf("got %v, want the page missing", got)
	}
}

// slowLibrary takes long for each message.
type slowLibrary struct {
	decode.Decrypters
	clock *archivetest.Clock
}

func (s slowLibrary) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	s.clock.Advance(100 * time.Second)
	return s.Decrypters.Decrypter(ctx, corp)
}

// verifyInSeveralRuns runs a verification that one invocation cannot end.
func verifyInSeveralRuns(d *archivetest.DecodeFixture) decode.Replay {
	d.T.Helper()
	startReplay(d, decode.Replay{ID: "v", Verify: true})
	if runs := runUntilIdle(d, 300*time.Second); runs < 2 {
		d.T.Errorf("got %d runs, want several", runs)
	}
	job, err := d.Ledger.Replay(d.T.Context(), archivetest.Corp, "v")
	d.Must(err)
	return job
}

// A verify job whose time is over between two pages of a step verifies the others in
// the next run.
func TestVerifyGoesOnWithThePagesThatAreLeft(t *testing.T) {
	d := newThreePages(t)
	d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
	_, want := verify(d, 0)
	cfg := d.Config
	cfg.Decrypters = slowLibrary{d.Library, d.Clock}
	d.Configure(cfg)
	job := verifyInSeveralRuns(d)
	// The runs are in a later year, and no head was written meanwhile.
	found := slices.DeleteFunc(job.Findings, func(f decode.Finding) bool { return f.What == decode.FaultHeadMissing })
	if !job.Done || job.Pages != 3 || len(found) != len(want) {
		t.Errorf("got job %+v, want it done with findings %v", job, want)
	}
}

// A verification that cannot finish one page within a run requests no other run, which
// would begin equally. Dispatch requests it again, counts the tries, and ends it.
func TestVerifyWithoutProgressLeavesItsRequestsToDispatch(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 1)
	d.PullAndDecode()
	d.Say(archivetest.Corp, 2, 40)
	d.PullAndDecode()
	d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
		if seq == 1 {
			return nil
		}
		d.Clock.Advance(5 * time.Second)
		return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Hung}}
	}
	startReplay(d, decode.Replay{ID: "v", Verify: true})
	runUntilIdle(d, 300*time.Second)
	stored, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "v")
	d.Must(err)
	running, err := d.Ledger.Running(t.Context(), archivetest.Corp, true)
	if err != nil || stored.Done || stored.Pages != 1 {
		t.Fatalf("got job %+v, %v; want it running, with the first page done", stored, err)
	}
	again := running
	again.RequestedAt, again.Tries = d.Clock.Now(), 7 // as dispatch does
	d.Must(d.Ledger.ReplaceRunning(t.Context(), running, again))
	d.Must(d.Decodes.RequestDecodes(t.Context(), again.Request()))
	runUntilIdle(d, 300*time.Second)
	if got, err := d.Ledger.Running(t.Context(), archivetest.Corp, true); err != nil || got.Tries != 7 || !got.RequestedAt.Equal(again.RequestedAt) {
		t.Errorf("got %+v, %v; want the tries of dispatch kept", got, err)
	}
	d.Library.OnDecrypt = nil
	d.Must(d.Decodes.RequestDecodes(t.Context(), again.Request()))
	runUntilIdle(d, 300*time.Second)
	wantDone(d, "v", 2)
}

// A verification is stopped, and another one started, in a run without progress. The
// run goes on with the other one.
func TestVerifyWithoutProgressIsFollowed(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 40)
	d.PullAndDecode()
	hang := func(string, uint64, int) *archivetest.Answer {
		d.Clock.Advance(5 * time.Second)
		return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Hung}}
	}
	d.Library.OnDecrypt = hang
	startReplay(d, decode.Replay{ID: "v", Verify: true})
	runUntilIdle(d, 300*time.Second)
	running, err := d.Ledger.Running(t.Context(), archivetest.Corp, true)
	d.Must(err)
	d.Must(d.Decodes.RequestDecodes(t.Context(), running.Request()))
	d.Library.OnDecrypt = func(corp string, seq uint64, try int) *archivetest.Answer {
		d.Library.OnDecrypt = hang
		stop(d, "v")
		startReplay(d, decode.Replay{ID: "other", Verify: true})
		return hang(corp, seq, try)
	}
	runUntilIdle(d, 300*time.Second)
	if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "other"); err != nil || job.To == 0 {
		t.Errorf("got job %+v, %v; want its first run begun", job, err)
	}
}

// What a verification found before it was stopped is logged, also where another job has
// taken over its request.
func TestFindingsOfAStoppedVerificationAreLogged(t *testing.T) {
	for name, c := range map[string]struct {
		found, followed bool
		after           string // it ends after the second such call; else after its first run
	}{
		"found nothing": {}, "stopped": {found: true}, "followed": {found: true, followed: true},
		"followed as its first run ends":  {true, true, "Ledger.AdvanceReplay"}, // the first one stores the range
		"followed as its next run begins": {true, true, "Ledger.Replay"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &archivetest.Faults{}
			d := archivetest.NewDecodeFixture(t, f)
			d.AddKey(archivetest.Corp, "k1", 1)
			for seq := range uint64(9) {
				d.Say(archivetest.Corp, seq+1, 1)
				d.PullAndDecode()
			}
			if c.found {
				d.View.Tamper(archivetest.Corp, 1, nil)
			}
			var log bytes.Buffer
			cfg := d.Config
			cfg.Log, cfg.Decrypters = slog.New(slog.NewJSONHandler(&log, nil)), slowLibrary{d.Library, d.Clock}
			d.Configure(cfg)
			end := func() {
				stop(d, "v")
				if c.followed {
					startReplay(d, decode.Replay{ID: "other", Verify: true, From: 5})
				}
			}
			startReplay(d, decode.Replay{ID: "v", Verify: true})
			reqs := d.Decodes.Take()
			var calls atomic.Int64
			f.Through(func(_ context.Context, call archivetest.Call, effect func()) error {
				effect()
				if call.Name == c.after && calls.Add(1) == 2 {
					end()
				}
				return nil
			})
			d.Clock.Set(time.Now())
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(300*time.Second))
			defer cancel()
			d.Must(d.Replayer.Run(ctx, reqs[0]))
			if c.after == "" {
				end()
			}
			runUntilIdle(d, 300*time.Second)
			const line = `"msg":"verification found differences","corp":"` + archivetest.Corp + `","replay":"v","faults":1,"kinds":["message_missing"]`
			if n := strings.Count(log.String(), line); (n == 1) != c.found || n > 1 {
				t.Errorf("got %d lines, want one: %v; log %s", n, c.found, log.String())
			}
		})
	}
}

// A job counts every difference and keeps the first hundred of them.
func TestVerifyKeepsTheFirstFindings(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 150)
	d.PullAndDecode()
	d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
	job, found := verify(d, 0)
	if job.Faults != 151 || len(found) != decode.MaxFindings {
		t.Errorf("got %d faults and %d findings, want 151 and %d", job.Faults, len(found), decode.MaxFindings)
	}
}

// unproved is a store of keys that has lost every proof.
type unproved struct{ *archivetest.Corps }

func (u unproved) KeySet(ctx context.Context, corp string) (archive.KeySet, error) {
	set, err := u.Corps.KeySet(ctx, corp)
	set.Bindings = nil
	return set, err
}

// A verify job writes nothing but itself, whatever it finds: the proof of a key
// that it meets is not recorded either.
func TestVerifyWritesNothing(t *testing.T) {
	f := &archivetest.Faults{}
	d := archivetest.NewDecodeFixture(t, f)
	d.AddKey(archivetest.Corp, "k1", 0)
	d.Say(archivetest.Corp, 1, 3)
	d.PullAndDecode()
	d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
	cfg := d.Config
	cfg.Keys = unproved{d.Corps}
	d.Configure(cfg)
	f.Arm(nil)
	if _, got := verify(d, 0); len(got) != 4 {
		t.Errorf("got %v, want 3 messages and the lists missing", got)
	}
	for _, c := range f.Calls() {
		ofJob := []string{"Ledger.SetRunning", "Ledger.RemoveRunning", "Ledger.CreateReplay", "Ledger.AdvanceReplay", "DecodeQueue.RequestDecodes"}
		if c.Writes && !slices.Contains(ofJob, c.Name) {
			t.Errorf("verifying wrote: %s", c.Name)
		}
	}
}
