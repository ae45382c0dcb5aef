package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Edition is a licence of the archive that a member has (wecom.md 5.2). Its values
// are those of WeCom's API, and part of ours.
type Edition int

// The editions.
const (
	AllEditions Edition = iota // asks for all; of a member, that WeCom names no edition
	Office
	Service
	Enterprise
)

// Editions lists the editions that a member can have.
var Editions = []Edition{Office, Service, Enterprise}

// Scope is the members whose chats are archived, as WeCom answers.
type Scope struct {
	Count   int
	Members []string // userids, at most [ScopeMost] of them
	// Editions counts the members of each edition that has some; nil where WeCom
	// named none.
	Editions map[Edition]int
	At       time.Time
}

// ScopeMost is how many members of the scope are kept.
const ScopeMost = 2000

// ScopeChange says that a check found a member in scope who was not there at the
// check before, or the reverse. A member whose edition changes leaves with the one
// and enters with the other.
type ScopeChange struct {
	Member  string
	Edition Edition
	Entered bool
	At      time.Time // of the check
}

// A ScopeLog keeps the changes of scopes permanently. The corp's one inspector is
// the only writer. Safe for concurrent use.
type ScopeLog interface {
	// AppendScope adds changes of one check, which is later than all before. Durable
	// on return. After an error any of them may be there; appending them again
	// changes nothing.
	AppendScope(ctx context.Context, corp string, changes []ScopeChange) error
	// ScopeChanges reads all changes of a corp consistently, the oldest first.
	ScopeChanges(ctx context.Context, corp string) ([]ScopeChange, error)
}

// A Stay is a time in which a member was in scope.
type Stay struct {
	Member  string
	Edition Edition
	Since   archive.Day // of the first check that found the member in scope
	Until   archive.Day // of the first check that did not; empty while the stay lasts
}

// On reports whether the stay covers a part of the day.
func (s Stay) On(day archive.Day) bool {
	return s.Since <= day && (s.Until == "" || day < s.Until || day == s.Since)
}

// Stays makes the stays of the changes of a corp, by member and then by time.
func Stays(changes []ScopeChange) []Stay {
	var stays []Stay
	open := make(map[seat]int) // the place of the stay that lasts
	for _, c := range changes {
		s, day := seat{c.Member, c.Edition}, archive.DayOf(c.At)
		i, lasts := open[s]
		switch {
		case c.Entered && !lasts:
			open[s] = len(stays)
			stays = append(stays, Stay{Member: c.Member, Edition: c.Edition, Since: day})
		case !c.Entered && lasts:
			stays[i].Until = day
			delete(open, s)
		}
	}
	slices.SortStableFunc(stays, func(a, b Stay) int { return cmp.Compare(a.Member, b.Member) })
	return stays
}

// seat is a member's place in an edition.
type seat struct {
	member  string
	edition Edition
}

// scope asks WeCom for the scope, and stores it. The result is the members; nil if
// WeCom may not be asked.
//
// The order is: scope, then its changes. A crash in between leaves the changes to
// the next check, which compares with the log.
func (n *inspection) scope(ctx context.Context) ([]string, error) {
	ids, ok, err := n.permitted(ctx, AllEditions)
	if err != nil || !ok {
		return nil, err
	}
	s := Scope{Count: len(ids), Members: ids[:min(len(ids), ScopeMost)], At: n.Now()}
	found, known, err := n.seats(ctx, ids)
	if err != nil {
		return nil, err
	}
	for place := range found {
		if place.edition == AllEditions {
			continue
		}
		if s.Editions == nil {
			s.Editions = make(map[Edition]int)
		}
		s.Editions[place.edition]++
	}
	if err := n.Store.SaveScope(ctx, n.corp.ID, s); err != nil {
		return nil, fmt.Errorf("save scope: %w", err)
	}
	if known {
		err = n.logScope(ctx, found, s.At)
	}
	return ids, err
}

// permitted asks for the members of an edition; ok is false if WeCom refuses.
func (n *inspection) permitted(ctx context.Context, e Edition) (ids []string, ok bool, _ error) {
	ids, err := ask(ctx, n, AccessArchive, func(ctx context.Context, c Credential) ([]string, error) {
		return n.WeCom.Permitted(ctx, c, e)
	})
	var refusal *APIError
	if errors.Is(err, errBlocked) || errors.As(err, &refusal) {
		return nil, false, nil
	}
	return ids, err == nil, err
}

// seats finds the edition of each member in scope; known is false if WeCom does not
// say.
func (n *inspection) seats(ctx context.Context, ids []string) (found map[seat]bool, known bool, _ error) {
	found = make(map[seat]bool)
	if len(ids) == 0 {
		return found, true, nil
	}
	without := make(map[string]bool)
	for _, id := range ids {
		without[id] = true
	}
	for _, e := range Editions {
		members, ok, err := n.permitted(ctx, e)
		if err != nil || !ok {
			return nil, false, err
		}
		for _, id := range members {
			found[seat{id, e}] = true
			delete(without, id)
		}
	}
	for id := range without {
		found[seat{id, AllEditions}] = true
	}
	return found, true, nil
}

// logScope adds to the log what differs from it.
func (n *inspection) logScope(ctx context.Context, found map[seat]bool, at time.Time) error {
	log, err := n.Store.ScopeChanges(ctx, n.corp.ID)
	if err != nil {
		return fmt.Errorf("read changes of the scope: %w", err)
	}
	stays := make(map[seat]bool)
	for _, s := range Stays(log) {
		if s.Until == "" {
			stays[seat{s.Member, s.Edition}] = true
		}
	}
	var changes []ScopeChange
	for _, now := range []struct {
		entered   bool
		have, had map[seat]bool
	}{{false, stays, found}, {true, found, stays}} {
		for s := range maps.Keys(now.have) {
			if !now.had[s] {
				changes = append(changes, ScopeChange{Member: s.member, Edition: s.edition, Entered: now.entered, At: at})
			}
		}
	}
	if len(changes) == 0 {
		return nil
	}
	slices.SortFunc(changes, func(a, b ScopeChange) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Edition, b.Edition))
	})
	if err := n.Store.AppendScope(ctx, n.corp.ID, changes); err != nil {
		return fmt.Errorf("save changes of the scope: %w", err)
	}
	return nil
}
