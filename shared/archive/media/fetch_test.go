package media_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// The end is the same, whichever call fails and wherever the process crashes.
func TestFetchSurvivesEveryFault(t *testing.T) {
	body := content(part + chunk + 1)
	sum := md5Of(body) // once: the digest is most of the test's time
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		b := newFixture(t, f)
		large, small := b.fileWithout("large"), b.file("small", body[:10])
		large.MD5, large.Size = sum, int64(len(body))
		b.Library.PutFile(archivetest.Corp, large.SDKFileID, body)
		differs := b.fileWithout("differs")
		differs.MD5 = md5Of([]byte("other bytes"))
		b.Library.PutFile(archivetest.Corp, differs.SDKFileID, body[:20])
		arm()
		for range 2 {
			if _, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{large, small, differs}, false); err == nil {
				_ = b.fetch(t.Context())
			}
			f.Disarm()
			b.Clock.Advance(7 * time.Hour)
		}
		b.want(large, media.Stored, "", body)
		b.want(small, media.Stored, "", body[:10])
		b.want(differs, media.Mismatch, media.ReasonMD5, body[:20])
		if backlog := b.backlog(); backlog.Waiting != 0 || backlog.Problems[media.Mismatch] != 1 || len(backlog.Problems) != 1 {
			t.Errorf("got %+v, want one mismatch listed", backlog)
		}
	})
}

// A store that fails with one file does not delay the others. A store that fails
// with every file ends the pass.
func TestFailingStoreDelaysOnlyItsFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures int
		stored   int
	}{{"with one file", 1, 5}, {"with every file", 6, 0}} {
		t.Run(c.name, func(t *testing.T) {
			f := &archivetest.Faults{}
			b := newFixture(t, f)
			files := b.sixFiles()
			n := 0
			f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
				if call.Name != "Objects.PutFile" {
					return archivetest.Works, nil
				}
				if n++; n > c.failures {
					return archivetest.Works, nil
				}
				return archivetest.FailsBefore, nil
			})
			if err := b.fetch(t.Context()); !errors.Is(err, archivetest.ErrInjected) {
				t.Errorf("got %v, want the injected fault", err)
			}
			f.Disarm()
			if stored := b.countStored(files); stored != c.stored || n > 6 {
				t.Errorf("got %d stored in %d tries, want %d", stored, n, c.stored)
			}
			b.Must(b.fetch(t.Context()))
			for _, file := range files {
				b.want(file, media.Stored, "", []byte("x"))
			}
		})
	}
}

func (b *fixture) countStored(files []media.File) (n int) {
	for _, f := range files {
		if b.row(f).State == media.Stored {
			n++
		}
	}
	return n
}

// A crash after the row was saved leaves the file listed as due. The pause on the
// row holds all the same.
func TestPauseHoldsWhereTheListIsStale(t *testing.T) {
	f := &archivetest.Faults{}
	b := newFixture(t, f)
	file := b.file("f", []byte("x"))
	b.register(file)
	b.failsWith(codeError(10006))
	f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
		if call.Name == "Files.ListFile" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := b.fetch(t.Context()); !errors.Is(err, archivetest.ErrInjected) {
		t.Fatalf("got %v, want the injected fault", err)
	}
	f.Disarm()
	b.answers(func(string, media.Chunk, error) (media.Chunk, error) {
		t.Error("WeCom was asked during the pause")
		return media.Chunk{}, codeError(10006)
	})
	b.Must(b.fetch(t.Context()))
	if due, err := b.Files.DueFiles(t.Context(), archivetest.Corp, 0, b.Clock.Now(), 9); err != nil || len(due) != 0 {
		t.Errorf("got %v due, %v; want the list corrected", due, err)
	}
	b.Library.OnMediaChunk = nil
	b.Clock.Advance(time.Minute)
	b.Must(b.fetch(t.Context()))
	b.want(file, media.Stored, "", []byte("x"))
}

