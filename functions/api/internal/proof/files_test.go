package proof_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

func TestFilesInStatus(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	get := func() proof.StatusJSON {
		t.Helper()
		return apitest.Into[proof.StatusJSON](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/status").Want(200))
	}
	if f := get().Files; f.Waiting != 0 || f.Earliest != nil || f.Left != nil || len(f.Problems) != 0 || f.More {
		t.Errorf("of a corp without files: got %+v", f)
	}
	if err := w.Corps.SetEnabled(t.Context(), w.Corp, true, "admin", "", w.Now()); err != nil {
		t.Fatal(err)
	}
	if s := get(); *s.HoursLeft != 120 {
		t.Errorf("got %v hours left", *s.HoursLeft)
	}
	w.File(w.Corp, "waits", 1, media.Waiting, "", apitest.Noon.Add(90*time.Hour))
	w.File(w.Corp, "waits too", 2, media.Waiting, "", apitest.Noon.Add(30*time.Hour))
	w.File(w.Corp, "fails", 3, media.Failed, "sdk_10003", apitest.Noon.Add(time.Hour))
	w.File(w.Corp, "gone", 4, media.Expired, media.ReasonDeleted, apitest.Noon.Add(time.Hour))
	w.File(w.Corp, "gone too", 5, media.Expired, media.ReasonDeleted, apitest.Noon.Add(time.Hour))
	w.File(w.Corp, "stored", 6, media.Stored, "", apitest.Noon)
	w.File(w.Other, "waits", 6, media.Waiting, "", apitest.Noon)
	s := get()
	if f := s.Files; f.Waiting != 2 || *f.Earliest != output.Moment(apitest.Noon.Add(30*time.Hour)) || *f.Left != 30 || f.Problems["failed"] != 1 || f.Problems["expired"] != 2 || len(f.Problems) != 2 || f.More {
		t.Errorf("got %+v", f)
	}
	if *s.HoursLeft != 30 || *s.LagSeconds != 0 {
		t.Errorf("got %v hours left, lag %d; the file has 30 hours", *s.HoursLeft, *s.LagSeconds)
	}
	w.SetAside(archive.SetAside{Corp: w.Corp, Seq: 6, After: 5, MsgID: "a", KeyVersion: 2, Reason: archive.ReasonNoKey, At: apitest.Noon.Add(-100 * time.Hour)})
	if s := get(); *s.HoursLeft != 20 {
		t.Errorf("got %v hours left; the files of a record have 20", *s.HoursLeft)
	}
	w.Pass(32 * time.Hour)
	if s := get(); *s.HoursLeft != 58 || *s.Files.Left != 58 || s.Files.Waiting != 2 || s.Files.Late != 1 {
		t.Errorf("got %v and %v hours left, %+v; one file is late, and does not count", *s.HoursLeft, *s.Files.Left, s.Files)
	}
	w.Pass(60 * time.Hour)
	if s := get(); *s.HoursLeft != 28 || s.Files.Left != nil || s.Files.Earliest != nil || s.Files.Late != 2 {
		t.Errorf("got %v hours left, %+v; both are late", *s.HoursLeft, s.Files)
	}
}

// Files of pages that are not decoded, and of records set aside, count by the time
// of the pull. Files whose deadline is over do not count, however many they are.
func TestFilesOfUndecodedPagesAndRecordsSetAside(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	if err := w.Corps.SetEnabled(t.Context(), w.Corp, true, "admin", "", w.Now()); err != nil {
		t.Fatal(err)
	}
	check := func(what string, left float64, pages, aside time.Time) {
		t.Helper()
		s := apitest.Into[proof.StatusJSON](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/status").Want(200))
		text := func(p *string) string {
			if p == nil {
				return ""
			}
			return *p
		}
		want := func(at time.Time) string {
			if at.IsZero() {
				return ""
			}
			return output.Moment(at)
		}
		if *s.HoursLeft != left || text(s.PagesWaiting.FilesUntil) != want(pages) || text(s.SetAside.FilesUntil) != want(aside) {
			t.Errorf("%s: got %v hours left, %s and %s; want %v, %s and %s", what, *s.HoursLeft,
				text(s.PagesWaiting.FilesUntil), text(s.SetAside.FilesUntil), left, want(pages), want(aside))
		}
	}
	old, now := apitest.Noon.Add(-400*time.Hour), apitest.Noon
	w.Link(old, archive.PageRow, 5000)
	check("over", 120, time.Time{}, time.Time{})
	w.Decoded(w.Link(now.Add(-110*time.Hour), archive.PageRow, 5010), archive.Result{Stored: 10})
	w.Link(now.Add(-90*time.Hour), archive.PageRow, 5020)
	w.Link(now.Add(-10*time.Hour), archive.PageRow, 5030)
	check("behind what is over", 30, now.Add(30*time.Hour), time.Time{})
	var list []archive.SetAside
	for seq := range uint64(proof.CountMost + 1) {
		list = append(list, archive.SetAside{Corp: w.Corp, Seq: seq + 1, MsgID: "a", KeyVersion: 2, Reason: archive.ReasonNoKey, At: old})
	}
	w.SetAside(list...)
	check("rows over", 30, now.Add(30*time.Hour), time.Time{})
	w.SetAside(
		archive.SetAside{Corp: w.Corp, Seq: 5005, After: 5000, MsgID: "b", KeyVersion: 2, Reason: archive.ReasonNoKey, At: now.Add(-110 * time.Hour)},
		archive.SetAside{Corp: w.Corp, Seq: 5025, After: 5020, MsgID: "c", KeyVersion: 2, Reason: archive.ReasonNoKey, At: now.Add(-10 * time.Hour)},
	)
	check("rows behind them", 10, now.Add(30*time.Hour), now.Add(10*time.Hour))
}

func TestFilesInStatements(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	a := w.Link(beijing(t, 28, "12:00:00"), archive.PageRow, 10)
	b := w.Link(beijing(t, 29, "12:00:00"), archive.PageRow, 20)
	c := w.Link(beijing(t, 29, "13:00:00"), archive.PageRow, 30)
	w.Link(beijing(t, 31, "12:00:00"), archive.PageRow, 40)
	names := func(ids ...string) []string {
		for i, id := range ids {
			ids[i] = media.ID(id)
		}
		slices.Sort(ids)
		return ids
	}
	w.Decoded(a, archive.Result{Stored: 10}, names("a", "x")...)
	w.Decoded(b, archive.Result{Stored: 10}, names("b", "c", "d", "e")...)
	w.Decoded(c, archive.Result{Stored: 10}, names("e", "f", "a", "x")...)
	w.File(w.Corp, "a", 10, media.Waiting, "", apitest.Noon)
	w.File(w.Corp, "b", 11, media.Waiting, "", apitest.Noon)
	w.File(w.Corp, "c", 20, media.Failed, "sdk_10003", apitest.Noon)
	w.File(w.Corp, "d", 21, media.Mismatch, media.ReasonMD5, apitest.Noon)
	w.File(w.Corp, "e", 30, media.Expired, media.ReasonDeleted, apitest.Noon)
	w.File(w.Corp, "f", 30, media.Stored, "", apitest.Noon)
	w.File(w.Corp, "x", 9, media.Expired, media.ReasonDeleted, apitest.Noon)
	w.File(w.Corp, "g", 35, media.Waiting, "", apitest.Noon) // its page is being decoded
	w.File(w.Other, "h", 11, media.Failed, "sdk_10003", apitest.Noon)
	for day, want := range map[string]string{
		"2026-01-28": "named 2, stored 0, waiting 1, mismatch 0, expired 1, failed 0",
		"2026-01-29": "named 7, stored 1, waiting 2, mismatch 1, expired 2, failed 1",
		"2026-01-30": "named 0, stored 0, waiting 0, mismatch 0, expired 0, failed 0",
		"2026-01-31": "named 0, stored 0, waiting 0, mismatch 0, expired 0, failed 0",
	} {
		m := statement(w, day).Media
		got := fmt.Sprintf("named %d, stored %d, waiting %d, mismatch %d, expired %d, failed %d", m.Named, m.Stored, m.Waiting, m.Mismatch, m.Expired, m.Failed)
		if got != want || !m.Whole {
			t.Errorf("%s: got %s, whole %v; want %s", day, got, m.Whole, want)
		}
	}
	// The digest of a day covers the files that are stored, in the order of their ids.
	ids := names("d", "f")
	rows, err := w.Media.Files(t.Context(), w.Corp, ids)
	apitest.OK(t, err)
	lines := ""
	for _, id := range ids {
		lines += id + " " + rows[id].Stored.SHA256 + "\n"
	}
	for day, want := range map[string]string{"2026-01-28": archive.Digest(nil), "2026-01-29": archive.Digest([]byte(lines))} {
		if got := statement(w, day).Media.SHA256; got == nil || *got != want {
			t.Errorf("%s: got digest of files %v, want %s", day, got, want)
		}
	}

	// The numbers of a day with more files than are counted are lower bounds.
	for i := range proof.FilesCounted/archive.MaxFileIDs + 1 {
		many := []string{"a"}
		for n := range archive.MaxFileIDs - 1 {
			many = append(many, fmt.Sprint(i, " ", n))
		}
		w.Decoded(w.Link(beijing(t, 31, fmt.Sprintf("13:%02d:00", i)), archive.PageRow, uint64(50+i)), archive.Result{Stored: 10}, names(many...)...)
	}
	if m := statement(w, "2026-01-31").Media; m.Whole || m.SHA256 != nil || m.Named != proof.FilesCounted || m.Waiting != 1 {
		t.Errorf("of a day with more than are counted: got %+v", m)
	}
	// Such a day has a list of its own.
	list := apitest.Into[struct {
		Statements []proof.StatementJSON
		Next       *string
	}](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/statements?from=2026-01-28&to=2026-01-31").Want(200))
	if len(list.Statements) != 3 || list.Next == nil || *list.Next != "2026-01-31" {
		t.Errorf("got %d statements, next %v; want those before the long day", len(list.Statements), list.Next)
	}
}
