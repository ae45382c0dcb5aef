package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/goccy/go-yaml"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/cloudtest"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// A sight is a request of a function to AWS, with its body.
type sight struct {
	function, service, method, uri string
	header                         http.Header
	body                           []byte
}

// serviceOf reads the service from the request's signature.
func serviceOf(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if scope == "" { // of a link
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	if parts := strings.Split(scope, "/"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// A fragment is a part of a request with its place: "secret " and the kind of the
// secret in the secret store, "message" (the bytes of a stored message), "large
// message" and "file" (objects of the buckets), "file name" (in the files' table, and
// in the link to a file), or "elsewhere".
type fragment struct {
	place string
	text  []byte
}

const elsewhere = "elsewhere"

// fragments takes the request apart. What is encoded in it is decoded.
func (s sight) fragments(c *cloud.Cloud) []fragment {
	uri, err := url.ParseRequestURI(s.uri)
	if err != nil {
		return []fragment{{elsewhere, []byte(s.uri)}, {elsewhere, s.body}}
	}
	list := []fragment{{elsewhere, []byte(s.method + " " + uri.Path)}}
	for name, values := range uri.Query() {
		place := elsewhere
		if s.service == "s3" && name == "response-content-disposition" {
			place = "file name"
		}
		list = append(list, fragment{place, []byte(name + "=" + strings.Join(values, ","))})
	}
	for name, values := range s.header {
		list = append(list, fragment{elsewhere, []byte(name + ": " + strings.Join(values, ", "))})
	}
	body := fragment{elsewhere, s.body}
	switch s.service {
	case "s3":
		if parts := strings.Split(uri.Path, "/"); len(parts) > 3 { // bucket, corp, kind
			switch journal := c.Stack.Buckets[0].Name; {
			case parts[1] == journal && parts[3] == "messages":
				body.place = "large message"
			case parts[1] != journal && parts[3] == "files":
				body.place = "file"
			}
		}
		return append(list, body)
	case "sns": // a form
		if form, err := url.ParseQuery(string(s.body)); err == nil {
			for name, values := range form {
				list = append(list, fragment{elsewhere, []byte(name + "=" + strings.Join(values, ","))})
			}
			return list
		}
	}
	var v any
	if err := json.Unmarshal(s.body, &v); err != nil {
		return append(list, body)
	}
	w := walk{messages: c.Stack.Tables["MessagesTable"], files: c.Stack.Tables["MediaTable"], secrets: s.service == "secretsmanager", list: list}
	w.value(v, "", "")
	return w.list
}

// A walk visits the texts of a request in JSON.
type walk struct {
	messages, files string // tables
	secrets         bool   // the request is one to the secret store
	list            []fragment
}

// value visits a value. table is the table that it is for. name is the member that
// it belongs to; a type of DynamoDB, as in {"raw": {"B": "..."}}, is not a name.
func (w *walk) value(v any, table, name string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			w.value(e, table, name)
		}
	case map[string]any:
		if t, ok := v["TableName"].(string); ok {
			table = t
		}
		if statement, ok := v["Statement"].(string); ok { // of PartiQL
			w.statement(statement, v)
			return
		}
		secret := ""
		for _, key := range []string{"Name", "SecretId"} {
			if id, ok := v[key].(string); ok && w.secrets {
				secret = kindOfSecret(id)
			}
		}
		for key, e := range v {
			w.list = append(w.list, fragment{elsewhere, []byte(key)})
			switch s, isText := e.(string); {
			case key == "SecretString" && isText && secret != "":
				w.list = append(w.list, fragment{"secret " + secret, []byte(s)})
			case key == "B" && isText && len(v) == 1:
				b, err := base64.StdEncoding.DecodeString(s)
				if err != nil {
					b = []byte(s)
				}
				w.text(b, table, name)
			case name == "RequestItems":
				w.value(e, key, "")
			case len(v) == 1 && len(key) <= 2: // S, M, L, SS and so on
				w.value(e, table, name)
			default:
				w.value(e, table, key)
			}
		}
	case string:
		w.text([]byte(v), table, name)
	}
}

// inserted matches the table and the names in a statement that inserts an item.
var inserted = regexp.MustCompile(`^INSERT INTO "([^"]+)" VALUE \{'(.+)': \?\}$`)

// statement visits a statement with its parameters, one for each name.
func (w *walk) statement(statement string, v map[string]any) {
	w.list = append(w.list, fragment{elsewhere, []byte(statement)})
	parameters, _ := v["Parameters"].([]any)
	table, names := "", make([]string, len(parameters))
	if parts := inserted.FindStringSubmatch(statement); parts != nil {
		if list := strings.Split(parts[2], "': ?, '"); len(list) == len(names) {
			table, names = parts[1], list
		}
	}
	for i, p := range parameters {
		w.value(p, table, names[i])
	}
}

func (w *walk) text(b []byte, table, name string) {
	place := elsewhere
	switch {
	case table == w.messages && name == "raw":
		place = "message"
	case table == w.files && name == "name":
		place = "file name"
	}
	w.list = append(w.list, fragment{place, b})
}

// kindOfSecret reads the kind from a secret's name: archive, app, pairkey or key.
func kindOfSecret(name string) string {
	parts := strings.Split(name, "/")
	if last := len(parts) - 1; last > 0 && parts[last-1] == "key" {
		return "key"
	}
	return parts[len(parts)-1]
}

// A recorder keeps every answer that passes. Safe for concurrent use.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	list []answer
}