// A failed chunk is not tried again when the pass has no time for another
// chunk.
func TestNoSecondTryWithoutTime(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	b.register(f)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	deadline, _ := ctx.Deadline()
	calls := 0
	b.fetcher.Now = func() time.Time {
		if calls > 0 {
			return deadline.Add(-time.Second)
		}
		return b.Clock.Now()
	}
	b.answers(func(string, media.Chunk, error) (media.Chunk, error) {
		calls++
		return media.Chunk{}, codeError(10001)
	})
	b.Must(b.fetch(ctx))
	if row := b.row(f); calls != 1 || row.Tries != 1 || row.Reason != "sdk_10001" {
		t.Errorf("got %d calls, %d tries and %q, want one call and one try", calls, row.Tries, row.Reason)
	}
}

// failure is what WeCom or its library does to a file.
type failure struct {
	name   string
	times  int // how many answers fail; all if zero
	answer func(index string, c media.Chunk) (media.Chunk, error)
	state  media.State // after one pass
	reason string
	passes int // until the file is settled, with the pauses between
	end    media.State
}

// The pauses are a minute, 5, 15, an hour, and then 6 hours: so many passes go
// until a day after the deadline, and one more then.
const passesToGiveUp = 29

const secondChunk = "Range:bytes=524288-1048575"

func failures() []failure {
	code := func(n int) func(string, media.Chunk) (media.Chunk, error) {
		return func(string, media.Chunk) (media.Chunk, error) { return media.Chunk{}, codeError(n) }
	}
	crash := func(how archive.CrashKind) func(string, media.Chunk) (media.Chunk, error) {
		return func(string, media.Chunk) (media.Chunk, error) {
			return media.Chunk{}, &archive.CrashError{Op: "GetMediaData", How: how}
		}
	}
	onSecond := func(change func(*media.Chunk)) func(string, media.Chunk) (media.Chunk, error) {
		return func(index string, c media.Chunk) (media.Chunk, error) {
			if index == secondChunk {
				change(&c)
			}
			return c, nil
		}
	}
	return []failure{
		{"a chunk fails once", 1, code(10002), media.Stored, "", 1, media.Stored},
		{"a chunk fails twice", 2, code(10001), media.Stored, "", 1, media.Stored},
		{"a pass fails", 3, code(10003), media.Waiting, "sdk_10003", 2, media.Stored},
		{"the network fails for two days", 3 * 12, code(10001), media.Waiting, "sdk_10001", 13, media.Stored},
		{"the network fails permanently", 0, code(10001), media.Waiting, "sdk_10001", passesToGiveUp + 1, media.Expired},
		{"decryption fails permanently", 0, code(10006), media.Waiting, "sdk_10006", passesToGiveUp, media.Failed},
		{"an unknown code once", 1, code(10042), media.Waiting, "sdk_10042", 2, media.Stored},
		{"expired", 0, code(10010), media.Expired, media.ReasonDeleted, 1, media.Expired},
		{"expired by HTTP", 0, code(301048), media.Expired, media.ReasonDeleted, 1, media.Expired},
		{"another corp's sdkfileid", 0, code(10005), media.Waiting, media.ReasonBadFileID, passesToGiveUp, media.Failed},
		{"another corp's sdkfileid for a day", 8, code(10005), media.Waiting, media.ReasonBadFileID, 9, media.Stored},
		{"no index once", 1, func(_ string, c media.Chunk) (media.Chunk, error) { c.Next = ""; return c, nil },
			media.Stored, "", 1, media.Stored},
		{"no index permanently", 0, onSecond(func(c *media.Chunk) { c.Next = "" }), media.Waiting, media.ReasonNoIndex, passesToGiveUp, media.Failed},
		{"the same index again", 0, onSecond(func(c *media.Chunk) { c.Next = secondChunk }), media.Waiting, media.ReasonRepeats, passesToGiveUp, media.Failed},
		{"back to the first byte", 0, onSecond(func(c *media.Chunk) { c.Next = "Range:bytes=0-524287" }), media.Waiting, media.ReasonRepeats, passesToGiveUp, media.Failed},
		{"two indexes in turn", 0, func(index string, c media.Chunk) (media.Chunk, error) {
			c.Next, c.Finished = "A", false
			if index == "A" {
				c.Next = "B"
			}
			return c, nil
		}, media.Waiting, media.ReasonRepeats, passesToGiveUp, media.Failed},
		{"a chunk beyond its size", 0, onSecond(func(c *media.Chunk) { c.Data = append(c.Data, 0) }), media.Waiting, media.ReasonTooLarge, passesToGiveUp, media.Failed},
		{"an index that WeCom refuses", 0, func(_ string, c media.Chunk) (media.Chunk, error) {
			return media.Chunk{Data: c.Data, Next: "anything"}, nil
		}, media.Waiting, "sdk_10000", passesToGiveUp, media.Failed},
		{"the library crashes once", 1, crash(archive.Crashed), media.Stored, "", 1, media.Stored},
		{"the library crashes twice", 2, crash(archive.Crashed), media.Waiting, media.ReasonCrashes, 2, media.Stored},
		{"the library crashes permanently", 0, crash(archive.Crashed), media.Waiting, media.ReasonCrashes, passesToGiveUp, media.Failed},
		{"the library answers nonsense", 2, crash(archive.Nonsense), media.Waiting, media.ReasonCrashes, 2, media.Stored},
		{"a chunk after a part fails permanently", 0, func(index string, c media.Chunk) (media.Chunk, error) {
			if strings.HasPrefix(index, "Range:bytes=5242880-") {
				return media.Chunk{}, codeError(10006)
			}
			return c, nil
		}, media.Waiting, "sdk_10006", passesToGiveUp, media.Failed},
		{"the library hangs once", 1, crash(archive.Hung), media.Waiting, media.ReasonHangs, 2, media.Stored},
		{"the library hangs permanently", 0, crash(archive.Hung), media.Waiting, media.ReasonHangs, passesToGiveUp, media.Failed},
	}
}

