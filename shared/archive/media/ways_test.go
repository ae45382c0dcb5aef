package media_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// Each way in which other archives have lost files ends with the whole file here,
// or with a state that says what is lost.
func TestWaysToLoseFiles(t *testing.T) {
	body := content(2*part + chunk + 7)
	tests := []struct {
		way string
		do  func(b *fixture, f media.File)
	}{
		{"partial media marked complete", func(b *fixture, _ media.File) {
			n := 0 // the second chunk misses bytes, and its next index does not
			b.answers(func(_ string, c media.Chunk, err error) (media.Chunk, error) {
				if n++; n == 2 {
					c.Data = c.Data[:1000]
				}
				return c, err
			})
		}},
		{"media retry appended to old bytes", func(b *fixture, _ media.File) {
			n := 0
			b.answers(func(_ string, c media.Chunk, err error) (media.Chunk, error) {
				if n++; n > 12 && n < 16 { // in the second part
					return media.Chunk{}, codeError(10001)
				}
				return c, err
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.way, func(t *testing.T) {
			b := newFixture(t, &archivetest.Faults{})
			f := b.file("f", body)
			f.MD5, f.Size = "", 0 // as for the voice of a meeting
			b.register(f)
			tt.do(b, f)
			for range 20 {
				b.Must(b.fetch(t.Context()))
				b.Clock.Advance(10 * time.Minute)
				b.trouble("")
			}
			b.want(f, media.Stored, "", body)
		})
	}
	t.Run("media fetched too late", func(t *testing.T) {
		b := newFixture(t, &archivetest.Faults{})
		f := b.fileWithout("f")
		b.register(f)
		b.failsWith(codeError(10010))
		b.Must(b.fetch(t.Context()))
		b.want(f, media.Expired, media.ReasonDeleted, nil) // the row says that the file is lost
	})
}
