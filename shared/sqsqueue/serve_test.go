package sqsqueue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func message(body string) events.SQSMessage { return events.SQSMessage{Body: body} }

func TestServe(t *testing.T) {
	var log bytes.Buffer
	var did []string
	handle := sqsqueue.Serve(slog.New(slog.NewTextHandler(&log, nil)), sqsqueue.ParseDecode, func(_ context.Context, r archive.DecodeRequest) error {
		did = append(did, fmt.Sprint(r.After))
		if r.After == 2 {
			return errors.New("store unavailable")
		}
		return nil
	})
	event := events.SQSEvent{}
	for i, body := range []string{"1", "2", "3", "1", "2", ""} {
		if body != "" {
			body = `{"v":1,"corp":"` + corpA + `","after":"` + body + `"}`
		}
		m := message(body)
		m.MessageId, m.Attributes = fmt.Sprint("m", i), map[string]string{"MessageGroupId": "group of " + fmt.Sprint(i)}
		event.Records = append(event.Records, m)
	}
	resp, err := handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range resp.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if want := []string{"m1", "m4", "m5"}; !slices.Equal(failed, want) {
		t.Errorf("got failures %v, want %v", failed, want)
	}
	if want := []string{"1", "2", "3"}; !slices.Equal(did, want) {
		t.Errorf("got work on pages %v, want %v, because equal messages of an event are one request", did, want)
	}
	lines := strings.TrimSpace(log.String())
	for _, want := range []string{"message=m1", `group="group of 1"`, "store unavailable", "message=m5"} {
		if !strings.Contains(lines, want) {
			t.Errorf("got log %q, want %q in it", lines, want)
		}
	}
	if n := strings.Count(lines, "\n") + 1; n != 2 {
		t.Errorf("got %d log lines, want one for each failed request", n)
	}
}

func TestParsePullReadsAttributes(t *testing.T) {
	m := message(`{"v":1,"corp":"` + corpA + `","why":"timer"}`)
	r, err := sqsqueue.ParsePull(m)
	if err != nil || r.Again {
		t.Errorf("without attributes: got %+v, %v", r, err)
	}
	m.Attributes = map[string]string{"ApproximateReceiveCount": "2"}
	want := archive.PullRequest{Corp: corpA, Why: "timer", Again: true}
	if r, err := sqsqueue.ParsePull(m); err != nil || r != want {
		t.Errorf("got %+v, %v; want %+v", r, err, want)
	}
}

func TestServePulls(t *testing.T) {
	var pulled []archive.PullRequest
	handle := sqsqueue.Serve(slog.New(slog.DiscardHandler), sqsqueue.ParsePull, func(_ context.Context, r archive.PullRequest) error {
		pulled = append(pulled, r)
		if r.Corp == corpA {
			return errors.New("store unavailable")
		}
		return nil
	})
	resp, err := handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: `{"v":1,"corp":"` + corpA + `","why":"asked","force":true}`},
		{MessageId: "2", Body: `nonsense`},
		{MessageId: "3", Body: `{"v":1,"corp":"../../etc"}`},
		{MessageId: "4", Body: `{"v":1,"corp":"` + corpB + `","why":"callback"}`, Attributes: map[string]string{
			"ApproximateReceiveCount": "1", "SentTimestamp": "1767225600123",
		}},
		{MessageId: "5", Body: `{"v":1,"corp":"` + corpB + `","why":"timer"}`, Attributes: map[string]string{"ApproximateReceiveCount": "2"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []archive.PullRequest{
		{Corp: corpA, Why: "asked", Force: true},
		{Corp: corpB, Why: "callback"},
		{Corp: corpB, Why: "timer", Again: true},
	}
	if !reflect.DeepEqual(pulled, want) {
		t.Errorf("got pulls %+v, want %+v", pulled, want)
	}
	var failed []string
	for _, f := range resp.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if got := strings.Join(failed, " "); got != "1 2 3" {
		t.Errorf("got failures %s, want 1 2 3: the failed request and the two that do not parse", got)
	}
}

func TestServeFetches(t *testing.T) {
	var did []media.Request
	handle := sqsqueue.Serve(slog.New(slog.DiscardHandler), sqsqueue.ParseMedia, func(_ context.Context, r media.Request) error {
		did = append(did, r)
		if r.Corp == corpA && r.Lane == 1 {
			return errors.New("table unavailable")
		}
		return nil
	})
	body := func(corp, lane string) string { return `{"v":1,"corp":"` + corp + `","lane":` + lane + `}` }
	resp, err := handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: body(corpA, "0")},
		{MessageId: "2", Body: body(corpA, "1")},
		{MessageId: "3", Body: body(corpA, "0")},
		{MessageId: "4", Body: body(corpB, "1")},
		{MessageId: "5", Body: body(corpA, "1")},
		{MessageId: "6", Body: body(corpA, "9")},
		{MessageId: "7"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range resp.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if want := []string{"2", "5", "6", "7"}; !slices.Equal(failed, want) {
		t.Errorf("got failures %v, want %v", failed, want)
	}
	if want := []media.Request{{Corp: corpA}, {Corp: corpA, Lane: 1}, {Corp: corpB, Lane: 1}}; !slices.Equal(did, want) {
		t.Errorf("got rounds %v, want %v", did, want)
	}
}

func TestServeInspections(t *testing.T) {
	var served []string
	handle := sqsqueue.Serve(slog.New(slog.DiscardHandler), sqsqueue.ParseInspect, func(_ context.Context, r directory.Request) error {
		served = append(served, r.Corp+" "+r.Why)
		if r.Corp == corpA {
			return errors.New("store unavailable")
		}
		return nil
	})
	resp, err := handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: `{"v":1,"corp":"` + corpA + `","why":"read","people":["x"]}`},
		{MessageId: "2", Body: `nonsense`},
		{MessageId: "3", Body: `{"v":1,"corp":"` + corpB + `","why":"asked","check":true}`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{corpA + " read", corpB + " asked"}; !slices.Equal(served, want) {
		t.Errorf("got %v, want %v", served, want)
	}
	var failed []string
	for _, f := range resp.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if got := strings.Join(failed, " "); got != "1 2" {
		t.Errorf("got failures %s, want 1 2", got)
	}
}
