package main

import (
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/shared/message"
)

// role is what a token's bearer may do.
type role string

const (
	admin   role = "admin"   // set-up
	reader  role = "reader"  // chats
	auditor role = "auditor" // chats, and the proofs that they are whole
	service role = "service" // everything of its corp
)

// caller is who asks, as API Gateway verified.
type caller struct {
	subject string
	corp    string
	role    role
	// staff are the userids whose messages the caller may see, if limited. A
	// claim that is there but names nobody limits to nothing.
	limited bool
	staff   []string
}

// callerOf reads the claims; it reports false if one that must be there is
// not. An array of userids arrives as "[a b]".
func callerOf(claims map[string]string) (caller, bool) {
	c := caller{subject: claims["sub"], corp: claims["corp"], role: role(claims["role"])}
	if staff, ok := claims["staff"]; ok {
		if list, ok := strings.CutPrefix(staff, "["); ok {
			staff = strings.TrimSuffix(list, "]")
		}
		c.limited, c.staff = true, strings.Fields(staff)
	}
	return c, c.subject != "" && c.corp != "" && c.role != ""
}

// sees reports whether the caller may see a message.
func (c caller) sees(f message.Fields) bool {
	return !c.limited || slices.ContainsFunc(f.Parties(), c.includes)
}

// includes reports whether the caller is limited to a member, among others.
func (c caller) includes(member string) bool { return slices.Contains(c.staff, member) }
