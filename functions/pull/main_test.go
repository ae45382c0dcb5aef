package main

import (
	"strings"
	"testing"
)

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
