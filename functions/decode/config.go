package main

import "github.com/yunduo-scrm/archive/shared/env"

// config is what template.yaml declares for this function.
type config struct {
	corps, ledger      string // tables
	messages, consents string // tables
	media              string // table
	journal, objects   string // buckets
	decodes, files     string // queue URLs
	bus                string // event bus for announcements; empty for none
	secrets            string // prefix of secret names
	worker, library    string // files of the layer
	proxy              string // proxy to WeCom; empty for none
	// identity names the operator's secret that initialises the library for
	// decoding. If it is empty, each corp's own archive secret does.
	identity string
}

func parseConfig(getenv func(string) string) (config, error) {
	r := env.NewReader(getenv)
	return config{
		corps:    r.Required("CORPS_TABLE"),
		ledger:   r.Required("LEDGER_TABLE"),
		messages: r.Required("MESSAGES_TABLE"),
		media:    r.Required("MEDIA_TABLE"),
		consents: r.Required("CONSENTS_TABLE"),
		journal:  r.Required("JOURNAL_BUCKET"),
		objects:  r.Required("MEDIA_BUCKET"),
		decodes:  r.Required("DECODE_QUEUE_URL"),
		files:    r.Required("MEDIA_QUEUE_URL"),
		bus:      r.Optional("ANNOUNCEMENT_BUS"),
		secrets:  r.Required("SECRETS_PREFIX"),
		worker:   r.Required("SDK_WORKER"),
		library:  r.Required("SDK_LIBRARY"),
		proxy:    r.Optional("WECOM_PROXY"),
		identity: r.Optional("DECODE_IDENTITY"),
	}, r.Err()
}
