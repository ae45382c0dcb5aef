package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/secret"
)

func secretValue(v string) secret.Value { return secret.New(v) }

const (
	// restWithin is the longest time that the archive needs to come to rest: the
	// share of refusals of a day, and the pauses and marks after that.
	restWithin = 40 * time.Hour
	// everyMinute is how long the schedule runs every minute after the storm: for an
	// hour, in which each corp has each of its turns, after the slow tick before it.
	// Later the schedule skips ticks, as many as are coprime to the rhythms of dispatch.
	everyMinute = time.Hour + 2*slowTick
	slowTick    = 7 * time.Minute
)

func (s *sim) calmTick() time.Duration {
	if time.Since(s.calmAt) < everyMinute {
		return time.Minute
	}
	return slowTick
}

func (s *sim) away(now time.Time) bool { return now.After(s.awayFrom) && now.Before(s.awayUntil) }

// alive lists the companies that were not erased.
func (s *sim) alive() (list []*company) {
	for _, id := range s.ids {
		if c := s.companies[id]; !c.erased {
			list = append(list, c)
		}
	}
	return list
}

// settle ends the storm, lets the archive come to rest, and checks it.
func (s *sim) settle() {
	s.tell("the storm is over")
	s.calm, s.calmAt = true, time.Now()
	// What people began in the storm ends first. A slow save of a wrong secret would
	// replace the right one.
	s.until(time.Now().Add(apiTimeout), nil)
	for _, c := range s.alive() {
		s.correctSetup(c)
	}
	if !s.rest("after the storm") {
		return
	}
	s.retryAside()
	s.check()
	if s.over() {
		return
	}
	s.checkNotices()
	s.checkRebuild()
	s.checkVerification()
}

// correctSetup lets the admin enter what is right: the secret, and every key.
func (s *sim) correctSetup(c *company) {
	s.speak(c, 1) // a gap ends where a later record can be fetched
	s.api("save secret", c, 8, func(ctx context.Context, p *process) error { return s.saveSecret(ctx, p, c, c.secret) }, func() {
		s.api("switch on", c, 8, func(ctx context.Context, p *process) error { return s.setEnabled(ctx, p, c, true) }, nil)
	})
	for _, version := range slices.Sorted(maps.Keys(c.opens)) {
		if id := c.opens[version]; !slices.Contains(c.given, id) {
			s.api("import", c, 8, func(ctx context.Context, p *process) error { return s.importKey(ctx, p, c, id, 0) }, func() { c.given = append(c.given, id) })
		}
	}
}

// rest waits until nothing is left to do.
func (s *sim) rest(when string) bool {
	for end := time.Now().Add(restWithin); time.Now().Before(end) && !s.over(); {
		s.until(time.Now().Add(10*time.Minute), nil)
		if len(s.unrest()) == 0 {
			s.tell("at rest %s", when)
			return true
		}
	}
	if !s.over() {
		for _, u := range s.unrest() {
			s.tb.add(when + ": " + u)
		}
	}
	return false
}

// unrest lists what is left to do.
func (s *sim) unrest() (left []string) {
	ctx := context.Background()
	for _, c := range s.alive() {
		if c.emptied {
			left = append(left, c.id+": the view is empty")
		}
		head, err := s.world.Ledger.Head(ctx, c.id)
		s.must(err)
		for _, said := range c.said {
			if said.Seq > head.Last && !said.deleted && !said.never {
				left = append(left, fmt.Sprintf("%s: seq %d not pulled, the head is at %d", c.id, said.Seq, head.Last))
				break
			}
		}
		pending, err := s.world.Ledger.Pendings(ctx, c.id, 1000)
		s.must(err)
		if len(pending) > 0 {
			left = append(left, fmt.Sprintf("%s: %d pages not decoded, the first after %d", c.id, len(pending), pending[0].After))
		}
		aside, _, err := s.world.View.ListSetAside(ctx, c.id, 0, 1)
		s.must(err)
		waiting := 0
		for _, f := range c.files {
			row, err := s.world.Files.File(ctx, c.id, media.ID(f.id))
			if err != nil || row.State != media.Waiting {
				continue
			}
			if len(aside) > 0 && !s.listed(c, row.ID) {
				continue // decode died before it listed the file, and then set the message aside: a replay lists the file
			}
			if waiting++; !f.never {
				left = append(left, fmt.Sprintf("%s: %s waits: %s", c.id, f.id, row.Reason))
			}
		}
		backlog, err := s.world.Files.Backlog(ctx, c.id, time.Now())
		s.must(err)
		if backlog.Waiting > waiting {
			left = append(left, fmt.Sprintf("%s: %d files on the list of waiting files, %d wait", c.id, backlog.Waiting, waiting))
		}
		state, err := s.world.Ledger.PullState(ctx, c.id)
		s.must(err)
		if state.LastEmptyAt.Before(s.calmAt) {
			left = append(left, fmt.Sprintf("%s: not caught up since the storm, trouble %+v", c.id, state.Trouble))
		}
		mark, err := s.world.Marks.Mark(ctx, c.id, "pull")
		s.must(err)
		if !mark.SentAt.IsZero() && s.pullQueue.of(c.id) == 0 {
			left = append(left, c.id+": the request of a wanted pull was lost, the next one waits for the time that the queue keeps it")
		}
	}
	running, err := s.world.Ledger.AllRunning(ctx)
	s.must(err)
	for _, r := range running {
		left = append(left, fmt.Sprintf("%s: job %s runs", r.Corp, r.ID))
	}
	return left
}

