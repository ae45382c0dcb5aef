package media_test

import (
	"bytes"
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

func TestFilesOfEverySizeAreStored(t *testing.T) {
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, part - 1, part, part + 1, 2 * part, 12_000_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			body := content(size)
			f := b.file("f", body)
			b.register(f)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Stored, "", body)
			b.wantNoUploads()
		})
	}
}

// Each pass has time for one part. The next pass goes on where the resume
// point says.
func TestDownloadResumesAtEveryPart(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(4*part + 3*chunk + 7)
	f := b.file("f", body)
	b.register(f)
	calls := map[string]int{}
	var spent time.Duration
	b.answers(func(index string, c media.Chunk, err error) (media.Chunk, error) {
		calls[index]++
		spent += 10 * time.Second
		b.Clock.Advance(10 * time.Second)
		return c, err
	})
	passes := 0
	for ; b.row(f).State == media.Waiting; passes++ {
		if passes > 10 {
			t.Fatal("the file still waits after 10 passes")
		}
		// Time for eleven chunks: a part, and a chunk that is fetched again.
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
	for index, n := range calls {
		if n > 2 {
			t.Errorf("chunk %q was fetched %d times, want at most 2", index, n)
		}
	}
	if passes < 4 {
		t.Errorf("got %d passes, want one for each part", passes)
	}
}

// A resume point that cannot be read costs the parts, not the file.
func TestUnreadableResumePointRestartsTheFile(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(part + 5)
	f := b.file("f", body)
	b.register(f)
	upload, err := b.Objects.BeginUpload(t.Context(), archivetest.Corp, f.ID)
	b.Must(err)
	b.Must(b.Objects.UploadPart(t.Context(), archivetest.Corp, f.ID, upload, 1, body[:part]))
	row := b.row(f)
	row.Resume = &media.Resume{Upload: upload, Index: "Range:bytes=5242880-5242884", Parts: 1, Chunks: 10, Bytes: part, Digest: []byte("of another version")}
	_, err = b.Files.SaveFile(t.Context(), row)
	b.Must(err)
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", body)
}

func TestLostUploadRestartsTheFile(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(2*part + 5)
	f := b.file("f", body)
	b.register(f)
	b.answers(func(index string, c media.Chunk, err error) (media.Chunk, error) {
		if strings.HasPrefix(index, "Range:bytes=5767168-") { // the second chunk of the second part
			return media.Chunk{}, codeError(10001)
		}
		return c, err
	})
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

// A file whose uploads are lost repeatedly is paused like after any failure. An
// error would bring the request back at once.
func TestRepeatedlyLostUploadsPauseTheFile(t *testing.T) {
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

// The store has lost one part of an upload. The file is downloaded again and is
// never completed without the part.
func TestMissingPartRestartsTheFile(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(2*part + 5)
	f := b.file("f", body)
	b.register(f)
	calls := 0
	b.fetcher.Objects = incomplete{b.Objects, &calls}
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", body)
	b.wantNoUploads()
	if calls != 2 {
		t.Errorf("got %d calls to complete the upload, want 2", calls)
	}
}

// incomplete lacks a part when an upload is first completed.
type incomplete struct {
	*archivetest.Objects
	calls *int
}

func (o incomplete) CompleteUpload(ctx context.Context, corp, id, upload string, parts int, size int64) error {
	if *o.calls++; *o.calls == 1 {
		return fmt.Errorf("part missing: %w", archive.ErrCorrupt)
	}
	return o.Objects.CompleteUpload(ctx, corp, id, upload, parts, size)
}

// forgetful loses every upload before its second part.
type forgetful struct{ *archivetest.Objects }

func (o forgetful) UploadPart(ctx context.Context, corp, id, upload string, number int, body []byte) error {
	if number > 1 {
		o.Forget()
	}
	return o.Objects.UploadPart(ctx, corp, id, upload, number, body)
}

// The process crashes between the object and the row, and the next pass comes
// at once, or after WeCom has deleted the file.
func TestCrashBetweenObjectAndRow(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(b *fixture)
	}{
		{"WeCom has the file", func(*fixture) {}},
		{"WeCom has deleted the file", func(b *fixture) { b.failsWith(codeError(10010)) }},
		{"WeCom deletes the file after the last chunk", func(b *fixture) {
			b.answers(func(index string, c media.Chunk, err error) (media.Chunk, error) {
				if index == "" {
					return media.Chunk{}, codeError(10010)
				}
				return c, err
			})
		}},
		{"the corp is blocked until the file is given up", func(b *fixture) {
			b.trouble(archive.CauseTrustedIP)
			b.Clock.Advance(20 * 24 * time.Hour)
		}},
	} {
		for _, size := range []int{10, 2*part + 5} {
			t.Run(fmt.Sprint(c.name, size), func(t *testing.T) {
				f := &archivetest.Faults{}
				b := newFixture(t, f)
				body := append([]byte("GIF89a"), content(size)...)
				file := b.file("f", body)
				file.MD5, file.Size = "", 0
				b.register(file)
				b.crashAfterObject(f)
				c.after(b)
				b.Must(b.fetch(t.Context()))
				if row := b.want(file, media.Stored, "", body); row.Stored == nil || row.Stored.Type != media.GIF {
					t.Errorf("got %+v, want the type GIF", row.Stored)
				}
			})
		}
	}
}

// After the same crash, a large file whose upload was completed is not downloaded
// again from the first byte.
func TestCompletedUploadIsRecognised(t *testing.T) {
	f := &archivetest.Faults{}
	b := newFixture(t, f)
	body := content(2*part + 5)
	file := b.file("f", body)
	b.register(file)
	b.crashAfterObject(f)
	b.answers(func(index string, c media.Chunk, err error) (media.Chunk, error) {
		if index == "" {
			t.Error("got the first chunk fetched again")
		}
		return c, err
	})
	b.Must(b.fetch(t.Context()))
	b.want(file, media.Stored, "", body)
}

// crashAfterObject fetches, and lets every save fail once an object is written.
func (b *fixture) crashAfterObject(f *archivetest.Faults) {
	b.T.Helper()
	written := false
	f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
		written = written || call.Name == "Objects.PutFile" || call.Name == "Objects.CompleteUpload"
		if written && call.Name == "Files.SaveFile" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := b.fetch(b.T.Context()); !errors.Is(err, archivetest.ErrInjected) {
		b.T.Fatalf("got %v, want the injected fault", err)
	}
	f.Disarm()
}

// A file that never ends is given up by its size or by its number of chunks.
func TestEndlessFilesFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		max    int64
		reason string
	}{
		{"full chunks without end", chunk, 20 << 20, media.ReasonTooLarge},
		{"a byte in each chunk", 1, media.MaxSize, media.ReasonDribbles},
		{"empty chunks", 0, media.MaxSize, media.ReasonDribbles},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.fileWithout("f")
			b.register(f)
			b.fetcher.MaxSize = c.max
			n := 0
			data := make([]byte, c.size)
			b.answers(func(string, media.Chunk, error) (media.Chunk, error) {
				n++
				return media.Chunk{Data: bytes.Clone(data), Next: fmt.Sprint("after ", n)}, nil
			})
			b.Must(b.fetch(t.Context()))
			if row := b.row(f); row.Reason != c.reason || n > 100 {
				t.Errorf("after one pass: got %s, %q, and %d calls; want %q", row.State, row.Reason, n, c.reason)
			}
			b.Clock.Advance(archive.Retention + 25*time.Hour)
			for passes := 0; b.row(f).State == media.Waiting && passes < 5; passes++ {
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

func TestFilesAreComparedWithTheirMessage(t *testing.T) {
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
		{"md5 and size are right", sum, int64(len(body)), media.Stored, "", 1},
		{"the message gives neither", "", 0, media.Stored, "", 1},
		{"md5 in upper case", strings.ToUpper(sum), 0, media.Stored, "", 1},
		{"md5 is right, size is wrong", sum, 7, media.Stored, media.ReasonSize, 1},
		{"only a size, right", "", int64(len(body)), media.Stored, "", 1},
		{"only a size, wrong", "", 7, media.Mismatch, media.ReasonSize, 2},
		{"md5 is wrong, size is right", md5Of(nil), int64(len(body)), media.Mismatch, media.ReasonMD5, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = c.md5, c.size
			b.register(f)
			calls := 0
			b.answers(func(index string, chunk media.Chunk, err error) (media.Chunk, error) {
				if index == "" {
					calls++
				}
				return chunk, err
			})
			b.Must(b.fetch(t.Context()))
			b.want(f, c.state, c.reason, body)
			if calls != c.calls || b.Objects.Uploads() != 0 {
				t.Errorf("got %d downloads with %d uploads left, want %d and none", calls, b.Objects.Uploads(), c.calls)
			}
		})
	}
}

// shortBody is a file of one part and three chunks, the last one short.
var shortBody = content(part + 2*chunk + 9)

// The first four answers miss bytes. The indexes alone show it, and the bytes
// are fetched again.
func TestMissingBytesAreFetchedAgain(t *testing.T) {
	for _, c := range shortFiles {
		t.Run(c.name, func(t *testing.T) {
			b, f := c.fixture(t, 4)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Waiting, media.ReasonSize, nil)
			b.fetchUntilSettled(f, b.fetch)
			b.want(f, media.Stored, "", shortBody)
		})
	}
}

