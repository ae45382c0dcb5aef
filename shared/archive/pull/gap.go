package pull

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// gapAge is how long a record must have been impossible to fetch before it
	// is given up. WeCom keeps it for five days; a fault of an hour's quarter
	// must not cost it.
	gapAge = 10 * time.Minute
	// probePause is the pause between pulls meanwhile.
	searchPause = 2 * time.Minute
	// probeCalls bounds the search for a place to go on from, per pull.
	searchCalls = 60
	// probeSpan is how many seqs are asked after one by one. Records are rarely
	// further apart; where they are, walking would take days.
	searchSpan = 100
)

// aboutRecords reports whether the page itself seems to be to blame. A library
// that dies when it is started says nothing about any record.
func aboutRecords(t archive.Trouble) bool {
	return t.Cause == archive.CauseRecordTooLarge || t.Cause == archive.CauseLibraryCrash && t.Op == "GetChatData"
}

// beginProbe notes that the record after the head cannot be fetched, even
// alone and after retries.
func (d *drain) beginSearch(t archive.Trouble) {
	reason := string(t.Cause)
	if t.Code != 0 {
		reason = fmt.Sprintf("errcode_%d", t.Code)
	}
	now := d.Now()
	d.state.GapSearch = &archive.GapSearch{After: d.head.Last, At: d.head.Last, Reason: reason, Attempts: archive.Tries, Since: now}
	d.state.NotBefore = now.Add(searchPause)
}

// probe passes a record that cannot be fetched, as carefully as it can be
// done (law 1). For [gapAge] it only tries again. Then it looks for the first
// seq after which WeCom answers. Because seqs need not be contiguous, and the
// library may fail for other reasons meanwhile, every seq below that is then
// asked for once more, each time with the answer further on as a proof that
// WeCom and the library work; only what fails between two such proofs is taken
// for unreadable. A gap row ends where the first readable record begins. Over
// more than [probeSpan] seqs the search takes growing steps and then halves
// what is left; the gap row says so.
//
// All progress is in [archive.PullState.GapSearch], so that the search goes on in the next
// pull. done means that this pull is to end.
func (d *drain) searchGap(ctx context.Context) (done bool, err error) {
	p := d.state.GapSearch
	if d.Now().Sub(p.Since) < gapAge {
		v, err := d.retryRecord(ctx)
		return d.ends(v, answered), err
	}
	for begun := d.calls; d.calls-begun < searchCalls && !d.nearlyOver(ctx); {
		switch {
		case p.Good == 0:
			next := p.At + max(1, (p.At-p.After)/searchSpan*searchSpan)
			if next < p.At { // nothing answers anywhere
				next = p.After + 1
			}
			v, err := d.oneAfter(ctx, next)
			if err != nil || v != answered && v != unfetchable {
				if v == otherwise {
					p.At = p.After // perhaps there are no such seqs
				}
				return d.ends(v), err
			}
			if p.At = next; v == answered {
				p.Good, p.Failed = p.At, p.After
			}
		case p.Failed+1 < p.Good:
			step := uint64(1)
			if span := p.Good - p.Failed; span > searchSpan {
				step, p.Sampled = span/2, true
			}
			v, err := d.oneAfter(ctx, p.Failed+step)
			if err != nil || v != answered && v != unfetchable {
				return d.ends(v), err
			}
			if v == answered {
				p.Good = p.Failed + step
				continue
			}
			if good, done, err := d.stillGood(ctx); !good {
				return done, err
			}
			p.Failed += step
		default:
			return d.giveUp(ctx)
		}
	}
	d.state.NotBefore = d.Now().Add(searchPause)
	return true, nil
}

// stillGood asks after the seq behind which WeCom answered. If the record there,
// which may be a new one, cannot be fetched in pull after pull, the search goes
// on from it.
func (d *drain) stillGood(ctx context.Context) (good, done bool, err error) {
	p := d.state.GapSearch
	v, err := d.oneAfter(ctx, p.Good)
	switch {
	case err != nil:
	case v == answered:
		p.Doubts = 0
	case v == unfetchable:
		if p.Doubts++; p.Doubts == archive.Tries {
			p.At, p.Good, p.Doubts = p.Good, 0, 0
		}
	}
	return err == nil && v == answered, d.ends(v), err
}

