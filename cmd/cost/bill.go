package main

import (
	"fmt"
	"math"
)

// A line is one line of a bill. The short table shows the sum of each group of
// lines.
type line struct {
	name   string
	group  group
	amount float64
	note   string
}

// A group is a row of the short table.
type group int

const (
	network group = iota
	secretsAndKeys
	compute
	tables
	objects
	watching
)

// groupNames has the names of the groups, in the order above, for both READMEs.
var groupNames = map[string][]string{
	"en": {"NAT, internet traffic", "Secrets, keys", "Lambda, API Gateway, SQS", "DynamoDB", "S3", "Logs, metrics, alarms"},
	"zh": {"NAT、公网流量", "Secrets Manager、KMS", "Lambda、API Gateway、SQS", "DynamoDB", "S3", "日志、指标、告警"},
}

// Lengths of a month, and numbers of the design.
const (
	hours   = 730.0
	minutes = hours * 60

	// WeCom sends at most one callback in 15 s about new messages. The estimate
	// assumes that a company chats 12 hours a day.
	callbackWindows = 30 * 12 * 3600 / 15
	mostPerPage     = 1000

	gb            = 1 << 30
	partBytes     = 5 << 20 // size of a file's part; a smaller file is one write
	filesPerPass  = 10      // files that one invocation of media fetches
	controlKB     = 6       // traffic of an invocation behind NAT: SQS, Secrets Manager
	sendsPerBatch = 10      // only dispatch sends in batches
	announcedMost = 100     // conversations of a page that are announced
	officeHours   = 176.0   // of a month
	secretsPer    = 2       // of a company: archive secret, private key
	secretsOnce   = 1       // of the stack: the key of the callback pairs
	unitsPerCheck = 5       // write units of an inspection
	noteMinutes   = 5       // between two states of a quiet company's pulls

	// A weekly verification looks at every row and object, and reads the pages of
	// the last eight days and 1 in 52 of the older ones.
	weeks     = hours / 24 / 7
	readTurns = 52
	readDays  = 8.0
	listed    = 1000 // rows that one request reads, and objects that one request lists
	unitBytes = 4096 // of a table, in one read unit

	// Read units of the table of messages that a tick needs for each company
	// (records set aside), and a poll (the newest note of a change).
	asideUnits = 0.5
	noteUnits  = 0.5

	// Lambda polls each queue on at least five connections. Each poll waits 20
	// seconds for a message, and an empty poll is billed too.
	emptyPolls = 5 * 60 / 20 * minutes
)

// Counts of the template, and the lifecycle of its buckets. A test compares them
// with template.yaml.
const (
	kmsKeys         = 4  // with Keys=each; one with Keys=one
	keyedPairs      = 27 // of a function and a table that it may use
	queues          = 4
	ownMetrics      = 18
	alarmMetrics    = 67 // with Alarms=all
	fewerMetrics    = 31 // with Alarms=essential
	dashboards      = 50 // metrics of the dashboard
	freeOnDashboard = 50 // metrics; the first three such dashboards of an account are free
	unitsPerMark    = 2  // a mark is set, and taken; the timer's pulls have none
	trailMonths     = 3  // the default of LogDays
	infrequentAfter = 3  // months
	movesAbove      = 128 << 10
)

