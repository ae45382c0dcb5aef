package archive

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// WeCom bans an IP address for an hour after too many calls with a wrong secret
// (45009, wecom.md 10.10). All corps share our addresses. This file is law 8: the
// one place that decides when a secret may be shown to WeCom.

// Tries is the maximum number of times that one call to WeCom is made. A call is
// repeated only after a failure that may pass by itself. RetryPause is the pause
// before a repetition.
const (
	Tries      = 3
	RetryPause = time.Second
)

// PauseLong is the time between checks while only a person or a payment can
// resolve the trouble.
const PauseLong = 10 * time.Minute

// The bounds of refusals.
const (
	// RefusalBudget is how many refused secrets our fixed addresses together may
	// have within [RefusalWindow]. Two addresses share one budget, because the
	// process that makes a call does not know which address the call leaves by.
	// WeCom does not document how many refusals it accepts.
	RefusalBudget = 10
	RefusalWindow = time.Hour
	// refusalReserve is the part of the budget that only corps without a refusal
	// within the last day may use.
	refusalReserve = RefusalBudget / 2

	// A corp's share of refusals. Nothing that a corp saves or forces enlarges
	// the share.
	trustedShareHour = 2
	trustedShareDay  = 5
	openShareDay     = 10

	day = 24 * time.Hour
	// SecretSettles is how long after a save the secret store may still return the
	// previous secret. A refusal in this time says nothing about the new secret.
	SecretSettles = time.Minute
	// waitingFresh is how long a waiting corp keeps its turn after it last asked
	// the gate. The timer asks every minute.
	waitingFresh = 150 * time.Second
	// answeredWithin is longer than a process needs to start, call WeCom and end.
	answeredWithin = time.Minute
)

// refusalPauses are the growing pauses after refusals of one secret.
var refusalPauses = []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour}

// Way is a network route to WeCom.
type Way string

// The ways.
const (
	Trusted Way = "trusted" // by the fixed addresses that the corps have put on their lists
	Open    Way = "open"    // from a function outside the VPC, by an address that other AWS customers share
)

// Standing is what WeCom's last answers say about one secret of a corp. Losing
// it costs some calls, never a message.
type Standing struct {
	// SecretSetAt is [Corp.SecretSetAt], or [directory.App.SetAt], of the secret
	// that this standing is about. [Standing.For] gives the standing of a newer
	// secret.
	SecretSetAt time.Time
	OKAt        time.Time // WeCom last accepted the secret; zero for never; it may lag by an hour
	Refusals    int       // refusals in a row
	RefusedAt   time.Time // the last refusal; zero for none since OKAt
	NotBefore   time.Time // the secret is not shown before this time, except when a person forces it
	// HeldUntil: the gate admits no try of the corp before this time, because the
	// corp has used up its share, or the part of the budget that it may use.
	// Neither force nor a new secret overrides it; [Ask.Accepted] does.
	HeldUntil time.Time
	Trouble   *Trouble // why WeCom's last call failed; nil if it did not fail
}

// For returns the standing of the secret that was saved at setAt: s itself if s is
// about this secret. Otherwise it is a new standing that keeps HeldUntil. It also
// keeps the trouble until WeCom answers.
func (s Standing) For(setAt time.Time) Standing {
	if s.SecretSetAt.Equal(setAt) {
		return s
	}
	return Standing{SecretSetAt: setAt, NotBefore: s.HeldUntil, HeldUntil: s.HeldUntil, Trouble: s.Trouble}
}

// Works reports whether WeCom accepted the secret saved at setAt when that secret
// was last shown to WeCom.
func (s Standing) Works(setAt time.Time) bool {
	return !setAt.IsZero() && s.SecretSetAt.Equal(setAt) && !s.OKAt.IsZero() && s.Refusals == 0
}

