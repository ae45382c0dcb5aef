// Command function does what its event says. The tests compile it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	N    int    `json:"n"`
}

var count int // events that this process has received

func main() {
	switch os.Getenv("INIT") {
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, e event) (any, error) {
	count++
	switch e.Do {
	case "echo":
		return e.Text, nil
	case "count":
		return count, nil
	case "pid":
		return os.Getpid(), nil
	case "print":
		fmt.Fprintln(os.Stderr, e.Text)
		return nil, nil
	case "fail":
		return nil, errors.New(e.Text)
	case "panic":
		panic(e.Text)
	case "exit":
		os.Exit(e.N)
	case "big":
		return strings.Repeat("x", e.N), nil
	case "sleep":
		time.Sleep(time.Duration(e.N) * time.Millisecond)
		return "slept", nil
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "left": time.Until(deadline).Milliseconds()}, nil
	case "env":
		return os.Environ(), nil
	case "spawn":
		// One child stays in the function's group. The other gets its own group.
		var pids []int
		for _, own := range []bool{false, true} {
			child := exec.Command("sleep", "600")
			child.SysProcAttr = &syscall.SysProcAttr{Setpgid: own}
			if err := child.Start(); err != nil {
				return nil, err
			}
			pids = append(pids, child.Process.Pid)
		}
		return append(pids, os.Getpid()), nil
	}
	return nil, fmt.Errorf("unknown order %q", e.Do)
}
