// Package input reads the query and the body of a request and names every
// mistake in them at once.
package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// The bounds of input.
const (
	MaxBody     = 64 << 10 // bytes, where a route sets no other bound
	MaxParty    = 256      // characters of a userid, external_userid or roomid
	MaxMistakes = 100      // named of a request that holds lists
)

// Input is the query and the body of a request. Each getter notes the mistakes
// that it finds and returns a zero value for them; Err names all of them at
// once. Query and members hold only names that the route knows.
type Input struct {
	Query    url.Values
	members  map[string]json.RawMessage // of the body
	pages    opaque.Use                 // see UsePages
	mistakes []problem.Mistake
	changes  []problem.Mistake // see Change
}

// Reject notes a mistake.
func (in *Input) Reject(field string, rule problem.Rule, remedy problem.Remedy, args problem.Args) {
	in.mistakes = append(in.mistakes, problem.Mistake{Field: field, Rule: rule, Remedy: remedy, Args: args})
}

// Change notes that a member was corrected or left out, which is no mistake of the
// request.
func (in *Input) Change(field string, rule problem.Rule, remedy problem.Remedy, args problem.Args) {
	in.changes = append(in.changes, problem.Mistake{Field: field, Rule: rule, Remedy: remedy, Args: args})
}

// Forgive turns the mistakes of a rule into changes.
func (in *Input) Forgive(rule problem.Rule) {
	var left []problem.Mistake
	for _, m := range in.mistakes {
		if m.Rule == rule {
			in.changes = append(in.changes, m)
		} else {
			left = append(left, m)
		}
	}
	in.mistakes = left
}

// Mistakes are the mistakes of an entry, and Changes what was changed of it, as
// place.member.
func (in *Input) Mistakes(place string) []problem.Mistake { return at(place, in.mistakes) }

// Changes is described at [Input.Mistakes].
func (in *Input) Changes(place string) []problem.Mistake { return at(place, in.changes) }

func at(place string, list []problem.Mistake) []problem.Mistake {
	moved := slices.Clone(list)
	for i, m := range moved {
		moved[i].Field = place
		if m.Field != "" {
			moved[i].Field += "." + m.Field
		}
	}
	return moved
}

// Mistaken reports whether a mistake was noted.
func (in *Input) Mistaken() bool { return len(in.mistakes) > 0 }

// Err is the problem that names all mistakes noted so far, or nil.
func (in *Input) Err() error {
	if !in.Mistaken() {
		return nil
	}
	return &problem.Problem{Kind: problem.InvalidRequest, Mistakes: in.mistakes}
}

// ReadQuery parses the query string. It accepts only known names, each once.
func (in *Input) ReadQuery(raw string, known []string) {
	in.Query = url.Values{}
	values, err := url.ParseQuery(raw)
	if err != nil {
		in.Reject("", problem.Form, problem.RemedyQuery, nil)
		return
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch {
		case !slices.Contains(known, name):
			in.Reject(name, problem.Unknown, problem.RemedyUnknown, nil)
		case len(values[name]) > 1:
			in.Reject(name, problem.Repeated, problem.RemedyRepeated, nil)
		case !utf8.ValidString(values.Get(name)):
			in.Reject(name, problem.Form, problem.RemedyQuery, nil)
		default:
			in.Query[name] = values[name]
		}
	}
}

// ReadBody parses a body that is a JSON object. It accepts only known members,
// each once.
func (in *Input) ReadBody(b []byte, known []string) {
	in.members = make(map[string]json.RawMessage)
	noObject := func() { in.Reject("", problem.JSON, problem.RemedyObject, nil) }
	if !utf8.Valid(b) || !json.Valid(b) {
		noObject()
		return
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		noObject()
		return
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			noObject()
			return
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			noObject()
			return
		}
		field, _ := name.(string)
		_, twice := in.members[field]
		switch {
		case strings.ContainsRune(field, utf8.RuneError): // was not UTF-8, on a lenient route
			noObject()
			return
		case !slices.Contains(known, field):
			in.Reject(field, problem.Unknown, problem.RemedyUnknown, nil)
		case twice:
			in.Reject(field, problem.Repeated, problem.RemedyRepeated, nil)
		default:
			in.members[field] = value
		}
	}
}

// Getters of members of the body. Each returns the zero value for an absent
// member.

// Has reports whether the body has the member, well formed or not.
func (in *Input) Has(field string) bool { _, ok := in.members[field]; return ok }

// IsNull reports whether the member is null.
func (in *Input) IsNull(field string) bool { return string(in.members[field]) == "null" }

// Required notes a mistake if the body lacks the member, and reports whether the
// body has it.
func (in *Input) Required(field string) bool {
	if !in.Has(field) && !in.rejected(field) {
		in.Reject(field, problem.Required, problem.RemedyRequired, nil)
	}
	return in.Has(field)
}

