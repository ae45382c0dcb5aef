package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A Ledger is the part of the ledger that the fetcher reads. Safe for
// concurrent use.
type Ledger interface {
	// PullState reads the last saved state, or returns a zero state with Corp set
	// if none was saved.
	PullState(ctx context.Context, corp string) (archive.PullState, error)
}

// LaneQueue says which lanes are wanted. [archive.Wanted] has the contract of Take.
type LaneQueue interface {
	Queue
	Take(ctx context.Context, req Request) (Request, error)
}

const (
	// CallTimeout is how long the library may take for one chunk.
	CallTimeout = 40 * time.Second
	// MaxSize is the largest file that is fetched, in bytes.
	MaxSize = 4 << 30

	// A pass begins no chunk within fetchMargin of its deadline: that is time to
	// end a process of another corp, to start one, for Init and a chunk, to end the
	// process if it hangs, and for a part to become durable.
	fetchMargin = archive.StartTimeout + archive.InitTimeout + CallTimeout + 2*archive.KillTimeout + 15*time.Second
	// dueRead is how many due files a pass reads at a time.
	dueRead = 50
	// A pass ends after maxFailures failures of our own stores.
	maxFailures = 3
	// If maxBroken files of one pass break the library, the library itself is the
	// problem, not the files.
	maxBroken = 2
)

// A Fetcher brings the files of messages into our own bucket. Its fields never
// change. It may be used concurrently for different corps and lanes.
type Fetcher struct {
	Corps   archive.CorpReader
	Secrets archive.SecretReader
	Ledger  Ledger
	Gate    *archive.Gate
	Sources Sources
	Files   Table
	Objects Store
	Queue   LaneQueue
	MaxSize int64 // of a file, in bytes; [MaxSize] except in tests
	Now     func() time.Time
	Sleep   func(context.Context, time.Duration) error // returns early with the context's error
	Log     *slog.Logger
}

// Fetch downloads the files of a lane that wait and are due, the most urgent
// first. If ctx has a deadline, Fetch stops in time and requests the rest.
//
// The order of writes for a file is: each part, then the resume point on the
// row; at the end the object, then the row with its final state, then the lists.
// A crash anywhere leaves a file that waits, with a resume point that the store
// holds: at worst the chunks after the resume point are fetched again. If
// another fetcher has changed the row, this one stops: the other fetcher owns
// the file.
//
// Trouble of a file is recorded on its row. Trouble of the corp does not count
// as a try of any file. Neither trouble is an error. An error means that our
// own stores failed; the request should then be tried again.
func (f *Fetcher) Fetch(ctx context.Context, req Request) error {
	// From here on, new work for the lane sends a request of its own.
	req, err := f.Queue.Take(ctx, req)
	if err != nil {
		return err
	}
	corp, err := f.Corps.Corp(ctx, req.Corp)
	if errors.Is(err, archive.ErrNotFound) {
		f.Log.WarnContext(ctx, "media request of an unregistered corp", "corp", req.Corp)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read corp: %w", err)
	}
	state, err := f.Ledger.PullState(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read pull state: %w", err)
	}
	p := &pass{Fetcher: f, corp: corp.ID, lane: req.Lane, seen: make(map[string]bool), made: make(map[State]int)}
	if p.blocked = FetchBlockedBy(corp, state); p.blocked == "" {
		if err := p.open(ctx, corp.SecretSetAt); err != nil {
			return err
		}
	}
	begun := f.Now()
	more, err := p.run(ctx)
	f.Log.InfoContext(ctx, "fetched", "corp", corp.ID, "lane", req.Lane, "files", p.made, "bytes", p.bytes,
		"cause", p.blocked, "more", more, "elapsed", f.Now().Sub(begun))
	if err != nil {
		return err
	}
	if more {
		// A crash here loses only the request. Dispatch finds the waiting files.
		if err := f.Queue.RequestMedia(ctx, Request{Corp: corp.ID, Lane: req.Lane}); err != nil {
			return fmt.Errorf("request the rest: %w", err)
		}
	}
	return nil
}

// FetchBlockedBy returns why files of the corp are not fetched now, or an empty
// cause if nothing blocks.
//
// GetMediaData has no documented code for a refused secret (wecom.md 10.9). A
// fetcher could use a wrong secret unnoticed until WeCom bans our address (law
// 8). So only the puller tries secrets: files are fetched only if the puller's
// last use of the present secret worked, and only while the corp has no trouble
// that would also stop files.
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

