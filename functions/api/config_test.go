package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	vars := map[string]string{
		"CORPS_TABLE": "corps", "LEDGER_TABLE": "ledger", "MESSAGES_TABLE": "messages", "READINGS_TABLE": "readings",
		"MEDIA_TABLE": "media", "MEDIA_BUCKET": "files",
		"JOURNAL_BUCKET": "journal", "PULL_QUEUE_URL": "pulls", "DECODE_QUEUE_URL": "decodes", "CONTACTS_TABLE": "contacts", "CONSENTS_TABLE": "consents", "INSPECT_QUEUE_URL": "inspections", "SECRETS_PREFIX": "stack", "SECRETS_KEY": "key",
		"TRUSTED_IPS": "203.0.113.9;203.0.113.10", "PUBLIC_URL": "https://archive.example.com",
	}
	getenv := func(name string) string { return vars[name] }
	cfg, err := parseConfig(getenv)
	if err != nil || !slices.Equal(cfg.trustedIPs, []string{"203.0.113.9", "203.0.113.10"}) || cfg.publicURL != "https://archive.example.com" {
		t.Errorf("got %+v, %v", cfg, err)
	}
	// All mistakes are named at once.
	_, err = parseConfig(func(string) string { return "" })
	for name := range vars {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: got %v", name, err)
		}
	}
	for name, values := range map[string][]string{
		"TRUSTED_IPS": {"203.0.113.9,203.0.113.10", "203.0.113", "2001:db8::1", "203.0.113.9;"},
		"PUBLIC_URL":  {"archive.example.com", "https://archive.example.com/", "https://a.example.com/x", "ftp://a.example.com", "https://"},
	} {
		for _, v := range values {
			_, err := parseConfig(func(n string) string {
				if n == name {
					return v
				}
				return vars[n]
			})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: got %v", name, v, err)
			}
		}
	}
}
