package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// corp and other are two companies.
const (
	corp  = "ww0123456789abcdef"
	other = "ww9999999999999999"
)

// noon is the time at which tests begin, in Beijing's afternoon.
var noon = time.Date(2026, 1, 31, 6, 30, 5, 0, time.UTC)

// world is the API on real stores of its own.
type world struct {
	t        *testing.T
	api      *api
	handler  handler
	corps    *dynamostore.Corps
	ledger   *dynamostore.Ledger
	messages *dynamostore.Messages
	media    *dynamostore.Media
	files    *s3store.Media
	readings *dynamostore.Readings
	secrets  *secretstore.Store
	journal  *s3store.Journal
	queues   *sqs.Client
	contacts *dynamostore.Contacts
	consents *dynamostore.Consents
	pulls    string
	decodes  string
	inspects string
	log      *logBuffer

	mu    sync.Mutex
	clock time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cfg := awstest.Config(t)
	db := dynamodb.NewFromConfig(cfg)
	objects, bucket := s3.NewFromConfig(cfg), awstest.Bucket(t)
	w := &world{
		t:        t,
		corps:    dynamostore.NewCorps(db, awstest.Table(t, "CorpsTable")),
		ledger:   dynamostore.NewLedger(db, awstest.Table(t, "LedgerTable")),
		messages: dynamostore.NewMessages(db, awstest.Table(t, "MessagesTable")),
		readings: dynamostore.NewReadings(db, awstest.Table(t, "ReadingsTable")),
		secrets:  secretstore.New(secretsmanager.NewFromConfig(cfg), awstest.Name(t), ""),
		media:    dynamostore.NewMedia(db, awstest.Table(t, "MediaTable")),
		files:    s3store.NewMedia(objects, bucket),
		journal:  s3store.NewJournal(objects, bucket),
		queues:   sqs.NewFromConfig(cfg),
		pulls:    awstest.FIFOQueue(t),
		decodes:  awstest.FIFOQueue(t),
		contacts: dynamostore.NewContacts(db, awstest.Table(t, "ContactsTable")),
		consents: dynamostore.NewConsents(db, awstest.Table(t, "ConsentsTable")),
		inspects: awstest.FIFOQueue(t),
		log:      &logBuffer{},
		clock:    noon,
	}
	w.api = &api{
		corps: w.corps, secrets: w.secrets, callbacks: newCallbackPairs(w.secrets.Callback, w.now),
		ledger: w.ledger, messages: w.messages, blobs: w.journal, readings: w.readings,
		files: w.media, links: s3store.NewLinks(s3.NewPresignClient(objects), bucket),
		pulls:    sqsqueue.NewPull(w.queues, w.pulls, rand.Text),
		replays:  decode.NewJobStarter(w.ledger, sqsqueue.NewDecode(w.queues, w.decodes, rand.Text)),
		makePair: rsakey.Make, newID: rand.Text, now: w.now,
		trustedIPs: []string{"203.0.113.9", "203.0.113.10"}, publicURL: "https://archive.example.com",
		log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	w.api.appCallbacks = newCallbackPairs(w.secrets.AppCallback, w.now)
	w.api.contacts, w.api.consents = w.contacts, w.consents
	w.api.inspections = sqsqueue.NewInspect(w.queues, w.inspects, rand.Text)
	w.api.names = &directory.NameBook{
		Names: w.contacts, Asker: w.contacts, Reach: w.contacts, Requests: w.api.inspections, Now: w.now, Log: w.api.log,
	}
	w.handler = newHandler(w.api)
	t.Cleanup(func() { w.checkLog() })
	return w
}

// run runs a subtest, which the world then reports to.
func (w *world) run(name string, f func(t *testing.T)) {
	outer := w.t
	outer.Run(name, func(t *testing.T) {
		w.t = t
		defer func() { w.t = outer }()
		f(t)
	})
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// logBuffer is a log that tests can read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// contentMark is in every message text of these tests, and secretMark in every
// secret: neither may ever be logged.
const (
	contentMark = "CONTENT-MARK"
	secretMark  = "SECRET-MARK"
)

func (w *world) checkLog() {
	for _, bad := range []string{contentMark, secretMark, "PRIVATE KEY"} {
		if strings.Contains(w.log.String(), bad) {
			w.t.Errorf("the log holds %s", bad)
		}
	}
}

// token is the claims of one.
type token map[string]string

func tokenOf(corp string, r role) token {
	return token{"sub": "u-" + string(r), "corp": corp, "role": string(r), "aud": "yunduo-archive"}
}

func (t token) with(name, value string) token {
	c := token{}
	for k, v := range t {
		c[k] = v
	}
	c[name] = value
	return c
}

// request is what a test asks; who is nil for no token.
type request struct {
	who          token
	method, path string // path with the query string
	body         any    // a string as it is, else as JSON
	header       map[string]string
}

// response is an answer, decoded.
type response struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request as API Gateway would, and holds both request and answer
// against openapi.yaml: the request if it is answered with success.
func (w *world) do(r request) response {
	w.t.Helper()
	e, body := event(w.t, r)
	resp, err := w.handler.handle(w.t.Context(), e)
	if err != nil {
		w.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	out := response{t: w.t, status: resp.StatusCode, header: http.Header{}, body: []byte(resp.Body)}
	if resp.IsBase64Encoded {
		if out.body, err = base64.StdEncoding.DecodeString(resp.Body); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, v := range resp.Headers {
		out.header.Set(name, v)
	}
	conforms(w.t, e, body, out)
	return out
}

// event is the JSON that API Gateway sends, read as Lambda reads it.
func event(t *testing.T, r request) (events.APIGatewayV2HTTPRequest, []byte) {
	t.Helper()
	path, query, _ := strings.Cut(r.path, "?")
	headers := map[string]string{"host": "archive.example.com", "accept-language": "en"}
	var body []byte
	switch b := r.body.(type) {
	case nil:
	case string:
		body = []byte(b)
	default:
		var err error
		if body, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
	}
	if body != nil {
		headers["content-type"] = "application/json"
	}
	for name, v := range r.header {
		headers[strings.ToLower(name)] = v
	}
	raw := map[string]any{
		"version": "2.0", "routeKey": "ANY /v1/{proxy+}", "rawPath": path, "rawQueryString": query, "headers": headers,
		"requestContext": map[string]any{
			"requestId": "req-1", "domainName": "archive.example.com", "stage": "$default",
			"http": map[string]any{"method": r.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
		},
		"body": base64.StdEncoding.EncodeToString(body), "isBase64Encoded": true,
	}
	if r.who != nil {
		raw["requestContext"].(map[string]any)["authorizer"] = map[string]any{"jwt": map[string]any{"claims": r.who, "scopes": nil}}
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e, body
}

// document is openapi.yaml.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// conforms fails the test if a successful request or any answer is not as
// openapi.yaml has it. Paths and methods that it does not have must be refused
// with a problem.
func conforms(t *testing.T, e events.APIGatewayV2HTTPRequest, body []byte, resp response) {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	method := e.RequestContext.HTTP.Method
	path, params := match(doc, e.RawPath)
	item := doc.Paths.Value(path)
	if path == "" || item.GetOperation(method) == nil {
		schema := doc.Components.Schemas["Problem"].Value
		var v any
		if err := json.Unmarshal(resp.body, &v); err != nil || schema.VisitJSON(v, openapi3.EnableJSONSchema2020()) != nil || resp.status != 404 && resp.status != 405 {
			t.Errorf("%s %s is in no route, and answered %d %s", method, e.RawPath, resp.status, resp.body)
		}
		return
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://archive.example.com"+e.RawPath+"?"+e.RawQueryString, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range e.Headers {
		r.Header.Set(name, v)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true, MultiError: true,
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Options: options,
		Route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
	}
	if resp.status < 300 {
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s: the request is not as documented, but answered %d: %v", method, e.RawPath, resp.status, err)
		}
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.status, Header: resp.header, Body: io.NopCloser(bytes.NewReader(resp.body)), Options: options,
	}); err != nil {
		t.Errorf("%s %s: answer %d is not as documented: %v", method, e.RawPath, resp.status, err)
	}
}

// match finds the path of the document that a path is served by.
func match(doc *openapi3.T, path string) (string, map[string]string) {
	segments := strings.Split(path, "/")
	for pattern := range doc.Paths.Map() {
		parts := strings.Split(pattern, "/")
		params, ok := make(map[string]string), len(parts) == len(segments)
		for i := 0; ok && i < len(parts); i++ {
			if name, isParam := strings.CutPrefix(parts[i], "{"); isParam {
				params[strings.TrimSuffix(name, "}")] = segments[i]
				ok = segments[i] != ""
			} else {
				ok = parts[i] == segments[i]
			}
		}
		if ok {
			return pattern, params
		}
	}
	return "", nil
}

// want checks the status and returns the response.
func (r response) want(status int) response {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("got status %d, want %d: %.600s", r.status, status, r.body)
	}
	return r
}

// into decodes the body.
func into[T any](r response) T {
	r.t.Helper()
	var v T
	if err := json.Unmarshal(r.body, &v); err != nil {
		r.t.Fatalf("body %.200s: %v", r.body, err)
	}
	return v
}

// problemDoc is what tests read of a problem.
type problemDoc struct {
	Type   string
	Title  string
	Detail string
	Errors []struct{ Field, Rule, Mend string }
}

// rules lists the mistakes of a problem as "field:rule".
func (r response) rules() string {
	r.t.Helper()
	var list []string
	for _, e := range into[problemDoc](r).Errors {
		list = append(list, e.Field+":"+e.Rule)
	}
	return strings.Join(list, " ")
}

func (r response) wantProblem(status int, kind string) response {
	r.t.Helper()
	r.want(status)
	if got, want := into[problemDoc](r).Type, "urn:yunduo-archive:problem:"+kind; got != want {
		r.t.Errorf("got problem %s, want %s", got, want)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Errorf("got content type %s", got)
	}
	return r
}

// get and send are requests with a token.
func (w *world) get(who token, path string) response {
	w.t.Helper()
	return w.do(request{who: who, method: "GET", path: path})
}

func (w *world) send(who token, method, path string, body any) response {
	w.t.Helper()
	return w.do(request{who: who, method: method, path: path, body: body})
}

// register registers a corp.
func (w *world) register(corp string) corpJSON {
	w.t.Helper()
	return into[corpJSON](w.send(tokenOf(corp, admin), "PUT", "/v1/corps/"+corp, map[string]any{"name": "云朵课堂"}).want(201))
}

// bareCorp stores a corp without keys or callback pair, for tests that need
// no more: making a key takes a while.
func (w *world) bareCorp(id string) {
	w.t.Helper()
	if err := w.corps.CreateCorp(w.t.Context(), archive.Corp{ID: id, Name: "n", CreatedAt: noon}); err != nil {
		w.t.Fatal(err)
	}
}

// sent is a queue's message: its body, group and deduplication id.
type sent struct{ body, group, dedup string }

// drain takes all messages out of a queue.
func (w *world) drain(queue string) []sent {
	w.t.Helper()
	var all []sent
	for {
		out, err := w.queues.ReceiveMessage(w.t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &queue, MaxNumberOfMessages: 10,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			all = append(all, sent{sdk.ToString(m.Body), m.Attributes["MessageGroupId"], m.Attributes["MessageDeduplicationId"]})
			if _, err := w.queues.DeleteMessage(w.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// pullRequests drains the queue of pull requests.
func (w *world) pullRequests() []archive.PullRequest {
	w.t.Helper()
	var reqs []archive.PullRequest
	for _, s := range w.drain(w.pulls) {
		var r archive.PullRequest
		if err := json.Unmarshal([]byte(s.body), &r); err != nil {
			w.t.Fatal(err)
		}
		reqs = append(reqs, r)
	}
	return reqs
}
