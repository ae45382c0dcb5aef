package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
)

type statusJSON struct {
	CorpID       string            `json:"corp_id"`
	Enabled      bool              `json:"enabled"`
	Head         headJSON          `json:"head"`
	LastCallAt   *string           `json:"last_call_at"`
	LastPageAt   *string           `json:"last_page_at"`
	LastEmptyAt  *string           `json:"last_empty_at"`
	LagSeconds   *int64            `json:"lag_seconds"`
	HoursLeft    *float64          `json:"hours_left"`
	NotBefore    *string           `json:"not_before"`
	CallbackAt   *string           `json:"callback_at"`
	Trouble      *troubleJSON      `json:"trouble"`
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

type troubleJSON struct {
	Cause  archive.Cause `json:"cause"`
	Step   *int          `json:"step"`
	What   string        `json:"what"`
	Mend   string        `json:"mend"`
	Op     string        `json:"op"`
	Code   int           `json:"code"`
	Native bool          `json:"native"`
	FromIP *string       `json:"from_ip"`
	Since  string        `json:"since"`
	At     string        `json:"at"`
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
	// FilesUntil is when the next of the files is gone that nobody can ask for,
	// because the page that names it is not decoded (law 9).
	FilesUntil *string `json:"files_until"`
	More       bool    `json:"more"`
}

type setAsideCountJSON struct {
	Count     int                    `json:"count"`
	ByReason  map[archive.Reason]int `json:"by_reason"`
	ByVersion map[string]int         `json:"by_version"`
	// FilesUntil is when the next of the files is gone that nobody can ask for,
	// because the message that names it cannot be read (law 9).
	FilesUntil *string `json:"files_until"`
	More       bool    `json:"more"`
}

func (a *api) getStatus(ctx context.Context, c *call) (answer, error) {
	head, err := a.ledger.Head(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	state, err := a.ledger.PullState(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	losses, err := a.ledger.Losses(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	pendings, err := a.ledger.Pendings(ctx, c.corpID, countMost+1)
	if err != nil {
		return answer{}, err
	}
	aside, more, err := a.messages.ListSetAside(ctx, c.corpID, 0, countMost)
	if err != nil {
		return answer{}, err
	}
	now := a.now()
	backlog, err := a.files.Backlog(ctx, c.corpID, now)
	if err != nil {
		return answer{}, err
	}
	pagesUntil, err := a.pageFilesUntil(ctx, c.corpID, pendings, now)
	if err != nil {
		return answer{}, err
	}
	asideUntil, err := a.asideFilesUntil(ctx, c.corpID, aside, more, now)
	if err != nil {
		return answer{}, err
	}
	j := statusJSON{
		CorpID: c.corpID, Enabled: c.corp.Enabled,
		Head:       headJSON{Seq: decimal(head.Last), Hash: head.Hash, Rows: head.Rows, At: momentOrNull(head.At)},
		LastCallAt: momentOrNull(state.LastCallAt), LastPageAt: momentOrNull(state.LastPageAt), LastEmptyAt: momentOrNull(state.LastEmptyAt),
		NotBefore: momentOrNull(state.NotBefore), CallbackAt: momentOrNull(c.corp.CallbackAt),
		Losses: []lossJSON{}, Gaps: gapsJSON{Count: state.Gaps},
		SetAside: setAsideCountJSON{
			Count: len(aside), ByReason: make(map[archive.Reason]int), ByVersion: make(map[string]int), More: more,
		},
		Files: showBacklog(backlog, now),
	}
	if t := state.Trouble; t != nil {
		j.Trouble = showTrouble(*t, c.lang)
	}
	if g := state.LastGap; g != nil {
		j.Gaps.Newest = &gapJSON{After: decimal(g.After), Last: decimal(g.Last), Reason: g.Reason, At: moment(g.At)}
	}
	for _, l := range losses {
		j.Losses = append(j.Losses, lossJSON{Since: moment(l.Since), At: moment(l.At)})
	}
	if len(pendings) > countMost {
		pendings, j.PagesWaiting.More = pendings[:countMost], true
	}
	var oldest time.Time
	for _, p := range pendings {
		j.PagesWaiting.Count++
		if p.Stuck {
			j.PagesWaiting.Stuck++
		}
		if oldest.IsZero() || p.RequestedAt.Before(oldest) {
			oldest = p.RequestedAt
		}
	}
	j.PagesWaiting.OldestAt, j.PagesWaiting.FilesUntil = momentOrNull(oldest), momentOrNull(pagesUntil)
	for _, u := range aside {
		j.SetAside.ByReason[u.Reason]++
		j.SetAside.ByVersion[strconv.FormatUint(uint64(u.KeyVersion), 10)]++
	}
	j.SetAside.FilesUntil = momentOrNull(asideUntil)
	if !c.corp.EnabledAt.IsZero() {
		left := archive.HoursLeft(c.corp, state, now)
		lag := max(int64((archive.Retention-left)/time.Second), 0)
		// What waits with a deadline counts with what was not pulled (law 9).
		for _, deadline := range []time.Time{pagesUntil, asideUntil, backlog.Earliest} {
			if !deadline.IsZero() {
				left = min(left, deadline.Sub(now))
			}
		}
		j.LagSeconds, j.HoursLeft = &lag, hours(left)
	}
	return asJSON(200, j)
}

// pageFilesUntil is the next time after now, at the latest, at which WeCom
// deletes files that the pages may name: 120 hours after one of them was
// pulled; zero if that is over for all.
func (a *api) pageFilesUntil(ctx context.Context, corp string, pendings []archive.Pending, now time.Time) (time.Time, error) {
	until := func(p archive.Pending) (time.Time, error) {
		rows, err := a.ledger.Rows(ctx, corp, archive.RowQuery{From: p.After, Limit: 1})
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
	// The pages are in the order of their times.
	from, _, err := a.chainBefore(ctx, corp, now.Add(-archive.Retention))
	if err != nil {
		return time.Time{}, err
	}
	i := slices.IndexFunc(pendings, func(p archive.Pending) bool { return p.After >= from })
	if i < 0 {
		return time.Time{}, nil
	}
	return until(pendings[i])
}

// asideFilesUntil is the same for rows set aside, where aside are the first of
// them, and not all if more.
func (a *api) asideFilesUntil(ctx context.Context, corp string, aside []archive.SetAside, more bool, now time.Time) (time.Time, error) {
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
	_, over, err := a.chainBefore(ctx, corp, now.Add(-archive.Retention))
	if err != nil {
		return time.Time{}, err
	}
	aside, _, err = a.messages.ListSetAside(ctx, corp, over.last, 1)
	return next(aside), err
}

func showTrouble(t archive.Trouble, lang problem.Language) *troubleJSON {
	what, mend := problem.Trouble(string(t.Cause), lang, problem.Args{"ip": t.FromIP})
	j := &troubleJSON{
		Cause: t.Cause, What: what, Mend: mend, Op: t.Op, Code: t.Code, Native: t.Native, FromIP: textOrNull(t.FromIP),
		Since: moment(t.Since), At: moment(t.At),
	}
	if step := t.Cause.Step(); step != 0 {
		j.Step = &step
	}
	return j
}

// decimal is how the API writes a seq: JavaScript's numbers are too small.
func decimal(seq uint64) string { return strconv.FormatUint(seq, 10) }
