package decode_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
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

func TestDecodeStoresBytesAsTheyAre(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	texts := map[string][]byte{
		"text":               archivetest.TextOf(1),
		"control characters": []byte("{\"msgid\":\"m2\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600002,\"msgtype\":\"text\",\"text\":{\"content\":\"a\x00\x01b\"}}"),
		"invalid UTF-8":      []byte("{\"msgid\":\"m3\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600003,\"msgtype\":\"text\",\"text\":{\"content\":\"a\xff\xfe\"}}"),
		"unknown type":       []byte(`{"msgid":"m4","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600004,"msgtype":"hologram","hologram":{"n":12345678901234567890}}`),
		"100 KB":             fmt.Appendf(nil, `{"msgid":"m5","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600005,"msgtype":"text","text":{"content":"%s"}}`, strings.Repeat("长", 34000)),
	}
	seq := uint64(0)
	want := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		seq++
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("id", seq), KeyVersion: 1, KeyID: "k1", Text: texts[name]})
		want[string(texts[name])] = true
	}
	d.PullAndDecode()
	got := d.StoredIn(archivetest.SingleChat)
	if len(got) != len(texts) {
		t.Errorf("got %d messages, want %d", len(got), len(texts))
	}
	for _, m := range got {
		if !want[string(m.Raw)] {
			t.Errorf("message of seq %d was changed", m.Seq)
		}
	}
}

func TestDecodePlacesEveryMessage(t *testing.T) {
	tests := []struct {
		name, raw string
		conv      archive.ConversationID
		parties   []string
		at        time.Time
	}{
		{"room", `{"from":"a","tolist":["b","c"],"roomid":"wr/1#2","msgtime":1767225600123}`, "room:wr%2F1%232", []string{"a", "b", "c"}, time.UnixMilli(1767225600123)},
		{"single, either way", `{"from":"wmZ","tolist":["a:b"],"msgtime":1767225600123}`, "single:a%3Ab:wmZ", []string{"a:b", "wmZ"}, time.UnixMilli(1767225600123)},
		{"to oneself", `{"from":"a","tolist":["a"],"msgtime":1767225600123}`, "own:a", []string{"a"}, time.UnixMilli(1767225600123)},
		{"switch", `{"action":"switch","user":"a","time":1767225600123}`, "own:a", []string{"a"}, time.UnixMilli(1767225600123)},
		{"a group without a room", `{"from":"a","tolist":["c","b"],"msgtime":1767225600123}`, archive.PartyConversation([]string{"a", "b", "c"}), []string{"a", "b", "c"}, time.UnixMilli(1767225600123)},
		{"nobody", `{"msgtype":"sys","msgtime":1767225600123}`, archive.Unplaced, []string{""}, time.UnixMilli(1767225600123)},
		{"unreadable", "\x00\x01nonsense", archive.Unplaced, []string{""}, archivetest.Start.Add(time.Second)},
		{"time 0", `{"from":"a","tolist":["b"],"msgtime":0}`, "single:a:b", []string{"a", "b"}, archivetest.Start.Add(time.Second)},
		{"the last day of year 9999 in Beijing", `{"from":"a","tolist":["b"],"msgtime":253402271999999}`, "single:a:b", []string{"a", "b"}, time.UnixMilli(253402271999999)},
		{"a day of five digits in Beijing", `{"from":"a","tolist":["b"],"msgtime":253402272000000}`, "single:a:b", []string{"a", "b"}, archivetest.Start.Add(time.Second)},
		{"time of no calendar", `{"from":"a","tolist":["b"],"msgtime":999999999999999999}`, "single:a:b", []string{"a", "b"}, archivetest.Start.Add(time.Second)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1", Text: []byte(tt.raw)})
			d.PullAndDecode()
			got := d.StoredIn(tt.conv)
			if len(got) != 1 {
				t.Fatalf("got %d messages in %s, want 1", len(got), tt.conv)
			}
			m := got[0]
			if string(m.Raw) != tt.raw || !m.Time.Equal(tt.at.UTC()) || m.MsgID != "m1" || m.Seq != 1 || m.KeyVersion != 1 {
				t.Errorf("got %+v at %v, want it at %v", m, m.Time, tt.at.UTC())
			}
			for _, party := range tt.parties {
				day, convs, err := d.View.LatestDay(t.Context(), archivetest.Corp, party, "")
				if err != nil || day != archive.DayOf(tt.at) || !slices.Equal(convs, []archive.ConversationID{tt.conv}) {
					t.Errorf("list of %q: got %s %v, %v", party, day, convs, err)
				}
			}
		})
	}
}

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
		if err != nil { // the queue delivers again
			d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, reqs[0].After, decode.FirstTime))
		}
		d.Work()
		d.Check()
		row := d.Rows()[0]
		if row.State != archive.RowDecoded || row.Result.Stored != 4 || row.Result.SetAside["no_key"] != 1 {
			t.Errorf("got %s with %+v, want 4 stored and 1 waiting", row.State, row.Result)
		}
		if got := d.StoredIn(archivetest.SingleChat); len(got) != 4 || got[3].Overflow == nil {
			t.Errorf("got %d messages, want 4, the last in the bucket", len(got))
		}
		if set, err := d.Corps.KeySet(t.Context(), archivetest.Corp); err != nil || len(set.Bindings) != 1 || set.Bindings[0].KeyID != "k1" {
			t.Errorf("got bindings %+v, %v; want k1 proved", set.Bindings, err)
		}
	})
}

