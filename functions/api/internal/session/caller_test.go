package session_test

import (
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

func claimsOf(role, staff string) map[string]string {
	return map[string]string{"sub": "u-reader", "corp": "ww0123456789abcdef", "role": role, "staff": staff}
}

func TestStaffOfAToken(t *testing.T) {
	both := []string{"lin.hua", "0042"}
	for staff, want := range map[string][]string{
		"lin.hua": {"lin.hua"}, "lin.hua  0042": both, "lin.hua,0042": both, " lin.hua，0042\n": both, "lin.hua, 0042,": both,
		"lin.hua;0042": both, "lin.hua | 0042": both, "lin.hua、0042；": both, `"lin.hua;0042"`: both, `["lin.hua|0042"]`: both,
		"[lin.hua 0042]": both, "[lin.hua, 0042]": both, " [lin.hua] ": {"lin.hua"}, "[0042]": {"0042"},
		`["lin.hua","0042"]`: both, "[ \"lin.hua\",\n\"0042\" ]": both, `"lin.hua"`: {"lin.hua"}, `"lin.hua,0042"`: both, `["lin.hua 0042"]`: both,
		`"[\"lin.hua\",\"0042\"]"`: both, "[42]": {"42"}, "42": {"42"}, "1.5e9": {"1.5e9"},
		"['lin.hua','0042']": both, `['lin.hua', "0042"`: both, `"['lin.hua']"`: {"lin.hua"},
		"['*']": {"'*'"}, "map[deny:[lin.hua]]": {"map[deny:[lin.hua]"}, `{"lin.hua":false}`: {`{"lin.hua":false}`},
		"": nil, " ": nil, "[]": nil, `""`: nil, `[""]`: nil, ",": nil,
		"* lin.hua": {"*", "lin.hua"}, "**": {"**"},
	} {
		c, ok := session.CallerOf(claimsOf("reader", staff))
		if !ok || !c.Limited || c.LacksStaff || !slices.Equal(c.Staff, want) {
			t.Errorf("%q: got %+v, want %q", staff, c, want)
		}
	}
	for _, staff := range []string{"*", "[*]", `["*"]`, `"*"`, " * ", "*,"} {
		if c, ok := session.CallerOf(claimsOf("reader", staff)); !ok || c.Limited || c.LacksStaff {
			t.Errorf("%q: got %+v, want a caller who sees every message", staff, c)
		}
	}
}

// Only a caller who names the role reader needs the claim, whatever other roles
// the token names.
func TestReadersNeedStaff(t *testing.T) {
	for role, want := range map[string]bool{
		"reader": true, "[admin reader]": true, "auditor,reader": true, `["reader"]`: true, `["auditor","reader"]`: true,
		"admin": false, "auditor": false, "service": false, "readers": false, "Reader": false,
	} {
		claims := claimsOf(role, "")
		delete(claims, "staff")
		if c, ok := session.CallerOf(claims); !ok || c.LacksStaff != want || c.Limited {
			t.Errorf("role %s: got %+v", role, c)
		}
	}
}

// A token without a required claim is invalid.
func TestCallerOfIncompleteClaims(t *testing.T) {
	for _, absent := range []string{"sub", "corp", "role"} {
		claims := claimsOf("reader", "*")
		delete(claims, absent)
		if _, ok := session.CallerOf(claims); ok {
			t.Errorf("claims without %s are accepted", absent)
		}
	}
}
