package doctor

import (
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Mark says how far a set-up step is. Its values are part of the HTTP API.
type Mark string

// The marks.
const (
	MarkTodo    Mark = "todo"    // a person has still to do the step
	MarkWaiting Mark = "waiting" // the step looks done; WeCom's answers will show it
	MarkDone    Mark = "done"    // WeCom's answers show that the step is done
	MarkRedo    Mark = "redo"    // a check of the step is bad
)

// Steps is the number of set-up steps, the company itself included (README.md).
const Steps = 8

// StepName names a set-up step. The names are part of the HTTP API.
func StepName(step int) string { return steps[step].name }

// MarkOf marks a set-up step by its checks among the results of [Derive]. One check
// decides whether the step is done; the others only say what is wrong. The checks of
// callbacks never mark a step: strangers' requests can make them bad.
func MarkOf(step int, results []Result) Mark {
	deciding := steps[step].check
	asks := !slices.ContainsFunc(results, func(r Result) bool { return r.Check == CheckSecret && r.Cause == Cause(archive.CauseSecretMissing) })
	mark := MarkTodo
	for _, r := range results {
		if r.Check.Step() != step || r.Check == CheckCallback || r.Check == CheckAppCallback {
			continue
		}
		if r.State == Bad {
			return MarkRedo
		}
		if r.Check == deciding {
			mark = r.mark(asks)
		}
	}
	return mark
}

// mark is the mark of a step whose deciding check has this result, which is not bad.
// asks says whether the archive can ask WeCom: it cannot before a Secret is saved.
func (r Result) mark(asks bool) Mark {
	switch {
	case r.State == OK, r.Check == CheckCorp: // a registered company exists; WeCom confirms the corpid later
		return MarkDone
	case r.State == Off, r.State == Unseen && !asks, slices.Contains(undone, r.Cause):
		return MarkTodo
	}
	return MarkWaiting
}

// undone are the causes that wait for the admin and not for WeCom.
var undone = []Cause{Cause(archive.CauseSecretMissing), CauseUnclaimed, CauseSwitchedOff}
