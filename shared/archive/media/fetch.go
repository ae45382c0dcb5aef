package media

import (
	"context"
	"crypto/md5"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A MediaLedger is what the fetcher needs of the ledger. Safe for concurrent
// use.
type Ledger interface {
	// PullState reads the state last saved; a zero state with Corp set if none.
	PullState(ctx context.Context, corp string) (archive.PullState, error)
}

// The fetcher's times and bounds.
const (
	// MediaCallTimeout is how long the library may take for one chunk.
	CallTimeout = 40 * time.Second
	// fetchMargin before the deadline no chunk is begun: it is time for Init, a
	// chunk, and a part to become durable.
	fetchMargin = archive.CallTimeout + CallTimeout + 15*time.Second

	partSize  = 5 << 20   // the least that S3 takes, ten chunks
	chunkSize = 512 << 10 // the most that WeCom gives
	dueRead   = 50
	// maxFailures of our own stores end a round.
	maxFailures = 3
	// A file of which chunks stay this small on average never ends.
	fairChunk  = 64 << 10
	fairChunks = 64
	// lastingTries is how often in a row a file fails at the least before it is
	// given up; from then on it waits for the longest pause.
	lastingTries      = 5
	restartAfterTries = 3 // of these tries: the next one begins at the first byte
	// fileGrace is how long a file is still asked for after WeCom should have
	// deleted it.
	grace = 24 * time.Hour
	// maxBroken files in a round that the library cannot bear are none of
	// theirs: it is the library that is broken.
	maxBroken = 2

	// MaxFileSize is the largest file that is fetched.
	MaxSize = 4 << 30
)

// filePauses grow with the tries of a file.
var filePauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// A Fetcher brings the files of messages into our own bucket. Its fields never
// change; it may be used concurrently for different corps and lanes.
type Fetcher struct {
	Corps   archive.CorpReader
	Secrets archive.SecretReader
	Ledger  Ledger
	Gate    *archive.Gate
	Sources Sources
	Files   Table
	Objects Store
	Queue   Queue
	MaxSize int64 // of a file, in bytes; [MaxSize] but in tests
	Now     func() time.Time
	Sleep   func(context.Context, time.Duration) error // returns early with the context's error
	Log     *slog.Logger
}

// Fetch downloads what waits in a lane of a corp and is due, the most urgent
// first. If ctx has a deadline it stops in time and requests the rest.
//
// The order of writes for a file: each part, then the resume point on the row;
// at the end the object, then the row with what it became, then the lists. A
// crash anywhere leaves a file that waits, with a resume point that the store
// holds; at worst the chunks after it are fetched again. Who comes second to a
// row finds it changed and leaves the file to the other.
//
// What is wrong with a file is recorded on its row, and what is wrong with
// the corp costs no file a try; neither is an error. An error means that our
// own stores failed; the request should then be tried again.
func (f *Fetcher) Fetch(ctx context.Context, req Request) error {
	corp, err := f.Corps.Corp(ctx, req.Corp)
	if errors.Is(err, archive.ErrNotFound) {
		f.Log.WarnContext(ctx, "files of a corp that is not registered", "corp", req.Corp)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read corp: %w", err)
	}
	state, err := f.Ledger.PullState(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read pull state: %w", err)
	}
	d := &fetch{Fetcher: f, corp: corp.ID, lane: req.Lane, seen: make(map[string]bool), made: make(map[State]int)}
	if d.held = FetchBlockedBy(corp, state); d.held == "" {
		if err := d.open(ctx); err != nil {
			return err
		}
	}
	begun := f.Now()
	more, err := d.run(ctx)
	f.Log.InfoContext(ctx, "fetched", "corp", corp.ID, "lane", req.Lane, "files", d.made, "bytes", d.bytes,
		"cause", d.held, "more", more, "elapsed", f.Now().Sub(begun))
	if err != nil {
		return err
	}
	if more {
		if err := f.Queue.RequestMedia(ctx, Request{Corp: corp.ID, Lane: req.Lane}); err != nil {
			return fmt.Errorf("request the rest: %w", err)
		}
	}
	return nil
}

// MediaHeld is why no file of the corp is asked for now; empty if all is well.
//
// GetMediaData has no documented code for a refused secret (wecom.md 10.9), so
// asking for files with one could go on unseen until our address is banned (law
// 8). Only the puller tries secrets: files are fetched with the one that
// worked last, and while the corp has no trouble that would be theirs too.
func FetchBlockedBy(c archive.Corp, s archive.PullState) archive.Cause {
	if t := s.Trouble; t != nil {
		switch t.Cause {
		case archive.CauseLibraryCrash, archive.CauseBadAnswer, archive.CauseRecordTooLarge, archive.CauseUnknownResponse: // about pages
		default:
			return t.Cause
		}
	}
	if !s.Works(c.SecretSetAt) {
		return archive.CauseSecret
	}
	return ""
}

// fetch is one round in one lane.
type fetch struct {
	*Fetcher
	corp   string
	lane   int
	source Source
	held   archive.Cause // no more files are asked for, for this reason
	broken int           // files with which the library crashed, confirmed, or hung
	seen   map[string]bool
	buf    []byte // one part, used for one file after the other

	made  map[State]int
	bytes int64
}

func (d *fetch) open(ctx context.Context) error {
	archiveSecret, err := d.Secrets.ArchiveSecret(ctx, d.corp)
	if errors.Is(err, archive.ErrNotFound) {
		d.held = archive.CauseSecretMissing
		return nil
	}
	if err != nil {
		return fmt.Errorf("read archive secret: %w", err)
	}
	if d.source, err = d.Sources.MediaSource(ctx, d.corp, archiveSecret); err != nil {
		return fmt.Errorf("start the library: %w", err)
	}
	return nil
}

func (d *fetch) nearlyOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && deadline.Sub(d.Now()) < fetchMargin
}

