package media_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

const (
	chunk = 512 << 10
	part  = 5 << 20
)

// mediaBench is a bench whose corp has a secret that works, and a fetcher.
type fixture struct {
	*archivetest.Fixture
	fetcher *media.Fetcher
	asked   int // chunks, where a test counts them
}

func newFixture(t testing.TB, f *archivetest.Faults) *fixture {
	b := &fixture{Fixture: archivetest.NewFixture(t, f)}
	b.fetcher = &media.Fetcher{
		Corps: b.Corps, Secrets: b.Secrets, Ledger: b.Ledger, Gate: &archive.Gate{Log: b.Ledger, Now: b.Clock.Now}, Sources: b.Library, Files: b.Files, Objects: b.Objects,
		Queue: b.Media, MaxSize: media.MaxSize, Now: b.Clock.Now, Sleep: b.Clock.Sleep, Log: slog.New(slog.DiscardHandler),
	}
	b.trouble("")
	return b
}

// trouble is what the puller found last; empty for none.
func (b *fixture) trouble(c archive.Cause) {
	s := archive.PullState{Corp: archivetest.Corp, Standing: archivetest.Accepted()}
	if c != "" {
		s.Trouble = &archive.Trouble{Cause: c}
	}
	b.Must(b.Ledger.SavePullState(b.T.Context(), s))
}

// content is n bytes that differ from place to place.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// file is a file of lane 0 as a message would name it, which WeCom has.
func (b *fixture) file(name string, body []byte) media.File {
	f := b.fileWithout(name)
	f.MD5, f.Size = md5Of(body), int64(len(body))
	b.Library.PutFile(archivetest.Corp, f.SDKFileID, body)
	return f
}

// fileWithout is one that WeCom does not know, with no md5 and size.
func (b *fixture) fileWithout(name string) media.File {
	id := name
	for n := 0; media.Lane(media.ID(id)) != 0; n++ {
		id = fmt.Sprint(name, n)
	}
	return media.File{
		Corp: archivetest.Corp, ID: media.ID(id), SDKFileID: id, Kind: "image", Ext: "jpg", State: media.Waiting,
		From:     media.Use{Conversation: "room:r", Time: archivetest.Start, MsgID: "m1", Seq: 1},
		Deadline: media.Deadline(archivetest.Start, archivetest.Start), NotBefore: archivetest.Start,
	}
}

func (b *fixture) register(files ...media.File) {
	b.T.Helper()
	lanes, err := media.Register(b.T.Context(), b.Files, archivetest.Corp, files, false)
	b.Must(err)
	if len(lanes) != 1 || lanes[0] != 0 {
		b.T.Fatalf("got lanes %v, want 0 alone", lanes)
	}
}

func (b *fixture) fetch(ctx context.Context) error {
	return b.fetcher.Fetch(ctx, media.Request{Corp: archivetest.Corp})
}

func (b *fixture) row(f media.File) media.File {
	b.T.Helper()
	row, err := b.Files.File(b.T.Context(), archivetest.Corp, f.ID)
	b.Must(err)
	return row
}

// want checks a file's state, its object, and the lists.
func (b *fixture) want(f media.File, state media.State, reason string, body []byte) media.File {
	b.T.Helper()
	row := b.row(f)
	if row.State != state || row.Reason != reason {
		b.T.Errorf("got %s, %q; want %s, %q", row.State, row.Reason, state, reason)
	}
	object, ok := b.Objects.Object(archivetest.Corp, f.ID)
	if ok != (body != nil) || !bytes.Equal(object, body) {
		b.T.Errorf("got an object %v of %d bytes, want %v of %d, equal", ok, len(object), body != nil, len(body))
	}
	if row.Stored != nil {
		sum := strings.ToLower(f.MD5) // which is right if the file is stored
		if sum == "" || state != media.Stored {
			sum = md5Of(body)
		}
		if row.Stored.Size != int64(len(body)) || row.Stored.MD5 != sum {
			b.T.Errorf("got %+v on the row, want md5 %s", row.Stored, sum)
		}
	}
	due, err := b.Files.DueFiles(b.T.Context(), archivetest.Corp, 0, row.NotBefore, 100)
	b.Must(err)
	if slices.Contains(due, f.ID) != (state == media.Waiting) {
		b.T.Errorf("got %v listed as waiting with the file %s", due, state)
	}
	return row
}

func TestFilesOfEverySize(t *testing.T) {
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, part - 1, part, part + 1, 2 * part, 12_000_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			body := content(size)
			f := b.file("f", body)
			b.register(f)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Stored, "", body)
			if n := b.Objects.Uploads(); n != 0 {
				t.Errorf("got %d uploads left", n)
			}
		})
	}
}

// The same end, whatever fails and wherever the process ends.
func TestFetchSurvivesEveryFault(t *testing.T) {
	body := content(part + chunk + 1)
	sum := md5Of(body) // once: this is most of the test's time
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		b := newFixture(t, f)
		large, small := b.fileWithout("large"), b.file("small", body[:10])
		large.MD5, large.Size = sum, int64(len(body))
		b.Library.PutFile(archivetest.Corp, large.SDKFileID, body)
		lied := b.fileWithout("lied")
		lied.MD5 = md5Of([]byte("another"))
		b.Library.PutFile(archivetest.Corp, lied.SDKFileID, body[:20])
		arm()
		for range 2 {
			if _, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{large, small, lied}, false); err == nil {
				_ = b.fetch(t.Context())
			}
			f.Disarm()
			b.Clock.Advance(7 * time.Hour)
		}
		b.want(large, media.Stored, "", body)
		b.want(small, media.Stored, "", body[:10])
		b.want(lied, media.Mismatch, media.ReasonMD5, body[:20])
		backlog, err := b.Files.Backlog(t.Context(), archivetest.Corp, b.Clock.Now())
		b.Must(err)
		if backlog.Waiting != 0 || backlog.Problems[media.Mismatch] != 1 || len(backlog.Problems) != 1 {
			t.Errorf("got %+v, want one mismatch listed", backlog)
		}
	})
}