// on lets the failure happen to a file.
func (c failure) on(f media.File) func(corp, index, id string, chunk media.Chunk, err error) (media.Chunk, error) {
	n := 0
	return func(_, index, id string, got media.Chunk, err error) (media.Chunk, error) {
		if index == "A" || index == "B" {
			got, err = media.Chunk{Data: make([]byte, chunk)}, nil
		}
		if id != f.SDKFileID || err != nil {
			return got, err
		}
		if n++; c.times > 0 && n > c.times {
			return got, nil
		}
		return c.answer(index, got)
	}
}

// A failure costs its file tries and pauses, and the next file nothing.
func TestFailuresOfAFile(t *testing.T) {
	body := content(part + 2*chunk)
	for _, c := range failures() {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f, other := b.file("f", body), b.file("other", body[:9])
			other.Deadline = other.Deadline.Add(time.Hour) // it comes second
			b.register(f, other)
			b.Library.OnMediaChunk = c.on(f)
			b.Must(b.fetch(t.Context()))
			if row := b.row(f); row.State != c.state || row.Reason != c.reason {
				t.Errorf("after one pass: got %s, %q; want %s, %q", row.State, row.Reason, c.state, c.reason)
			}
			b.want(other, media.Stored, "", body[:9])
			passes := 1 + b.fetchUntilSettled(f, b.fetch)
			if row := b.row(f); row.State != c.end || passes != c.passes {
				t.Errorf("got %s (%s) after %d passes, want %s after %d", row.State, row.Reason, passes, c.end, c.passes)
			}
			if c.end == media.Stored {
				b.want(f, media.Stored, "", body)
			} else {
				b.wantNoUploads()
			}
		})
	}
}

// The library is broken for two hours. No file is lost, and no pass costs more
// than one file a try.
func TestBrokenLibraryIsNotTheFilesTrouble(t *testing.T) {
	for _, how := range []archive.CrashKind{archive.Crashed, archive.Hung} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			files := b.sixFiles()
			fetched := make(map[string]bool)
			b.Library.OnMediaChunk = func(_, _, id string, _ media.Chunk, _ error) (media.Chunk, error) {
				fetched[id] = true
				return media.Chunk{}, &archive.CrashError{Op: "GetMediaData", How: how}
			}
			b.Must(b.fetch(t.Context()))
			tries := 0
			for _, f := range files {
				tries += b.row(f).Tries
			}
			if len(fetched) != 2 || tries > 1 {
				t.Errorf("in one pass: got %d files fetched and %d tries, want 2 and one", len(fetched), tries)
			}
			for range 120 {
				b.Clock.Advance(time.Minute)
				b.Must(b.fetch(t.Context()))
			}
			b.Library.OnMediaChunk = nil
			b.Clock.Advance(6 * time.Hour)
			b.Must(b.fetch(t.Context()))
			for _, f := range files {
				b.want(f, media.Stored, "", []byte("x"))
			}
		})
	}
}

