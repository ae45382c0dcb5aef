package proof

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// rowsMost bounds the rows that are read for one answer. A corp that is pulled
	// every minute has about 45,000 rows in a month.
	rowsMost = 50_000
	// rowsAtOnce is the number of rows that the ledger answers at once.
	rowsAtOnce = 1000
	// filesCounted bounds the files that are looked up for one answer.
	filesCounted = 20_000
	// rowsNamed is the number of pages whose files are read at once.
	rowsNamed = 100
	// gapsMost bounds the gaps that a statement lists.
	gapsMost = 20
	// settled is the time after midnight when the rows of a day are complete. A row
	// has the time at which its page came, and no pull takes longer than settled.
	settled = 15 * time.Minute
)

type linkJSON struct {
	Seq  string `json:"seq"`
	Hash string `json:"hash"`
}

// statementJSON is the summary of the rows of one day.
type statementJSON struct {
	Day    archive.Day `json:"day"`
	Closed bool        `json:"closed"`
	Whole  bool        `json:"whole"`

	Opening     linkJSON `json:"opening"`
	Closing     linkJSON `json:"closing"`
	Rows        int      `json:"rows"`
	BrokenAfter *string  `json:"broken_after"`

	FirstSeq *string `json:"first_seq"`
	LastSeq  *string `json:"last_seq"`
	Pages    int     `json:"pages"`
	Decoded  bool    `json:"decoded"`
	Waiting  struct {
		Pages   int `json:"pages"`
		Records int `json:"records"`
	} `json:"waiting"`
	Pulled     int            `json:"pulled"`
	Stored     int            `json:"stored"`
	Unreadable int            `json:"unreadable"`
	SetAside   map[string]int `json:"set_aside"`
	Types      map[string]int `json:"types"`
	Media      mediaJSON      `json:"media"`

	GapCount int        `json:"gap_count"`
	Gaps     []rowJSON  `json:"gaps"`
	Losses   []lossJSON `json:"losses"`

	naming []archive.Row   // the pages of the day that name files
	files  map[string]bool // the ids of these files
}

// nameFiles finds the files that the pages of the day name, up to filesCounted or
// until the time is over.
func (h *Handlers) nameFiles(ctx context.Context, corp string, s *statementJSON) error {
	for i := 0; i < len(s.naming); i += rowsNamed {
		if i > 0 && session.Ending(ctx) {
			s.Media.Whole = false
			return nil
		}
		rows := s.naming[i:min(i+rowsNamed, len(s.naming))]
		afters := make([]uint64, len(rows))
		for i, r := range rows {
			afters[i] = r.After
		}
		named, err := h.Ledger.PageFiles(ctx, corp, afters)
		if err != nil {
			return err
		}
		for _, r := range rows {
			s.Media.Whole = s.Media.Whole && len(named[r.After]) == r.Result.Files
			for _, id := range named[r.After] {
				if !s.files[id] && len(s.files) == filesCounted {
					s.Media.Whole = false
					return nil
				}
				s.files[id] = true
			}
		}
	}
	return nil
}

func newStatement(day archive.Day, opening chainEnd) *statementJSON {
	return &statementJSON{
		Day: day, Whole: true, Decoded: true, Opening: opening.show(), Closing: opening.show(),
		SetAside: map[string]int{}, Types: map[string]int{}, Gaps: []rowJSON{}, Losses: []lossJSON{},
		Media: mediaJSON{Whole: true}, files: map[string]bool{},
	}
}