// run fetches until nothing is due, the corp is held, or time is nearly up,
// which it reports by more. Each file has one turn. A store that fails with one
// file may be well with the next: only some failures end the round.
func (d *fetch) run(ctx context.Context) (more bool, err error) {
	var errs []error
	for {
		due, err := d.Files.DueFiles(ctx, d.corp, d.lane, d.Now(), dueRead+len(d.seen))
		if err != nil {
			return false, errors.Join(append(errs, fmt.Errorf("list waiting files: %w", err))...)
		}
		fresh := false
		for _, id := range due {
			if d.seen[id] {
				continue
			}
			if d.nearlyOver(ctx) {
				return true, errors.Join(errs...)
			}
			d.seen[id], fresh = true, true
			done, err := d.file(ctx, id)
			if err != nil {
				errs = append(errs, fmt.Errorf("file %s: %w", id, err))
				if ctx.Err() != nil || len(errs) == maxFailures {
					return false, errors.Join(errs...)
				}
			} else if !done {
				return d.held == "", errors.Join(errs...)
			}
		}
		if !fresh {
			return false, errors.Join(errs...)
		}
	}
}

// file gives a file its turn. done is false if the round is to end.
func (d *fetch) file(ctx context.Context, id string) (done bool, err error) {
	row, err := d.Files.File(ctx, d.corp, id)
	if errors.Is(err, archive.ErrNotFound) {
		d.Log.ErrorContext(ctx, "a file is listed that the table does not have", "corp", d.corp, "file", id)
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read row: %w", err)
	}
	if row.State != Waiting {
		// Whoever saved it did not come to the lists.
		return true, d.list(ctx, row)
	}
	if d.held != "" {
		// Only what is past all hope is settled: at the first that is not, most
		// urgent first, the round ends. Another behind it can wait for the next.
		if d.Now().Before(row.giveUpAt()) {
			return false, nil
		}
		return true, d.settle(ctx, row, Expired, string(d.held))
	}
	t := &transfer{fetch: d, row: row}
	end, err := t.run(ctx)
	if errors.Is(err, archive.ErrConflict) {
		d.Log.InfoContext(ctx, "file is fetched by somebody else", "corp", d.corp, "file", id)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	switch end.kind {
	case endOfTime:
		return false, nil
	case endOfFile:
		if err := d.settle(ctx, t.row, end.state, end.reason); err != nil {
			return true, err
		}
		return true, t.discard(ctx, t.at.Upload)
	case endOfTry:
		if end.broken {
			d.broken++
		}
		if !end.broken || d.broken < maxBroken {
			row, err := d.postpone(ctx, t.row, end)
			if err != nil || row.Resume != nil {
				return true, err
			}
			return true, t.discard(ctx, t.at.Upload)
		}
		end.reason = string(archive.CauseLibraryCrash)
	}
	// The corp's trouble: the file keeps its tries, and comes back when the
	// puller has had time to see the same.
	d.held = archive.Cause(end.reason)
	t.row.NotBefore, t.row.Reason = d.Now().Add(filePauses[1]), end.reason
	return false, d.save(ctx, t.row)
}

// settle saves what became of a file. Where nothing new was stored, the bucket
// is asked what it has: a mismatch that was kept, or, after a crash between the
// object and the row that says so, what WeCom may have deleted since.
func (d *fetch) settle(ctx context.Context, row File, state State, reason string) error {
	news := true
	if kept := row.Stored; kept == nil || kept.Differs != "" {
		got, err := d.object(ctx, row.ID)
		switch {
		case errors.Is(err, archive.ErrNotFound):
			row.Stored = nil
		case err != nil:
			return err
		case kept != nil && got.MD5 == kept.MD5:
			state, reason, news = Mismatch, kept.Differs, false
			got.At = kept.At
			row.Stored = &got
		default:
			state, reason = row.compare(got)
			row.Stored = &got
		}
	}
	row.State, row.Reason, row.Resume, row.Tries, row.Reached = state, reason, nil, 0, 0
	if err := d.save(ctx, row); err != nil {
		return err
	}
	d.made[state]++
	if state != Stored && news { // a mismatch that it was before is told already
		d.Log.ErrorContext(ctx, "file is not whole", "corp", d.corp, "file", row.ID, "state", state, "reason", reason,
			"msgid", row.From.MsgID, "seq", row.From.Seq)
	}
	return nil
}

// object is what the bucket holds of a file; [archive.ErrNotFound]. It is read to its
// end, which only happens where a row and its object part.
func (d *fetch) object(ctx context.Context, id string) (Object, error) {
	body, err := d.Objects.OpenFile(ctx, d.corp, id)
	if err != nil {
		return Object{}, fmt.Errorf("look for the object: %w", err)
	}
	defer func() { _ = body.Close() }()
	head := make([]byte, SniffLen)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Object{}, fmt.Errorf("read object: %w", err)
	}
	sum := md5.New()
	_, _ = sum.Write(head[:n]) // a hash never fails
	rest, err := io.Copy(sum, body)
	if err != nil {
		return Object{}, fmt.Errorf("read object: %w", err)
	}
	return Object{
		Size: int64(n) + rest,
		MD5:  hex.EncodeToString(sum.Sum(nil)),
		Type: Sniff(head[:n]),
		At:   d.Now().UTC().Truncate(time.Millisecond),
	}, nil
}

