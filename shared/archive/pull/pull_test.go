package pull_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/secret"
)

func TestPullDrains(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 5, 2500)
	b.Must(b.Pull(archive.PullRequest{Why: "timer"}))
	b.Check()
	rows := b.Rows()
	var counts []int
	for _, r := range rows {
		counts = append(counts, r.Count)
	}
	if !slices.Equal(counts, []int{1000, 1000, 500}) || b.Head().Last != 2504 {
		t.Errorf("got pages of %v up to %d, want 1000, 1000, 500 up to 2504", counts, b.Head().Last)
	}
	if got := b.Decodes.Take(); len(got) != 3 || got[1].After != rows[1].After {
		t.Errorf("got decode requests %v, want one per page", got)
	}
	if s := b.State(); s.Trouble != nil || s.LastEmptyAt.IsZero() || s.LastPageAt.IsZero() {
		t.Errorf("got state %+v, want caught up and no trouble", s)
	}
}

// Every call fails once, before or after it takes effect, or the process ends
// there. The next pull leaves every record in the journal exactly once, and an
// unbroken chain (law 1).
func TestPullSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		b := archivetest.NewFixture(t, f)
		b.Say(archivetest.Corp, 1, 3)
		b.Library.OnChatData = func(c string, after uint64, limit int) *archivetest.Answer {
			if limit > 2 && after < 3 { // two pages of what would be one
				return &archivetest.Answer{Bytes: archivetest.Page(c, between(after, after+2)...)}
			}
			return nil
		}
		arm()
		_ = b.Pull(archive.PullRequest{})
		f.Disarm()
		b.Check()
		b.Clock.Advance(7 * time.Hour)
		b.Must(b.Pull(archive.PullRequest{}))
		b.Check()
		covered := uint64(0)
		for _, r := range b.Rows() {
			if r.After != covered || r.Kind != archive.PageRow {
				t.Errorf("row %s after %d, want a page after %d", r.Kind, r.After, covered)
			}
			covered = r.Last
		}
		if covered != 3 {
			t.Errorf("got %d records covered, want 3", covered)
		}
	})
}

// A pull that crashed between the row and the decode request leaves a page without
// a request. The redelivered pull request requests its decoding, also while the
// corp is paused.
func TestPullAsksAgainForTheLastPage(t *testing.T) {
	f := &archivetest.Faults{}
	b := archivetest.NewDecodeFixture(t, f)
	b.AddKey(archivetest.Corp, "k1", 1)
	b.Say(archivetest.Corp, 1, 1500)
	requests := 0
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name != "DecodeQueue.RequestDecodes" {
			return archivetest.Works, nil
		}
		if requests++; requests == 2 {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := b.Pull(archive.PullRequest{}); err == nil {
		t.Error("got no error, want the request to come again")
	}
	f.Disarm()
	b.Decodes.Take()
	b.Must(b.Corps.SetEnabled(t.Context(), archivetest.Corp, false, "admin", "", b.Clock.Now()))
	b.Must(b.Pull(archive.PullRequest{}))
	if got := b.Decodes.Take(); len(got) != 0 {
		t.Errorf("another request: got %v, want nothing requested", got)
	}
	b.Must(b.Pull(archive.PullRequest{Again: true}))
	if got := b.Decodes.Take(); len(got) != 1 || got[0].After != 1000 {
		t.Errorf("the same request: got %v, want the page after 1000 alone", got)
	}
	for _, after := range []uint64{0, 1000} {
		b.Must(b.Decoder.Decode(t.Context(), archivetest.Corp, after, decode.FirstTime))
	}
	b.Decodes.Take() // the replay for the key that was proved
	b.Must(b.Pull(archive.PullRequest{Again: true}))
	if got := b.Decodes.Take(); len(got) != 0 {
		t.Errorf("all decoded: got %v, want nothing requested", got)
	}
}

func between(after, last uint64) []archivetest.Record {
	var rs []archivetest.Record
	for seq := after + 1; seq <= min(last, 3); seq++ {
		rs = append(rs, archivetest.TextRecord(seq, 1, "k1"))
	}
	return rs
}

// Law 10: each error of either level is classified and recorded, is not an error
// of the function, and leaves the head in place.
func TestPullUnderstandsRefusals(t *testing.T) {
	page := func(code int) archivetest.Answer {
		return archivetest.Answer{Bytes: archivetest.Refused(code, "text, hint: [1_2_3], from ip: 203.0.113.9, more info at https://x")}
	}
	native := func(op string, code int) archivetest.Answer {
		return archivetest.Answer{Err: &archive.SDKError{Op: op, Code: code}}
	}
	tests := []struct {
		answer archivetest.Answer
		cause  archive.Cause
		pause  time.Duration
		calls  int
	}{
		{page(301042), archive.CauseTrustedIP, 0, 1},
		{page(60020), archive.CauseTrustedIP, 0, 1},
		{page(48002), archive.CauseSecretKind, 10 * time.Minute, 1},
		{page(301052), archive.CauseExpired, 10 * time.Minute, 1},
		{page(301053), archive.CauseNotOpen, 0, 1},
		{page(40001), archive.CauseSecret, 10 * time.Minute, 1},
		{page(40091), archive.CauseSecret, 10 * time.Minute, 1},
		{page(40013), archive.CauseCorpID, 10 * time.Minute, 1},
		{page(50003), archive.CauseDisabled, 10 * time.Minute, 1},
		{page(610016), archive.CauseUnverified, 10 * time.Minute, 1},
		{page(45009), archive.CauseRate, time.Minute, 1},
		{page(-1), archive.CauseBusy, 0, 3},
		{page(42001), archive.CauseBusy, 0, 3},
		{page(99999), archive.CauseUnknownResponse, 0, 1},
		{native("GetChatData", 10001), archive.CauseNetwork, 0, 3},
		{native("GetChatData", 10002), archive.CauseBusy, 0, 3},
		{native("GetChatData", 10003), archive.CauseBusy, 0, 3},
		{native("GetChatData", 10009), archive.CauseTrustedIP, 0, 1},
		{native("GetChatData", 10011), archive.CauseTLS, 0, 1},
		{native("GetChatData", 10000), archive.CauseUnknownResponse, 0, 1},
		{native("Init", 10000), archive.CauseSecret, 10 * time.Minute, 1},
		{native("Init", 10001), archive.CauseNetwork, 0, 3},
		{archivetest.Answer{Err: &archive.CrashError{Op: "start", How: archive.Crashed}}, archive.CauseLibraryCrash, 0, 3},
		{archivetest.Answer{Err: &archive.CrashError{Op: "Init", How: archive.Hung}}, archive.CauseLibraryCrash, 0, 3},
		{archivetest.Answer{Err: &archive.LibraryError{Why: archive.LibraryMissing}}, archive.CauseLibraryMissing, 0, 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %v", tt.cause, tt.answer.Bytes[:min(22, len(tt.answer.Bytes))], tt.answer.Err), func(t *testing.T) {
			b := archivetest.NewFixture(t, &archivetest.Faults{})
			b.Say(archivetest.Corp, 1, 3)
			calls := 0
			b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return &tt.answer }
			b.Must(b.Pull(archive.PullRequest{}))
			s := b.State()
			if s.Trouble == nil || s.Trouble.Cause != tt.cause {
				t.Fatalf("got trouble %+v, want %s", s.Trouble, tt.cause)
			}
			if tt.answer.Err == nil && s.Trouble.FromIP != "203.0.113.9" {
				t.Errorf("got address %q, want the one that WeCom saw", s.Trouble.FromIP)
			}
			pause := time.Duration(0)
			if !s.NotBefore.IsZero() {
				pause = s.NotBefore.Sub(b.Clock.Now())
			}
			if pause != tt.pause || calls != tt.calls {
				t.Errorf("got %d calls and a pause of %v, want %d and %v", calls, pause, tt.calls, tt.pause)
			}
			if b.Head().Last != 0 {
				t.Errorf("the head moved to %d", b.Head().Last)
			}
			b.Library.OnChatData = nil
			b.Clock.Advance(tt.pause)
			b.Must(b.Pull(archive.PullRequest{}))
			if s := b.State(); s.Trouble != nil || b.Head().Last != 3 {
				t.Errorf("after the fix: got trouble %+v and head %d, want none and 3", s.Trouble, b.Head().Last)
			}
		})
	}
}