func (in *Input) rejected(field string) bool {
	return slices.ContainsFunc(in.mistakes, func(m problem.Mistake) bool { return m.Field == field || m.Rule == problem.JSON })
}

// Text reads a member that is a string of minLen to maxLen characters, and
// reports whether it is one.
func (in *Input) Text(field string, minLen, maxLen int) (string, bool) {
	raw, ok := in.members[field]
	if !ok {
		return "", false
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		in.Reject(field, problem.Type, problem.RemedyString, nil)
		return "", false
	}
	return s, in.length(field, s, minLen, maxLen)
}

// Pasted is [Input.Text] for a value that a person copies from another page: it
// leaves out blanks, line breaks, byte order marks and other invisible characters, and
// quotation marks, around the value, and reports whether there were any.
func (in *Input) Pasted(field string, minLen, maxLen int) (text string, trimmed, ok bool) {
	whole, ok := in.Text(field, 0, MaxBody)
	text = strings.TrimFunc(whole, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) || strings.ContainsRune("\"'`“”‘’「」＂＇", r)
	})
	return text, text != whole, ok && in.length(field, text, minLen, maxLen)
}

// TextOrNumber reads a member that is a string, or a number in its written form. It
// notes no mistake: ok is false for another member.
func (in *Input) TextOrNumber(field string) (s string, number, ok bool) {
	raw := in.members[field]
	if len(raw) == 0 {
		return "", false, false
	}
	if raw[0] == '"' {
		ok = json.Unmarshal(raw, &s) == nil
		return s, false, ok
	}
	if number = raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9'; number {
		s = string(raw)
	}
	return s, number, number
}

func (in *Input) length(field, s string, minLen, maxLen int) bool {
	n := utf8.RuneCountInString(s)
	if n < minLen || n > maxLen {
		in.Reject(field, problem.Length, problem.RemedyLength, problem.Args{"min": strconv.Itoa(minLen), "max": strconv.Itoa(maxLen)})
		return false
	}
	return true
}

// OneOf reads a member that is one of the values.
func (in *Input) OneOf(field string, values ...string) string {
	raw, ok := in.members[field]
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || !slices.Contains(values, s) {
		in.Reject(field, problem.OneOf, problem.RemedyOneOf, problem.Args{"values": strings.Join(values, ", ")})
		return ""
	}
	return s
}

// List reads a member that is a list of 1 to most values.
func (in *Input) List(field string, most int) []json.RawMessage {
	raw, ok := in.members[field]
	if !ok {
		return nil
	}
	var values []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		in.Reject(field, problem.Type, problem.RemedyListType, nil)
		return nil
	}
	if len(values) < 1 || len(values) > most {
		in.Reject(field, problem.Length, problem.RemedyList, problem.Args{"max": strconv.Itoa(most)})
		return nil
	}
	return values
}

// Texts reads a member that is a list of 1 to most strings, each of 1 to maxLen
// characters.
func (in *Input) Texts(field string, most, maxLen int) []string {
	var texts []string
	for i, raw := range in.List(field, most) {
		entry := &Input{members: map[string]json.RawMessage{"": raw}}
		s, _ := entry.Text("", 1, maxLen)
		texts = append(texts, s)
		in.Adopt(field, i, entry)
	}
	return texts
}

// Entries reads a member that is a list of 1 to most JSON objects with known
// members. Each entry notes its own mistakes until [Input.Adopt] moves them to
// in.
func (in *Input) Entries(field string, most int, known []string) []*Input {
	var list []*Input
	for _, raw := range in.List(field, most) {
		entry := &Input{}
		entry.ReadBody(raw, known)
		for i := range entry.mistakes {
			if entry.mistakes[i].Rule == problem.JSON {
				entry.mistakes[i].Remedy = problem.RemedyEntry
			}
		}
		list = append(list, entry)
	}
	return list
}

// Adopt moves the mistakes of the i-th entry of a list to in, as
// field[i].member. It stops at [MaxMistakes]: the mistakes of a long list are
// alike, and an answer that lists all of them would be too large.
func (in *Input) Adopt(field string, i int, entry *Input) {
	list := entry.Mistakes(field + "[" + strconv.Itoa(i) + "]")
	in.mistakes = append(in.mistakes, list[:min(len(list), MaxMistakes-len(in.mistakes))]...)
}

// Flag reads a member that is true or false.
func (in *Input) Flag(field string) bool {
	raw, ok := in.members[field]
	if !ok {
		return false
	}
	switch string(raw) {
	case "true":
		return true
	case "false":
	default:
		in.Reject(field, problem.Type, problem.RemedyBoolean, nil)
	}
	return false
}

