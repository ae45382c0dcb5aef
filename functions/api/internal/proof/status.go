package proof

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// countMost bounds the records set aside and the pending pages that one answer
// counts.
const countMost = 1000

type statusJSON struct {
	CorpID       string            `json:"corp_id"`
	Enabled      bool              `json:"enabled"`
	Health       watch.Health      `json:"health"`
	HealthSince  *string           `json:"health_since"`
	Switched     *output.Switched  `json:"switched"`
	Head         headJSON          `json:"head"`
	LastCallAt   *string           `json:"last_call_at"`
	LastPageAt   *string           `json:"last_page_at"`
	LastEmptyAt  *string           `json:"last_empty_at"`
	LagSeconds   *int64            `json:"lag_seconds"`
	HoursLeft    *float64          `json:"hours_left"`
	NotBefore    *string           `json:"not_before"`
	CallbackAt   *string           `json:"callback_at"`
	Trouble      *output.Trouble   `json:"trouble"`
	Losses       []lossJSON        `json:"losses"`
	Gaps         gapsJSON          `json:"gaps"`
	PagesWaiting pagesWaitingJSON  `json:"pages_waiting"`
	SetAside     setAsideCountJSON `json:"set_aside"`
	Files        filesJSON         `json:"files"`
}

type headJSON struct {
	Seq  string  `json:"seq"`
	Hash string  `json:"hash"`
	Rows uint64  `json:"rows"`
	At   *string `json:"at"`
}

type lossJSON struct {
	Since string `json:"since"`
	At    string `json:"at"`
}

type gapsJSON struct {
	Count  int      `json:"count"`
	Newest *gapJSON `json:"newest"`
}

type gapJSON struct {
	After  string `json:"after"`
	Last   string `json:"last"`
	Reason string `json:"reason"`
	At     string `json:"at"`
}

type pagesWaitingJSON struct {
	Count    int     `json:"count"`
	Stuck    int     `json:"stuck"`
	OldestAt *string `json:"oldest_at"`
	// FilesUntil is the next deadline of files that the archive cannot request,
	// because the page that names them is not decoded (law 9).
	FilesUntil *string `json:"files_until"`
	More       bool    `json:"more"`
}

type setAsideCountJSON struct {
	Count     int                    `json:"count"`
	ByReason  map[archive.Reason]int `json:"by_reason"`
	ByVersion map[string]int         `json:"by_version"`
	// FilesUntil is the next deadline of files that the archive cannot request,
	// because the record that names them is set aside (law 9).
	FilesUntil *string `json:"files_until"`
	More       bool    `json:"more"`
}

// deadlines are the times at which WeCom deletes the next of the files that the
// archive cannot request yet (law 9). Zero if no deadline is left.
type deadlines struct{ pages, setAside time.Time }