type answer struct {
	method, path string
	status       int
	text         []byte // headers and body
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, answer{req.Method, req.URL.Path, resp.StatusCode, fmt.Append(nil, resp.Header, "\n", string(body))})
	return resp, nil
}

// The routes whose answers show a planted text, by its name in answers.
var showers = map[string]*regexp.Regexp{
	"callback pair": regexp.MustCompile(`^(GET|PUT) /v1/corps/[^/]+/(setup|app)$|^POST /v1/corps/[^/]+/(app/)?callback/rotate$`),
	"message text": regexp.MustCompile(`^GET /v1/corps/[^/]+/(conversations|conversations/[^/]+(/messages|/search)?|messages/[^/]+(/raw)?)$|` +
		`^POST /v1/corps/[^/]+/messages:batch$`),
	"file name": regexp.MustCompile(`^GET /v1/corps/[^/]+/(conversations|conversations/[^/]+(/messages|/search)?|messages/[^/]+(/raw|/files/0)?)$`),
}

// A lookout reads, again and again, what other processes and users of a machine can
// see of the functions and the workers: environments, arguments and temporary files.
type lookout struct {
	c    *cloud.Cloud
	mu   sync.Mutex
	seen map[string]string // where, by text
	pids map[string]bool
	stop func()
}

func startLookout(ctx context.Context, c *cloud.Cloud) *lookout {
	ctx, cancel := context.WithCancel(ctx)
	l := &lookout{c: c, seen: make(map[string]string), pids: make(map[string]bool)}
	var looking sync.WaitGroup
	looking.Go(func() {
		for ctx.Err() == nil {
			l.look()
			sleep(ctx, 50*time.Millisecond)
		}
	})
	l.stop = func() {
		cancel()
		looking.Wait()
	}
	return l
}

// look looks once. Processes and files may vanish meanwhile.
func (l *lookout) look() {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		comm, _ := os.ReadFile(name)
		if kind := strings.TrimSpace(string(comm)); kind == "bootstrap" || kind == "worker" {
			dir := filepath.Dir(name)
			for _, file := range []string{"environ", "cmdline"} {
				l.note(kind, filepath.Base(dir), file, filepath.Join(dir, file))
			}
		}
	}
	for _, id := range l.c.FunctionIDs() {
		_ = filepath.WalkDir(l.c.TempDir(id), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				l.note("temporary file", "", filepath.Base(path), path)
			}
			return nil
		})
	}
}

func (l *lookout) note(kind, pid, file, path string) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[string(b)] = file + " of a " + kind
	if pid != "" {
		l.pids[kind+pid] = true
	}
}

// processes counts the processes of the kind that were seen.
func (l *lookout) processes(kind string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for pid := range l.pids {
		if strings.HasPrefix(pid, kind) {
			n++
		}
	}
	return n
}

