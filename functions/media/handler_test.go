package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive/media"
)

const (
	corpA = "ww0000000000000001"
	corpB = "ww0000000000000002"
)

func TestHandle(t *testing.T) {
	var did []media.Request
	h := handler{log: slog.New(slog.DiscardHandler), fetch: func(_ context.Context, r media.Request) error {
		did = append(did, r)
		if r.Corp == corpA && r.Lane == 1 {
			return errors.New("no table")
		}
		return nil
	}}
	body := func(corp, lane string) string { return `{"v":1,"corp":"` + corp + `","lane":` + lane + `}` }
	resp, err := h.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
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
	if want := []string{"6", "7", "2", "5"}; !slices.Equal(failed, want) {
		t.Errorf("got failures %v, want %v", failed, want)
	}
	if want := []media.Request{{V: 1, Corp: corpA}, {V: 1, Corp: corpA, Lane: 1}, {V: 1, Corp: corpB, Lane: 1}}; !slices.Equal(did, want) {
		t.Errorf("got rounds %v, want %v", did, want)
	}
}

func TestConfigNamesEveryMistake(t *testing.T) {
	_, err := parseConfig(func(string) string { return "" })
	for _, name := range []string{"CORPS_TABLE", "LEDGER_TABLE", "MEDIA_TABLE", "MEDIA_BUCKET", "MEDIA_QUEUE_URL", "SECRETS_PREFIX", "SDK_WORKER", "SDK_LIBRARY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
}