// bill estimates one month. Every usage gives lines with the same names.
func (b *book) bill(u usage) []line {
	perCorp := u.messages / u.corps
	// The model takes messages as random. The expression is the probability that
	// a window of 15 s has at least one message, and so makes one page.
	windows := callbackWindows * u.corps
	pages := math.Max(windows*(1-math.Exp(-perCorp/callbackWindows)), u.messages/mostPerPage)
	perPage := u.messages / math.Max(pages, 1)
	callbacks := math.Min(pages, windows)
	// The timer pulls every minute, or every 5 minutes for a company with
	// callbacks. The model takes a company as one with callbacks if messages fill
	// more than a tenth of the windows.
	timed := minutes * u.corps
	if perCorp > callbackWindows/10 {
		timed /= 5
	}
	pulls := timed + callbacks
	fileBytes := b.seen("bytes_per_file")
	files := u.mediaGB * gb / fileBytes
	passes := files / filesPerPass
	fileReads := files * b.seen("reads_per_file")
	reads := u.messages*b.seen("reads_per_message") + fileReads
	inspections := reads * b.seen("inspections_per_read")
	announcements := math.Min(u.messages/b.seen("messages_per_announcement"), pages*announcedMost)
	polls := u.corps * b.seen("open_pages_per_corp") * officeHours * b.seen("polls_per_open_hour")

	// Every request is one invocation.
	request, second := b.price("lambda_request"), b.price("lambda_gb_second_x86_64")
	lambda := func(function string, n, seconds float64) float64 {
		return n*request + seconds*b.memory(function+"Function")*second
	}
	writesPerFile := 1.0
	if fileBytes > partBytes {
		writesPerFile = math.Ceil(fileBytes/partBytes) + 2
	}

	tableGB := u.messages * u.months * b.seen("bytes_per_message_table") / gb
	journalGB := u.messages * b.seen("bytes_per_message_journal") / gb
	// Small objects stay in the standard class: their move costs more than it saves.
	storage, moved := 0.0, 0.0
	keep := func(monthly, objects, bytes float64) {
		old := math.Max(u.months-infrequentAfter, 0)
		if bytes <= movesAbove || old == 0 {
			storage += monthly * u.months * b.price("s3_gb_month")
			return
		}
		storage += monthly * ((u.months-old)*b.price("s3_gb_month") + old*b.price("s3_infrequent_gb_month"))
		moved += objects
	}
	keep(journalGB, pages, perPage*b.seen("bytes_per_message_journal"))
	keep(u.mediaGB, files, fileBytes)

	v := b.verification(u, pages, perPage, files)
	sqs := timed/sendsPerBatch + callbacks + pages + passes + inspections + // sends
		2*(pulls+pages+passes+inspections) + // receives and deletes
		queues*emptyPolls + 3*minutes // empty polls, and the lengths of three queues
	// Each warm process reads a company's archive secret once an hour; decode keeps
	// private keys in memory for minutes.
	remembered := u.corps * hours * b.seen("warm_processes")
	secrets := pages * 0.05
	for _, calls := range []float64{pulls, pages, passes, inspections} {
		secrets += math.Min(calls, remembered)
	}
	tableKeys := keyedPairs * hours * b.seen("table_key_calls_per_hour")
	// Each read of a secret is an event of Secrets Manager and one of KMS. The
	// trail writes a file every five minutes. The first trail's events are free.
	trailEvents := 2*secrets + tableKeys
	trailGB := trailEvents * b.seen("bytes_per_trail_event") / gb
	trailFiles := minutes / 5
	logGB := (pulls + pages + minutes + callbacks + reads + passes + inspections) * b.seen("log_bytes_per_invocation") / gb
	natGB := u.mediaGB + journalGB + (pulls+pages+passes+inspections)*controlKB/1024/1024
	outGB := (reads*b.seen("bytes_per_answer") + fileReads*fileBytes) / gb
	table, view := b.class(false), b.class(u.infrequent)
	ticks := minutes * u.corps
	viewReads := ticks*asideUnits + pages*8 + u.messages*0.5 + reads*8
	recovery := b.price("dynamodb_recovery_gb_month")
	if u.unsaved {
		recovery = 0
	}

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
		{"NAT gateway", network, u.nats * hours * (b.price("nat_hour") + b.price("address_hour")), gateways(u.nats)},
		{"NAT traffic", network, math.Min(u.nats, 1) * natGB * b.price("nat_gb"), fmt.Sprintf("%.1f GB: media, pages, control", natGB)},
		{"Internet traffic", network, outGB * b.price("egress_gb"), fmt.Sprintf("%.1f GB out: %s files opened, answers", outGB, amount(fileReads))},
		{"Secrets", secretsAndKeys, (u.corps*secretsPer + secretsOnce) * b.price("secret_month"), fmt.Sprintf("%.0f for each of %s companies, %d of the stack", float64(secretsPer), amount(u.corps), secretsOnce)},
		{"Secrets, calls", secretsAndKeys, secrets * (b.price("secret_call") + b.price("kms_call")), amount(secrets) + " reads, each with KMS"},
		{"KMS keys", secretsAndKeys, u.keys() * b.price("kms_key_month"), fmt.Sprintf("%.0f", u.keys())},
		{"KMS for tables", secretsAndKeys, tableKeys * b.price("kms_call"), amount(tableKeys) + " calls by DynamoDB"},
		{"Lambda pull", compute, lambda("Pull", pulls, pulls*b.seen("pull_seconds")), amount(pulls) + " pulls"},
		{"Lambda decode", compute, lambda("Decode", pages, pages*b.seen("decode_overhead_seconds")+u.messages/b.seen("messages_decoded_per_second")), amount(pages) + " pages"},
		{"Lambda media", compute, lambda("Media", passes, u.mediaGB*1024*b.seen("media_seconds_per_mb")), amount(files) + " files"},
		{"Lambda inspect", compute, lambda("Inspect", inspections, inspections*b.seen("inspect_seconds")), amount(inspections) + " requests"},
		{"Lambda dispatch", compute, lambda("Dispatch", minutes, minutes*(b.seen("dispatch_seconds_per_tick")+0.002*u.corps)), amount(minutes) + " ticks"},
		{"Lambda api", compute, lambda("Api", callbacks+reads, (callbacks+reads)*b.seen("api_seconds")), amount(callbacks+reads) + " requests"},
		{verificationPrefix + "Lambda", compute, v.seconds * b.memory("DecodeFunction") * second, amount(v.pages) + " pages read"},
		{"API Gateway", compute, (callbacks + reads) * b.price("api_request"), amount(callbacks) + " callbacks, " + amount(reads) + " reads"},
		{"Polling", compute, polls * b.poll(view), amount(polls) + " requests of open pages, reads included"},
		{"Announcements", compute, announcements * b.price("event"), amount(announcements) + " events"},
		{"SQS", compute, sqs * b.price("sqs_fifo_request"), amount(sqs) + " requests"},
		{"DynamoDB writes", tables, u.messages*b.seen("view_units_per_message")*view.write + (pages*b.seen("ledger_units_per_page")+minutes/noteMinutes*u.corps+4*files+reads+unitsPerCheck*inspections+unitsPerMark*(callbacks+passes+inspections))*table.write, fmt.Sprintf("%.1f messages a page", perPage)},
		{"DynamoDB reads", tables, viewReads*view.read + (ticks*(b.seen("read_units_per_corp_tick")-asideUnits)+pulls*b.seen("read_units_per_pull")+callbacks)*table.read, "ticks, pulls, lists, reading, callbacks"},
		{verificationPrefix + "reads", tables, v.units*table.read + v.viewUnits*view.read, amount(v.rows) + " rows"},
		{"DynamoDB storage", tables, tableGB * (view.storage + recovery), fmt.Sprintf("%.0f GB after %.0f months, %s", tableGB, u.months, u.kept())},
		{"S3 requests", objects, (pages+files*writesPerFile)*b.price("s3_put") + (pages+fileReads)*b.price("s3_get") + moved*b.price("s3_transition"), fmt.Sprintf("pages, files, %s objects moved", amount(moved))},
		{verificationPrefix + "S3", objects, v.lists*b.price("s3_put") + v.gets*b.price("s3_get"), amount(v.lists) + " lists and heads, " + amount(v.gets) + " pages, heads and checksums"},
		{"S3 storage", objects, storage, fmt.Sprintf("%.0f GB after %.0f months", (journalGB+u.mediaGB)*u.months, u.months)},
		{"Logs", watching, logGB * b.price("log_gb"), fmt.Sprintf("%.1f GB", logGB)},
		{"Trail", watching, trailFiles*b.price("s3_put") + trailGB*trailMonths*b.price("s3_gb_month"), amount(trailEvents) + " events, in the first trail of the region"},
		{"Metrics, alarms", watching, ownMetrics*b.price("metric_month") + u.alarms()*b.price("alarm_metric_month") + b.dashboard(), fmt.Sprintf("%d metrics, fleet-wide, however many companies, and %.0f of alarms", ownMetrics, u.alarms())},
	}
}