// listed reports whether a file is on the list of waiting files.
func (s *sim) listed(c *company, id string) bool {
	due, err := s.world.Files.DueFiles(context.Background(), c.id, media.Lane(id), time.Now().Add(10*archive.Retention), 1000)
	s.must(err)
	return slices.Contains(due, id)
}

// retryAside lets the operator replay what is set aside because the library broke,
// as the runbook says.
func (s *sim) retryAside() {
	for range 4 {
		again := false
		for _, c := range s.alive() {
			list, _, err := s.world.View.ListSetAside(context.Background(), c.id, 0, 1000)
			s.must(err)
			if slices.ContainsFunc(list, func(a archive.SetAside) bool {
				return a.Reason == archive.ReasonJournal || c.of(a.Seq) == nil || c.of(a.Seq).opens
			}) {
				again = true
				job := decode.Replay{Corp: c.id, OnlySetAside: true}
				s.api("start job", c, 8, func(ctx context.Context, p *process) error { return s.startJob(ctx, p, job) }, nil)
			}
		}
		if !again || !s.rest("after a replay") {
			return
		}
	}
}

func (c *company) of(seq uint64) *said {
	for _, s := range c.said {
		if s.Seq == seq {
			return s
		}
	}
	return nil
}

// checkNotices gives one company a trouble, while all others are well. People are
// notified of it and of its end, and of no other company (laws 8, 9 and 10).
func (s *sim) checkNotices() {
	list := s.alive()
	if len(list) == 0 || s.weather.crowd {
		return
	}
	s.calmAt = time.Now()                                // ticks come every minute again
	s.until(time.Now().Add(slowTick+6*time.Minute), nil) // each corp has its slow turn
	c := list[s.rand.IntN(len(list))]
	health := func(c *company) watch.Health {
		n, err := s.world.Ledger.Notified(context.Background(), []string{c.id})
		s.must(err)
		return n[c.id].Health
	}
	before := make(map[string]watch.Health)
	for _, c := range list {
		before[c.id] = health(c)
		want := watch.Well
		if s.setAside(c) > 0 {
			want = watch.SetAside
		}
		if h := before[c.id]; h != want {
			s.tb.Errorf("%s: notified of %q at rest, want %q (law 9)", c.id, h, want)
		}
	}
	s.checkSent(list)
	s.checkFleet(list, 0)
	if s.fleet.WorstLag > caughtUpWithin {
		s.tb.Errorf("fleet: a corp caught up %s ago at rest, want at most %s (law 9)", s.fleet.WorstLag, caughtUpWithin)
	}
	t := lasting[s.rand.IntN(len(lasting))]
	s.tell("WeCom answers %+v to %s", t, c.id)
	c.trouble = &t
	s.until(time.Now().Add(25*time.Minute), nil)
	if got := health(c); got != watch.Health(t.cause) {
		s.tb.Errorf("%s: notified of %q while WeCom answers %d %d, want %q (laws 9 and 10)", c.id, got, t.errcode, t.native, t.cause)
	}
	s.checkFleet(list, 1)
	c.trouble = nil
	s.speak(c, 1)
	s.until(time.Now().Add(45*time.Minute), nil)
	for _, c := range list {
		if got := health(c); got != before[c.id] {
			s.tb.Errorf("%s: notified of %q after the trouble, want %q (law 9)", c.id, got, before[c.id])
		}
	}
	s.checkFleet(list, 0)
	told := false
	for _, changes := range s.checkSent(list) {
		for _, change := range changes {
			if told = told || change.To == watch.Health(t.cause); change.Corp != c.id {
				s.tb.Errorf("%s: notice %s to %s while %s has a trouble (law 8)", change.Corp, change.From, change.To, c.id)
			}
		}
	}
	if !told {
		s.tb.Errorf("%s: no notice was sent of %s (law 9)", c.id, t.cause)
	}
	s.rest("after a trouble")
	s.check()
}

