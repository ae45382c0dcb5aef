package decode_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// The set-up page shows when each key was last needed. A page that is decoded
// again does not change it, and a busy corp writes it once an hour.
func TestKeysSayWhenTheyWereLastUsed(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.AddKey(archivetest.Corp, "k2", 0)
	used := func() map[string]time.Time {
		t.Helper()
		set, err := d.Corps.KeySet(t.Context(), archivetest.Corp)
		d.Must(err)
		at := make(map[string]time.Time)
		for _, k := range set.Keys {
			at[k.ID] = k.LastUsedAt
		}
		return at
	}
	say := func(seq uint64) time.Time {
		t.Helper()
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(seq, 1, "k1"))
		d.Must(d.Pull(archive.PullRequest{}))
		d.Work()
		rows := d.Rows()
		return rows[len(rows)-1].At
	}
	want := func(what string, k1 time.Time) {
		t.Helper()
		if got := used(); !got["k1"].Equal(k1) || !got["k2"].IsZero() {
			t.Errorf("%s: got %v, want k1 used at %v, k2 never", what, got, k1)
		}
	}
	first := say(1)
	want("first message", first)
	d.Clock.Advance(archive.KeyTouch - time.Minute)
	say(2)
	want("within the hour", first)
	d.Clock.Advance(time.Minute + time.Second)
	third := say(3)
	want("after an hour", third)
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	want("the first page again", third)
}

// In each case every message is stored and each version gets its key, without a
// person's help (law 6).
func TestKeysFindTheirVersions(t *testing.T) {
	tests := []struct {
		name  string
		keys  func(d *archivetest.DecodeFixture)
		said  []archivetest.Record
		bound map[uint32]string
	}{
		{"claimed correctly", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 1) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1")}, map[uint32]string{1: "k1"}},
		{"claimed wrongly", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 9) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1")}, map[uint32]string{1: "k1"}},
		{"not claimed yet", func(d *archivetest.DecodeFixture) { d.AddKey(archivetest.Corp, "k1", 0) },
			[]archivetest.Record{archivetest.TextRecord(1, 1, "k1")}, map[uint32]string{1: "k1"}},
		{"two claims swapped", func(d *archivetest.DecodeFixture) {
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
		{"versions that start again at 1 with another key", func(d *archivetest.DecodeFixture) {
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
					t.Errorf("got %d messages and %v set aside, want %d and none", len(got), d.SetAsideReasons(), len(tt.said))
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

// A version starts again at 1 after its first key was proved for 1. The proved key is
// tried alone at first. Where its text seems to fit, and the library refuses the text,
// the other keys are tried too.
func TestVersionThatStartsAgainAfterAProof(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		t.Run(fmt.Sprintf("implicit rejection %v", implicit), func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.Openers.Implicit = implicit
			d.AddKey(archivetest.Corp, "k1", 1)
			d.AddKey(archivetest.Corp, "k2", 0)
			for seq, key := range []string{"k1", "k2", "k1"} {
				d.Library.Say(archivetest.Corp, archivetest.TextRecord(uint64(seq+1), 1, key))
				d.PullAndDecode()
			}
			if got := d.StoredIn(archivetest.SingleChat); len(got) != 3 || len(d.SetAsideReasons()) != 0 {
				t.Errorf("got %d messages and %v set aside, want 3 and none", len(got), d.SetAsideReasons())
			}
		})
	}
}

// A message is stored whichever key opens it. It proves the key only if it parses
// and has the msgid of its record (law 6).
func TestWhatProvesAKey(t *testing.T) {
	tests := []struct {
		name, msgID, text string
		version           uint32
		proves            bool
	}{
		{"msgid of the record", "m1", `{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`, 1, true},
		{"another msgid", "m1", `{"msgid":"m2","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`, 1, false},
		{"record without msgid", "", `{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`, 1, false},
		{"neither has a msgid", "", `{"from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`, 1, false},
		{"unreadable", "m1", "m1", 1, false},
		{"record without a version", "m1", `{"msgid":"m1","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600001}`, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 1, MsgID: tt.msgID, KeyVersion: tt.version, KeyID: "k1", Text: []byte(tt.text)})
			d.PullAndDecode()
			if r := d.Rows()[0].Result; r.Stored != 1 {
				t.Errorf("got result %+v, want the message stored", r)
			}
			set, err := d.Corps.KeySet(t.Context(), archivetest.Corp)
			d.Must(err)
			if proved := len(set.Bindings) == 1; proved != tt.proves {
				t.Errorf("got bindings %+v, want a proof: %v", set.Bindings, tt.proves)
			}
		})
	}
}

// The jobs that proofs start are listed by their time among the others, however high
// the version is.
func TestJobsOfProofsAreListedByTime(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	for i, version := range []uint32{3, 2} {
		name := fmt.Sprint("k", version)
		d.AddKey(archivetest.Corp, name, version)
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(uint64(i+1), version, name))
		d.PullAndDecode()
		d.Work()
		d.Clock.Advance(time.Hour)
		now := d.Clock.Now()
		d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: decode.JobID(now, "asked"), CreatedAt: now, UpdatedAt: now}))
		d.Work()
		d.Clock.Advance(time.Hour)
	}
	jobs, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 10)
	d.Must(err)
	var by []string
	for _, j := range jobs {
		by = append(by, j.CreatedAt.Format("15:04")+j.By)
	}
	if len(jobs) != 4 || !slices.IsSortedFunc(jobs, func(x, y decode.Replay) int { return y.CreatedAt.Compare(x.CreatedAt) }) {
		t.Errorf("got %v, want the newest first", by)
	}
}