// Due reports whether no pause applies to the archive secret of the corp. s is the
// standing of this secret or of an earlier one.
func (s Standing) Due(c Corp, now time.Time) bool {
	return !now.Before(s.For(c.SecretSetAt).facing(Ask{Way: Trusted, Accepted: !c.OpenOKAt.IsZero()}).NotBefore)
}

// troubled is s with t as its trouble. If t has the cause of the previous
// trouble, its start time is kept.
func (s Standing) troubled(t Trouble, now time.Time) Standing {
	t.At, t.Since = now, now
	if old := s.Trouble; old != nil && old.Cause == t.Cause {
		t.Since = old.Since
	}
	s.Trouble = &t
	return s
}

// Paused is s with t as its trouble and a pause of d; none if d is 0.
func (s Standing) Paused(t Trouble, now time.Time, d time.Duration) Standing {
	s = s.troubled(t, now)
	if d > 0 {
		s.NotBefore = now.Add(d)
	}
	return s
}

// held is s with the gate's wait as its trouble, unless WeCom has refused this
// secret: then the refusal stays the trouble.
func (s Standing) held(cause Cause, now, until time.Time) Standing {
	if s.Refusals == 0 {
		s = s.troubled(Trouble{Cause: cause}, now)
	}
	s.NotBefore = until
	return s
}

// Try is one call that shows a secret to WeCom and could be refused. A Try without
// By is a waiting entry: it records that the corp waits, or has waited, for a free
// place in the budget. See [Try.Mark].
type Try struct {
	Way   Way
	Corp  string // whose secret
	By    string // what shows it: pull, decode, media, directory; empty for a waiting entry
	At    time.Time
	ID    string // tells apart the tries of two callers at the same moment; empty for a waiting entry
	State TryState
	// Registered is when the corp was registered; set in state waiting.
	Registered time.Time
}

// TryState is what became of a try.
type TryState string

// The states. A process that dies during a try leaves it in state trying, which
// counts as a refusal: WeCom may have refused it.
const (
	TryRunning  TryState = "trying"
	TryRefused  TryState = "refused"
	TryReleased TryState = "released" // WeCom accepted the secret, or said nothing about it
	TryWaiting  TryState = "waiting"  // a waiting entry; one per way and corp
)

// Mark reports whether t is a waiting entry and not a try.
func (t Try) Mark() bool { return t.By == "" }

func (t Try) counts() bool { return t.State == TryRunning || t.State == TryRefused }

// A TryLog keeps the tries of the last day. Safe for concurrent use.
type TryLog interface {
	// PutTry stores a try, replacing the one with the same Way, Corp, By, At and ID.
	// A waiting entry replaces the one with the same Way and Corp. Durable on
	// return.
	PutTry(ctx context.Context, t Try) error
	// Tries lists the tries of a way at or after since, which is at most a day
	// ago, and all waiting entries, in any order. It reads consistently: it sees
	// every PutTry that has returned.
	Tries(ctx context.Context, way Way, since time.Time) ([]Try, error)
}

// A Gate decides whether a secret may be shown to WeCom now, and what WeCom's
// answer changes (law 8). Its fields never change; safe for concurrent use.
type Gate struct {
	Log TryLog
	Now func() time.Time
}

// Ask is a request to show a secret to WeCom.
type Ask struct {
	Way        Way
	Corp       string
	Registered time.Time // [Corp.CreatedAt]
	By         string    // see [Try]
	// Force skips pauses, because a person asked. It exceeds neither the corp's
	// share nor the budget.
	Force bool
	// Accepted: WeCom accepted this secret on the open way. On the trusted way the
	// gate then ignores the share, the reserve and HeldUntil. Only the budget, and a
	// pause after an answer about this secret, can delay the try.
	Accepted bool
}

// accepted reports whether [Ask.Accepted] applies. It does until WeCom refuses the
// secret on the trusted way.
func (a Ask) accepted(s Standing) bool { return a.Accepted && a.Way == Trusted && s.Refusals == 0 }

