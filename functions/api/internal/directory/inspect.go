package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// consentRoomsMost bounds the rooms of one request for consents, because WeCom
// takes one call for each room.
const consentRoomsMost = 20

// RequestInspection requests WeCom's answers about set-up, scope and consents
// now.
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
	at := h.Now()
	if err := h.RequestCheck(ctx, c.CorpID, req); err != nil {
		return output.Answer{}, err
	}
	return output.Requested(at)
}

// RequestCheck requests a check of every access in addition to what req names. A
// person wants the check, so it overrides a pause.
func (h *Handlers) RequestCheck(ctx context.Context, corp string, req directory.Request) error {
	req.Corp, req.Why, req.Check, req.Force = corp, "asked", true, true
	err := h.Inspections.RequestInspections(ctx, req)
	if errors.Is(err, archive.ErrFull) {
		return problem.New(problem.InspectionsWait, nil)
	}
	if err != nil {
		return fmt.Errorf("request inspection of %s: %w", corp, err)
	}
	return nil
}

// RequestExamination requests that the doctor examines the set-up, because a
// person has changed it. WeCom is not asked.
func (h *Handlers) RequestExamination(ctx context.Context, corp string) error {
	err := h.Inspections.RequestInspections(ctx, directory.Request{Corp: corp, Why: "saved", Examine: true})
	if err != nil && !errors.Is(err, archive.ErrFull) { // what waits is examined too
		return fmt.Errorf("request examination of %s: %w", corp, err)
	}
	return nil
}

type inspectionJSON struct {
	CheckedAt *string      `json:"checked_at"`
	Accesses  []accessJSON `json:"accesses"`
	Scope     *scopeJSON   `json:"scope"`
	Names     Names        `json:"names"`
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
	// Editions is empty where WeCom did not say.
	Editions []editionJSON `json:"editions"`
	At       string        `json:"at"`
}

// scopeNamed bounds the members in scope whose names are in an answer.
const scopeNamed = 500

// GetInspection answers WeCom's last answers about each access and the scope.
func (h *Handlers) GetInspection(ctx context.Context, c *session.Call) (output.Answer, error) {
	reach, err := h.Contacts.Reach(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	j := inspectionJSON{CheckedAt: output.MomentOrNull(reach.CheckedAt)}
	for _, access := range directory.Accesses {
		s := reach.Standing(access, c.Corp)
		out := accessJSON{Access: access, OKAt: output.MomentOrNull(s.OKAt)}
		if s.NotBefore.After(h.Now()) {
			out.NotBefore = output.MomentOrNull(s.NotBefore)
		}
		if s.Trouble != nil {
			out.Trouble = output.ShowAccessTrouble(access, *s.Trouble, c.Lang)
		}
		j.Accesses = append(j.Accesses, out)
	}
	var named []string
	if s := reach.Scope; s != nil {
		j.Scope = &scopeJSON{Count: s.Count, Members: append([]string{}, s.Members...), Editions: showEditions(s.Editions), At: output.Moment(s.At)}
		named = s.Members[:min(len(s.Members), scopeNamed)]
	}
	j.Names = h.Beside(ctx, c.Corp, named, nil)
	return output.JSON(200, j)
}

// ConsentJSON is the newest answer of an external contact.
type ConsentJSON struct {
	ExternalContact string                `json:"external_contact"`
	Member          *string               `json:"member"`
	Room            *string               `json:"room"`
	Status          archive.ConsentStatus `json:"status"`
	ChangedAt       *string               `json:"changed_at"`
	Source          archive.ConsentSource `json:"source"`
	At              string                `json:"at"`
}

// ListConsents lists the answers of external contacts to being archived: those to
// a member, those in a room, or all answers of one contact.
func (h *Handlers) ListConsents(ctx context.Context, c *session.Call) (output.Answer, error) {
	q := archive.ConsentQuery{Member: c.Party("member"), Contact: c.Party("external_contact"), Room: c.Party("room")}
	if empty := q == (archive.ConsentQuery{}); (empty || q.Member != "" && q.Room != "") && !c.Mistaken() {
		c.Reject("", problem.Exclusive, problem.RemedyConsentQuery, nil)
	}
	var at input.KeyPage
	c.Page(&at)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	// A limited caller sees the answers to its own members only.
	if c.Caller.Limited && !c.Caller.Includes(q.Member) {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	list, next, err := h.Consents.Consents(ctx, c.CorpID, q, at.Key, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Consents []ConsentJSON `json:"consents"`
		Names    Names         `json:"names"`
		Next     *string       `json:"next"`
	}{Consents: []ConsentJSON{}}
	var people, rooms []string
	for _, answer := range list {
		out.Consents = append(out.Consents, showConsent(answer))
		people, rooms = append(people, answer.Contact, answer.Member), append(rooms, answer.Room)
	}
	out.Names = h.Beside(ctx, c.Corp, people, rooms)
	if out.Next, err = c.SealKey(next); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

func showConsent(answer archive.Consent) ConsentJSON {
	return ConsentJSON{
		ExternalContact: answer.Contact, Member: output.TextOrNull(answer.Member), Room: output.TextOrNull(answer.Room), Status: answer.Status,
		ChangedAt: output.MomentOrNull(answer.ChangedAt), Source: answer.Source, At: output.Moment(answer.At),
	}
}

// ConsentsOf returns the first answers that q selects.
func (h *Handlers) ConsentsOf(ctx context.Context, corp string, q archive.ConsentQuery) ([]ConsentJSON, error) {
	list, _, err := h.Consents.Consents(ctx, corp, q, "", input.MaxLimit)
	shown := []ConsentJSON{}
	for _, answer := range list {
		shown = append(shown, showConsent(answer))
	}
	return shown, err
}