// Records that lack a key are set aside. Once the key is imported, a replay job
// stores them, and the results count nothing as set aside.
func TestImportedKeyOpensWhatIsSetAside(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 2, "old"), archivetest.TextRecord(3, 2, "old"))
	d.PullAndDecode()
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(4, 2, "old"), archivetest.TextRecord(5, 1, "k1"))
	d.PullAndDecode()
	if got := d.SetAsideReasons(); len(got) != 3 || got[2] != archive.ReasonNoKey {
		t.Fatalf("got %v set aside, want 3 records without a key", got)
	}
	// The key arrives. The import starts a job over the records set aside.
	d.AddKey(archivetest.Corp, "old", 0)
	startReplay(d, decode.Replay{ID: "import", OnlySetAside: true})
	d.Work()
	d.Check()
	if got := d.StoredIn(archivetest.SingleChat); len(got) != 5 || len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %d messages and %v set aside, want 5 and none", len(got), d.SetAsideReasons())
	}
	for _, r := range d.Rows() {
		if r.Result.CountSetAside() != 0 {
			t.Errorf("row after %d still counts %v", r.After, r.Result.SetAside)
		}
	}
	wantDone(d, "import", 2)
}

// A key that arrives while a page is being decoded opens that page too. The job
// that the import started may have passed the page before it was finished.
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
		t.Errorf("got %v set aside, want none", d.SetAsideReasons())
	}
}

// A record that the library refused is tried with a key that arrives during decode:
// the text that it refused may have been that of a wrong key.
func TestKeyForARefusedRecordArrivesDuringDecode(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 1)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer {
		d.Library.OnDecrypt = nil
		d.AddKey(archivetest.Corp, "new", 0)
		return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: 10006}}
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if len(d.SetAsideReasons()) != 0 || len(d.StoredIn(archivetest.SingleChat)) != 1 {
		t.Errorf("got %v set aside, want none", d.SetAsideReasons())
	}
}

// An unavailable key costs only the records that need it. A record that another
// key opens is stored. A record that no key opens is set aside if the key is
// damaged. If the read failed, the page is tried again.
func TestUnavailableKeyCostsOnlyItsRecords(t *testing.T) {
	tests := []struct {
		name   string
		why    error
		needed bool // a record needs the key
		again  bool // the page must be tried again
	}{
		{"damaged", archive.ErrCorrupt, false, false},
		{"damaged and needed", archive.ErrCorrupt, true, false},
		{"read failed", archivetest.ErrInjected, false, false},
		{"read failed and needed", archivetest.ErrInjected, true, true},
		{"new and needed", archive.ErrNotFound, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 0)
			d.AddKey(archivetest.Corp, "k2", 0) // the newer one is tried first
			if tt.why != archive.ErrNotFound {
				d.Clock.Advance(time.Hour)
			}
			stored, aside := 2, 0
			if tt.needed {
				d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k2"))
				aside = 1
			}
			d.Say(archivetest.Corp, 2, 2)
			d.Must(d.Pull(archive.PullRequest{}))
			d.Openers.Withhold(archivetest.Corp, "k2", tt.why)
			if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); (err != nil) != tt.again {
				t.Fatalf("got %v, want an error: %v", err, tt.again)
			}
			if tt.again {
				if got := d.StoredIn(archivetest.SingleChat); len(got) != 2 || len(d.SetAsideReasons()) != 0 {
					t.Errorf("got %d messages and %v set aside while the key is unavailable, want the other 2 and none", len(got), d.SetAsideReasons())
				}
				d.Openers.Put(archivetest.Corp, "k2")
				stored, aside = 3, 0
				d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
			}
			if len(d.StoredIn(archivetest.SingleChat)) != stored || len(d.SetAsideReasons()) != aside {
				t.Errorf("got %d messages and %v set aside, want %d and %d", len(d.StoredIn(archivetest.SingleChat)), d.SetAsideReasons(), stored, aside)
			}
			d.Check()
		})
	}
}

