package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/needs"
)

// asCommand makes this test binary the command itself.
const asCommand = "WITHAWS_TEST_AS_COMMAND=1"

func TestMain(m *testing.M) {
	if name, value, _ := strings.Cut(asCommand, "="); os.Getenv(name) == value {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func withaws(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand)
	cmd.Stderr = t.Output()
	return cmd
}

// address is the host and port of an endpoint.
func address(url string) string { return strings.TrimPrefix(strings.TrimSpace(url), "http://") }

func answers(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestExitStatusAndEnd(t *testing.T) {
	needs.Servers(t)
	out, err := withaws(t, "--", "sh", "-c", `echo "$AWS_ENDPOINT_URL_DYNAMODB"; echo "$AWS_ENDPOINT_URL_SQS"; exit 3`).Output()
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 3 {
		t.Errorf("got %v, want exit status 3", err)
	}
	urls := bytes.Fields(out)
	if len(urls) != 2 {
		t.Fatalf("got endpoints %q, want two", out)
	}
	for _, url := range urls {
		if answers(address(string(url))) {
			t.Errorf("%s answers after the end", url)
		}
	}
}

func TestUsage(t *testing.T) {
	if e, ok := withaws(t).Run().(*exec.ExitError); !ok || e.ExitCode() != 2 {
		t.Errorf("got %v, want exit status 2", e)
	}
	if e, ok := withaws(t, "no-such-command-anywhere").Run().(*exec.ExitError); !ok || e.ExitCode() != 1 {
		t.Errorf("got %v, want exit status 1", e)
	}
}

// However the process ends, the services do too.
func TestServicesDieWithTheirParent(t *testing.T) {
	needs.Servers(t)
	cmd := withaws(t, "sh", "-c", `echo "$AWS_ENDPOINT_URL_DYNAMODB"; echo "$AWS_ENDPOINT_URL_S3"; echo $$; exec sleep 300`)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var said []string
	for len(said) < 3 && lines.Scan() {
		said = append(said, lines.Text())
	}
	if len(said) < 3 {
		t.Fatalf("the command said only %q", said)
	}
	pid, err := strconv.Atoi(said[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range said[:2] {
		if !answers(address(url)) {
			t.Errorf("%s does not answer", url)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The command lives on, and holds the output that Wait reads to its end.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("ending the command: %v", err)
	}
	_ = cmd.Wait() // killed
	deadline := time.Now().Add(30 * time.Second)
	for _, url := range said[:2] {
		for answers(address(url)) {
			if time.Now().After(deadline) {
				t.Fatalf("%s still answers", url)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
