package media_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

// A row keeps what its first message says, and a stored file does not wait
// again.
func TestRegisterKeepsTheFirstMessage(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("x"))
	second := f
	second.MD5, second.From.MsgID = "", "m2"
	b.register(f, second, f)
	b.register(second)
	if row := b.row(f); row.From.MsgID != "m1" || row.MD5 != f.MD5 {
		t.Errorf("got %+v, want what the first message says", row)
	}
	b.Must(b.fetch(t.Context()))
	lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{f}, true)
	if err != nil || len(lanes) != 0 {
		t.Errorf("stored: got lanes %v, %v; want none", lanes, err)
	}
}

// A failed file waits again for a replay, and not for the same message.
func TestRegisterAfterAFailure(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.fileWithout("lost")
	b.register(f)
	b.Clock.Advance(archive.Retention + 25*time.Hour)
	for range 5 {
		b.Must(b.fetch(t.Context()))
		b.Clock.Advance(7 * time.Hour)
	}
	b.want(f, media.Failed, media.ReasonBadFileID, nil)
	if lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{f}, false); err != nil || len(lanes) != 0 {
		t.Errorf("the same message: got lanes %v, %v; want none", lanes, err)
	}
	b.Library.PutFile(archivetest.Corp, f.SDKFileID, []byte("found"))
	if lanes, err := media.Register(t.Context(), b.Files, archivetest.Corp, []media.File{f}, true); err != nil || len(lanes) != 1 {
		t.Errorf("a replay: got lanes %v, %v; want one", lanes, err)
	}
	b.Must(b.fetch(t.Context()))
	b.want(f, media.Stored, "", []byte("found"))
	if backlog := b.backlog(); backlog.Waiting != 0 || len(backlog.Problems) != 0 {
		t.Errorf("got %+v, want nothing listed", backlog)
	}
}

// again is a file that is registered again in a final state.
type again struct {
	name   string
	row    media.State
	reason string
	at     time.Duration // when the file is registered again, after the first message was pulled
	later  bool          // by a message that was pulled then; else by the first message
	replay bool
	want   media.State // with the file at WeCom
}

const (
	day    = 24 * time.Hour
	inTime = 6*day - time.Minute
)

var registeredAgain = []again{
	{"given up, a later message", media.Expired, "trusted_ip", 7 * day, true, false, media.Stored},
	{"given up, the same message", media.Expired, "trusted_ip", day, false, false, media.Expired},
	{"given up, a replay", media.Expired, "trusted_ip", inTime, false, true, media.Stored},
	{"given up, a replay after years", media.Expired, "trusted_ip", 1000 * day, false, true, media.Expired},
	{"deleted, a later message", media.Expired, media.ReasonDeleted, 7 * day, true, false, media.Stored},
	{"deleted, the same message", media.Expired, media.ReasonDeleted, day, false, false, media.Expired},
	{"deleted, a replay of a later message", media.Expired, media.ReasonDeleted, 7 * day, true, true, media.Expired},
	{"deleted, a replay", media.Expired, media.ReasonDeleted, day, false, true, media.Expired},
	{"failed, a later message", media.Failed, "sdk_10006", 7 * day, true, false, media.Stored},
	{"failed, the same message", media.Failed, "sdk_10006", day, false, false, media.Failed},
	{"failed, a replay", media.Failed, "sdk_10006", inTime, false, true, media.Stored},
	{"failed, a replay after a week", media.Failed, "sdk_10006", 7 * day, false, true, media.Failed},
	{"another md5, a later message", media.Mismatch, media.ReasonMD5, 7 * day, true, false, media.Stored},
	{"another md5, a replay", media.Mismatch, media.ReasonMD5, inTime, false, true, media.Stored},
	{"another md5, a replay after a week", media.Mismatch, media.ReasonMD5, 7 * day, false, true, media.Mismatch},
}