// Secrets, keys, tokens and message texts stay in their places while everything
// goes wrong: functions are killed, the library crashes and prints what it reads,
// WeCom answers garbage, is unreachable and quotes the request, a secret is wrong, a
// key cannot be read, a page cannot be parsed. They are in no log, in no other store
// or queue, in no notice, announcement or answer, and in no environment, argument or
// temporary file of a process.
func TestSecretsStayInTheirPlaces(t *testing.T) {
	var mu sync.Mutex
	var sights []sight
	observe := func(function string, r *http.Request, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		sights = append(sights, sight{function, serviceOf(r), r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
	}
	answers := &recorder{next: &http.Transport{}}
	c := cloudtest.Start(t, cloud.Options{
		Root: "../..", Tick: time.Second, FailureSpeed: 60, Observe: observe, Companies: cloud.Invented()[:1],
		Sim: wecom.Config{Seed: 3, NotifyEvery: time.Second, Client: &http.Client{Transport: answers}},
	})
	c.API.Client.Transport = answers
	if err := c.SetUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	look := startLookout(ctx, c)
	defer look.stop()
	p := newPlanting(ctx, t, c)
	p.breakPages()
	p.readEverything(look)
	p.quote()
	p.mistakeSecrets()
	p.killEverything(look)
	look.stop()

	f := newFinder(p.list)
	seen := make(map[string]bool)
	searchPlaces(t, f, c, look)
	answers.search(t, f, seen)
	mu.Lock()
	defer mu.Unlock()
	for _, s := range sights {
		s.search(t, f, c, seen)
	}
	// Otherwise the test would look with the wrong eyes.
	for _, what := range []string{
		"request to dynamodb", "request to s3", "request to sqs", "request to sns", "request to events", "request to secretsmanager",
		"request that stores the archive secret", "request that stores the wrong secret", "request that stores the app secret",
		"request that stores the private key", "request that stores the pair key",
		"request that stores the message text", "request that stores the large message text", "request that stores the file",
		"request that stores the file name",
		"answer with the callback pair", "answer with the message text", "answer with the large message text", "answer to a callback",
	} {
		if !seen[what] {
			t.Errorf("saw no %s", what)
		}
	}
}

// planting is a company in which secrets, keys, tokens and texts were planted.
type planting struct {
	ctx                       context.Context
	t                         *testing.T
	c                         *cloud.Cloud
	corp                      *wecom.Corp
	draft                     wecom.Draft
	list                      []planted
	text, largeText, fileName string
	appSecret, token          string
	wrongSecret, wrongKey     string
	fileMessage               string // the msgid of the message with a file
}

func newPlanting(ctx context.Context, t *testing.T, c *cloud.Cloud) *planting {
	t.Helper()
	corp := c.Sim.Corps()[0]
	details := corp.Details()
	p := &planting{
		ctx: ctx, t: t, c: c, corp: corp,
		draft: wecom.Draft{From: details.Staff[0].UserID, To: []string{details.Customers[0].ExternalUserID}},
		text:  rand.Text(), largeText: rand.Text(), fileName: rand.Text(), appSecret: rand.Text(), wrongSecret: rand.Text(), wrongKey: rand.Text() + rand.Text(),
	}
	var err error
	if p.token, err = c.Token(map[string]any{"sub": "planted", "corp": corp.ID(), "role": people.Service}); err != nil {
		t.Fatal(err)
	}
	p.list = append(secretsOf(ctx, t, c),
		plant("archive secret", "secret archive", corp.Secret()), plant("wrong secret", "secret archive", p.wrongSecret),
		plant("app secret", "secret app", p.appSecret), plant("unreadable key", "nowhere", p.wrongKey),
		plant("token", "nowhere", p.token[strings.LastIndex(p.token, ".")+1:]), // the signature: tokens begin alike
		plant("message text", "message", p.text), plant("large message text", "large message", p.largeText),
		plant("file name", "file name", p.fileName))
	p.pairs()
	p.accessTokens()
	if err := corp.SetApp(wecom.AppConfig{Secret: p.appSecret, Contacts: true, TrustedIPs: []string{"127.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	p.call(http.MethodPut, "/app", map[string]any{"secret": p.appSecret, "agent_id": "1000002"}, false)
	return p
}

// say sends the planted text, and more behind it.
func (p *planting) say(more string) {
	p.t.Helper()
	d := p.draft
	d.Text = p.text + more
	p.send(d)
}

func (p *planting) send(d wecom.Draft) wecom.Sent {
	p.t.Helper()
	sent, err := p.corp.Send(d)
	if err != nil {
		p.t.Fatal(err)
	}
	return sent
}

func (p *planting) call(method, path string, in any, refused bool) {
	p.t.Helper()
	if err := p.c.API.Call(p.ctx, people.Admin, method, p.corp.ID(), path, in, nil); (err != nil) != refused {
		p.t.Errorf("%s %s: got %v", method, path, err)
	}
}

// pull requests a pull, and looks at the set-up.
func (p *planting) pull() {
	p.t.Helper()
	p.call(http.MethodPost, "/pull", nil, false)
	p.call(http.MethodPost, "/doctor", nil, false)
}

func (p *planting) fault(f wecom.Faults) {
	p.t.Helper()
	if err := p.corp.SetFaults(f); err != nil {
		p.t.Fatal(err)
	}
}

// pairs plants the present callback pairs. The table has them sealed.
func (p *planting) pairs() {
	p.t.Helper()
	for _, path := range []string{"/setup", "/app"} {
		var page struct {
			Callback struct {
				Token  string `json:"token"`
				AESKey string `json:"encoding_aes_key"`
			} `json:"callback"`
		}
		if err := p.c.API.Call(p.ctx, people.Admin, http.MethodGet, p.corp.ID(), path, nil, &page); err != nil {
			p.t.Fatal(err)
		}
		p.list = append(p.list, plant("callback pair", "nowhere", page.Callback.AESKey), plant("callback pair", "nowhere", page.Callback.Token))
	}
}

func (p *planting) accessTokens() {
	for _, value := range p.c.Sim.Tokens() {
		p.list = append(p.list, plant("access_token", "nowhere", value))
	}
}

// breakPages lets the library crash and print, and WeCom answer broken pages.
func (p *planting) breakPages() {
	p.t.Helper()
	p.say(" before the faults")
	p.say(" ##standin:crash##")
	p.say(" ##standin:tell##")
	if _, err := p.corp.SendRaw([]byte(`{"msgid": `+p.text), wecom.RawOptions{}); err != nil {
		p.t.Fatal(err)
	}
	large, file, size := p.draft, p.draft, 3000
	large.Text = p.largeText + strings.Repeat(" 0123456789abcdef", 20<<10)
	file.Kind, file.Text, file.Size = "file", p.fileName+".bin", &size
	p.send(large)
	p.fileMessage = p.send(file).MsgID
	for _, page := range []wecom.PageFault{wecom.PageNotJSON, wecom.PageTruncated, wecom.PageMissingFields, wecom.PageGarbageKeys} {
		p.fault(wecom.Faults{Page: page, PageTimes: 1})
		p.say(" " + string(page))
		p.call(http.MethodPost, "/pull", nil, false)
		sleep(p.ctx, time.Second)
		p.fault(wecom.Faults{})
		p.call(http.MethodPost, "/pull", nil, false)
		untilHandled(p.ctx, p.t, p.c, p.corp)
	}
	if err := people.RotateKey(p.ctx, p.c.API, p.corp); err != nil {
		p.t.Fatal(err)
	}
	p.say(" under another key")
	untilHandled(p.ctx, p.t, p.c, p.corp)
}

// readEverything sends every request to the API.
func (p *planting) readEverything(look *lookout) {
	p.t.Helper()
	if found := look.processes("worker"); found == 0 {
		p.t.Error("found no worker")
	}
	p.list = append(p.list, storedFile(p.ctx, p.t, p.c, p.corp, p.fileMessage))
	askEverything(p.ctx, p.t, p.c, p.corp, p.token, p.text, p.fileMessage)
}

// quote lets WeCom quote what it was asked, and what it was sent.
func (p *planting) quote() {
	p.t.Helper()
	quote := strings.Join([]string{p.corp.Secret(), p.appSecret, p.text, strings.Join(p.c.Sim.Tokens(), " ")}, " ")
	for _, body := range []string{`{"errcode":-1,"errmsg":"busy: ` + quote + `"}`, `{"errcode":99,"errmsg":"` + quote + `"}`, `{"errcode":"` + quote + `"}`, quote} {
		for _, path := range []string{
			"/cgi-bin/gettoken", "/cgi-bin/message/getchatdata", "/cgi-bin/msgaudit/get_permit_user_list", "/cgi-bin/msgaudit/check_single_agree", "/cgi-bin/user/get",
		} {
			if err := p.corp.FailNext(wecom.Failure{Endpoint: path, Code: -1, Body: body}); err != nil {
				p.t.Fatal(err)
			}
		}
		p.accessTokens()
		p.corp.InvalidateTokens()
		p.say(" quoted")
		p.pull()
		sleep(p.ctx, 500*time.Millisecond)
	}
	p.corp.EndFailures()
	p.fault(wecom.Faults{Unreachable: true})
	p.pull()
	p.fault(wecom.Faults{})
	p.accessTokens()
}

// mistakeSecrets lets the admin enter a wrong key and a wrong secret.
func (p *planting) mistakeSecrets() {
	p.t.Helper()
	p.call(http.MethodPost, "/keys/import", map[string]any{"private_key": "-----BEGIN PRIVATE KEY-----\n" + p.wrongKey + "\n-----END PRIVATE KEY-----"}, true)
	p.call(http.MethodPut, "/setup", map[string]any{"secret": p.wrongSecret, "publickey_ver": p.wrongSecret}, true)
	p.call(http.MethodPut, "/setup", map[string]any{"secret": p.wrongSecret}, false)
	p.pull()
	for _, path := range []string{"/callback/rotate", "/app/callback/rotate"} {
		p.call(http.MethodPost, path, map[string]any{"revoke_old": true}, false)
	}
	p.pairs()
}

// killEverything kills each function, and waits until others have started.
func (p *planting) killEverything(look *lookout) {
	p.t.Helper()
	functions := look.processes("bootstrap")
	for _, id := range p.c.FunctionIDs() {
		for p.c.Kill(id) {
		}
	}
	sleep(p.ctx, 3*time.Second) // the requests are delivered again
	if look.processes("bootstrap") == functions {
		p.t.Error("found no function that started after the others were killed")
	}
	p.list = append(p.list, secretsOf(p.ctx, p.t, p.c)...)
	p.accessTokens()
}

// searchPlaces searches the processes, their temporary files, and the logs.
func searchPlaces(t *testing.T, f *finder, c *cloud.Cloud, look *lookout) {
	t.Helper()
	report := func(where string, b []byte) {
		for _, p := range f.in(b) {
			t.Errorf("%s is in %s", p.name, where)
		}
	}
	for text, where := range look.seen {
		report(where, []byte(text))
	}
	logs, err := filepath.Glob(filepath.Join(c.Logs, "*.log"))
	if err != nil || len(logs) != len(c.FunctionIDs()) {
		t.Fatalf("got logs %v, %v; want one for each function", logs, err)
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			report(fmt.Sprintf("the log %s: %s", filepath.Base(name), line), line)
		}
	}
}

// search searches the answers, and notes what they show where it belongs.
func (r *recorder) search(t *testing.T, f *finder, seen map[string]bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.list {
		for _, p := range f.in(a.text) {
			if shower := showers[strings.TrimPrefix(p.name, "large ")]; shower == nil || !shower.MatchString(a.method+" "+a.path) {
				t.Errorf("%s is in an answer: %s %s %d", p.name, a.method, a.path, a.status)
			}
			seen["answer with the "+p.name] = true
		}
		if strings.HasPrefix(a.path, "/callback/") {
			seen["answer to a callback"] = true
		}
	}
}

// search searches a request of a function, and notes what it stores where it belongs.
func (s sight) search(t *testing.T, f *finder, c *cloud.Cloud, seen map[string]bool) {
	t.Helper()
	seen["request to "+s.service] = true
	for _, fragment := range s.fragments(c) {
		for _, p := range f.in(fragment.text) {
			if p.place == fragment.place || p.name == "file name" && fragment.place == "message" {
				seen["request that stores the "+p.name] = true
			} else {
				t.Errorf("%s is in a request of %s: %s %s %s %s", p.name, s.function, s.service, s.method, s.uri, s.header.Get("X-Amz-Target"))
			}
		}
	}
}

// storedFile plants the bytes of the message's file, as its link answers them.
func storedFile(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, msgID string) planted {
	t.Helper()
	id := messageID(ctx, t, c, corp, msgID)
	for {
		var m message
		if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp.ID(), "/messages/"+id, nil, &m); err != nil {
			t.Fatal(err)
		}
		if !m.waits() {
			break
		}
		sleep(ctx, 100*time.Millisecond)
	}
	var link struct {
		URL string `json:"url"`
	}
	if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp.ID(), "/messages/"+id+"/files/0", nil, &link); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || len(b) < 1000 {
		t.Fatalf("got %d bytes of a file, %v", len(b), err)
	}
	return plant("file", "file", string(b[500:600]))
}

// messageID finds the API's id of a message.
func messageID(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, msgID string) string {
	t.Helper()
	read, err := people.ReadAll(ctx, c.API, corp)
	if err != nil {
		t.Fatal(err)
	}
	if read[msgID].ID == "" {
		t.Fatalf("message %s not found", msgID)
	}
	return read[msgID].ID
}

// untilHandled waits until every archived record of the corp is decoded or set
// aside.
func untilHandled(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	t.Helper()
	watch := people.Watcher{API: c.API, Corp: corp.ID()}
	for {
		p, err := watch.Look(ctx)
		if err == nil && p.Decoded+p.SetAside == archived(corp) && p.Pending == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("got %+v, %v; want %d records decoded or set aside", p, err, archived(corp))
		}
		sleep(ctx, 300*time.Millisecond)
	}
}

// secretsOf reads the private keys and the pair key of the cloud's secret store.
func secretsOf(ctx context.Context, t *testing.T, c *cloud.Cloud) (list []planted) {
	t.Helper()
	store := secretsmanager.NewFromConfig(c.Config)
	var prefix string
	for _, f := range c.Stack.Functions {
		prefix = cmp.Or(prefix, f.Environment["SECRETS_PREFIX"])
	}
	pages := secretsmanager.NewListSecretsPaginator(store, &secretsmanager.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.SecretList {
			if !strings.HasPrefix(*s.Name, prefix+"/") { // of another test
				continue
			}
			v, err := store.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.ARN})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(*s.Name, "/pairkey") {
				list = append(list, plant("pair key", "secret pairkey", *v.SecretString))
			}
			if strings.Contains(*v.SecretString, "PRIVATE KEY-----") {
				key, err := plantKey("private key", "secret key", *v.SecretString)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, key)
			}
		}
	}
	return list
}

