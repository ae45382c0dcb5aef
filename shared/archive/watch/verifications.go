package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// The rhythm of the weekly verifications, in ticks. Each corp has a turn of its
// own, so that the work is spread evenly.
const (
	verifyTicks = 7 * 24 * 60 // between two verifications of a corp
	// A verification that cannot be started in its turn is tried again every
	// verifyAgain ticks, for verifyTries ticks at most.
	verifyAgain = 15
	verifyTries = 24 * 60
	// A verification is late if it is not done verifyLate ticks (two days) after it
	// was due, which is nine days after the previous one was due.
	verifyLate = 2 * 24 * 60
)

// requestVerifications starts the weekly verification of each corp whose turn it
// is. The name of the job follows from the turn, so a turn has one job. The job
// waits while another job of the corp runs. A corp that was registered after its turn
// waits for the next one: its job would be older than the messages that it verifies.
func (t *tick) requestVerifications(ctx context.Context) error {
	return t.eachCorp(ctx, func(_ int, c archive.Corp) error {
		since := t.sinceTurn(c.ID, verifyTicks)
		if since >= verifyTries || since%verifyAgain != 0 || t.turnAt(since).Before(c.CreatedAt) {
			return nil
		}
		if err := t.requestVerification(ctx, c, since); err != nil {
			return fmt.Errorf("start verification of %s: %w", c.ID, err)
		}
		return nil
	})
}

// turnAt is the time of a turn that was so many ticks ago.
func (t *tick) turnAt(since int64) time.Time {
	return t.now.Add(-time.Duration(since) * time.Minute).Truncate(time.Minute)
}

// weeklyJob is the name of the verification of a turn that was so many ticks ago.
func (t *tick) weeklyJob(since int64) string { return decode.JobID(t.turnAt(since), "weekly") }

// lookVerified finds whether the corp's last weekly verification is late: it was
// never started, or it is not done, or it was ended without a result: as failed, or
// by a person of the corp. One that could not decode every page is late if the one of
// the week before did not either. The corp is looked at once an hour. It is a step of
// look.
func (t *tick) lookVerified(ctx context.Context, c archive.Corp) (late bool, _ error) {
	since := t.sinceTurn(c.ID, verifyTicks)
	if since < verifyLate {
		since += verifyTicks // the turn before
	}
	if !t.hasTurn(c.ID, headTicks) || t.turnAt(since).Before(c.CreatedAt) {
		return false, nil
	}
	job, err := t.verification(ctx, c, since)
	if err != nil {
		return false, err
	}
	late = !job.Whole()
	if before := since + verifyTicks; !late && job.ChainOnly && !t.turnAt(before).Before(c.CreatedAt) {
		last, err := t.verification(ctx, c, before)
		if err != nil {
			return false, err
		}
		late = !last.Whole() || last.ChainOnly
	}
	if late {
		t.Log.ErrorContext(ctx, "weekly verification late", "corp", c.ID, "replay", t.weeklyJob(since), "started", job.ID != "", "failed", job.Failed, "stopped", job.StoppedBy != "", "chain_only", job.ChainOnly)
	}
	return late, nil
}

// verification reads the weekly verification of a turn that was so many ticks ago;
// the zero value if it was never started.
func (t *tick) verification(ctx context.Context, c archive.Corp, since int64) (decode.Replay, error) {
	job, err := t.Ledger.Replay(ctx, c.ID, t.weeklyJob(since))
	if errors.Is(err, archive.ErrNotFound) {
		return decode.Replay{}, nil
	}
	if err != nil {
		return decode.Replay{}, fmt.Errorf("read verification %s of %s: %w", t.weeklyJob(since), c.ID, err)
	}
	return job, nil
}

func (t *tick) requestVerification(ctx context.Context, c archive.Corp, since int64) error {
	job := decode.Replay{
		Corp: c.ID, ID: t.weeklyJob(since),
		// Which of the older pages a job reads follows from its week. So a job that
		// starts late is of the week in which it was due.
		CreatedAt: t.turnAt(since), UpdatedAt: t.now, By: "weekly", Verify: true, Weekly: true,
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