// While the corp has trouble, WeCom is not asked, and no file loses a try.
func TestBlockedCorpAsksWeComNothing(t *testing.T) {
	for _, cause := range []archive.Cause{
		archive.CauseTrustedIP, archive.CauseSecret, archive.CauseExpired, archive.CauseNetwork, archive.CauseBudget,
	} {
		t.Run(string(cause), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", []byte("x"))
			b.register(f)
			b.trouble(cause)
			b.answers(func(string, media.Chunk, error) (media.Chunk, error) {
				t.Error("WeCom was asked")
				return media.Chunk{}, errors.New("not expected")
			})
			b.Must(b.fetch(t.Context()))
			if row := b.want(f, media.Waiting, "", nil); row.Tries != 0 {
				t.Errorf("got %d tries, want none", row.Tries)
			}
			b.Clock.Advance(archive.Retention + 25*time.Hour)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Expired, string(cause), nil)
		})
	}
}

// Law 8: a secret that did not work for pages is not shown for files.
func TestUnprovedSecretIsNotShown(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	b.register(f)
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "newe", archivetest.Start.Add(time.Minute)))
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Waiting, "", nil)
	b.Must(b.Ledger.SavePullState(t.Context(), archive.PullState{
		Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.Start.Add(time.Minute), OKAt: archivetest.Start},
	}))
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", []byte("x"))
}

func TestCorpTroubleEndsTheRound(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		cause    archive.Cause
		refusals int
	}{
		{"address", codeError(10009), archive.CauseTrustedIP, 0},
		{"address by HTTP", codeError(301042), archive.CauseTrustedIP, 0},
		{"certificates", codeError(10011), archive.CauseTLS, 0},
		{"licence", codeError(301052), archive.CauseExpired, 0},
		{"secret", codeError(40001), archive.CauseSecret, 1},
		{"secret at Init", &archive.SDKError{Op: "Init", Code: 10000}, archive.CauseSecret, 1},
		{"network at Init", &archive.SDKError{Op: "Init", Code: 10001}, archive.CauseNetwork, 0},
		{"crash at Init", &archive.CrashError{Op: "Init", How: archive.Crashed}, archive.CauseLibraryCrash, 0},
		{"no library", &archive.LibraryError{Why: archive.LibraryMissing}, archive.CauseLibraryMissing, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f, other := b.file("f", []byte("x")), b.file("other", []byte("y"))
			b.register(f, other)
			calls := 0
			b.answers(func(string, media.Chunk, error) (media.Chunk, error) {
				calls++
				return media.Chunk{}, c.err
			})
			b.Must(b.fetch(t.Context()))
			if calls != 1 {
				t.Errorf("WeCom was asked %d times, want once", calls)
			}
			tries := 0
			reasons := ""
			for _, f := range []media.File{f, other} {
				tries += b.row(f).Tries
				reasons += b.row(f).Reason
			}
			if tries != 0 || reasons != string(c.cause) {
				t.Errorf("got %d tries and reasons %q, want none and %q", tries, reasons, c.cause)
			}
			if n := b.Refusals(archivetest.Start); n != c.refusals {
				t.Errorf("got %d refusals counted, want %d", n, c.refusals)
			}
			if reqs := b.Media.Take(); len(reqs) != 0 {
				t.Errorf("got requests %v, want none", reqs)
			}
			b.Library.OnMediaChunk = nil
			b.Clock.Advance(5 * time.Minute)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Stored, "", []byte("x"))
			b.want(other, media.Stored, "", []byte("y"))
		})
	}
}

