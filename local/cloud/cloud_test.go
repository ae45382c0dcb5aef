package cloud_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/cloudtest"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// root makes a folder like the repository, with the template of testdata and the
// built functions of that template.
func root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	template, err := os.ReadFile("testdata/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), template, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"FrontFunction/bootstrap", "BackFunction/bootstrap", "TickFunction/bootstrap", "FinanceSdkLayer/finance-sdk/worker"} {
		path := filepath.Join(dir, "build", filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(built.Function(t, "./testdata/function"), path); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask sends a request to the API, with a token unless corp is empty.
func ask(t *testing.T, c *cloud.Cloud, method, path, body, corp string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.GatewayURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	if corp != "" {
		token, err := c.API.Token(corp, "reader")
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.API.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// eventually waits until a GET answers 200, and returns the body. The limit is
// far longer than the wait takes and only ends a test that hangs.
func eventually(t *testing.T, c *cloud.Cloud, path string) string {
	t.Helper()
	for range 600 {
		if status, body := ask(t, c, "GET", path, "", "ww1"); status == http.StatusOK {
			return body
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: got no status 200", path)
	return ""
}

func TestCloud(t *testing.T) {
	c := cloudtest.Start(t, cloud.Options{Root: root(t), Tick: 100 * time.Millisecond, IdleAfter: time.Minute})
	t.Run("API", func(t *testing.T) { testAPI(t, c) })
	t.Run("environment", func(t *testing.T) { testEnvironment(t, c) })
	t.Run("schedule", func(t *testing.T) {
		if got := eventually(t, c, "/v1/ticks"); got != scheduled {
			t.Errorf("got %q, want %q", got, scheduled)
		}
	})
	if len(c.Sim.Corps()) != 2 {
		t.Errorf("got %d companies, want 2", len(c.Sim.Corps()))
	}
	if s := c.Function("FrontFunction").Stats(); s.Failures != 0 || s.ColdStarts == 0 {
		t.Errorf("got %+v, want cold starts and no failures", s)
	}
	t.Run("control", func(t *testing.T) { testControl(t, c) })
}

// scheduled is what the tests' function stores of a scheduled event: the type,
// region, account and rule. The name of the rule is left out, because it begins
// with the stack's name.
const scheduled = "Scheduled Event in cn-north-1 of 123456789012 by arn:aws-cn:events:cn-north-1:123456789012:rule/"

func testAPI(t *testing.T, c *cloud.Cloud) {
	if status, body := ask(t, c, "GET", "/health", "", ""); status != 200 || body != "well" {
		t.Errorf("open route: got %d %q", status, body)
	}
	if status, _ := ask(t, c, "GET", "/v1/corp", "", ""); status != 401 {
		t.Errorf("without a token: got %d, want 401", status)
	}
	if status, body := ask(t, c, "GET", "/v1/corp", "", "ww1"); status != 200 || body != "ww1" {
		t.Errorf("claims: got %d %q, want ww1", status, body)
	}
	page, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.GatewayURL+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	page.Header.Set("Origin", "http://localhost:5173")
	answer, err := http.DefaultClient.Do(page)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := answer.Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("page of another origin: got %q allowed, want *", got)
	}
	if status, body := ask(t, c, "POST", "/v1/files/a/云", "text", "ww1"); status != 202 {
		t.Fatalf("send: got %d %q", status, body)
	}
	if got := eventually(t, c, "/v1/files/a/云"); got != "text by back" {
		t.Errorf("through queue and bucket: got %q", got)
	}
}

// The cloud replaces the library and WeCom's address in the environment of
// functions.
func testEnvironment(t *testing.T, c *cloud.Cloud) {
	ask(t, c, "POST", "/v1/files/library", "$SDK_LIBRARY", "ww1")
	if got := eventually(t, c, "/v1/files/library"); !strings.HasSuffix(got, "libWeWorkFinanceSdk_C.so by back") || strings.HasPrefix(got, "/opt") {
		t.Errorf("library: got %q, want the stand-in's path", got)
	}
	ask(t, c, "POST", "/v1/files/wecom", "$WECOM_API", "ww1")
	if got := eventually(t, c, "/v1/files/wecom"); got != "http://qyapi.weixin.qq.com by back" {
		t.Errorf("WeCom: got %q, want a URL without TLS", got)
	}
}

func testControl(t *testing.T, c *cloud.Cloud) {
	for _, want := range []struct {
		method, path string
		status       int
		body         string
		header       []string
	}{
		{"GET", "/", 200, "/kill/{function}", nil},
		{"GET", "/functions", 200, "FrontFunction", nil},
		{"GET", "/wecom/corps", 200, "ww0123456789abcdef", nil},
		{"POST", "/kill/FrontFunction", 200, `"killed":true`, nil},
		{"POST", "/kill/Nothing", 404, "unknown function", nil},
		{"POST", "/wipe/Things", 200, "wiped", nil},
		{"POST", "/wipe/Nothing", 400, "table Nothing not declared", nil},
		{"POST", "/token", 200, `"token":"ey`, nil},
		{"POST", "/token", 403, "", []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", "/token", 403, "", []string{"Host", "evil.example:80"}},
	} {
		t.Run(want.method+" "+want.path, func(t *testing.T) {
			if status, body := command(t, c, want.method, want.path, want.header...); status != want.status || !strings.Contains(body, want.body) {
				t.Errorf("got %d %.200q, want %d with %q", status, body, want.status, want.body)
			}
		})
	}
}

// command sends a command to the control port. headers alternates names and
// values.
func command(t *testing.T, c *cloud.Cloud, method, path string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.ControlURL+path, strings.NewReader(`{"sub":"me"}`))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		if headers[n] == "Host" {
			r.Host = headers[n+1]
		}
		r.Header.Set(headers[n], headers[n+1])
	}
	resp, err := c.API.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// The functions call another WeCom with TLS, like the deployed functions, unless
// the options name a URL without TLS.
func TestAnotherWeCom(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"as deployed": {nil, "https://wecom.example by back"},
		"without TLS": {map[string]string{"WECOM_API": "http://127.0.0.1:1"}, "http://127.0.0.1:1 by back"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := cloudtest.Start(t, cloud.Options{Root: root(t), WeCom: "http://127.0.0.1:1", Env: c.env})
			ask(t, cloud, "POST", "/v1/files/wecom", "$WECOM_API", "ww1")
			if got := eventually(t, cloud, "/v1/files/wecom"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDataSurvivesStop(t *testing.T) {
	dir, parent := root(t), t.TempDir()
	t.Chdir(parent)
	const data = "data" // relative to a folder in which no function runs
	first := cloudtest.Start(t, cloud.Options{Root: dir, Data: data, StackName: "cloud-test", Tick: 100 * time.Millisecond})
	if want := filepath.Join(parent, data, "logs"); first.Logs != want {
		t.Errorf("folder of logs: got %q, want %q", first.Logs, want)
	}
	ask(t, first, "POST", "/v1/files/a/云%25", "kept", "ww1")
	eventually(t, first, "/v1/files/a/云%25")
	if status, body := ask(t, first, "PUT", "/v1/secret", "s3cret", "ww1"); status != 200 {
		t.Fatalf("make a secret: got %d %q", status, body)
	}
	eventually(t, first, "/v1/ticks")
	first.Stop()

	second := cloudtest.Start(t, cloud.Options{Root: dir, Data: data, StackName: "cloud-test", Tick: time.Hour})
	for path, want := range map[string]string{"/v1/files/a/云%25": "kept by back", "/v1/secret": "s3cret", "/v1/ticks": scheduled} {
		if status, body := ask(t, second, "GET", path, "", "ww1"); status != 200 || body != want {
			t.Errorf("%s: got %d %q, want %q", path, status, body, want)
		}
	}
}

func TestStopEndsEverything(t *testing.T) {
	c := cloudtest.Start(t, cloud.Options{Root: root(t)})
	ask(t, c, "GET", "/health", "", "")
	pids := c.Function("FrontFunction").Processes()
	if len(pids) != 1 {
		t.Fatalf("got processes %v, want one", pids)
	}
	c.Stop()
	c.Stop()
	if _, err := os.Stat(c.Logs); !os.IsNotExist(err) {
		t.Errorf("temporary folder exists after Stop: %v", err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pids[0])); !os.IsNotExist(err) {
		t.Errorf("process %d exists after Stop: %v", pids[0], err)
	}
	for _, url := range []string{c.GatewayURL, c.ControlURL, c.WeComURL} {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			_ = conn.Close()
			t.Errorf("%s answers after Stop", url)
		}
	}
}

func TestStartRefusals(t *testing.T) {
	dir := root(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bare := t.TempDir()
	for name, c := range map[string]struct {
		options cloud.Options
		want    string
	}{
		"no template":    {cloud.Options{Root: bare}, "is not the folder of the repository"},
		"taken port":     {cloud.Options{Root: dir, GatewayAddr: taken.Addr().String()}, "address already in use"},
		"open to others": {cloud.Options{Root: dir, ControlAddr: "0.0.0.0:0"}, "not a loopback address"},
		"data twice":     {cloud.Options{Root: dir, Data: bare, Services: &aws.Services{}}, "exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Log = slog.New(slog.DiscardHandler)
			got, err := cloud.Start(t.Context(), c.options)
			if err == nil {
				got.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
