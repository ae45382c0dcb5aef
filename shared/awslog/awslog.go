// Package awslog sends the log lines of the AWS SDK to the function's logger. All
// of them are at level debug, because they serve for finding faults of the SDK.
package awslog

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/smithy-go/logging"
)

// New makes a logger for an SDK configuration.
func New(log *slog.Logger) logging.Logger { return logger{log} }

type logger struct{ log *slog.Logger }

func (l logger) Logf(c logging.Classification, format string, args ...any) {
	l.log.Debug("aws sdk", "class", string(c), "note", fmt.Sprintf(format, args...))
}

// WithContext implements [logging.ContextLogger].
func (l logger) WithContext(ctx context.Context) logging.Logger { return contextLogger{l.log, ctx} }

// contextLogger keeps the context of one request for as long as the request
// lasts. The SDK's interface requires this.
type contextLogger struct {
	log *slog.Logger
	ctx context.Context
}

func (l contextLogger) Logf(c logging.Classification, format string, args ...any) {
	l.log.DebugContext(l.ctx, "aws sdk", "class", string(c), "note", fmt.Sprintf(format, args...))
}
