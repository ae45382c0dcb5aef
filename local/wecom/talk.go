package wecom

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom/chat"
)

// recentTalk is how many of the last messages a message of msgtype revoke may name.
const recentTalk = 64

// Mixed sends n messages of ordinary traffic between the corp's people. Most are
// texts, in rooms and outside rooms, with messages of all other kinds among them.
// The result includes the messages that are not archived.
func (c *Corp) Mixed(n int) ([]Sent, error) {
	if n < 0 {
		return nil, errors.New("number of messages negative")
	}
	list := make([]Sent, 0, n)
	for range n {
		s, err := c.sendOrdinary()
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
	return list, nil
}

// sendOrdinary sends one message of ordinary traffic. It unlocks the corp after
// the message, so that other callers can lock the corp.
func (c *Corp) sendOrdinary() (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.improvise()
	if err != nil {
		return Sent{}, err
	}
	s, err := c.send(d)
	if err == nil && s.LeftOut == "" && d.Kind != "revoke/plain" && (d.Room != "" || len(d.To) > 0) {
		d.MsgID = s.MsgID
		if len(c.recent) == recentTalk {
			c.recent = append(c.recent[:0], c.recent[1:]...)
		}
		c.recent = append(c.recent, d)
	}
	return s, err
}

// improvise invents a message of ordinary traffic.
func (c *Corp) improvise() (Draft, error) {
	r := c.rand
	if len(c.staff) == 0 || len(c.staff)+len(c.customers) < 2 {
		return Draft{}, fmt.Errorf("corp %s has too few people to chat: one member and one more person needed", c.id)
	}
	member := c.staff[r.IntN(len(c.staff))].UserID
	var d Draft
	switch n := r.IntN(100); {
	case n < 40 && len(c.rooms) > 0:
		room := c.rooms[r.IntN(len(c.rooms))]
		d = Draft{Room: room.ID, From: member}
		if len(room.Members) > 0 {
			d.From = room.Members[r.IntN(len(room.Members))]
		}
	case n < 92 && len(c.customers) > 0:
		p := c.customers[r.IntN(len(c.customers))]
		if len(p.Followers) > 0 {
			member = p.Followers[r.IntN(len(p.Followers))]
		}
		d = Draft{From: member, To: []string{p.ExternalUserID}}
		if r.IntN(2) == 0 {
			d = Draft{From: p.ExternalUserID, To: []string{member}}
		}
	case len(c.staff) > 1:
		other := member
		for other == member {
			other = c.staff[r.IntN(len(c.staff))].UserID
		}
		d = Draft{From: member, To: []string{other}}
	default:
		d = Draft{From: member, To: []string{c.customers[0].ExternalUserID}}
	}
	kind := chat.Ordinary(r, d.Room != "")
	d.Kind = kind.Name
	switch kind.Type() {
	case "markdown", "news":
		if len(c.robots) > 0 {
			d.From = c.robots[r.IntN(len(c.robots))].ID
		}
	case "switch":
		d = Draft{Kind: kind.Name, From: member}
	case "revoke":
		if len(c.recent) > 0 {
			old := c.recent[r.IntN(len(c.recent))]
			d = Draft{Kind: kind.Name, From: old.From, To: old.To, Room: old.Room, Target: old.MsgID}
		}
	}
	return d, nil
}

// Every sends one message of every kind, in the order of [chat.Kinds], between
// a member in scope and a customer, or in a room. It leaves all consents as they
// were.
func (c *Corp) Every() ([]Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	scope := c.inScope()
	if len(scope) == 0 || len(c.customers) == 0 || len(c.rooms) == 0 {
		return nil, fmt.Errorf("corp %s needs a member in scope, a customer and a room", c.id)
	}
	member, customer := scope[0], c.customers[0].ExternalUserID
	room, receivers := c.rooms[0].ID, []string{customer}
	if i := slices.IndexFunc(c.rooms, func(r Room) bool { return slices.Contains(r.Members, member) }); i >= 0 {
		room, receivers = c.rooms[i].ID, nil
	}
	var list []Sent
	for _, kind := range chat.Kinds() {
		d := Draft{From: member, To: []string{customer}, Kind: kind.Name}
		switch {
		case kind.Type() == "agree" || kind.Type() == "disagree":
			d.From, d.To = customer, []string{member}
		case kind.Type() == "switch":
			d.To = nil
		case kind.Room:
			d.Room, d.To = room, receivers
		case kind.Type() == "revoke" && len(list) > 0:
			d.Target = list[0].MsgID
		}
		key := consentKey{member, customer}
		before, had := c.consents[key]
		s, err := c.send(d)
		if had {
			c.consents[key] = before
		} else {
			delete(c.consents, key)
		}
		if err != nil {
			return list, fmt.Errorf("%s: %w", kind.Name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// chatterPause is the shortest time between two turns of background chat. At high
// rates a turn sends several messages.
const chatterPause = 50 * time.Millisecond

// StartChatter starts background chat between the corp's people, with perSecond
// messages on average. It replaces the background chat that runs.
func (c *Corp) StartChatter(perSecond float64) error {
	if !(perSecond > 0 && perSecond <= 10000) {
		return errors.New("rate is not above 0 and at most 10000 messages a second")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("simulated WeCom closed")
	}
	if _, err := c.improvise(); err != nil {
		return err
	}
	c.stopChatter()
	c.scheduleChatter(&chatter{rate: perSecond, at: c.sim.cfg.Now()})
	return nil
}

// StopChatter stops the background chat. The chat sends no message after
// StopChatter returns.
func (c *Corp) StopChatter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopChatter()
}

// stopChatter is StopChatter for a locked corp.
func (c *Corp) stopChatter() {
	if c.chatter != nil {
		c.chatter.stop()
	}
	c.chatter = nil
}

// A chatter is background chat at one rate.
type chatter struct {
	rate float64
	at   time.Time // time of the last turn
	owed float64   // messages to send, with a fraction
	stop func() bool
}

// scheduleChatter schedules the next turn of t. The corp is locked.
func (c *Corp) scheduleChatter(t *chatter) {
	wait := max(chatterPause, time.Duration(float64(time.Second)/t.rate))
	c.chatter = t
	t.stop = c.sim.cfg.AfterFunc(wait, func() {
		c.mu.Lock()
		if c.chatter != t { // stopped or replaced
			c.mu.Unlock()
			return
		}
		now := c.sim.cfg.Now()
		// The limit prevents a flood of messages after the machine slept.
		t.owed = min(t.owed+now.Sub(t.at).Seconds()*t.rate, 10*t.rate+1)
		t.at = now
		for ; t.owed >= 1; t.owed-- {
			d, err := c.improvise()
			if err == nil {
				_, err = c.send(d)
			}
			if err != nil {
				c.sim.cfg.Logger.Warn("background chat failed", "corp", c.id, "err", err)
				break
			}
		}
		c.scheduleChatter(t)
		c.mu.Unlock()
	})
}

// stopTimers stops the background chat and the scheduled announcement.
func (c *Corp) stopTimers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.stopChatter()
	if c.notifyStop != nil {
		c.notifyStop()
		c.notifyStop = nil
	}
}
