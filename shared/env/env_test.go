package env_test

import (
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/env"
)

func TestEveryMistakeIsNamed(t *testing.T) {
	vars := map[string]string{"A": "a"}
	r := env.NewReader(func(name string) string { return vars[name] })
	if got := r.Required("A"); got != "a" {
		t.Errorf("got %q, want a", got)
	}
	if got := r.Optional("B"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	if err := r.Err(); err != nil {
		t.Errorf("got %v, want no mistake so far", err)
	}
	r.Required("C")
	r.Required("D")
	r.Reject("A", "must be a number")
	for _, want := range []string{"variable C is not set", "variable D is not set", "variable A must be a number"} {
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to hold %q", err, want)
		}
	}
}
