// Package lambdamain is what the main of every function does: one logger, the
// environment read once, one AWS configuration, and the handler started. What
// a function is made of stays in its own build.
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

// Run reads the function's configuration, builds its handler, which may be
// anything that lambda.Start takes, and serves events until Lambda ends the
// process. A function that cannot start says why in one line and exits, which
// Lambda reports as a failed initialisation.
func Run[C any](name string, parse func(getenv func(string) string) (C, error), build func(C, aws.Config, *slog.Logger) (any, error)) {
	log := slog.New(lambdacontext.NewLogHandler())
	if err := run(parse, build, log); err != nil {
		log.Error("function cannot start", "function", name, "err", err)
		os.Exit(1)
	}
}

func run[C any](parse func(func(string) string) (C, error), build func(C, aws.Config, *slog.Logger) (any, error), log *slog.Logger) error {
	cfg, err := parse(os.Getenv)
	if err != nil {
		return err
	}
	ctx := context.Background()
	sdk, err := config.LoadDefaultConfig(ctx, config.WithLogger(awslog.New(log)))
	if err != nil {
		return err
	}
	handler, err := build(cfg, sdk, log)
	if err != nil {
		return err
	}
	lambda.StartWithOptions(handler, lambda.WithContext(ctx))
	return nil
}
