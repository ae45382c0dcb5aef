package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// consentRoomsMost is how many rooms one request asks for consent in: each is
// a call of WeCom's.
const consentRoomsMost = 20

// requestInspection has WeCom asked now whether set-up works, who is archived,
// and who has agreed to it.
func (a *api) requestInspection(ctx context.Context, c *call) (answer, error) {
	var req directory.Request
	for i, in := range c.entries("pairs", directory.PairsMost, []string{"member", "external_contact"}) {
		in.required("member")
		in.required("external_contact")
		var p directory.Pair
		p.Member, _ = in.text("member", 1, maxParty)
		p.Contact, _ = in.text("external_contact", 1, maxParty)
		req.Pairs = append(req.Pairs, p)
		c.adopt("pairs", i, in)
	}
	req.ConsentRooms = c.texts("rooms", consentRoomsMost, maxParty)
	if err := c.err(); err != nil {
		return answer{}, err
	}
	if len(req.Pairs)+len(req.ConsentRooms) == 0 {
		req.Dedup = "asked-" + strconv.FormatInt(a.now().Truncate(doubleClick).Unix(), 10)
	}
	if err := a.requestCheck(ctx, c.corpID, req); err != nil {
		return answer{}, err
	}
	return answer{status: 202}, nil
}

// requestCheck asks for a check of every access beside what req names, because
// a person wants it.
func (a *api) requestCheck(ctx context.Context, corp string, req directory.Request) error {
	req.Corp, req.Why, req.Check, req.Force = corp, "asked", true, true
	if err := a.inspections.RequestInspections(ctx, req); err != nil {
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
	Trouble   *troubleJSON     `json:"trouble"`
}

type scopeJSON struct {
	Count   int      `json:"count"`
	Members []string `json:"members"`
	At      string   `json:"at"`
}

// getInspection tells what WeCom last answered.
func (a *api) getInspection(ctx context.Context, c *call) (answer, error) {
	reach, err := a.contacts.Reach(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	j := inspectionJSON{CheckedAt: momentOrNull(reach.CheckedAt)}
	for _, access := range directory.Accesses {
		s := reach.Standing(access, c.corp)
		out := accessJSON{Access: access, OKAt: momentOrNull(s.OKAt)}
		if s.NotBefore.After(a.now()) {
			out.NotBefore = momentOrNull(s.NotBefore)
		}
		if s.Trouble != nil {
			out.Trouble = showAccessTrouble(access, *s.Trouble, c.lang)
		}
		j.Accesses = append(j.Accesses, out)
	}
	if s := reach.Scope; s != nil {
		j.Scope = &scopeJSON{Count: s.Count, Members: append([]string{}, s.Members...), At: moment(s.At)}
	}
	return asJSON(200, j)
}

// showAccessTrouble is showTrouble in the words of the step that mends it.
func showAccessTrouble(access directory.Access, t archive.Trouble, lang problem.Language) *troubleJSON {
	j := showTrouble(t, lang)
	if step := access.Step(t.Cause); step == directory.AppStep {
		j.Step = &step
		j.What, j.Mend = problem.AppTrouble(string(t.Cause), lang, problem.Args{"ip": t.FromIP})
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

// listConsents tells what external contacts said to being archived: to a
// member, in a room, or one of them to everybody.
func (a *api) listConsents(ctx context.Context, c *call) (answer, error) {
	q := archive.ConsentQuery{Member: c.party("member"), Contact: c.party("external_contact"), Room: c.party("room")}
	if nobody := q == (archive.ConsentQuery{}); (nobody || q.Member != "" && q.Room != "") && len(c.mistakes) == 0 {
		c.reject("", problem.Exclusive, problem.MendConsentQuery, nil)
	}
	var at keyPage
	c.page(&at)
	limit := c.limit()
	if err := c.err(); err != nil {
		return answer{}, err
	}
	// Who is limited to members sees what was said to them.
	if c.caller.limited && !c.caller.includes(q.Member) {
		return answer{}, problem.New(problem.Forbidden, nil)
	}
	list, next, err := a.consents.Consents(ctx, c.corpID, q, at.Key, limit)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Consents []consentJSON `json:"consents"`
		Names    namesJSON     `json:"names"`
		Next     *string       `json:"next"`
	}{Consents: []consentJSON{}}
	var people, rooms []string
	for _, said := range list {
		out.Consents = append(out.Consents, consentJSON{
			ExternalContact: said.Contact, Member: textOrNull(said.Member), Room: textOrNull(said.Room), Status: said.Status,
			ChangedAt: momentOrNull(said.ChangedAt), Source: said.Source, At: moment(said.At),
		})
		people, rooms = append(people, said.Contact, said.Member), append(rooms, said.Room)
	}
	out.Names = a.namesOf(ctx, c, people, rooms)
	if out.Next, err = c.sealKey(next); err != nil {
		return answer{}, err
	}
	return asJSON(200, out)
}
