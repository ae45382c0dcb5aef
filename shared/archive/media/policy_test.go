package media

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// The moments of the table. The message was sent and pulled at sent.
var (
	sent      = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	deadline  = sent.Add(archive.Retention)
	lastDay   = deadline.Add(-time.Hour)
	late      = deadline.Add(time.Hour)              // WeCom should have deleted the file
	deletedBy = deadline.Add(grace + time.Second)    // WeCom has deleted the file, without a later message
	stillKept = deletedBy.Add(archive.Retention / 2) // WeCom may have the file: see laterMessage
)

const (
	rightMD5 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	wrongMD5 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// waiting is a row that is due, changed by each of changes.
func waiting(changes ...func(*File)) File {
	f := File{
		Corp: "ww1", ID: "id", SDKFileID: "sdk", MD5: rightMD5, Size: 100, State: Waiting,
		Deadline: deadline, Registered: sent, NotBefore: sent,
	}
	for _, change := range changes {
		change(&f)
	}
	return f
}

func tries(n int) func(*File)      { return func(f *File) { f.Tries = n } }
func reason(r string) func(*File)  { return func(f *File) { f.Reason = r } }
func reached(n int64) func(*File)  { return func(f *File) { f.Reached = n } }
func downloads(n int) func(*File)  { return func(f *File) { f.CompleteDownloads = n } }
func resumeAt(n int64) func(*File) { return func(f *File) { f.Resume = &Resume{Parts: 1, Bytes: n} } }
func says(md5 string, size int64) func(*File) {
	return func(f *File) { f.MD5, f.Size = md5, size }
}
func laterMessage(f *File) { f.Registered = deletedBy }
func settled(s State) func(*File) {
	return func(f *File) { f.State, f.NotBefore = s, sent }
}
func pausedFor(d time.Duration) func(*File) {
	return func(f *File) { f.NotBefore = sent.Add(d) }
}

// has sets the object on the row.
func has(o Object) func(*File) { return func(f *File) { f.Stored = &o } }

func object(md5 string, size int64) Object { return Object{Size: size, MD5: md5, At: late} }

// differs is an object that is kept while its file waits again.
func differs(o Object, reason string) Object {
	o.Differs = reason
	return o
}

// since is an object that the bucket has had since another time.
func since(o Object, at time.Time) Object {
	o.At = at
	return o
}

func complete(md5 string, size int64) Outcome {
	return Outcome{End: Complete, Got: object(md5, size)}
}

func (o Outcome) short() Outcome { o.Short = true; return o }

func (o Outcome) kept(k Object) Outcome { o.Kept = &k; return o }

func failed(reason string) Outcome  { return Outcome{End: TryFailed, Reason: reason} }
func lasting(reason string) Outcome { return Outcome{End: TryFailed, Reason: reason, Lasting: true} }

// Each rule of the policy has a row here, under its name.
func TestPolicy(t *testing.T) {
	part := Outcome{End: PartStored, Resume: Resume{Parts: 1, Bytes: 50}}
	lost := Outcome{End: UploadLost}
	blocked := Outcome{End: CorpBlocked, Reason: "trusted_ip"}
	for _, c := range []struct {
		rule string
		f    File
		o    Outcome
		now  time.Time
		want File
	}{
		{"no time: the row stays as it is", waiting(tries(2), resumeAt(50)), Outcome{}, sent, waiting(tries(2), resumeAt(50))},

		{"part: new bytes end the count of tries", waiting(tries(4), reason("sdk_10001"), reached(40)), part, sent,
			waiting(resumeAt(50), reached(50))},
		{"part: the same bytes again are no progress", waiting(tries(4), reason("sdk_10001"), reached(50)), part, sent,
			waiting(tries(4), reason("sdk_10001"), reached(50), resumeAt(50))},

		{"stored: md5 and size are right", waiting(tries(4), reason("sdk_10001"), reached(50), resumeAt(50)), complete(rightMD5, 100), late,
			waiting(settled(Stored), has(object(rightMD5, 100)))},
		{"stored: md5 is right, size is odd and noted", waiting(says(rightMD5, 7)), complete(rightMD5, 100), late,
			waiting(says(rightMD5, 7), settled(Stored), reason(ReasonSize), has(object(rightMD5, 100)))},
		{"stored: the message gives a size only", waiting(says("", 100)), complete(wrongMD5, 100), late,
			waiting(says("", 100), settled(Stored), has(object(wrongMD5, 100)))},
		{"stored: the message gives neither", waiting(says("", 0)), complete(wrongMD5, 9), late,
			waiting(says("", 0), settled(Stored), has(object(wrongMD5, 9)))},

		{"mismatch: the first is downloaded again at once", waiting(resumeAt(50), reached(50)), complete(wrongMD5, 100), late,
			waiting(downloads(1), reached(50))},
		{"mismatch: the second is kept", waiting(downloads(1), resumeAt(50)), complete(wrongMD5, 100), late,
			waiting(downloads(1), settled(Mismatch), reason(ReasonMD5), has(object(wrongMD5, 100)))},
		{"mismatch: by size where there is no md5", waiting(says("", 7), downloads(1)), complete(wrongMD5, 100), late,
			waiting(says("", 7), downloads(1), settled(Mismatch), reason(ReasonSize), has(object(wrongMD5, 100)))},

		{"short: kept at once, as a mismatch", waiting(says("", 0)), complete(wrongMD5, 9).short(), late,
			waiting(says("", 0), settled(Mismatch), reason(ReasonSize), has(object(wrongMD5, 9)))},
		{"short: the right size proves nothing", waiting(says("", 100)), complete(wrongMD5, 100).short(), late,
			waiting(says("", 100), settled(Mismatch), reason(ReasonSize), has(object(wrongMD5, 100)))},
		{"short: the right md5 proves the file", waiting(), complete(rightMD5, 100).short(), late,
			waiting(settled(Stored), has(object(rightMD5, 100)))},
		{"short: the same bytes in the bucket stay short", waiting(says("", 0)), complete(wrongMD5, 9).short().kept(object(wrongMD5, 9)), late,
			waiting(says("", 0), settled(Mismatch), reason(ReasonSize), has(object(wrongMD5, 9)))},

		{"kept: proof replaces it", waiting(downloads(1), has(differs(object(wrongMD5, 900), ReasonMD5))), complete(rightMD5, 100), late,
			waiting(downloads(1), settled(Stored), has(object(rightMD5, 100)))},
		{"kept: a larger mismatch replaces it", waiting(downloads(1), has(differs(object(wrongMD5, 90), ReasonMD5))),
			complete("c", 100).kept(object(wrongMD5, 90)), late,
			waiting(downloads(1), settled(Mismatch), reason(ReasonMD5), has(object("c", 100)))},
		{"kept: a smaller mismatch never replaces it", waiting(downloads(1), has(differs(since(object(wrongMD5, 90), sent), ReasonMD5))),
			complete("c", 89).kept(object(wrongMD5, 90)), late,
			waiting(downloads(1), settled(Mismatch), reason(ReasonMD5), has(since(object(wrongMD5, 90), sent)))},
		{"kept: smaller bytes without proof never replace it", waiting(says("", 0), has(differs(since(object(wrongMD5, 90), sent), ReasonSize))),
			complete("c", 0).kept(object(wrongMD5, 90)), late,
			waiting(says("", 0), settled(Mismatch), reason(ReasonSize), has(since(object(wrongMD5, 90), sent)))},
		{"kept: the same mismatch stays what it was", waiting(downloads(1), has(differs(since(object(wrongMD5, 90), sent), ReasonMD5))),
			complete(wrongMD5, 90).kept(object(wrongMD5, 90)), late,
			waiting(downloads(1), settled(Mismatch), reason(ReasonMD5), has(since(object(wrongMD5, 90), sent)))},
		{"kept: a short file that comes whole with the same bytes is whole", waiting(says("", 0), has(differs(since(object(wrongMD5, 90), sent), ReasonSize))),
			complete(wrongMD5, 90).kept(object(wrongMD5, 90)), late,
			waiting(says("", 0), settled(Stored), has(since(object(wrongMD5, 90), sent)))},
		{"kept: WeCom deleted the file, the mismatch stays", waiting(has(differs(since(object(wrongMD5, 90), sent), ReasonMD5))),
			Outcome{End: FileDeleted}.kept(object(wrongMD5, 90)), late,
			waiting(settled(Mismatch), reason(ReasonMD5), has(since(object(wrongMD5, 90), sent)))},
		{"kept: the object that a crash hid from the row", waiting(resumeAt(50)), Outcome{End: FileDeleted}.kept(object(rightMD5, 100)), late,
			waiting(settled(Stored), has(object(rightMD5, 100)))},
		{"kept: the row names an object that is gone", waiting(has(differs(object(wrongMD5, 90), ReasonMD5))), Outcome{End: FileDeleted}, late,
			waiting(settled(Expired), reason(ReasonDeleted))},

		{"expired: WeCom says that it deleted the file", waiting(tries(1), resumeAt(50), reached(50)), Outcome{End: FileDeleted}, sent,
			waiting(settled(Expired), reason(ReasonDeleted))},
		{"failed: more bytes than we store", waiting(resumeAt(50), reached(50)), Outcome{End: FileTooLarge}, sent,
			waiting(settled(Failed), reason(ReasonTooLarge))},

		{"lost upload: the first starts again at once and costs no try", waiting(tries(2), reason("sdk_10001"), reached(50), resumeAt(50)), lost, sent,
			waiting(tries(2), reason(ReasonUploads), reached(50))},
		{"lost upload: the next without progress is a failed try", waiting(reason(ReasonUploads), reached(50), resumeAt(50)), lost, sent,
			waiting(tries(1), reason(ReasonUploads), reached(50), pausedFor(time.Minute))},
		{"lost upload: given up like any failure", waiting(tries(4), reason(ReasonUploads), resumeAt(50)), lost, deletedBy,
			waiting(settled(Failed), reason(ReasonUploads))},

		{"pause: a minute after the first try", waiting(), failed("sdk_10001"), sent, waiting(tries(1), reason("sdk_10001"), pausedFor(time.Minute))},
		{"pause: 5 minutes after the second", waiting(tries(1)), failed("x"), sent, waiting(tries(2), reason("x"), pausedFor(5*time.Minute))},
		{"pause: 15 minutes after the third", waiting(tries(2)), failed("x"), sent, waiting(tries(3), reason("x"), pausedFor(15*time.Minute))},
		{"pause: an hour after the fourth", waiting(tries(3)), failed("x"), sent, waiting(tries(4), reason("x"), pausedFor(time.Hour))},
		{"pause: 3 hours after the fifth", waiting(tries(4)), failed("x"), sent, waiting(tries(5), reason("x"), pausedFor(3*time.Hour))},
		{"pause: 6 hours after a fifth lasting failure", waiting(tries(4)), lasting("x"), sent, waiting(tries(5), reason("x"), pausedFor(6*time.Hour))},
		{"pause: 6 hours after all others", waiting(tries(70)), failed("x"), sent, waiting(tries(71), reason("x"), pausedFor(6*time.Hour))},

		{"resume: a failed try keeps the parts", waiting(resumeAt(50), tries(1)), lasting("x"), sent,
			waiting(resumeAt(50), tries(2), reason("x"), pausedFor(5*time.Minute))},
		{"restart: the third lasting failure drops the parts", waiting(resumeAt(50), tries(2)), lasting("x"), sent,
			waiting(tries(3), reason("x"), pausedFor(15*time.Minute))},
		{"restart: the third passing failure keeps the parts", waiting(resumeAt(50), tries(2)), failed("x"), sent,
			waiting(resumeAt(50), tries(3), reason("x"), pausedFor(15*time.Minute))},

		{"give up: lasting failures end as failed", waiting(tries(4), resumeAt(50)), lasting("sdk_10006"), deletedBy, waiting(settled(Failed), reason("sdk_10006"))},
		{"give up: passing failures end as expired", waiting(tries(4)), failed("sdk_10001"), deletedBy, waiting(settled(Expired), reason("sdk_10001"))},
		{"give up: never before five tries", waiting(tries(3)), lasting("x"), deletedBy,
			waiting(tries(4), reason("x"), func(f *File) { f.NotBefore = deletedBy.Add(time.Hour) })},
		{"give up: never within a day of the deadline", waiting(tries(40)), lasting("x"), late,
			waiting(tries(41), reason("x"), func(f *File) { f.NotBefore = late.Add(6 * time.Hour) })},
		{"give up: never while a later message may hold the file", waiting(tries(40), laterMessage), lasting("x"), stillKept,
			waiting(tries(41), laterMessage, reason("x"), func(f *File) { f.NotBefore = stillKept.Add(6 * time.Hour) })},
		{"give up: what the bucket holds is kept", waiting(tries(4), says("", 0)), lasting("x").kept(object(wrongMD5, 9)), deletedBy,
			waiting(says("", 0), settled(Stored), has(object(wrongMD5, 9)))},

		{"corp's trouble: no try, back after 5 minutes", waiting(tries(2), resumeAt(50)), Outcome{End: CorpTrouble, Reason: "trusted_ip"}, sent,
			waiting(tries(2), resumeAt(50), reason("trusted_ip"), pausedFor(5*time.Minute))},
		{"blocked corp: the file waits while WeCom may have it", waiting(tries(2), resumeAt(50)), blocked, late, waiting(tries(2), resumeAt(50))},
		{"blocked corp: expired with the corp's cause after that", waiting(tries(2), resumeAt(50)), blocked, deletedBy,
			waiting(settled(Expired), reason("trusted_ip"))},
		{"blocked corp: a later message makes the file wait", waiting(laterMessage), blocked, stillKept, waiting(laterMessage)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			before := deepCopy(c.f)
			if got := next(c.f, c.o, c.now); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %s\nwant %s", shown(got), shown(c.want))
			}
			if !reflect.DeepEqual(c.f, before) {
				t.Errorf("next changed the row that it was given: got %s, want %s", shown(c.f), shown(before))
			}
		})
	}
}

