package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// idleCorps share what a round reads once for all, such as their list.
const idleCorps = 50

// outside stands for everything that a round reaches beside the tables. It keeps the
// messages of the queue of pulls.
type outside struct{ pulls []archive.PullRequest }

func (o *outside) SendPulls(_ context.Context, reqs ...archive.PullRequest) error {
	o.pulls = append(o.pulls, reqs...)
	return nil
}
func (*outside) RequestDecodes(context.Context, ...archive.DecodeRequest) error { return nil }
func (*outside) RequestMedia(context.Context, ...media.Request) error           { return nil }
func (*outside) RequestChecks(context.Context, ...string) error                 { return nil }
func (*outside) RequestExaminations(context.Context, ...string) error           { return nil }
func (*outside) Depth(context.Context) (int, error)                             { return 0, nil }
func (*outside) PutHead(context.Context, archive.Day, archive.Head) error       { return nil }
func (*outside) Notify(context.Context, []watch.Change) error                   { return nil }
func (*outside) StartReplay(context.Context, decode.Replay) error               { return nil }
func (*outside) Fleet(context.Context, watch.Fleet)                             {}

// idleUnits measures what a company without messages costs in a minute without
// callbacks: its part of a round of dispatch, and a pull that finds nothing.
func (b *bench) idleUnits(ctx context.Context) error {
	b.heading("a company without messages and callbacks, a minute (ConsumedCapacity)")
	s, stop, err := b.stage(ctx, "idle", wecom.CorpConfig{ID: "ww0000000000000007", ScopeAll: true, Crowd: wecom.Crowd{Staff: 2, Customers: 1}})
	if err != nil {
		return err
	}
	defer stop()
	if err := s.begin(ctx); err != nil {
		return err
	}
	for i := range idleCorps - 1 {
		id, now := fmt.Sprintf("ww%015d8", i), time.Now()
		if err := s.Corps.CreateCorp(ctx, archive.Corp{ID: id, CreatedAt: now, Enabled: true, EnabledAt: now}); err != nil {
			return err
		}
	}
	now := time.Now()
	clock := func() time.Time { now = now.Add(time.Millisecond); return now }
	s.Puller.Now, s.Puller.Gate = clock, &archive.Gate{Log: s.Ledger, Now: clock}
	metered := dynamostore.WithCapacity(s.meter.observe)
	out := &outside{}
	pulls := archive.NewWantedPulls(dynamostore.NewMarks(s.db, s.ledger, metered), out, clock)
	round := &watch.Dispatcher{
		Corps: s.Corps, Ledger: s.Ledger, SetAside: s.View, Files: dynamostore.NewMedia(s.db, s.media, metered), Pulls: pulls, PullDepth: out, Decodes: out, DecodeDepth: out,
		Media: out, MediaDepth: out, Heads: out, Jobs: out, Inspections: out, Notifier: out, Metrics: out, Now: clock, Log: slog.New(slog.DiscardHandler),
	}
	var reads, writes float64
	const minutes = 15
	for minute := range minutes + 2 {
		counts := minute >= 2 // the first rounds notify of new companies
		now = now.Add(time.Minute)
		s.meter.reset()
		if err := round.Tick(ctx); err != nil {
			return err
		}
		if counts {
			reads, writes = reads+s.meter.reads/idleCorps, writes+s.meter.total(s.corps, s.ledger, s.messages, s.media)/idleCorps
		}
		for _, req := range out.pulls {
			if req.Corp != s.corp.ID() {
				// As if this one was pulled too.
				if err := s.Ledger.SavePullState(ctx, archive.PullState{Corp: req.Corp, LastCallAt: now, LastEmptyAt: now}); err != nil {
					return err
				}
				continue
			}
			s.meter.reset()
			if err := s.Puller.Pull(ctx, req); err != nil {
				return err
			}
			if counts {
				reads, writes = reads+s.meter.reads, writes+s.meter.total(s.corps, s.ledger, s.messages, s.media)
			}
		}
		if state, err := s.Ledger.PullState(ctx, s.corp.ID()); err != nil || state.Trouble != nil {
			return fmt.Errorf("a pull of the quiet company failed: %+v, %w", state.Trouble, err)
		}
		if len(out.pulls) != idleCorps {
			return fmt.Errorf("got %d pulls in a minute, want one of each of %d companies", len(out.pulls), idleCorps)
		}
		out.pulls = nil
	}
	b.note("idle_read_units", reads/minutes, "RCU a minute, with half a unit for each empty answer, as AWS counts")
	b.note("idle_write_units", writes/minutes, "WCU a minute: the state is saved every five minutes")
	return nil
}
