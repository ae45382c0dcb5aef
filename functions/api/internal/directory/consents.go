package directory

import (
	"context"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// ListConsentHistory lists every answer of a contact to a member, or of the
// contacts in a room, from messages, events and checks. With a time it lists the
// answer of each contact that held at that time.
func (h *Handlers) ListConsentHistory(ctx context.Context, c *session.Call) (output.Answer, error) {
	q := archive.ConsentQuery{Member: c.Party("member"), Contact: c.Party("external_contact"), Room: c.Party("room")}
	if pair := q.Member != "" && q.Contact != ""; pair == (q.Room != "") && !c.Mistaken() {
		c.Reject("", problem.Exclusive, problem.RemedyConsentHistory, nil)
	}
	moment := c.Moment("at")
	var place input.KeyPage
	c.Page(&place)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	// A limited caller sees the answers to its own members only.
	if c.Caller.Limited && !c.Caller.Includes(q.Member) {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	list, next, err := h.Consents.ConsentHistory(ctx, c.CorpID, q, place.Key, limit)
	if err != nil {
		return output.Answer{}, err
	}
	followed := list
	if !moment.IsZero() && next != "" { // whether the page's last answer held depends on the one after it
		after, _, err := h.Consents.ConsentHistory(ctx, c.CorpID, q, next, 1)
		if err != nil {
			return output.Answer{}, err
		}
		followed = slices.Concat(list, after)
	}
	out := struct {
		History []ConsentJSON `json:"history"`
		Names   Names         `json:"names"`
		Next    *string       `json:"next"`
	}{History: []ConsentJSON{}}
	var people []string
	for i, a := range list {
		if !moment.IsZero() && !heldAt(followed, i, moment) {
			continue
		}
		out.History = append(out.History, showConsent(a))
		people = append(people, a.Contact)
	}
	out.Names = h.Beside(ctx, c.Corp, append(people, q.Member), []string{q.Room})
	if out.Next, err = c.SealKey(next); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

// heldAt reports whether the i-th answer of a history held at a time: it is the
// contact's last one up to then. An answer without a time holds from when it was
// learned.
func heldAt(history []archive.Consent, i int, at time.Time) bool {
	since := func(a archive.Consent) time.Time {
		if a.ChangedAt.IsZero() {
			return a.At
		}
		return a.ChangedAt
	}
	if since(history[i]).After(at) {
		return false
	}
	return i+1 == len(history) || history[i+1].Contact != history[i].Contact || since(history[i+1]).After(at)
}

type consentCounts struct {
	Agree        int `json:"agree"`
	Disagree     int `json:"disagree"`
	DefaultAgree int `json:"default_agree"`
}

func (n *consentCounts) add(s archive.ConsentStatus) {
	switch s {
	case archive.Agreed:
		n.Agree++
	case archive.Disagreed:
		n.Disagree++
	case archive.AgreedDefault:
		n.DefaultAgree++
	}
}

// SumConsents counts the newest answers to members and in rooms.
func (h *Handlers) SumConsents(ctx context.Context, c *session.Call) (output.Answer, error) {
	out := struct {
		Members consentCounts `json:"members"`
		Rooms   consentCounts `json:"rooms"`
		Whole   bool          `json:"whole"`
	}{Whole: true}
	n := 0
	err := h.Consents.EachConsent(ctx, c.CorpID, func(a archive.Consent) bool {
		if a.Room != "" {
			out.Rooms.add(a.Status)
		} else {
			out.Members.add(a.Status)
		}
		if n++; n%100 == 0 && session.Ending(ctx) {
			out.Whole = false
		}
		return out.Whole
	})
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}