// Broken answers never move the head past what is durable.
func TestPullDistrustsBrokenPages(t *testing.T) {
	r := func(seq uint64) archivetest.Record { return archivetest.TextRecord(seq, 1, "k1") }
	tests := map[string][]byte{
		"not JSON":           []byte("<html>bad gateway</html>"),
		"empty":              nil,
		"no errcode":         []byte(`{"chatdata":[]}`),
		"an array":           []byte(`[]`),
		"chatdata a string":  []byte(`{"errcode":0,"chatdata":"x"}`),
		"doubled seq":        archivetest.Page(archivetest.Corp, r(1), r(2), r(2), r(3)),
		"falling seq":        archivetest.Page(archivetest.Corp, r(3), r(1)),
		"seq not above ours": archivetest.Page(archivetest.Corp, archivetest.Record{Seq: 0, MsgID: "m"}),
		"record without seq": archivetest.Page(archivetest.Corp, r(1), archivetest.Record{Broken: `{"msgid":"m2"}`}),
		"record no object":   archivetest.Page(archivetest.Corp, r(1), archivetest.Record{Broken: `7`}),
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			b := archivetest.NewFixture(t, &archivetest.Faults{})
			b.Say(archivetest.Corp, 1, 3)
			b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { return &archivetest.Answer{Bytes: answer} }
			b.Must(b.Pull(archive.PullRequest{}))
			b.Check()
			if s := b.State(); s.Trouble == nil || s.Trouble.Cause != archive.CauseBadAnswer || b.Head().Last != 0 {
				t.Errorf("got trouble %+v, head %d; want bad_answer and 0", s.Trouble, b.Head().Last)
			}
			// Only big pages are broken: smaller ones get through.
			b.Library.OnChatData = func(_ string, _ uint64, limit int) *archivetest.Answer {
				if limit > 2 {
					return &archivetest.Answer{Bytes: answer}
				}
				return nil
			}
			b.Must(b.Pull(archive.PullRequest{}))
			b.Check()
			if b.Head().Last != 3 {
				t.Errorf("got head %d, want 3", b.Head().Last)
			}
		})
	}
	for name, answer := range map[string]string{
		"absent": `{"errcode":0,"errmsg":"ok"}`, "null": `{"errcode":0,"errmsg":"ok","chatdata":null}`, "empty": `{"errcode":0,"chatdata":[]}`,
	} {
		t.Run("chatdata "+name+" is nothing new", func(t *testing.T) {
			b := archivetest.NewFixture(t, &archivetest.Faults{})
			b.Say(archivetest.Corp, 1, 3)
			b.Must(b.Pull(archive.PullRequest{}))
			b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
				return &archivetest.Answer{Bytes: []byte(answer)}
			}
			b.Clock.Advance(time.Minute)
			b.Must(b.Pull(archive.PullRequest{}))
			if s := b.State(); s.Trouble != nil || b.Head().Last != 3 || !s.LastEmptyAt.Equal(b.Clock.Now()) {
				t.Errorf("got trouble %+v, head %d, caught up at %v; want none, 3, now", s.Trouble, b.Head().Last, s.LastEmptyAt)
			}
		})
	}
}

