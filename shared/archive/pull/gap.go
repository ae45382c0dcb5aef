package pull

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// gapAge is how long a record must have been unfetchable before a gap may be
	// recorded. WeCom keeps the record for five days; a fault of some minutes must
	// not lead to its loss.
	gapAge = 10 * time.Minute
	// gapAttempts is how many calls for the record alone must have failed before. A
	// clock that was set forward ends gapAge at once; no clock makes a call fail.
	gapAttempts = 4 * archive.Tries
	// searchPause is the pause between pulls during a search.
	searchPause = 2 * time.Minute
	// searchCalls is the largest number of calls of the search in one pull.
	searchCalls = 60
	// searchSpan is how many seqs are tried one by one: for each, a call requests
	// the first record after it. Records are rarely further apart; if they are,
	// single steps would take days.
	searchSpan = 100
)

// aboutRecords reports whether the records of the page seem to cause the
// failure. A library that dies at its start says nothing about any record.
func aboutRecords(t archive.Trouble) bool {
	return t.Cause == archive.CauseRecordTooLarge || t.Cause == archive.CauseLibraryCrash && t.Op == "GetChatData"
}

// beginSearch notes that the record after the head cannot be fetched, even
// alone and after retries.
func (r *pullRun) beginSearch(t archive.Trouble) {
	reason := string(t.Cause)
	if t.Code != 0 {
		reason = fmt.Sprintf("errcode_%d", t.Code)
	}
	now := r.Now()
	r.state.GapSearch = &archive.GapSearch{After: r.head.Last, At: r.head.Last, Reason: reason, Attempts: archive.Tries, Since: now}
	r.state.NotBefore = now.Add(searchPause)
}

// searchGap handles a record that cannot be fetched, in phases (law 1):
//
//   - For [gapAge], and [gapAttempts] calls, it only tries the record again.
//   - Then it looks for a seq after which a call succeeds.
//   - Then it tries every seq below that one, from the head on. A failure counts
//     only if the call that succeeded still succeeds, which proves that WeCom and
//     the library work. Without this phase a gap could contain readable records,
//     because seqs need not be contiguous, and the library may fail for other
//     reasons meanwhile.
//   - Then it records a gap that ends before the first readable record.
//
// In a range of more than [searchSpan] seqs the steps of the second phase grow,
// and the third phase bisects; the gap row then says that some seqs were not
// tried.
//
// All progress is in [archive.PullState.GapSearch], so a later pull continues the
// search. done means that this pull ends.
func (r *pullRun) searchGap(ctx context.Context) (done bool, err error) {
	p := r.state.GapSearch
	if r.Now().Sub(p.Since) < gapAge || p.Attempts < gapAttempts {
		v, err := r.retryRecord(ctx)
		return r.ends(v, answered), err
	}
	for begun := r.calls; r.calls-begun < searchCalls && !r.nearlyOver(ctx); {
		var phase func(context.Context) (end, done bool, err error)
		switch {
		case p.Good == 0:
			phase = r.stepAhead
		case p.Failed+1 < p.Good:
			phase = r.closeIn
		default:
			return r.giveUp(ctx)
		}
		if end, done, err := phase(ctx); end || err != nil {
			return done, err
		}
	}
	r.state.NotBefore = r.Now().Add(searchPause)
	return true, nil
}

// stepAhead looks further ahead for a seq after which a call succeeds. end means
// that the search pauses or is over.
func (r *pullRun) stepAhead(ctx context.Context) (end, done bool, err error) {
	p := r.state.GapSearch
	next := p.At + max(1, (p.At-p.After)/searchSpan*searchSpan)
	if next < p.At { // past the largest seq: begin again
		next = p.After + 1
	}
	v, err := r.oneAfter(ctx, next)
	if err != nil || v != answered && v != unfetchable {
		if v == otherFailure {
			p.At = p.After // a seq this high may not exist: begin again from the head
		}
		return true, r.ends(v), err
	}
	if p.At = next; v == answered {
		p.Good, p.Failed = next, p.After
	}
	return false, false, nil
}

// closeIn tries a seq between the last one that failed and the one whose call
// succeeded, and moves one of these two bounds to it.
func (r *pullRun) closeIn(ctx context.Context) (end, done bool, err error) {
	p := r.state.GapSearch
	step := uint64(1)
	if span := p.Good - p.Failed; span > searchSpan {
		step, p.Sampled = span/2, true
	}
	v, err := r.oneAfter(ctx, p.Failed+step)
	switch {
	case err != nil || v != answered && v != unfetchable:
		return true, r.ends(v), err
	case v == answered:
		p.Good = p.Failed + step
		return false, false, nil
	}
	if good, done, err := r.stillGood(ctx); !good {
		return true, done, err
	}
	p.Failed += step
	return false, false, nil
}

// stillGood repeats the call that succeeded: it requests the record after
// p.Good. If that record, which may be a new one, cannot be fetched in several
// pulls in a row, the search goes on from p.Good.
func (r *pullRun) stillGood(ctx context.Context) (good, done bool, err error) {
	p := r.state.GapSearch
	v, err := r.oneAfter(ctx, p.Good)
	switch {
	case err != nil:
	case v == answered:
		p.Doubts = 0
	case v == unfetchable:
		if p.Doubts++; p.Doubts == archive.Tries {
			p.At, p.Good, p.Doubts = p.Good, 0, 0
		}
	}
	return err == nil && v == answered, r.ends(v), err
}

