package simulation

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// corpLength is the length of every corpid of a run.
const corpLength = 18

// must complains about an error of a call that cannot fail.
func (s *sim) must(err error) {
	if err != nil {
		s.tb.Errorf("direct call: %v", err)
	}
}

// setUp registers the companies, some of them with a wrong secret or without their
// key.
func (s *sim) setUp() {
	w, ctx, now := s.world, context.Background(), time.Now()
	for i := range s.weather.companies {
		c := &company{
			sim: s, id: fmt.Sprintf("ww%016x", 0xa0+i), files: make(map[string]*file), opens: make(map[uint32]string),
			secret: fmt.Sprint("secret-0 of ", i), version: 1, key: fmt.Sprint("key-1 of ", i),
		}
		c.opens[1] = c.key
		s.companies[c.id], s.ids = c, append(s.ids, c.id)
		s.must(w.Corps.CreateCorp(ctx, archive.Corp{ID: c.id, Name: c.id, CreatedAt: now.Add(-time.Duration(i) * time.Minute)}))
		w.Library.SetSecret(c.id, secretValue(c.secret))
		c.saved = c.secret
		if s.weather.crowd && i > 1 || s.weather.secretTrouble && s.rand.IntN(3) == 0 {
			c.saved = "mistyped"
		}
		s.must(w.Corps.SetSecret(ctx, c.id, c.saved[:4], now))
		s.put(c, c.saved)
		s.must(w.Corps.SetEnabled(ctx, c.id, true, "admin", "", now))
		if !s.weather.keyTrouble || s.rand.IntN(3) > 0 {
			w.Openers.Put(c.id, c.key)
			s.must(w.Corps.AddKey(ctx, c.id, archive.Key{ID: c.key, PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: now}, false, ""))
			c.given = append(c.given, c.key)
		}
	}
}

// rage lets companies talk, people work and faults happen until the storm is over.
func (s *sim) rage() {
	w, r := s.weather, s.rand
	end := s.begun.Add(w.storm + w.away)
	if w.away > 0 {
		s.awayFrom = s.begun.Add(time.Duration(r.Int64N(int64(w.storm))))
		s.awayUntil = s.awayFrom.Add(w.away)
	}
	s.tick(time.Duration(r.IntN(60)) * time.Second)
	sometime := func() time.Duration { return time.Duration(r.Int64N(int64(w.storm + w.away))) }
	for _, id := range s.ids {
		c := s.companies[id]
		for range 2 + r.IntN(10) {
			most := 12
			if w.flood && r.IntN(8) == 0 {
				most = 400
			}
			s.in(sometime(), "", func() { s.speak(c, 1+r.IntN(most)) })
		}
		if w.keyTrouble {
			for range 1 + r.IntN(3) {
				s.in(sometime(), "", func() { s.changeKey(c) })
			}
		}
		if w.secretTrouble {
			s.in(sometime(), "", func() { s.changeSecret(c) })
		}
		if w.switches {
			s.in(sometime(), "", func() { s.switchOff(c) })
		}
		if w.jobs {
			for range 1 + r.IntN(3) {
				s.in(sometime(), "", func() { s.work(c) })
			}
		}
	}
	if w.erase && len(s.ids) > 1 {
		s.in(sometime(), "", func() { s.erase(s.companies[s.ids[r.IntN(len(s.ids))]]) })
	}
	if w.outages {
		stores := []string{"Ledger", "Journal", "View", "Corps", "Files", "Objects", "Marks", "PullQueue", "DecodeQueue", "MediaQueue", "Notifier", "Secrets", "Consents"}
		for range 1 + r.IntN(4) {
			store := stores[r.IntN(len(stores))]
			s.in(sometime(), store+" goes out", func() { s.outages[store] = time.Now().Add(time.Duration(1+r.IntN(20)) * time.Minute) })
		}
	}
	s.until(end, nil)
}

// speak lets a company send messages. WeCom announces them by a callback, or by
// two, or by none.
func (s *sim) speak(c *company, n int) {
	if c.erased {
		return
	}
	s.tell("%s says %d messages after seq %d", c.id, n, c.seq())
	for range n {
		c.say()
	}
	if s.away(time.Now()) {
		return
	}
	callbacks := s.rand.IntN(3)
	if n > 100 {
		callbacks = n
	}
	for range callbacks {
		s.in(time.Duration(s.rand.IntN(40))*time.Second, "", func() {
			s.api("callback", c, 3, func(ctx context.Context, p *process) error { return s.callback(ctx, p, c.id) }, nil)
		})
	}
}