// postpone lets a file that could not be fetched wait for another try. While
// WeCom may have it, no failure is final: one that lasts for hours may be the
// library's or WeCom's, and would cost every file that is due in them. The row
// that it returns has no resume point if the parts are of no more use.
func (d *fetch) postpone(ctx context.Context, row File, e end) (File, error) {
	row.Tries++
	if row.Tries >= lastingTries && d.Now().After(row.giveUpAt()) {
		state := Expired
		if e.lasting {
			state = Failed
		}
		row.Resume = nil
		return row, d.settle(ctx, row, state, e.reason)
	}
	if e.lasting && row.Tries == restartAfterTries {
		// Perhaps it is the place that cannot be gone on from.
		row.Resume = nil
	}
	row.Reason = e.reason
	pause := filePauses[min(row.Tries, len(filePauses))-1]
	if e.lasting && row.Tries >= lastingTries {
		pause = filePauses[len(filePauses)-1]
	}
	row.NotBefore = d.Now().Add(pause)
	d.Log.WarnContext(ctx, "file could not be fetched", "corp", d.corp, "file", row.ID, "reason", e.reason, "tries", row.Tries)
	return row, d.save(ctx, row)
}

// save saves a row, and then its place in the lists. Losing to somebody else is
// no failure: they list what they have saved.
func (d *fetch) save(ctx context.Context, row File) error {
	saved, err := d.Files.SaveFile(ctx, row)
	if errors.Is(err, archive.ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save row: %w", err)
	}
	return d.list(ctx, saved)
}

