package archivetest

import (
	"fmt"
	"maps"
	"strings"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Erase removes everything of a corp but what WeCom has, as one pass of cmd/erase
// does. The calls do not go through [Faults].
func (w *World) Erase(corp string) {
	for _, store := range w.stores() {
		store.erase(corp)
	}
}

// Leftovers names the stores that have something of a corp; empty if none has.
func (w *World) Leftovers(corp string) string {
	var names []string
	for _, store := range w.stores() {
		if store.keeps(corp) {
			names = append(names, fmt.Sprintf("%T", store))
		}
	}
	return strings.Join(names, ", ")
}

// erasable is a store that can forget a corp.
type erasable interface {
	erase(corp string)
	keeps(corp string) bool
}

func (w *World) stores() []erasable {
	return []erasable{w.Corps, w.Ledger, w.Marks, w.Journal, w.View, w.Files, w.Objects}
}

func (c *Corps) erase(corp string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.corps, corp)
}

func (c *Corps) keeps(corp string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, there := c.corps[corp]
	return there && (i.corp != nil || len(i.keys)+len(i.bindings)+len(i.callbacks)+len(i.events) > 0)
}

func (l *Ledger) erase(corp string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.chains, corp)
}

func (l *Ledger) keeps(corp string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, there := l.chains[corp]
	return there && (len(c.rows)+len(c.pending)+len(c.replays)+len(c.running)+len(c.losses) > 0 || !c.state.LastCallAt.IsZero())
}

func (s *Marks) erase(corp string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.marks, func(k [2]string, _ archive.Mark) bool { return k[0] == corp })
}

func (s *Marks) keeps(corp string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, m := range s.marks {
		if k[0] == corp && m.Wish != "" {
			return true
		}
	}
	return false
}

func (j *Journal) erase(corp string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	maps.DeleteFunc(j.objects, func(name string, _ []byte) bool { return strings.HasPrefix(name, corp+"/") })
	maps.DeleteFunc(j.gaps, func(name string, _ archive.Row) bool { return strings.HasPrefix(name, corp+"/") })
	maps.DeleteFunc(j.heads, func(name string, _ archive.Head) bool { return strings.HasPrefix(name, corp+"/") })
}

func (j *Journal) keeps(corp string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name := range j.objects {
		if strings.HasPrefix(name, corp+"/") {
			return true
		}
	}
	for name := range j.heads {
		if strings.HasPrefix(name, corp+"/") {
			return true
		}
	}
	return false
}

func (v *View) erase(corp string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.corps, corp)
}

func (v *View) keeps(corp string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, there := v.corps[corp]
	return there && len(c.places)+len(c.revoked)+len(c.activities)+len(c.setAside)+len(c.firstSeen) > 0
}

func (s *Files) erase(corp string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.corps, corp)
}

func (s *Files) keeps(corp string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, there := s.corps[corp]
	return there && len(c.rows)+len(c.waiting)+len(c.problems) > 0
}

func (o *Objects) erase(corp string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.objects, func(k [2]string, _ []byte) bool { return k[0] == corp })
	maps.DeleteFunc(o.uploads, func(_ string, u *upload) bool { return u.corp == corp })
}

func (o *Objects) keeps(corp string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := range o.objects {
		if k[0] == corp {
			return true
		}
	}
	return false
}
