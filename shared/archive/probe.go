package archive

import (
	"context"
	"fmt"
	"time"
)

const (
	// gapAge is how long a record must have been impossible to fetch before it
	// is given up. WeCom keeps it for five days; a fault of an hour's quarter
	// must not cost it.
	gapAge = 10 * time.Minute
	// probePause is the pause between pulls meanwhile.
	probePause = 2 * time.Minute
	// probeCalls bounds the search for a place to go on from, per pull.
	probeCalls = 60
)

// aboutRecords reports whether the page itself seems to be to blame. A library
// that dies when it is started says nothing about any record.
func aboutRecords(t Trouble) bool {
	return t.Cause == CauseRecordTooLarge || t.Cause == CauseLibraryCrash && t.Op == "GetChatData"
}

// beginProbe notes that the record after the head cannot be fetched, even
// alone and after retries.
func (d *drain) beginProbe(t Trouble) {
	reason := string(t.Cause)
	if t.Code != 0 {
		reason = fmt.Sprintf("errcode_%d", t.Code)
	}
	now := d.Now()
	d.state.Probe = &Probe{After: d.head.Last, At: d.head.Last, Reason: reason, Attempts: tries, Since: now}
	d.state.NotBefore = now.Add(probePause)
}

// probe passes a record that cannot be fetched, as carefully as it can be
// done (law 1). For [gapAge] it only tries again. Then it looks for the first
// seq after which WeCom answers. Because seqs need not be contiguous, and the
// library may fail for other reasons meanwhile, every seq below that is then
// asked for once more, each time with the answer further on as a proof that
// WeCom and the library work; only what fails between two such proofs is taken
// for unreadable. A gap row ends where the first readable record begins.
//
// All progress is in [PullState.Probe], so that the search goes on in the next
// pull. done means that this pull is to end.
func (d *drain) probe(ctx context.Context) (done bool, err error) {
	p := d.state.Probe
	if d.Now().Sub(p.Since) < gapAge {
		v, err := d.retryRecord(ctx)
		return v != answered, err
	}
	for begun := d.calls; d.calls-begun < probeCalls && !d.nearlyOver(ctx); {
		switch {
		case p.Good == 0:
			v, err := d.oneAfter(ctx, p.At+1)
			if err != nil || v == otherwise {
				return true, err
			}
			if p.At++; v == answered {
				p.Good, p.Low = p.At, p.After
			}
		case p.Low+1 < p.Good:
			v, err := d.oneAfter(ctx, p.Low+1)
			if err != nil || v == otherwise {
				return true, err
			}
			if v == answered {
				p.Good = p.Low + 1
				continue
			}
			if v, err := d.oneAfter(ctx, p.Good); err != nil || v != answered {
				return true, err
			}
			p.Low++
		default:
			return d.giveUp(ctx)
		}
	}
	d.state.NotBefore = d.Now().Add(probePause)
	return true, nil
}

// verdict is what a question for one record came to.
type verdict int

const (
	answered    verdict = iota
	unfetchable         // the record itself seems to be to blame; the pull is to pause
	otherwise           // something else is wrong; the pull is to end
)

// judge records a failure, if there was one, and sets the pause.
func (d *drain) judge(ctx context.Context, failure *Trouble) (verdict, error) {
	switch {
	case failure == nil:
		return answered, nil
	case aboutRecords(*failure):
		d.trouble(*failure)
		d.state.NotBefore = d.Now().Add(probePause)
		return unfetchable, nil
	}
	_, err := d.failed(ctx, *failure, 1)
	return otherwise, err
}

// oneAfter asks for one record after seq and throws it away.
func (d *drain) oneAfter(ctx context.Context, seq uint64) (verdict, error) {
	_, _, failure, err := d.ask(ctx, seq, 1)
	if err != nil {
		return otherwise, err
	}
	return d.judge(ctx, failure)
}

// retryRecord asks for the record once more. If it comes, all is well again.
func (d *drain) retryRecord(ctx context.Context) (verdict, error) {
	before := d.calls
	raw, a, failure, err := d.ask(ctx, d.head.Last, 1)
	if err != nil {
		return otherwise, err
	}
	if failure == nil && checkOrder(d.head.Last, a.Records) != nil {
		failure = &Trouble{Cause: CauseBadAnswer, Op: "GetChatData"}
	}
	v, err := d.judge(ctx, failure)
	switch {
	case err != nil:
	case v == unfetchable:
		d.state.Probe.Attempts += d.calls - before
	case v == answered:
		d.state.Probe = nil
		d.wellAnswered()
		if len(a.Records) > 0 { // none: WeCom has it no more
			err = d.keep(ctx, raw, a.Records)
		}
	}
	return v, err
}

// giveUp writes the gap row, if the record fails a last time while what is
// behind it can be fetched.
func (d *drain) giveUp(ctx context.Context) (done bool, err error) {
	p := d.state.Probe
	if v, err := d.retryRecord(ctx); err != nil || v != unfetchable {
		return v != answered, err
	}
	if v, err := d.oneAfter(ctx, p.Good); err != nil || v != answered {
		return true, err
	}
	row := Row{
		Corp:   d.corp.ID,
		Kind:   GapRow,
		After:  d.head.Last,
		Last:   p.Good,
		At:     d.Now().Truncate(time.Millisecond),
		Reason: p.Reason,
		Evidence: fmt.Sprintf("%d calls at limit 1 failed since %s; asking after %d was answered",
			p.Attempts, p.Since.UTC().Format(time.RFC3339), p.Good),
		Prev:  d.head.Hash,
		State: RowDecoded,
	}
	row.Sum = digest([]byte(row.Evidence))
	row.Hash = ChainHash(row)
	appended, err := d.append(ctx, row)
	if err != nil {
		return true, err
	}
	if appended {
		d.Log.ErrorContext(ctx, "gap recorded", "corp", d.corp.ID, "after", row.After, "last", row.Last, "reason", row.Reason)
	}
	d.state.Probe = nil
	d.state.NotBefore = time.Time{}
	d.state.Limit = 1
	return false, nil
}