// An invocation for every part: each goes on where the one before said.
func TestResumeAtEveryPart(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(4*part + 3*chunk + 7)
	f := b.file("f", body)
	b.register(f)
	asked := map[string]int{}
	var spent time.Duration
	b.Library.OnMediaChunk = func(_, index, _ string, c media.Chunk, err error) (media.Chunk, error) {
		asked[index]++
		spent += 10 * time.Second
		b.Clock.Advance(10 * time.Second)
		return c, err
	}
	rounds := 0
	for ; b.row(f).State == media.Waiting; rounds++ {
		if rounds > 10 {
			t.Fatal("no end in sight")
		}
		// Room for eleven chunks: a part, and one that is fetched again.
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
		d, _ := ctx.Deadline()
		b.fetcher.Now = func() time.Time { return d.Add(-185*time.Second + spent) }
		spent = 0
		b.Must(b.fetch(ctx))
		cancel()
		if reqs := b.Media.Take(); (len(reqs) == 1) != (b.row(f).State == media.Waiting) {
			t.Fatalf("got requests %v with the file %s", reqs, b.row(f).State)
		}
	}
	b.want(f, media.Stored, "", body)
	for index, n := range asked {
		if n > 2 {
			t.Errorf("chunk %q was fetched %d times", index, n)
		}
	}
	if rounds < 4 {
		t.Errorf("got %d rounds, want one for each part", rounds)
	}
}

// A resume point that cannot be read costs the parts, not the file.
func TestUnreadableResumePoint(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(part + 5)
	f := b.file("f", body)
	b.register(f)
	upload, err := b.Objects.BeginUpload(t.Context(), archivetest.Corp, f.ID)
	b.Must(err)
	b.Must(b.Objects.UploadPart(t.Context(), archivetest.Corp, f.ID, upload, 1, body[:part]))
	row := b.row(f)
	row.Resume = &media.Resume{Upload: upload, Index: "Range:bytes=5242880-5242884", Parts: 1, Chunks: 10, Bytes: part, Digest: []byte("of another age")}
	_, err = b.Files.SaveFile(t.Context(), row)
	b.Must(err)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", body)
}

// A store that fails with one file holds up no other; one that fails with all
// ends the round.
func TestStoreThatFailsWithSomeFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures int
		stored   int
	}{{"one", 1, 5}, {"all", 6, 0}} {
		t.Run(c.name, func(t *testing.T) {
			f := &archivetest.Faults{}
			b := newFixture(t, f)
			var files []media.File
			for i := range 6 {
				files = append(files, b.file(fmt.Sprint("f", i, "-"), []byte("x")))
			}
			b.register(files...)
			n := 0
			f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
				if call.Name == "Objects.PutFile" {
					if n++; n <= c.failures {
						return archivetest.FailsBefore, nil
					}
				}
				return archivetest.Works, nil
			})
			if err := b.fetch(t.Context()); !errors.Is(err, archivetest.ErrInjected) {
				t.Errorf("got %v, want the failure said", err)
			}
			f.Disarm()
			stored := 0
			for _, file := range files {
				if b.row(file).State == media.Stored {
					stored++
				}
			}
			if stored != c.stored || n > 6 {
				t.Errorf("got %d stored in %d tries, want %d", stored, n, c.stored)
			}
			b.Must(b.fetch(t.Context()))
			for _, file := range files {
				b.want(file, media.Stored, "", []byte("x"))
			}
		})
	}
}

func TestLostUploadIsBegunAgain(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(2*part + 5)
	f := b.file("f", body)
	b.register(f)
	b.Library.OnMediaChunk = func(_, index, _ string, c media.Chunk, err error) (media.Chunk, error) {
		if strings.HasPrefix(index, "Range:bytes=5767168-") { // the second of the second part
			return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10001}
		}
		return c, err
	}
	b.Must(b.fetch(t.Context()))
	if row := b.want(f, media.Waiting, "sdk_10001", nil); row.Resume == nil || row.Resume.Bytes != part || row.Tries != 1 {
		t.Errorf("got %+v after a part", row)
	}
	b.Objects.Forget()
	b.Library.OnMediaChunk = nil
	b.Clock.Advance(time.Minute)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", body)
}

// The process ends between the object and the row, for good or for so long
// that WeCom has deleted the file.
func TestObjectWithoutItsRow(t *testing.T) {
	for _, size := range []int{10, 2*part + 5} {
		for _, c := range []struct {
			name  string
			after func(b *fixture)
		}{
			{"WeCom has it", func(*fixture) {}},
			{"WeCom has deleted it", func(b *fixture) {
				b.Library.OnMediaChunk = func(string, string, string, media.Chunk, error) (media.Chunk, error) {
					return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10010}
				}
			}},
			{"WeCom deletes it after the last chunk", func(b *fixture) {
				b.Library.OnMediaChunk = func(_, index, _ string, c media.Chunk, err error) (media.Chunk, error) {
					if index == "" {
						return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10010}
					}
					return c, err
				}
			}},
			{"the corp is held until nothing helps", func(b *fixture) {
				b.trouble(archive.CauseTrustedIP)
				b.Clock.Advance(20 * 24 * time.Hour)
			}},
		} {
			t.Run(fmt.Sprint(c.name, size), func(t *testing.T) {
				f := &archivetest.Faults{}
				b := newFixture(t, f)
				body := append([]byte("GIF89a"), content(size)...)
				file := b.file("f", body)
				file.MD5, file.Size = "", 0
				b.register(file)
				written := false
				f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
					written = written || call.Name == "Objects.PutFile" || call.Name == "Objects.CompleteUpload"
					if written && call.Name == "Files.SaveFile" {
						return archivetest.FailsBefore, nil
					}
					return archivetest.Works, nil
				})
				if err := b.fetch(t.Context()); !errors.Is(err, archivetest.ErrInjected) {
					t.Fatalf("got %v, want the failure said", err)
				}
				f.Disarm()
				c.after(b)
				b.Must(b.fetch(t.Context()))
				if row := b.want(file, media.Stored, "", body); row.Stored == nil || row.Stored.Type != media.GIF {
					t.Errorf("got %+v, want it to be a GIF", row.Stored)
				}
			})
		}
	}
}

