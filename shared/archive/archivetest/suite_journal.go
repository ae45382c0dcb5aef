package archivetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// TestJournal checks a journal. It calls open once, for an empty journal.
func TestJournal(t *testing.T, open func(t testing.TB) JournalStore) {
	j := open(t)
	for name, test := range map[string]func(*testing.T, JournalStore){
		"Pages":      journalPages,
		"Listing":    journalListing,
		"Gaps":       journalGaps,
		"Heads":      journalHeads,
		"Messages":   journalMessages,
		"Concurrent": journalConcurrently,
	} {
		t.Run(name, func(t *testing.T) { test(t, j) })
	}
}

func journalPages(t *testing.T, j JournalStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	for name, page := range map[string][]byte{
		"usual page": []byte(`{"errcode":0,"errmsg":"ok","chatdata":[]}`),
		"any bytes":  {0, 0xff, '\r', '\n', 0xfe},
		"large":      bytes.Repeat([]byte("0123456789abcdef"), 3<<16),
	} {
		head := archive.NewHead(corp)
		head.Last = far
		row := PageRow(head, page, far+1, far+5, 5, epoch)
		_, err := j.Page(t.Context(), row)
		fails(t, name+" before", err, archive.ErrNotFound)
		ok(t, j.PutPage(t.Context(), row, page))
		again := PageRow(head, page, far+1, far+5, 5, epoch.Add(time.Hour)) // pulled again after a crash
		for range 2 {
			ok(t, j.PutPage(t.Context(), again, page))
		}
		for _, r := range []archive.Row{row, again} {
			got, err := j.Page(t.Context(), r)
			ok(t, err)
			if !bytes.Equal(got, page) {
				t.Errorf("%s: got %d bytes, want the %d that were stored", name, len(got), len(page))
			}
		}
		for what, r := range map[string]archive.Row{
			"another corp": PageRow(archive.Head{Corp: other, Last: far}, page, far+1, far+5, 5, epoch),
			"another seq":  PageRow(archive.Head{Corp: corp, Last: far + 1}, page, far+2, far+5, 5, epoch),
			"another page": PageRow(head, append(page, ' '), far+1, far+5, 5, epoch),
		} {
			_, err := j.Page(t.Context(), r)
			fails(t, name+", "+what, err, archive.ErrNotFound)
		}
	}
}

func journalListing(t *testing.T, j JournalStore) {
	corp, longer := corpFor(t, 1), corpFor(t, 1)+"0"
	list := func(corp string, from uint64) (afters []uint64) {
		t.Helper()
		for p, err := range j.Pages(t.Context(), corp, from) {
			ok(t, err)
			if p.Sum != Sum(fmt.Append(nil, p.After)) || p.Size != len(fmt.Sprint(p.After)) || p.At.IsZero() {
				t.Errorf("got %+v, want digest, size and time of the object", p)
			}
			afters = append(afters, p.After)
		}
		return afters
	}
	put := func(corp string, after uint64) {
		t.Helper()
		page := fmt.Append(nil, after)
		ok(t, j.PutPage(t.Context(), PageRow(archive.Head{Corp: corp, Last: after}, page, after+1, after+1, 1, epoch), page))
	}
	same(t, "empty list", list(corp, 0), []uint64(nil))
	for _, after := range []uint64{far, 0, 100, 9} {
		put(corp, after)
	}
	put(longer, 5)
	ok(t, j.PutHead(t.Context(), "2025-03-01", archive.NewHead(corp)))
	same(t, "list", list(corp, 0), []uint64{0, 9, 100, far})
	same(t, "list from a page on", list(corp, 9), []uint64{9, 100, far})
	same(t, "list from between two pages on", list(corp, 10), []uint64{100, far})
	same(t, "list of a corp whose id begins with the other's", list(longer, 0), []uint64{5})
	for p, err := range j.Pages(t.Context(), corp, 0) {
		ok(t, err)
		same(t, "first of a list that is left", p.After, uint64(0))
		break
	}
}

