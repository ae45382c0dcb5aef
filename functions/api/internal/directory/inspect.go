package directory

import (
	"context"
	"fmt"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// consentRoomsMost is how many rooms one request asks for consent in: each is
// a call of WeCom's.
const consentRoomsMost = 20

// RequestInspection has WeCom asked now whether set-up works, who is archived,
// and who has agreed to it.
func (h *Handlers) RequestInspection(ctx context.Context, c *session.Call) (output.Answer, error) {
	var req directory.Request
	for i, in := range c.Entries("pairs", directory.PairsMost, []string{"member", "external_contact"}) {
		in.Required("member")
		in.Required("external_contact")
		var p directory.Pair
		p.Member, _ = in.Text("member", 1, input.MaxParty)
		p.Contact, _ = in.Text("external_contact", 1, input.MaxParty)
		req.Pairs = append(req.Pairs, p)
		c.Adopt("pairs", i, in)
	}
	req.ConsentRooms = c.Texts("rooms", consentRoomsMost, input.MaxParty)
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if len(req.Pairs)+len(req.ConsentRooms) == 0 {
		req.Dedup = "asked-" + session.ClickSlot(h.Now())
	}
	if err := h.RequestCheck(ctx, c.CorpID, req); err != nil {
		return output.Answer{}, err
	}
	return output.Answer{Status: 202}, nil
}

// RequestCheck asks for a check of every access beside what req names, because
// a person wants it.
func (h *Handlers) RequestCheck(ctx context.Context, corp string, req directory.Request) error {
	req.Corp, req.Why, req.Check, req.Force = corp, "asked", true, true
	if err := h.Inspections.RequestInspections(ctx, req); err != nil {
		return fmt.Errorf("request inspection of %s: %w", corp, err)
	}
	return nil
}

type inspectionJSON struct {
	CheckedAt *string      `json:"checked_at"`
	Accesses  []accessJSON `json:"accesses"`
	Scope     *scopeJSON   `json:"scope"`
}

type accessJSON struct {
	Access    directory.Access `json:"access"`
	OKAt      *string          `json:"ok_at"`
	NotBefore *string          `json:"not_before"`
	Trouble   *output.Trouble  `json:"trouble"`
}

type scopeJSON struct {
	Count   int      `json:"count"`
	Members []string `json:"members"`
	At      string   `json:"at"`
}

// GetInspection tells what WeCom last answered.
func (h *Handlers) GetInspection(ctx context.Context, c *session.Call) (output.Answer, error) {
	reach, err := h.Contacts.Reach(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	j := inspectionJSON{CheckedAt: output.MomentOrNull(reach.CheckedAt)}
	for _, access := range directory.Accesses {
		s := reach.State(access, c.Corp)
		out := accessJSON{Access: access, OKAt: output.MomentOrNull(s.OKAt)}
		if s.NotBefore.After(h.Now()) {
			out.NotBefore = output.MomentOrNull(s.NotBefore)
		}
		if s.Trouble != nil {
			out.Trouble = showAccessTrouble(access, *s.Trouble, c.Lang)
		}
		j.Accesses = append(j.Accesses, out)
	}
	if s := reach.Scope; s != nil {
		j.Scope = &scopeJSON{Count: s.Count, Members: append([]string{}, s.Members...), At: output.Moment(s.At)}
	}
	return output.JSON(200, j)
}

// showAccessTrouble is showTrouble in the words of the step that remedies it.
func showAccessTrouble(access directory.Access, t archive.Trouble, lang problem.Language) *output.Trouble {
	j := output.ShowTrouble(t, lang)
	if step := access.Step(t.Cause); step == directory.AppStep {
		j.Step = &step
		j.What, j.Remedy = problem.AppTrouble(string(t.Cause), lang, problem.Args{"ip": t.FromIP})
	}
	return j
}

type consentJSON struct {
	ExternalContact string                `json:"external_contact"`
	Member          *string               `json:"member"`
	Room            *string               `json:"room"`
	Status          archive.ConsentStatus `json:"status"`
	ChangedAt       *string               `json:"changed_at"`
	Source          archive.ConsentSource `json:"source"`
	At              string                `json:"at"`
}

// ListConsents tells what external contacts said to being archived: to a
// member, in a room, or one of them to everybody.
func (h *Handlers) ListConsents(ctx context.Context, c *session.Call) (output.Answer, error) {
	q := archive.ConsentQuery{Member: c.Party("member"), Contact: c.Party("external_contact"), Room: c.Party("room")}
	if nobody := q == (archive.ConsentQuery{}); (nobody || q.Member != "" && q.Room != "") && !c.Mistaken() {
		c.Reject("", problem.Exclusive, problem.RemedyConsentQuery, nil)
	}
	var at input.KeyPage
	c.Page(&at)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	// Who is limited to members sees what was said to them.
	if c.Caller.Limited && !c.Caller.Includes(q.Member) {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	list, next, err := h.Consents.Consents(ctx, c.CorpID, q, at.Key, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Consents []consentJSON `json:"consents"`
		Names    Names         `json:"names"`
		Next     *string       `json:"next"`
	}{Consents: []consentJSON{}}
	var people, rooms []string
	for _, said := range list {
		out.Consents = append(out.Consents, consentJSON{
			ExternalContact: said.Contact, Member: output.TextOrNull(said.Member), Room: output.TextOrNull(said.Room), Status: said.Status,
			ChangedAt: output.MomentOrNull(said.ChangedAt), Source: said.Source, At: output.Moment(said.At),
		})
		people, rooms = append(people, said.Contact, said.Member), append(rooms, said.Room)
	}
	out.Names = h.Beside(ctx, c.Corp, people, rooms)
	if out.Next, err = c.SealKey(next); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}