func TestWhatWeComDoesToAFile(t *testing.T) {
	body := content(part + 2*chunk)
	const second = "Range:bytes=524288-1048575"
	code := func(n int) func(string, media.Chunk) (media.Chunk, error) {
		return func(string, media.Chunk) (media.Chunk, error) {
			return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: n}
		}
	}
	onSecond := func(change func(*media.Chunk)) func(string, media.Chunk) (media.Chunk, error) {
		return func(index string, c media.Chunk) (media.Chunk, error) {
			if index == second {
				change(&c)
			}
			return c, nil
		}
	}
	// With a minute, 5, 15, an hour, and then 6 hours between: until a day after
	// the deadline, and once then.
	const failed = 29
	crash := func(how archive.CrashKind) func(string, media.Chunk) (media.Chunk, error) {
		return func(string, media.Chunk) (media.Chunk, error) {
			return media.Chunk{}, &archive.CrashError{Op: "GetMediaData", How: how}
		}
	}
	for _, c := range []struct {
		name   string
		times  int // the first answers only; all if zero
		answer func(index string, c media.Chunk) (media.Chunk, error)
		state  media.State // after one round; the end is checked by rounds
		reason string
		rounds int // until it is settled, with the pauses between
		end    media.State
	}{
		{"a chunk fails once", 1, code(10002), media.Stored, "", 1, media.Stored},
		{"a chunk fails twice", 2, code(10001), media.Stored, "", 1, media.Stored},
		{"a round fails", 3, code(10003), media.Waiting, "sdk_10003", 2, media.Stored},
		{"network for two days", 3 * 12, code(10001), media.Waiting, "sdk_10001", 13, media.Stored},
		{"network for ever", 0, code(10001), media.Waiting, "sdk_10001", failed + 1, media.Expired},
		{"cannot be decrypted for ever", 0, code(10006), media.Waiting, "sdk_10006", failed, media.Failed},
		{"unknown code once", 1, code(10042), media.Waiting, "sdk_10042", 2, media.Stored},
		{"expired", 0, code(10010), media.Expired, media.ReasonDeleted, 1, media.Expired},
		{"expired by HTTP", 0, code(301048), media.Expired, media.ReasonDeleted, 1, media.Expired},
		{"another corp's", 0, code(10005), media.Waiting, media.ReasonBadFileID, failed, media.Failed},
		{"another corp's, it says for a day", 8, code(10005), media.Waiting, media.ReasonBadFileID, 9, media.Stored},
		{"no index once", 1, func(_ string, c media.Chunk) (media.Chunk, error) { c.Next = ""; return c, nil },
			media.Stored, "", 1, media.Stored},
		{"no index for ever", 0, onSecond(func(c *media.Chunk) { c.Next = "" }), media.Waiting, media.ReasonNoIndex, failed, media.Failed},
		{"the same index again", 0, onSecond(func(c *media.Chunk) { c.Next = second }), media.Waiting, media.ReasonRepeats, failed, media.Failed},
		{"back to the start", 0, onSecond(func(c *media.Chunk) { c.Next = "Range:bytes=0-524287" }), media.Waiting, media.ReasonRepeats, failed, media.Failed},
		{"two indexes by turns", 0, func(index string, c media.Chunk) (media.Chunk, error) {
			c.Next, c.Finished = "A", false
			if index == "A" {
				c.Next = "B"
			}
			return c, nil
		}, media.Waiting, media.ReasonRepeats, failed, media.Failed},
		{"a chunk beyond its size", 0, onSecond(func(c *media.Chunk) { c.Data = append(c.Data, 0) }), media.Waiting, media.ReasonTooLarge, failed, media.Failed},
		{"an index that WeCom refuses", 0, func(_ string, c media.Chunk) (media.Chunk, error) {
			return media.Chunk{Data: c.Data, Next: "anything"}, nil
		}, media.Waiting, "sdk_10000", failed, media.Failed},
		{"the library crashes once", 1, crash(archive.Crashed), media.Stored, "", 1, media.Stored},
		{"the library crashes twice", 2, crash(archive.Crashed), media.Waiting, media.ReasonCrashes, 2, media.Stored},
		{"the library crashes for ever", 0, crash(archive.Crashed), media.Waiting, media.ReasonCrashes, failed, media.Failed},
		{"the library talks nonsense", 2, crash(archive.Nonsense), media.Waiting, media.ReasonCrashes, 2, media.Stored},
		{"after a part, for ever", 0, func(index string, c media.Chunk) (media.Chunk, error) {
			if strings.HasPrefix(index, "Range:bytes=5242880-") {
				return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10006}
			}
			return c, nil
		}, media.Waiting, "sdk_10006", failed, media.Failed},
		{"the library hangs once", 1, crash(archive.Hung), media.Waiting, media.ReasonHangs, 2, media.Stored},
		{"the library hangs for ever", 0, crash(archive.Hung), media.Waiting, media.ReasonHangs, failed, media.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f, other := b.file("f", body), b.file("other", body[:9])
			other.Deadline = other.Deadline.Add(time.Hour) // it comes second
			b.register(f, other)
			n := 0
			b.Library.OnMediaChunk = func(_, index, id string, chunk media.Chunk, err error) (media.Chunk, error) {
				if index == "A" || index == "B" {
					chunk, err = media.Chunk{Data: make([]byte, 512<<10)}, nil
				}
				if id != f.SDKFileID || err != nil {
					return chunk, err
				}
				if n++; c.times > 0 && n > c.times {
					return chunk, nil
				}
				return c.answer(index, chunk)
			}
			b.Must(b.fetch(t.Context()))
			if row := b.row(f); row.State != c.state || row.Reason != c.reason {
				t.Errorf("after one round: got %s, %q; want %s, %q", row.State, row.Reason, c.state, c.reason)
			}
			b.want(other, media.Stored, "", body[:9])
			rounds := 1
			for ; b.row(f).State == media.Waiting && rounds < 100; rounds++ {
				b.Clock.Advance(b.row(f).NotBefore.Sub(b.Clock.Now()))
				b.Must(b.fetch(t.Context()))
			}
			if row := b.row(f); row.State != c.end || rounds != c.rounds {
				t.Errorf("got %s (%s) after %d rounds, want %s after %d", row.State, row.Reason, rounds, c.end, c.rounds)
			}
			if c.end == media.Stored {
				b.want(f, media.Stored, "", body)
			} else if got := b.Objects.Uploads(); got != 0 {
				t.Errorf("got %d uploads left of a file that is %s", got, c.end)
			}
		})
	}
}

