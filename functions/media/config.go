package main

import "github.com/yunduo-scrm/archive/shared/env"

// config is what template.yaml declares for this function.
type config struct {
	corps, ledger, media string // tables
	files                string // bucket
	requests             string // queue URL
	secrets              string // prefix of secret names
	worker, library      string // paths of the layer's files
	proxy                string // URL of the proxy to WeCom; empty for a direct connection
}

func parseConfig(getenv func(string) string) (config, error) {
	r := env.NewReader(getenv)
	return config{
		corps:    r.Required("CORPS_TABLE"),
		ledger:   r.Required("LEDGER_TABLE"),
		media:    r.Required("MEDIA_TABLE"),
		files:    r.Required("MEDIA_BUCKET"),
		requests: r.Required("MEDIA_QUEUE_URL"),
		secrets:  r.Required("SECRETS_PREFIX"),
		worker:   r.Required("SDK_WORKER"),
		library:  r.Required("SDK_LIBRARY"),
		proxy:    r.Optional("WECOM_PROXY"),
	}, r.Err()
}