// list brings the lists in line with a row. Of a file that has come onto the
// list of problems the row is looked at once more: who changed it meanwhile may
// have been here before us, and no later look finds what is on that list alone.
func (d *fetch) list(ctx context.Context, row File) error {
	for {
		if err := d.Files.ListFile(ctx, row); err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if row.State == Waiting || row.State == Stored {
			return nil
		}
		now, err := d.Files.File(ctx, d.corp, row.ID)
		if err != nil {
			return fmt.Errorf("read row again: %w", err)
		}
		if now.Rev == row.Rev {
			return nil
		}
		row = now
	}
}

// end is how a turn of a file ended.
type end struct {
	kind    endKind
	state   State // of endOfFile
	reason  string
	lasting bool // of endOfTry: it does not look as if it passed by itself
	broken  bool // of endOfTry: the library cannot bear the file, or any
}

type endKind int

const (
	endOfTime endKind = iota // what is durable is saved; the rest is for the next round
	endOfFile                // the file has a final state
	endOfTry                 // another time
	endOfCorp                // not the file's trouble
)

// transfer is the download of one file.
type transfer struct {
	*fetch
	row File

	// What has been fetched: the durable parts, and behind them buf, which is
	// less than a part and a chunk.
	at  Resume
	sum hash.Hash
	// begun is where the last index began, if it had WeCom's form.
	begun int64
	// followed are digests of the indexes that were followed since this turn
	// began or began again: no whole file needs one twice.
	followed  map[[md5.Size]byte]bool
	startOver int // how often this turn began at the first byte again
	// short is that bytes are missing, as far as the indexes tell, and that the
	// rest is taken all the same; see [transfer.takesShort].
	short bool
}

// run downloads from the resume point to the end. Errors are those of our own
// stores, and [archive.ErrConflict].
func (t *transfer) run(ctx context.Context) (end, error) {
	t.resume()
	for {
		if t.nearlyOver(ctx) {
			return end{kind: endOfTime}, nil
		}
		chunk, bad, err := t.chunk(ctx)
		if err != nil {
			return end{}, err
		}
		if bad != nil {
			return *bad, nil
		}
		t.take(chunk)
		if total := t.at.Bytes + int64(len(t.buf)); total > t.MaxSize {
			return end{kind: endOfFile, state: Failed, reason: ReasonTooLarge}, nil
		} else if t.at.Chunks > fairChunks && total/int64(t.at.Chunks) < fairChunk {
			return end{kind: endOfTry, reason: ReasonDribbles, lasting: true}, nil
		}
		again := false
		var e end
		switch {
		case chunk.Finished:
			e, again, err = t.finish(ctx)
		case len(t.buf) >= partSize:
			again, err = t.part(ctx)
		default:
			continue
		}
		if err != nil {
			return end{}, err
		}
		if again {
			if t.startOver++; t.startOver > maxStartOver {
				t.row.Resume = nil
				return end{kind: endOfTry, reason: ReasonUploads, lasting: true}, nil
			}
			if err := t.restart(ctx); err != nil {
				return end{}, err
			}
		} else if chunk.Finished {
			return e, nil
		}
	}
}

