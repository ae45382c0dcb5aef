// Command cloud runs the whole archive on one machine, without an account: see
// package local/cloud. It is what `make run` starts. -h lists its flags.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/yunduo-scrm/archive/local/flags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A second interrupt ends the process at once.
	context.AfterFunc(ctx, stop)
	flags.Exit("cloud: ", run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdout, stderr *os.File) error {
	cfg, err := parseConfig(args, environ, stderr)
	if err != nil || cfg.check {
		return err
	}
	screen := newScreen(stdout)
	level := slog.LevelWarn
	if cfg.verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: level}))
	if cfg.once > 0 {
		return once(ctx, cfg, screen, log)
	}
	return serve(ctx, cfg, screen, log)
}
