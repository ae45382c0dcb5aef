package lambdamain

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// RunWith gives the test of run a logger and a place to serve.
func RunWith(ctx context.Context, name string, parse func(func(string) string) (string, error), build func(string, aws.Config, *slog.Logger) (any, error), log *slog.Logger, serve func(any)) error {
	return run(ctx, name, parse, build, log, serve)
}
