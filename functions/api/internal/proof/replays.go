package proof

import (
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

// maxReplays bounds the list of jobs.
const maxReplays = 100

// CreateReplay starts a job that decodes or verifies pages of the journal.
func (h *Handlers) CreateReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	job := replay.New(c.CorpID, h.NewID(), c.Caller.Subject, h.Now())
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
	if !job.Verify && !c.Caller.Role.MayRebuild() {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	if err := h.Replays.StartReplay(ctx, job); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(202, replay.Show(job))
}

// ListReplays lists the newest jobs.
func (h *Handlers) ListReplays(ctx context.Context, c *session.Call) (output.Answer, error) {
	list, err := h.Ledger.Replays(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Replays []replay.Document `json:"replays"`
	}{Replays: []replay.Document{}}
	for _, r := range list[:min(len(list), maxReplays)] {
		out.Replays = append(out.Replays, replay.Show(r))
	}
	return output.JSON(200, out)
}

// GetReplay answers a job.
func (h *Handlers) GetReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	r, err := h.Ledger.Replay(ctx, c.CorpID, c.PathValue("id"))
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, replay.Show(r))
}
