package decode_test

import (
	"bytes"
	"context"
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