// register brings a file into its final state and registers it again. object is
// what the bucket keeps of a mismatch.
func (c again) register(b *fixture, body, object []byte) media.File {
	b.T.Helper()
	f := b.file("f", body)
	f.Registered = archivetest.Start
	b.register(f)
	b.settled(f, c.row, c.reason, object)
	b.Clock.Advance(c.at)
	named := f
	if named.NotBefore = b.Clock.Now(); c.later {
		named.Deadline, named.Registered = b.Clock.Now().Add(archive.Retention), b.Clock.Now()
	}
	lanes, err := media.Register(b.T.Context(), b.Files, archivetest.Corp, []media.File{named}, c.replay)
	b.Must(err)
	waits := c.want == media.Stored
	if row := b.row(f); (len(lanes) == 1) != waits || (row.State == media.Waiting) != waits || (row.Stored != nil) != (object != nil) {
		b.T.Errorf("got lanes %v and %+v, want the file waiting %v with an object %v", lanes, row, waits, object != nil)
	}
	return f
}

// kept is what the bucket keeps of the file before.
func (c again) kept() []byte {
	if c.row == media.Mismatch {
		return []byte("something else")
	}
	return nil
}

func TestRegisterAgainWithTheFileAtWeCom(t *testing.T) {
	for _, c := range registeredAgain {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := c.register(b, []byte("what WeCom has"), c.kept())
			b.Must(b.fetch(t.Context()))
			if got := b.row(f); got.State != c.want {
				t.Errorf("got %s (%s), want %s", got.State, got.Reason, c.want)
			}
		})
	}
}

// What the bucket keeps of a file stays if WeCom has deleted the file.
func TestRegisterAgainWithTheFileDeleted(t *testing.T) {
	for _, c := range registeredAgain {
		t.Run(c.name, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := c.register(b, []byte("what WeCom had"), c.kept())
			b.failsWith(codeError(10010))
			b.Must(b.fetch(t.Context()))
			if c.kept() != nil {
				b.want(f, media.Mismatch, media.ReasonMD5, c.kept())
			} else if b.row(f).State == media.Stored {
				t.Error("got the file stored, want no object")
			}
		})
	}
}

// replaced is a file of which the bucket keeps a mismatch when it is downloaded
// again.
type replaced struct {
	name   string
	md5    string
	size   int64
	reason string
	comes  []byte
	want   []byte
	state  media.State
	logged int // errors, at most
}

// What is kept of a file is replaced by the right bytes, or by other bytes that
// are no fewer, whichever call fails and wherever the process crashes.
func TestKeptMismatchIsNeverReplacedByLess(t *testing.T) {
	body, large := content(2000), content(2*part+9)
	sum, kept := md5Of(body[:100]), body[:1000]
	for _, c := range []replaced{
		{"nothing comes", sum, 100, media.ReasonMD5, []byte{}, kept, media.Mismatch, 0},
		{"less comes", sum, 100, media.ReasonMD5, body[:999], kept, media.Mismatch, 0},
		{"the same comes", sum, 100, media.ReasonMD5, kept, kept, media.Mismatch, 0},
		{"more comes", sum, 100, media.ReasonMD5, body, body, media.Mismatch, 1},
		{"much more comes", sum, 100, media.ReasonMD5, large, large, media.Mismatch, 1},
		{"the right md5 comes", sum, 100, media.ReasonMD5, body[:100], body[:100], media.Stored, 0},
		{"the right size comes", "", 100, media.ReasonSize, body[:100], body[:100], media.Stored, 0},
		{"nothing comes of a file that was short", "", 0, media.ReasonSize, []byte{}, kept, media.Mismatch, 0},
		{"all comes of a file that was short", "", 0, media.ReasonSize, body, body, media.Stored, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			test := func(t *testing.T, faults *archivetest.Faults, arm func()) { c.test(t, kept, faults, arm) }
			if len(c.comes) > part { // one run is enough for so many bytes
				test(t, &archivetest.Faults{}, func() {})
			} else {
				archivetest.EveryFault(t, test)
			}
		})
	}
}

func (c replaced) test(t *testing.T, kept []byte, faults *archivetest.Faults, arm func()) {
	b := newFixture(t, faults)
	logged := 0
	b.fetcher.Log = slog.New(onError(func() { logged++ }))
	f := b.fileWithout("f")
	f.MD5, f.Size, f.Registered = c.md5, c.size, archivetest.Start
	b.register(f)
	b.settled(f, media.Mismatch, c.reason, kept)
	b.Library.PutFile(archivetest.Corp, f.SDKFileID, c.comes)
	arm()
	if b.replay(f) != nil {
		faults.Disarm()
		b.Must(b.replay(f))
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
	if logged > c.logged {
		t.Errorf("got %d errors in the log, want at most %d", logged, c.logged)
	}
}

// A text that is too long to be an sdkfileid is created as failed, and is on the
// list of problems wherever the process crashes.
func TestInvalidSDKFileIDIsAProblem(t *testing.T) {
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
		if backlog := b.backlog(); backlog.Waiting != 0 || backlog.Problems[media.Failed] != 1 {
			t.Errorf("got %+v, want one failed file", backlog)
		}
	})
}

