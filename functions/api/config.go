package main

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/console"
	"github.com/yunduo-scrm/archive/shared/env"
)

// config is what template.yaml declares for this function.
type config struct {
	corps, ledger, messages, readings string   // tables
	contacts, consents, media         string   // tables
	journal, files                    string   // buckets
	pulls, decodes, inspections       string   // queue URLs
	bus                               string   // event bus for announcements; empty for none
	secrets                           string   // prefix of secret names
	secretsKey                        string   // KMS key that encrypts new secrets
	wecom                             string   // scheme and host of WeCom's HTTP API
	trustedIPs                        []string // IPv4 addresses from which pull calls WeCom, at least one
	publicURL                         string   // scheme and host, without a slash at the end; empty for the host of each request
	console                           console.Config
}

func parseConfig(getenv func(string) string) (config, error) {
	r := env.NewReader(getenv)
	cfg := config{
		corps:    r.Required("CORPS_TABLE"),
		ledger:   r.Required("LEDGER_TABLE"),
		messages: r.Required("MESSAGES_TABLE"),
		readings: r.Required("READINGS_TABLE"),
		journal:  r.Required("JOURNAL_BUCKET"),
		pulls:    r.Required("PULL_QUEUE_URL"),
		decodes:  r.Required("DECODE_QUEUE_URL"),

		media: r.Required("MEDIA_TABLE"),
		files: r.Required("MEDIA_BUCKET"),

		contacts:    r.Required("CONTACTS_TABLE"),
		consents:    r.Required("CONSENTS_TABLE"),
		inspections: r.Required("INSPECT_QUEUE_URL"),
		bus:         r.Optional("ANNOUNCEMENT_BUS"),

		secrets:    r.Required("SECRETS_PREFIX"),
		secretsKey: r.Required("SECRETS_KEY"),
		wecom:      r.Required("WECOM_API"),
		console: console.Config{
			Issuer:       r.Required("JWT_ISSUER"),
			Audience:     r.Required("JWT_AUDIENCE"),
			ClientID:     r.Required("CONSOLE_CLIENT_ID"),
			Scopes:       r.Required("CONSOLE_SCOPES"),
			Parents:      origins(r, "CONSOLE_PARENTS", r.Required("CONSOLE_PARENTS")),
			LoginOrigins: origins(r, "LOGIN_ORIGINS", r.Required("LOGIN_ORIGINS")),
		},
	}
	if v := r.Required("TRUSTED_IPS"); v != "" {
		cfg.trustedIPs = strings.Split(v, ";")
		for _, ip := range cfg.trustedIPs {
			if a, err := netip.ParseAddr(ip); err != nil || !a.Is4() {
				r.Reject("TRUSTED_IPS", "must be IPv4 addresses separated by semicolons")
				break
			}
		}
	}
	if v := r.Optional("PUBLIC_URL"); v != "" {
		cfg.publicURL = v
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != v {
			r.Reject("PUBLIC_URL", "must be scheme and host, such as https://archive.example.com")
		}
	}
	return cfg, r.Err()
}

// origins reads the value of a variable: origins that are separated by commas, or
// none. The policy of the console contains them, so a value that is no origin is
// refused: it could widen the policy.
func origins(r *env.Reader, name, value string) []string {
	if value == "" || value == "none" {
		return nil
	}
	list := strings.Split(value, ",")
	for _, v := range list {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != v || strings.ContainsAny(v, "; '*") {
			r.Reject(name, "must be origins separated by commas, such as https://scrm.example.com, or none")
			return nil
		}
	}
	return list
}
