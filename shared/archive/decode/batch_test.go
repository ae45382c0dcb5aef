package decode_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// watched is a library that keeps the batches it gets.
type watched struct {
	decode.Decrypters
	batches [][]decode.Sealed
}

func (w *watched) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	d, err := w.Decrypters.Decrypter(ctx, corp)
	return watchedDecrypter{d, w}, err
}

type watchedDecrypter struct {
	decode.Decrypter
	w *watched
}

func (d watchedDecrypter) DecryptAll(ctx context.Context, records []decode.Sealed) ([]decode.Decrypted, error) {
	d.w.batches = append(d.w.batches, records)
	return d.Decrypter.DecryptAll(ctx, records)
}

func watch(d *archivetest.DecodeFixture) *watched {
	w := &watched{Decrypters: d.Library}
	cfg := d.Config
	cfg.Decrypters = w
	d.Configure(cfg)
	return w
}

// A batch is bounded by number and by bytes: it has the time of one call, and is
// one frame in memory.
func TestBatchesAreBounded(t *testing.T) {
	for name, text := range map[string]string{"short": "text", "long": strings.Repeat("long text ", 8<<10)} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			w := watch(d)
			for seq := uint64(1); seq <= 100; seq++ {
				r := archivetest.TextRecord(seq, 1, "k1")
				r.Text = bytes.Replace(r.Text, []byte("第"), []byte(text), 1)
				d.Library.Say(archivetest.Corp, r)
			}
			d.PullAndDecode()
			d.Check()
			records := 0
			for _, b := range w.batches {
				records += len(b)
				size := 0
				for _, r := range b[:len(b)-1] {
					size += len(r.Message)
				}
				if len(b) > 32 || size > 256<<10 {
					t.Errorf("got a batch of %d records and %d bytes before the last one, want at most 32 and 256 KiB", len(b), size)
				}
			}
			if records < 90 {
				t.Errorf("got %d records in batches, want nearly all of the 100", records)
			}
		})
	}
}

// A record that broke the library before is decrypted alone, so that it ends no
// batch of good records again.
func TestRecordThatBrokeTheLibraryIsDecryptedAlone(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 10)
	d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
		if seq == 5 {
			return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Crashed}}
		}
		return nil
	}
	d.PullAndDecode()
	if got := d.SetAsideReasons(); len(got) != 1 || got[5] != archive.ReasonCrash {
		t.Fatalf("got %v set aside, want the record that breaks the library", got)
	}
	w := watch(d)
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if len(w.batches) != 1 || len(w.batches[0]) != 9 {
		t.Errorf("got batches %v, want one of the other nine records", len(w.batches))
	}
}

// blind is a view that shows no record set aside at the first look, as if another
// run of the same page had not written yet.
type blind struct {
	decode.View
	looked bool
}

func (b *blind) SetAside(ctx context.Context, corp string, first, last uint64) ([]archive.SetAside, error) {
	if !b.looked {
		b.looked = true
		return nil, nil
	}
	return b.View.SetAside(ctx, corp, first, last)
}

// Of two runs of one page at the same time, one may set a record aside that the
// other one stores. The record is stored in the end, and not set aside.
func TestRecordIsNotStoredAndSetAside(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 3)
	d.Library.OnDecrypt = func(_ string, seq uint64, try int) *archivetest.Answer {
		if seq == 2 {
			return dies(archive.Crashed, 5)(try) // the batch and two tries alone, here and in the job of the proved key
		}
		return nil
	}
	d.PullAndDecode()
	if got := d.SetAsideReasons(); got[2] != archive.ReasonCrash {
		t.Fatalf("got %v set aside, want the record that breaks the library", got)
	}
	cfg := d.Config
	cfg.View = &blind{View: cfg.View}
	d.Configure(cfg)
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if got := d.StoredIn(archivetest.SingleChat); len(got) != 3 || len(d.SetAsideReasons()) != 0 {
		t.Errorf("got %d stored and %v set aside, want 3 and none", len(got), d.SetAsideReasons())
	}
}

// A key that cannot be read does not hold back a page in which the library refuses
// a record that the proved key opened.
func TestUnreadableKeyHoldsNoPageBack(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.AddKey(archivetest.Corp, "k2", 0)
	d.Say(archivetest.Corp, 1, 1)
	d.PullAndDecode() // proves k1
	d.Openers.Withhold(archivetest.Corp, "k2", errors.New("access denied"))
	d.Library.OnDecrypt = func(_ string, seq uint64, _ int) *archivetest.Answer {
		if seq == 3 {
			return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: 10006}}
		}
		return nil
	}
	d.Say(archivetest.Corp, 2, 3)
	d.PullAndDecode()
	if got := d.StoredIn(archivetest.SingleChat); len(got) != 3 || d.SetAsideReasons()[3] != archive.ReasonLibrary {
		t.Errorf("got %d stored and %v set aside, want 3 and the refused record", len(got), d.SetAsideReasons())
	}
}
