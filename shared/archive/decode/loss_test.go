package decode_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
)

const otherCorp = "wwother0123456789"

// loss is one of the ways in which other archives are known to lose messages
// (wecom.md 8).
type loss struct {
	way string
	say []archivetest.Record // what WeCom archives; three messages if nil
	// provoke brings the way about. Pulling and decoding go on after it.
	provoke func(d *archivetest.DecodeFixture, f *archivetest.Faults)
}

// No known way to lose messages loses one here: in the end every message that
// WeCom archived is in the view, byte for byte.
func TestKnownLossesDoNotHappen(t *testing.T) {
	for _, group := range [][]loss{lossesInPulling(), lossesInDecoding(), lossesBetweenCorps(), lossesByContent()} {
		for _, l := range group {
			t.Run(l.way, func(t *testing.T) { wantNoLoss(t, l) })
		}
	}
}

func wantNoLoss(t *testing.T, l loss) {
	f := &archivetest.Faults{}
	d := archivetest.NewDecodeFixture(t, f)
	for i := range 3 {
		d.AddKey(archivetest.Corp, fmt.Sprint("k", i+1), 0)
	}
	if l.say == nil {
		l.say = []archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 1, "k1"), archivetest.TextRecord(3, 1, "k1")}
	}
	d.Library.Say(archivetest.Corp, l.say...)
	if l.provoke != nil {
		l.provoke(d, f)
	}
	d.Work()
	for range 2 {
		d.Clock.Advance(time.Minute)
		d.PullAndDecode()
	}
	var want []string
	for _, r := range l.say {
		want = append(want, string(r.Text))
	}
	got := storedBytes(d)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %d messages, want the %d that were archived, byte for byte", len(got), len(want))
	}
	if len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %v still set aside, want none", d.SetAsideReasons())
	}
}

// storedBytes reads the bytes of all messages of the chat, with the large ones
// from the bucket.
func storedBytes(d *archivetest.DecodeFixture) []string {
	var all []string
	for start := (*archive.Position)(nil); ; {
		msgs, more, err := d.View.Messages(d.T.Context(), archivetest.Corp, archivetest.SingleChat, archive.MessageQuery{Limit: 500, Start: start})
		d.Must(err)
		for _, m := range msgs {
			raw := m.Raw
			if m.Overflow != nil {
				raw, err = d.Journal.Message(d.T.Context(), archivetest.Corp, *m.Overflow)
				d.Must(err)
			}
			all = append(all, string(raw))
		}
		if !more {
			return all
		}
		last := msgs[len(msgs)-1].Position()
		start = &last
	}
}

