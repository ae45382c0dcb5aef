// Package lambdamain runs the main of every function: it makes one logger, reads
// the environment once, loads one AWS configuration and starts the handler. Each
// function builds its own parts.
package lambdamain

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/yunduo-scrm/archive/shared/awslog"
)

// Version is the version of the build. The linker sets it
// (-ldflags "-X github.com/yunduo-scrm/archive/shared/lambdamain.Version=…");
// the path must be whole, because the linker ignores an unknown name.
var Version = "dev"

// Run reads the function's configuration, builds its handler, which may be
// anything that lambda.Start takes, and serves events until Lambda ends the
// process. A function logs its version once, when it has started. A function
// that cannot start logs the reason in one line and exits; Lambda then reports a
// failed initialisation.
func Run[C any](name string, parse func(getenv func(string) string) (C, error), build func(C, aws.Config, *slog.Logger) (any, error)) {
	log := slog.New(lambdacontext.NewLogHandler())
	ctx := context.Background()
	serve := func(handler any) { lambda.StartWithOptions(handler, lambda.WithContext(ctx)) }
	if err := run(ctx, name, parse, build, log, serve); err != nil {
		log.Error("function cannot start", "function", name, "version", Version, "err", err)
		os.Exit(1)
	}
}

// run is Run with its logger and with serve in place of Lambda.
func run[C any](ctx context.Context, name string, parse func(func(string) string) (C, error), build func(C, aws.Config, *slog.Logger) (any, error), log *slog.Logger, serve func(handler any)) error {
	cfg, err := parse(os.Getenv)
	if err != nil {
		return err
	}
	sdk, err := config.LoadDefaultConfig(ctx, config.WithLogger(awslog.New(log)))
	if err != nil {
		return err
	}
	handler, err := build(cfg, sdk, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "started", "function", name, "version", Version)
	serve(handler)
	return nil
}