// ends reports whether the pull must end after the verdict v. It goes on if v is in
// goOn. It also goes on if WeCom has deleted the records after the seq: then the
// search is over, and the pull requests the next page as usual.
func (r *pullRun) ends(v verdict, goOn ...verdict) bool {
	if v == expired {
		r.state.GapSearch = nil
		return false
	}
	return !slices.Contains(goOn, v)
}

// verdict is the result of a call for one record.
type verdict int

const (
	answered     verdict = iota
	unfetchable          // the record itself seems to cause the failure; the search pauses
	expired              // WeCom has deleted the records after the seq
	otherFailure         // another failure; the pull ends
)

// verdict records a failure, if there was one, and sets the pause.
func (r *pullRun) verdict(ctx context.Context, failure *archive.Trouble) (verdict, error) {
	switch {
	case failure == nil:
		return answered, nil
	case failure.Native && failure.Code == archive.CodeExpired:
		return expired, nil
	case aboutRecords(*failure):
		r.trouble(*failure)
		r.state.NotBefore = r.Now().Add(searchPause)
		return unfetchable, nil
	}
	_, err := r.failed(ctx, *failure, 1)
	return otherFailure, err
}

// oneAfter requests the first record after seq, and discards the answer.
func (r *pullRun) oneAfter(ctx context.Context, seq uint64) (verdict, error) {
	_, _, failure, err := r.ask(ctx, seq, 1)
	if err != nil {
		return otherFailure, err
	}
	return r.verdict(ctx, failure)
}

// retryRecord requests the record once more. If it comes, the search is over.
func (r *pullRun) retryRecord(ctx context.Context) (verdict, error) {
	before := r.calls
	raw, a, failure, err := r.ask(ctx, r.head.Last, 1)
	if err != nil {
		return otherFailure, err
	}
	if failure == nil && archive.CheckOrder(r.head.Last, a.Records) != nil {
		failure = &archive.Trouble{Cause: archive.CauseBadAnswer, Op: "GetChatData"}
	}
	v, err := r.verdict(ctx, failure)
	switch {
	case err != nil:
	case v == unfetchable:
		r.state.GapSearch.Attempts += r.calls - before
	case v == answered:
		r.state.GapSearch = nil
		if err = r.accepted(ctx); err == nil && len(a.Records) > 0 { // an empty page means that WeCom has deleted the record
			err = r.keep(ctx, raw, a.Records)
		}
	}
	return v, err
}

// giveUp tries the record a last time. If that fails, and the record after the
// gap can be fetched, giveUp records the gap.
func (r *pullRun) giveUp(ctx context.Context) (done bool, err error) {
	p := r.state.GapSearch
	if v, err := r.retryRecord(ctx); err != nil || v != unfetchable {
		return r.ends(v, answered), err
	}
	if good, done, err := r.stillGood(ctx); !good {
		return done, err
	}
	if p.Sampled && p.Good-1 > p.After {
		// If one failure was accidental, the bisection may have skipped readable
		// records. So try the last seq before the end.
		v, err := r.oneAfter(ctx, p.Good-1)
		if v == answered {
			p.Good, p.Failed = p.Good-1, p.After
			return false, err
		}
		if err != nil || v != unfetchable {
			return r.ends(v), err
		}
	}
	row := r.gapRow(*p)
	// A crash after this write leaves evidence without a row. The next pull goes
	// on with the search, and writes other evidence.
	if err := r.Journal.PutGap(ctx, row); err != nil {
		return true, fmt.Errorf("write evidence of the gap after %d to the journal: %w", row.After, err)
	}
	appended, err := r.append(ctx, row)
	if err != nil {
		return true, err
	}
	// After a crash here the next pull starts after the gap; only the note is
	// missing in the state.
	if appended {
		r.state.Gaps++
		r.state.LastGap = &archive.GapNote{After: row.After, Last: row.Last, Reason: row.Reason, At: row.At}
		r.Log.ErrorContext(ctx, "gap recorded", "corp", r.corp.ID, "after", row.After, "last", row.Last, "reason", row.Reason)
	}
	r.state.GapSearch = nil
	r.state.NotBefore = time.Time{}
	r.state.Limit = 1
	return false, nil
}

// gapRow returns the row of the gap that a search has found.
func (r *pullRun) gapRow(p archive.GapSearch) archive.Row {
	evidence := fmt.Sprintf("%d calls at limit 1 failed since %s; a call after seq %d succeeded",
		p.Attempts, p.Since.UTC().Format(time.RFC3339), p.Good)
	if p.Sampled {
		evidence += "; some seqs in between were not tried"
	}
	row := archive.Row{
		Corp:     r.corp.ID,
		Kind:     archive.GapRow,
		After:    r.head.Last,
		Last:     p.Good,
		At:       r.rowTime(),
		Sum:      archive.Digest([]byte(evidence)),
		Reason:   p.Reason,
		Evidence: evidence,
		Prev:     r.head.Hash,
		State:    archive.RowDecoded,
	}
	row.Hash = archive.ChainHash(row)
	return row
}
