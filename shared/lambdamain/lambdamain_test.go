package lambdamain_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/yunduo-scrm/archive/shared/lambdamain"
)

func TestVersionIsLoggedOnceAtStart(t *testing.T) {
	t.Setenv("LAMBDAMAIN_TEST", "configured")
	built := lambdamain.Version
	lambdamain.Version = "v1.2.3"
	t.Cleanup(func() { lambdamain.Version = built })
	var log bytes.Buffer
	var loggedBefore, served string
	err := lambdamain.RunWith(t.Context(), "pull",
		func(getenv func(string) string) (string, error) { return getenv("LAMBDAMAIN_TEST"), nil },
		func(cfg string, _ aws.Config, _ *slog.Logger) (any, error) { return "handler of " + cfg, nil },
		slog.New(slog.NewTextHandler(&log, nil)),
		func(handler any) { loggedBefore, served = log.String(), handler.(string) })
	if err != nil {
		t.Fatal(err)
	}
	if served != "handler of configured" {
		t.Errorf("got %q served, want the handler built from the configuration", served)
	}
	if !strings.Contains(loggedBefore, "level=INFO msg=started function=pull version=v1.2.3\n") {
		t.Errorf("got log %q before the first event, want function and version", loggedBefore)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("got %d log lines, want one", n)
	}
}

func TestFailedStartServesNothing(t *testing.T) {
	errParse, errBuild := errors.New("variable missing"), errors.New("store unavailable")
	for name, c := range map[string]struct{ parse, build, want error }{
		"configuration": {parse: errParse, want: errParse},
		"handler":       {build: errBuild, want: errBuild},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			err := lambdamain.RunWith(t.Context(), "pull",
				func(func(string) string) (string, error) { return "", c.parse },
				func(string, aws.Config, *slog.Logger) (any, error) { return nil, c.build },
				slog.New(slog.NewTextHandler(&log, nil)),
				func(any) { t.Error("events served") })
			if !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if log.Len() != 0 {
				t.Errorf("got log %q, want the caller to log the error once", log.String())
			}
		})
	}
}

// The linker ignores the flag silently when the name in it is wrong.
func TestLinkerSetsTheVersion(t *testing.T) {
	const name = "github.com/yunduo-scrm/archive/shared/lambdamain.Version"
	out, err := exec.CommandContext(t.Context(), "go", "run", "-ldflags", "-X "+name+"=v9.8.7", "./testdata/printversion").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "v9.8.7" {
		t.Errorf("got version %q, want v9.8.7", got)
	}
}