// On the last day that WeCom has the file, the bytes that come are kept.
func TestShortFilesAreKeptOnTheLastDay(t *testing.T) {
	for _, c := range shortFiles {
		t.Run(c.name, func(t *testing.T) {
			b, f := c.fixture(t, 1000)
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Waiting, media.ReasonSize, nil)
			b.fetchUntilSettled(f, b.fetch)
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

// A crash after the object of a short file was written: the next pass must not
// call the same bytes whole.
func TestShortFileStaysShortAfterACrash(t *testing.T) {
	for _, c := range shortFiles {
		t.Run(c.name, func(t *testing.T) {
			faults := &archivetest.Faults{}
			b := newFixture(t, faults)
			f := c.register(b, 1000)
			for !b.row(f).NotBefore.After(f.Deadline.Add(-24 * time.Hour)) {
				b.Clock.Advance(b.row(f).NotBefore.Sub(b.Clock.Now()))
				b.Must(b.fetch(t.Context()))
			}
			b.Clock.Advance(b.row(f).NotBefore.Sub(b.Clock.Now()))
			b.crashAfterObject(faults)
			b.fetchUntilSettled(f, b.fetch)
			object, _ := b.Objects.Object(archivetest.Corp, f.ID)
			b.want(f, media.Mismatch, media.ReasonSize, object)
		})
	}
}

type shortFile struct {
	name   string
	prefix string // of the index whose chunk is short
	left   int    // bytes that come in the end
}

var shortFiles = []shortFile{
	{"second chunk", "Range:bytes=524288-", len(shortBody) - chunk + 1000},
	{"first chunk after a part", "Range:bytes=5242880-", len(shortBody) - chunk + 1000},
	{"last chunk", "Range:bytes=6291456-", len(shortBody) - 1},
}

func (c shortFile) fixture(t *testing.T, times int) (*fixture, media.File) {
	b := newFixture(t, &archivetest.Faults{})
	return b, c.register(b, times)
}

// register registers a file without md5 and size, of which one chunk is short in
// the first answers.
func (c shortFile) register(b *fixture, times int) media.File {
	f := b.file("f", shortBody)
	f.MD5, f.Size = "", 0
	b.register(f)
	n := 0
	b.answers(func(index string, chunk media.Chunk, err error) (media.Chunk, error) {
		if strings.HasPrefix(index, c.prefix) {
			if n++; n <= times {
				chunk.Data = chunk.Data[:min(len(chunk.Data)-1, 1000)]
			}
		}
		return chunk, err
	})
	return f
}

// A damaged transfer is noticed, and the second download is kept.
func TestFirstMismatchIsDownloadedAgain(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	body := content(2 * chunk)
	f := b.file("f", body)
	b.register(f)
	n := 0
	b.answers(func(_ string, c media.Chunk, err error) (media.Chunk, error) {
		if n++; n == 2 {
			c.Data[100] ^= 1
		}
		return c, err
	})
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", body)
}

// A large download that does not replace what is kept leaves no upload.
func TestUnusedUploadIsDiscarded(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	kept := content(2*part + 9)
	f := b.file("f", kept[:part+9])
	f.MD5, f.Registered = md5Of(nil), archivetest.Start
	b.register(f)
	b.settled(f, media.Mismatch, media.ReasonMD5, kept)
	b.Must(b.replay(f))
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Mismatch, media.ReasonMD5, kept)
	b.wantNoUploads()
}

// WeCom does not promise that the last index ends where the file does.
func TestLastIndexBeyondTheEnd(t *testing.T) {
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
		{"md5 and a wrong size", md5Of(body), 7, media.Stored, media.ReasonSize},
		{"size", "", int64(len(body)), media.Stored, ""},
		{"neither", "", 0, media.Waiting, media.ReasonSize},
		{"wrong md5", md5Of(nil), int64(len(body)), media.Waiting, media.ReasonSize},
		{"wrong size", "", 7, media.Waiting, media.ReasonSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = c.md5, c.size
			b.register(f)
			b.answers(func(index string, chunk media.Chunk, err error) (media.Chunk, error) {
				const last = "Range:bytes=6291456-"
				if strings.HasPrefix(index, last) {
					chunk = media.Chunk{Data: body[6291456:], Finished: true}
					err = nil
				} else if strings.HasPrefix(chunk.Next, last) {
					chunk.Next = last + "6815743"
				}
				return chunk, err
			})
			b.Must(b.fetch(t.Context()))
			want := body
			if c.state == media.Waiting {
				want = nil
			}
			b.want(f, c.state, c.reason, want)
		})
	}
}