// facing is s as the request meets it: HeldUntil does not hold an accepted secret.
func (s Standing) facing(a Ask) Standing {
	if !a.accepted(s) {
		return s
	}
	if s.NotBefore.Equal(s.HeldUntil) { // no answer set the pause
		s.NotBefore = time.Time{}
	}
	s.HeldUntil = time.Time{}
	return s
}

// pausedUntil is the end of the pause that applies to the request.
func (s Standing) pausedUntil(a Ask) time.Time {
	if a.Force {
		return s.HeldUntil
	}
	return s.NotBefore
}

// Admission is permission to show a secret. The holder reports WeCom's answer to
// the first call with [Gate.Answered], [Gate.Refused] or [Gate.Unanswered]. Answers
// to later calls need not be reported. These calls use nothing of the share and the
// budget.
type Admission struct {
	ask  Ask
	open *Try // counted against share and budget until it is settled; nil for a secret that works
}

// Admit decides. The admission is nil if the secret must wait; then the
// standing says why and until when.
//
// A secret that works is admitted, and the log is not read. The try of any other
// secret is counted before the secret is shown, and then the log is read again. If
// several callers run at once, the last one sees the tries of all others, so
// together they cannot exceed the budget. A crash before the answer leaves the try
// counted.
func (g *Gate) Admit(ctx context.Context, a Ask, s Standing) (*Admission, Standing, error) {
	now := g.Now()
	accepted := a.accepted(s)
	s = s.facing(a)
	if now.Before(s.pausedUntil(a)) {
		return nil, s, nil
	}
	if s.Works(s.SecretSetAt) {
		return &Admission{ask: a}, s, nil
	}
	log, err := g.Log.Tries(ctx, a.Way, now.Add(-day))
	if err != nil {
		return nil, s, fmt.Errorf("read tries: %w", err)
	}
	if free, cause := place(log, a, accepted, now); free.After(now) {
		if cause == CauseBudget && !refusedWithin(log, a.Corp, now.Add(-day)) {
			if err := g.wait(ctx, a, TryWaiting, now); err != nil {
				return nil, s, err
			}
			return nil, s.held(cause, now, now.Add(time.Minute)), nil // the corp keeps its turn only while it asks every minute
		}
		s.HeldUntil = free
		return nil, s.held(cause, now, free), nil
	}
	try := Try{Way: a.Way, Corp: a.Corp, By: a.By, At: now.Truncate(time.Millisecond), ID: rand.Text(), State: TryRunning}
	if err := g.Log.PutTry(ctx, try); err != nil {
		return nil, s, fmt.Errorf("count a try: %w", err)
	}
	if log, err = g.Log.Tries(ctx, a.Way, now.Add(-day)); err != nil {
		return nil, s, fmt.Errorf("read tries again: %w", err)
	}
	log = slices.DeleteFunc(log, func(t Try) bool { return t.ID == try.ID })
	if free, cause := place(log, a, accepted, now); free.After(now) { // another caller took the place
		try.State = TryReleased
		if err := g.Log.PutTry(ctx, try); err != nil {
			return nil, s, fmt.Errorf("withdraw a try: %w", err)
		}
		return nil, s.held(cause, now, now.Add(time.Minute)), nil
	}
	if slices.ContainsFunc(log, func(t Try) bool { return t.State == TryWaiting && t.Corp == a.Corp }) {
		if err := g.wait(ctx, a, TryReleased, now); err != nil {
			return nil, s, err
		}
	}
	return &Admission{ask: a, open: &try}, s, nil
}

// NextTry is when a secret with this standing may be shown, if nothing else
// changes: now or later. It changes nothing.
func (g *Gate) NextTry(ctx context.Context, a Ask, s Standing) (time.Time, error) {
	now := g.Now()
	at := later(now, s.facing(a).pausedUntil(a))
	if s.Works(s.SecretSetAt) {
		return at, nil
	}
	log, err := g.Log.Tries(ctx, a.Way, now.Add(-day))
	if err != nil {
		return time.Time{}, fmt.Errorf("read tries: %w", err)
	}
	if free, _ := place(log, a, a.accepted(s), now); free.After(at) {
		at = free
	}
	return at, nil
}