// An hour in which the library is broken: no file is lost, and none is to blame.
func TestBrokenLibraryIsNoFilesFault(t *testing.T) {
	for _, how := range []archive.CrashKind{archive.Crashed, archive.Hung} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			var files []media.File
			for i := range 6 {
				files = append(files, b.file(fmt.Sprint("f", i, "-"), []byte("x")))
			}
			b.register(files...)
			asked := make(map[string]bool)
			b.Library.OnMediaChunk = func(_, _, id string, _ media.Chunk, _ error) (media.Chunk, error) {
				asked[id] = true
				return media.Chunk{}, &archive.CrashError{Op: "GetMediaData", How: how}
			}
			b.Must(b.fetch(t.Context()))
			tries := 0
			for _, f := range files {
				tries += b.row(f).Tries
			}
			if len(asked) != 2 || tries > 1 {
				t.Errorf("in one round: got %d files asked for and %d tries, want 2 and one", len(asked), tries)
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

// Chunks that are far too small end as failed, by their number.
func TestFileThatNeverFinishes(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		max    int64
		reason string
	}{
		{"endless", chunk, 20 << 20, media.ReasonTooLarge},
		{"a byte at a time", 1, media.MaxSize, media.ReasonDribbles},
		{"nothing at a time", 0, media.MaxSize, media.ReasonDribbles},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.fileWithout("f")
			b.register(f)
			b.fetcher.MaxSize = c.max
			n := 0
			data := make([]byte, c.size)
			b.Library.OnMediaChunk = func(string, string, string, media.Chunk, error) (media.Chunk, error) {
				n++
				return media.Chunk{Data: bytes.Clone(data), Next: fmt.Sprint("after ", n)}, nil
			}
			b.Must(b.fetch(t.Context()))
			if row := b.row(f); row.Reason != c.reason || n > 100 {
				t.Errorf("after one round: got %s, %q, and %d calls; want %q", row.State, row.Reason, n, c.reason)
			}
			b.Clock.Advance(archive.Retention + 25*time.Hour)
			for rounds := 0; b.row(f).State == media.Waiting && rounds < 5; rounds++ {
				b.Must(b.fetch(t.Context()))
				b.Clock.Advance(7 * time.Hour)
			}
			b.want(f, media.Failed, c.reason, nil)
			if n > 500 || b.Objects.Uploads() != 0 {
				t.Errorf("got %d calls and %d uploads left", n, b.Objects.Uploads())
			}
		})
	}
}

func TestWhatMessagesSayOfFiles(t *testing.T) {
	body := content(part + 10)
	sum := md5Of(body)
	for _, c := range []struct {
		name   string
		md5    string
		size   int64
		state  media.State
		reason string
		calls  int // of the first chunk
	}{
		{"all right", sum, int64(len(body)), media.Stored, "", 1},
		{"nothing", "", 0, media.Stored, "", 1},
		{"upper case", strings.ToUpper(sum), 0, media.Stored, "", 1},
		{"the size lies", sum, 7, media.Stored, media.ReasonSize, 1},
		{"only a size", "", int64(len(body)), media.Stored, "", 1},
		{"only a size, wrong", "", 7, media.Mismatch, media.ReasonSize, 2},
		{"the md5 lies", md5Of(nil), int64(len(body)), media.Mismatch, media.ReasonMD5, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = c.md5, c.size
			b.register(f)
			calls := 0
			b.Library.OnMediaChunk = func(_, index, _ string, chunk media.Chunk, err error) (media.Chunk, error) {
				if index == "" {
					calls++
				}
				return chunk, err
			}
			b.Must(b.fetch(t.Context()))
			b.want(f, c.state, c.reason, body)
			if calls != c.calls || b.Objects.Uploads() != 0 {
				t.Errorf("fetched %d times with %d uploads left, want %d and none", calls, b.Objects.Uploads(), c.calls)
			}
		})
	}
}

// Bytes that are missing are noticed by the indexes alone, and asked for again.
// In the last day that WeCom has it, what there is of a file is kept.
func TestShortFiles(t *testing.T) {
	body := content(part + 2*chunk + 9)
	cut := func(index, prefix string, c *media.Chunk) {
		if strings.HasPrefix(index, prefix) {
			c.Data = c.Data[:min(len(c.Data)-1, 1000)]
		}
	}
	for _, c := range []struct {
		name   string
		prefix string // of the index whose chunk is cut
		left   int    // what is there in the end
	}{
		{"second", "Range:bytes=524288-", len(body) - chunk + 1000},
		{"after a part", "Range:bytes=5242880-", len(body) - chunk + 1000},
		{"last", "Range:bytes=6291456-", len(body) - 1},
	} {
		for _, ever := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ever), func(t *testing.T) {
				b := newFixture(t, &archivetest.Faults{})
				f := b.file("f", body)
				f.MD5, f.Size = "", 0
				b.register(f)
				n := 0
				b.Library.OnMediaChunk = func(_, index, _ string, chunk media.Chunk, err error) (media.Chunk, error) {
					if strings.HasPrefix(index, c.prefix) {
						if n++; n <= 4 || ever {
							cut(index, c.prefix, &chunk)
						}
					}
					return chunk, err
				}
				b.Must(b.fetch(t.Context()))
				b.want(f, media.Waiting, media.ReasonSize, nil)
				for b.row(f).State == media.Waiting {
					b.Clock.Advance(b.row(f).NotBefore.Sub(b.Clock.Now()))
					b.Must(b.fetch(t.Context()))
				}
				if !ever {
					b.want(f, media.Stored, "", body)
					return
				}
				object, _ := b.Objects.Object(archivetest.Corp, f.ID)
				if len(object) != c.left {
					t.Errorf("got %d bytes kept, want %d", len(object), c.left)
				}
				b.want(f, media.Mismatch, media.ReasonSize, object)
				if !b.Clock.Now().Before(f.Deadline) || b.Clock.Now().Before(f.Deadline.Add(-24*time.Hour)) {
					t.Errorf("settled at %s, want the day before %s", b.Clock.Now(), f.Deadline)
				}
			})
		}
	}
}

