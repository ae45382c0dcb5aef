package watch

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// However many corps there are, a budget for a few of them reaches each in turn.
func TestBudgetReachesEveryCorp(t *testing.T) {
	for n := 1; n <= 100; n++ {
		reached := make(map[int]bool)
		for minute := range n {
			tick := tick{now: time.Unix(int64(minute)*60, 0), corps: make([]archive.Corp, n)}
			for i := range min(n, againOfAll/againOfCorp) {
				reached[tick.turn(i)] = true
			}
		}
		if len(reached) != n {
			t.Errorf("got %d of %d corps reached", len(reached), n)
		}
	}
}