// resume begins where the row says, or at the first byte if what it says is of
// no use, such as a digest in the form of another version of Go.
func (t *transfer) resume() {
	t.buf, t.at, t.begun, t.short, t.sum = t.fetch.buffer(), Resume{}, 0, false, md5.New()
	t.followed = make(map[[md5.Size]byte]bool)
	r := t.row.Resume
	if r == nil || r.Parts < 1 || r.Index == "" {
		return
	}
	sum := md5.New()
	if sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(r.Digest) != nil {
		return
	}
	t.at, t.sum = *r, sum
	var known bool
	t.begun, _, known = indexRange(r.Index)
	t.short = known && t.begun != r.Bytes
}

// buffer is empty, with room for a part and the chunk that fills it.
func (d *fetch) buffer() []byte {
	if d.buf == nil {
		d.buf = make([]byte, 0, partSize+chunkSize)
	}
	return d.buf[:0]
}

// take adds a chunk to what has been fetched.
func (t *transfer) take(c Chunk) {
	if t.at.Bytes == 0 && len(t.buf) == 0 {
		t.at.Type = Sniff(c.Data)
	}
	t.buf = append(t.buf, c.Data...)
	_, _ = t.sum.Write(c.Data) // a hash never fails
	t.fetch.bytes += int64(len(c.Data))
	t.at.Index = c.Next
	t.followed[md5.Sum([]byte(c.Next))] = true
	t.at.Chunks++
	if first, _, ok := indexRange(c.Next); ok {
		t.begun = first
	}
}

var indexForm = regexp.MustCompile(`^Range:bytes=(\d{1,18})-(\d{1,18})$`)

// indexRange is the first and the last byte that an index asks for, if it has
// the form that has been seen; nobody promises it.
func indexRange(index string) (first, last int64, ok bool) {
	m := indexForm.FindStringSubmatch(index)
	if m == nil {
		return 0, 0, false
	}
	first, err := strconv.ParseInt(m[1], 10, 64)
	last, lastErr := strconv.ParseInt(m[2], 10, 64)
	return first, last, err == nil && lastErr == nil
}

// chunk fetches the next chunk, and tries again what may pass by itself: a
// failed chunk does not cost the others. bad says how the turn ends without
// one.
func (t *transfer) chunk(ctx context.Context) (_ Chunk, bad *end, err error) {
	crashes := 0
	for try := 1; ; try++ {
		c, callErr := t.source.MediaChunk(ctx, t.at.Index, t.row.SDKFileID)
		if ctx.Err() != nil {
			return Chunk{}, nil, ctx.Err()
		}
		var again bool
		if callErr == nil {
			if bad = t.fault(c); bad == nil {
				return c, nil, nil
			}
			again = true
		} else if bad, again, err = t.failed(ctx, callErr); err != nil {
			return Chunk{}, nil, err
		}
		if bad.reason == ReasonCrashes {
			// Once more, alone in the fresh process that the call starts: then
			// it is this file that it cannot bear (law 7).
			if crashes++; crashes == 2 {
				return Chunk{}, bad, nil
			}
		}
		if !again || try == archive.Tries || t.nearlyOver(ctx) {
			if bad.reason == ReasonCrashes { // not confirmed
				bad.broken = false
			}
			return Chunk{}, bad, nil
		}
		if err := t.Sleep(ctx, archive.RetryPause); err != nil {
			return Chunk{}, nil, err
		}
	}
}