// A bad transfer is noticed, and the second download is kept.
func TestDamageOnTheWayIsMended(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(2 * chunk)
	f := b.file("f", body)
	b.register(f)
	n := 0
	b.Library.OnMediaChunk = func(_, _, _ string, c media.Chunk, err error) (media.Chunk, error) {
		if n++; n == 2 {
			c.Data[100] ^= 1
		}
		return c, err
	}
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", body)
}

// A large download that is not kept leaves nothing behind.
func TestWhatIsNotKeptIsThrownAway(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	kept := content(2*part + 9)
	f := b.file("f", kept[:part+9])
	f.MD5, f.Registered = md5Of(nil), archivetest.Start
	b.register(f)
	b.settled(f, media.Mismatch, media.ReasonMD5, kept)
	b.Must(b.again(f))
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Mismatch, media.ReasonMD5, kept)
	if n := b.Objects.Uploads(); n != 0 {
		t.Errorf("got %d uploads left", n)
	}
}

// What is wrong with the corp costs no file a try, and nothing is asked.
func TestCorpTroubleHoldsFiles(t *testing.T) {
	for _, cause := range []archive.Cause{
		archive.CauseTrustedIP, archive.CauseSecret, archive.CauseExpired, archive.CauseNetwork, archive.CauseBudget,
	} {
		t.Run(string(cause), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", []byte("x"))
			b.register(f)
			b.trouble(cause)
			b.Library.OnMediaChunk = func(string, string, string, media.Chunk, error) (media.Chunk, error) {
				t.Error("WeCom is asked")
				return media.Chunk{}, errors.New("no")
			}
			b.Must(b.fetch(t.Context()))
			if row := b.want(f, media.Waiting, "", nil); row.Tries != 0 {
				t.Errorf("got %d tries", row.Tries)
			}
			b.Clock.Advance(archive.Retention + 25*time.Hour)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Expired, string(cause), nil)
		})
	}
}

// Law 8: a secret that did not work for pages is not tried for files.
func TestOnlyAProvedSecretFetches(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	b.register(f)
	b.Must(b.Corps.SetSecret(t.Context(), archivetest.Corp, "newe", archivetest.Start.Add(time.Minute)))
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Waiting, "", nil)
	b.Must(b.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.Start.Add(time.Minute), OKAt: archivetest.Start}}))
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", []byte("x"))
}

func TestCorpTroubleSeenHereEndsTheRound(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		cause    archive.Cause
		refusals int
	}{
		{"address", &archive.SDKError{Op: "GetMediaData", Code: 10009}, archive.CauseTrustedIP, 0},
		{"address by HTTP", &archive.SDKError{Op: "GetMediaData", Code: 301042}, archive.CauseTrustedIP, 0},
		{"certificates", &archive.SDKError{Op: "GetMediaData", Code: 10011}, archive.CauseTLS, 0},
		{"licence", &archive.SDKError{Op: "GetMediaData", Code: 301052}, archive.CauseExpired, 0},
		{"secret", &archive.SDKError{Op: "GetMediaData", Code: 40001}, archive.CauseSecret, 1},
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
			b.Library.OnMediaChunk = func(string, string, string, media.Chunk, error) (media.Chunk, error) {
				calls++
				return media.Chunk{}, c.err
			}
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
				t.Errorf("got %d refusals counted; want %d", n, c.refusals)
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

// Two deliveries of a request: one loses every save, and nothing is spoilt.
func TestTwoFetchersAtOnce(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(3*part + 5)
	f, small := b.file("f", body), b.file("small", body[:5])
	b.register(f, small)
	nested := false
	b.Library.OnMediaChunk = nil
	second := *b.fetcher
	library := archivetest.NewLibrary(t, &archivetest.Faults{})
	library.PutFile(archivetest.Corp, f.SDKFileID, body)
	library.PutFile(archivetest.Corp, small.SDKFileID, body[:5])
	second.Sources = library
	b.Library.OnMediaChunk = func(_, index, id string, c media.Chunk, err error) (media.Chunk, error) {
		if !nested && strings.HasPrefix(index, "Range:bytes=6291456-") { // in the second part
			nested = true
			b.Must(second.Fetch(t.Context(), media.Request{Corp: archivetest.Corp}))
		}
		return c, err
	}
	b.Must(b.fetch(t.Context()))
	if !nested {
		t.Fatal("the second did not run")
	}
	b.want(f, media.Stored, "", body)
	b.want(small, media.Stored, "", body[:5])
}

func TestRegisterFiles(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	again := f
	again.MD5, again.From.MsgID = "", "m2"
	b.register(f, again, f)
	b.register(again)
	if row := b.row(f); row.From.MsgID != "m1" || row.MD5 != f.MD5 {
		t.Errorf("got %+v, want what the first message says", row)
	}
	b.Must(b.fetch(t.Context()))
	lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{f}, true)
	if err != nil || len(lanes) != 0 {
		t.Errorf("stored: got lanes %v, %v; want none", lanes, err)
	}

	lost := b.fileWithout("lost")
	b.register(lost)
	b.Clock.Advance(archive.Retention + 25*time.Hour)
	for range 5 {
		b.Must(b.fetch(t.Context()))
		b.Clock.Advance(7 * time.Hour)
	}
	b.want(lost, media.Failed, media.ReasonBadFileID, nil)
	if lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{lost}, false); err != nil || len(lanes) != 0 {
		t.Errorf("failed: got lanes %v, %v; want none", lanes, err)
	}
	b.Library.PutFile(archivetest.Corp, lost.SDKFileID, []byte("found"))
	if lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{lost}, true); err != nil || len(lanes) != 1 {
		t.Errorf("failed, asked for again: got lanes %v, %v; want one", lanes, err)
	}
	b.Must(b.fetch(t.Context()))
	b.want(lost, media.Stored, "", []byte("found"))
	backlog, err := b.Files.Backlog(t.Context(), archivetest.Corp, b.Clock.Now())
	b.Must(err)
	if backlog.Waiting != 0 || len(backlog.Problems) != 0 {
		t.Errorf("got %+v, want nothing", backlog)
	}
}

