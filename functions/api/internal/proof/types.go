package proof

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

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

type typesJSON struct {
	Types      []*typeJSON         `json:"types"`
	Unknown    []*unknownFieldJSON `json:"unknown_fields"`
	Unreadable int                 `json:"unreadable"`
	Whole      bool                `json:"whole"`
	Next       *archive.Day        `json:"next"`
}

// typeCounts are counts by the names that [archive.Result] uses.
type typeCounts struct {
	types   map[string]*typeJSON
	unknown map[string]*unknownFieldJSON
}

// add counts the result of a row.
func (t typeCounts) add(at time.Time, res *archive.Result) {
	for name, n := range res.Types {
		if t.types[name] == nil {
			t.types[name] = &typeJSON{Type: name, FirstAt: output.Moment(at), Known: knownType(name)}
		}
		t.types[name].Count += n
	}
	for name, n := range res.Unknown {
		if t.unknown[name] == nil {
			kind, field, _ := strings.Cut(name, " ")
			t.unknown[name] = &unknownFieldJSON{Type: kind, Field: field, FirstAt: output.Moment(at)}
		}
		t.unknown[name].Count += n
	}
}

// firstSeen replaces the time of the first row of the answer by the time when a
// name was first seen at all.
func (t typeCounts) firstSeen(first map[string]time.Time) {
	for name, at := range first {
		if j := t.types[name]; j != nil {
			j.FirstAt = output.Moment(at)
		}
		if j := t.unknown[name]; j != nil {
			j.FirstAt = output.Moment(at)
		}
	}
}

// ListTypes counts the types of the messages of a range of days, and the unknown
// fields in them.
func (h *Handlers) ListTypes(ctx context.Context, c *session.Call) (output.Answer, error) {
	from, to := c.Days("from_day", "to_day", archive.DayOf(h.Now()))
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	at, _, err := h.chainBefore(ctx, c.CorpID, from.Start())
	if err != nil {
		return output.Answer{}, err
	}
	counts := typeCounts{types: make(map[string]*typeJSON), unknown: make(map[string]*unknownFieldJSON)}
	var out typesJSON
	reached, rows := from, []archive.Row(nil) // of the day reached
	count := func() {
		for _, r := range rows {
			out.Unreadable += r.Result.Unreadable
			counts.add(r.At, r.Result)
		}
		rows = nil
	}
	out.Whole, err = h.eachRow(ctx, c.CorpID, at, to, func(r archive.Row) {
		if day := archive.DayOf(r.At); day > reached {
			count()
			reached = day
		}
		if r.Result != nil {
			rows = append(rows, r)
		}
	})
	if err != nil {
		return output.Answer{}, err
	}
	if !out.Whole {
		out.Next, out.Whole = continued(from, reached, to)
	}
	if out.Next == nil || !out.Whole { // else the next answer counts the day reached
		count()
	}
	first, err := h.Messages.FirstSeen(ctx, c.CorpID, slices.AppendSeq(slices.Collect(maps.Keys(counts.types)), maps.Keys(counts.unknown)))
	if err != nil {
		return output.Answer{}, err
	}
	counts.firstSeen(first)
	out.Types = slices.SortedFunc(maps.Values(counts.types), func(x, y *typeJSON) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Type, y.Type))
	})
	out.Unknown = slices.SortedFunc(maps.Values(counts.unknown), func(x, y *unknownFieldJSON) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Type, y.Type), cmp.Compare(x.Field, y.Field))
	})
	// An empty list is a list in JSON, not null.
	out.Types, out.Unknown = append([]*typeJSON{}, out.Types...), append([]*unknownFieldJSON{}, out.Unknown...)
	return output.JSON(200, out)
}

// knownType reports whether package message has a form for the messages that were
// counted under a name: their msgtype, or their action if they have no msgtype.
func knownType(name string) bool { return name == message.KindSwitch || message.Known(name) }
