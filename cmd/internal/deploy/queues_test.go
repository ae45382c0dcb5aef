package deploy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// A mark counts its message as lost when the queue has dropped it: both have the
// same time. A queue keeps a message longer than five deliveries take, so that a
// request that always fails comes to the dead letters.
func TestQueuesKeepMessagesAsLongAsMarksSay(t *testing.T) {
	resources := stackOf(t, "prod").Translated.Resources
	for id, want := range map[string]time.Duration{
		"PullQueue": archive.PullKept, "MediaQueue": media.Kept, "InspectQueue": directory.Kept, "DecodeQueue": 4 * 24 * time.Hour,
	} {
		p := resources[id].Properties
		if got := fmt.Sprint(p["MessageRetentionPeriod"]); got != fmt.Sprint(int(want.Seconds())) {
			t.Errorf("%s: got a retention of %s s, want %v", id, got, want)
		}
		var visible int
		if _, err := fmt.Sscan(fmt.Sprint(p["VisibilityTimeout"]), &visible); err != nil || 5*time.Duration(visible)*time.Second >= want {
			t.Errorf("%s: got five deliveries of %d s, %v; want them within %v", id, visible, err, want)
		}
	}
}

// The steps of a round end before Lambda's limit.
func TestARoundEndsInTime(t *testing.T) {
	limit := fmt.Sprint(stackOf(t, "prod").Translated.Resources["DispatchFunction"].Properties["Timeout"])
	if want := fmt.Sprint(int(watch.TickTime.Seconds()) + 4); limit != want {
		t.Errorf("got a limit of %s s for dispatch, want %s s: the steps and time to begin and to log", limit, want)
	}
}

// The function that answers outlives its own time for an answer, which is below ten
// seconds, and API Gateway's, which is 30.
func TestAPIOutlivesItsAnswers(t *testing.T) {
	got, _ := stackOf(t, "prod").Translated.Resources["ApiFunction"].Properties["Timeout"].(float64)
	if got < 15 || got >= 30 {
		t.Errorf("got a limit of %v s for api, want 15 to 29", got)
	}
}