// setAside counts the records set aside of a company.
func (s *sim) setAside(c *company) int {
	list, _, err := s.world.View.ListSetAside(context.Background(), c.id, 0, 1000)
	s.must(err)
	return len(list)
}

// caughtUpWithin is the longest time since a quiet corp was caught up, as the ledger
// has it: a slow turn, and the time in which a pull saves no state.
const caughtUpWithin = 15 * time.Minute

// checkFleet compares the numbers from which the alarms are made with the state,
// which is at rest: only so many corps have a trouble (laws 9 and 10).
func (s *sim) checkFleet(list []*company, broken int) {
	aside, filesLeft := 0, archive.Retention
	for _, c := range list {
		aside += s.setAside(c)
		_, next, err := s.world.Files.Waiting(context.Background(), c.id, time.Now(), time.Now())
		s.must(err)
		if !next.IsZero() {
			filesLeft = min(filesLeft, time.Until(next))
		}
	}
	f := s.fleet
	if f.Corps != len(list) || f.Broken != broken || f.Losing != 0 || f.SetAside != aside || f.Overdue != 0 || f.Stuck != 0 {
		s.tb.Errorf("fleet: got %+v, want %d corps, %d with a trouble, none losing, %d records set aside, no page overdue or stuck (laws 9 and 10)", f, len(list), broken, aside)
	}
	// The round was up to a slow tick ago. A deadline that passed since says nothing.
	if off := (f.FilesLeft - filesLeft).Abs(); off > slowTick+time.Minute && f.FilesLeft > slowTick+time.Minute {
		s.tb.Errorf("fleet: %s until WeCom deletes a waiting file, want %s (law 9)", f.FilesLeft, filesLeft)
	}
}

// checkSent takes the notices that were sent. The last one about a company is the
// one that is noted (law 9).
func (s *sim) checkSent(list []*company) [][]watch.Change {
	sent := s.world.Notified.Take()
	for _, changes := range sent {
		for _, change := range changes {
			s.sent[change.Corp] = change.To
		}
	}
	for _, c := range list {
		n, err := s.world.Ledger.Notified(context.Background(), []string{c.id})
		s.must(err)
		if got := s.sent[c.id]; got != n[c.id].Health {
			s.tb.Errorf("%s: noted as notified of %q, the last notice says %q (law 9)", c.id, n[c.id].Health, got)
		}
	}
	return sent
}

// checkRebuild removes the view and builds it again, for some seeds (law 2).
func (s *sim) checkRebuild() {
	if s.rand.IntN(3) > 0 || s.over() {
		return
	}
	for _, c := range s.alive() {
		s.rebuild(c)
	}
	s.rest("after the rebuild")
	s.retryAside()
	s.check()
}

// checkVerification lets the archive verify itself.
func (s *sim) checkVerification() {
	if s.over() {
		return
	}
	ctx := context.Background()
	asked := time.Now()
	for _, c := range s.alive() {
		job := decode.Replay{Corp: c.id, Verify: true}
		s.api("start job", c, 8, func(ctx context.Context, p *process) error { return s.startJob(ctx, p, job) }, nil)
	}
	s.until(time.Now().Add(time.Minute), nil)
	s.rest("after the verification")
	for _, c := range s.alive() {
		jobs, err := s.world.Ledger.Replays(ctx, c.id, 50)
		s.must(err)
		i := slices.IndexFunc(jobs, func(j decode.Replay) bool { return j.Verify && !j.CreatedAt.Before(asked) })
		if i < 0 || !jobs[i].Whole() {
			s.tb.Errorf("%s: verification not done", c.id)
			continue
		}
		for _, f := range jobs[i].Findings {
			if f.What == decode.FaultHeadMissing && (s.weather.away > 0 || s.weather.outages || s.weather.ticksLost > 0 || archive.DayOf(asked) != archive.DayOf(s.calmAt)) {
				continue // dispatch did not run in the hour, or had no tick in the corp's turn
			}
			if (f.What == decode.FaultRow || f.What == decode.FaultHead) && s.weather.steps > 0 {
				continue // a row or a daily head was written while the clock was far ahead: its time, or day, cannot be right
			}
			if said := c.of(f.Seq); said != nil && said.decrypt != 0 {
				continue // the library breaks on the record now and then
			}
			s.tb.Errorf("%s: verification found %s after %d, seq %d", c.id, f.What, f.After, f.Seq)
		}
	}
}