// failOnce makes the first call of that name fail, and requires that work
// reports it.
func failOnce(d *archivetest.DecodeFixture, f *archivetest.Faults, call string, work func() error) {
	d.T.Helper()
	failed := false
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == call && !failed {
			failed = true
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := work(); err == nil {
		d.T.Errorf("%s failed, and got no error", call)
	}
	f.Disarm()
}

// crashes is an answer of a library that crashes in op.
func crashes(op string) *archivetest.Answer {
	return &archivetest.Answer{Err: &archive.CrashError{Op: op, How: archive.Crashed}}
}

func lossesInPulling() []loss {
	return []loss{
		{way: "cursor saved before storage", provoke: func(d *archivetest.DecodeFixture, f *archivetest.Faults) {
			failOnce(d, f, "Journal.PutPage", func() error { return d.Pull(archive.PullRequest{}) })
			if d.Head().Last != 0 {
				d.T.Error("the head moved before the page was durable")
			}
		}},
		{way: "last seq + 1", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) { // a page for each record
			d.Library.OnChatData = func(c string, after uint64, _ int) *archivetest.Answer {
				if after < 3 {
					return &archivetest.Answer{Bytes: archivetest.Page(c, archivetest.TextRecord(after+1, 1, "k1"))}
				}
				return nil
			}
		}},
		{way: "a full page without text", say: func() (rs []archivetest.Record) {
			for seq := range uint64(pull.PageLimit) {
				r := archivetest.TextRecord(seq+1, 1, "k1")
				r.Text = bytes.Replace(r.Text, []byte(`"msgtype":"text"`), []byte(`"msgtype":"voice"`), 1)
				rs = append(rs, r)
			}
			return append(rs, archivetest.TextRecord(pull.PageLimit+1, 1, "k1"))
		}()},
		{way: "errcode inside a 0 return", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
				return &archivetest.Answer{Bytes: archivetest.Refused(301042, "from ip: 203.0.113.9, more")}
			}
			d.Must(d.Pull(archive.PullRequest{}))
			if s := d.State(); !s.LastEmptyAt.IsZero() || s.Trouble == nil {
				d.T.Errorf("a refusal was taken for an empty page: %+v", s)
			}
			d.Library.OnChatData = nil
		}},
		{way: "a native crash that repeats with the same page", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			fixed := archivetest.Start.Add(8 * time.Minute)
			d.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
				if after < 2 && after+uint64(limit) >= 2 && d.Clock.Now().Before(fixed) {
					return crashes("GetChatData")
				}
				return nil
			}
			d.PullFor(15 * time.Minute)
		}},
		{way: "a lock skipped so that the cursor reads as 0", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Must(d.Pull(archive.PullRequest{}))
			head := d.Head()
			page := archivetest.Page(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"))
			stale := archivetest.PageRow(archive.NewHead(archivetest.Corp), page, 1, 1, 1, d.Clock.Now())
			d.Must(d.Journal.PutPage(d.T.Context(), stale, page))
			if err := d.Ledger.Append(d.T.Context(), archive.NewHead(archivetest.Corp), stale); err == nil {
				d.T.Error("a puller that read 0 moved the head")
			}
			if d.Head() != head {
				d.T.Errorf("got head %+v, want %+v", d.Head(), head)
			}
		}},
		{way: "seq above 2^31 and 2^53", say: []archivetest.Record{archivetest.TextRecord(1<<31+1, 1, "k1"), archivetest.TextRecord(1<<32+1, 1, "k1"), archivetest.TextRecord(1<<53+1, 1, "k1"), archivetest.TextRecord(1<<63+1, 1, "k1")}},
	}
}

func lossesInDecoding() []loss {
	decodeFirst := func(d *archivetest.DecodeFixture) func() error {
		return func() error { return d.Decoder.Decode(d.T.Context(), archivetest.Corp, 0, decode.FirstTime) }
	}
	return []loss{
		{way: "cursor moved past failures", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
				if seq == 2 {
					return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: 10006}}
				}
				return nil
			}
			d.PullAndDecode()
			if d.SetAsideReasons()[2] == "" {
				d.T.Error("a record that failed is not set aside")
			}
			d.Library.OnDecrypt = nil
			startReplay(d, decode.Replay{ID: "r", OnlySetAside: true})
		}},
		{way: "one key version only", say: []archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "k2"), archivetest.TextRecord(3, 1, "k1"), archivetest.TextRecord(4, 3, "k3")}},
		{way: "a database error swallowed", provoke: func(d *archivetest.DecodeFixture, f *archivetest.Faults) {
			d.Must(d.Pull(archive.PullRequest{}))
			failOnce(d, f, "View.WritePage", decodeFirst(d))
		}},
		{way: "a queue acknowledged before the work", provoke: func(d *archivetest.DecodeFixture, f *archivetest.Faults) {
			d.Must(d.Pull(archive.PullRequest{}))
			failOnce(d, f, "Ledger.Finish", decodeFirst(d))
			if d.Rows()[0].State == archive.RowDecoded {
				d.T.Error("the page counts as decoded before it is")
			}
		}},
		{way: "a record that breaks the library tried without end", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			// A try in the batch and two alone in the first decode, two alone in the job that
			// the proved key starts.
			tries := dies(archive.Crashed, 5)
			d.Library.OnDecrypt = func(_ string, seq uint64, try int) *archivetest.Answer {
				if seq != 2 {
					return nil
				}
				return tries(try)
			}
			d.PullAndDecode()
			if d.Rows()[0].State != archive.RowDecoded || d.SetAsideReasons()[2] != archive.ReasonCrash {
				d.T.Errorf("got state %s and %v set aside, want the page decoded without the record", d.Rows()[0].State, d.SetAsideReasons())
			}
			startReplay(d, decode.Replay{ID: "r", OnlySetAside: true})
		}},
	}
}