// An empty chunk after the last byte ends a file, which its message then judges.
func TestEmptyChunkAfterTheLastByte(t *testing.T) {
	body := content(2 * chunk)
	for _, c := range []struct {
		name   string
		md5    string
		size   int64
		state  media.State
		reason string
	}{
		{"right md5", md5Of(body), 0, media.Stored, ""},
		{"wrong md5", md5Of(nil), 0, media.Mismatch, media.ReasonMD5},
		{"right size", "", int64(len(body)), media.Stored, ""},
		{"wrong size", "", 7, media.Mismatch, media.ReasonSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = c.md5, c.size
			b.register(f)
			end := fmt.Sprintf("Range:bytes=%d-%[1]d", len(body))
			b.answers(func(index string, c media.Chunk, err error) (media.Chunk, error) {
				if index == end {
					return media.Chunk{Finished: true}, nil
				}
				if c.Finished {
					c.Finished, c.Next = false, end
				}
				return c, err
			})
			b.Must(b.fetch(t.Context()))
			b.want(f, c.state, c.reason, body)
		})
	}
}

// A library that repeats itself with places that were never asked for before, or
// with indexes of another form, comes to an end within a few calls.
func TestRepeatingLibraryComesToAnEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(index string, n int) string
	}{
		{"a cycle of twelve opaque indexes", func(_ string, n int) string { return fmt.Sprint("index ", n%12) }},
		{"the same opaque index", func(string, int) string { return "index" }},
		{"one place by several ends", func(_ string, n int) string { return fmt.Sprintf("Range:bytes=0-%d", n) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.fileWithout("f")
			b.register(f)
			n := 0
			b.answers(func(index string, _ media.Chunk, _ error) (media.Chunk, error) {
				n++
				return media.Chunk{Data: make([]byte, chunk), Next: c.next(index, n)}, nil
			})
			b.Must(b.fetch(t.Context()))
			b.want(f, media.Waiting, media.ReasonRepeats, nil)
			if n > 20 {
				t.Errorf("got %d calls, want the repetition noticed", n)
			}
		})
	}
}