// changeKey changes the key in WeCom's console: to a key that the archive made, or
// to one that it gets later. The admin enters the right version, a wrong one or
// none, once or twice.
func (s *sim) changeKey(c *company) {
	r := s.rand
	id := fmt.Sprintf("key-%d of %s", len(c.opens)+1, c.id)
	if r.IntN(8) == 0 {
		id = c.key // the same key is pasted again
	}
	switchOver := func() {
		c.version, c.key = c.version+1, id
		c.opens[c.version] = id
		s.tell("%s uses %s as version %d", c.id, id, c.version)
	}
	claimed := c.version + 1
	if r.IntN(3) == 0 {
		claimed = uint32(r.IntN(4))
	}
	give := func() {
		if s.weather.jobs && r.IntN(2) == 0 {
			s.work(c) // a key that comes while a job runs is tried after the job
		}
		s.api("import", c, 8, func(ctx context.Context, p *process) error { return s.importKey(ctx, p, c, id, claimed) }, func() { c.given = append(c.given, id) })
	}
	if r.IntN(2) == 0 {
		s.api("make key", c, 8, func(ctx context.Context, p *process) error { return s.makeKey(ctx, p, c, id) }, func() {
			c.given = append(c.given, id)
			s.in(time.Duration(r.IntN(300))*time.Second, "", switchOver)
		})
		return
	}
	switchOver()
	for range 1 + r.IntN(2) {
		s.in(time.Duration(r.IntN(1500))*time.Second, "", give)
	}
}

// changeSecret resets the secret in WeCom's console. The admin first enters it
// wrongly, or at once, or late.
func (s *sim) changeSecret(c *company) {
	r := s.rand
	c.secret = fmt.Sprintf("secret-%d of %s", len(c.resets)+1, c.id)
	c.resets = append(c.resets, time.Now())
	s.world.Library.SetSecret(c.id, secretValue(c.secret))
	s.tell("%s resets its secret", c.id)
	save := func(v string) func() {
		return func() {
			s.api("save secret", c, 8, func(ctx context.Context, p *process) error {
				if s.calm { // the admin has entered what is right
					return nil
				}
				return s.saveSecret(ctx, p, c, v)
			}, nil)
		}
	}
	if r.IntN(2) == 0 {
		s.in(time.Duration(r.IntN(300))*time.Second, "", save("mistyped"))
	}
	s.in(time.Duration(r.IntN(2400))*time.Second, "", save(c.secret))
}

func (s *sim) switchOff(c *company) {
	set := func(on bool) {
		s.api(fmt.Sprint("switch ", on), c, 8, func(ctx context.Context, p *process) error {
			if s.calm && !on { // the admin has switched it on
				return nil
			}
			return s.setEnabled(ctx, p, c, on)
		}, nil)
	}
	set(false)
	s.in(time.Duration(s.rand.IntN(1800))*time.Second, "", func() { set(true) })
}

// work starts a job that an auditor or an operator asked for.
func (s *sim) work(c *company) {
	if c.erased {
		return
	}
	job := decode.Replay{Corp: c.id}
	switch s.rand.IntN(4) {
	case 0:
		job.Verify = true
	case 1:
		job.OnlySetAside = true
	case 2:
		s.rebuild(c)
		return
	}
	s.api("start job", c, 8, func(ctx context.Context, p *process) error { return s.startJob(ctx, p, job) }, nil)
}

// rebuild empties the view of a company and starts the replay that builds it again,
// as cmd/rebuild does while no page of the company is being decoded.
func (s *sim) rebuild(c *company) {
	for _, p := range s.running {
		if p.name == "decode" && p.corp == c.id {
			return
		}
	}
	s.view.keep(c.id)
	s.must(s.world.View.Clear(context.Background(), c.id, nil))
	c.emptied = true
	s.tell("the view of %s is emptied", c.id)
	s.api("start job", c, math.MaxInt, func(ctx context.Context, p *process) error {
		return s.startJob(ctx, p, decode.Replay{Corp: c.id})
	}, func() { c.emptied = false })
}
