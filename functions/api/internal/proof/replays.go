package proof

import (
	"context"
	"errors"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

const (
	maxReplays = 100 // jobs in a list

	// The jobs that people of a corp may request on one Beijing day. A job walks the
	// whole journal in the worst case.
	replaysADay       = 20
	verificationsADay = 5
	// jobsRead is enough to see that a quota is used up: jobs of the other sort and
	// those that keys started are in the list too.
	jobsRead = 200
)

// CreateReplay starts a job that decodes or verifies pages of the journal. A corp
// has one replay and one verification at a time, and so many a day.
func (h *Handlers) CreateReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	job := replay.New(c.CorpID, h.NewID(), c.Caller.Subject, h.Now())
	job.Asked = true
	var toGiven bool
	job.From, _ = c.Seq("from_seq")
	job.To, toGiven = c.Seq("to_seq")
	job.OnlySetAside, job.Version, job.Verify = c.Flag("set_aside_only"), c.Version("publickey_ver"), c.Flag("verify")
	if job.Verify && (job.OnlySetAside || job.Version != 0) {
		// A verification follows the chain row by row, so it cannot skip rows.
		c.Reject("verify", problem.Exclusive, problem.RemedyVerify, nil)
	}
	if toGiven && job.To <= job.From {
		c.Reject("to_seq", problem.Range, problem.RemedySeqOrder, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if !job.Verify && !c.Caller.MayRebuild() {
		return output.Answer{}, problem.NeedsRole(session.Rebuild, c.Caller.Roles)
	}
	if err := h.checkQuota(ctx, job); err != nil {
		return output.Answer{}, err
	}
	err := h.Replays.StartReplay(ctx, job)
	if running, ok := errors.AsType[*decode.RunningError](err); ok {
		return output.Answer{}, problem.New(problem.JobRunning, problem.Args{"id": running.ID})
	}
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(202, replay.Show(job))
}

// checkQuota counts the jobs that people requested today: the weekly verification
// and the jobs that keys start use up no quota. Requests at the same moment are counted
// together only after one of them runs; the others find that one running.
func (h *Handlers) checkQuota(ctx context.Context, job decode.Replay) error {
	most := replaysADay
	if job.Verify {
		most = verificationsADay
	}
	jobs, err := h.Ledger.Replays(ctx, job.Corp, jobsRead)
	if err != nil {
		return err
	}
	today, n := archive.DayOf(h.Now()), 0
	for _, j := range jobs {
		if j.Asked && j.Verify == job.Verify && archive.DayOf(j.CreatedAt) == today {
			n++
		}
	}
	if n >= most {
		return problem.New(problem.JobsToday, problem.Args{"max": strconv.Itoa(most)})
	}
	return nil
}

// ListReplays lists the newest jobs.
func (h *Handlers) ListReplays(ctx context.Context, c *session.Call) (output.Answer, error) {
	list, err := h.Ledger.Replays(ctx, c.CorpID, maxReplays)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Replays []replay.Document `json:"replays"`
		Names   directory.Names   `json:"names"`
	}{Replays: []replay.Document{}}
	var users []string
	for _, r := range list {
		out.Replays, users = append(out.Replays, replay.Show(r)), append(users, r.By, r.StoppedBy)
	}
	out.Names = h.Names.Users(ctx, c.Corp, archive.Distinct(users))
	return output.JSON(200, out)
}

// stopTries bounds how often a stop begins again because the job went on.
const stopTries = 5

// StopReplay ends a job that is not done. A page that it is decoding at this moment
// is still finished: its run then finds the job done.
func (h *Handlers) StopReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	for range stopTries {
		job, err := h.Ledger.Replay(ctx, c.CorpID, c.PathValue("id"))
		if err != nil {
			return output.Answer{}, err
		}
		if job.Done {
			return output.JSON(200, replay.Show(job))
		}
		if !job.Verify && !c.Caller.MayRebuild() {
			return output.Answer{}, problem.NeedsRole(session.Rebuild, c.Caller.Roles)
		}
		stopped := job
		stopped.Done, stopped.StoppedBy, stopped.UpdatedAt = true, c.Caller.Subject, h.Now()
		err = h.Ledger.AdvanceReplay(ctx, job, stopped)
		if err == nil {
			return output.JSON(200, replay.Show(stopped))
		}
		if !errors.Is(err, archive.ErrConflict) {
			return output.Answer{}, err
		}
	}
	return output.Answer{}, problem.New(problem.ChangedMeanwhile, nil)
}

// GetReplay answers a job.
func (h *Handlers) GetReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	r, err := h.Ledger.Replay(ctx, c.CorpID, c.PathValue("id"))
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, replay.Show(r))
}