// Index reads a member that is the index of an entry, from 0.
func (in *Input) Index(field string) int {
	raw, ok := in.members[field]
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(string(raw))
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		in.Reject(field, problem.Type, problem.RemedyInteger, problem.Args{"min": "0", "max": strconv.Itoa(math.MaxInt32)})
	case err != nil || n < 0 || n > math.MaxInt32:
		in.Reject(field, problem.Range, problem.RemedyInteger, problem.Args{"min": "0", "max": strconv.Itoa(math.MaxInt32)})
	}
	return n
}

// TimeMember reads a member that is a time.
func (in *Input) TimeMember(field string) time.Time {
	text, ok := in.Text(field, 1, 64)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.UnixMilli() < 0 {
		in.Reject(field, problem.Form, problem.RemedyTime, nil)
		return time.Time{}
	}
	return t
}

// Version reads a member that is a 版本号.
func (in *Input) Version(field string) uint32 {
	raw, ok := in.members[field]
	if !ok {
		return 0
	}
	var n json.Number
	if raw[0] == '"' || json.Unmarshal(raw, &n) != nil || n == "" {
		in.Reject(field, problem.Type, problem.RemedyVersion, nil)
		return 0
	}
	v, err := strconv.ParseUint(n.String(), 10, 32)
	switch {
	case errors.Is(err, strconv.ErrSyntax) && !strings.HasPrefix(n.String(), "-"):
		in.Reject(field, problem.Type, problem.RemedyVersion, nil)
	case err != nil || v == 0:
		in.Reject(field, problem.Range, problem.RemedyVersion, nil)
	}
	return uint32(v)
}

// Seq reads a member that is a seq, and reports whether it is one.
func (in *Input) Seq(field string) (uint64, bool) {
	raw, ok := in.members[field]
	if !ok {
		return 0, false
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		in.Reject(field, problem.Type, problem.RemedySeq, nil)
		return 0, false
	}
	return in.parseSeq(field, s)
}

func (in *Input) parseSeq(field, s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		in.Reject(field, problem.Form, problem.RemedySeq, nil)
		return 0, false
	}
	return n, true
}

// Getters of parameters of the query. Each returns the zero value for an absent
// parameter, unless it says otherwise.

// QuerySeq reads a seq, and reports whether the parameter is one.
func (in *Input) QuerySeq(field string) (uint64, bool) {
	return in.parseSeq(field, in.Query.Get(field))
}

// Descending reads the order and reports whether it is descending.
func (in *Input) Descending() bool {
	switch order := in.Query.Get("order"); {
	case order == "desc":
		return true
	case in.Query.Has("order") && order != "asc":
		in.Reject("order", problem.OneOf, problem.RemedyOneOf, problem.Args{"values": "asc, desc"})
	}
	return false
}

// Only reads a parameter that is true or absent.
func (in *Input) Only(field string) bool {
	if in.Query.Has(field) && in.Query.Get(field) != "true" {
		in.Reject(field, problem.OneOf, problem.RemedyOneOf, problem.Args{"values": "true"})
	}
	return in.Query.Has(field)
}

// Choice reads a parameter that is one of the values.
func (in *Input) Choice(field string, values ...string) string {
	v := in.Query.Get(field)
	if in.Query.Has(field) && !slices.Contains(values, v) {
		in.Reject(field, problem.OneOf, problem.RemedyOneOf, problem.Args{"values": strings.Join(values, ", ")})
		return ""
	}
	return v
}

// Several reads a parameter that is a list of the values, separated by commas.
func (in *Input) Several(field string, values ...string) []string {
	if !in.Query.Has(field) {
		return nil
	}
	list := strings.Split(in.Query.Get(field), ",")
	for _, v := range list {
		if !slices.Contains(values, v) {
			in.Reject(field, problem.OneOf, problem.RemedySeveral, problem.Args{"values": strings.Join(values, ", ")})
			return nil
		}
	}
	return list
}

// Moment reads a time.
func (in *Input) Moment(field string) time.Time {
	if !in.Query.Has(field) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, in.Query.Get(field))
	if err != nil {
		in.Reject(field, problem.Form, problem.RemedyTime, nil)
		return time.Time{}
	}
	return t
}

// Characters checks that the query has a parameter of minLen to maxLen characters,
// and reports whether it has.
func (in *Input) Characters(field string, minLen, maxLen int) bool {
	if !in.Query.Has(field) {
		if !in.rejected(field) {
			in.Reject(field, problem.Required, problem.RemedyRequired, nil)
		}
		return false
	}
	return in.length(field, in.Query.Get(field), minLen, maxLen)
}

// Party reads the id of a member, an external contact or a room.
func (in *Input) Party(field string) string {
	if !in.Query.Has(field) {
		return ""
	}
	id := in.Query.Get(field)
	in.length(field, id, 1, MaxParty)
	return id
}

// ReadLimited reads a body of at most most bytes. It answers the problem
// body-too-large for a longer one.
func ReadLimited(r io.Reader, most int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, problem.New(problem.BodyTooLarge, problem.Args{"max": strconv.Itoa(most >> 10)})
	}
	return b, nil
}
