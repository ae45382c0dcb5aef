package main

import (
	"strings"

	"github.com/yunduo-scrm/archive/shared/env"
)

// config is what template.yaml declares for this function.
type config struct {
	corps, ledger      string   // tables
	contacts, consents string   // tables
	messages, media    string   // tables
	inspections        string   // queue URL
	secrets            string   // prefix of secret names
	base               string   // of WeCom's HTTP API, scheme and host
	proxy              string   // towards WeCom; empty for none
	trustedIPs         []string // addresses from which we call WeCom
	topic              string   // ARN of the topic for notices to people
	bus                string   // event bus for announcements; empty for none
	stack              string   // name of the stack
}

func parseConfig(getenv func(string) string) (config, error) {
	r := env.NewReader(getenv)
	return config{
		corps:       r.Required("CORPS_TABLE"),
		ledger:      r.Required("LEDGER_TABLE"),
		contacts:    r.Required("CONTACTS_TABLE"),
		consents:    r.Required("CONSENTS_TABLE"),
		messages:    r.Required("MESSAGES_TABLE"),
		media:       r.Required("MEDIA_TABLE"),
		inspections: r.Required("INSPECT_QUEUE_URL"),
		secrets:     r.Required("SECRETS_PREFIX"),
		base:        r.Required("WECOM_API"),
		proxy:       r.Optional("WECOM_PROXY"),
		trustedIPs:  strings.Split(r.Required("TRUSTED_IPS"), ";"),
		topic:       r.Required("NOTICE_TOPIC"),
		bus:         r.Optional("ANNOUNCEMENT_BUS"),
		stack:       r.Required("STACK_NAME"),
	}, r.Err()
}
