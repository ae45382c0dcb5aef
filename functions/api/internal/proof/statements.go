package proof

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// rowsMost is how many rows of a chain are read for one answer. A corp that
	// is pulled every minute has some 45,000 in a month.
	rowsMost = 50_000
	// rowsAtOnce is the most that the ledger gives at a time.
	rowsAtOnce = 1000
	// filesCounted is how many files are looked up for one answer.
	filesCounted = 20_000
	// rowsNamed is how many pages are asked for their files at a time.
	rowsNamed = 100
	// gapsMost is how many gaps a statement lists.
	gapsMost = 20
	// settled is when a day is over for its rows: a pull is no longer, and a row
	// has the time at which its page came.
	settled = 15 * time.Minute
)

type linkJSON struct {
	Seq  string `json:"seq"`
	Hash string `json:"hash"`
}

// statementJSON is what the chain's rows of one day say.
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

	naming []archive.Row   // the day's pages that name files
	files  map[string]bool // by id, what they name
}

// nameFiles finds the files that the day's pages name, up to filesCounted.
func (h *Handlers) nameFiles(ctx context.Context, corp string, s *statementJSON) error {
	for rows := range slices.Chunk(s.naming, rowsNamed) {
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

// chainEnd is the end of a chain, or of its beginning.
type chainEnd struct {
	last uint64
	hash string
}

func (e chainEnd) show() linkJSON { return linkJSON{Seq: output.Decimal(e.last), Hash: e.hash} }

// follows reports whether the row is whole and belongs behind e.
func (e chainEnd) follows(r archive.Row) bool {
	return r.After == e.last && r.Prev == e.hash && archive.ChainHash(r) == r.Hash
}

func newStatement(day archive.Day, opening chainEnd) *statementJSON {
	return &statementJSON{
		Day: day, Whole: true, Decoded: true, Opening: opening.show(), Closing: opening.show(),
		SetAside: map[string]int{}, Types: map[string]int{}, Gaps: []rowJSON{}, Losses: []lossJSON{},
		Media: mediaJSON{Whole: true}, files: map[string]bool{},
	}
}

// add counts a row that stands behind prev.
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

// statements are those of the days from first to last, at least one. If there
// are too many rows or files for one answer, they end before last and next is the day
// to go on with; a first day that is too long by itself is not whole.
//
// The rows of a day are those from the first that was pulled on it, or later,
// to the last before the first of a later day: no row is in two days or in
// none, even where clocks disagree.
func (h *Handlers) statements(ctx context.Context, corp string, first, last archive.Day) (list []*statementJSON, next *archive.Day, err error) {
	losses, err := h.Ledger.Losses(ctx, corp)
	if err != nil {
		return nil, nil, err
	}
	at, end, err := h.chainBefore(ctx, corp, first.Start())
	if err != nil {
		return nil, nil, err
	}
	now := h.Now()
	list = []*statementJSON{newStatement(first, end)}
	whole, err := h.eachRow(ctx, corp, at, last, func(r archive.Row) {
		for list[len(list)-1].Day < archive.DayOf(r.At) {
			list = append(list, newStatement(input.DaysAfter(list[len(list)-1].Day, 1), end))
		}
		list[len(list)-1].add(end, r)
		end = chainEnd{r.Last, r.Hash}
	})
	switch n := len(list) - 1; {
	case err != nil:
		return nil, nil, err
	case whole:
		for list[len(list)-1].Day < last {
			list = append(list, newStatement(input.DaysAfter(list[len(list)-1].Day, 1), end))
		}
	case n > 0:
		next, list = &list[n].Day, list[:n]
	default:
		list[0].Whole = false
		if first < last {
			day := input.DaysAfter(first, 1)
			next = &day
		}
	}
	files := 0
	for i, s := range list {
		if err := h.nameFiles(ctx, corp, s); err != nil {
			return nil, nil, err
		}
		if files += len(s.files); i > 0 && files > filesCounted {
			next, list = &s.Day, list[:i]
			break
		}
	}
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

// chainBefore finds where the rows of a time and later begin: from is at most
// the After of the first of them and above that of the row before it, at which
// the chain ended.
func (h *Handlers) chainBefore(ctx context.Context, corp string, at time.Time) (from uint64, end chainEnd, err error) {
	fail := func(err error) (uint64, chainEnd, error) { return 0, chainEnd{}, err }
	head, err := h.Ledger.Head(ctx, corp)
	if err != nil {
		return fail(err)
	}
	// Rows are in the order of their times, so this halves the seqs.
	lo, hi := uint64(0), head.Last
	for lo < hi {
		middle := lo + (hi-lo)/2
		rows, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: middle, Limit: 1})
		if err != nil {
			return fail(err)
		}
		if len(rows) == 1 && rows[0].At.Before(at) {
			lo = rows[0].After + 1
		} else {
			hi = middle
		}
	}
	end = chainEnd{0, archive.GenesisHash(corp)}
	if lo == 0 {
		return lo, end, nil
	}
	before, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: lo - 1, Descending: true, Limit: 1})
	if err != nil {
		return fail(err)
	}
	if len(before) == 1 {
		end = chainEnd{before[0].Last, before[0].Hash}
	}
	return lo, end, nil
}