// A file that was found late, or of which only the wrong end of the deadline is
// known, is not given up unasked.
func TestHeldFileIsGivenUpLate(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	f.Registered = archivetest.Start.Add(100 * time.Hour) // pulled late
	b.register(f)
	b.trouble(archive.CauseTrustedIP)
	b.Clock.Advance(archive.Retention + 25*time.Hour)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Waiting, "", nil)

	// Another message names it while it waits.
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

func TestWhatIsAskedForAgain(t *testing.T) {
	body := []byte("what WeCom has")
	const day, inTime = 24 * time.Hour, 6*24*time.Hour - time.Minute
	for _, c := range []struct {
		name   string
		row    media.State
		reason string
		at     time.Duration // when it is asked for, after the first message was pulled
		later  bool          // by a message that was pulled then, else by the first
		again  bool
		want   media.State
	}{
		{"given up, a later message", media.Expired, "trusted_ip", 7 * day, true, false, media.Stored},
		{"given up, the same message", media.Expired, "trusted_ip", day, false, false, media.Expired},
		{"given up, a replay", media.Expired, "trusted_ip", inTime, false, true, media.Stored},
		{"given up, a replay after years", media.Expired, "trusted_ip", 1000 * day, false, true, media.Expired},
		{"deleted, a later message", media.Expired, media.ReasonDeleted, 7 * day, true, false, media.Expired},
		{"deleted, a replay", media.Expired, media.ReasonDeleted, day, false, true, media.Expired},
		{"failed, a later message", media.Failed, "sdk_10006", 7 * day, true, false, media.Stored},
		{"failed, the same message", media.Failed, "sdk_10006", day, false, false, media.Failed},
		{"failed, a replay", media.Failed, "sdk_10006", inTime, false, true, media.Stored},
		{"failed, a replay after a week", media.Failed, "sdk_10006", 7 * day, false, true, media.Failed},
		{"another md5, a later message", media.Mismatch, media.ReasonMD5, 7 * day, true, false, media.Stored},
		{"another md5, a replay", media.Mismatch, media.ReasonMD5, inTime, false, true, media.Stored},
		{"another md5, a replay after a week", media.Mismatch, media.ReasonMD5, 7 * day, false, true, media.Mismatch},
	} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, gone), func(t *testing.T) {
				b := newFixture(t, &archivetest.Faults{})
				f := b.file("f", body)
				f.Registered = archivetest.Start
				b.register(f)
				var object []byte
				if c.row == media.Mismatch {
					object = []byte("something else")
				}
				b.settled(f, c.row, c.reason, object)
				b.Clock.Advance(c.at)
				named := f
				if named.NotBefore = b.Clock.Now(); c.later {
					named.Deadline, named.Registered = b.Clock.Now().Add(archive.Retention), b.Clock.Now()
				}
				lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{named}, c.again)
				b.Must(err)
				waits := c.want == media.Stored
				if row := b.row(f); (len(lanes) == 1) != waits || (row.State == media.Waiting) != waits || (row.Stored != nil) != (object != nil) {
					t.Errorf("got lanes %v and %+v", lanes, row)
				}
				if gone {
					b.Library.OnMediaChunk = func(string, string, string, media.Chunk, error) (media.Chunk, error) {
						return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10010}
					}
				}
				b.Must(b.fetch(t.Context()))
				if got := b.row(f); !gone && got.State != c.want {
					t.Errorf("got %s (%s), want %s", got.State, got.Reason, c.want)
				} else if gone && object != nil {
					b.want(f, media.Mismatch, media.ReasonMD5, object) // what there is, is kept
				} else if gone && got.State == media.Stored {
					t.Error("got it stored, though there is nothing")
				}
			})
		}
	}
}

// settled makes a row that waits one that is settled, with an object for a
// mismatch, and lists it.
func (b *fixture) settled(f media.File, state media.State, reason string, object []byte) {
	b.T.Helper()
	row := b.row(f)
	row.State, row.Reason, row.CompleteDownloads = state, reason, 1
	if object != nil {
		b.Must(b.Objects.PutFile(b.T.Context(), archivetest.Corp, f.ID, object))
		row.Stored = &media.Object{Size: int64(len(object)), MD5: md5Of(object)}
	}
	row, err := b.Files.SaveFile(b.T.Context(), row)
	b.Must(errors.Join(err, b.Files.ListFile(b.T.Context(), row)))
}

// again asks for files as a replay does.
func (b *fixture) again(files ...media.File) error {
	_, err := media.Register(b.T.Context(), b.Files, archivetest.Corp, files, true)
	return err
}

