// Command withaws starts the local AWS services, runs a command that finds
// them in its environment, and stops them when it ends:
//
//	withaws go test ./...
//
// So all packages' tests share one pair of services. Its exit status is the
// command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/yunduo-scrm/archive/local/aws"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withaws [--] command [argument ...]")
		os.Exit(2)
	}
	err := run(args)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode()) // the command has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "withaws:", err)
		os.Exit(1)
	}
}

func run(command []string) error {
	// Caught from here on, so that the services are stopped whatever comes.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	cmd := exec.Command(command[0], command[1:]...)
	if cmd.Err != nil {
		return cmd.Err // no such program; said before anything is started
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	started := make(chan struct{})
	go func() {
		for s := range signals {
			select {
			case <-started:
				// An interrupt from the terminal has reached it already; twice
				// does no harm. An error means that it has ended.
				_ = cmd.Process.Signal(s)
			default:
				cancel()
			}
		}
	}()

	services, err := aws.Start(ctx, aws.Options{Log: func(line string) {
		if aws.IsProgress(line) {
			fmt.Fprintln(os.Stderr, line, "...")
		}
	}})
	if err != nil {
		return err
	}
	defer services.Stop()
	cmd.Env = append(os.Environ(), services.Env()...)
	if err := cmd.Start(); err != nil {
		return err
	}
	close(started)
	return cmd.Wait()
}
