package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// The time limits of the functions (template.yaml).
const (
	apiTimeout      = 29 * time.Second
	dispatchTimeout = 57 * time.Second
	pullTimeout     = 120 * time.Second
	decodeTimeout   = 300 * time.Second
	mediaTimeout    = 300 * time.Second
)

// pulls, decodes and files are the queues as the algorithms see them.
type (
	pulls   struct{ *queue }
	decodes struct{ *queue }
	files   struct{ *queue }
)

func (q pulls) SendPulls(ctx context.Context, reqs ...archive.PullRequest) error {
	return send(ctx, q.queue, func(r archive.PullRequest) (string, string) { return r.Corp, r.Corp }, reqs)
}

func (q decodes) RequestDecodes(ctx context.Context, reqs ...archive.DecodeRequest) error {
	return send(ctx, q.queue, func(r archive.DecodeRequest) (string, string) {
		if r.Replay != "" {
			return r.Corp, r.Corp + "/replay"
		}
		return r.Corp, fmt.Sprint(r.Corp, "/", archive.DecodeLane(r.After))
	}, reqs)
}

func (q files) SendMedia(ctx context.Context, reqs ...media.Request) error {
	return send(ctx, q.queue, func(r media.Request) (string, string) {
		return r.Corp, fmt.Sprint(r.Corp, "/", r.Lane)
	}, reqs)
}

// inspections takes requests for inspections, which are not simulated.
type inspections struct{ port *port }

func (i inspections) RequestChecks(ctx context.Context, corps ...string) error {
	return i.port.call(ctx, archivetest.Call{Name: "InspectQueue.Send", Writes: true}, func() {})
}

func (i inspections) RequestExaminations(ctx context.Context, corps ...string) error {
	return i.RequestChecks(ctx, corps...)
}

// metrics keeps the fleet's numbers of the last round.
type metrics struct{ sim *sim }

func (m metrics) Fleet(ctx context.Context, f watch.Fleet) {
	if p := processOf(ctx); !p.dead {
		m.sim.fleet = f
	}
}

// viewInParts writes a page as the adapter does: in several calls, each of which
// may fail.
type viewInParts struct{ *archivetest.View }

