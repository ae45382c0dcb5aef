package proof_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// ask calls a route with less time than what a search leaves for its answer.
func ask(t *testing.T, serve func(context.Context, *session.Call) (output.Answer, error), query string, known []string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &session.Call{Request: r, CorpID: "ww0123456789abcdef"}
	c.ReadQuery(query, known)
	c.UsePages(opaque.Page("/", nil))
	ans, err := serve(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ans.Body, into); err != nil {
		t.Fatal(err)
	}
}

// naming is a ledger whose pages name a file each.
type naming struct {
	proof.Ledger
	looks *int
}

func (n naming) PageFiles(_ context.Context, _ string, afters []uint64) (map[uint64][]string, error) {
	*n.looks++
	files := make(map[uint64][]string)
	for _, after := range afters {
		files[after] = []string{media.ID(time.Duration(after).String())}
	}
	return files, nil
}

type noFiles struct{ proof.FileTable }

func (noFiles) Files(context.Context, string, []string) (map[string]media.File, error) {
	return nil, nil
}

// A statement whose time is over names the files that it knows, and says that some are
// missing. The next day is in the next answer.
func TestFilesOfStatementsEndWithTheirTime(t *testing.T) {
	for name, c := range map[string]struct{ days, perDay, statements, looks int }{
		"one long day": {1, 250, 1, 1}, "two days": {2, 90, 1, 2},
	} {
		rows := chainOf("ww0123456789abcdef", func(i int) time.Time {
			return beijing(t, 20+i/c.perDay, "08:00:00").Add(time.Duration(i%c.perDay) * time.Second)
		}, c.days*c.perDay)
		for i := range rows {
			rows[i].Result.Files = 1
		}
		looks := 0
		h := &proof.Handlers{Ledger: naming{rowsOnly{noLosses{}, rows}, &looks}, Files: noFiles{}, Messages: nothingSeen{}, Now: func() time.Time { return beijing(t, 31, "12:00:00") }}
		var l struct {
			Statements []proof.StatementJSON
			Next       *string
		}
		to := map[int]string{1: "2026-01-20", 2: "2026-01-21"}[c.days]
		ask(t, h.ListStatements, "from=2026-01-20&to="+to, []string{"from", "to"}, &l)
		if len(l.Statements) != c.statements || looks != c.looks || (l.Next != nil) != (c.days > 1) {
			t.Fatalf("%s: got %d statements after %d looks at files, next %v; want %d after %d", name, len(l.Statements), looks, l.Next, c.statements, c.looks)
		}
		if m := l.Statements[0].Media; m.Named != min(c.perDay, 100) || m.Whole {
			t.Errorf("%s: got %+v, want the files of 100 pages at most, and no whole", name, m)
		}
	}
}

// readings are one for each minute of each day.
type readings struct{ proof.ReadingStore }

func (readings) Readings(_ context.Context, _ string, day archive.Day, cursor string, limit int) (list []archive.Reading, next string, _ error) {
	for i := len(cursor); i < 60 && len(list) < limit; i++ {
		list = append(list, archive.Reading{At: day.Start().Add(time.Duration(i) * time.Minute), By: "u", List: archive.PartyList, Party: "lin.hua"})
		next = cursor + string(make([]byte, len(list)))
	}
	if len(next) == 60 {
		next = ""
	}
	return list, next, nil
}

type nameless struct{}

func (nameless) Beside(context.Context, archive.Corp, []string, []string) directory.Names {
	return directory.Names{People: nil}
}

func (nameless) Users(context.Context, archive.Corp, []string) directory.Names {
	return directory.Names{}
}

// A search for the readings of a rare user goes on with the next page.
func TestReadingsEndWithTheirTime(t *testing.T) {
	h := &proof.Handlers{Readings: readings{}, Names: nameless{}, Now: func() time.Time { return beijing(t, 31, "12:00:00") }}
	pages := 0
	for next := ""; ; pages++ {
		var l struct {
			Readings []proof.ReadingJSON
			Next     *string
		}
		ask(t, h.ListReadings, "from_day=2026-01-20&to_day=2026-01-31&viewer=other"+next, []string{"from_day", "to_day", "viewer", "limit", "page"}, &l)
		if len(l.Readings) != 0 {
			t.Fatalf("got %+v, want none", l.Readings)
		}
		if l.Next == nil || pages > 1000 {
			break
		}
		next = "&page=" + *l.Next
	}
	if pages < 11 {
		t.Errorf("got %d pages before the last, want at least one for each day", pages)
	}
}