// Law 6. In each case all messages come in, without anybody's help.
func TestKeysFindTheirVersions(t *testing.T) {
	tests := []struct {
		name  string
		keys  func(d *archivetest.DecodeFixture)
		said  []archivetest.Record
		bound map[uint32]string
	}{
		{"claimed rightly", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 1) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1")}, map[uint32]string{1: "k1"}},
		{"claimed wrongly", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 9) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1")}, map[uint32]string{1: "k1"}},
		{"not claimed yet", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 0) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1")}, map[uint32]string{1: "k1"}},
		{"two claims exchanged", func(d *archivetest.DecodeFixture) {
			d.AddKey(archivetest.Corp, "k1", 2)
			d.AddKey(archivetest.Corp, "k2", 1)
		},
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "k2")}, map[uint32]string{1: "k1", 2: "k2"}},
		{"rotation within a page", func(d *archivetest.DecodeFixture) {
			d.AddKey(archivetest.Corp, "k1", 1)
			d.AddKey(archivetest.Corp, "k2", 0)
		},
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "k2"), archivetest.TextRecord(3, 1, "k1"), archivetest.TextRecord(4, 2, "k2")}, map[uint32]string{1: "k1", 2: "k2"}},
		{"one public key pasted twice", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 1) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 7, "k1")}, map[uint32]string{1: "k1", 7: "k1"}},
		{"versions that begin anew with another key", func(d *archivetest.DecodeFixture) {
			d.AddKey(archivetest.Corp, "k1", 1)
			d.AddKey(archivetest.Corp, "k2", 0)
		},
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 1, "k2")}, map[uint32]string{1: "k1"}},
		{"many old keys from another vendor", func(d *archivetest.DecodeFixture) {
			for i := range 12 {
				d.AddKey(archivetest.Corp, fmt.Sprint("k", i), 0)
			}
		}, []archivetest.Record{archivetest.TextRecord(1, 30, "k3"), archivetest.TextRecord(2, 31, "k11"), archivetest.TextRecord(3, 32, "k0")}, map[uint32]string{30: "k3", 31: "k11", 32: "k0"}},
	}
	for _, tt := range tests {
		for _, implicit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, implicit rejection %v", tt.name, implicit), func(t *testing.T) {
				d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
				d.Openers.Implicit = implicit
				tt.keys(d)
				d.Library.Say(archivetest.Corp, tt.said...)
				d.PullAndDecode()
				if got := d.StoredIn(archivetest.SingleChat); len(got) != len(tt.said) || len(d.SetAsideReasons()) != 0 {
					t.Errorf("got %d messages and %v aside, want %d and none", len(got), d.SetAsideReasons(), len(tt.said))
				}
				set, err := d.Corps.KeySet(t.Context(), archivetest.Corp)
				d.Must(err)
				bound := map[uint32]string{}
				for _, b := range set.Bindings {
					bound[b.Version] = b.KeyID
				}
				if !maps.Equal(bound, tt.bound) {
					t.Errorf("got bindings %v, want %v", bound, tt.bound)
				}
			})
		}
	}
}

