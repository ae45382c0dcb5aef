package simulation

import (
	"context"
	"time"
)

// erase lets the operator erase a company, in the two passes of cmd/erase.
func (s *sim) erase(c *company) {
	if c.erased {
		return
	}
	c.erased = true
	s.tb.ignored = append(s.tb.ignored, c.id)
	s.tell("%s is erased", c.id)
	s.must(s.corps.SetEnabled(context.Background(), c.id, false, "operator", "", time.Now()))
	s.corps.keep(c.id)
	s.world.Erase(c.id)
	s.in(6*time.Minute, "the second pass", func() { s.world.Erase(c.id) })
}