// poll is the price of one request by which an open page asks what has changed.
func (b *book) poll(view class) float64 {
	return b.price("api_request") + b.price("lambda_request") + b.seen("api_seconds")*b.memory("ApiFunction")*b.price("lambda_gb_second_x86_64") +
		(b.seen("read_units_per_poll")-noteUnits)*b.price("dynamodb_read_unit") + noteUnits*view.read + b.seen("log_bytes_per_invocation")/gb*b.price("log_gb")
}

// class holds the prices of a class of tables.
type class struct{ write, read, storage float64 }

// class is Standard, or Standard-IA for a table that is seldom accessed.
func (b *book) class(infrequent bool) class {
	if infrequent {
		return class{b.price("dynamodb_infrequent_write_unit"), b.price("dynamodb_infrequent_read_unit"), b.price("dynamodb_infrequent_gb_month")}
	}
	return class{b.price("dynamodb_write_unit"), b.price("dynamodb_read_unit"), b.price("dynamodb_gb_month")}
}

// dashboard is the price of the dashboard.
func (b *book) dashboard() float64 {
	price := b.price("dashboard_month")
	if dashboards <= freeOnDashboard {
		return 0
	}
	return price
}

// verificationPrefix begins the names of the lines of weekly verifications.
const verificationPrefix = "Verification, "

// verified is what the weekly verifications of a month do.
type verified struct {
	rows, pages         float64
	seconds             float64
	units, viewUnits    float64 // read units of other tables, and of messages
	lists, gets, checks float64
}

// verification counts the weekly verifications of a month, at the end of the
// months of the usage. The daily heads belong to them.
func (b *book) verification(u usage, pages, perPage, files float64) (v verified) {
	days := hours / 24
	inFull := func(monthly float64) float64 {
		return weeks * (monthly*readDays/days + monthly*u.months/readTurns)
	}
	v.rows, v.pages, v.checks = weeks*pages*u.months, inFull(pages), inFull(files)
	messages, heads := v.pages*perPage, weeks*u.corps*days*u.months
	v.seconds = messages/b.seen("messages_decoded_per_second") + v.pages*b.seen("verify_seconds_per_page") + v.rows/listed*b.seen("verify_seconds_per_1000_rows") +
		heads*b.seen("verify_seconds_per_head")
	row := b.seen("bytes_per_row") / unitBytes
	v.units = v.rows*row/2 + v.pages*2*row + v.checks
	v.viewUnits = messages * b.seen("verify_units_per_message")
	v.lists = v.rows/listed + hours*u.corps + weeks*u.corps + heads/listed
	v.gets = v.pages + v.checks + heads
	return v
}
