package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// A sight is a request of a function to AWS, reduced to what the test needs.
type sight struct {
	function, method, path, target string
	body                           []byte
}

// place names what the request reaches: "secrets", "messages" (the table), or
// "other".
func (s sight) place(c *cloud.Cloud) string {
	switch {
	case strings.HasPrefix(s.target, "secretsmanager."):
		return "secrets"
	case strings.HasPrefix(s.target, "DynamoDB_") && bytes.Contains(s.body, []byte(`"`+c.Stack.Tables["MessagesTable"]+`"`)):
		return "messages"
	}
	return "other"
}

// Secrets, keys, tokens and message texts stay in their places while everything
// goes wrong: a function is killed, the library crashes, WeCom answers garbage, a
// secret is wrong, a key cannot be read, a page cannot be parsed. They are in no
// log, in no other store or queue, and in no environment or argument of a process.
func TestSecretsStayInTheirPlaces(t *testing.T) {
	var mu sync.Mutex
	var sights []sight
	observe := func(function string, r *http.Request, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		sights = append(sights, sight{function, r.Method, r.URL.Path, r.Header.Get("X-Amz-Target"), body})
	}
	c := start(t, cloud.Options{
		Tick: time.Second, FailureSpeed: 60, Observe: observe, Companies: cloud.Invented()[:1], Sim: wecom.Config{Seed: 3, NotifyEvery: time.Second},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	corp := c.Sim.Corps()[0]
	text := rand.Text()
	wrongSecret, wrongKey := rand.Text(), rand.Text()+rand.Text()
	token, err := c.Token(map[string]any{"sub": "planted", "corp": corp.ID(), "role": "service"})
	if err != nil {
		t.Fatal(err)
	}
	list := append(secretsOf(ctx, t, c),
		plant("archive secret", "secrets", corp.Secret()), plant("wrong secret", "secrets", wrongSecret), plant("unreadable key", "nowhere", wrongKey),
		plant("token", "nowhere", token[strings.LastIndex(token, ".")+1:]), // the signature: tokens begin alike
		plant("message text", "messages", text))

	var shown struct {
		Callback struct {
			AESKey string `json:"encoding_aes_key"`
		} `json:"callback"`
	}
	if err := c.API.Call(ctx, people.Admin, http.MethodGet, corp.ID(), "/setup", nil, &shown); err != nil {
		t.Fatal(err)
	}
	list = append(list, plant("callback pair", "nowhere", shown.Callback.AESKey)) // the table has it sealed

	details := corp.Details()
	say := func(more string) {
		t.Helper()
		if _, err := corp.Send(wecom.Draft{From: details.Staff[0].UserID, To: []string{details.Customers[0].ExternalUserID}, Text: text + more}); err != nil {
			t.Fatal(err)
		}
	}
	call := func(method, path string, in any, refused bool) {
		t.Helper()
		if err := c.API.Call(ctx, people.Admin, method, corp.ID(), path, in, nil); (err != nil) != refused {
			t.Errorf("%s %s: got %v", method, path, err)
		}
	}
	fault := func(f wecom.Faults) {
		t.Helper()
		if err := corp.SetFaults(f); err != nil {
			t.Fatal(err)
		}
	}
	say(" before the faults")
	say("##standin:crash##")
	if _, err := corp.SendRaw([]byte(`{"msgid": `+text), wecom.RawOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, page := range []wecom.PageFault{wecom.PageNotJSON, wecom.PageTruncated, wecom.PageMissingFields, wecom.PageGarbageKeys} {
		fault(wecom.Faults{Page: page, PageTimes: 1})
		say(" " + string(page))
		call(http.MethodPost, "/pull", nil, false)
		sleep(ctx, time.Second)
		fault(wecom.Faults{})
		call(http.MethodPost, "/pull", nil, false)
		untilHandled(ctx, t, c, corp)
	}
	if err := people.RotateKey(ctx, c.API, corp); err != nil {
		t.Fatal(err)
	}
	say(" under another key")
	untilHandled(ctx, t, c, corp)
	for where, b := range processes(t) {
		report(t, list, where, b)
	}
	ask(ctx, t, c, token, corp)
	call(http.MethodPost, "/keys/import", map[string]any{"private_key": "-----BEGIN PRIVATE KEY-----\n" + wrongKey + "\n-----END PRIVATE KEY-----"}, true)
	call(http.MethodPut, "/setup", map[string]any{"secret": wrongSecret}, false)
	call(http.MethodPost, "/pull", nil, false)
	for _, id := range c.FunctionIDs() {
		c.Kill(id)
	}
	sleep(ctx, 3*time.Second) // the requests come back
	list = append(list, secretsOf(ctx, t, c)...)

	logs, err := filepath.Glob(filepath.Join(c.Logs, "*.log"))
	if err != nil || len(logs) != len(c.FunctionIDs()) {
		t.Fatalf("got logs %v, %v; want one for each function", logs, err)
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		report(t, list, "the log "+filepath.Base(name), b)
	}
	mu.Lock()
	defer mu.Unlock()
	seen := make(map[string]bool)
	for _, s := range sights {
		for _, p := range list {
			if p.place == s.place(c) {
				seen[p.name] = seen[p.name] || p.in(s.body)
			} else if p.in(s.body) {
				t.Errorf("%s is in a request of %s: %s %s %s", p.name, s.function, s.method, s.path, s.target)
			}
		}
	}
	// Otherwise the test would look with the wrong eyes.
	for _, name := range []string{"archive secret", "wrong secret", "private key", "pair key", "message text"} {
		if !seen[name] {
			t.Errorf("no request stored the %s", name)
		}
	}
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

func report(t *testing.T, list []planted, where string, b []byte) {
	t.Helper()
	for _, p := range list {
		if p.in(b) {
			t.Errorf("%s is in %s", p.name, where)
		}
	}
}

// secretsOf reads the private keys and the pair key of the cloud's secret store.
func secretsOf(ctx context.Context, t *testing.T, c *cloud.Cloud) (list []planted) {
	t.Helper()
	store := secretsmanager.NewFromConfig(c.Config)
	pages := secretsmanager.NewListSecretsPaginator(store, &secretsmanager.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.SecretList {
			if !strings.HasPrefix(*s.Name, c.Stack.Tables["CorpsTable"][:len("e2e-")]) {
				continue
			}
			v, err := store.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.ARN})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(*s.Name, "/pairkey") {
				list = append(list, plant("pair key", "secrets", *v.SecretString))
			}
			if strings.Contains(*v.SecretString, "PRIVATE KEY-----") {
				key, err := plantKey("private key", "secrets", *v.SecretString)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, key)
			}
		}
	}
	return list
}

// ask sends a request with the planted token.
func ask(ctx context.Context, t *testing.T, c *cloud.Cloud, token string, corp *wecom.Corp) {
	t.Helper()
	for _, path := range []string{"/status", "/no-such-route"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.GatewayURL+"/v1/corps/"+corp.ID()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if want := map[string]int{"/status": 200, "/no-such-route": 404}[path]; resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// processes are the environments and arguments of the functions and workers of
// this machine, those of other tests included.
func processes(t *testing.T) map[string][]byte {
	t.Helper()
	found := make(map[string][]byte)
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	workers := 0
	for _, name := range names {
		comm, _ := os.ReadFile(name) // a process may have ended
		kind := strings.TrimSpace(string(comm))
		if kind != "bootstrap" && kind != "worker" {
			continue
		}
		if kind == "worker" {
			workers++
		}
		for _, file := range []string{"environ", "cmdline"} {
			b, _ := os.ReadFile(filepath.Join(filepath.Dir(name), file))
			found[fmt.Sprintf("%s of a %s (%s)", file, kind, filepath.Base(filepath.Dir(name)))] = b
		}
	}
	if workers == 0 {
		t.Error("found no worker")
	}
	return found
}