// fault is what is wrong with a chunk that came without an error; nil for
// nothing.
func (t *transfer) fault(c Chunk) *end {
	reason := ""
	next, _, known := indexRange(c.Next)
	switch {
	case len(c.Data) > chunkSize:
		reason = ReasonTooLarge
	case c.Finished:
	case c.Next == "":
		reason = ReasonNoIndex
	case c.Next == t.at.Index, known && next <= t.begun, t.followed[md5.Sum([]byte(c.Next))]:
		reason = ReasonRepeats
	}
	if reason == "" && !t.fills(c) {
		if t.short = t.short || t.takesShort(); !t.short {
			reason = ReasonSize
		}
	}
	if reason == "" {
		return nil
	}
	return &end{kind: endOfTry, reason: reason, lasting: true}
}

// fills reports whether a chunk is whole, as far as the indexes tell: the next
// begins where it ends, and the last fills what was asked for. Where neither
// md5 nor size is known, nothing else tells that bytes are missing; where they
// are, a file that agrees with them is whole, whatever was asked for.
func (t *transfer) fills(c Chunk) bool {
	end := t.at.Bytes + int64(len(t.buf)+len(c.Data))
	if !c.Finished {
		next, _, known := indexRange(c.Next)
		return !known || next == end
	}
	first, last, known := indexRange(t.at.Index)
	if known && first == last && len(c.Data) == 0 && (t.row.MD5 != "" || t.row.Size > 0) {
		return true // an empty end after the last byte, which md5 or size judge
	}
	return !known || last+1 == end || t.proves(c)
}

// proves reports whether the file with c as its last chunk is what its message
// says.
func (t *transfer) proves(c Chunk) bool {
	sum, err := t.sum.(hash.Cloner).Clone()
	if err != nil {
		return false
	}
	_, _ = sum.Write(c.Data) // a hash never fails
	return t.row.proved(Object{Size: t.at.Bytes + int64(len(t.buf)+len(c.Data)), MD5: hex.EncodeToString(sum.Sum(nil))})
}

// takesShort reports whether what comes is taken though bytes are missing: in
// the last day that WeCom has the file, after enough tries that ended so. Part
// of a file, called a mismatch, is better than none.
func (t *transfer) takesShort() bool {
	return t.row.Reason == ReasonSize && t.row.Tries >= lastingTries && t.Now().After(t.row.Deadline.Add(-grace))
}

// failed reads an error of the library. again says that the same chunk may be
// asked for at once.
func (t *transfer) failed(ctx context.Context, err error) (bad *end, again bool, _ error) {
	var sdk *archive.SDKError
	var crash *archive.CrashError
	var library *archive.LibraryError
	switch {
	case errors.As(err, &sdk):
		return t.refused(ctx, sdk)
	case errors.As(err, &crash) && crash.Op == "GetMediaData":
		t.Log.ErrorContext(ctx, "library failed", "corp", t.corp, "file", t.row.ID, "err", crash)
		if crash.How == archive.Hung {
			return &end{kind: endOfTry, reason: ReasonHangs, lasting: true, broken: true}, false, nil
		}
		return &end{kind: endOfTry, reason: ReasonCrashes, lasting: true, broken: true}, true, nil
	case errors.As(err, &crash):
		t.Log.ErrorContext(ctx, "library failed", "corp", t.corp, "err", crash)
		return &end{kind: endOfCorp, reason: string(archive.CauseLibraryCrash)}, false, nil
	case errors.As(err, &library):
		t.Log.ErrorContext(ctx, "library cannot be used", "corp", t.corp, "err", library)
		return &end{kind: endOfCorp, reason: string(archive.CauseLibraryMissing)}, false, nil
	}
	return nil, false, fmt.Errorf("ask WeCom: %w", err)
}