func TestPullPassesRecordsThatCannotBeFetched(t *testing.T) {
	crash := &archivetest.Answer{Err: &archive.CrashError{Op: "GetChatData", How: archive.Crashed}}
	tests := []struct {
		name string
		bad  []uint64 // seqs that no page may hold
		how  *archivetest.Answer
		gaps []string
	}{
		{"too large", []uint64{7}, tooLarge, []string{"(6,7] errcode_301058"}},
		{"crash", []uint64{7}, crash, []string{"(6,7] library_crash"}},
		{"the first", []uint64{5}, crash, []string{"(0,5] library_crash"}}, // seqs begin at 5: what is before it does not exist
		{"the last", []uint64{14}, tooLarge, []string{"(13,14] errcode_301058"}},
		{"two together", []uint64{8, 9}, tooLarge, []string{"(7,9] errcode_301058"}},
		{"the one before it far away", []uint64{2000}, crash, []string{"(14,2000] library_crash"}},
		{"and another behind", []uint64{2000, 2001}, crash, []string{"(14,2001] library_crash"}},
		{"two apart", []uint64{8, 12}, tooLarge, []string{"(7,8] errcode_301058", "(11,12] errcode_301058"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := archivetest.NewFixture(t, &archivetest.Faults{})
			b.Say(archivetest.Corp, 5, 10)
			b.Say(archivetest.Corp, 2000, 3)
			seqs := []uint64{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 2000, 2001, 2002}
			b.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
				first, _ := slices.BinarySearch(seqs, after+1)
				for _, seq := range seqs[first:min(len(seqs), first+limit)] {
					if slices.Contains(tt.bad, seq) {
						return tt.how
					}
				}
				return nil
			}
			b.PullFor(2 * time.Hour)
			var gaps []string
			records := 0
			for _, r := range b.Rows() {
				records += r.Count
				if r.Kind == archive.GapRow {
					gaps = append(gaps, fmt.Sprintf("(%d,%d] %s", r.After, r.Last, r.Reason))
					if err := b.Journal.Gap(t.Context(), r); err != nil || r.Evidence == "" || r.State != archive.RowDecoded {
						t.Errorf("gap without evidence in row and journal, or waiting to be decoded: %+v, %v", r, err)
					}
				}
			}
			if !slices.Equal(gaps, tt.gaps) {
				t.Errorf("got gaps %v, want %v", gaps, tt.gaps)
			}
			if want := 13 - len(tt.bad); records != want || b.Head().Last != 2002 {
				t.Errorf("got %d records up to %d, want %d up to 2002", records, b.Head().Last, want)
			}
			if s := b.State(); s.Gaps != len(tt.gaps) || s.LastGap == nil || fmt.Sprintf("(%d,%d] %s", s.LastGap.After, s.LastGap.Last, s.LastGap.Reason) != tt.gaps[len(tt.gaps)-1] {
				t.Errorf("got %d gaps noted, the last %+v; want %v", s.Gaps, s.LastGap, tt.gaps)
			}
			if s := b.State(); s.Trouble != nil || s.GapSearch != nil {
				t.Errorf("got trouble %+v, probe %+v; want neither", s.Trouble, s.GapSearch)
			}
		})
	}
}

// A gap covers exactly the records that cannot be read, whatever else fails
// during the search, and is recorded late: a passing fault costs no record.

// Answers of a library that cannot fetch a record.
var (
	hangs    = &archivetest.Answer{Err: &archive.CrashError{Op: "GetChatData", How: archive.Hung}}
	tooLarge = &archivetest.Answer{Bytes: archivetest.Refused(301058, "too large")}
)

// gaps lists the fixture's gap rows.
func gaps(b *archivetest.Fixture) (list []string) {
	for _, r := range b.Rows() {
		if r.Kind == archive.GapRow {
			list = append(list, fmt.Sprintf("(%d,%d]", r.After, r.Last))
		}
	}
	return list
}

func TestNoGapAfterAShortFault(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 20)
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
		if b.Clock.Now().Sub(archivetest.Start) < 9*time.Minute {
			return tooLarge
		}
		return nil
	}
	b.PullFor(20 * time.Minute)
	if got := gaps(b); got != nil || b.Head().Last != 20 {
		t.Errorf("got gaps %v and head %d, want none and 20", got, b.Head().Last)
	}
}

// A clock that was set forward has passed gapAge without any further call.
func TestNoGapBecauseAClockWasSetForward(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 10)
	failures := 3 * archive.Tries // of record 5 alone
	b.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
		if after >= 5 || after+uint64(limit) < 5 || failures == 0 {
			return nil
		}
		if after == 4 && limit == 1 {
			failures--
		}
		return tooLarge
	}
	for b.State().GapSearch == nil {
		b.PullFor(time.Minute)
	}
	b.Clock.Advance(2 * time.Hour)
	b.PullFor(20 * time.Minute)
	if got := gaps(b); got != nil || b.Head().Last != 10 {
		t.Errorf("got gaps %v and head %d, want none and 10", got, b.Head().Last)
	}
}

func TestNoGapWhereTheLibraryFailsNowAndThen(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 200)
	n := 0
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
		if n++; n%7 < 3 { // three in a row: one question with its retries
			return hangs
		}
		return nil
	}
	b.PullFor(2 * time.Hour)
	if got := gaps(b); got != nil || b.Head().Last != 200 {
		t.Errorf("got gaps %v and head %d, want none and 200", got, b.Head().Last)
	}
}

