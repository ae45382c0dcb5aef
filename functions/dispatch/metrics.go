package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// metrics writes the fleet's numbers as a log line in CloudWatch's embedded
// metric format. CloudWatch reads the numbers from the line, without a call of
// ours. They have no dimension: with one for the corp, each corp would be paid
// for as a metric of its own.
type metrics struct {
	namespace string
	now       func() time.Time
	log       *slog.Logger
}

var _ watch.Metrics = metrics{}

// The parts of the format that CloudWatch requires.
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

// Fleet implements [watch.Metrics]. The line leaves out the numbers that were
// not counted.
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
	}{{"RecordsSetAside", f.SetAside}, {"PagesWaiting", f.Overdue}, {"StuckPages", f.Stuck}, {"VerificationsLate", f.Unverified}} {
		if c.n >= 0 {
			add(c.name, "Count", c.n)
		}
	}
	m.log.InfoContext(ctx, "fleet", append([]any{"_aws", emf{m.now().UnixMilli(), []directive{d}}}, values...)...)
}