func lossesBetweenCorps() []loss {
	pullOther := func(d *archivetest.DecodeFixture, seq uint64, n int) {
		d.Register(otherCorp)
		d.AddKey(otherCorp, "k1", 1)
		d.Say(otherCorp, seq, n)
		d.Must(d.Puller.Pull(d.T.Context(), archive.PullRequest{Corp: otherCorp}))
	}
	return []loss{
		{way: "a cursor shared by corps", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			pullOther(d, 1, 50) // its head is far ahead of ours
		}},
		{way: "dedupe shared by corps", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			pullOther(d, 1, 3) // the same msgids
			d.Work()
			if msgs, _, err := d.View.Messages(d.T.Context(), otherCorp, archivetest.SingleChat, archive.MessageQuery{Limit: 10}); err != nil || len(msgs) != 3 {
				d.T.Errorf("the other corp has %d messages, %v; want 3", len(msgs), err)
			}
		}},
		{way: "one corp's failure stopping others", provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Register(otherCorp)
			d.Library.OnChatData = func(c string, _ uint64, _ int) *archivetest.Answer {
				if c == otherCorp {
					return crashes("GetChatData")
				}
				return nil
			}
			d.Must(d.Puller.Pull(d.T.Context(), archive.PullRequest{Corp: otherCorp}))
		}},
	}
}

func lossesByContent() []loss {
	record := func(seq uint64, text string) archivetest.Record {
		return archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 1, KeyID: "k1", Text: []byte(text)}
	}
	long := record(1, strings.Replace(string(archivetest.TextOf(1)), "第", strings.Repeat("长", 200_000), 1))
	long.MsgID = strings.Repeat("m", 3000)
	return []loss{
		{way: "a new msgtype", say: []archivetest.Record{
			archivetest.TextRecord(1, 1, "k1"),
			record(2, `{"msgid":"m2","action":"shout","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600002,"msgtype":"hologram","hologram":[{"depth":9007199254740993}]}`),
		}},
		{way: "nested items not walked", say: []archivetest.Record{
			record(1, `{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001,"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"chatrecord","msgtime":1767220010,"content":"{\"title\":\"in\",\"item\":[{\"type\":\"ChatRecordImage\",\"msgtime\":1767220020,\"content\":\"{\\\"sdkfileid\\\":\\\"deep\\\"}\"}]}"}]}}`),
		}, provoke: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.PullAndDecode()
			if f, err := d.Files.File(d.T.Context(), archivetest.Corp, media.ID("deep")); err != nil || f.State != media.Waiting {
				d.T.Errorf("file within the chat record: got %+v, %v; want it waiting to be fetched", f.State, err)
			}
		}},
		{way: "filtering before storing", say: []archivetest.Record{ // messages that a parser may take for empty
			record(1, `{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`),
			record(2, `{"msgid":"m2","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600002,"msgtype":"text","text":{"content":""}}`),
		}},
		{way: "truncated columns", say: []archivetest.Record{long}},
		{way: "altered plaintext", say: []archivetest.Record{
			record(1, "{\"msgid\":\"m1\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600001,\"msgtype\":\"text\",\"text\":{\"content\":\"\x00\x01\x1f\xff\xfe\\u0000 \\/ 1.0e2\"}, \"n\": 1.50e+03 }\r\n"),
		}},
	}
}
