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

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

const (
	chunk = 512 << 10
	part  = 5 << 20
)

// fixture is the world of a corp whose secret works, and a fetcher.
type fixture struct {
	*archivetest.Fixture
	fetcher *media.Fetcher
}

func newFixture(t testing.TB, f *archivetest.Faults) *fixture {
	b := &fixture{Fixture: archivetest.NewFixture(t, f)}
	b.fetcher = &media.Fetcher{
		Corps: b.Corps, Secrets: b.Secrets, Ledger: b.Ledger, Gate: &archive.Gate{Log: b.Ledger, Now: b.Clock.Now}, Sources: b.Library, Files: b.Files, Objects: b.Objects,
		Queue: media.NewWantedLanes(b.Marks, b.Media, b.Clock.Now), MaxSize: media.MaxSize, Now: b.Clock.Now, Sleep: b.Clock.Sleep, Log: slog.New(slog.DiscardHandler),
	}
	b.trouble("")
	return b
}

// trouble saves what the puller found last; empty for no trouble.
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

// file is a file of lane 0 as a message names it. WeCom has the file.
func (b *fixture) file(name string, body []byte) media.File {
	f := b.fileWithout(name)
	f.MD5, f.Size = md5Of(body), int64(len(body))
	b.Library.PutFile(archivetest.Corp, f.SDKFileID, body)
	return f
}

// fileWithout is a file of lane 0 that WeCom does not know. Its message gives
// neither md5 nor size.
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

// sixFiles registers six files of one byte.
func (b *fixture) sixFiles() []media.File {
	b.T.Helper()
	var files []media.File
	for i := range 6 {
		files = append(files, b.file(fmt.Sprint("f", i, "-"), []byte("x")))
	}
	b.register(files...)
	return files
}

func (b *fixture) register(files ...media.File) {
	b.T.Helper()
	lanes, err := media.Register(b.T.Context(), b.Files, archivetest.Corp, files, false)
	b.Must(err)
	if len(lanes) != 1 || lanes[0] != 0 {
		b.T.Fatalf("got lanes %v, want 0 alone", lanes)
	}
}

// replay registers files as a replay does.
func (b *fixture) replay(files ...media.File) error {
	_, err := media.Register(b.T.Context(), b.Files, archivetest.Corp, files, true)
	return err
}

// settled gives a waiting row a final state, with an object for a mismatch, and
// lists it.
func (b *fixture) settled(f media.File, state media.State, reason string, object []byte) {
	b.T.Helper()
	row := b.row(f)
	row.State, row.Reason, row.CompleteDownloads = state, reason, 1
	if object != nil {
		b.Must(b.Objects.PutFile(b.T.Context(), archivetest.Corp, f.ID, object))
		row.Stored = &media.Object{Size: int64(len(object)), MD5: md5Of(object), SHA256: archive.Digest(object)}
	}
	row, err := b.Files.SaveFile(b.T.Context(), row)
	b.Must(errors.Join(err, b.Files.ListFile(b.T.Context(), row)))
}

func codeError(n int) error { return &archive.SDKError{Op: "GetMediaData", Code: n} }

// answers lets answer change what the library answers for any chunk.
func (b *fixture) answers(answer func(index string, c media.Chunk, err error) (media.Chunk, error)) {
	b.Library.OnMediaChunk = func(_, index, _ string, c media.Chunk, err error) (media.Chunk, error) {
		return answer(index, c, err)
	}
}

// failsWith lets every chunk fail.
func (b *fixture) failsWith(err error) {
	b.answers(func(string, media.Chunk, error) (media.Chunk, error) { return media.Chunk{}, err })
}

func (b *fixture) fetch(ctx context.Context) error {
	return b.fetcher.Fetch(ctx, media.Request{Corp: archivetest.Corp})
}

// fetchUntilSettled fetches, with the pauses that the row asks for, until the
// file does not wait any more. It returns the number of passes, at most 100.
func (b *fixture) fetchUntilSettled(f media.File, fetch func(context.Context) error) (passes int) {
	b.T.Helper()
	for ; b.row(f).State == media.Waiting && passes < 100; passes++ {
		if pause := b.row(f).NotBefore.Sub(b.Clock.Now()); pause > 0 {
			b.Clock.Advance(pause)
		}
		b.Must(fetch(b.T.Context()))
	}
	return passes
}

func (b *fixture) row(f media.File) media.File {
	b.T.Helper()
	row, err := b.Files.File(b.T.Context(), archivetest.Corp, f.ID)
	b.Must(err)
	return row
}

func (b *fixture) backlog() media.Backlog {
	b.T.Helper()
	backlog, err := b.Files.Backlog(b.T.Context(), archivetest.Corp, b.Clock.Now())
	b.Must(err)
	return backlog
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
		sum := strings.ToLower(f.MD5) // right if the file is stored
		if sum == "" || state != media.Stored {
			sum = md5Of(body)
		}
		if row.Stored.Size != int64(len(body)) || row.Stored.MD5 != sum || row.Stored.SHA256 != archive.Digest(body) {
			b.T.Errorf("got %+v on the row, want md5 %s and SHA-256 %s", row.Stored, sum, archive.Digest(body))
		}
	}
	due, err := b.Files.DueFiles(b.T.Context(), archivetest.Corp, 0, row.NotBefore, 100)
	b.Must(err)
	if slices.Contains(due, f.ID) != (state == media.Waiting) {
		b.T.Errorf("got a file in state %s listed as waiting: %v", state, due)
	}
	return row
}

func (b *fixture) wantNoUploads() {
	b.T.Helper()
	if n := b.Objects.Uploads(); n != 0 {
		b.T.Errorf("got %d uploads left, want none", n)
	}
}

// onError is a log that calls f for each error.
func onError(f func()) slog.Handler {
	return slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			f()
		}
		return a
	}})
}