func TestGapIsExactThroughAnOutageDuringTheSearch(t *testing.T) {
	for outage := 1; outage < 60; outage += 7 { // beginning at another call each time
		b := archivetest.NewFixture(t, &archivetest.Faults{})
		b.Say(archivetest.Corp, 1, 20)
		searching := 0
		b.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
			if b.Clock.Now().Sub(archivetest.Start) > 10*time.Minute {
				if searching++; searching >= outage && searching < outage+20 {
					return hangs
				}
			}
			if after < 5 && after+uint64(limit) >= 5 {
				return tooLarge
			}
			return nil
		}
		b.PullFor(2 * time.Hour)
		if got := gaps(b); !slices.Equal(got, []string{"(4,5]"}) || b.Head().Last != 20 {
			t.Errorf("outage at call %d: got gaps %v and head %d, want (4,5] and 20", outage, got, b.Head().Last)
		}
	}
}

func TestGapToAFarRecordIsExact(t *testing.T) {
	for chance := range 12 { // failing at other calls each time
		b := archivetest.NewFixture(t, &archivetest.Faults{})
		b.Say(archivetest.Corp, 3000, 1)
		b.Say(archivetest.Corp, 3300, 1)
		b.Say(archivetest.Corp, 9000, 1)
		n := 0
		b.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
			if b.Clock.Now().Sub(archivetest.Start) > 10*time.Minute {
				if n++; n%(36+chance) < 3 { // three in a row: one question with its retries
					return hangs
				}
			}
			if after < 3000 {
				return tooLarge
			}
			return nil
		}
		b.PullFor(4 * time.Hour)
		if got := gaps(b); !slices.Equal(got, []string{"(0,3000]"}) || b.Head().Last != 9000 {
			t.Errorf("chance %d: got gaps %v and head %d, want (0,3000] and 9000", chance, got, b.Head().Last)
		}
	}
}

func TestSearchStartsAgainPastTheLargestSeq(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 20)
	b.Library.OnChatData = func(_ string, after uint64, _ int) *archivetest.Answer {
		switch {
		case b.Clock.Now().Sub(archivetest.Start) < 2*time.Hour:
			return hangs
		case after > 1<<40:
			return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: 10000}}
		}
		return nil
	}
	b.PullFor(4 * time.Hour)
	if got := gaps(b); got != nil || b.Head().Last != 20 {
		t.Errorf("got gaps %v and head %d, want none and 20", got, b.Head().Last)
	}
}

func TestSearchGoesOnBehindASecondUnreadableRecord(t *testing.T) {
	for after := range 3 { // calls that are answered before it is there
		b := archivetest.NewFixture(t, &archivetest.Faults{})
		b.Say(archivetest.Corp, 1, 5)
		n := 0
		b.Library.OnChatData = func(c string, seq uint64, limit int) *archivetest.Answer {
			if seq == 5 {
				if n++; n <= after {
					return &archivetest.Answer{Bytes: archivetest.Page(c)}
				}
				if n == after+1 {
					b.Say(archivetest.Corp, 6, 10)
				}
			}
			if seq < 5 && seq+uint64(limit) >= 5 || seq == 5 && n > after {
				return tooLarge
			}
			return nil
		}
		b.PullFor(4 * time.Hour)
		if b.Head().Last != 15 {
			t.Errorf("%d answers: got gaps %v and head %d, want 15", after, gaps(b), b.Head().Last)
		}
	}
}

func TestNoGapAtAnExpiredHead(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 3)
	b.Must(b.Pull(archive.PullRequest{}))
	b.Clock.Advance(6 * 24 * time.Hour)
	b.Say(archivetest.Corp, 10, 3)
	broken := true
	b.Library.OnChatData = func(c string, after uint64, _ int) *archivetest.Answer {
		switch {
		case broken:
			return hangs
		case after == 0:
			return &archivetest.Answer{Bytes: archivetest.Page(c, archivetest.TextRecord(10, 1, "k1"))} // the oldest that is kept
		case after == 3:
			return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: 10010}}
		}
		return nil
	}
	b.PullFor(20 * time.Minute)
	broken = false
	b.PullFor(10 * time.Minute)
	if got := gaps(b); got != nil || b.Head().Last != 12 {
		t.Errorf("got gaps %v and head %d, want none and 12", got, b.Head().Last)
	}
}

func TestNoGapWhereTheLibraryAlwaysFails(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 20)
	calls := 0
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return hangs }
	b.PullFor(24 * time.Hour)
	if rows := b.Rows(); len(rows) != 0 {
		t.Errorf("got rows %v, want none", rows)
	}
	if s := b.State(); s.Trouble == nil || s.Trouble.Cause != archive.CauseLibraryCrash {
		t.Errorf("got trouble %+v, want library_crash", s.Trouble)
	}
	if perMinute := calls / (24 * 60); perMinute > 60 {
		t.Errorf("got %d calls a minute, want it to be left alone now and then", perMinute)
	}
	b.Library.OnChatData = nil
	b.PullFor(time.Hour)
	if got := gaps(b); got != nil || b.Head().Last != 20 {
		t.Errorf("works again: got gaps %v and head %d, want none and 20", got, b.Head().Last)
	}
}

func TestGapEvidenceCountsTheCalls(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 10)
	alone := 0
	b.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
		if after < 5 && after+uint64(limit) >= 5 {
			if after == 4 && limit == 1 {
				alone++
			}
			return tooLarge
		}
		return nil
	}
	b.PullFor(time.Hour)
	for _, r := range b.Rows() {
		if r.Kind == archive.GapRow && (alone < 6 || !strings.HasPrefix(r.Evidence, fmt.Sprintf("%d calls at limit 1 failed", alone))) {
			t.Errorf("got evidence %q after %d calls", r.Evidence, alone)
		}
	}
}