func TestMissingKeyWaitsAndIsMended(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "old"), archivetest.TextRecord(3, 2, "old"))
	d.PullAndDecode()
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(4, 2, "old"), archivetest.TextRecord(5, 1, "k1"))
	d.PullAndDecode()
	if got := d.SetAsideReasons(); len(got) != 3 || got[2] != archive.ReasonNoKey {
		t.Fatalf("got %v aside, want 3 rows without key", got)
	}
	// The key arrives: importing starts a job over what waits.
	d.AddKey(archivetest.Corp, "old", 0)
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "import", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now(), OnlySetAside: true}))
	d.Work()
	d.Check()
	if got := d.StoredIn(archivetest.SingleChat); len(got) != 5 || len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %d messages and %v aside, want 5 and none", len(got), d.SetAsideReasons())
	}
	for _, r := range d.Rows() {
		if r.Result.CountSetAside() != 0 {
			t.Errorf("row after %d still counts %v", r.After, r.Result.SetAside)
		}
	}
	job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "import")
	if err != nil || !job.Done || job.Pages != 2 {
		t.Errorf("got job %+v, %v; want it done with 2 pages", job, err)
	}
}

// A key that arrives while a page is being decoded must not leave the page
// waiting: the job that the key started may have passed it already.
func TestKeyArrivesDuringDecode(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "new"))
	d.Must(d.Pull(archive.PullRequest{}))
	reqs := d.Decodes.Take()
	d.Library.OnDecrypt = func(_ string, _ uint64, try int) *archivetest.Answer {
		if try == 1 {
			d.Library.OnDecrypt = nil
			d.AddKey(archivetest.Corp, "new", 0)
		}
		return nil
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, reqs[0].After, decode.FirstTime))
	if len(d.SetAsideReasons()) != 0 || len(d.StoredIn(archivetest.SingleChat)) != 2 {
		t.Errorf("got %v aside, want none", d.SetAsideReasons())
	}
}

// Laws 5 and 7: one bad record costs itself only.
func TestOneBadRecordCostsItselfOnly(t *testing.T) {
	crash := func(how archive.CrashKind) *archivetest.Answer {
		return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: how}}
	}
	code := func(n int) *archivetest.Answer {
		return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: n}}
	}
	bad := archivetest.TextRecord(2, 1, "k1")
	tests := []struct {
		name   string
		record archivetest.Record
		script func(try int) *archivetest.Answer
		want   archive.Reason
	}{
		{"crashes", bad, func(int) *archivetest.Answer { return crash(archive.Crashed) }, archive.ReasonCrash},
		{"hangs", bad, func(int) *archivetest.Answer { return crash(archive.Hung) }, archive.ReasonHang},
		{"nonsense", bad, func(int) *archivetest.Answer { return crash(archive.Nonsense) }, archive.ReasonCrash},
		{"crashes once", bad, func(try int) *archivetest.Answer {
			if try == 1 {
				return crash(archive.Crashed)
			}
			return nil
		}, ""},
		{"refused", bad, func(int) *archivetest.Answer { return code(10006) }, archive.ReasonLibrary},
		{"no key", archivetest.TextRecord(2, 5, "unknown"), nil, archive.ReasonNoKey},
		{"key text of the wrong key", archivetest.TextRecord(2, 1, "unknown"), nil, archive.ReasonBadKey},
		{"not base64", archivetest.Record{Broken: `{"seq":2,"msgid":"m2","publickey_ver":1,"encrypt_random_key":"*","encrypt_chat_msg":"x"}`, Seq: 2}, nil, archive.ReasonBadRecord},
		{"no key field", archivetest.Record{Broken: `{"seq":2,"msgid":"m2","publickey_ver":1,"encrypt_chat_msg":"x"}`, Seq: 2}, nil, archive.ReasonBadRecord},
		{"no message field", archivetest.Record{Broken: `{"seq":2,"publickey_ver":1,"encrypt_random_key":"aGFsbG8="}`, Seq: 2}, nil, archive.ReasonBadRecord},
		{"wrong types", archivetest.Record{Broken: `{"seq":2,"msgid":{},"publickey_ver":[],"encrypt_random_key":7,"encrypt_chat_msg":null}`, Seq: 2}, nil, archive.ReasonBadRecord},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"), tt.record, archivetest.TextRecord(3, 1, "k1"))
			if tt.script != nil {
				d.Library.OnDecrypt = func(_ string, seq uint64, try int) *archivetest.Answer {
					if seq == 2 {
						return tt.script(try)
					}
					return nil
				}
			}
			d.PullAndDecode()
			wantStored := 3
			if tt.want != "" {
				wantStored = 2
			}
			if got := d.StoredIn(archivetest.SingleChat); len(got) != wantStored || d.SetAsideReasons()[2] != tt.want {
				t.Errorf("got %d stored and %v aside, want %d and %q", len(got), d.SetAsideReasons(), wantStored, tt.want)
			}
			if tt.want == "" || tt.script == nil {
				return
			}
			// A better library: a replay takes the row in.
			d.Library.OnDecrypt = nil
			d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now(), OnlySetAside: true}))
			d.Work()
			d.Check()
			if got := d.StoredIn(archivetest.SingleChat); len(got) != 3 || len(d.SetAsideReasons()) != 0 {
				t.Errorf("after the replay: got %d stored and %v aside, want 3 and none", len(got), d.SetAsideReasons())
			}
		})
	}
}

