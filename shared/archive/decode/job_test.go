package decode_test

import (
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// A job that failed or was stopped is done, and covers no whole range.
func TestOnlyAJobThatEndedByItselfIsWhole(t *testing.T) {
	for want, jobs := range map[bool][]decode.Replay{
		true:  {{Done: true}},
		false: {{}, {Done: true, Failed: true}, {Done: true, StoppedBy: "wang.min"}},
	} {
		for _, job := range jobs {
			if job.Whole() != want {
				t.Errorf("%+v: got whole %v", job, !want)
			}
		}
	}
}