func deepCopy(f File) File {
	if f.Resume != nil {
		resume := *f.Resume
		f.Resume = &resume
	}
	if f.Stored != nil {
		stored := *f.Stored
		f.Stored = &stored
	}
	return f
}

// shown is a row with what it points to.
func shown(f File) string { return fmt.Sprintf("%+v, resume %+v, stored %+v", f, f.Resume, f.Stored) }

// The object is written before the row that names it, and only where the bucket
// does not hold it; the bucket is read only where the row depends on it.
func TestPolicyOfTheBucket(t *testing.T) {
	for _, c := range []struct {
		rule         string
		f            File
		o            Outcome
		needs, write bool
	}{
		{"proved: written unread", waiting(), complete(rightMD5, 100), false, true},
		{"first mismatch: neither", waiting(), complete(wrongMD5, 100), false, false},
		{"second mismatch: written if nothing is kept", waiting(downloads(1)), complete(wrongMD5, 100), true, true},
		{"second mismatch: not written if it is kept", waiting(downloads(1)), complete(wrongMD5, 100).kept(object(wrongMD5, 100)), true, false},
		{"unproved: not written if it is there", waiting(says("", 0)), complete(wrongMD5, 9).kept(object(wrongMD5, 9)), true, false},
		{"unproved: not written if more is kept", waiting(says("", 0)), complete(wrongMD5, 9).kept(object("c", 10)), true, false},
		{"unproved: written if less is kept", waiting(says("", 0)), complete(wrongMD5, 9).kept(object("c", 8)), true, true},
		{"deleted: read, not written", waiting(), Outcome{End: FileDeleted}.kept(object(rightMD5, 100)), true, false},
		{"failed try: neither", waiting(), lasting("x"), false, false},
	} {
		unread := c.o
		unread.Kept = nil
		if got := needsKept(next(c.f, unread, late), unread); got != c.needs {
			t.Errorf("%s: got the bucket read %v, want %v", c.rule, got, c.needs)
		}
		if got := mustWrite(next(c.f, c.o, late), c.o); got != c.write {
			t.Errorf("%s: got the object written %v, want %v", c.rule, got, c.write)
		}
	}
}

// A download may be short on the last day only, after enough tries.
func TestPolicyOfShortDownloads(t *testing.T) {
	for _, c := range []struct {
		rule string
		f    File
		now  time.Time
		want bool
	}{
		{"the last day, after five tries", waiting(tries(5), reason(ReasonSize)), lastDay, true},
		{"not before the last day", waiting(tries(5), reason(ReasonSize)), deadline.Add(-grace), false},
		{"not before five tries", waiting(tries(4), reason(ReasonSize)), lastDay, false},
		{"not for another reason", waiting(tries(5), reason(ReasonRepeats)), lastDay, false},
	} {
		if got := c.f.mayBeShort(c.now); got != c.want {
			t.Errorf("%s: got %v, want %v", c.rule, got, c.want)
		}
	}
}