func TestLibraryAsAWholeFails(t *testing.T) {
	for name, err := range map[string]error{
		"Init refused": &archive.SDKError{Op: "Init", Code: 10000},
		"missing":      &archive.LibraryError{Why: archive.LibraryMissing},
		"will not run": &archive.CrashError{Op: "Init", How: archive.Crashed},
	} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Say(archivetest.Corp, 1, 3)
			d.Must(d.Pull(archive.PullRequest{}))
			d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer { return &archivetest.Answer{Err: err} }
			if got := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); !errors.Is(got, err) {
				t.Errorf("got %v, want %v: nobody's record is to blame", got, err)
			}
			if row := d.Rows()[0]; row.State != archive.RowRequested || len(d.SetAsideReasons()) != 0 {
				t.Errorf("got state %s and %v aside, want requested and none", row.State, d.SetAsideReasons())
			}
			d.Library.OnDecrypt = nil
			d.Work()
			if len(d.StoredIn(archivetest.SingleChat)) != 3 {
				t.Error("not decoded once the library works again")
			}
		})
	}
}

// Many records that break the library, and little time: each delivery gets
// further, none is tried for ever.
func TestUnfinishedPageGetsFurther(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 30)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Decodes.Take()
	d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
		if seq%2 == 0 {
			d.Clock.Advance(13 * time.Second) // hang, kill and start, as long as may be
			return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Hung}}
		}
		return nil
	}
	deliveries := 0
	for d.Rows()[0].State != archive.RowDecoded {
		if deliveries++; deliveries > 6 {
			t.Fatal("the page is never finished")
		}
		d.Clock.Set(time.Now())
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(150*time.Second))
		err := d.Decoder.Decode(ctx, archivetest.Corp, 0, decode.FirstTime)
		cancel()
		if err != nil && !errors.Is(err, decode.ErrUnfinished) {
			t.Fatal(err)
		}
	}
	d.Check()
	if got := d.StoredIn(archivetest.SingleChat); len(got) != 15 || len(d.SetAsideReasons()) != 15 || deliveries < 2 {
		t.Errorf("got %d stored, %d aside after %d deliveries; want 15, 15 after more than one", len(got), len(d.SetAsideReasons()), deliveries)
	}
}

func TestDamagedJournalIsSaid(t *testing.T) {
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
				t.Errorf("got result %+v, want 3 rows of a damaged journal", r)
			}
			if d.SetAsideReasons()[1] != archive.ReasonJournal {
				t.Errorf("got %v aside, want a row that says so", d.SetAsideReasons())
			}
		})
	}
}

func TestOneMsgIDUnderTwoSeqs(t *testing.T) {
	for _, order := range [][]uint64{{0, 1}, {1, 0}} {
		d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
		d.AddKey(archivetest.Corp, "k1", 1)
		again := archivetest.TextRecord(1, 1, "k1")
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"))
		d.Must(d.Pull(archive.PullRequest{}))
		again.Seq = 2
		d.Library.Say(archivetest.Corp, again)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		for _, after := range order {
			d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, after, decode.FirstTime))
		}
		if got := d.StoredIn(archivetest.SingleChat); len(got) != 1 || got[0].Seq != 1 {
			t.Errorf("decoded in order %v: got %+v, want one message, of the lower seq", order, got)
		}
	}
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
		t.Errorf("got files %v, want each once, %v", named[0], ids)
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
			t.Errorf("got a type name of %d bytes: the row must stay small", len(name))
		}
	}
}

