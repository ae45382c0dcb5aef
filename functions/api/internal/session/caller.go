package session

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
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
	Anyone  = []Role{Admin, Reader, Auditor, Service}
	SetUp   = []Role{Admin, Service}
	Read    = []Role{Reader, Auditor, Service}
	Prove   = []Role{Auditor, Service}
	Observe = []Role{Admin, Auditor, Service} // status, records set aside, files, jobs
)

// Rebuild are the roles that may start a replay that writes. An auditor may only
// start one that verifies.
var Rebuild = []Role{Admin, Service}

// Caller is the bearer of a token that API Gateway verified.
type Caller struct {
	Subject string
	Corp    string
	Roles   []Role
	Expires time.Time // of the token; zero if the token does not say
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
	c := Caller{Subject: claims["sub"], Corp: claims["corp"], Expires: numericDate(claims["exp"])}
	for _, role := range idsIn(claims["role"]) {
		c.Roles = append(c.Roles, Role(role))
	}
	staff, ok := claims["staff"]
	if ok {
		for _, id := range idsIn(staff) {
			if id = unquoted(id); id != "" {
				c.Staff = append(c.Staff, id)
			}
		}
		c.Limited = !slices.Equal(c.Staff, []string{everyMember})
	}
	c.LacksStaff = !ok && slices.Contains(c.Roles, Reader)
	return c, c.Subject != "" && c.Corp != "" && len(c.Roles) > 0
}

// numericDate reads a time in seconds since 1970 (RFC 7519, 2), which API Gateway
// may write with an exponent. It returns the zero time for anything else.
func numericDate(claim string) time.Time {
	seconds, err := strconv.ParseFloat(claim, 64)
	if err != nil || !(0 < seconds && seconds < 1<<40) {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}

// As returns the first of the roles that the token names, and reports whether it
// names one.
func (c Caller) As(roles []Role) (Role, bool) {
	i := slices.IndexFunc(roles, func(r Role) bool { return slices.Contains(c.Roles, r) })
	if i < 0 {
		return "", false
	}
	return roles[i], true
}

// MayRebuild reports whether the caller may start a replay that writes.
func (c Caller) MayRebuild() bool {
	_, ok := c.As(Rebuild)
	return ok
}

// MayOverlook reports whether a limited caller is admitted to an operation with
// these roles that does not keep the limit. The staff claim limits what the role
// reader may read; another role of the token keeps its rights. Without the role
// reader, the claim limits whatever role the token names.
func (c Caller) MayOverlook(roles []Role) bool {
	others := slices.DeleteFunc(slices.Clone(roles), func(r Role) bool { return r == Reader })
	_, ok := c.As(others)
	return ok && slices.Contains(c.Roles, Reader)
}

// idsIn reads the ids in a claim: separated by blanks, commas or the like, in API
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

// unquoted takes quotation marks off a userid, which has none: an issuer may write a list
// as Python does. The sign for every member counts only as it is.
func unquoted(id string) string {
	if bare := strings.Trim(id, "\"'“”"); bare != everyMember {
		return bare
	}
	return id
}

func split(ids string) []string {
	// No userid and no role holds one of these.
	return strings.FieldsFunc(ids, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",，;；|、", r) })
}

// Sees reports whether the caller may see a message.
func (c Caller) Sees(f message.Fields) bool {
	return !c.Limited || slices.ContainsFunc(f.Parties(), c.Includes)
}

// Includes reports whether the staff claim names the member.
func (c Caller) Includes(member string) bool { return slices.Contains(c.Staff, member) }