// wait stores the waiting entry of the corp: state says whether the corp waits, or
// has stopped waiting.
func (g *Gate) wait(ctx context.Context, a Ask, state TryState, now time.Time) error {
	entry := Try{Way: a.Way, Corp: a.Corp, At: now.Truncate(time.Millisecond), State: state, Registered: a.Registered}
	if err := g.Log.PutTry(ctx, entry); err != nil {
		return fmt.Errorf("note that corp %s waits: %w", a.Corp, err)
	}
	return nil
}

// place returns when the try may be made. If that is later than now, cause says
// which limit is used up.
func place(log []Try, a Ask, accepted bool, now time.Time) (time.Time, Cause) {
	if !accepted {
		bounds := []shareBound{{trustedShareHour, RefusalWindow}, {trustedShareDay, day}}
		if a.Way == Open {
			bounds = []shareBound{{openShareDay, day}}
		}
		free := now
		for _, b := range bounds {
			own := counted(log, now.Add(-b.window), func(t Try) bool { return t.Corp == a.Corp })
			free = later(free, freeAt(own, b.most, b.window, now))
		}
		if free.After(now) {
			return free, CauseShare
		}
	}
	if a.Way == Open {
		return now, ""
	}
	// The waiting corp that was registered last goes first. Its secret is probably
	// right, and an accepted secret uses no budget. A corp cannot be registered
	// again to get ahead.
	ahead := 0
	clean := accepted || !refusedWithin(log, a.Corp, now.Add(-day))
	for _, t := range log {
		if t.State == TryWaiting && t.Corp != a.Corp && now.Sub(t.At) < waitingFresh && (!clean || t.Registered.After(a.Registered)) {
			ahead++
		}
	}
	most := RefusalBudget
	if !clean {
		most -= refusalReserve
	}
	used := counted(log, now.Add(-RefusalWindow), func(Try) bool { return true })
	return freeAt(used, max(most-ahead, 0), RefusalWindow, now), CauseBudget
}

// shareBound is the most refusals within a window.
type shareBound struct {
	most   int
	window time.Duration
}