// pass is one run through the files of a lane.
type pass struct {
	*Fetcher
	corp    string
	lane    int
	source  Source
	blocked archive.Cause // why WeCom is not asked; empty while nothing blocks
	broken  int           // files that made the library hang, or crash twice
	seen    map[string]bool
	buf     []byte // of one part; each transfer of the pass uses it in turn

	made  map[State]int
	bytes int64
}

func (p *pass) open(ctx context.Context, setAt time.Time) error {
	archiveSecret, err := p.Secrets.ArchiveSecret(ctx, p.corp, setAt)
	if errors.Is(err, archive.ErrNotFound) {
		p.blocked = archive.CauseSecretMissing
		return nil
	}
	if err != nil {
		return fmt.Errorf("read archive secret: %w", err)
	}
	if p.source, err = p.Sources.MediaSource(ctx, p.corp, archiveSecret); err != nil {
		return fmt.Errorf("start the library: %w", err)
	}
	return nil
}

func (p *pass) timeUp(ctx context.Context) bool {
	return archive.NearlyOver(ctx, p.Now(), fetchMargin)
}

// run fetches until no file is due, the corp is blocked, or time is up. more
// says that files are left which the next pass can fetch. Each file has one
// turn. Our store may fail for one file and work for the next: the pass ends
// only after maxFailures failures.
func (p *pass) run(ctx context.Context) (more bool, err error) {
	var errs []error
	for {
		due, err := p.Files.DueFiles(ctx, p.corp, p.lane, p.Now(), dueRead+len(p.seen))
		if err != nil {
			return false, errors.Join(append(errs, fmt.Errorf("list waiting files: %w", err))...)
		}
		fresh := false
		for _, id := range due {
			if p.seen[id] {
				continue
			}
			if p.timeUp(ctx) {
				return true, errors.Join(errs...)
			}
			p.seen[id], fresh = true, true
			goOn, err := p.turn(ctx, id)
			if err != nil {
				errs = append(errs, fmt.Errorf("file %s: %w", id, err))
				if ctx.Err() != nil || len(errs) == maxFailures {
					return false, errors.Join(errs...)
				}
			} else if !goOn {
				return p.blocked == "", errors.Join(errs...)
			}
		}
		if !fresh {
			return false, errors.Join(errs...)
		}
	}
}