// A refused secret is not shown again in its pass, also if the refusal could
// not be counted (law 8).
func TestRefusalEndsTheRoundAlsoUncounted(t *testing.T) {
	f := &archivetest.Faults{}
	b := newFixture(t, f)
	b.sixFiles()
	calls := 0
	b.answers(func(string, media.Chunk, error) (media.Chunk, error) {
		calls++
		return media.Chunk{}, codeError(40001)
	})
	f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
		if call.Name == "Ledger.PutTry" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := b.fetch(t.Context()); !errors.Is(err, archivetest.ErrInjected) || calls != 1 {
		t.Errorf("got %v after %d calls, want the injected fault after one", err, calls)
	}
}

// A request is delivered twice. One fetcher loses every save, and no byte is
// wrong.
func TestTwoFetchersAtOnce(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(3*part + 5)
	f, small := b.file("f", body), b.file("small", body[:5])
	b.register(f, small)
	second := *b.fetcher
	library := archivetest.NewLibrary(t, &archivetest.Faults{})
	library.PutFile(archivetest.Corp, f.SDKFileID, body)
	library.PutFile(archivetest.Corp, small.SDKFileID, body[:5])
	second.Sources = library
	ran := false
	b.answers(func(index string, c media.Chunk, err error) (media.Chunk, error) {
		if !ran && strings.HasPrefix(index, "Range:bytes=6291456-") { // in the second part
			ran = true
			b.Must(second.Fetch(t.Context(), media.Request{Corp: archivetest.Corp}))
		}
		return c, err
	})
	b.Must(b.fetch(t.Context()))
	if !ran {
		t.Fatal("the second fetcher did not run")
	}
	b.want(f, media.Stored, "", body)
	b.want(small, media.Stored, "", body[:5])
}

// A file that was pulled late, or named again by a later message, is not given
// up before WeCom must have deleted it.
func TestBlockedFileIsGivenUpLate(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	f.Registered = archivetest.Start.Add(100 * time.Hour) // pulled late
	b.register(f)
	b.trouble(archive.CauseTrustedIP)
	b.Clock.Advance(archive.Retention + 25*time.Hour)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Waiting, "", nil)

	// Another message names the file while it waits.
	later := f
	later.Deadline, later.Registered = f.Deadline.Add(140*time.Hour), b.Clock.Now()
	b.register(later)
	b.Clock.Advance(archive.Retention + 23*time.Hour)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Waiting, "", nil)
	b.Clock.Advance(2 * time.Hour)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Expired, string(archive.CauseTrustedIP), nil)
}

// lateLists lets something happen between the save of a row and its lists.
type lateLists struct {
	media.Table
	before func(media.File)
}

func (l lateLists) ListFile(ctx context.Context, f media.File) error {
	l.before(f)
	return l.Table.ListFile(ctx, f)
}

// A replay comes between the row that gives a file up and its lists. The file
// stays listed as waiting; if it is stored by then, it leaves the list of
// problems.
func TestLateListsAreCorrected(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored %v", stored), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			b.fetcher.MaxSize = 1
			f := b.file("f", []byte("xyz"))
			b.register(f)
			late := *b.fetcher
			late.Files = lateLists{b.Files, func(row media.File) {
				if row.State == media.Failed && b.row(f).State == media.Failed {
					b.Must(b.replay(f))
					if b.fetcher.MaxSize = 100; stored {
						b.Must(b.fetch(t.Context()))
					}
				}
			}}
			b.Must(late.Fetch(t.Context(), media.Request{Corp: archivetest.Corp}))
			if backlog := b.backlog(); len(backlog.Problems) != 0 || (backlog.Waiting == 1) == stored {
				t.Errorf("got %+v, want no problem, and the file waiting unless it is stored", backlog)
			}
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Stored, "", []byte("xyz"))
		})
	}
}

// An unregistered corp, and a corp without a secret, are no errors.
func TestFetchWithoutACorpOrSecret(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	b.Must(b.fetcher.Fetch(t.Context(), media.Request{Corp: "ww9999999999999999"}))
	b.Must(b.Corps.CreateCorp(t.Context(), archive.Corp{ID: "ww8888888888888888"}))
	b.Must(b.fetcher.Fetch(t.Context(), media.Request{Corp: "ww8888888888888888"}))
}
