// Package awslog lets the AWS SDK write to the one logger that there is. What
// it has to say is for finding faults of the SDK, so all of it is debug.
package awslog

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/smithy-go/logging"
)

// New is a logger for an SDK configuration.
func New(log *slog.Logger) logging.Logger { return logger{log} }

type logger struct{ log *slog.Logger }

func (l logger) Logf(c logging.Classification, format string, args ...any) {
	l.log.Debug("aws sdk", "class", string(c), "note", fmt.Sprintf(format, args...))
}

// WithContext implements [logging.ContextLogger].
func (l logger) WithContext(ctx context.Context) logging.Logger { return contextLogger{l.log, ctx} }

// contextLogger keeps the context of one request, as the SDK's interface wants
// it, for as long as the request lasts.
type contextLogger struct {
	log *slog.Logger
	ctx context.Context
}

func (l contextLogger) Logf(c logging.Classification, format string, args ...any) {
	l.log.DebugContext(l.ctx, "aws sdk", "class", string(c), "note", fmt.Sprintf(format, args...))
}
