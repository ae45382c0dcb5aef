package output_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
)

func TestValues(t *testing.T) {
	beijing := time.FixedZone("", 8*3600)
	ans, err := output.JSON(200, []any{
		output.Moment(time.Date(2026, 1, 31, 8, 0, 0, 123456789, beijing)), output.MomentOrNull(time.Time{}),
		output.TextOrNull(""), output.TextOrNull("<云>"), output.VersionOrNull(0), output.VersionOrNull(7),
		output.Decimal(1<<64 - 1), output.Hours(93*time.Hour + 27*time.Minute + 10*time.Second), output.Counts(nil),
		json.RawMessage(`{"a":1.50,"b":18446744073709551615}`),
	})
	want := `["2026-01-31T00:00:00.123Z",null,null,"<云>",null,7,"18446744073709551615",93.5,{},{"a":1.50,"b":18446744073709551615}]` + "\n"
	if err != nil || string(ans.Body) != want || ans.Status != 200 || ans.ContentType != "application/json" {
		t.Errorf("got %s, %v; want %s", ans.Body, err, want)
	}
}

// A full page and the names beside it fit into the largest answer.
func TestPagesFit(t *testing.T) {
	if output.PageBytes+output.NamesBytes >= gateway.MaxBody {
		t.Errorf("%d bytes of entries and %d of names exceed %d", output.PageBytes, output.NamesBytes, gateway.MaxBody)
	}
}
