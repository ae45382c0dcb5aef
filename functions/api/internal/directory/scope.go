package directory

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

type stayJSON struct {
	Member  string             `json:"member"`
	Edition *directory.Edition `json:"edition"`
	Since   archive.Day        `json:"since"`
	Until   *string            `json:"until"`
}

type editionJSON struct {
	Edition *directory.Edition `json:"edition"`
	Count   int                `json:"count"`
}

// editionOrNull is nil where WeCom names no edition.
func editionOrNull(e directory.Edition) *directory.Edition {
	if e == directory.AllEditions {
		return nil
	}
	return &e
}

// stayKey orders the stays of a day, and names the place of a page.
func stayKey(s directory.Stay) string { return s.Member + "\x00" + strconv.Itoa(int(s.Edition)) }

// ListScope lists the members who were in scope on a day, with the days on which
// they entered and left.
func (h *Handlers) ListScope(ctx context.Context, c *session.Call) (output.Answer, error) {
	day := c.Day("day", archive.DayOf(h.Now()))
	var at input.KeyPage
	c.Page(&at)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	changes, err := h.Contacts.ScopeChanges(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	stays := slices.DeleteFunc(directory.Stays(changes), func(s directory.Stay) bool { return !s.On(day) })
	slices.SortStableFunc(stays, func(a, b directory.Stay) int { return cmp.Compare(stayKey(a), stayKey(b)) })
	out := struct {
		Day      archive.Day   `json:"day"`
		Editions []editionJSON `json:"editions"`
		Members  []stayJSON    `json:"members"`
		Names    Names         `json:"names"`
		Next     *string       `json:"next"`
	}{Day: day, Editions: countEditions(stays), Members: []stayJSON{}}
	var ids []string
	rest := slices.DeleteFunc(stays, func(s directory.Stay) bool { return at.Key != "" && stayKey(s) <= at.Key })
	for i, s := range rest {
		// The stays of one place are on one page: a member may leave and enter again
		// on a day.
		if i >= limit && stayKey(s) != stayKey(rest[i-1]) {
			if out.Next, err = c.SealKey(stayKey(rest[i-1])); err != nil {
				return output.Answer{}, err
			}
			break
		}
		out.Members = append(out.Members, stayJSON{Member: s.Member, Edition: editionOrNull(s.Edition), Since: s.Since, Until: output.TextOrNull(string(s.Until))})
		ids = append(ids, s.Member)
	}
	out.Names = h.Beside(ctx, c.Corp, ids, nil)
	return output.JSON(200, out)
}

// countEditions counts the stays of each edition that has some.
func countEditions(stays []directory.Stay) []editionJSON {
	counts := make(map[directory.Edition]int)
	for _, s := range stays {
		counts[s.Edition]++
	}
	return showEditions(counts)
}

func showEditions(counts map[directory.Edition]int) []editionJSON {
	shown := []editionJSON{}
	for _, e := range append(slices.Clone(directory.Editions), directory.AllEditions) {
		if counts[e] > 0 {
			shown = append(shown, editionJSON{editionOrNull(e), counts[e]})
		}
	}
	return shown
}
