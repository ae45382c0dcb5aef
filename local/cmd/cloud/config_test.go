package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// root is the folder of the repository.
var root = []string{"-root", "../../.."}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	env := []string{"LOCAL_API_PORT=1", "LOCAL_CONTROL_PORT=2", "LOCAL_NO_CHAT=true", "LOCAL_TICK=3s", "LOCAL_CORPS=", "PATH=/bin"}
	var help strings.Builder
	c, err := parseConfig(append(root, "-api-port", "9", "-data", "kept"), env, &help)
	if err != nil {
		t.Fatal(err)
	}
	if c.apiPort != 9 || c.controlPort != 2 || !c.noChat || c.tick != 3*time.Second || c.data != "kept" {
		t.Errorf("got %+v: a flag comes before the environment, which comes before the default", c)
	}
	if o := c.options(nil, nil); o.GatewayAddr != "127.0.0.1:9" || o.Tick != 3*time.Second {
		t.Errorf("got options %+v", o)
	}
}

// A mistake is named by the flag or the variable that was given, with what is
// allowed.
func TestParseConfigRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, env string // separated by spaces
		want      string // whole errors, one a line
	}{
		{"-once 3 -wecom http://127.0.0.1:1", "", "-once needs the simulated WeCom, and -wecom names another"},
		{"-once 3 -data x", "", "-once begins with nothing, and -data keeps what there was"},
		{"-once 3", "LOCAL_DATA=x", "-once begins with nothing, and LOCAL_DATA keeps what there was"},
		{"-once -1", "", "-once is -1: want a number of messages, 0 or more"},
		{"-api-port 70000", "", "-api-port is 70000: want a port from 0 to 65535"},
		{"", "LOCAL_API_PORT=70000", "LOCAL_API_PORT is 70000: want a port from 0 to 65535"},
		{"-api-port 80a", "", `-api-port is "80a": want a whole number`},
		{"", "LOCAL_API_PORT=80a", `LOCAL_API_PORT is "80a": want a whole number`},
		{"-wecom-port 8080", "", "-wecom-port is 8080, and so is -api-port: want another port, or 0 for a free one"},
		{"-wecom 127.0.0.1:1", "", `-wecom is "127.0.0.1:1": want a URL such as http://127.0.0.1:9000 or socks5://127.0.0.1:9000`},
		{"-wecom https://127.0.0.1:1", "", `-wecom is "https://127.0.0.1:1": want a URL such as http://127.0.0.1:9000 or socks5://127.0.0.1:9000`},
		{"-wecom http://127.0.0.1:1 -wecom-api qyapi.weixin.qq.com", "", `-wecom-api is "qyapi.weixin.qq.com": want a URL such as https://qyapi.weixin.qq.com`},
		{"-wecom-api http://127.0.0.1:1", "", "-wecom-api needs -wecom, which is missing"},
		{"-corps ww1", "", "-corps needs -wecom, which is missing; the simulated companies get tokens anyway"},
		{"-rate 0", "", "-rate is 0: want a number above 0, at most 10000; -no-chat stops all messages"},
		{"-rate NaN", "", "-rate is NaN: want a number above 0, at most 10000; -no-chat stops all messages"},
		{"-rate Inf", "", "-rate is +Inf: want a number above 0, at most 10000; -no-chat stops all messages"},
		{"-rate 5", "LOCAL_NO_CHAT=1", "-rate is how often people send messages, and LOCAL_NO_CHAT stops all messages"},
		{"-no-chat", "LOCAL_RATE=5", "LOCAL_RATE is how often people send messages, and -no-chat stops all messages"},
		{"-no-chat -once 5", "", "-once sends messages, and -no-chat stops all messages"},
		{"", "LOCAL_API_PROT=9", "LOCAL_API_PROT is set, and no flag has this variable; -h lists the flags"},
		{"-rate fast", "", `-rate is "fast": want a number`},
		{"-tick 3", "", `-tick is "3": want a duration such as 30s or 5m`},
		{"-tick -1s -notify -2s", "", "-tick is -1s: want a duration of 0 or more\n-notify is -2s: want a duration of 0 or more"},
		{"-idle-after 0s", "", "-idle-after is 0s: want a duration above 0"},
		{"-v=loud", "", `-v is "loud": want true or false`},
		{"", "LOCAL_NO_CHAT=silent LOCAL_TICK=soon", "LOCAL_NO_CHAT is \"silent\": want true or false\nLOCAL_TICK is \"soon\": want a duration such as 30s or 5m"},
		{"-failure-speed 0 now", "", "unknown argument \"now\"; -h lists the flags\n-failure-speed is 0: want a whole number of 1 or more"},
		{"-sdk-library nowhere.so", "", `-sdk-library is "nowhere.so": want the path of a file`},
		{"-sdk-worker .", "", `-sdk-worker is ".": want the path of a file`},
		{"-data config.go", "", `-data is "config.go", a file: want a folder, which is made if missing`},
		{"-root .", "", `-root is ".": want the folder of the repository, which has template.yaml`},
		{"-bogus", "", "flag provided but not defined: -bogus; -h lists the flags"},
		{"-data", "", "flag needs an argument: -data; -h lists the flags"},
	} {
		t.Run(c.args+c.env, func(t *testing.T) {
			t.Parallel()
			var help strings.Builder
			_, err := parseConfig(slices.Concat(root, strings.Fields(c.args)), strings.Fields(c.env), &help)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if help.Len() > 0 {
				t.Errorf("got %q printed beside the error", help.String())
			}
		})
	}
}

// With -check, run looks at the flags and starts nothing.
func TestCheckStartsNothing(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"-rate=5": "<nil>", "-rate=0": "-rate is 0: want a number above 0, at most 10000; -no-chat stops all messages"} {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got := run(ctx, slices.Concat(root, []string{"-check", arg}), nil, out, out)
		if info, err := out.Stat(); fmt.Sprint(got) != want || err != nil || info.Size() > 0 {
			t.Errorf("%s: got %v and %v, want %s and nothing printed", arg, got, info, want)
		}
		out.Close()
	}
}

// What needs minutes the first time is shown; what services print is shown on
// request only.
func TestProgressIsShown(t *testing.T) {
	t.Parallel()
	for _, verbose := range []bool{false, true} {
		var shown []string
		var log strings.Builder
		o := config{verbose: verbose}.options(slog.New(slog.NewTextHandler(&log, nil)), func(line string) { shown = append(shown, line) })
		o.ServiceLog("fetching DynamoDB Local, once")
		o.ServiceLog("moto: Running on http://127.0.0.1:1")
		if len(shown) != 1 || !strings.HasPrefix(shown[0], "fetching ") {
			t.Errorf("got %q shown, want what is fetched", shown)
		}
		if strings.Contains(log.String(), "Running on") != verbose {
			t.Errorf("verbose is %v: got the log %q", verbose, log.String())
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if _, err := parseConfig([]string{"-h"}, nil, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{"Ctrl-C", "-sdk-library path", "-data folder", "LOCAL_API_PORT"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help does not tell of %q", want)
		}
	}
}