// What is kept of a file gives way to what is right, or no smaller; whatever
// fails, and wherever the process ends.
func TestWhatIsKeptGivesWayToNothingLess(t *testing.T) {
	body, large := content(2000), content(2*part+9)
	sum, kept := md5Of(body[:100]), body[:1000]
	for _, c := range []struct {
		name   string
		md5    string
		size   int64
		reason string
		comes  []byte
		want   []byte
		state  media.State
		told   int
	}{
		{"nothing comes", sum, 100, media.ReasonMD5, []byte{}, kept, media.Mismatch, 0},
		{"less comes", sum, 100, media.ReasonMD5, body[:999], kept, media.Mismatch, 0},
		{"the same comes", sum, 100, media.ReasonMD5, kept, kept, media.Mismatch, 0},
		{"more comes", sum, 100, media.ReasonMD5, body, body, media.Mismatch, 1},
		{"much more comes", sum, 100, media.ReasonMD5, large, large, media.Mismatch, 1},
		{"what is right comes", sum, 100, media.ReasonMD5, body[:100], body[:100], media.Stored, 0},
		{"what is right, by size", "", 100, media.ReasonSize, body[:100], body[:100], media.Stored, 0},
		{"nothing comes of what was short", "", 0, media.ReasonSize, []byte{}, kept, media.Mismatch, 0},
		{"all comes of what was short", "", 0, media.ReasonSize, body, body, media.Stored, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			test := func(t *testing.T, faults *archivetest.Faults, arm func()) {
				b := newFixture(t, faults)
				told := 0
				b.fetcher.Log = slog.New(onError(func() { told++ }))
				f := b.fileWithout("f")
				f.MD5, f.Size, f.Registered = c.md5, c.size, archivetest.Start
				b.register(f)
				b.settled(f, media.Mismatch, c.reason, kept)
				b.Library.PutFile(archivetest.Corp, f.SDKFileID, c.comes)
				arm()
				if b.again(f) != nil {
					faults.Disarm()
					b.Must(b.again(f))
				}
				_ = b.fetch(t.Context())
				faults.Disarm()
				b.Must(b.fetch(t.Context()))
				reason := ""
				if c.state == media.Mismatch {
					reason = c.reason
				}
				row := b.row(f)
				if row.State != c.state || row.Reason != reason || row.Stored.Differs != "" {
					t.Errorf("got %s, %q, %+v; want %s, %q", row.State, row.Reason, row.Stored, c.state, reason)
				}
				if object, _ := b.Objects.Object(archivetest.Corp, f.ID); !bytes.Equal(object, c.want) || row.Stored.Size != int64(len(c.want)) || row.Stored.MD5 != md5Of(c.want) {
					t.Errorf("got an object of %d bytes and %+v, want %d", len(object), row.Stored, len(c.want))
				}
				if told > c.told {
					t.Errorf("got %d errors in the log, want %d at most", told, c.told)
				}
			}
			if len(c.comes) > part { // once is enough of that much
				test(t, &archivetest.Faults{}, func() {})
			} else {
				archivetest.EveryFault(t, test)
			}
		})
	}
}

// onError is a log that counts errors.
func onError(f func()) slog.Handler {
	return slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			f()
		}
		return a
	}})
}

// lateLists lets something happen between a row that is saved and its lists.
type lateLists struct {
	media.Table
	before func(media.File)
}

func (l lateLists) ListFile(ctx context.Context, f media.File) error {
	l.before(f)
	return l.Table.ListFile(ctx, f)
}

// A file that is asked for anew before the fetcher that gave it up comes to the
// lists stays on that of those that wait; and one that is stored by then does
// not stay on that of the problems.
func TestListsThatComeLate(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint(stored), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			b.fetcher.MaxSize = 1
			f := b.file("f", []byte("xyz"))
			b.register(f)
			late := *b.fetcher
			late.Files = lateLists{b.Files, func(row media.File) {
				if row.State == media.Failed && b.row(f).State == media.Failed {
					b.Must(b.again(f))
					if b.fetcher.MaxSize = 100; stored {
						b.Must(b.fetch(t.Context()))
					}
				}
			}}
			b.Must(late.Fetch(t.Context(), media.Request{Corp: archivetest.Corp}))
			backlog, err := b.Files.Backlog(t.Context(), archivetest.Corp, b.Clock.Now())
			b.Must(err)
			if len(backlog.Problems) != 0 || (backlog.Waiting == 1) == stored {
				t.Errorf("got %+v", backlog)
			}
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Stored, "", []byte("xyz"))
		})
	}
}

// What is no file of WeCom's is created as failed, and is on the list of
// problems wherever the process ends.
func TestFileThatIsNone(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		b := newFixture(t, f)
		file := b.fileWithout("f")
		file.SDKFileID, file.State, file.Reason = "", media.Failed, media.ReasonBadFileID
		arm()
		for range 2 {
			lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{file}, false)
			if f.Disarm(); len(lanes) != 0 {
				t.Errorf("got lanes %v, %v; want none", lanes, err)
			}
		}
		backlog, err := b.Files.Backlog(t.Context(), archivetest.Corp, b.Clock.Now())
		b.Must(err)
		if backlog.Waiting != 0 || backlog.Problems[media.Failed] != 1 {
			t.Errorf("got %+v, want one that failed", backlog)
		}
	})
}

// shortTurn is a round with time for two parts.
func (b *fixture) shortTurn(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(time.Hour))
	defer cancel()
	deadline, _ := ctx.Deadline()
	begun, now := b.asked, b.Clock.Now()
	b.fetcher.Now = func() time.Time {
		if b.asked-begun >= 2*part/chunk {
			return deadline // of the round
		}
		return now
	}
	defer func() { b.fetcher.Now = b.Clock.Now }()
	return b.fetch(ctx)
}

// A file with a chunk that is bad for ever is settled, or kept short, also where
// each turn has time for a few parts only.
func TestBadChunkOfALargeFile(t *testing.T) {
	body := content(5*part + 9)
	for _, c := range []struct {
		name   string
		answer func(c media.Chunk) (media.Chunk, error)
		state  media.State
		reason string
	}{
		{"refused", func(media.Chunk) (media.Chunk, error) {
			return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10006}
		}, media.Failed, "sdk_10006"},
		{"short", func(c media.Chunk) (media.Chunk, error) {
			c.Data = c.Data[:1000]
			return c, nil
		}, media.Mismatch, media.ReasonSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5 = ""
			b.register(f)
			b.Library.OnMediaChunk = func(_, index, _ string, got media.Chunk, err error) (media.Chunk, error) {
				b.asked++
				if strings.HasPrefix(index, fmt.Sprintf("Range:bytes=%d-", 4*part+chunk)) {
					return c.answer(got)
				}
				return got, err
			}
			rounds := 0
			for ; b.row(f).State == media.Waiting && rounds < 100; rounds++ {
				if wait := b.row(f).NotBefore.Sub(b.Clock.Now()); wait > 0 {
					b.Clock.Advance(wait)
				}
				b.Must(b.shortTurn(t.Context()))
				b.Media.Take()
			}
			if row := b.row(f); row.State != c.state || row.Reason != c.reason {
				t.Errorf("got %s, %q after %d rounds; want %s, %q", row.State, row.Reason, rounds, c.state, c.reason)
			}
			if object, _ := b.Objects.Object(archivetest.Corp, f.ID); c.state == media.Mismatch && len(object) != len(body)-chunk+1000 {
				t.Errorf("got %d bytes kept", len(object))
			}
		})
	}
}

