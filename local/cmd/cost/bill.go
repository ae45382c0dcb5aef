package main

import (
	"fmt"
	"math"
)

// line is one of a bill.
type line struct {
	name   string
	amount float64
	note   string
}

// What the template sets, and how a month is: see template.yaml.
const (
	hours   = 730.0
	minutes = hours * 60

	apiGB, dispatchGB, pullGB, decodeGB, mediaGB = 1, 0.25, 1, 1.769, 1

	// WeCom tells of new messages at most every 15 s. Companies are taken to
	// chat 12 hours a day.
	callbackWindows = 30 * 12 * 3600 / 15
	mostPerPage     = 1000

	readsPerMessage = 0.1 // assumed: one in ten is looked at, later or at once
	infrequentAfter = 3   // months, see the journal's lifecycle
	gb              = 1 << 30
)

// The counts of the template: a test holds them against it.
const (
	kmsKeys       = 3
	ownMetrics    = 11
	alarmMetrics  = 34
	secretsPer    = 3 // archive secret, callback pair, private key
	partsPerMB    = 1.0 / 5
	controlKB     = 6 // of a pull: SQS, Secrets Manager
	sendsPerBatch = 10
)

// bill estimates a month. Its lines are the same for every usage.
func (b *book) bill(u usage) []line {
	perCorp := u.messages / u.corps
	// Messages come at random: a window has some with this probability, and
	// then they are a page.
	windows := callbackWindows * u.corps
	pages := math.Max(windows*(1-math.Exp(-perCorp/callbackWindows)), u.messages/mostPerPage)
	callbacks := math.Min(pages, windows)
	// The timer asks every minute, and every fifth where callbacks come, which
	// is where there is enough to say.
	timed := minutes * u.corps
	if perCorp > callbackWindows/10 {
		timed /= 5
	}
	pulls := timed + callbacks
	reads := u.messages * readsPerMessage

	request, second := b.price("lambda_request"), b.price("lambda_gb_second_x86_64")
	lambda := func(n, seconds, gigabytes float64) float64 { return n*request + n*seconds*gigabytes*second }
	files := u.mediaGB * 1024 / 0.5 // of 512 KB

	write, read := b.price("dynamodb_write_unit"), b.price("dynamodb_read_unit")
	tableGB := u.messages * u.months * b.seen("bytes_per_message_table") / gb
	journalGB := u.messages * b.seen("bytes_per_message_journal") / gb
	fresh := math.Min(u.months, infrequentAfter)
	old := u.months - fresh

	decodes := pages
	sqs := (timed+pages+files/10)/sendsPerBatch + 2*(pulls+decodes+files/10)
	secrets := pulls + decodes*0.05 // keys are held in memory for minutes
	logGB := (pulls + decodes + minutes + callbacks + reads + files/10) * b.seen("log_bytes_per_invocation") / gb
	natGB := u.mediaGB + journalGB + pulls*controlKB/1024/1024

	amount := func(n float64) string {
		switch {
		case n >= 1e6:
			return fmt.Sprintf("%.1f million", n/1e6)
		case n >= 1e4:
			return fmt.Sprintf("%.0f thousand", n/1e3)
		}
		return fmt.Sprintf("%.0f", n)
	}
	return []line{
		{"NAT gateway", u.nats * hours * (b.price("nat_hour") + b.price("address_hour")), fmt.Sprintf("%.0f with address, by the hour", u.nats)},
		{"NAT traffic", natGB * b.price("nat_gb"), fmt.Sprintf("%.1f GB: media, pages, control", natGB)},
		{"Secrets", u.corps * secretsPer * b.price("secret_month"), fmt.Sprintf("%.0f for each of %s companies", float64(secretsPer), amount(u.corps))},
		{"Secrets, calls", secrets * (b.price("secret_call") + b.price("kms_call")), amount(secrets) + " reads, each with KMS"},
		{"KMS keys", kmsKeys * b.price("kms_key_month"), fmt.Sprintf("%d", kmsKeys)},
		{"Lambda pull", lambda(pulls, b.seen("pull_seconds"), pullGB), amount(pulls) + " pulls"},
		{"Lambda decode", lambda(decodes, b.seen("decode_overhead_seconds"), decodeGB) + u.messages/b.seen("messages_decoded_per_second")*decodeGB*second, amount(decodes) + " pages"},
		{"Lambda media", lambda(files/10, 0, mediaGB) + u.mediaGB*1024*b.seen("media_seconds_per_mb")*mediaGB*second, amount(files) + " files"},
		{"Lambda dispatch", lambda(minutes, b.seen("dispatch_seconds_per_tick")+0.002*u.corps, dispatchGB), amount(minutes) + " ticks"},
		{"Lambda api", lambda(callbacks+reads, b.seen("api_seconds"), apiGB), amount(callbacks+reads) + " requests"},
		{"API Gateway", (callbacks + reads) * b.price("api_request"), amount(callbacks) + " callbacks, " + amount(reads) + " reads"},
		{"SQS", sqs * b.price("sqs_fifo_request"), amount(sqs) + " requests"},
		{"DynamoDB writes", (u.messages*b.seen("view_units_per_message") + pages*b.seen("ledger_units_per_page") + timed + 4*files) * write, fmt.Sprintf("%.1f messages a page", u.messages/math.Max(pages, 1))},
		{"DynamoDB reads", (minutes*u.corps*b.seen("read_units_per_corp_tick") + pulls*b.seen("read_units_per_pull") + pages*6 + u.messages*0.5 + reads*8) * read, "ticks, pulls, lists, reading"},
		{"DynamoDB storage", tableGB * (b.price("dynamodb_gb_month") + b.price("dynamodb_recovery_gb_month")), fmt.Sprintf("%.0f GB after %.0f months, with recovery", tableGB, u.months)},
		{"S3 requests", (pages+u.mediaGB*1024*partsPerMB+3*files)*b.price("s3_put") + (pages+reads*0.05)*b.price("s3_get"), "pages, parts of media"},
		{"S3 storage", (journalGB*fresh+u.mediaGB*u.months)*b.price("s3_gb_month") + journalGB*old*b.price("s3_infrequent_gb_month"), fmt.Sprintf("%.0f GB after %.0f months", (journalGB+u.mediaGB)*u.months, u.months)},
		{"Logs", logGB * b.price("log_gb"), fmt.Sprintf("%.1f GB", logGB)},
		{"Metrics, alarms, dashboard", ownMetrics*b.price("metric_month") + alarmMetrics*b.price("alarm_metric_month") + b.price("dashboard_month"), fmt.Sprintf("%d metrics, fleet-wide, however many companies", ownMetrics)},
	}
}