// shortTurn is a pass with time for two parts.
func (b *fixture) shortTurn(ctx context.Context, calls *int) error {
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(time.Hour))
	defer cancel()
	deadline, _ := ctx.Deadline()
	begun, now := *calls, b.Clock.Now()
	b.fetcher.Now = func() time.Time {
		if *calls-begun >= 2*part/chunk {
			return deadline // of the pass
		}
		return now
	}
	defer func() { b.fetcher.Now = b.Clock.Now }()
	err := b.fetch(ctx)
	b.Media.Take()
	return err
}

// A large file with a permanently bad chunk is settled, or kept short, also if
// each pass has time for two parts only.
func TestBadChunkOfALargeFile(t *testing.T) {
	body := content(5*part + 9)
	for _, c := range []struct {
		name   string
		answer func(c media.Chunk) (media.Chunk, error)
		state  media.State
		reason string
		left   int
	}{
		{"refused", func(media.Chunk) (media.Chunk, error) { return media.Chunk{}, codeError(10006) }, media.Failed, "sdk_10006", 0},
		{"short", func(c media.Chunk) (media.Chunk, error) {
			c.Data = c.Data[:1000]
			return c, nil
		}, media.Mismatch, media.ReasonSize, len(body) - chunk + 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5 = ""
			b.register(f)
			calls := 0
			b.answers(func(index string, got media.Chunk, err error) (media.Chunk, error) {
				calls++
				if strings.HasPrefix(index, fmt.Sprintf("Range:bytes=%d-", 4*part+chunk)) {
					return c.answer(got)
				}
				return got, err
			})
			passes := b.fetchUntilSettled(f, func(ctx context.Context) error { return b.shortTurn(ctx, &calls) })
			if row := b.row(f); row.State != c.state || row.Reason != c.reason {
				t.Errorf("got %s, %q after %d passes; want %s, %q", row.State, row.Reason, passes, c.state, c.reason)
			}
			if object, _ := b.Objects.Object(archivetest.Corp, f.ID); len(object) != c.left {
				t.Errorf("got %d bytes kept, want %d", len(object), c.left)
			}
		})
	}
}