// A secret that WeCom refused on the open way is not shown on the trusted way for six
// hours, also if a person asks. A newly saved secret is shown at once.
func TestPullHeldByTheOpenWay(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 1)
	calls := 0
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
	refused := func(setAt time.Time) {
		t.Helper()
		b.Must(b.Corps.NoteOpen(t.Context(), archivetest.Corp, setAt, archive.OpenAnswer{RefusedAt: b.Clock.Now(), Cause: archive.CauseSecret, Code: 40001}))
	}
	refused(archivetest.SecretSet)
	for _, wait := range []time.Duration{0, archive.OpenHold - time.Second} {
		b.Clock.Advance(wait)
		b.Must(b.Pull(archive.PullRequest{Force: true}))
		if calls != 0 || b.Head().Last != 0 || b.Refusals(time.Time{}) != 0 {
			t.Fatalf("after %v: got %d calls, head %d, %d refusals; want none", wait, calls, b.Head().Last, b.Refusals(time.Time{}))
		}
	}
	b.Clock.Advance(time.Second)
	b.Must(b.Pull(archive.PullRequest{}))
	if b.Head().Last != 1 {
		t.Errorf("after the hold: got head %d, want 1", b.Head().Last)
	}
	refused(archivetest.SecretSet)
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "secr", b.Clock.Now()))
	b.Say(archivetest.Corp, 2, 1)
	b.Must(b.Pull(archive.PullRequest{Force: true}))
	if b.Head().Last != 2 {
		t.Errorf("saved again: got head %d, want 2", b.Head().Last)
	}
}

// A corp that used up its share, and then saved a secret that WeCom accepts on the
// open way, is pulled at once: also if the first pull finds no network, and if the
// pull that the save requested is lost. A pause after an answer on the trusted way
// stays.
func TestAcceptedSecretIsNotHeld(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 1)
	until := b.Clock.Now().Add(20 * time.Hour)
	b.Must(b.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp,
		Standing: archive.Standing{SecretSetAt: archivetest.SecretSet.Add(-time.Hour), NotBefore: until, HeldUntil: until}}))
	b.Must(b.Pull(archive.PullRequest{}))
	if b.Head().Last != 0 {
		t.Fatalf("not accepted: got head %d, want no pull", b.Head().Last)
	}
	b.Must(b.Corps.NoteOpen(t.Context(), archivetest.Corp, archivetest.SecretSet, archive.OpenAnswer{OKAt: b.Clock.Now()}))
	fail := func(code int) {
		t.Helper()
		b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
			return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: code}}
		}
		b.Must(b.Pull(archive.PullRequest{}))
		b.Clock.Advance(time.Minute)
		b.Library.OnChatData = nil
	}
	fail(10001) // no network
	if s := b.State(); s.Trouble == nil || s.Trouble.Cause != archive.CauseNetwork || !s.NotBefore.IsZero() || !s.HeldUntil.IsZero() {
		t.Errorf("no network: got %+v, want the pull to have reached WeCom, and no pause", s.Standing)
	}
	fail(301052) // the licence has expired
	b.Must(b.Pull(archive.PullRequest{}))
	if b.Head().Last != 0 {
		t.Errorf("in the pause after an expired licence: got head %d, want no pull", b.Head().Last)
	}
	b.Clock.Advance(archive.PauseLong)
	b.Must(b.Pull(archive.PullRequest{}))
	if b.Head().Last != 1 {
		t.Errorf("got head %d, want 1", b.Head().Last)
	}
}

// Law 8: the pauses grow; a person can ask within them, within the share.
func TestPullSparesRefusedSecrets(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 1)
	b.Library.SetSecret(archivetest.Corp, secret.New("another"))
	calls := 0
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
	for i, want := range []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 6 * time.Hour} {
		b.Must(b.Pull(archive.PullRequest{}))
		if pause := b.State().NotBefore.Sub(b.Clock.Now()); pause != want || calls != i+1 {
			t.Fatalf("refusal %d: got pause %v after %d calls, want %v after %d", i+1, pause, calls, want, i+1)
		}
		b.Clock.Advance(want - time.Second)
		b.Must(b.Pull(archive.PullRequest{}))
		if calls != i+1 {
			t.Fatalf("refusal %d: called again within the pause", i+1)
		}
		b.Clock.Advance(time.Second)
	}
	calls = 0
	b.Clock.Advance(-time.Hour) // within the pause
	b.Must(b.Pull(archive.PullRequest{Force: true}))
	if calls != 1 {
		t.Errorf("a person asked: got %d calls, want 1", calls)
	}
	b.Must(b.Pull(archive.PullRequest{Force: true}))
	if calls != 1 || b.State().Trouble.Cause != archive.CauseSecret {
		t.Errorf("share used up: got %d calls more and trouble %+v, want none and secret_refused", calls-1, b.State().Trouble)
	}
	b.Clock.Advance(24 * time.Hour)
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "anot", b.Clock.Now()))
	b.Secrets.Put(archivetest.Corp, secret.New("another"))
	b.Must(b.Pull(archive.PullRequest{}))
	if b.Head().Last != 1 || b.State().Refusals != 0 {
		t.Errorf("changed secret: got head %d, %d refusals; want 1, 0", b.Head().Last, b.State().Refusals)
	}
}

// noting notes when the secrets that a puller asks for were saved.
type noting struct {
	archive.SecretReader
	setAt []time.Time
}

func (n *noting) ArchiveSecret(ctx context.Context, corp string, setAt time.Time) (secret.Value, error) {
	n.setAt = append(n.setAt, setAt)
	return n.SecretReader.ArchiveSecret(ctx, corp, setAt)
}

// The puller says when the secret was saved, so that the secret store can answer
// from memory.
func TestPullNamesTheSecretThatItReads(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	n := &noting{SecretReader: b.Puller.Secrets}
	b.Puller.Secrets = n
	saved := b.Clock.Now().Add(time.Minute)
	b.Must(b.Pull(archive.PullRequest{}))
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "anot", saved))
	b.Must(b.Pull(archive.PullRequest{}))
	if len(n.setAt) != 2 || n.setAt[0].Equal(saved) || !n.setAt[1].Equal(saved) {
		t.Errorf("got %v, want the second to be %v", n.setAt, saved)
	}
}

