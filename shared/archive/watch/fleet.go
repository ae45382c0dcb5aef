package watch

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Fleet describes the state of all corps together at a tick. It has no number
// for a single corp: a [Notifier] and the corp's status show those.
type Fleet struct {
	Corps     int           // corps switched on
	WorstLag  time.Duration // longest time since one of these corps was caught up
	LeastLeft time.Duration // smallest [archive.HoursLeft] of these corps; [archive.Retention] if there is none
	Broken    int           // corps whose health is an [archive.Cause]
	Losing    int           // corps in [Losing]
	// FilesLeft is the least time until WeCom deletes a waiting file, at most
	// [archive.Retention]. Files past their deadline do not count: WeCom may have
	// deleted them already. It is negative if it could not be measured.
	FilesLeft time.Duration
	// A count that failed at this tick is negative.
	SetAside int // records set aside, at most 1000 of each corp
	Overdue  int // pages that were pulled or requested over 15 minutes ago and are not decoded; of each corp's first 1000
	Stuck    int // overdue pages that are requested once an hour only
	// Unverified counts the corps whose last weekly verification is late, among those
	// that this tick looks at. Each corp is looked at once an hour.
	Unverified int
}

// newFleet returns a fleet in which no step has counted yet.
func newFleet() Fleet {
	return Fleet{LeastLeft: archive.Retention, FilesLeft: -1, SetAside: -1, Overdue: -1, Stuck: -1}
}

// count adds a corp that is switched on.
func (f *Fleet) count(c archive.Corp, left time.Duration, health Health) {
	if !c.Enabled {
		return
	}
	f.Corps++
	f.LeastLeft = min(f.LeastLeft, left)
	f.WorstLag = max(f.WorstLag, archive.Retention-left)
	if _, broken := health.Cause(); broken {
		f.Broken++
	}
	if health == Losing {
		f.Losing++
	}
}

// Metrics takes the fleet's numbers at the end of each tick.
type Metrics interface {
	Fleet(ctx context.Context, f Fleet)
}