// turn gives one file its turn. goOn is false if the run ends after it.
func (p *pass) turn(ctx context.Context, id string) (goOn bool, err error) {
	row, err := p.Files.File(ctx, p.corp, id)
	if errors.Is(err, archive.ErrNotFound) {
		p.Log.ErrorContext(ctx, "listed file missing from the table", "corp", p.corp, "file", id)
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read row: %w", err)
	}
	if row.State != Waiting || row.NotBefore.After(p.Now()) {
		// The fetcher that saved the row crashed before it updated the lists.
		return true, p.list(ctx, row)
	}
	t := p.transfer(ctx, row)
	defer func() { p.bytes += t.fetched }()
	for due := true; due; due = row.State == Waiting && !row.NotBefore.After(p.Now()) {
		o, err := p.step(ctx, t, row)
		if err != nil {
			return false, err
		}
		if o.End == TimeUp {
			return false, nil // the row has the resume point of all durable bytes
		}
		if o.End == CorpBlocked && next(row, o, p.Now()).State == Waiting {
			// WeCom may still have this file. The other files are less urgent, so they
			// wait, too.
			return false, nil
		}
		row, err = p.apply(ctx, t, row, o)
		if errors.Is(err, archive.ErrConflict) {
			p.Log.InfoContext(ctx, "file changed by another fetcher", "corp", p.corp, "file", id)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if o.End == CorpTrouble {
			return false, nil
		}
	}
	return true, nil
}

func (p *pass) transfer(ctx context.Context, row File) *transfer {
	if p.buf == nil && p.blocked == "" {
		p.buf = make([]byte, 0, partSize+chunkSize)
	}
	t := &transfer{
		asker:   &asker{source: p.source, timeUp: func() bool { return p.timeUp(ctx) }, sleep: p.Sleep, log: p.Log},
		store:   p.Objects,
		maxSize: p.MaxSize,
		buf:     p.buf,
	}
	if row.Resume != nil {
		t.at.Upload = row.Resume.Upload // to be discarded if nothing is downloaded
	}
	return t
}

// step downloads up to one more part of a file, unless the corp is blocked.
func (p *pass) step(ctx context.Context, t *transfer, row File) (Outcome, error) {
	if p.blocked != "" {
		return Outcome{End: CorpBlocked, Reason: string(p.blocked)}, nil
	}
	o, err := t.download(ctx, row, row.mayBeShort(p.Now()))
	if err != nil {
		return Outcome{}, err
	}
	if o.Broken {
		if p.broken++; p.broken == maxBroken {
			o = Outcome{End: CorpTrouble, Reason: string(archive.CauseLibraryCrash)}
		}
	}
	if o.End == CorpTrouble {
		p.blocked = archive.Cause(o.Reason)
	}
	if o.Refused {
		// A crash here leaves a refusal uncounted. The pass ends in any case.
		if err := p.Gate.Note(ctx, archive.Trusted, p.corp, "media"); err != nil {
			return Outcome{}, fmt.Errorf("record refusal: %w", err)
		}
	}
	return o, nil
}

// apply writes what follows from an outcome, in this order: the object, the
// row, the lists. At the end it discards an upload that the row no longer
// names. It returns [archive.ErrConflict] if another fetcher has changed the
// row.
func (p *pass) apply(ctx context.Context, t *transfer, before File, o Outcome) (File, error) {
	row, err := p.follow(ctx, t, before, o)
	if err != nil {
		return before, err
	}
	// A crash here leaves an object that the row does not name. The next download
	// finds the object, and so does the policy when it gives the file up.
	if row, err = p.Files.SaveFile(ctx, row); err != nil {
		return before, fmt.Errorf("save row: %w", err)
	}
	p.report(ctx, before, row)
	// A crash here leaves a file on the list of due files although it is finished
	// or paused. The next pass corrects the list, and does not log the report
	// again.
	if row.State != Waiting || row.NotBefore.After(p.Now()) {
		if err := p.list(ctx, row); err != nil {
			return row, err
		}
	}
	if row.Resume == nil {
		return row, t.discard(ctx, row)
	}
	return row, nil
}

// follow returns the row after an outcome. It reads the bucket if the row
// depends on the bucket, writes the object that the row names, and asks the
// store for the object's checksum.
func (p *pass) follow(ctx context.Context, t *transfer, before File, o Outcome) (row File, err error) {
	now := p.Now()
	at := now.UTC().Truncate(time.Millisecond)
	o.Got.At = at
	row = next(before, o, now)
	if needsKept(row, o) {
		kept, err := readObject(ctx, p.Objects, before)
		if err == nil {
			kept.At = at
			o.Kept = &kept
		} else if !errors.Is(err, archive.ErrNotFound) {
			return before, err
		}
		row = next(before, o, now)
	}
	if mustWrite(row, o) {
		lost, err := t.write(ctx, before, o.Got)
		if err != nil {
			return before, err
		}
		if lost {
			return p.follow(ctx, t, before, Outcome{End: UploadLost})
		}
	}
	if row.State == Waiting || row.Stored == nil {
		return row, nil
	}
	object := *row.Stored
	if _, object.Checksum, err = p.Objects.StatFile(ctx, row.Corp, row.ID); err != nil {
		return before, fmt.Errorf("read checksum: %w", err)
	}
	row.Stored = &object
	return row, nil
}

// report counts and logs the new state of a file, and failed tries. A mismatch
// that was reported before is not reported again.
func (p *pass) report(ctx context.Context, before, row File) {
	state := row.State
	if state != Waiting {
		p.made[state]++
	}
	switch {
	case state == Stored:
	case state != Waiting:
		if before.Stored == nil || row.Stored == nil || before.Stored.MD5 != row.Stored.MD5 {
			p.Log.ErrorContext(ctx, "file is not whole", "corp", p.corp, "file", row.ID, "state", state, "reason", row.Reason,
				"msgid", row.From.MsgID, "seq", row.From.Seq)
		}
	case row.CompleteDownloads > before.CompleteDownloads:
		p.Log.WarnContext(ctx, "file differs from its message, download repeated", "corp", p.corp, "file", row.ID)
	case row.Tries > before.Tries:
		p.Log.WarnContext(ctx, "file could not be fetched", "corp", p.corp, "file", row.ID, "reason", row.Reason, "tries", row.Tries)
	case row.Reason == ReasonUploads && row.Resume == nil:
		p.Log.WarnContext(ctx, "uploaded parts missing, download repeated", "corp", p.corp, "file", row.ID)
	}
}

// list updates the lists from a row. If the file came onto the list of
// problems, the row is read once more: another writer may have changed the row
// meanwhile and updated the lists first. No later pass would correct this,
// because passes look only at the list of waiting files.
func (p *pass) list(ctx context.Context, row File) error {
	for {
		if err := p.Files.ListFile(ctx, row); err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if row.State == Waiting || row.State == Stored {
			return nil
		}
		now, err := p.Files.File(ctx, p.corp, row.ID)
		if err != nil {
			return fmt.Errorf("read row again: %w", err)
		}
		if now.Rev == row.Rev {
			return nil
		}
		row = now
	}
}
