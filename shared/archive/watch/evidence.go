package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// The rhythms of keeping evidence, in ticks. Each corp has a turn of its own in
// them, so that the work is spread evenly.
const (
	headTicks   = 60          // between two tries to write a corp's daily head
	verifyTicks = 7 * 24 * 60 // between two verifications of a corp
	checkTicks  = 24 * 60     // between two checks of a corp's set-up
	// A verification that cannot be started in its turn is tried again in a rhythm
	// of verifyAgain ticks, for verifyTries ticks.
	verifyAgain = 15
	verifyTries = 24 * 60
	// A verification is late if it is not done verifyLate ticks after its turn: nine
	// days after the turn before.
	verifyLate = 2 * 24 * 60
)

// keepHeads writes the heads of the day. Only the first head of a day stays, so
// the bucket itself shows which heads are written: nothing that another
// function may write decides whether a head is due. pull, which moves the
// heads, cannot write them here. A crash delays heads by an hour.
func (t *tick) keepHeads(ctx context.Context) error {
	var corps []string
	for _, c := range t.corps {
		if t.sinceTurn(c.ID, headTicks) == 0 {
			corps = append(corps, c.ID)
		}
	}
	if len(corps) == 0 {
		return nil
	}
	heads, err := t.Ledger.Heads(ctx, corps)
	if err != nil {
		return fmt.Errorf("read heads: %w", err)
	}
	day := archive.DayOf(t.now)
	return t.eachCorp(ctx, func(_ int, c archive.Corp) error {
		head, due := heads[c.ID]
		if !due {
			return nil
		}
		if err := t.Heads.PutHead(ctx, day, head); err != nil {
			return fmt.Errorf("write head of %s: %w", c.ID, err)
		}
		return nil
	})
}

// requestVerifications starts the weekly verification of each corp whose turn it
// is. The name of the job follows from the turn, so a turn has one job. The job
// waits while another job of the corp runs.
func (t *tick) requestVerifications(ctx context.Context) error {
	return t.eachCorp(ctx, func(_ int, c archive.Corp) error {
		since := t.sinceTurn(c.ID, verifyTicks)
		if since >= verifyTries || since%verifyAgain != 0 {
			return nil
		}
		if err := t.requestVerification(ctx, c, since); err != nil {
			return fmt.Errorf("start verification of %s: %w", c.ID, err)
		}
		return nil
	})
}

// weeklyJob is the name of the verification of a turn that was so many ticks ago.
func (t *tick) weeklyJob(since int64) string {
	return decode.JobID(t.now.Add(-time.Duration(since)*time.Minute).Truncate(time.Minute), "weekly")
}

// lookVerified finds whether the corp's last weekly verification is late: it was
// never started, or it is not done, or it was ended without a result. The corp is
// looked at once an hour. It is a step of look.
func (t *tick) lookVerified(ctx context.Context, c archive.Corp) (late bool, _ error) {
	since := t.sinceTurn(c.ID, verifyTicks)
	if since < verifyLate {
		since += verifyTicks // the turn before
	}
	if t.sinceTurn(c.ID, headTicks) != 0 || t.now.Add(-time.Duration(since)*time.Minute).Before(c.CreatedAt) {
		return false, nil
	}
	job, err := t.Ledger.Replay(ctx, c.ID, t.weeklyJob(since))
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return false, fmt.Errorf("read last verification of %s: %w", c.ID, err)
	}
	if late = err != nil || !job.Done || job.Failed; late {
		t.Log.ErrorContext(ctx, "weekly verification late", "corp", c.ID, "replay", t.weeklyJob(since), "started", err == nil, "failed", job.Failed)
	}
	return late, nil
}

func (t *tick) requestVerification(ctx context.Context, c archive.Corp, since int64) error {
	job := decode.Replay{
		Corp: c.ID, ID: t.weeklyJob(since),
		CreatedAt: t.now, UpdatedAt: t.now, By: "weekly", Verify: true, Weekly: true,
		ChainOnly: !t.states[c.ID].Works(c.SecretSetAt),
	}
	if _, err := t.Ledger.Replay(ctx, c.ID, job.ID); !errors.Is(err, archive.ErrNotFound) {
		return err // nil: this turn has its job
	}
	err := t.Jobs.StartReplay(ctx, job)
	if _, other := errors.AsType[*decode.RunningError](err); other {
		return nil // the job waits for the other one
	}
	return err
}
