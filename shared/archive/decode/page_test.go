package decode_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// Whichever call fails or is the last before a crash: after the next delivery
// the page is decoded, and every invariant holds in between (law 2).
func TestDecodeSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d := archivetest.NewDecodeFixture(t, f)
		d.AddKey(archivetest.Corp, "k1", 0)
		d.Say(archivetest.Corp, 1, 3)
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(4, 2, "unknown"), archivetest.Record{Seq: 5, MsgID: "m5", KeyVersion: 1, KeyID: "k1",
			Text: fmt.Appendf(nil, `{"msgid":"m5","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"x":"%s"}`, archivetest.Start.UnixMilli()+5, strings.Repeat("x", archive.InlineLimit))})
		d.Must(d.Pull(archive.PullRequest{}))
		reqs := d.Decodes.Take()
		arm()
		err := d.Decoder.Decode(t.Context(), archivetest.Corp, reqs[0].After, decode.FirstTime)
		f.Disarm()
		d.Check()
		if err != nil { // the queue delivers the request again
			d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, reqs[0].After, decode.FirstTime))
		}
		d.Work()
		d.Check()
		row := d.Rows()[0]
		if row.State != archive.RowDecoded || row.Result.Stored != 4 || row.Result.SetAside["no_key"] != 1 {
			t.Errorf("got %s with %+v, want 4 stored and 1 set aside", row.State, row.Result)
		}
		if got := d.StoredIn(archivetest.SingleChat); len(got) != 4 || got[3].Overflow == nil {
			t.Errorf("got %d messages, want 4, the last in the bucket", len(got))
		}
		if set, err := d.Corps.KeySet(t.Context(), archivetest.Corp); err != nil || len(set.Bindings) != 1 || set.Bindings[0].KeyID != "k1" {
			t.Errorf("got bindings %+v, %v; want k1 proved", set.Bindings, err)
		}
	})
}

// If the library fails as a whole, the page stays pending and no record is set
// aside.
func TestDecodeFailsWhereTheLibraryFails(t *testing.T) {
	for name, err := range map[string]error{
		"Init refused":    &archive.SDKError{Op: "Init", Code: 10000},
		"missing":         &archive.LibraryError{Why: archive.LibraryMissing},
		"crashes in Init": &archive.CrashError{Op: "Init", How: archive.Crashed},
	} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Say(archivetest.Corp, 1, 3)
			d.Must(d.Pull(archive.PullRequest{}))
			d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer { return &archivetest.Answer{Err: err} }
			if got := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); !errors.Is(got, err) {
				t.Errorf("got %v, want %v: no record is the cause", got, err)
			}
			if row := d.Rows()[0]; row.State != archive.RowRequested || len(d.SetAsideReasons()) != 0 {
				t.Errorf("got state %s and %v set aside, want requested and none", row.State, d.SetAsideReasons())
			}
			d.Library.OnDecrypt = nil
			d.Work()
			if len(d.StoredIn(archivetest.SingleChat)) != 3 {
				t.Error("page not decoded after the library works again")
			}
		})
	}
}

// A page with many records that break the library needs several deliveries.
// Each delivery decodes more of the page, and none of the records is tried
// without end.
func TestUnfinishedPageGetsFurther(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 30)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Decodes.Take()
	d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
		if seq%2 == 0 {
			d.Clock.Advance(23 * time.Second) // the longest start, Init, hang and kill
			return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Hung}}
		}
		return nil
	}
	deliveries := 0
	var deadline time.Time
	onDecrypt := d.Library.OnDecrypt
	d.Library.OnDecrypt = func(corp string, seq uint64, try int) *archivetest.Answer {
		// Enough for two hangs, each after a start, and for storing the page.
		if left := deadline.Sub(d.Clock.Now()); try%2 == 1 && left < 56*time.Second {
			t.Errorf("seq %d tried with %v left", seq, left)
		}
		return onDecrypt(corp, seq, try)
	}
	for d.Rows()[0].State != archive.RowDecoded {
		if deliveries++; deliveries > 6 {
			t.Fatal("the page is never finished")
		}
		d.Clock.Set(time.Now())
		deadline = time.Now().Add(300 * time.Second) // as template.yaml gives
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		err := d.Decoder.Decode(ctx, archivetest.Corp, 0, decode.FirstTime)
		cancel()
		if err != nil && !errors.Is(err, decode.ErrUnfinished) {
			t.Fatal(err)
		}
	}
	d.Check()
	if got := d.StoredIn(archivetest.SingleChat); len(got) != 15 || len(d.SetAsideReasons()) != 15 || deliveries < 2 {
		t.Errorf("got %d stored, %d set aside after %d deliveries; want 15, 15 after more than one", len(got), len(d.SetAsideReasons()), deliveries)
	}
}

func TestUnusablePageIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(*archivetest.Journal, archive.Row){
		"changed": (*archivetest.Journal).Damage, "gone": (*archivetest.Journal).Lose,
	} {
		t.Run(name, func(t *testing.T) {
			f := &archivetest.Faults{}
			d := archivetest.NewDecodeFixture(t, f)
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Say(archivetest.Corp, 1, 3)
			d.Must(d.Pull(archive.PullRequest{}))
			damage(d.Journal, d.Rows()[0])
			d.Work()
			if r := d.Rows()[0].Result; r == nil || r.Stored != 0 || r.SetAside[string(archive.ReasonJournal)] != 3 {
				t.Errorf("got result %+v, want 3 records set aside for a damaged journal", r)
			}
			if d.SetAsideReasons()[1] != archive.ReasonJournal {
				t.Errorf("got %v set aside, want an entry for the page", d.SetAsideReasons())
			}
		})
	}
}

func TestDecodeLeavesADecodedPageAlone(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 3)
	d.PullAndDecode()
	calls := 0
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if calls != 0 {
		t.Error("a decoded page was decoded again")
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if calls != 3 {
		t.Errorf("decoded again as required: got %d calls, want 3", calls)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 77, decode.FirstTime)) // no such row: another try cannot help
}

func TestResultCountsTypesAndFiles(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i, raw := range []string{
		`{"msgid":"a","from":"x","tolist":["y"],"msgtime":1767225600123,"msgtype":"image","image":{"sdkfileid":"F1"}}`,
		`{"msgid":"b","from":"x","tolist":["y"],"msgtime":1767225600123,"msgtype":"image","image":{"sdkfileid":"F1"}}`,
		`{"msgid":"c","from":"x","tolist":["y"],"msgtime":1767225600123,"msgtype":"file","file":{"sdkfileid":"F2"}}`,
		`{"msgid":"d","from":"x","tolist":["y"],"msgtime":1767225600123,"msgtype":"` + strings.Repeat("long", 100_000) + `"}`,
		`{"msgid":"e","from":"x","tolist":["y"],"msgtime":1767225600123,"msgtype":"text","text":{"content":"c","font":"kai"},"mood":7}`,
	} {
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: uint64(i + 1), MsgID: fmt.Sprint(i), KeyVersion: 1, KeyID: "k1", Text: []byte(raw)})
	}
	d.PullAndDecode()
	got := d.Rows()[0].Result
	if got.Files != 2 || got.Types["image"] != 2 || got.Types["file"] != 1 || len(got.Types) != 4 {
		t.Errorf("got %d files and types %v, want 2 files and four types", got.Files, got.Types)
	}
	ids := []string{media.ID("F1"), media.ID("F2")}
	slices.Sort(ids)
	named, err := d.Ledger.PageFiles(t.Context(), archivetest.Corp, []uint64{0})
	d.Must(err)
	if !slices.Equal(named[0], ids) {
		t.Errorf("got files %v, want each file once, %v", named[0], ids)
	}
	seen, err := d.View.FirstSeen(t.Context(), archivetest.Corp, []string{"image", "text text.font", "text mood", "voice"})
	d.Must(err)
	if at := d.Rows()[0].At; len(seen) != 3 || !seen["image"].Equal(at) || !seen["text text.font"].Equal(at) || !seen["text mood"].Equal(at) {
		t.Errorf("got first seen %v, want the time of the page for three", seen)
	}
	if len(got.Unknown) != 2 || got.Unknown["text text.font"] != 1 || got.Unknown["text mood"] != 1 {
		t.Errorf("got unknown fields %v, want text.font and mood of text", got.Unknown)
	}
	for name := range got.Types {
		if len(name) > 100 {
			t.Errorf("got a type name of %d bytes, want at most 100: the row must stay small", len(name))
		}
	}
}

