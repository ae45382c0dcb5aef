package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// metrics writes the fleet's numbers as a log line in CloudWatch's embedded
// metric format: the line is the measurement, and costs no call. The numbers
// have no dimension. One per corp would be a metric each, and cost as one.
type metrics struct {
	namespace string
	now       func() time.Time
	log       *slog.Logger
}

var _ watch.Metrics = metrics{}

// The parts of the format that CloudWatch reads.
type (
	emf struct {
		Timestamp         int64       // ms
		CloudWatchMetrics []directive // one
	}
	directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	metric struct{ Name, Unit string }
)

// Fleet implements [watch.Metrics]. What was not counted is left out.
func (m metrics) Fleet(ctx context.Context, f watch.Fleet) {
	d := directive{Namespace: m.namespace, Dimensions: [][]string{{}}}
	var values []any
	add := func(name, unit string, v any) {
		d.Metrics = append(d.Metrics, metric{name, unit})
		values = append(values, name, v)
	}
	add("Corps", "Count", f.Corps)
	add("WorstLagSeconds", "Seconds", f.WorstLag.Seconds())
	add("LeastHoursLeft", "None", f.LeastLeft.Hours())
	if f.FilesLeft >= 0 {
		add("LeastFileHoursLeft", "None", f.FilesLeft.Hours())
	}
	add("CorpsBroken", "Count", f.Broken)
	add("CorpsLosing", "Count", f.Losing)
	for _, c := range []struct {
		name string
		n    int
	}{{"RecordsSetAside", f.SetAside}, {"PagesWaiting", f.Overdue}, {"StuckPages", f.Stuck}} {
		if c.n >= 0 {
			add(c.name, "Count", c.n)
		}
	}
	m.log.InfoContext(ctx, "fleet", append([]any{"_aws", emf{m.now().UnixMilli(), []directive{d}}}, values...)...)
}
