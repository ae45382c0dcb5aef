package proof

import (
	"context"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// activityDays is how many days an answer covers by default.
const activityDays = 30

type activityJSON struct {
	Day      archive.Day    `json:"day"`
	Pages    int            `json:"pages"`
	Gaps     int            `json:"gaps"`
	Pulled   int            `json:"pulled"`
	Stored   int            `json:"stored"`
	SetAside int            `json:"set_aside"`
	Waiting  int            `json:"waiting"`
	Types    map[string]int `json:"types"`
	Whole    bool           `json:"whole"`
}

// GetActivity counts what was archived on each of the last days, from the ledger
// alone. It looks at no file, so it is cheaper than statements of the same days.
func (h *Handlers) GetActivity(ctx context.Context, c *session.Call) (output.Answer, error) {
	days := activityDays
	if c.Query.Has("days") {
		n, err := strconv.Atoi(c.Query.Get("days"))
		if days = n; err != nil || n < 1 || n > input.RangeDays {
			c.Reject("days", problem.Range, problem.RemedyInteger, problem.Args{"min": "1", "max": strconv.Itoa(input.RangeDays)})
		}
	}
	today := archive.DayOf(h.Now())
	from := c.Day("from", input.DaysAfter(today, 1-max(days, 1)))
	if from > today || input.DaysAfter(from, input.RangeDays) <= today {
		c.Reject("from", problem.Range, problem.RemedyDays, problem.Args{"from": "from", "to": "to", "max": strconv.Itoa(input.RangeDays)})
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	list, next, err := h.summarize(ctx, c.CorpID, from, today)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Days []activityJSON `json:"days"`
		Next *archive.Day   `json:"next"`
	}{Days: []activityJSON{}, Next: next}
	for _, s := range list {
		aside := 0
		for _, n := range s.SetAside {
			aside += n
		}
		out.Days = append(out.Days, activityJSON{
			Day: s.Day, Pages: s.Pages, Gaps: s.GapCount, Pulled: s.Pulled, Stored: s.Stored, SetAside: aside, Waiting: s.Waiting.Records, Types: s.Types, Whole: s.Whole,
		})
	}
	return output.JSON(200, out)
}
