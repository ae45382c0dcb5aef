package media

import (
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// The times and bounds of the policy.
const (
	// grace is extra time: we go on asking for a file this long after the time at
	// which WeCom should have deleted it.
	grace = 24 * time.Hour
	// enoughTries is the smallest number of failed tries in a row after which a
	// file may be given up, or stored although bytes are missing. From then on a
	// lasting failure pauses the file for the longest pause.
	enoughTries = 5
	// After restartAfterTries failed tries in a row, if the last failure looks
	// lasting, the next download begins at the first byte: the resume point itself
	// may be the cause.
	restartAfterTries = 3
	// corpPause is how long a file waits after it met a trouble of the corp. In this
	// time pull records the trouble, which then blocks all files of the corp.
	corpPause = 5 * time.Minute
)

// pauses are the times between the tries of a file. The last pause repeats.
var pauses = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// Outcome is what happened to a file that waits. [next] says what follows.
type Outcome struct {
	End    End
	Reason string // of TryFailed, CorpTrouble and CorpBlocked
	// Lasting, of TryFailed, says that the failure does not look temporary.
	Lasting bool
	// Broken, of TryFailed, says that the library hung, or crashed twice, with
	// this file.
	Broken bool
	// Refused, of CorpTrouble, says that WeCom refused the secret (law 8).
	Refused bool
	Resume  Resume // of PartStored
	Got     Object // of Complete
	// Short (with End == Complete) says that, by the index ranges, bytes are
	// missing. Only a download that is allowed to be short may end this way: see
	// [File.mayBeShort].
	Short bool
	// Kept is the object that the bucket holds; nil if there is no object, or if
	// the outcome does not depend on the bucket (see [needsKept]).
	Kept *Object
}

// End is how a step of a download ended, or why there was no step.
type End int

// The ends.
const (
	TimeUp       End = iota // the pass has no time for another chunk
	PartStored              // one more part is durable
	Complete                // the last byte has come; the object is not written yet
	UploadLost              // the store does not hold the upload's parts
	TryFailed               // the download cannot go on: a chunk failed, or the file would never finish
	FileDeleted             // WeCom says that it has deleted the file
	FileTooLarge            // more bytes than we store
	CorpTrouble             // the corp has a trouble, or the library fails with every file
	CorpBlocked             // the corp's trouble is known: WeCom was not asked
)

// next returns the row of a file after an outcome. It is pure and holds every
// rule: which state a file has, when it is tried again, when it is given up,
// and which bytes are kept of it.
//
// The caller reads the bucket first if [needsKept] says so, and writes the
// object before the row if [mustWrite] says so.
func next(f File, o Outcome, now time.Time) File {
	switch o.End {
	case PartStored:
		return f.afterPart(o.Resume)
	case Complete:
		return f.afterDownload(o)
	case UploadLost:
		return f.afterLoss(o, now)
	case TryFailed:
		return f.afterFailure(o, now)
	case FileDeleted:
		return f.settleWith(o.Kept, Expired, ReasonDeleted)
	case FileTooLarge:
		return f.settleWith(o.Kept, Failed, ReasonTooLarge)
	case CorpTrouble:
		// The corp's trouble does not count as a try of the file.
		f.Reason, f.NotBefore = o.Reason, now.Add(corpPause)
	case CorpBlocked:
		// WeCom may have the file until giveUpAt, so until then the file waits for
		// the end of the corp's trouble.
		if !now.Before(f.giveUpAt()) {
			return f.settleWith(o.Kept, Expired, o.Reason)
		}
	}
	return f
}

// needsKept reports whether the row after an outcome depends on what the bucket
// holds. It does for every final state except a complete download whose md5 or
// size the message confirms. The bucket may hold a mismatch that was kept, or
// an object that was written before a crash and that the row does not name.
func needsKept(after File, o Outcome) bool {
	return after.State != Waiting && !(o.End == Complete && after.State == Stored && after.proves(o.Got))
}

// mustWrite reports whether the row names bytes that the bucket does not hold
// yet.
func mustWrite(after File, o Outcome) bool {
	names := o.End == Complete && after.State != Waiting && after.Stored != nil && after.Stored.MD5 == o.Got.MD5
	return names && (o.Kept == nil || o.Kept.MD5 != o.Got.MD5)
}

// afterPart returns the row with one more part. Bytes stored for the first time
// count as progress and reset the try count. Fetching the same bytes again is not
// progress: otherwise a large file with one bad chunk would be tried without end.
func (f File) afterPart(r Resume) File {
	if f.Resume = &r; r.Bytes > f.Reached {
		f.Reached, f.Tries, f.Reason = r.Bytes, 0, ""
	}
	return f
}

// afterDownload returns the row after the last byte has come.
//
// A first mismatch may be a bad transfer (wecom.md 1.7): the file stays due and
// is downloaded again from the first byte. A second mismatch is kept. A short
// file is not downloaded again: enough tries failed before.
func (f File) afterDownload(o Outcome) File {
	got := o.Got
	state, reason := f.compare(got)
	if o.Short && f.MD5 == "" {
		// The right size proves nothing: bytes may be missing in one place and
		// doubled in another.
		state, reason = Mismatch, ReasonSize
	}
	if state == Mismatch && !o.Short && f.CompleteDownloads == 0 {
		f.CompleteDownloads++
		f.Resume = nil
		return f
	}
	proved := state == Stored && f.proves(got)
	switch kept := o.Kept; {
	case proved || kept == nil:
	case kept.MD5 == got.MD5:
		if f.Stored != nil {
			got.At = f.Stored.At // the bucket has had these bytes since then
		}
		f.Stored = &got
		return f.settle(state, reason)
	case got.Size < kept.Size:
		// Without proof, a smaller download never replaces a larger object.
		return f.settleWith(kept, state, reason)
	}
	f.Stored = &got
	return f.settle(state, reason)
}

// afterLoss returns the row after the upload was lost, for example by the
// bucket's lifecycle rule for old uploads. The first loss does not count as a
// try: the file stays due, and its download starts again. A second loss without
// progress in between is a failed try.
func (f File) afterLoss(o Outcome, now time.Time) File {
	f.Resume = nil
	if f.Reason == ReasonUploads {
		return f.afterFailure(Outcome{Reason: ReasonUploads, Lasting: true, Kept: o.Kept}, now)
	}
	f.Reason = ReasonUploads
	return f
}

// afterFailure returns the row after a failed try. While WeCom may have the
// file, no failure is final: the cause of a failure that lasts for hours may be
// the library or WeCom, and every file that is due in these hours would be
// lost.
func (f File) afterFailure(o Outcome, now time.Time) File {
	f.Tries++
	if f.Tries >= enoughTries && now.After(f.giveUpAt()) {
		if o.Lasting {
			return f.settleWith(o.Kept, Failed, o.Reason)
		}
		return f.settleWith(o.Kept, Expired, o.Reason)
	}
	if o.Lasting && f.Tries == restartAfterTries {
		f.Resume = nil
	}
	pause := pauses[min(f.Tries, len(pauses))-1]
	if o.Lasting && f.Tries >= enoughTries {
		pause = pauses[len(pauses)-1]
	}
	f.Reason, f.NotBefore = o.Reason, now.Add(pause)
	return f
}

// settleWith returns the final row of a file whose download is not stored. The
// given state and reason are used only if the bucket has no object. If the
// bucket has the object of an earlier mismatch, the file stays a mismatch; any
// other object is compared with the message.
func (f File) settleWith(kept *Object, state State, reason string) File {
	before := f.Stored
	f.Stored = nil
	if kept == nil {
		return f.settle(state, reason)
	}
	object := *kept
	f.Stored = &object
	if before != nil && before.MD5 == object.MD5 {
		object.At = before.At
		return f.settle(Mismatch, before.Differs)
	}
	return f.settle(f.compare(object))
}

// settle returns the row with a new state. It clears the fields that only a
// file in work needs.
func (f File) settle(state State, reason string) File {
	f.State, f.Reason, f.Resume, f.Tries, f.Reached = state, reason, nil, 0, 0
	return f
}

// mayBeShort reports whether the next download may be completed although bytes
// are missing. This is allowed from one day before the deadline, if enough
// tries failed and the last try ended with missing bytes. An incomplete file,
// stored as a mismatch, is better than nothing.
func (f File) mayBeShort(now time.Time) bool {
	return f.Reason == ReasonSize && f.Tries >= enoughTries && now.After(f.Deadline.Add(-grace))
}

// giveUpAt returns the time at which a file that could not be fetched is given up.
// By then WeCom has deleted the file, whether its 120 hours begin with the message
// or with the pull of the newest message that names it.
func (f File) giveUpAt() time.Time {
	until := f.Deadline
	if asked := f.Registered.Add(archive.Retention); asked.After(until) {
		until = asked
	}
	return until.Add(grace)
}

// Waits reports whether the file waits and WeCom may still have it. A verification
// believes nothing else: a writer of the row could hide an object for ever.
func (f File) Waits(now time.Time) bool {
	return f.State == Waiting && !f.Registered.After(now) && now.Before(f.Registered.Add(archive.Retention+grace))
}

// compare decides the state of a complete file from what its message says:
// stored, or a mismatch with its reason. A file with the right md5 is complete,
// even if its size differs from the size in the message; the difference is
// recorded as the reason.
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

// proves reports whether the message gives enough information to know that got
// is complete.
func (f File) proves(got Object) bool {
	state, _ := f.compare(got)
	return state == Stored && (f.MD5 != "" || f.Size > 0)
}

// waitAgain returns the row after the file was requested again: named is the
// file as the newest message describes it; replay is true if a replay requests
// the file. named.NotBefore holds the time of this request. changed is false if
// the row need not be saved.
//
// A file that is not stored is fetched again if a replay requests it, or if a
// message has a later deadline, because WeCom may then have the file again. A
// replay does not fetch a file again that WeCom said it has deleted. No request
// does so once WeCom must have deleted the file.
func (f File) waitAgain(named File, replay bool) (_ File, changed bool) {
	later := named.Deadline.After(f.Deadline)
	if f.State == Stored || f.SDKFileID == "" || !replay && !later {
		return f, false
	}
	again := f
	if named.Registered.After(f.Registered) {
		again.Registered = named.Registered
	}
	if f.State == Waiting {
		// A later Registered only moves the time of giving up. Do not save the row for
		// every later message of the day: each save changes the revision and interrupts a
		// running download.
		return again, again.Registered.Sub(f.Registered) >= grace
	}
	if f.Reason == ReasonDeleted && (replay || !later) || named.NotBefore.After(again.giveUpAt()) {
		return f, false
	}
	if f.Stored != nil {
		// Readers keep the mismatch until something better comes.
		kept := *f.Stored
		kept.Differs = f.Reason
		again.Stored = &kept
	}
	again.CompleteDownloads, again.NotBefore = 0, named.NotBefore
	return again.settle(Waiting, ""), true
}
