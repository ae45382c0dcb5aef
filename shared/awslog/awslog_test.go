package awslog_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/smithy-go/logging"

	"github.com/yunduo-scrm/archive/shared/awslog"
)

func TestSDKLogsAtDebugOnly(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		var out bytes.Buffer
		log := awslog.New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		log.Logf(logging.Warn, "checksum %d", 7)
		logging.WithContext(t.Context(), log).Logf(logging.Debug, "again %d", 8)
		for _, note := range []string{"checksum 7", "again 8"} {
			if got := strings.Contains(out.String(), note); got != want {
				t.Errorf("at level %v: %q written: %v, want %v", level, note, got, want)
			}
		}
	}
}