// counted returns the times, oldest first, of the tries after since that count
// as refusals and for which fits is true.
func counted(log []Try, since time.Time, fits func(Try) bool) []time.Time {
	at := make([]time.Time, 0, RefusalBudget)
	for _, t := range log {
		if t.counts() && t.At.After(since) && fits(t) {
			at = append(at, t.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// freeAt returns the earliest time at which the window that ends then has a number
// of tries below most.
func freeAt(tries []time.Time, most int, window time.Duration, now time.Time) time.Time {
	if len(tries) < most {
		return now
	}
	if len(tries) == 0 { // most is 0: the corps that wait before this one use all that is free
		return now.Add(time.Minute)
	}
	return tries[min(len(tries)-most, len(tries)-1)].Add(window)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func refusedWithin(log []Try, corp string, since time.Time) bool {
	return slices.ContainsFunc(log, func(t Try) bool { return t.counts() && t.Corp == corp && t.At.After(since) })
}

// Answered notes that WeCom accepted the secret.
func (g *Gate) Answered(ctx context.Context, a *Admission, s Standing) (Standing, error) {
	s.Trouble, s.NotBefore, s.HeldUntil = nil, time.Time{}, time.Time{}
	s.Refusals, s.RefusedAt = 0, time.Time{}
	s.OKAt = g.Now()
	return s, g.Unanswered(ctx, a)
}

// Unanswered notes that the call ended without an answer about the secret. The try
// then counts against neither share nor budget.
func (g *Gate) Unanswered(ctx context.Context, a *Admission) error {
	return g.settle(ctx, a, TryReleased)
}

func (g *Gate) settle(ctx context.Context, a *Admission, state TryState) error {
	if a.open == nil {
		return nil
	}
	try := *a.open
	try.State = state
	if err := g.Log.PutTry(ctx, try); err != nil {
		return fmt.Errorf("settle a try: %w", err)
	}
	a.open = nil
	return nil
}

func (g *Gate) settleRefused(ctx context.Context, a *Admission) error {
	if a.open == nil {
		return g.Note(ctx, a.ask.Way, a.ask.Corp, a.ask.By)
	}
	return g.settle(ctx, a, TryRefused)
}

// Refused notes what WeCom refused, and sets the pause that follows:
//
//   - After a refused secret the pauses grow.
//   - After too many calls ([CauseRate]) the pause is a minute. If our addresses
//     had refusals within the hour, WeCom has probably banned them: then the cause
//     becomes [CauseBudget], and the pause is [PauseLong].
//   - After anything else the pause is d.
//
// On the open way, too many calls or a refused address mean that WeCom did not look
// at the secret. The try then does not count.
//
// A refusal within [SecretSettles] of a save may be about the previous secret. It
// counts against share and budget, and the gate admits the next try when this time
// is over.
func (g *Gate) Refused(ctx context.Context, a *Admission, s Standing, t Trouble, r Response, d time.Duration) (Standing, error) {
	now := g.Now()
	switch {
	case a.ask.Way == Open && (t.Cause == CauseRate || t.Cause == CauseTrustedIP):
		return s, g.Unanswered(ctx, a)
	case r == RespondRefuse:
		if err := g.settleRefused(ctx, a); err != nil {
			return s, err
		}
		if settled := s.SecretSetAt.Add(SecretSettles); now.Before(settled) {
			return s.Paused(t, now, settled.Sub(now)), nil
		}
		s = s.Paused(t, now, refusalPauses[min(s.Refusals, len(refusalPauses)-1)])
		s.Refusals++
		s.RefusedAt = now
		return s, nil
	case t.Cause == CauseRate:
		log, err := g.Log.Tries(ctx, a.ask.Way, now.Add(-RefusalWindow))
		if err != nil {
			return s, fmt.Errorf("read tries: %w", err)
		}
		others := counted(log, now.Add(-RefusalWindow), func(t Try) bool { return a.open == nil || t.ID != a.open.ID })
		d = time.Minute
		if len(others) > 0 { // 45009 was not caused by our call rate but by refused secrets
			t.Cause, d = CauseBudget, PauseLong
		}
	}
	return s.Paused(t, now, d), g.Unanswered(ctx, a)
}

// Note records the refusal of a secret that was shown without an admission, or
// that worked before. The gate counts no try of such a secret in advance. So if a
// secret that worked was reset, its refusal may exceed the budget: only WeCom knew
// of the reset.
func (g *Gate) Note(ctx context.Context, way Way, corp, by string) error {
	try := Try{Way: way, Corp: corp, By: by, At: g.Now().Truncate(time.Millisecond), ID: rand.Text(), State: TryRefused}
	if err := g.Log.PutTry(ctx, try); err != nil {
		return fmt.Errorf("record a refusal: %w", err)
	}
	return nil
}

// TriedBy reports what became of the tries of the corp's secret by the function by
// at or after since, which is at most a day ago: refused if WeCom refused one, or if
// a process ended without an answer; else trying if one waits for its answer; else
// released.
func (g *Gate) TriedBy(ctx context.Context, way Way, corp, by string, since time.Time) (TryState, error) {
	log, err := g.Log.Tries(ctx, way, since)
	if err != nil {
		return "", fmt.Errorf("read tries: %w", err)
	}
	state := TryReleased
	for _, t := range log {
		if !t.counts() || t.Corp != corp || t.By != by || t.At.Before(since) {
			continue
		}
		if t.State == TryRefused || g.Now().Sub(t.At) >= answeredWithin {
			return TryRefused, nil
		}
		state = TryRunning
	}
	return state, nil
}
