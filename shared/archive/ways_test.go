package archive_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
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
	failOnce := func(d *decoding, f *archivetest.Faults, call string, o archivetest.Outcome, work func() error) {
		failed := false
		f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
			if c.Name == call && !failed {
				failed = true
				return o, nil
			}
			return archivetest.Works, nil
		})
		if err := work(); err == nil {
			d.t.Errorf("%s failed and nobody was told", call)
		}
		f.Disarm()
	}
	tests := []struct {
		way string
		do  func(d *decoding, f *archivetest.Faults) // leaves everything decoded
		say []archivetest.Record                     // three messages if nil
	}{
		{way: "cursor saved before storage", do: func(d *decoding, f *archivetest.Faults) {
			failOnce(d, f, "Journal.PutPage", archivetest.FailsBefore, func() error { return d.pull(archive.PullRequest{}) })
			if d.head().Last != 0 {
				d.t.Error("the head moved before the page was durable")
			}
		}},
		{way: "cursor moved past failures", do: func(d *decoding, _ *archivetest.Faults) {
			bad := true
			d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
				if seq == 2 && bad {
					return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: 10006}}
				}
				return nil
			}
			d.pullAndDecode()
			if d.aside()[2] == "" {
				d.t.Error("a record that failed is recorded nowhere")
			}
			bad = false
			d.must(d.replayer.StartReplay(d.t.Context(), archive.Replay{Corp: corp, ID: "r", CreatedAt: start, UpdatedAt: start, Waiting: true}))
		}},
		{way: "last seq + 1", do: func(d *decoding, _ *archivetest.Faults) { // a page for each record
			d.Library.OnChatData = func(c string, after uint64, _ int) *archivetest.Answer {
				if after < 3 {
					return &archivetest.Answer{Bytes: archivetest.Page(c, record(after+1, 1, "k1"))}
				}
				return nil
			}
		}},
		{way: "a full page without text", say: func() (rs []archivetest.Record) {
			for seq := range uint64(archive.PageLimit) {
				r := record(seq+1, 1, "k1")
				r.Text = bytes.Replace(r.Text, []byte(`"msgtype":"text"`), []byte(`"msgtype":"voice"`), 1)
				rs = append(rs, r)
			}
			return append(rs, record(archive.PageLimit+1, 1, "k1"))
		}()},
		{way: "a cursor shared by corps", do: func(d *decoding, _ *archivetest.Faults) {
			d.register(other)
			d.addKey(other, "k1", 1)
			d.say(other, 1, 50) // its head is far beyond ours
			d.must(d.puller.Pull(d.t.Context(), archive.PullRequest{V: 1, Corp: other}))
		}},
		{way: "dedupe shared by corps", do: func(d *decoding, _ *archivetest.Faults) {
			d.register(other)
			d.addKey(other, "k1", 1)
			d.say(other, 1, 3) // the same msgids
			d.must(d.puller.Pull(d.t.Context(), archive.PullRequest{V: 1, Corp: other}))
			d.work()
			if msgs, _, err := d.View.Messages(d.t.Context(), other, single, archive.MessageQuery{Limit: 10}); err != nil || len(msgs) != 3 {
				d.t.Errorf("the other corp has %d messages, %v; want 3", len(msgs), err)
			}
		}},
		{way: "one key version only", say: []archivetest.Record{record(1, 1, "k1"), record(2, 2, "k2"), record(3, 1, "k1"), record(4, 3, "k3")}},
		{way: "errcode inside a 0 return", do: func(d *decoding, _ *archivetest.Faults) {
			d.Library.OnChatData = func(string, uint64, int) *archivetest.Answer {
				return &archivetest.Answer{Bytes: archivetest.Refused(301042, "from ip: 203.0.113.9, more")}
			}
			d.must(d.pull(archive.PullRequest{}))
			if s := d.state(); !s.LastEmptyAt.IsZero() || s.Trouble == nil {
				d.t.Errorf("a refusal was taken for an empty page: %+v", s)
			}
			d.Library.OnChatData = nil
		}},
		{way: "a new msgtype", say: []archivetest.Record{
			record(1, 1, "k1"),
			{Seq: 2, MsgID: "m2", KeyVersion: 1, KeyID: "k1", Text: []byte(`{"msgid":"m2","action":"shout","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600002,"msgtype":"hologram","hologram":[{"depth":9007199254740993}]}`)},
		}},
		{way: "a database error swallowed", do: func(d *decoding, f *archivetest.Faults) {
			d.must(d.pull(archive.PullRequest{}))
			failOnce(d, f, "View.WritePage", archivetest.FailsBefore, func() error {
				return d.decoder.Decode(d.t.Context(), corp, 0, archive.FirstTime)
			})
		}},
		{way: "a queue acknowledged before the work", do: func(d *decoding, f *archivetest.Faults) {
			d.must(d.pull(archive.PullRequest{}))
			failOnce(d, f, "Ledger.Finish", archivetest.FailsBefore, func() error {
				return d.decoder.Decode(d.t.Context(), corp, 0, archive.FirstTime)
			})
			if d.rows()[0].State == archive.RowDecoded {
				d.t.Error("the page counts as done before it is")
			}
		}},
		{way: "poison retried for ever", do: func(d *decoding, _ *archivetest.Faults) {
			tries := 0
			d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
				if seq == 2 && tries < 4 { // when decoded, and again by the job that a proved key starts
					tries++
					return crash("DecryptData")
				}
				return nil
			}
			d.pullAndDecode()
			if d.rows()[0].State != archive.RowDecoded || d.aside()[2] != archive.ReasonCrash {
				d.t.Errorf("got %s and %v aside, want the page done without the record", d.rows()[0].State, d.aside())
			}
			d.must(d.replayer.StartReplay(d.t.Context(), archive.Replay{Corp: corp, ID: "r", CreatedAt: start, UpdatedAt: start, Waiting: true}))
		}},
		{way: "one corp's failure stopping others", do: func(d *decoding, _ *archivetest.Faults) {
			d.register(other)
			d.Library.OnChatData = func(c string, _ uint64, _ int) *archivetest.Answer {
				if c == other {
					return crash("GetChatData")
				}
				return nil
			}
			d.must(d.puller.Pull(d.t.Context(), archive.PullRequest{V: 1, Corp: other}))
		}},
		{way: "nested items not walked", say: []archivetest.Record{{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1",
			Text: []byte(`{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001,"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"chatrecord","msgtime":1767220010,"content":"{\"title\":\"in\",\"item\":[{\"type\":\"ChatRecordImage\",\"msgtime\":1767220020,\"content\":\"{\\\"sdkfileid\\\":\\\"deep\\\"}\"}]}"}]}}`)}},
			do: func(d *decoding, _ *archivetest.Faults) {
				d.pullAndDecode()
				if f, err := d.Files.File(d.t.Context(), corp, archive.FileID("deep")); err != nil || f.State != archive.FileWaiting {
					d.t.Errorf("the file within the record: got %+v, %v; want it waiting to be fetched", f.State, err)
				}
			}},
		{way: "filtering before storing", say: []archivetest.Record{ // what a parser might think is nothing
			{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1", Text: []byte(`{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`)},
			{Seq: 2, MsgID: "m2", KeyVersion: 1, KeyID: "k1", Text: []byte(`{"msgid":"m2","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600002,"msgtype":"text","text":{"content":""}}`)},
		}},
		{way: "truncated columns", say: []archivetest.Record{
			{Seq: 1, MsgID: strings.Repeat("m", 3000), KeyVersion: 1, KeyID: "k1", Text: bytes.Replace(text(1), []byte("第"), bytes.Repeat([]byte("长"), 200_000), 1)},
		}},
		{way: "altered plaintext", say: []archivetest.Record{{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1",
			Text: []byte("{\"msgid\":\"m1\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600001,\"msgtype\":\"text\",\"text\":{\"content\":\"\x00\x01\x1f\xff\xfe\\u0000 \\/ 1.0e2\"}, \"n\": 1.50e+03 }\r\n")}}},
		{way: "a native crash that repeats with the same page", do: func(d *decoding, _ *archivetest.Faults) {
			mended := start.Add(8 * time.Minute)
			d.Library.OnChatData = func(_ string, after uint64, limit int) *archivetest.Answer {
				if after < 2 && after+uint64(limit) >= 2 && d.clock.Now().Before(mended) {
					return crash("GetChatData")
				}
				return nil
			}
			d.pullFor(15 * time.Minute)
		}},
		{way: "a lock skipped so that the cursor reads as 0", do: func(d *decoding, _ *archivetest.Faults) {
			d.must(d.pull(archive.PullRequest{}))
			head := d.head()
			stale := archivetest.PageRow(archive.NewHead(corp), archivetest.Page(corp, record(1, 1, "k1")), 1, 1, 1, d.clock.Now())
			d.must(d.Journal.PutPage(d.t.Context(), stale, archivetest.Page(corp, record(1, 1, "k1"))))
			if err := d.Ledger.Append(d.t.Context(), archive.NewHead(corp), stale); err == nil {
				d.t.Error("a puller that read 0 moved the head")
			}
			if d.head() != head {
				d.t.Errorf("got head %+v, want %+v", d.head(), head)
			}
		}},
		{way: "seq above 2^31 and 2^53", say: []archivetest.Record{record(1<<31+1, 1, "k1"), record(1<<32+1, 1, "k1"), record(1<<53+1, 1, "k1"), record(1<<63+1, 1, "k1")}},
	}
	for _, tt := range tests {
		t.Run(tt.way, func(t *testing.T) {
			f := &archivetest.Faults{}
			d := newDecoding(t, f)
			for i := range 3 {
				d.addKey(corp, fmt.Sprint("k", i+1), 0)
			}
			said := tt.say
			if said == nil {
				said = []archivetest.Record{record(1, 1, "k1"), record(2, 1, "k1"), record(3, 1, "k1")}
			}
			d.Library.Say(corp, said...)
			if tt.do != nil {
				tt.do(d, f)
			}
			d.work()
			d.clock.advance(time.Minute)
			d.pullAndDecode()
			d.clock.advance(time.Minute)
			d.pullAndDecode()

			var want, got []string
			for _, r := range said {
				want = append(want, string(r.Text))
			}
			for start := (*archive.Position)(nil); ; {
				msgs, more, err := d.View.Messages(t.Context(), corp, single, archive.MessageQuery{Limit: 500, Start: start})
				d.must(err)
				for _, m := range msgs {
					raw := m.Raw
					if m.Overflow != nil {
						raw, err = d.Journal.Message(t.Context(), corp, *m.Overflow)
						d.must(err)
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
			if len(d.aside()) != 0 {
				t.Errorf("got %v still aside", d.aside())
			}
		})
	}
}

// The same for files.
func TestWaysToLoseFiles(t *testing.T) {
	body := content(2*part + chunk + 7)
	tests := []struct {
		way string
		do  func(b *mediaBench, f archive.File)
	}{
		{"partial media marked complete", func(b *mediaBench, _ archive.File) {
			n := 0 // the second chunk comes short, and says that the next begins behind it
			b.Library.OnMediaChunk = func(_, _, _ string, c archive.MediaChunk, err error) (archive.MediaChunk, error) {
				if n++; n == 2 {
					c.Data = c.Data[:1000]
				}
				return c, err
			}
		}},
		{"media retry appended to old bytes", func(b *mediaBench, _ archive.File) {
			n := 0
			b.Library.OnMediaChunk = func(_, _, _ string, c archive.MediaChunk, err error) (archive.MediaChunk, error) {
				if n++; n > 12 && n < 16 { // in the second part
					return archive.MediaChunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10001}
				}
				return c, err
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.way, func(t *testing.T) {
			b := newMediaBench(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = "", 0 // as of a meeting's voice
			b.register(f)
			tt.do(b, f)
			for range 20 {
				b.must(b.fetch(t.Context()))
				b.clock.advance(10 * time.Minute)
				b.trouble("")
			}
			b.want(f, archive.FileStored, "", body)
		})
	}
	t.Run("media fetched too late", func(t *testing.T) {
		b := newMediaBench(t, &archivetest.Faults{})
		f := b.fileWithout("f")
		b.register(f)
		b.Library.OnMediaChunk = func(string, string, string, archive.MediaChunk, error) (archive.MediaChunk, error) {
			return archive.MediaChunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10010}
		}
		b.must(b.fetch(t.Context()))
		b.want(f, archive.FileExpired, archive.ReasonDeleted, nil) // it cannot be had any more, and that is said
	})
}