// A changed secret is tried at once, while the corp has a share left.
func TestPullTriesAChangedSecretAtOnce(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 1)
	b.Library.SetSecret(archivetest.Corp, secret.New("another"))
	b.Must(b.Pull(archive.PullRequest{}))
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "anot", b.Clock.Now()))
	b.Secrets.Put(archivetest.Corp, secret.New("another"))
	b.Must(b.Pull(archive.PullRequest{}))
	if b.Head().Last != 1 || b.State().Refusals != 0 {
		t.Errorf("changed secret: got head %d, %d refusals; want 1, 0", b.Head().Last, b.State().Refusals)
	}
}

// Nothing that a corp saves or forces gives it a third refusal within an hour.
func TestPullKeepsTheShareOfACorp(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Library.SetSecret(archivetest.Corp, secret.New("another"))
	calls := 0
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
	for range 10 {
		b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "wron", b.Clock.Now().Add(-2*time.Minute)))
		b.Must(b.Pull(archive.PullRequest{Force: true}))
		b.Clock.Advance(5 * time.Minute)
	}
	if s := b.State(); calls != 2 || s.Trouble == nil || s.Trouble.Cause != archive.CauseShare || s.Trouble.Cause.Step() != 2 {
		t.Errorf("got %d calls, trouble %+v; want 2 and refusal_share", calls, s.Trouble)
	}
	if until := b.State().NotBefore; !until.Equal(archivetest.Start.Add(time.Hour)) {
		t.Errorf("got the next try at %v, want it an hour after the first refusal", until)
	}
}

// The secret store may show the previous secret for some seconds: a refusal then
// says nothing about the new one, which is shown again after a minute.
func TestPullIsPatientWithAFreshSecret(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 1)
	b.Library.SetSecret(archivetest.Corp, secret.New("another"))
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "anot", b.Clock.Now()))
	b.Must(b.Pull(archive.PullRequest{Force: true}))
	s := b.State()
	if s.Trouble == nil || s.Trouble.Cause != archive.CauseSecret || s.Refusals != 0 || s.NotBefore.Sub(b.Clock.Now()) != time.Minute {
		t.Errorf("got state %+v, want it refused and shown again when the minute is over", s)
	}
	if n := b.Refusals(archivetest.Start); n != 1 {
		t.Errorf("got %d refusals of our address; want 1", n)
	}
	b.Clock.Advance(time.Minute)
	b.Secrets.Put(archivetest.Corp, secret.New("another"))
	b.Must(b.Pull(archive.PullRequest{}))
	if s := b.State(); b.Head().Last != 1 || s.Trouble != nil {
		t.Errorf("got head %d, trouble %+v; want 1 and none", b.Head().Last, s.Trouble)
	}
}

// While a pull waits, callbacks send nothing. Those that come while it runs bring
// about one more pull: it may have read before them.
func TestFloodIsFewPulls(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	pulls := archive.NewWantedPulls(b.Marks, b.Pulls, b.Clock.Now)
	flood := func() {
		for range 100 {
			b.Must(pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: "callback"}))
		}
	}
	depth := func(when string, want int) {
		t.Helper()
		if got, err := b.Pulls.Depth(t.Context()); err != nil || got != want {
			t.Errorf("%s: got %d requests, %v; want %d", when, got, err, want)
		}
	}
	flood()
	depth("before the pull", 1)
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { flood(); return nil }
	req := b.Pulls.Waiting()[0]
	b.Must(b.Pull(req))
	depth("after the pull", 2) // the queue still has the request of the pull that is done
	req.Again = true
	b.Must(b.Pull(req))
	depth("after the pull was delivered again", 2)
	b.Pulls.Take()
	flood()
	depth("after the next pull", 1)
}

// A person's request joins a waiting one, and the pull then passes over a pause.
func TestForceJoinsAWaitingPull(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	s := b.State()
	s.Standing = archivetest.Accepted()
	s.NotBefore = b.Clock.Now().Add(time.Hour)
	b.Must(b.Ledger.SavePullState(t.Context(), s))
	pulls := archive.NewWantedPulls(b.Marks, b.Pulls, b.Clock.Now)
	timer := archive.PullRequest{Corp: archivetest.Corp, Why: "timer"}
	b.Must(pulls.RequestPulls(t.Context(), timer, archive.PullRequest{Corp: archivetest.Corp, Why: "asked", Force: true}))
	calls := 0
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
	b.Must(b.Pull(b.Pulls.Waiting()[0]))
	if calls != 1 {
		t.Errorf("got %d calls, want one in spite of the pause", calls)
	}
}

// Whatever call of a pull fails, a person's request that joined it is not lost: the
// pull that SQS delivers again passes over the pause too. (After a crash nothing can
// be given back.)
func TestFailedPullGivesBackWhatJoinedIt(t *testing.T) {
	for _, outcome := range []archivetest.Outcome{archivetest.FailsBefore, archivetest.FailsAfter} {
		for n, failed := 1, true; failed; n++ {
			failed = false
			t.Run(fmt.Sprint(n, " ", outcome), func(t *testing.T) {
				f := &archivetest.Faults{}
				b := archivetest.NewFixture(t, f)
				s := b.State()
				s.Standing = archivetest.Accepted()
				s.NotBefore = b.Clock.Now().Add(time.Hour)
				b.Must(b.Ledger.SavePullState(t.Context(), s))
				pulls := archive.NewWantedPulls(b.Marks, b.Pulls, b.Clock.Now)
				b.Must(pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: "timer"},
					archive.PullRequest{Corp: archivetest.Corp, Why: "asked", Force: true}))
				calls := 0
				b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
				req := b.Pulls.Waiting()[0]
				f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
					if failed = c.N >= n; c.N == n {
						return outcome, nil
					}
					return archivetest.Works, nil
				})
				err := b.Pull(req)
				f.Disarm()
				if err != nil {
					req.Again = true
					b.Must(b.Pull(req))
				}
				if calls == 0 {
					t.Error("got no call, want one in spite of the pause")
				}
			})
		}
	}
}