// WritePage implements [decode.ViewWriter].
func (v viewInParts) WritePage(ctx context.Context, p decode.Decoded) error {
	for part := range slices.Chunk(p.Messages, 10) {
		if err := v.View.WritePage(ctx, decode.Decoded{Corp: p.Corp, Messages: part}); err != nil {
			return err
		}
	}
	for _, part := range []decode.Decoded{
		{Corp: p.Corp, Revocations: p.Revocations},
		{Corp: p.Corp, Activities: p.Activities},
		{Corp: p.Corp, SetAside: p.SetAside},
		{Corp: p.Corp, Cleared: p.Cleared},
		{Corp: p.Corp, FirstSeen: p.FirstSeen},
	} {
		if len(part.Revocations)+len(part.Activities)+len(part.SetAside)+len(part.Cleared)+len(part.FirstSeen) == 0 {
			continue
		}
		if err := v.View.WritePage(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (s *sim) wantedPulls(now func() time.Time) archive.WantedPulls {
	return archive.NewWantedPulls(s.world.Marks, pulls{s.pullQueue}, now)
}

func (s *sim) gate(p *process) *archive.Gate {
	return &archive.Gate{Log: s.world.Ledger, Now: p.now}
}

func (s *sim) jobs(now func() time.Time) decode.JobStarter {
	return decode.NewJobStarter(s.ledger, decodes{s.decodeQueue}, now)
}

// dispatcher makes the dispatcher of an instance.
func (s *sim) dispatcher(i *instance) *watch.Dispatcher {
	w := s.world
	return &watch.Dispatcher{
		Corps: s.corps, Ledger: s.ledger, SetAside: s.view, Pulls: s.wantedPulls(i.now), PullDepth: s.pullQueue,
		Decodes: decodes{s.decodeQueue}, DecodeDepth: s.decodeQueue, Files: s.files,
		Media: media.NewWantedLanes(w.Marks, files{s.mediaQueue}, i.now), MediaDepth: s.mediaQueue,
		Heads: w.Journal, Jobs: s.jobs(i.now), Inspections: inspections{s.port}, Notifier: w.Notified, Metrics: metrics{s},
		Now: i.now, Log: s.log,
	}
}

// dispatch does a round.
func (s *sim) dispatch(ctx context.Context, p *process) error { return p.instance.dispatcher.Tick(ctx) }

// pull serves a message of the queue of pulls.
func (s *sim) pull(ctx context.Context, p *process, m *message) error {
	var req archive.PullRequest
	if err := json.Unmarshal(m.body, &req); err != nil {
		return err
	}
	req.Again = m.receives > 1
	w := s.world
	puller := &pull.Puller{
		Corps: w.Corps, Secrets: p.instance.secrets, Sources: sources{s}, Ledger: s.ledger, Gate: s.gate(p), Journal: w.Journal,
		Pulls: s.wantedPulls(p.now), Decodes: decodes{s.decodeQueue}, Now: p.now, Sleep: archive.Sleep, Log: s.log,
	}
	return puller.Pull(ctx, req)
}

// decode serves a message of the queue of decode requests.
func (s *sim) decode(ctx context.Context, p *process, m *message) error {
	var req archive.DecodeRequest
	if err := json.Unmarshal(m.body, &req); err != nil {
		return err
	}
	w := s.world
	decoder, replayer := decode.New(decode.Config{
		Ledger: s.ledger, Jobs: s.ledger, Heads: w.Ledger, Journal: w.Journal, View: s.view, Keys: w.Corps,
		Openers: w.Openers, Decrypters: w.Library, Consents: s.consents, Files: w.Files, Objects: w.Objects,
		Media: media.NewWantedLanes(w.Marks, files{s.mediaQueue}, p.now), Decodes: decodes{s.decodeQueue}, Announcer: w.Announced, Parallel: 1, Now: p.now, Log: s.log,
	})
	if req.Replay != "" {
		return replayer.Run(ctx, req)
	}
	return decoder.Decode(ctx, req.Corp, req.After, decode.FirstTime)
}

// fetch serves a message of the queue of files.
func (s *sim) fetch(ctx context.Context, p *process, m *message) error {
	var req media.Request
	if err := json.Unmarshal(m.body, &req); err != nil {
		return err
	}
	w := s.world
	f := &media.Fetcher{
		Corps: w.Corps, Secrets: p.instance.secrets, Ledger: w.Ledger, Gate: s.gate(p), Sources: w.Library, Files: w.Files, Objects: w.Objects,
		Queue: media.NewWantedLanes(w.Marks, files{s.mediaQueue}, p.now), MaxSize: media.MaxSize, Now: p.now, Sleep: archive.Sleep, Log: s.log,
	}
	return f.Fetch(ctx, req)
}

// callback is what the API does with an authentic event.
func (s *sim) callback(ctx context.Context, p *process, corp string) error {
	if _, err := s.world.Corps.Corp(ctx, corp); err != nil {
		if errors.Is(err, archive.ErrNotFound) {
			return nil
		}
		return err
	}
	if err := s.wantedPulls(p.now).RequestPulls(ctx, archive.PullRequest{Corp: corp, Why: "callback"}); err != nil {
		return err
	}
	return s.corps.TouchCallback(ctx, corp, p.now())
}

// saveSecret is what the API does when the admin saves an archive secret.
func (s *sim) saveSecret(ctx context.Context, p *process, c *company, v string) error {
	if err := s.corps.SetSecret(ctx, c.id, v[:4], p.now()); err != nil {
		return err
	}
	if err := s.port.call(ctx, archivetest.Call{Name: "Secrets.Put", Corp: c.id, Writes: true}, func() { s.put(c, v) }); err != nil {
		return err
	}
	return s.wantedPulls(p.now).RequestPulls(ctx, archive.PullRequest{Corp: c.id, Why: "asked", Force: true})
}

// importKey is what the API does when the admin imports a private key, or claims a
// version for one that is there.
func (s *sim) importKey(ctx context.Context, p *process, c *company, id string, version uint32) error {
	corps := s.world.Corps
	job := decode.Replay{
		Corp: c.id, ID: decode.JobID(p.now(), fmt.Sprint("import-", p.id)), CreatedAt: p.now(), UpdatedAt: p.now(), By: "admin", Asked: true, OnlySetAside: true,
	}
	if err := s.port.call(ctx, archivetest.Call{Name: "Secrets.CreateKey", Corp: c.id, Writes: true}, func() { s.world.Openers.Put(c.id, id) }); err != nil {
		return err
	}
	if err := s.jobs(p.now).PlanRetry(ctx, job); err != nil {
		return err
	}
	err := corps.AddKey(ctx, c.id, archive.Key{ID: id, PublicPEM: "pem", Origin: archive.KeyImported, CreatedAt: p.now()}, false, "")
	if err != nil && !errors.Is(err, archive.ErrExists) {
		return err
	}
	if version != 0 {
		if err := corps.Claim(ctx, c.id, id, version, "admin", p.now()); err != nil {
			return err
		}
	}
	_, err = s.jobs(p.now).StartRetry(ctx, job)
	return err
}

// makeKey is what the API does when the admin lets the archive make a key.
func (s *sim) makeKey(ctx context.Context, p *process, c *company, id string) error {
	if err := s.port.call(ctx, archivetest.Call{Name: "Secrets.CreateKey", Corp: c.id, Writes: true}, func() { s.world.Openers.Put(c.id, id) }); err != nil {
		return err
	}
	err := s.world.Corps.AddKey(ctx, c.id, archive.Key{ID: id, PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: p.now()}, false, "")
	if errors.Is(err, archive.ErrExists) {
		return nil
	}
	return err
}

// setEnabled is what the API does when the admin switches a company on or off.
func (s *sim) setEnabled(ctx context.Context, p *process, c *company, on bool) error {
	if err := s.corps.SetEnabled(ctx, c.id, on, "admin", "", p.now()); err != nil || !on {
		return err
	}
	return s.wantedPulls(p.now).RequestPulls(ctx, archive.PullRequest{Corp: c.id, Why: "enabled", Force: true})
}

// startJob starts a replay or a verification that a person asked for. It fails if
// another job runs.
func (s *sim) startJob(ctx context.Context, p *process, job decode.Replay) error {
	job.ID = decode.JobID(p.now(), fmt.Sprint("asked-", p.id))
	job.CreatedAt, job.UpdatedAt, job.By, job.Asked = p.now(), p.now(), "auditor", true
	return s.jobs(p.now).StartReplay(ctx, job)
}

// newLog makes a log that drops everything.
func newLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