func journalGaps(t *testing.T, j JournalStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	row := GapRow(archive.Head{Corp: corp, Last: far}, far+3, "errcode_301058", "九 calls failed", epoch)
	fails(t, "before", j.Gap(t.Context(), row), archive.ErrNotFound)
	for range 2 {
		ok(t, j.PutGap(t.Context(), row))
	}
	ok(t, j.Gap(t.Context(), row))
	for what, r := range map[string]archive.Row{
		"another corp":     GapRow(archive.Head{Corp: other, Last: far}, far+3, "errcode_301058", "九 calls failed", epoch),
		"another seq":      GapRow(archive.Head{Corp: corp, Last: far + 1}, far+3, "errcode_301058", "九 calls failed", epoch),
		"another evidence": GapRow(archive.Head{Corp: corp, Last: far}, far+3, "errcode_301058", "ten calls failed", epoch),
	} {
		fails(t, what, j.Gap(t.Context(), r), archive.ErrNotFound)
	}
	for what, r := range map[string]archive.Row{
		"another end":    GapRow(archive.Head{Corp: corp, Last: far}, far+9, "errcode_301058", "九 calls failed", epoch),
		"another reason": GapRow(archive.Head{Corp: corp, Last: far}, far+3, "library_crash", "九 calls failed", epoch),
	} {
		fails(t, what, j.Gap(t.Context(), r), archive.ErrCorrupt)
	}
}

func journalHeads(t *testing.T, j JournalStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	_, err := j.Head(t.Context(), corp, "2025-03-01")
	fails(t, "before", err, archive.ErrNotFound)
	first := archive.Head{Corp: corp, Last: far, Rows: 1 << 60, Hash: Sum([]byte("row")), At: epoch}
	later := archive.Head{Corp: corp, Last: far + 9, Rows: 1<<60 + 1, Hash: Sum([]byte("next row")), At: epoch.Add(time.Hour)}
	for _, h := range []archive.Head{first, first, later} {
		ok(t, j.PutHead(t.Context(), "2025-03-01", h))
		got, err := j.Head(t.Context(), corp, "2025-03-01")
		ok(t, err)
		same(t, "head", got, first)
	}
	ok(t, j.PutHead(t.Context(), "2025-03-02", later))
	got, err := j.Head(t.Context(), corp, "2025-03-02")
	ok(t, err)
	same(t, "head of the next day", got, later)
	ok(t, j.PutHead(t.Context(), "2025-03-01", archive.NewHead(other)))
	got, err = j.Head(t.Context(), other, "2025-03-01")
	ok(t, err)
	same(t, "head of a corp without rows", got, archive.NewHead(other))

	list := func(corp string) (days []archive.Day) {
		t.Helper()
		for h, err := range j.Heads(t.Context(), corp) {
			ok(t, err)
			if h.At.IsZero() {
				t.Errorf("got %+v, want the time of the object", h)
			}
			days = append(days, h.Day)
		}
		return days
	}
	ok(t, j.PutHead(t.Context(), "2024-12-31", later))
	ok(t, j.PutHead(t.Context(), "2025-01-01", archive.NewHead(corp+"0")))
	same(t, "list", list(corp), []archive.Day{"2024-12-31", "2025-03-01", "2025-03-02"})
	same(t, "list of a corp whose id begins with the other's", list(corp+"0"), []archive.Day{"2025-01-01"})
	same(t, "list of a corp without heads", list(corp+"1"), []archive.Day(nil))
	for h, err := range j.Heads(t.Context(), corp) {
		ok(t, err)
		same(t, "first of a list that is left", h.Day, archive.Day("2024-12-31"))
		break
	}
}

func journalMessages(t *testing.T, j JournalStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	raw := bytes.Repeat([]byte{0, 0xff, 'x'}, archive.InlineLimit/2)
	o := archive.Overflow{Sum: Sum(raw), Size: len(raw)}
	_, err := j.Message(t.Context(), corp, o)
	fails(t, "before", err, archive.ErrNotFound)
	for range 2 {
		ok(t, j.PutMessage(t.Context(), corp, o, raw))
	}
	got, err := j.Message(t.Context(), corp, o)
	ok(t, err)
	if !bytes.Equal(got, raw) {
		t.Errorf("got %d bytes, want the %d that were stored", len(got), len(raw))
	}
	_, err = j.Message(t.Context(), other, o)
	fails(t, "another corp", err, archive.ErrNotFound)
}

func journalConcurrently(t *testing.T, j JournalStore) {
	corp := corpFor(t, 1)
	page := []byte("page")
	row := PageRow(archive.NewHead(corp), page, 1, 1, 1, epoch)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := j.PutPage(t.Context(), row, page); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := j.Page(t.Context(), row)
	ok(t, err)
	if !bytes.Equal(got, page) {
		t.Errorf("got %d bytes, want %d", len(got), len(page))
	}
}