// WeCom answers 45009 to calls that are too frequent, and to an address that
// showed too many refused secrets. The second needs the longer pause (law 8).
func TestPullTellsABanFromAPace(t *testing.T) {
	for name, c := range map[string]struct {
		ago   time.Duration // of a refusal, of another corp
		cause archive.Cause
		pause time.Duration
	}{
		"a refusal within the hour": {59 * time.Minute, archive.CauseBudget, 10 * time.Minute},
		"one before":                {61 * time.Minute, archive.CauseRate, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := archivetest.NewFixture(t, &archivetest.Faults{})
			b.Must(b.Pull(archive.PullRequest{})) // this secret is known to work
			b.Refuse("wwother00000000000", b.Clock.Now().Add(-c.ago))
			b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
				return &archivetest.Answer{Bytes: archivetest.Refused(45009, "api freq out of limit")}
			}
			b.Must(b.Pull(archive.PullRequest{}))
			s := b.State()
			if pause := s.NotBefore.Sub(b.Clock.Now()); s.Trouble == nil || s.Trouble.Cause != c.cause || pause != c.pause {
				t.Errorf("got trouble %+v and a pause of %v, want %s and %v", s.Trouble, pause, c.cause, c.pause)
			}
		})
	}
}

func TestAddressHasOneBudgetOfRefusals(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Must(b.Pull(archive.PullRequest{})) // this secret is known to work
	for range archive.RefusalBudget {
		b.Refuse("wwother00000000000", b.Clock.Now())
		b.Clock.Advance(time.Millisecond)
	}
	const newcomer = "wwnewcomer0000000"
	b.Register(newcomer)
	b.Say(newcomer, 1, 1)
	b.Say(archivetest.Corp, 1, 1)
	pull := func(id string) {
		b.Must(b.Puller.Pull(t.Context(), archive.PullRequest{Corp: id, Force: true}))
	}
	pull(newcomer)
	s, err := b.Ledger.PullState(t.Context(), newcomer)
	b.Must(err)
	if s.Trouble == nil || s.Trouble.Cause != archive.CauseBudget || !s.LastCallAt.IsZero() {
		t.Errorf("got state %+v, want no call and address_budget", s)
	}
	pull(archivetest.Corp)
	if b.Head().Last != 1 {
		t.Error("a corp whose secret works was held up by others")
	}
	b.Clock.Advance(time.Hour + time.Second)
	pull(newcomer)
	if h, err := b.Ledger.Head(t.Context(), newcomer); err != nil || h.Last != 1 {
		t.Errorf("an hour later: got head %d, %v; want 1", h.Last, err)
	}
}

func TestPullObeysRate(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	var calls []time.Time
	b.Library.OnChatData = func(c string, after uint64, _ int) *archivetest.Answer {
		calls = append(calls, b.Clock.Now())
		if after < 2000 {
			return &archivetest.Answer{Bytes: archivetest.Page(c, archivetest.TextRecord(after+1, 1, "k1"))}
		}
		return nil
	}
	for range 3 {
		b.Must(b.Pull(archive.PullRequest{}))
	}
	for i := 600; i < len(calls); i++ {
		if d := calls[i].Sub(calls[i-600]); d < time.Minute {
			t.Fatalf("601 calls within %v", d)
		}
	}
	if len(calls) < 2000 {
		t.Fatalf("got %d calls, want over 2000", len(calls))
	}
}

func TestPullStopsBeforeItsDeadline(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 5000)
	b.Clock.Set(time.Now())
	ctx, cancel := context.WithDeadline(t.Context(), b.Clock.Now().Add(60*time.Second))
	defer cancel()
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer { b.Clock.Advance(6 * time.Second); return nil }
	b.Must(b.Puller.Pull(ctx, archive.PullRequest{Corp: archivetest.Corp, Force: true}))
	if got := b.Pulls.Take(); len(got) != 1 || got[0].Corp != archivetest.Corp || !got[0].Force {
		t.Fatalf("got requests %v, want one to go on", got)
	}
	if last := b.Head().Last; last == 0 || last == 5000 {
		t.Errorf("got head %d, want some pages and not all", last)
	}
}

func TestTwoPullersAtOnce(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 3)
	once := false
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
		if !once { // while the first waits for its answer, a second does all the work
			once = true
			b.Must(b.Pull(archive.PullRequest{}))
			b.Say(archivetest.Corp, 4, 2)
		}
		return nil
	}
	b.Must(b.Pull(archive.PullRequest{}))
	b.Check()
	if rows := b.Rows(); len(rows) != 2 || rows[0].Last != 3 || rows[1].Last != 5 {
		t.Errorf("got rows %+v, want (0,3] and (3,5]", rows)
	}
}

// A process whose clock is behind writes no row before the last one. It does not
// follow a clock that was wrong.
func TestRowsAreInTheOrderOfTheirTimes(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	for i, behind := range []time.Duration{0, time.Minute, 0, time.Hour} {
		b.Say(archivetest.Corp, uint64(i)+1, 1)
		b.Clock.Advance(-behind)
		b.Must(b.Pull(archive.PullRequest{}))
		b.Clock.Advance(behind)
	}
	b.Check()
	want := []time.Duration{0, 0, 0, -time.Hour}
	for i, r := range b.Rows() {
		if got := r.At.Sub(b.Rows()[0].At).Round(time.Minute); got != want[i] {
			t.Errorf("row %d: got a time %v after that of the first row, want %v", i, got, want[i])
		}
	}
}