func TestDeadlineCountsFromTheEarlierTime(t *testing.T) {
	pulled := archivetest.Start.Add(time.Hour)
	for name, c := range map[string]struct{ sent, want time.Time }{
		"sent before the pull": {archivetest.Start, archivetest.Start.Add(120 * time.Hour)},
		"sent after the pull":  {pulled.Add(time.Hour), pulled.Add(120 * time.Hour)},
	} {
		if got := media.Deadline(c.sent, pulled); !got.Equal(c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// A message may say anything of a file. The row keeps what can be true.
func TestNewFileKeepsWhatCanBeTrue(t *testing.T) {
	long := strings.Repeat("长", 200) // 600 bytes
	m := archive.Message{Corp: archivetest.Corp, Conversation: "room:r", Time: archivetest.Start, MsgID: "m1", Seq: 7}
	got := media.NewFile(message.File{SDKFileID: "id", Kind: "file", Name: long, Ext: "pdf", MD5: strings.ToUpper(md5Of(nil)), Size: -1}, m,
		archivetest.Start.Add(time.Hour), archivetest.Start.Add(2*time.Hour))
	want := media.File{
		Corp: archivetest.Corp, ID: media.ID("id"), SDKFileID: "id", Kind: "file", Name: long[:498], Ext: "pdf", MD5: md5Of(nil),
		From:     media.Use{Conversation: "room:r", Time: archivetest.Start, MsgID: "m1", Seq: 7},
		Deadline: archivetest.Start.Add(120 * time.Hour), Registered: archivetest.Start.Add(time.Hour),
		State: media.Waiting, NotBefore: archivetest.Start.Add(2 * time.Hour),
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := media.NewFile(message.File{SDKFileID: "id", MD5: "no digest"}, m, m.Time, m.Time); got.MD5 != "" {
		t.Errorf("got md5 %q, want none", got.MD5)
	}
	got = media.NewFile(message.File{SDKFileID: strings.Repeat("x", 4097)}, m, m.Time, m.Time)
	if got.State != media.Failed || got.Reason != media.ReasonBadFileID || got.SDKFileID != "" {
		t.Errorf("got %+v, want it failed without an sdkfileid", got)
	}
}

// storedMeanwhile is a table on which a fetcher stores the file just before it is
// listed.
type storedMeanwhile struct {
	media.Table
	fetch func()
}

func (s *storedMeanwhile) ListFile(ctx context.Context, f media.File) error {
	if fetch := s.fetch; fetch != nil {
		s.fetch = nil
		fetch()
	}
	return s.Table.ListFile(ctx, f)
}

// A file that is stored while another message registers it again comes back to the
// list of waiting files. The next pass removes it, and fetches nothing.
func TestRegisterWhileTheFileIsStored(t *testing.T) {
	b := newFixture(t, &archivetest.Faults{})
	f := b.file("f", []byte("what WeCom has"))
	f.Registered = archivetest.Start
	b.register(f)
	table := &storedMeanwhile{Table: b.Files, fetch: func() { b.Must(b.fetch(t.Context())) }}
	_, err := media.Register(t.Context(), table, archivetest.Corp, []media.File{f}, false)
	b.Must(err)
	stored := b.row(f)
	b.Must(b.fetch(t.Context()))
	backlog, err := b.Files.Backlog(t.Context(), archivetest.Corp, b.Clock.Now())
	b.Must(err)
	if got := b.row(f); got.State != media.Stored || got.Rev != stored.Rev || backlog.Waiting != 0 {
		t.Errorf("got the file %s in revision %d and %d files waiting, want it stored in revision %d and none", got.State, got.Rev, backlog.Waiting, stored.Rev)
	}
}