// GetStatus answers the progress of the archive of a corp, and its trouble.
func (h *Handlers) GetStatus(ctx context.Context, c *session.Call) (output.Answer, error) {
	head, err := h.Ledger.Head(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	state, err := h.Ledger.PullState(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	losses, err := h.Ledger.Losses(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	pendings, err := h.Ledger.Pendings(ctx, c.CorpID, countMost+1)
	if err != nil {
		return output.Answer{}, err
	}
	aside, more, err := h.Messages.ListSetAside(ctx, c.CorpID, 0, countMost)
	if err != nil {
		return output.Answer{}, err
	}
	now := h.Now()
	backlog, err := h.Files.Backlog(ctx, c.CorpID, now)
	if err != nil {
		return output.Answer{}, err
	}
	var until deadlines
	if until.pages, err = h.pageFilesUntil(ctx, c.CorpID, pendings, now); err != nil {
		return output.Answer{}, err
	}
	if until.setAside, err = h.asideFilesUntil(ctx, c.CorpID, aside, more, now); err != nil {
		return output.Answer{}, err
	}
	j := statusJSON{
		CorpID: c.CorpID, Enabled: c.Corp.Enabled, Switched: output.ShowSwitched(c.Corp),
		Head:       headJSON{Seq: output.Decimal(head.Last), Hash: head.Hash, Rows: head.Rows, At: output.MomentOrNull(head.At)},
		LastCallAt: output.MomentOrNull(state.LastCallAt), LastPageAt: output.MomentOrNull(state.LastPageAt), LastEmptyAt: output.MomentOrNull(state.LastEmptyAt),
		NotBefore: output.MomentOrNull(state.NotBefore), CallbackAt: output.MomentOrNull(c.Corp.CallbackAt),
		Losses: []lossJSON{}, Gaps: showGaps(state), PagesWaiting: showPending(pendings, until.pages), SetAside: showSetAside(aside, more, until.setAside),
		Files: showBacklog(backlog, now),
	}
	notified, err := h.Ledger.Notified(ctx, []string{c.CorpID})
	if err != nil {
		return output.Answer{}, err
	}
	before := notified[c.CorpID]
	j.Health = watch.HealthOf(c.Corp, state, len(aside), before.Health, now)
	if before.Health == j.Health {
		j.HealthSince = output.MomentOrNull(before.At)
	}
	if t := archive.TroubleOf(c.Corp, state); t != nil {
		j.Trouble = output.ShowTrouble(*t, c.Lang)
	}
	for _, l := range losses {
		j.Losses = append(j.Losses, lossJSON{Since: output.Moment(l.Since), At: output.Moment(l.At)})
	}
	if !c.Corp.EnabledAt.IsZero() {
		left := archive.HoursLeft(c.Corp, state, now)
		lag := max(int64((archive.Retention-left)/time.Second), 0)
		// Files with a deadline count like messages that are not pulled (law 9).
		for _, deadline := range []time.Time{until.pages, until.setAside, backlog.Earliest} {
			if !deadline.IsZero() {
				left = min(left, deadline.Sub(now))
			}
		}
		j.LagSeconds, j.HoursLeft = &lag, output.Hours(left)
	}
	ans, err := output.JSON(200, j)
	if err != nil || j.LagSeconds == nil {
		return ans, err
	}
	// The lag grows each second, so the ETag is made of an answer with its minutes.
	*j.LagSeconds /= 60
	return ans.TaggedBy(j)
}

func showGaps(state archive.PullState) gapsJSON {
	j := gapsJSON{Count: state.Gaps}
	if g := state.LastGap; g != nil {
		j.Newest = &gapJSON{After: output.Decimal(g.After), Last: output.Decimal(g.Last), Reason: g.Reason, At: output.Moment(g.At)}
	}
	return j
}

func showPending(pendings []archive.Pending, until time.Time) pagesWaitingJSON {
	j := pagesWaitingJSON{FilesUntil: output.MomentOrNull(until)}
	if len(pendings) > countMost {
		pendings, j.More = pendings[:countMost], true
	}
	var oldest time.Time
	for _, p := range pendings {
		j.Count++
		if p.Stuck {
			j.Stuck++
		}
		if oldest.IsZero() || p.RequestedAt.Before(oldest) {
			oldest = p.RequestedAt
		}
	}
	j.OldestAt = output.MomentOrNull(oldest)
	return j
}

func showSetAside(list []archive.SetAside, more bool, until time.Time) setAsideCountJSON {
	j := setAsideCountJSON{
		Count: len(list), ByReason: make(map[archive.Reason]int), ByVersion: make(map[string]int), More: more, FilesUntil: output.MomentOrNull(until),
	}
	for _, r := range list {
		j.ByReason[r.Reason]++
		j.ByVersion[strconv.FormatUint(uint64(r.KeyVersion), 10)]++
	}
	return j
}

// pageFilesUntil is the next deadline of files that the pages may name: 120 hours
// after a page was pulled, WeCom may have deleted its files. It is zero if the
// deadline of every page is over.
func (h *Handlers) pageFilesUntil(ctx context.Context, corp string, pendings []archive.Pending, now time.Time) (time.Time, error) {
	until := func(p archive.Pending) (time.Time, error) {
		rows, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: p.After, Limit: 1})
		if err != nil || len(rows) == 0 {
			return time.Time{}, err
		}
		return rows[0].At.Add(archive.Retention), nil
	}
	if len(pendings) == 0 {
		return time.Time{}, nil
	}
	first, err := until(pendings[0])
	if err != nil || first.After(now) {
		return first, err
	}
	// The pages are in the order of their times, so the first page whose deadline is
	// not over has the next deadline.
	from, _, err := h.chainBefore(ctx, corp, now.Add(-archive.Retention))
	if err != nil {
		return time.Time{}, err
	}
	i := slices.IndexFunc(pendings, func(p archive.Pending) bool { return p.After >= from })
	if i < 0 {
		return time.Time{}, nil
	}
	return until(pendings[i])
}

// asideFilesUntil is the next deadline of files that records set aside may name.
// aside holds the first of these records; more means that there are others.
func (h *Handlers) asideFilesUntil(ctx context.Context, corp string, aside []archive.SetAside, more bool, now time.Time) (time.Time, error) {
	next := func(list []archive.SetAside) (next time.Time) {
		for _, u := range list {
			until := u.At.Add(archive.Retention)
			if until.After(now) && (next.IsZero() || until.Before(next)) {
				next = until
			}
		}
		return next
	}
	until := next(aside)
	if !until.IsZero() || !more {
		return until, nil
	}
	_, over, err := h.chainBefore(ctx, corp, now.Add(-archive.Retention))
	if err != nil {
		return time.Time{}, err
	}
	aside, _, err = h.Messages.ListSetAside(ctx, corp, over.last, 1)
	return next(aside), err
}