// The pulls of the timer save the state of a quiet corp every five minutes. Whatever
// changes is saved at once, and so is what a person asked for.
func TestQuietPullsSaveTheirStateSeldom(t *testing.T) {
	f := &archivetest.Faults{}
	b := archivetest.NewFixture(t, f)
	saves := 0
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == "Ledger.SavePullState" {
			saves++
		}
		return archivetest.Works, nil
	})
	saved := func(req archive.PullRequest) bool {
		t.Helper()
		saves = 0
		b.Clock.Advance(time.Minute)
		b.Must(b.Pull(req))
		return saves > 0
	}
	timer := archive.PullRequest{Why: archive.Timer}
	if !saved(timer) {
		t.Error("first pull: got nothing saved")
	}
	kept := 0
	for range 20 {
		if saved(timer) {
			kept++
		}
		if age := b.Clock.Now().Sub(b.State().LastEmptyAt); age >= 5*time.Minute {
			t.Errorf("state of a quiet corp: got an age of %v, want less than 5 minutes", age)
		}
	}
	if kept != 4 {
		t.Errorf("20 quiet minutes: got %d states saved, want 4", kept)
	}
	if !saved(archive.PullRequest{Why: "asked"}) || !saved(archive.PullRequest{Why: archive.Timer, Force: true}) {
		t.Error("pull that a person asked for: got nothing saved")
	}
	b.Say(archivetest.Corp, 1, 1)
	if !saved(timer) {
		t.Error("message: got nothing saved")
	}
	b.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
		return &archivetest.Answer{Bytes: []byte(`{"errcode":40001}`)}
	}
	if !saved(timer) || b.State().Trouble == nil {
		t.Error("trouble: got nothing saved")
	}
	b.Library.OnChatData = nil
	b.Clock.Advance(7 * time.Hour)
	if !saved(timer) || b.State().Trouble != nil {
		t.Error("end of the trouble: got nothing saved")
	}
}

func TestPullIgnoresWhatIsNotToBePulled(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 1)
	b.Must(b.Puller.Pull(t.Context(), archive.PullRequest{Corp: "wwunknown000000000"}))
	b.Must(b.Corps.SetEnabled(t.Context(), archivetest.Corp, false, "admin", "", archivetest.Start))
	b.Must(b.Pull(archive.PullRequest{Force: true}))
	if b.Head().Last != 0 {
		t.Error("a corp that is switched off was pulled")
	}
	b.Must(b.Corps.SetEnabled(t.Context(), archivetest.Corp, true, "admin", "", archivetest.Start))
	b.Secrets.Put(archivetest.Corp, secret.Value{})
	noSecret := *b.Puller
	noSecret.Secrets = archivetest.NewSecrets(&archivetest.Faults{})
	b.Must(noSecret.Pull(t.Context(), archive.PullRequest{Corp: archivetest.Corp}))
	if s := b.State(); s.Trouble == nil || s.Trouble.Cause != archive.CauseSecretMissing || s.Trouble.Cause.Step() != 2 {
		t.Errorf("got trouble %+v, want secret_missing, step 2", s.Trouble)
	}
}

// Law 9: after 120 hours without an empty page a loss is recorded permanently.
func TestLateCatchUpRecordsTheLoss(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Must(b.Pull(archive.PullRequest{}))
	caughtUp := b.Clock.Now()
	b.Clock.Advance(archive.Retention + time.Hour)
	b.Must(b.Pull(archive.PullRequest{}))
	losses, err := b.Ledger.Losses(t.Context(), archivetest.Corp)
	b.Must(err)
	if len(losses) != 1 || !losses[0].Since.Equal(caughtUp) || !losses[0].At.Equal(caughtUp.Add(archive.Retention)) {
		t.Errorf("got losses %+v, want one since %v", losses, caughtUp)
	}
}

// Behind an expired head, the records that WeCom still keeps are taken in.
func TestPullGoesOnAfterAnExpiredHead(t *testing.T) {
	b := archivetest.NewFixture(t, &archivetest.Faults{})
	b.Say(archivetest.Corp, 1, 3)
	b.Must(b.Pull(archive.PullRequest{}))
	b.Say(archivetest.Corp, 10, 3)
	b.Library.Forget(archivetest.Corp, 9)
	b.Library.OnChatData = func(_ string, after uint64, _ int) *archivetest.Answer {
		if after == 3 {
			return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: 10010}}
		}
		return nil
	}
	b.Must(b.Pull(archive.PullRequest{}))
	b.Check()
	if b.Head().Last != 12 {
		t.Errorf("got head %d, want 12", b.Head().Last)
	}
}

func TestParseAnswer(t *testing.T) {
	a, err := archive.ParseAnswer([]byte(`{"errcode":"0","chatdata":[{"seq":"18446744073709551615","msgid":"m/+=","publickey_ver":"7","encrypt_random_key":"k","encrypt_chat_msg":"c"},{"seq":-1,"msgid":5},null]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []archive.Record{{Seq: 1<<64 - 1, MsgID: "m/+=", KeyVersion: 7, RandomKey: "k", Message: "c"}, {}, {}}
	if a.ErrCode != 0 || !slices.Equal(a.Records, want) {
		t.Errorf("got %+v, want %+v", a, want)
	}
	if _, err := archive.ParseAnswer([]byte(`{"errcode":0,"chatdata":["geheim"`)); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("got error %v, want one that quotes nothing", err)
	}
	var unused *archive.SDKError
	if errors.As(err, &unused) {
		t.Error("a broken answer is no code of the library")
	}
}