// A row stays small whatever its page holds: it counts 200 unknown fields by name,
// and names 2000 files.
func TestResultStaysSmall(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	seq := uint64(0)
	say := func(rest string) {
		seq++
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":"m%d","from":"x","tolist":["y"],"msgtime":1767225600123,%s}`, seq, rest)})
	}
	for i := range 10 {
		var fields []string
		for j := range 30 {
			fields = append(fields, fmt.Sprintf(`"field%d":1`, 30*i+j))
		}
		say(`"msgtype":"text","text":{"content":"c"},` + strings.Join(fields, ","))
	}
	var items []string
	for i := range archive.MaxFileIDs + 1 {
		items = append(items, fmt.Sprintf(`{"type":"image","content":"{\"sdkfileid\":\"file%d\"}"}`, i))
	}
	say(`"msgtype":"mixed","mixed":{"item":[` + strings.Join(items, ",") + `]}`)
	d.PullAndDecode()
	got := d.Rows()[0].Result
	if len(got.Unknown) != 200 || got.Files != archive.MaxFileIDs+1 {
		t.Errorf("got %d unknown fields and %d files, want 200 and %d", len(got.Unknown), got.Files, archive.MaxFileIDs+1)
	}
	named, err := d.Ledger.PageFiles(t.Context(), archivetest.Corp, []uint64{0})
	d.Must(err)
	if len(named[0]) != archive.MaxFileIDs {
		t.Errorf("got ids of %d files, want %d", len(named[0]), archive.MaxFileIDs)
	}
}

// The files that messages name are registered before the page is finished, once
// for each sdkfileid. They are requested after it is finished.
func TestDecodeRegistersFiles(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	say := func(seq uint64, rest string) {
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":"m%d","action":"send","from":"lin.hua","tolist":["wmA"],"roomid":"","msgtime":%d,%s}`, seq, archivetest.Start.UnixMilli(), rest)})
	}
	sum := strings.Repeat("aB", 16)
	say(1, `"msgtype":"image","image":{"md5sum":"`+sum+`","filesize":123,"sdkfileid":"one"}`)
	say(2, `"msgtype":"image","image":{"md5sum":"","filesize":123,"sdkfileid":"one"}`)
	say(3, `"msgtype":"file","file":{"md5sum":"no md5","filename":"`+strings.Repeat("长", 400)+`.pdf","fileext":"pdf","filesize":-5,"sdkfileid":"two"}`)
	say(4, `"msgtype":"image","image":{"sdkfileid":"`+strings.Repeat("x", 350<<10)+`"}`)
	say(5, `"msgtype":"text","text":{"content":"none"}`)
	d.PullAndDecode()
	row := func(id string) media.File {
		t.Helper()
		f, err := d.Files.File(t.Context(), archivetest.Corp, media.ID(id))
		d.Must(err)
		return f
	}
	one, two := row("one"), row("two")
	if one.MD5 != strings.ToLower(sum) || one.Size != 123 || one.From.Seq != 1 || one.From.MsgID != "m1" || !one.From.Time.Equal(archivetest.Start) ||
		one.From.Conversation != "single:lin.hua:wmA" || !one.Deadline.Equal(archivetest.Start.Add(archive.Retention)) || one.State != media.Waiting {
		t.Errorf("got %+v", one)
	}
	if two.MD5 != "" || two.Size != 0 || len(two.Name) > 500 || !utf8.ValidString(two.Name) || two.Ext != "pdf" {
		t.Errorf("got %+v", two)
	}
	if f := row(strings.Repeat("x", 350<<10)); f.State != media.Failed || f.Reason != media.ReasonBadFileID || f.SDKFileID != "" {
		t.Errorf("got %s, %q, want state failed at once", f.State, f.Reason)
	}
	backlog, err := d.Files.Backlog(t.Context(), archivetest.Corp, d.Clock.Now())
	d.Must(err)
	if backlog.Waiting != 2 || backlog.Problems[media.Failed] != 1 {
		t.Errorf("got %+v, want two waiting and one failed", backlog)
	}
	lanes := map[int]bool{media.Lane(one.ID): true, media.Lane(two.ID): true}
	if reqs := d.Media.Take(); len(reqs) != len(lanes) {
		t.Errorf("got requests %v, want one for each of the lanes %v", reqs, lanes)
	}
	rows := d.Rows()
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, rows[0].After, decode.Again))
	if again := row("one"); again.Rev != one.Rev {
		t.Errorf("second decode changed the row of the file: %+v", again)
	}
}

func BenchmarkDecodePage(b *testing.B) {
	d := archivetest.NewDecodeFixture(b, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 1000)
	d.Must(d.Pull(archive.PullRequest{}))
	b.ReportMetric(0, "ns/op")
	for b.Loop() {
		d.Must(d.Decoder.Decode(b.Context(), archivetest.Corp, 0, decode.Again))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/message")
}