// refused reads a code of the library. GetMediaData answers no JSON, so
// errcodes come, if at all, as its return code too (wecom.md 1.7).
func (t *transfer) refused(ctx context.Context, e *archive.SDKError) (bad *end, again bool, err error) {
	if e.Op == "GetMediaData" {
		switch e.Code {
		case archive.CodeExpired, 301048:
			return &end{kind: endOfFile, state: Expired, reason: ReasonDeleted}, false, nil
		case 10005:
			return &end{kind: endOfTry, reason: ReasonBadFileID, lasting: true}, false, nil
		}
	}
	cause, respond := archive.Classify(e.Op, e.Code, e.Code >= 10000 && e.Code < 20000)
	switch {
	case respond == archive.RespondRefuse:
		if err := t.Gate.Note(ctx, archive.Trusted, t.corp, "media"); err != nil {
			return nil, false, fmt.Errorf("record refusal: %w", err)
		}
		return &end{kind: endOfCorp, reason: string(cause)}, false, nil
	case e.Op != "GetMediaData" || cause != archive.CauseUnknownResponse && respond != archive.RespondRetry:
		return &end{kind: endOfCorp, reason: string(cause)}, false, nil
	}
	// Single files are known to fail for ever with codes that mean a passing
	// trouble for others (wecom.md 1.7).
	passing := respond == archive.RespondRetry
	return &end{kind: endOfTry, reason: "sdk_" + strconv.Itoa(e.Code), lasting: !passing}, passing, nil
}

// part makes what is in buf durable, and then says so on the row. gone means
// that the upload does not exist any more.
func (t *transfer) part(ctx context.Context) (gone bool, err error) {
	if gone, err := t.upload(ctx); gone || err != nil {
		return gone, err
	}
	digest, err := t.sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return false, fmt.Errorf("digest: %w", err)
	}
	t.at.Digest = digest
	at := t.at
	if t.row.Resume = &at; at.Bytes > t.row.Reached {
		t.row.Reached, t.row.Tries, t.row.Reason = at.Bytes, 0, ""
	}
	t.row, err = t.saved(ctx)
	return false, err
}

func (t *transfer) saved(ctx context.Context) (File, error) {
	row, err := t.Files.SaveFile(ctx, t.row)
	if err != nil {
		return t.row, fmt.Errorf("save resume point: %w", err)
	}
	return row, nil
}

func (t *transfer) upload(ctx context.Context) (gone bool, err error) {
	if t.at.Upload == "" {
		if t.at.Upload, err = t.Objects.BeginUpload(ctx, t.corp, t.row.ID); err != nil {
			return false, fmt.Errorf("begin upload: %w", err)
		}
	}
	err = t.Objects.UploadPart(ctx, t.corp, t.row.ID, t.at.Upload, t.at.Parts+1, t.buf)
	if errors.Is(err, archive.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("upload part %d: %w", t.at.Parts+1, err)
	}
	t.at.Parts++
	t.at.Bytes += int64(len(t.buf))
	t.buf = t.buf[:0]
	return false, nil
}

