package main

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	corpA = "ww0000000000000001"
	corpB = "ww0000000000000002"
)

func TestHandle(t *testing.T) {
	var pulled []archive.PullRequest
	h := handler{log: slog.New(slog.DiscardHandler), pull: func(_ context.Context, r archive.PullRequest) error {
		pulled = append(pulled, r)
		if r.Corp == corpA {
			return errors.New("a store is down")
		}
		return nil
	}}
	resp, err := h.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
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
		{V: 1, Corp: corpA, Why: "asked", Force: true},
		{V: 1, Corp: corpB, Why: "callback", SentAt: time.UnixMilli(1767225600123)},
		{V: 1, Corp: corpB, Why: "timer", Again: true},
	}
	if !reflect.DeepEqual(pulled, want) {
		t.Errorf("got pulls %+v, want %+v", pulled, want)
	}
	var failed []string
	for _, f := range resp.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if got := strings.Join(failed, " "); got != "1 2 3" {
		t.Errorf("got failures %s, want 1 2 3: what failed and what was not understood", got)
	}
}

func TestConfigNamesEveryMistake(t *testing.T) {
	_, err := parseConfig(func(string) string { return "" })
	for _, name := range []string{"CORPS_TABLE", "LEDGER_TABLE", "JOURNAL_BUCKET", "PULL_QUEUE_URL", "DECODE_QUEUE_URL", "SECRETS_PREFIX", "SDK_WORKER", "SDK_LIBRARY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
	if _, err := parseConfig(func(name string) string { return "x" }); err != nil {
		t.Errorf("all set: got %v", err)
	}
}
