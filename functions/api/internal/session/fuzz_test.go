package session_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/message"
)

// Claims of any text never give more than they say: only the one text * lets a
// reader see the whole company, and ids are separated.
func FuzzCallerOf(f *testing.F) {
	for _, staff := range []string{"", "*", "[*]", `["*"]`, `"*"`, "lin.hua,0042", `["lin.hua",42]`, `[["*"]]`, "* x", "\x00", "*\u00a0"} {
		f.Add("reader", staff, "1.5e9")
	}
	f.Fuzz(func(t *testing.T, role, staff, exp string) {
		claims := claimsOf(role, staff)
		claims["exp"] = exp
		c, _ := session.CallerOf(claims)
		for _, id := range c.Staff {
			if id == "" || strings.ContainsAny(id, " ,，\t\n") {
				t.Errorf("staff %q: got the id %q", staff, id)
			}
		}
		if !c.Limited && !slices.Equal(c.Staff, []string{"*"}) {
			t.Errorf("staff %q: got a caller without a limit", staff)
		}
		if c.Limited && len(c.Staff) == 0 && c.Sees(message.Fields{From: "lin.hua"}) {
			t.Errorf("staff %q: a caller without a member sees a message", staff)
		}
		if !c.Expires.IsZero() && c.Expires.Unix() < 0 {
			t.Errorf("exp %q: got %s", exp, c.Expires)
		}
	})
}