// ends reports whether the pull ends with a verdict, which it does unless that
// is one of those to go on from. With an expired head there is nothing to
// search behind: the next page is asked for as after any long silence.
func (d *drain) ends(v verdict, goOn ...verdict) bool {
	if v == expired {
		d.state.GapSearch = nil
		return false
	}
	return !slices.Contains(goOn, v)
}

// verdict is what a question for one record came to.
type verdict int

const (
	answered    verdict = iota
	unfetchable         // the record itself seems to be to blame; the pull is to pause
	expired             // WeCom has deleted what was asked after
	otherwise           // something else is wrong; the pull is to end
)

// judge records a failure, if there was one, and sets the pause.
func (d *drain) verdict(ctx context.Context, failure *archive.Trouble) (verdict, error) {
	switch {
	case failure == nil:
		return answered, nil
	case failure.Native && failure.Code == archive.CodeExpired:
		return expired, nil
	case aboutRecords(*failure):
		d.trouble(*failure)
		d.state.NotBefore = d.Now().Add(searchPause)
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
	return d.verdict(ctx, failure)
}

// retryRecord asks for the record once more. If it comes, all is well again.
func (d *drain) retryRecord(ctx context.Context) (verdict, error) {
	before := d.calls
	raw, a, failure, err := d.ask(ctx, d.head.Last, 1)
	if err != nil {
		return otherwise, err
	}
	if failure == nil && archive.CheckOrder(d.head.Last, a.Records) != nil {
		failure = &archive.Trouble{Cause: archive.CauseBadAnswer, Op: "GetChatData"}
	}
	v, err := d.verdict(ctx, failure)
	switch {
	case err != nil:
	case v == unfetchable:
		d.state.GapSearch.Attempts += d.calls - before
	case v == answered:
		d.state.GapSearch = nil
		if err = d.accepted(ctx); err != nil {
			break
		}
		if len(a.Records) > 0 { // none: WeCom has it no more
			err = d.keep(ctx, raw, a.Records)
		}
	}
	return v, err
}

// giveUp writes the gap row, if the record fails a last time while what is
// behind it can be fetched.
func (d *drain) giveUp(ctx context.Context) (done bool, err error) {
	p := d.state.GapSearch
	if v, err := d.retryRecord(ctx); err != nil || v != unfetchable {
		return d.ends(v, answered), err
	}
	if good, done, err := d.stillGood(ctx); !good {
		return done, err
	}
	if p.Sampled && p.Good-1 > p.After {
		// A failure that was by chance would have halved away what is readable.
		v, err := d.oneAfter(ctx, p.Good-1)
		if v == answered {
			p.Good, p.Failed = p.Good-1, p.After
			return false, err
		}
		if err != nil || v != unfetchable {
			return d.ends(v), err
		}
	}
	evidence := fmt.Sprintf("%d calls at limit 1 failed since %s; asking after %d was answered",
		p.Attempts, p.Since.UTC().Format(time.RFC3339), p.Good)
	if p.Sampled {
		evidence += "; not every seq between was asked after"
	}
	row := archive.Row{
		Corp:     d.corp.ID,
		Kind:     archive.GapRow,
		After:    d.head.Last,
		Last:     p.Good,
		At:       d.Now().Truncate(time.Millisecond),
		Reason:   p.Reason,
		Evidence: evidence,
		Prev:     d.head.Hash,
		State:    archive.RowDecoded,
	}
	row.Sum = archive.Digest([]byte(row.Evidence))
	row.Hash = archive.ChainHash(row)
	appended, err := d.append(ctx, row)
	if err != nil {
		return true, err
	}
	if appended {
		d.state.Gaps++
		d.state.LastGap = &archive.GapNote{After: row.After, Last: row.Last, Reason: row.Reason, At: row.At}
		d.Log.ErrorContext(ctx, "gap recorded", "corp", d.corp.ID, "after", row.After, "last", row.Last, "reason", row.Reason)
	}
	d.state.GapSearch = nil
	d.state.NotBefore = time.Time{}
	d.state.Limit = 1
	return false, nil
}
