package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
)

func TestItemSize(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value types.AttributeValue
		want  int // with a name of one byte
	}{
		"text":     {&types.AttributeValueMemberS{Value: "云朵a"}, 1 + 7},
		"bytes":    {&types.AttributeValueMemberB{Value: []byte("0123456789")}, 1 + 10},
		"zero":     {&types.AttributeValueMemberN{Value: "0"}, 1 + 1},
		"number":   {&types.AttributeValueMemberN{Value: "12345"}, 1 + 4},
		"trailing": {&types.AttributeValueMemberN{Value: "1200000"}, 1 + 2},
		"negative": {&types.AttributeValueMemberN{Value: "-12"}, 1 + 3},
		"list":     {&types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberS{Value: "abc"}}}, 1 + 3 + 1 + 3},
		"map":      {&types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"k": &types.AttributeValueMemberS{Value: "abc"}}}, 1 + 3 + 1 + 1 + 3},
		"flag":     {&types.AttributeValueMemberBOOL{Value: true}, 1 + 1},
	} {
		if got := itemSize(map[string]types.AttributeValue{"a": c.value}); got != c.want {
			t.Errorf("%s: got %d bytes, want %d", name, got, c.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var values []float64
	for i := range 300 {
		values = append(values, float64(299-i))
	}
	if p50, p99 := quantile(values, 0.5), quantile(values, 0.99); p50 != 150 || p99 != 297 {
		t.Errorf("got p50 %v and p99 %v, want 150 and 297, which is not the slowest", p50, p99)
	}
}

// A function whose clients are not found would be compared with a bare one.
func TestClientsOf(t *testing.T) {
	t.Parallel()
	got, err := clientsOf("../../..", "InspectFunction")
	if want := []string{"dynamodb", "eventbridge", "secretsmanager", "sns", "sqs"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	if got, err := chosen("units,cold"); err != nil || len(got) != 2 || !got["units"] || !got["cold"] {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := chosen(""); err != nil || len(got) != len(parts) {
		t.Errorf("got %v, %v, want all", got, err)
	}
	if _, err := chosen("speed"); err == nil || !strings.Contains(err.Error(), "sizes, decode, units") {
		t.Errorf("got %v, want the names", err)
	}
}

// oneMessage bounds the write units of a page of one message, the ledger's included.
const oneMessage = 10

// What a message costs has a limit: 1.2 write units for one of up to 1 KB on a
// full page of mixed chats, lists and ledger counted, even on the first page of
// a day.
func TestMessagesAreCheap(t *testing.T) {
	needs.Servers(t)
	dir := t.TempDir()
	library, err := standin.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	services, ok := aws.FromEnv(os.Getenv)
	if !ok {
		if services, err = aws.Start(t.Context(), aws.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(services.Stop)
	}
	b := &bench{root: "../../..", services: services, library: library, out: results{Figures: map[string]float64{}}}
	s, stop, err := b.stage(t.Context(), fmt.Sprintf("cheap-%d", time.Now().UnixNano()), wecom.CorpConfig{
		ID: "ww0000000000000001", ScopeAll: true, Crowd: wecom.Crowd{Staff: 20, Customers: 100, Rooms: 15},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := s.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"first", "later"} {
		if _, err := b.units(t.Context(), s, page, 1, func() error { return chats(s.corp, pull.PageLimit) }); err != nil {
			t.Fatal(err)
		}
		if got := b.out.Figures[page+": of up to 1 KB"]; got < 1 || got > 1.2 {
			t.Errorf("%s page: got %.3f units per message, want 1 to 1.2", page, got)
		}
	}
	// A page of one message pays for its page, its chat's entries and its notes alone.
	if _, err := b.units(t.Context(), s, "one message", 5, func() error { return chats(s.corp, 1) }); err != nil {
		t.Fatal(err)
	}
	if got := b.out.Figures["one message"]; got > oneMessage {
		t.Errorf("a page of one message: got %.1f units, want at most %d", got, oneMessage)
	}
}