// Nobody promises that the last index ends where the file does.
func TestLastIndexThatIsNotShortened(t *testing.T) {
	body := content(part + 2*chunk + 9)
	for _, c := range []struct {
		name   string
		md5    string
		size   int64
		state  media.State
		reason string
	}{
		{"md5 and size", md5Of(body), int64(len(body)), media.Stored, ""},
		{"md5", md5Of(body), 0, media.Stored, ""},
		{"a size that lies", md5Of(body), 7, media.Stored, media.ReasonSize},
		{"size", "", int64(len(body)), media.Stored, ""},
		{"neither", "", 0, media.Waiting, media.ReasonSize},
		{"another md5", md5Of(nil), int64(len(body)), media.Waiting, media.ReasonSize},
		{"another size", "", 7, media.Waiting, media.ReasonSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = c.md5, c.size
			b.register(f)
			b.Library.OnMediaChunk = func(_, index, _ string, chunk media.Chunk, err error) (media.Chunk, error) {
				const last = "Range:bytes=6291456-"
				if strings.HasPrefix(index, last) {
					chunk = media.Chunk{Data: body[6291456:], Finished: true}
					err = nil
				} else if strings.HasPrefix(chunk.Next, last) {
					chunk.Next = last + "6815743"
				}
				return chunk, err
			}
			b.Must(b.fetch(t.Context()))
			want := body
			if c.state == media.Waiting {
				want = nil
			}
			b.want(f, c.state, c.reason, want)
		})
	}
}

// Uploads that are lost again and again are a file's failure like any other:
// with pauses, and never an error that brings the request back at once.
func TestUploadsThatDoNotLast(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", content(2*part+5))
	b.register(f)
	b.fetcher.Objects = forgetful{b.Objects}
	for try := 1; try <= 3; try++ {
		b.Must(b.fetch(t.Context()))
		row := b.want(f, media.Waiting, media.ReasonUploads, nil)
		if row.Tries != try || row.Resume != nil || !row.NotBefore.After(b.Clock.Now()) || b.Objects.Uploads() != 0 {
			t.Errorf("try %d: got %+v with %d uploads left", try, row, b.Objects.Uploads())
		}
		b.Clock.Advance(row.NotBefore.Sub(b.Clock.Now()))
	}
	b.fetcher.Objects = b.Objects
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", content(2*part+5))
}

// forgetful loses every upload before its second part.
type forgetful struct{ *archivetest.Objects }

func (o forgetful) UploadPart(ctx context.Context, corp, id, upload string, number int, body []byte) error {
	if number > 1 {
		o.Forget()
	}
	return o.Objects.UploadPart(ctx, corp, id, upload, number, body)
}

func TestFetchWithoutACorp(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	b.Must(b.fetcher.Fetch(t.Context(), media.Request{Corp: "ww9999999999999999"}))
	b.Must(b.Corps.CreateCorp(t.Context(), archive.Corp{ID: "ww8888888888888888"}))
	b.Must(b.fetcher.Fetch(t.Context(), media.Request{Corp: "ww8888888888888888"}))
}

func TestDeadlines(t *testing.T) {
	pulled := archivetest.Start.Add(time.Hour)
	for name, c := range map[string]struct{ sent, want time.Time }{
		"sent before": {archivetest.Start, archivetest.Start.Add(120 * time.Hour)},
		"sent after":  {pulled.Add(time.Hour), pulled.Add(120 * time.Hour)},
	} {
		if got := media.Deadline(c.sent, pulled); !got.Equal(c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestSniff(t *testing.T) {
	for head, want := range map[string]media.Type{
		"\xff\xd8\xff\xe0":                         media.JPEG,
		"\x89PNG\r\n\x1a\nxxxx":                    media.PNG,
		"GIF89a":                                   media.GIF,
		"RIFF\x00\x00\x00\x00WEBPVP8 ":             media.WebP,
		"RIFF\x00\x00\x00\x00WAVEfmt ":             media.WAV,
		"XXXX\x00\x00\x00\x00WEBPVP8 ":             media.Other,
		"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00": media.MP4,
		"\x00\x00\x00\x18ftypisom":                 media.MP4,
		"\x00\x00\x00\x18ftypM4V ":                 media.MP4,
		"\x00\x00\x00\x18ftypM4A ":                 media.M4A,
		"\x00\x00\x00\x18ftypheic":                 media.Other,
		"\x00\x00\x00\x18ftypmif1":                 media.Other,
		"\x00\x00\x00\x18ftypavif":                 media.Other,
		"\x00\x00\x00\x14ftypqt  ":                 media.Other,
		"\x00\x00\x00\x18ftyp":                     media.Other,
		"ID3\x03":                                  media.MP3,
		"\xff\xfb\x90":                             media.MP3,
		"\xff\xff\xff":                             media.Other,
		"#!AMR\n\x3c":                              media.AMR,
		"#!AMR-WB\n":                               media.AMRWB,
		"\x02#!SILK_V3":                            media.SILK,
		"":                                         media.Other,
		"<svg xmlns='http://www.w3.org/2000":       media.Other,
		"<!DOCTYPE html>":                          media.Other,
		"%PDF-1.7":                                 media.Other,
	} {
		if got := media.Sniff([]byte(head)); got != want {
			t.Errorf("%q: got %q, want %q", head, got, want)
		}
	}
}