// One malformed message cannot make its page impossible to store: ids of any
// length stay within what a key and an item can hold.
func TestMonstrousIDs(t *testing.T) {
	monster := strings.Repeat("x", 500_000)
	for name, raw := range map[string]string{
		"from":      `{"msgid":"a","from":"` + monster + `","tolist":["b"],"msgtime":1767225600123,"msgtype":"text"}`,
		"tolist":    `{"msgid":"a","from":"a","tolist":["` + monster + `","c"],"msgtime":1767225600123,"msgtype":"text"}`,
		"roomid":    `{"msgid":"a","from":"a","tolist":["b"],"roomid":"` + monster + `","msgtime":1767225600123,"msgtype":"text"}`,
		"pre_msgid": `{"msgid":"a","action":"recall","from":"` + monster + `","tolist":["b"],"msgtime":1767225600123,"msgtype":"revoke","revoke":{"pre_msgid":"` + monster + `"}}`,
		"userid":    `{"msgid":"a","from":"wmA","tolist":["b"],"msgtime":1767225600123,"msgtype":"agree","agree":{"userid":"` + monster + `"}}`,
		"msgtype":   `{"msgid":"a","from":"a","tolist":["b"],"msgtime":1767225600123,"msgtype":"` + monster + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 1, MsgID: monster, KeyVersion: 1, KeyID: "k1", Text: []byte(raw)})
			d.Say(archivetest.Corp, 2, 2)
			d.PullAndDecode()
			if r := d.Rows()[0].Result; r == nil || r.Stored != 3 {
				t.Errorf("got %+v, want 3 messages stored", r)
			}
			if len(d.StoredIn(archivetest.SingleChat)) != 2 {
				t.Error("the page's other messages are not there")
			}
		})
	}
}

// A revoked message is found whichever of the two is decoded first, and stays
// as it is.
func TestRevocations(t *testing.T) {
	revoke := func(seq uint64, msgID, of string) archivetest.Record {
		return archivetest.Record{Seq: seq, MsgID: msgID, KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":%q,"action":"recall","from":"lin.hua","tolist":["wmcustomer"],"roomid":"","msgtime":%d,"msgtype":"revoke","revoke":{"pre_msgid":%q}}`,
			msgID, archivetest.Start.UnixMilli()+int64(seq), of)}
	}
	said := []archivetest.Record{archivetest.TextRecord(1, 1, "k1"), revoke(2, "r2", "m1_external"), revoke(3, "r3", "m1"), revoke(4, "r4", "never seen")}
	for _, order := range [][]uint64{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
		d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
		d.AddKey(archivetest.Corp, "k1", 1)
		for _, r := range said {
			d.Library.Say(archivetest.Corp, r)
			d.Must(d.Pull(archive.PullRequest{Force: true}))
		}
		for range 2 {
			for _, after := range order {
				d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, after, decode.Again))
			}
		}
		found, err := d.View.Revocations(t.Context(), archivetest.Corp, archivetest.SingleChat, []string{"m1", "r2"})
		d.Must(err)
		if got := found["m1"]; len(found) != 1 || got.Seq != 2 || got.By != "lin.hua" || !got.At.Equal(archivetest.Start.Add(2*time.Millisecond)) {
			t.Errorf("decoded in order %v: got %+v, want m1 withdrawn by seq 2", order, found)
		}
		if m := d.StoredIn(archivetest.SingleChat)[0]; string(m.Raw) != string(archivetest.TextOf(1)) {
			t.Error("the withdrawn message was changed")
		}
	}
}