// finish checks the file and makes it an object. again means that it has to be
// fetched anew.
func (t *transfer) finish(ctx context.Context) (_ end, again bool, err error) {
	got := Object{
		Size: t.at.Bytes + int64(len(t.buf)),
		MD5:  hex.EncodeToString(t.sum.Sum(nil)),
		Type: t.at.Type,
		At:   t.Now().UTC().Truncate(time.Millisecond),
	}
	state, differs := t.row.compare(got)
	if t.short && t.row.MD5 == "" {
		state, differs = Mismatch, ReasonSize
	}
	if state == Mismatch && !t.short && t.row.CompleteDownloads == 0 {
		t.row.CompleteDownloads++
		t.Log.WarnContext(ctx, "file is not what its message says, fetched again", "corp", t.corp, "file", t.row.ID, "reason", differs)
		return end{}, true, nil
	}
	if state == Mismatch || !t.row.proved(got) {
		// What is kept gives way to what is right, or another and no smaller.
		kept, err := t.object(ctx, t.row.ID)
		if err != nil && !errors.Is(err, archive.ErrNotFound) {
			return end{}, false, err
		}
		if err == nil && (got.Size < kept.Size || got.MD5 == kept.MD5) {
			return end{kind: endOfFile, state: state, reason: differs}, false, nil
		}
	}
	if t.at.Parts == 0 {
		if err := t.Objects.PutFile(ctx, t.corp, t.row.ID, t.buf); err != nil {
			return end{}, false, fmt.Errorf("write object: %w", err)
		}
	} else {
		if len(t.buf) > 0 {
			if gone, err := t.upload(ctx); err != nil {
				return end{}, false, err
			} else if gone {
				return t.lost(ctx, got, state, differs)
			}
		}
		err := t.Objects.CompleteUpload(ctx, t.corp, t.row.ID, t.at.Upload, t.at.Parts, t.at.Bytes)
		if errors.Is(err, archive.ErrNotFound) {
			return t.lost(ctx, got, state, differs)
		}
		if errors.Is(err, archive.ErrCorrupt) {
			t.Log.WarnContext(ctx, "parts of a file are gone, fetched again", "corp", t.corp, "file", t.row.ID, "err", err)
			return end{}, true, nil
		}
		if err != nil {
			return end{}, false, fmt.Errorf("complete object: %w", err)
		}
		t.at.Upload = "" // there is nothing to discard
	}
	t.row.Stored = &got
	return end{kind: endOfFile, state: state, reason: differs}, false, nil
}

// lost ends a file whose upload is gone: it was completed before a crash, and
// the object is what has been fetched again; or the parts are lost, and the
// file has to be fetched anew.
func (t *transfer) lost(ctx context.Context, got Object, state State, differs string) (_ end, again bool, err error) {
	kept, err := t.object(ctx, t.row.ID)
	switch {
	case err == nil && kept.MD5 == got.MD5:
		t.row.Stored, t.at.Upload = &got, ""
		return end{kind: endOfFile, state: state, reason: differs}, false, nil
	case err != nil && !errors.Is(err, archive.ErrNotFound):
		return end{}, false, err
	}
	t.Log.WarnContext(ctx, "parts of a file are gone, fetched again", "corp", t.corp, "file", t.row.ID)
	return end{}, true, nil
}

// judge says what a whole file is, by what its message declares: stored, or a
// mismatch with its reason. Where the md5 is right the file is whole, whatever
// the size says; that it says something else is kept as the reason.
func (f File) compare(got Object) (State, string) {
	switch {
	case f.MD5 != "" && !strings.EqualFold(f.MD5, got.MD5):
		return Mismatch, ReasonMD5
	case f.Size > 0 && f.Size != got.Size && f.MD5 == "":
		return Mismatch, ReasonSize
	case f.Size > 0 && f.Size != got.Size:
		return Stored, ReasonSize
	}
	return Stored, ""
}

// proved reports whether the message says enough of the file to know that got
// is whole.
func (f File) proved(got Object) bool {
	state, _ := f.compare(got)
	return state == Stored && (f.MD5 != "" || f.Size > 0)
}

// maxStartOver bounds the new beginnings of one turn: one for a mismatch, one
// for an upload that is gone.
const maxStartOver = 2

// restart begins the file at its first byte. The row forgets the upload before
// that is thrown away: a crash in between leaves parts that the bucket's own
// rule removes, never a resume point without parts.
func (t *transfer) restart(ctx context.Context) error {
	upload := t.at.Upload
	t.row.Resume = nil
	var err error
	if t.row, err = t.saved(ctx); err != nil {
		return err
	}
	if err := t.discard(ctx, upload); err != nil {
		return err
	}
	t.resume()
	return nil
}

// discard throws an upload away that no row names any more.
func (t *transfer) discard(ctx context.Context, upload string) error {
	if upload == "" {
		return nil
	}
	if err := t.Objects.AbortUpload(ctx, t.corp, t.row.ID, upload); err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}