// The secret store may hide a key that was just added. A page that needs the key
// is then tried again; its records are not set aside.
func TestNewKeyThatIsInvisibleYet(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.Say(archivetest.Corp, 1, 3)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Decodes.Take()
	d.Must(d.Corps.AddKey(t.Context(), archivetest.Corp, archive.Key{ID: "k1", PublicPEM: "pem", Origin: archive.KeyImported, CreatedAt: d.Clock.Now()}, false, ""))
	if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); err == nil {
		t.Error("got no error, want one: the page must be tried again")
	}
	d.Openers.Put(archivetest.Corp, "k1")
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if len(d.SetAsideReasons()) != 0 || len(d.StoredIn(archivetest.SingleChat)) != 3 {
		t.Errorf("got %v set aside, want none", d.SetAsideReasons())
	}

	// A key that stays invisible delays the page by ten minutes at most.
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(4, 2, "lost"))
	d.Must(d.Corps.AddKey(t.Context(), archivetest.Corp, archive.Key{ID: "lost", PublicPEM: "pem", Origin: archive.KeyImported, CreatedAt: d.Clock.Now()}, false, ""))
	d.Clock.Advance(10 * time.Minute)
	d.PullAndDecode()
	if d.SetAsideReasons()[4] != archive.ReasonNoKey {
		t.Errorf("got %v set aside, want seq 4 without a key", d.SetAsideReasons())
	}
}

// The check for new keys fails after the page is finished. The redelivered
// request makes the check again, although the page is decoded.
func TestRedeliveryChecksForNewKeys(t *testing.T) {
	f := &archivetest.Faults{}
	d := archivetest.NewDecodeFixture(t, f)
	d.Say(archivetest.Corp, 1, 1)
	d.Must(d.Pull(archive.PullRequest{}))
	reads := 0
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == "Corps.KeySet" {
			if reads++; reads == 2 {
				return archivetest.FailsBefore, nil
			}
		}
		return archivetest.Works, nil
	})
	if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime); err == nil {
		t.Fatal("got no error, want the second read of the keys to fail")
	}
	f.Disarm()
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	if len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %v set aside, want none", d.SetAsideReasons())
	}
}

// oneText is an opener that opens everything to one text.
type oneText []byte

func (o oneText) Opener(context.Context, string, string) (decode.Opener, error) { return o, nil }

func (o oneText) Open([]byte) ([]byte, error) { return o, nil }

// A text that cannot be a key text is not shown to the library: the padding of a
// wrong key is right by chance now and then (wecom.md 1.6).
func TestImplausibleKeyTextIsNotTried(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "long": strings.Repeat("k", 1025), "space": "key text", "control character": "key\x00text", "not ASCII": "密钥",
	} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			cfg := d.Config
			cfg.Openers = oneText(text)
			d.Configure(cfg)
			d.Say(archivetest.Corp, 1, 1)
			d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer {
				t.Error("the library got the text")
				return nil
			}
			d.PullAndDecode()
			if got := d.SetAsideReasons()[1]; got != archive.ReasonNoKey {
				t.Errorf("got reason %q, want %q", got, archive.ReasonNoKey)
			}
		})
	}
}

// A key whose read failed is not read again for each record of the page. Where the
// page is decoded again, the messages that the key did not hold back are announced
// once.
func TestKeyThatCannotBeRead(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 2, "k2"), archivetest.TextRecord(2, 2, "k2"), archivetest.TextRecord(3, 3, "k3"))
	d.PullAndDecode()
	d.AddKey(archivetest.Corp, "k2", 2)
	d.AddKey(archivetest.Corp, "k3", 3)
	d.Openers.Withhold(archivetest.Corp, "k2", archivetest.ErrInjected)
	var ids []string
	cfg := d.Config
	cfg.Openers = fetches{d.Openers, &ids}
	d.Configure(cfg)
	if err := d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again); !errors.Is(err, archivetest.ErrInjected) {
		t.Errorf("got %v, want that the key cannot be read", err)
	}
	slices.Sort(ids)
	if want := []string{"k1", "k2", "k3"}; !slices.Equal(ids, want) {
		t.Errorf("got keys %q read, want %q", ids, want)
	}
	if got := d.Announced.Take(); len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("got %+v announced, want the message of the other key", got)
	}
	d.Openers.Put(archivetest.Corp, "k2")
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if got := d.Announced.Take(); len(got) != 1 || got[0].Seq != 2 || len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %+v announced and %v set aside, want the messages of the key and none", got, d.SetAsideReasons())
	}
}

// fetches records in which order private keys are fetched.
type fetches struct {
	decode.Openers
	ids *[]string
}

func (f fetches) Opener(ctx context.Context, corp, keyID string) (decode.Opener, error) {
	*f.ids = append(*f.ids, keyID)
	return f.Openers.Opener(ctx, corp, keyID)
}

// The likeliest key is tried first: the key that is claimed for the version, then
// the newest of the keys that are proved for no version, then the others. Every
// key is tried (law 6).
func TestLikeliestKeyIsTriedFirst(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "old", 0)
	d.AddKey(archivetest.Corp, "claimed", 5)
	d.AddKey(archivetest.Corp, "new", 0)
	d.AddKey(archivetest.Corp, "proved", 0)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "proved"))
	d.PullAndDecode()
	var ids []string
	cfg := d.Config
	cfg.Openers, cfg.Parallel = fetches{d.Openers, &ids}, 1
	d.Configure(cfg)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(2, 5, "unknown"))
	d.PullAndDecode()
	if want := []string{"claimed", "new", "old", "proved"}; !slices.Equal(ids, want) {
		t.Errorf("got keys %q tried, want %q", ids, want)
	}
}
