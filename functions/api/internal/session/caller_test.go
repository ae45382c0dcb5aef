package session_test

import (
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

func TestCallerOf(t *testing.T) {
	for name, tc := range map[string]struct {
		staff   string
		want    []string
		limited bool
	}{
		"absent":         {"-", nil, false},
		"one":            {"lin.hua", []string{"lin.hua"}, true},
		"several":        {"lin.hua  0042", []string{"lin.hua", "0042"}, true},
		"an array":       {"[lin.hua 0042]", []string{"lin.hua", "0042"}, true},
		"empty":          {"", nil, true},
		"an empty array": {"[]", nil, true},
	} {
		claims := map[string]string{"sub": "u-reader", "corp": "ww0123456789abcdef", "role": "reader"}
		if tc.staff != "-" {
			claims["staff"] = tc.staff
		}
		c, ok := session.CallerOf(claims)
		if !ok || c.Limited != tc.limited || !slices.Equal(c.Staff, tc.want) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

// A token without a required claim is invalid.
func TestCallerOfIncompleteClaims(t *testing.T) {
	for _, absent := range []string{"sub", "corp", "role"} {
		claims := map[string]string{"sub": "u-reader", "corp": "ww0123456789abcdef", "role": "reader"}
		delete(claims, absent)
		if _, ok := session.CallerOf(claims); ok {
			t.Errorf("claims without %s are accepted", absent)
		}
	}
}
