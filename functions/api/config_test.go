package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/console"
)

var variables = map[string]string{
	"CORPS_TABLE": "corps", "LEDGER_TABLE": "ledger", "MESSAGES_TABLE": "messages", "READINGS_TABLE": "readings",
	"MEDIA_TABLE": "media", "CONTACTS_TABLE": "contacts", "CONSENTS_TABLE": "consents", "JOURNAL_BUCKET": "journal", "MEDIA_BUCKET": "files",
	"PULL_QUEUE_URL": "pulls", "DECODE_QUEUE_URL": "decodes", "INSPECT_QUEUE_URL": "inspections", "ANNOUNCEMENT_BUS": "bus",
	"SECRETS_PREFIX": "stack", "SECRETS_KEY": "key", "WECOM_API": "https://qyapi.weixin.qq.com", "TRUSTED_IPS": "203.0.113.9;203.0.113.10", "PUBLIC_URL": "https://archive.example.com",
	"JWT_ISSUER": "https://login.example.com", "JWT_AUDIENCE": "yunduo-archive", "CONSOLE_CLIENT_ID": "yunduo-console", "CONSOLE_SCOPES": "openid",
	"CONSOLE_PARENTS": "https://scrm.example.com,http://127.0.0.1:9000", "LOGIN_ORIGINS": "none",
}

func TestParseConfig(t *testing.T) {
	cfg, err := parseConfig(func(name string) string { return variables[name] })
	want := config{
		corps: "corps", ledger: "ledger", messages: "messages", readings: "readings", media: "media", contacts: "contacts", consents: "consents",
		journal: "journal", files: "files", pulls: "pulls", decodes: "decodes", inspections: "inspections", bus: "bus", secrets: "stack", secretsKey: "key", wecom: "https://qyapi.weixin.qq.com",
		trustedIPs: []string{"203.0.113.9", "203.0.113.10"}, publicURL: "https://archive.example.com",
		console: console.Config{
			Issuer: "https://login.example.com", ClientID: "yunduo-console", Scopes: "openid", Audience: "yunduo-archive",
			Parents: []string{"https://scrm.example.com", "http://127.0.0.1:9000"},
		},
	}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, %v; want %+v", cfg, err, want)
	}
}

// The test knows the variables from the calls of getenv, so a new variable cannot
// be forgotten here. Without PUBLIC_URL the host of each request counts, and without
// ANNOUNCEMENT_BUS nothing is announced.
func TestConfigNamesEveryMistake(t *testing.T) {
	asked := make(map[string]bool)
	_, err := parseConfig(func(name string) string {
		asked[name] = true
		return ""
	})
	if err == nil {
		t.Fatal("an empty environment is accepted")
	}
	for name := range asked {
		if name != "PUBLIC_URL" && name != "ANNOUNCEMENT_BUS" && !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: got %v", name, err)
		}
	}
	if got, want := slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(variables)); !slices.Equal(got, want) {
		t.Errorf("the configuration reads %v, want %v", got, want)
	}
}

func TestConfigRefusesMalformedValues(t *testing.T) {
	for name, values := range map[string][]string{
		"TRUSTED_IPS":     {"203.0.113.9,203.0.113.10", "203.0.113", "2001:db8::1", "203.0.113.9;"},
		"CONSOLE_PARENTS": {"scrm.example.com", "https://scrm.example.com/", "*", "https://*.example.com", "https://a.example.com;", "https://a.example.com, https://b.example.com"},
		"LOGIN_ORIGINS":   {"'unsafe-inline'", "https://a.example.com,"},
		"PUBLIC_URL":      {"archive.example.com", "https://archive.example.com/", "https://a.example.com/x", "ftp://a.example.com", "https://"},
	} {
		for _, v := range values {
			_, err := parseConfig(func(n string) string {
				if n == name {
					return v
				}
				return variables[n]
			})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: got %v", name, v, err)
			}
		}
	}
}