func TestConsentMessages(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	say := func(seq uint64, format string) {
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil, format, fmt.Sprint("m", seq))})
	}
	say(1, `{"msgid":%q,"action":"send","from":"wmA","tolist":["lin.hua"],"roomid":"","msgtime":1767225826656,"msgtype":"agree","agree":{"userid":"wmA","agree_time":1767225826656}}`)
	say(2, `{"msgid":%q,"action":"send","from":"wmA","tolist":["lin.hua"],"roomid":"","msgtime":1767225944122,"msgtype":"disagree","disagree":{"userid":"wmA","disagree_time":1767225944122}}`)
	say(3, `{"msgid":%q,"action":"send","from":"wmB","tolist":["lin.hua","wmA"],"roomid":"wr1","msgtime":1767225944122,"msgtype":"agree","agree":{"userid":"wmB","agree_time":1767225944122}}`)
	say(4, `{"msgid":%q,"action":"send","from":"wmC","tolist":["a","b"],"roomid":"","msgtime":1767225944122,"msgtype":"agree","agree":{"userid":"wmC"}}`)
	d.PullAndDecode()
	for _, tt := range []struct {
		query archive.ConsentQuery
		want  []archive.Consent
	}{
		{archive.ConsentQuery{Contact: "wmA"}, []archive.Consent{{Corp: archivetest.Corp, Contact: "wmA", Member: "lin.hua", Status: archive.Disagreed,
			Source: archive.ConsentMessage, ChangedAt: time.Unix(1767225944, 0).UTC(), At: d.Rows()[0].At}}},
		{archive.ConsentQuery{Room: "wr1"}, []archive.Consent{{Corp: archivetest.Corp, Contact: "wmB", Room: "wr1", Status: archive.Agreed,
			Source: archive.ConsentMessage, ChangedAt: time.Unix(1767225944, 0).UTC(), At: d.Rows()[0].At}}},
		{archive.ConsentQuery{Contact: "wmC"}, nil},
	} {
		got, _, err := d.Consents.Consents(t.Context(), archivetest.Corp, tt.query, "", 10)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %+v, %v\nwant %+v", tt.query, got, err, tt.want)
		}
	}
	if rows := d.Rows(); rows[0].Result.Stored != 4 {
		t.Errorf("got %+v, want all four messages stored", rows[0].Result)
	}
}

// What messages name is registered before the page is finished, once for each
// sdkfileid, and requested after it.
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
		t.Errorf("got %s, %q, want it failed at once", f.State, f.Reason)
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
		t.Errorf("a second decode changed the row: %+v", again)
	}
}

// A replay of a page with many records that break the library ends.
func TestReplayOfHangingRecordsEnds(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 40)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer {
		d.Clock.Advance(5 * time.Second)
		return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Hung}}
	}
	d.Work()
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", OnlySetAside: true, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	for range 10 {
		reqs := d.Decodes.Take()
		if len(reqs) == 0 {
			return
		}
		d.Clock.Set(time.Now())
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(300*time.Second))
		d.Must(d.Replayer.Run(ctx, archivetest.Corp, "r"))
		cancel()
	}
	t.Error("ten invocations of 300 s, and the job is not done")
}

// A replay that finds nothing to do for long keeps its place.
func TestReplayKeepsItsPlace(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(30) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{}))
	}
	d.Work()
	slow := d.Config
	slow.Journal = slowJournal{d.Journal, d.Clock}
	d.Configure(slow)
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", Version: 9, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	for range 10 {
		reqs := d.Decodes.Take()
		if len(reqs) == 0 {
			return
		}
		d.Clock.Set(time.Now())
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(300*time.Second))
		d.Must(d.Replayer.Run(ctx, archivetest.Corp, "r"))
		cancel()
	}
	t.Error("ten invocations over thirty pages, and the job is not done")
}

// slowJournal takes 20 seconds to read a page.
type slowJournal struct {
	archive.Journal
	clock *archivetest.Clock
}

func (s slowJournal) Page(ctx context.Context, r archive.Row) ([]byte, error) {
	s.clock.Advance(20 * time.Second)
	return s.Journal.Page(ctx, r)
}

// The secret store may not show a key yet that was just added: the page is
// tried again, not given up.
// A key that cannot be had costs only what needs it: what another key opens is
// stored, and what none opens is set aside, or tried again if the key may come.
func TestKeyThatCannotBeHad(t *testing.T) {
	tests := []struct {
		name   string
		why    error
		needed bool // by a record
		again  bool
	}{
		{"spoilt", archive.ErrCorrupt, false, false},
		{"spoilt and needed", archive.ErrCorrupt, true, false},
		{"not read", archivetest.ErrInjected, false, false},
		{"not read and needed", archivetest.ErrInjected, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 0)
			d.AddKey(archivetest.Corp, "k2", 0) // the newer one is tried first
			d.Clock.Advance(time.Hour)
			d.Say(archivetest.Corp, 1, 2)
			stored, aside := 2, 0
			if tt.needed {
				d.Library.Say(archivetest.Corp, archivetest.TextRecord(3, 1, "k2"))
				aside = 1
			}
			d.Must(d.Pull(archive.PullRequest{}))
			d.Openers.Withhold(archivetest.Corp, "k2", tt.why)
			if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); (err != nil) != tt.again {
				t.Fatalf("got %v, want it tried again: %v", err, tt.again)
			}
			if tt.again {
				d.Openers.Put(archivetest.Corp, "k2")
				stored, aside = 3, 0
				d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
			}
			if len(d.StoredIn(archivetest.SingleChat)) != stored || len(d.SetAsideReasons()) != aside {
				t.Errorf("got %d messages and %v aside, want %d and %d", len(d.StoredIn(archivetest.SingleChat)), d.SetAsideReasons(), stored, aside)
			}
			d.Check()
		})
	}
}

