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

// List answers the bytes that JSON answers of the same object.
func TestListAnswersAsJSONDoes(t *testing.T) {
	type rest struct {
		Text string  `json:"text"`
		Next *string `json:"next"`
	}
	made := func(v any) json.RawMessage {
		t.Helper()
		ans, err := output.JSON(200, v)
		if err != nil {
			t.Fatal(err)
		}
		return ans.Body
	}
	some := []json.RawMessage{made(map[string]string{"a": "<云>\u2028\n"}), made(rest{Text: "x"}), made([]int{})}
	for name, entries := range map[string][]json.RawMessage{"none": {}, "nil": nil, "one": some[:1], "several": some} {
		want := made(struct {
			List []json.RawMessage `json:"list"`
			rest
		}{append([]json.RawMessage{}, entries...), rest{Text: "\"&"}})
		got, err := output.List("list", entries, rest{Text: "\"&"})
		if err != nil || string(got.Body) != string(want) || got.Status != 200 || got.ContentType != "application/json" {
			t.Errorf("%s: got %d %s %s, %v, want %s", name, got.Status, got.ContentType, got.Body, err, want)
		}
		if got, err := output.List("list", entries, struct{}{}); err != nil || !json.Valid(got.Body) {
			t.Errorf("%s, nothing else: got %s, %v", name, got.Body, err)
		}
	}
}
