package main

import (
	"slices"
	"testing"
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
		claims := tokenOf(corp, reader)
		if tc.staff != "-" {
			claims = claims.with("staff", tc.staff)
		}
		c, ok := callerOf(claims)
		if !ok || c.limited != tc.limited || !slices.Equal(c.staff, tc.want) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}