func TestKeyThatCannotBeReadYet(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.Say(archivetest.Corp, 1, 3)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Decodes.Take()
	d.Must(d.Corps.AddKey(t.Context(), archivetest.Corp, archive.Key{ID: "k1", PublicPEM: "pem", Origin: archive.KeyImported, CreatedAt: d.Clock.Now()}, false, ""))
	if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); err == nil {
		t.Error("got no error, want the page to be tried again")
	}
	d.Openers.Put(archivetest.Corp, "k1")
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if len(d.SetAsideReasons()) != 0 || len(d.StoredIn(archivetest.SingleChat)) != 3 {
		t.Errorf("got %v aside, want none", d.SetAsideReasons())
	}

	// A key that never appears does not hold the page for ever.
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(4, 2, "lost"))
	d.Must(d.Corps.AddKey(t.Context(), archivetest.Corp, archive.Key{ID: "lost", PublicPEM: "pem", Origin: archive.KeyImported, CreatedAt: d.Clock.Now()}, false, ""))
	d.Clock.Advance(10 * time.Minute)
	d.PullAndDecode()
	if d.SetAsideReasons()[4] != archive.ReasonNoKey {
		t.Errorf("got %v aside, want seq 4 without key", d.SetAsideReasons())
	}
}

// The look for keys that came meanwhile fails: the delivery that comes again
// makes up for it, although the page is decoded.
func TestRedeliveryLooksForKeys(t *testing.T) {
	f := &archivetest.Faults{}
	d := archivetest.NewDecodeFixture(t, f)
	d.Say(archivetest.Corp, 1, 1)
	d.Must(d.Pull(archive.PullRequest{}))
	looks := 0
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == "Corps.KeySet" {
			if looks++; looks == 2 {
				return archivetest.FailsBefore, nil
			}
		}
		return archivetest.Works, nil
	})
	if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); err == nil {
		t.Fatal("got no error, want the second look to fail")
	}
	f.Disarm()
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %v aside, want none", d.SetAsideReasons())
	}
}

// Law 2: the view is rebuilt from the journal alone, to the same result.
func TestReplayRebuildsTheView(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(250) { // more rows than a replay reads at a time
		d.Say(archivetest.Corp, 10*i+1, 2)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Work()
	before := d.StoredIn(archivetest.SingleChat)
	if len(before) != 500 {
		t.Fatalf("got %d messages, want 500", len(before))
	}
	d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
	d.Library.Forget(archivetest.Corp, 1<<62)
	job := decode.Replay{Corp: archivetest.Corp, ID: "all", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now(), By: "test"}
	d.Must(d.Replayer.StartReplay(t.Context(), job))
	d.Work()
	d.Check()
	after := d.StoredIn(archivetest.SingleChat)
	if !slices.EqualFunc(before, after, func(a, b archive.Message) bool {
		return a.Seq == b.Seq && a.MsgID == b.MsgID && a.Time.Equal(b.Time) && bytes.Equal(a.Raw, b.Raw)
	}) {
		t.Errorf("got another view: %d messages, before %d", len(after), len(before))
	}
	got, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "all")
	if err != nil || !got.Done || got.Pages != 250 {
		t.Errorf("got job %+v, %v; want it done with 250 pages", got, err)
	}
}

