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

// The ways in which other archives are known to lose messages (wecom.md 8).
// Each is made to happen here, and has to be survived: in the end every
// message said is in the view, byte for byte.
func TestWaysToLoseMessages(t *testing.T) {
	const other = "wwother0123456789"
	crash := func(op string) *archivetest.Answer {
		return &archivetest.Answer{Err: &archive.CrashError{Op: op, How: archive.Crashed}}
	}
	// failOnce arms a fault on the first call of that name, and lets the work
	// be tried again after it.
	failOnce := func(d *archivetest.DecodeFixture, f *archivetest.Faults, call string, o archivetest.Outcome, work func() error) {
		failed := false
		f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
			if c.Name == call && !failed {
				failed = true
				return o, nil
			}
			return archivetest.Works, nil
		})
		if err := work(); err == nil {
			d.T.Errorf("%s failed and nobody was told", call)
		}
		f.Disarm()
	}
	tests := []struct {
		way string
		do  func(d *archivetest.DecodeFixture, f *archivetest.Faults) // leaves everything decoded
		say []archivetest.Record                                      // three messages if nil
	}{
		{way: "cursor saved before storage", do: func(d *archivetest.DecodeFixture, f *archivetest.Faults) {
			failOnce(d, f, "Journal.PutPage", archivetest.FailsBefore, func() error { return d.Pull(archive.PullRequest{}) })
			if d.Head().Last != 0 {
				d.T.Error("the head moved before the page was durable")
			}
		}},
		{way: "cursor moved past failures", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			bad := true
			d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
				if seq == 2 && bad {
					return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: 10006}}
				}
				return nil
			}
			d.PullAndDecode()
			if d.SetAsideReasons()[2] == "" {
				d.T.Error("a record that failed is recorded nowhere")
			}
			bad = false
			d.Must(d.Replayer.StartReplay(d.T.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: archivetest.Start, UpdatedAt: archivetest.Start, OnlySetAside: true}))
		}},
		{way: "last seq + 1", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) { // a page for each record
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
		{way: "a cursor shared by corps", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Register(other)
			d.AddKey(other, "k1", 1)
			d.Say(other, 1, 50) // its head is far beyond ours
			d.Must(d.Puller.Pull(d.T.Context(), archive.PullRequest{Corp: other}))
		}},
		{way: "dedupe shared by corps", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Register(other)
			d.AddKey(other, "k1", 1)
			d.Say(other, 1, 3) // the same msgids
			d.Must(d.Puller.Pull(d.T.Context(), archive.PullRequest{Corp: other}))
			d.Work()
			if msgs, _, err := d.View.Messages(d.T.Context(), other, archivetest.SingleChat, archive.MessageQuery{Limit: 10}); err != nil || len(msgs) != 3 {
				d.T.Errorf("the other corp has %d messages, %v; want 3", len(msgs), err)
			}
		}},
		{way: "one key version only", say: []archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "k2"), archivetest.TextRecord(3, 1, "k1"), archivetest.TextRecord(4, 3, "k3")}},
		{way: "errcode inside a 0 return", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
				return &archivetest.Answer{Bytes: archivetest.Refused(301042, "from ip: 203.0.113.9, more")}
			}
			d.Must(d.Pull(archive.PullRequest{}))
			if s := d.State(); !s.LastEmptyAt.IsZero() || s.Trouble == nil {
				d.T.Errorf("a refusal was taken for an empty page: %+v", s)
			}
			d.Library.OnChatData = nil
		}},
		{way: "a new msgtype", say: []archivetest.Record{
			archivetest.TextRecord(1, 1, "k1"),
			{Seq: 2, MsgID: "m2", KeyVersion: 1, KeyID: "k1", Text: []byte(`{"msgid":"m2","action":"shout","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600002,"msgtype":"hologram","hologram":[{"depth":9007199254740993}]}`)},
		}},
		{way: "a database error swallowed", do: func(d *archivetest.DecodeFixture, f *archivetest.Faults) {
			d.Must(d.Pull(archive.PullRequest{}))
			failOnce(d, f, "View.WritePage", archivetest.FailsBefore, func() error {
				return d.Decoder.Decode(d.T.Context(), archivetest.Corp, 0, decode.FirstTime)
			})
		}},
		{way: "a queue acknowledged before the work", do: func(d *archivetest.DecodeFixture, f *archivetest.Faults) {
			d.Must(d.Pull(archive.PullRequest{}))
			failOnce(d, f, "Ledger.Finish", archivetest.FailsBefore, func() error {
				return d.Decoder.Decode(d.T.Context(), archivetest.Corp, 0, decode.FirstTime)
			})
			if d.Rows()[0].State == archive.RowDecoded {
				d.T.Error("the page counts as done before it is")
			}
		}},
		{way: "poison retried for ever", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			tries := 0
			d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
				if seq == 2 && tries < 4 { // when decoded, and again by the job that a proved key starts
					tries++
					return crash("DecryptData")
				}
				return nil
			}
			d.PullAndDecode()
			if d.Rows()[0].State != archive.RowDecoded || d.SetAsideReasons()[2] != archive.ReasonCrash {
				d.T.Errorf("got %s and %v aside, want the page done without the record", d.Rows()[0].State, d.SetAsideReasons())
			}
			d.Must(d.Replayer.StartReplay(d.T.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: archivetest.Start, UpdatedAt: archivetest.Start, OnlySetAside: true}))
		}},
		{way: "one corp's failure stopping others", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Register(other)
			d.Library.OnChatData = func(c string, _ uint64, _ int) *archivetest.Answer {
				if c == other {
					return crash("GetChatData")
				}
				return nil
			}
			d.Must(d.Puller.Pull(d.T.Context(), archive.PullRequest{Corp: other}))
		}},
		{way: "nested items not walked", say: []archivetest.Record{{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1",
			Text: []byte(`{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001,"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"chatrecord","msgtime":1767220010,"content":"{\"title\":\"in\",\"item\":[{\"type\":\"ChatRecordImage\",\"msgtime\":1767220020,\"content\":\"{\\\"sdkfileid\\\":\\\"deep\\\"}\"}]}"}]}}`)}},
			do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
				d.PullAndDecode()
				if f, err := d.Files.File(d.T.Context(), archivetest.Corp, media.ID("deep")); err != nil || f.State != media.Waiting {
					d.T.Errorf("the file within the record: got %+v, %v; want it waiting to be fetched", f.State, err)
				}
			}},
		{way: "filtering before storing", say: []archivetest.Record{ // what a parser might think is nothing
			{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1", Text: []byte(`{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`)},
			{Seq: 2, MsgID: "m2", KeyVersion: 1, KeyID: "k1", Text: []byte(`{"msgid":"m2","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600002,"msgtype":"text","text":{"content":""}}`)},
		}},
		{way: "truncated columns", say: []archivetest.Record{
			{Seq: 1, MsgID: strings.Repeat("m", 3000), KeyVersion: 1, KeyID: "k1", Text: bytes.Replace(archivetest.TextOf(1), []byte("第"), bytes.Repeat([]byte("长"), 200_000), 1)},
		}},
		{way: "altered plaintext", say: []archivetest.Record{{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1",
			Text: []byte("{\"msgid\":\"m1\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600001,\"msgtype\":\"text\",\"text\":{\"content\":\"\x00\x01\x1f\xff\xfe\\u0000 \\/ 1.0e2\"}, \"n\": 1.50e+03 }\r\n")}}},
		{way: "a native crash that repeats with the same page", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			mended := archivetest.Start.Add(8 * time.Minute)
			d.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
				if after < 2 && after+uint64(limit) >= 2 && d.Clock.Now().Before(mended) {
					return crash("GetChatData")
				}
				return nil
			}
			d.PullFor(15 * time.Minute)
		}},
		{way: "a lock skipped so that the cursor reads as 0", do: func(d *archivetest.DecodeFixture, _ *archivetest.Faults) {
			d.Must(d.Pull(archive.PullRequest{}))
			head := d.Head()
			stale := archivetest.PageRow(archive.NewHead(archivetest.Corp), archivetest.Page(archivetest.Corp, archivetest.TextRecord(1, 1, "k1")), 1, 1, 1, d.Clock.Now())
			d.Must(d.Journal.PutPage(d.T.Context(), stale, archivetest.Page(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"))))
			if err := d.Ledger.Append(d.T.Context(), archive.NewHead(archivetest.Corp), stale); err == nil {
				d.T.Error("a puller that read 0 moved the head")
			}
			if d.Head() != head {
				d.T.Errorf("got head %+v, want %+v", d.Head(), head)
			}
		}},
		{way: "seq above 2^31 and 2^53", say: []archivetest.Record{archivetest.TextRecord(1<<31+1, 1, "k1"), archivetest.TextRecord(1<<32+1, 1, "k1"), archivetest.TextRecord(1<<53+1, 1, "k1"), archivetest.TextRecord(1<<63+1, 1, "k1")}},
	}
	for _, tt := range tests {
		t.Run(tt.way, func(t *testing.T) {
			f := &archivetest.Faults{}
			d := archivetest.NewDecodeFixture(t, f)
			for i := range 3 {
				d.AddKey(archivetest.Corp, fmt.Sprint("k", i+1), 0)
			}
			said := tt.say
			if said == nil {
				said = []archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 1, "k1"), archivetest.TextRecord(3, 1, "k1")}
			}
			d.Library.Say(archivetest.Corp, said...)
			if tt.do != nil {
				tt.do(d, f)
			}
			d.Work()
			d.Clock.Advance(time.Minute)
			d.PullAndDecode()
			d.Clock.Advance(time.Minute)
			d.PullAndDecode()

			var want, got []string
			for _, r := range said {
				want = append(want, string(r.Text))
			}
			for start := (*archive.Position)(nil); ; {
				msgs, more, err := d.View.Messages(t.Context(), archivetest.Corp, archivetest.SingleChat, archive.MessageQuery{Limit: 500, Start: start})
				d.Must(err)
				for _, m := range msgs {
					raw := m.Raw
					if m.Overflow != nil {
						raw, err = d.Journal.Message(t.Context(), archivetest.Corp, *m.Overflow)
						d.Must(err)
					}
					got = append(got, string(raw))
				}
				if !more {
					break
				}
				last := msgs[len(msgs)-1].Position()
				start = &last
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("got %d messages, want the %d that were said, byte for byte", len(got), len(want))
			}
			if len(d.SetAsideReasons()) != 0 {
				t.Errorf("got %v still aside", d.SetAsideReasons())
			}
		})
	}
}
