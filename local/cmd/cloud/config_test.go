package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func none(string) string { return "" }

func TestParseConfig(t *testing.T) {
	t.Parallel()
	env := map[string]string{"LOCAL_API_PORT": "1", "LOCAL_CONTROL_PORT": "2", "LOCAL_NO_CHAT": "true", "LOCAL_TICK": "3s"}
	var help strings.Builder
	c, err := parseConfig([]string{"-api-port", "9", "-data", "kept"}, func(name string) string { return env[name] }, &help)
	if err != nil {
		t.Fatal(err)
	}
	if c.apiPort != 9 || c.controlPort != 2 || !c.noChat || c.tick != 3*time.Second || c.data != "kept" {
		t.Errorf("got %+v: a flag comes before the environment, which comes before the default", c)
	}
	if o := c.options(nil); o.GatewayAddr != "127.0.0.1:9" || o.Tick != 3*time.Second {
		t.Errorf("got options %+v", o)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-once", "3", "-wecom", "http://127.0.0.1:1"}, "-once needs the simulated WeCom"},
		{[]string{"-once", "3", "-data", "x"}, "-once begins with nothing"},
		{[]string{"-api-port", "70000"}, "-api-port is no port"},
		{[]string{"-wecom", "127.0.0.1:1"}, "-wecom is no URL"},
		{[]string{"-wecom", "https://127.0.0.1:1"}, "-wecom is no URL"},
		{[]string{"-wecom", "http://127.0.0.1:1", "-wecom-api", "qyapi.weixin.qq.com"}, "-wecom-api is no URL"},
		{[]string{"-wecom-api", "http://127.0.0.1:1"}, "-wecom-api is for -wecom"},
		{[]string{"-rate", "0"}, "-rate must be above 0"},
		{[]string{"-corps", "ww1"}, "-corps is for -wecom"},
		{[]string{"-failure-speed", "0", "now"}, `unknown argument "now"`},
		{[]string{"-bogus"}, "not defined: -bogus"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			var help strings.Builder
			if _, err := parseConfig(c.args, none, &help); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if _, err := parseConfig([]string{"-h"}, none, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{"Ctrl-C", "-sdk-library path", "-data folder", "LOCAL_API_PORT"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help does not tell of %q", want)
		}
	}
}
