package session

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

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
	// LacksStaff says that the token names the role reader and has no staff
	// claim. Every route refuses it: an issuer that leaves an empty attribute
	// out of a token must not give its bearer the chats of the whole company.
	LacksStaff bool
}

// everyMember is the staff claim of a reader who may see all messages. It is no
// userid: WeCom's have letters, digits and "_-@." only.
const everyMember = "*"

// CallerOf reads the claims of a token. It reports false if the subject, the
// corp or the role is absent.
func CallerOf(claims map[string]string) (Caller, bool) {
	c := Caller{Subject: claims["sub"], Corp: claims["corp"], Role: Role(claims["role"])}
	staff, ok := claims["staff"]
	if ok {
		c.Staff = idsIn(staff)
		c.Limited = !slices.Equal(c.Staff, []string{everyMember})
	}
	c.LacksStaff = !ok && slices.Contains(idsIn(claims["role"]), string(Reader))
	return c, c.Subject != "" && c.Corp != "" && c.Role != ""
}

// idsIn reads the ids in a claim: separated by blanks or commas, in API
// Gateway's form of an array, "[a b]", or as the JSON text of a string or an
// array.
func idsIn(claim string) []string {
	var text string
	if json.Unmarshal([]byte(claim), &text) == nil {
		claim = text
	}
	var list []json.RawMessage
	if json.Unmarshal([]byte(claim), &list) != nil {
		return split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(claim), "["), "]"))
	}
	var ids []string
	for _, entry := range list {
		text := string(entry) // a number is an id too
		_ = json.Unmarshal(entry, &text)
		ids = append(ids, split(text)...)
	}
	return ids
}

func split(ids string) []string {
	return strings.FieldsFunc(ids, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == '，' })
}

// Sees reports whether the caller may see a message.
func (c Caller) Sees(f message.Fields) bool {
	return !c.Limited || slices.ContainsFunc(f.Parties(), c.Includes)
}

// Includes reports whether the staff claim names the member.
func (c Caller) Includes(member string) bool { return slices.Contains(c.Staff, member) }