// askEverything asks each GET route of the API that is about a company, and some that
// do not exist, with the planted token.
func askEverything(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, token, text, msgID string) {
	t.Helper()
	source, err := os.ReadFile("../../functions/api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(source, &api); err != nil {
		t.Fatal(err)
	}
	details := corp.Details()
	member, customer := details.Staff[0].UserID, details.Customers[0].ExternalUserID
	conversations, err := people.Conversations(ctx, c.API, corp.ID(), "member="+member+"&external_contact="+customer)
	if err != nil || len(conversations) == 0 {
		t.Fatalf("got conversations %v, %v", conversations, err)
	}
	var job struct {
		ID string `json:"id"`
	}
	if err := c.API.Call(ctx, people.Auditor, http.MethodPost, corp.ID(), "/replays", map[string]any{"verify": true}, &job); err != nil {
		t.Fatal(err)
	}
	message := messageID(ctx, t, c, corp, msgID)
	queries := map[string]string{
		"/conversations": "member=" + member, "/files": "state=failed", "/consents": "member=" + member,
		"/consents/history":                    "member=" + member + "&external_contact=" + customer,
		"/conversations/{conversation}/search": "q=" + text,
	}
	asked := 0
	for route, methods := range api.Paths {
		path, ofCorp := strings.CutPrefix(route, "/v1/corps/{corpid}")
		if _, get := methods["get"]; !get || !ofCorp {
			continue
		}
		asked++
		id := message
		if strings.HasPrefix(path, "/replays") {
			id = job.ID
		}
		path = strings.NewReplacer("{conversation}", conversations[0], "{id}", id, "{n}", "0", "{day}", time.Now().Format(time.DateOnly)).Replace(path)
		ask(ctx, t, c, token, corp, path+"?"+queries[strings.TrimPrefix(route, "/v1/corps/{corpid}")], http.StatusOK)
	}
	if asked < 25 {
		t.Errorf("got %d GET routes in openapi.yaml, want more", asked)
	}
	ask(ctx, t, c, token, corp, "/no-such-route", http.StatusNotFound)
	ask(ctx, t, c, token, corp, "/people?kind="+text, http.StatusBadRequest)
	ask(ctx, t, c, token, corp, "/messages/unknown", http.StatusNotFound) // the log has the ids that were asked for
}

// ask sends a request with the token.
func ask(ctx context.Context, t *testing.T, c *cloud.Cloud, token string, corp *wecom.Corp, path string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.GatewayURL+"/v1/corps/"+corp.ID()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.API.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
	}
}