func TestReplayTakesItsRangeOnly(t *testing.T) {
	tests := []struct {
		from, to uint64
		want     int // pages: each covers ten seqs
	}{
		{0, 0, 10}, {0, 10, 1}, {0, 11, 2}, {9, 10, 1}, {10, 20, 1}, {10, 21, 2}, {95, 0, 1}, {95, 500, 1}, {100, 0, 0}, {15, 45, 4},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("(%d,%d]", tt.from, tt.to), func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			for i := range uint64(10) {
				d.Say(archivetest.Corp, 10*i+1, 10)
				d.Must(d.Pull(archive.PullRequest{Force: true}))
			}
			d.Work()
			d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now(), From: tt.from, To: tt.to}))
			d.Work()
			if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r"); err != nil || !job.Done || job.Pages != tt.want {
				t.Errorf("got job %+v, %v; want it done with %d pages", job, err, tt.want)
			}
		})
	}
}

func TestReplayOfOneVersion(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.AddKey(archivetest.Corp, "k2", 2)
	for i, version := range []uint32{1, 2, 1, 2, 2} {
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(uint64(i+1), version, fmt.Sprint("k", version)))
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Work()
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now(), Version: 2}))
	d.Work()
	if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r"); err != nil || !job.Done || job.Pages != 3 {
		t.Errorf("got job %+v, %v; want it done with the 3 pages of version 2", job, err)
	}
}

func TestReplaySurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d := archivetest.NewDecodeFixture(t, f)
		d.AddKey(archivetest.Corp, "k1", 1)
		for i := range uint64(3) {
			d.Say(archivetest.Corp, 2*i+1, 2)
			d.Must(d.Pull(archive.PullRequest{Force: true}))
		}
		d.Work()
		d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
		job := decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
		arm()
		if d.Replayer.StartReplay(t.Context(), job) == nil {
			_ = d.Replayer.Run(t.Context(), archivetest.Corp, "r")
		}
		f.Disarm()
		d.Clock.Advance(time.Second)
		d.Must(d.Replayer.StartReplay(t.Context(), job))
		d.Work()
		d.Check()
		if got := d.StoredIn(archivetest.SingleChat); len(got) != 6 {
			t.Errorf("got %d messages, want 6", len(got))
		}
	})
}

func TestReplayGoesOnInAnotherInvocation(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(6) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Work()
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer { d.Clock.Advance(10 * time.Second); return nil }
	runs := 0
	for {
		reqs := d.Decodes.Take()
		if len(reqs) == 0 {
			break
		}
		if runs++; runs > 10 {
			t.Fatal("the replay never ends")
		}
		d.Clock.Set(time.Now())
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(115*time.Second))
		d.Must(d.Replayer.Run(ctx, archivetest.Corp, reqs[0].Replay))
		cancel()
	}
	if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r"); err != nil || !job.Done || job.Pages != 6 || runs < 2 {
		t.Errorf("got job %+v, %v after %d runs; want it done with 6 pages after several", job, err, runs)
	}
}

func TestDecodeLeavesWhatIsDone(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 3)
	d.PullAndDecode()
	calls := 0
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer { calls++; return nil }
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if calls != 0 {
		t.Error("a page that is decoded was decoded again")
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if calls != 3 {
		t.Errorf("decoded again on request: got %d calls, want 3", calls)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 77, decode.FirstTime)) // a row that is not there helps nobody
}

func TestConversationIDs(t *testing.T) {
	for _, tt := range []struct {
		conv    archive.ConversationID
		kind    string
		parties []string
	}{
		{archive.RoomConversation("wr 1/ä:#"), "room", []string{"wr 1/ä:#"}},
		{archive.PartyConversation([]string{"b:b", "a#a", "b:b"}), "single", []string{"a#a", "b:b"}},
		{archive.PartyConversation([]string{"", "x"}), "own", []string{"x"}},
		{archive.PartyConversation(nil), "unplaced", nil},
		{archive.PartyConversation([]string{"a", "b", "c"}), "group", nil},
	} {
		if got := tt.conv.Kind(); got != tt.kind {
			t.Errorf("%s: got kind %s, want %s", tt.conv, got, tt.kind)
		}
		if got := tt.conv.Parties(); !slices.Equal(got, tt.parties) {
			t.Errorf("%s: got parties %q, want %q", tt.conv, got, tt.parties)
		}
		if strings.ContainsAny(string(tt.conv), "#/ ") {
			t.Errorf("%s holds what separates keys", tt.conv)
		}
	}
	if a, b := archive.PartyConversation([]string{"a,b", "c"}), archive.PartyConversation([]string{"a", "b,c"}); a == b {
		t.Errorf("two chats share %s", a)
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
