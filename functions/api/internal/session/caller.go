package session

import (
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/shared/message"
)

// Role is what the bearer of a token may do.
type Role string

// The roles that tokens name.
const (
	Admin   Role = "admin"   // sets the archive up
	Reader  Role = "reader"  // reads chats
	Auditor Role = "auditor" // reads chats and the proofs that no message is missing
	Service Role = "service" // does everything in its corp
)

// The permissions. Each route names the one that it needs.
var (
	SetUp   = []Role{Admin, Service}
	Read    = []Role{Reader, Auditor, Service}
	Prove   = []Role{Auditor, Service}
	Observe = []Role{Admin, Auditor, Service} // status, records set aside, files, jobs
)

// MayRebuild reports whether the role may start a replay that writes. An
// auditor may only start one that verifies.
func (r Role) MayRebuild() bool { return r != Auditor }

// Caller is the bearer of a token that API Gateway verified.
type Caller struct {
	Subject string
	Corp    string
	Role    Role
	// Limited callers see only the messages in which a member of Staff takes
	// part. A staff claim without a userid limits the caller to no message.
	Limited bool
	Staff   []string
}

// CallerOf reads the claims of a token. It reports false if the subject, the
// corp or the role is absent. API Gateway passes an array of userids as
// "[a b]".
func CallerOf(claims map[string]string) (Caller, bool) {
	c := Caller{Subject: claims["sub"], Corp: claims["corp"], Role: Role(claims["role"])}
	if staff, ok := claims["staff"]; ok {
		if list, ok := strings.CutPrefix(staff, "["); ok {
			staff = strings.TrimSuffix(list, "]")
		}
		c.Limited, c.Staff = true, strings.Fields(staff)
	}
	return c, c.Subject != "" && c.Corp != "" && c.Role != ""
}

// Sees reports whether the caller may see a message.
func (c Caller) Sees(f message.Fields) bool {
	return !c.Limited || slices.ContainsFunc(f.Parties(), c.Includes)
}

// Includes reports whether the staff claim names the member.
func (c Caller) Includes(member string) bool { return slices.Contains(c.Staff, member) }
