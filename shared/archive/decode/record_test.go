package decode_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// dies is a script in which the library's process dies on the first tries.
func dies(how archive.CrashKind, tries int) func(try int) *archivetest.Answer {
	return func(try int) *archivetest.Answer {
		if try > tries {
			return nil
		}
		return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: how}}
	}
}

// A record that cannot be decrypted is set aside with its reason, and the other
// records of its page are stored (laws 5 and 7).
func TestBadRecordCostsItselfOnly(t *testing.T) {
	const always = 1 << 20 // tries
	bad := archivetest.TextRecord(2, 1, "k1")
	tests := []struct {
		name   string
		record archivetest.Record
		script func(try int) *archivetest.Answer // what the library does with seq 2; nil: decrypts it
		want   archive.Reason
	}{
		{"crashes", bad, dies(archive.Crashed, always), archive.ReasonCrash},
		{"hangs", bad, dies(archive.Hung, always), archive.ReasonHang},
		{"nonsense", bad, dies(archive.Nonsense, always), archive.ReasonCrash},
		{"crashes once", bad, dies(archive.Crashed, 1), ""},
		{"refused", bad, func(int) *archivetest.Answer {
			return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: 10006}}
		}, archive.ReasonLibrary},
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
			d.Library.OnDecrypt = func(_ string, seq uint64, try int) *archivetest.Answer {
				if seq == 2 && tt.script != nil {
					return tt.script(try)
				}
				return nil
			}
			d.PullAndDecode()
			wantStored := 3
			if tt.want != "" {
				wantStored = 2
			}
			if got := d.StoredIn(archivetest.SingleChat); len(got) != wantStored || d.SetAsideReasons()[2] != tt.want {
				t.Errorf("got %d stored and %v set aside, want %d and %q", len(got), d.SetAsideReasons(), wantStored, tt.want)
			}
			if tt.want == "" || tt.script == nil {
				return
			}
			// With a better library a replay stores the record.
			d.Library.OnDecrypt = nil
			startReplay(d, decode.Replay{ID: "r", OnlySetAside: true})
			d.Work()
			d.Check()
			if got := d.StoredIn(archivetest.SingleChat); len(got) != 3 || len(d.SetAsideReasons()) != 0 {
				t.Errorf("after the replay: got %d stored and %v set aside, want 3 and none", len(got), d.SetAsideReasons())
			}
		})
	}
}

// SQS may deliver a request twice at once. If the library breaks in one of the two runs
// only, the record is stored, and the result says so, whichever run finishes last.
func TestTwoRunsOfOnePageLeaveOneResult(t *testing.T) {
	for name, held := range map[string]struct {
		call  string
		times int // so many calls come before it
	}{"before it finishes": {"Ledger.Finish", 0}, "before it looks again": {"View.SetAside", 1}, "at the end": {"Ledger.FirstPending", 0}} {
		t.Run(name, func(t *testing.T) {
			type run struct{}
			faults := &archivetest.Faults{}
			d := archivetest.NewDecodeFixture(t, faults)
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 1, "k1"))
			d.Must(d.Pull(archive.PullRequest{}))
			var breaks atomic.Bool
			d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
				if seq == 2 && breaks.Load() {
					return crashes("DecryptData")
				}
				return nil
			}
			read, reached, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
			faults.Through(func(ctx context.Context, c archivetest.Call, effect func()) error {
				switch ctx.Value(run{}) {
				case "whole": // it has read what is set aside, and waits while the other one breaks
					if c.Name == "Library.Decrypter" {
						close(read)
						<-reached
						breaks.Store(false)
					}
				case "broken":
					if c.Name != held.call {
						break
					}
					if held.times--; held.times == -1 {
						close(reached)
						<-ended
					}
				}
				effect()
				return nil
			})
			decodes := func(name string) error {
				return d.Decoder.Decode(context.WithValue(t.Context(), run{}, name), archivetest.Corp, 0, decode.FirstTime)
			}
			var whole error
			go func() {
				defer close(ended)
				whole = decodes("whole")
			}()
			<-read
			breaks.Store(true)
			d.Must(decodes("broken"))
			d.Must(whole)
			if row := d.Rows()[0]; row.Result.Stored != 2 || row.Result.CountSetAside() != 0 || len(d.SetAsideReasons()) != 0 {
				t.Errorf("got result %+v and %v set aside, want both records stored", row.Result, d.SetAsideReasons())
			}
		})
	}
}