// eachRow calls f for the rows asked after at or later, to the last of a day.
// It stops after rowsMost; then the rows are not whole.
func (h *Handlers) eachRow(ctx context.Context, corp string, at uint64, last archive.Day, f func(archive.Row)) (whole bool, err error) {
	end := input.DayEnd(last)
	for n := 0; n < rowsMost; {
		rows, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: at, Limit: rowsAtOnce})
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			if !r.At.Before(end) {
				return true, nil
			}
			f(r)
			at = r.After + 1
		}
		if n += len(rows); len(rows) < rowsAtOnce {
			return true, nil
		}
	}
	return false, nil
}

type typeJSON struct {
	Type    string `json:"type"`
	Count   int    `json:"count"`
	FirstAt string `json:"first_at"`
	Known   bool   `json:"known"`
}

type unknownFieldJSON struct {
	Type    string `json:"type"`
	Field   string `json:"field"`
	Count   int    `json:"count"`
	FirstAt string `json:"first_at"`
}

func (h *Handlers) ListTypes(ctx context.Context, c *session.Call) (output.Answer, error) {
	from, to := c.Days("from_day", "to_day", archive.DayOf(h.Now()))
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	at, _, err := h.chainBefore(ctx, c.CorpID, from.Start())
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Types      []*typeJSON         `json:"types"`
		Unknown    []*unknownFieldJSON `json:"unknown_fields"`
		Unreadable int                 `json:"unreadable"`
		Whole      bool                `json:"whole"`
	}{Types: []*typeJSON{}, Unknown: []*unknownFieldJSON{}}
	seen := make(map[string]*typeJSON)
	unknown := make(map[string]*unknownFieldJSON)
	out.Whole, err = h.eachRow(ctx, c.CorpID, at, to, func(r archive.Row) {
		if r.Result == nil {
			return
		}
		out.Unreadable += r.Result.Unreadable
		for name, n := range r.Result.Types {
			if seen[name] == nil {
				seen[name] = &typeJSON{Type: name, FirstAt: output.Moment(r.At)}
				out.Types = append(out.Types, seen[name])
			}
			seen[name].Count += n
		}
		for name, n := range r.Result.Unknown {
			if unknown[name] == nil {
				kind, field, _ := strings.Cut(name, " ")
				unknown[name] = &unknownFieldJSON{Type: kind, Field: field, FirstAt: output.Moment(r.At)}
				out.Unknown = append(out.Unknown, unknown[name])
			}
			unknown[name].Count += n
		}
	})
	if err != nil {
		return output.Answer{}, err
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(seen)), maps.Keys(unknown))
	first, err := h.Messages.FirstSeen(ctx, c.CorpID, names)
	if err != nil {
		return output.Answer{}, err
	}
	for name, t := range seen {
		t.Known = knownType(t.Type)
		if at, ok := first[name]; ok {
			t.FirstAt = output.Moment(at)
		}
	}
	for name, f := range unknown {
		if at, ok := first[name]; ok {
			f.FirstAt = output.Moment(at)
		}
	}
	slices.SortFunc(out.Types, func(x, y *typeJSON) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Type, y.Type))
	})
	slices.SortFunc(out.Unknown, func(x, y *unknownFieldJSON) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Type, y.Type), cmp.Compare(x.Field, y.Field))
	})
	return output.JSON(200, out)
}

// knownType reports whether package message has a form for messages that were
// counted under a name: their msgtype, or their action if they have none.
func knownType(name string) bool { return name == message.KindSwitch || message.Known(name) }
