package media

import (
	"regexp"
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
)

var sdkReason = regexp.MustCompile(`^sdk_-?[0-9]+$`)

// Whatever the library answers and whatever blocks a corp, the reason of a file is
// one of Reasons, or a code of the library. Each cause in Reasons occurs.
func TestEveryReasonIsListed(t *testing.T) {
	occurs := map[string]bool{
		ReasonMD5: true, ReasonSize: true, ReasonDeleted: true, ReasonNoIndex: true, ReasonRepeats: true, ReasonDribbles: true, ReasonTooLarge: true,
		ReasonUploads: true,
	}
	listed := Reasons()
	note := func(what any, o Outcome) {
		if o.Reason == "" && o.End == FileDeleted || sdkReason.MatchString(o.Reason) {
			return
		}
		if !slices.Contains(listed, o.Reason) {
			t.Errorf("%v: the reason is %q, which is not listed", what, o.Reason)
		}
		occurs[o.Reason] = true
	}
	for _, op := range []string{"Init", "GetMediaData"} {
		codes := []int{-1, 2000002}
		for code := range 700_000 {
			codes = append(codes, code)
		}
		for _, code := range codes {
			o, _, _ := answer(&archive.SDKError{Op: op, Code: code})
			note(code, o)
		}
		for _, how := range []archive.CrashKind{archive.Crashed, archive.Hung, archive.Nonsense} {
			o, _, _ := answer(&archive.CrashError{Op: op, How: how})
			note(how, o)
		}
	}
	o, _, _ := answer(&archive.LibraryError{Why: archive.LibraryMissing})
	note("no library", o)
	// What the pull state holds comes from GetChatData and from the gate.
	for code := range 700_000 {
		for _, native := range []bool{true, false} {
			cause, _ := archive.Classify("GetChatData", code, native)
			blocked(note, cause)
		}
	}
	for _, cause := range []archive.Cause{archive.CauseBudget, archive.CauseShare, archive.CauseSecretMissing, archive.CauseBadAnswer, archive.CauseLibraryCrash} {
		blocked(note, cause)
	}
	for _, reason := range listed {
		if !occurs[reason] {
			t.Errorf("%s is listed and cannot occur", reason)
		}
	}
}

// blocked notes the outcome for a file of a corp with a trouble.
func blocked(note func(any, Outcome), cause archive.Cause) {
	corp := archive.Corp{}
	by := FetchBlockedBy(corp, archive.PullState{Standing: archive.Standing{Trouble: &archive.Trouble{Cause: cause}}})
	note(cause, Outcome{End: CorpBlocked, Reason: string(by)})
}
