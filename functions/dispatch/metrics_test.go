package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// metricLine is a log line in the embedded metric format.
type metricLine struct {
	AWS struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	} `json:"_aws"`
}

// writeLine writes the fleet's line at a time, and reads it: as the format, and
// as a plain object.
func writeLine(t *testing.T, f watch.Fleet, at time.Time) (line metricLine, values map[string]any) {
	t.Helper()
	var out bytes.Buffer
	metrics{"archive", func() time.Time { return at }, slog.New(slog.NewJSONHandler(&out, nil))}.Fleet(t.Context(), f)
	if err := errors.Join(json.Unmarshal(out.Bytes(), &line), json.Unmarshal(out.Bytes(), &values)); err != nil {
		t.Fatal(err)
	}
	return line, values
}

// The line has the form that the embedded metric format requires: every metric
// that is named has a number beside _aws.
func TestFleetIsAMetricLine(t *testing.T) {
	for name, c := range map[string]struct {
		fleet watch.Fleet
		want  map[string]float64
	}{
		"all counted": {
			watch.Fleet{Corps: 3, WorstLag: 90 * time.Second, LeastLeft: -90 * time.Minute, FilesLeft: 30 * time.Hour, Broken: 1, Losing: 2, SetAside: 4, Overdue: 5, Stuck: 6, Unverified: 7},
			map[string]float64{"Corps": 3, "WorstLagSeconds": 90, "LeastHoursLeft": -1.5, "LeastFileHoursLeft": 30, "CorpsBroken": 1, "CorpsLosing": 2, "RecordsSetAside": 4, "PagesWaiting": 5, "StuckPages": 6, "VerificationsLate": 7},
		},
		"not all counted": {
			watch.Fleet{LeastLeft: archive.Retention, FilesLeft: -1, SetAside: -1, Overdue: -1, Stuck: -1},
			map[string]float64{"Corps": 0, "WorstLagSeconds": 0, "LeastHoursLeft": 120, "CorpsBroken": 0, "CorpsLosing": 0, "VerificationsLate": 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.UnixMilli(1772355600123)
			line, values := writeLine(t, c.fleet, at)
			if line.AWS.Timestamp != at.UnixMilli() || len(line.AWS.CloudWatchMetrics) != 1 {
				t.Fatalf("got %+v, want one directive at %v", line, at)
			}
			d := line.AWS.CloudWatchMetrics[0]
			if d.Namespace != "archive" || len(d.Dimensions) != 1 || len(d.Dimensions[0]) != 0 {
				t.Errorf("got namespace %q, dimensions %v, want archive without dimensions", d.Namespace, d.Dimensions)
			}
			if len(d.Metrics) != len(c.want) {
				t.Errorf("got %d metrics, want %d", len(d.Metrics), len(c.want))
			}
			for _, m := range d.Metrics {
				want, ok := c.want[m.Name]
				if got, isNumber := values[m.Name].(float64); !ok || !isNumber || got != want {
					t.Errorf("%s: got %v, want %v", m.Name, values[m.Name], want)
				}
				if !slices.Contains([]string{"Count", "Seconds", "None"}, m.Unit) {
					t.Errorf("%s has unit %q, which CloudWatch does not know", m.Name, m.Unit)
				}
			}
		})
	}
}

// The dashboard shows every metric that is written.
func TestTemplateKnowsTheMetrics(t *testing.T) {
	b, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, values := writeLine(t, watch.Fleet{}, time.Now())
	for name := range values {
		if slices.Contains([]string{"time", "level", "msg", "_aws"}, name) {
			continue
		}
		if !strings.Contains(string(b), `"`+name+`"`) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}