// add counts a row that comes after prev.
func (s *statementJSON) add(prev chainEnd, r archive.Row) {
	s.Rows++
	s.Closing = chainEnd{r.Last, r.Hash}.show()
	if s.BrokenAfter == nil && !prev.follows(r) {
		after := output.Decimal(r.After)
		s.BrokenAfter = &after
	}
	if r.Kind == archive.GapRow {
		if s.GapCount++; len(s.Gaps) < gapsMost {
			s.Gaps = append(s.Gaps, showRow(r))
		}
		return
	}
	first, last := output.Decimal(r.First), output.Decimal(r.Last)
	if s.FirstSeq == nil {
		s.FirstSeq = &first
	}
	s.LastSeq = &last
	s.Pages++
	s.Pulled += r.Count
	if r.Result == nil {
		s.Decoded = false
		s.Waiting.Pages++
		s.Waiting.Records += r.Count
		return
	}
	s.Stored += r.Result.Stored
	s.Unreadable += r.Result.Unreadable
	if r.Result.Files > 0 {
		s.naming = append(s.naming, r)
	}
	for reason, n := range r.Result.SetAside {
		s.SetAside[reason] += n
	}
	for kind, n := range r.Result.Types {
		s.Types[kind] += n
	}
}

// GetStatement answers the statement of a day.
func (h *Handlers) GetStatement(ctx context.Context, c *session.Call) (output.Answer, error) {
	day := archive.Day(c.PathValue("day"))
	if day.Start().IsZero() || day > archive.DayOf(h.Now()) {
		return output.Answer{}, problem.New(problem.NotFound, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	list, _, err := h.statements(ctx, c.CorpID, day, day)
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, list[0])
}

// ListStatements lists the statements of a range of days.
func (h *Handlers) ListStatements(ctx context.Context, c *session.Call) (output.Answer, error) {
	from, to := c.Days("from", "to", archive.DayOf(h.Now()))
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	list, next, err := h.statements(ctx, c.CorpID, from, to)
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, struct {
		Statements []*statementJSON `json:"statements"`
		Next       *archive.Day     `json:"next"`
	}{list, next})
}

// statements makes the statements of the days from first to last, at least one. If
// the days have too many rows or files for one answer or its time, the list ends
// before last, and next is the day to continue with. A first day that is too long
// for an answer is not whole.
//
// The rows of a day begin with the first row that was pulled on that day or later,
// and end before the first row of a later day. So each row is in exactly one day,
// even if clocks disagree.
func (h *Handlers) statements(ctx context.Context, corp string, first, last archive.Day) (list []*statementJSON, next *archive.Day, err error) {
	losses, err := h.Ledger.Losses(ctx, corp)
	if err != nil {
		return nil, nil, err
	}
	if list, next, err = h.summarize(ctx, corp, first, last); err != nil {
		return nil, nil, err
	}
	files := 0
	for i, s := range list {
		if err := h.nameFiles(ctx, corp, s); err != nil {
			return nil, nil, err
		}
		if files += len(s.files); i > 0 && (files > filesCounted || session.Ending(ctx)) {
			next, list = &s.Day, list[:i]
			break
		}
	}
	now := h.Now()
	for _, s := range list {
		s.Closed = s.Whole && !now.Before(input.DayEnd(s.Day).Add(settled))
		for _, l := range losses {
			if archive.DayOf(l.At) == s.Day {
				s.Losses = append(s.Losses, lossJSON{Since: output.Moment(l.Since), At: output.Moment(l.At)})
			}
		}
	}
	return list, next, h.countFiles(ctx, corp, list)
}

// summarize counts the rows of the days from first to last. next is as for
// statements.
func (h *Handlers) summarize(ctx context.Context, corp string, first, last archive.Day) (list []*statementJSON, next *archive.Day, err error) {
	at, end, err := h.chainBefore(ctx, corp, first.Start())
	if err != nil {
		return nil, nil, err
	}
	list = []*statementJSON{newStatement(first, end)}
	upTo := func(day archive.Day) {
		for list[len(list)-1].Day < day {
			list = append(list, newStatement(input.DaysAfter(list[len(list)-1].Day, 1), end))
		}
	}
	whole, err := h.eachRow(ctx, corp, at, last, func(r archive.Row) {
		upTo(archive.DayOf(r.At))
		list[len(list)-1].add(end, r)
		end = chainEnd{r.Last, r.Hash}
	})
	switch n := len(list) - 1; {
	case err != nil:
		return nil, nil, err
	case whole:
		upTo(last)
	default:
		next, list[0].Whole = continued(first, list[n].Day, last)
		list = list[:max(n, 1)]
	}
	return list, next, nil
}
