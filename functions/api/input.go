package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	defaultLimit = 50
	maxLimit     = 200 // of any list
	maxBody      = 64 << 10
	maxParty     = 256  // characters of a userid, external_userid or roomid
	maxPageToken = 4096 // bytes
	maxMistakes  = 100  // named of a request with lists
)

// input is a request's query and body. Its getters note every mistake that
// they find and return a zero value for it; err tells of all of them at once.
type input struct {
	query    url.Values
	body     map[string]json.RawMessage
	use      opaque.Use // of this list's page tokens
	mistakes []problem.Mistake
}

func (in *input) reject(field string, rule problem.Rule, mend problem.Mend, args problem.Args) {
	in.mistakes = append(in.mistakes, problem.Mistake{Field: field, Rule: rule, Mend: mend, Args: args})
}

// err is the problem that names all mistakes so far, or nil.
func (in *input) err() error {
	if len(in.mistakes) == 0 {
		return nil
	}
	return &problem.Problem{Kind: problem.InvalidRequest, Mistakes: in.mistakes}
}

// readQuery takes the query string apart. Only known names are taken, each
// once.
func (in *input) readQuery(raw string, known []string) {
	in.query = url.Values{}
	values, err := url.ParseQuery(raw)
	if err != nil {
		in.reject("", problem.Form, problem.MendQuery, nil)
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
			in.reject(name, problem.Unknown, problem.MendUnknown, nil)
		case len(values[name]) > 1:
			in.reject(name, problem.Repeated, problem.MendRepeated, nil)
		case !utf8.ValidString(values.Get(name)):
			in.reject(name, problem.Form, problem.MendQuery, nil)
		default:
			in.query[name] = values[name]
		}
	}
}

// readBody takes a JSON object apart. Only known members are taken, each once.
func (in *input) readBody(b []byte, known []string) {
	in.body = make(map[string]json.RawMessage)
	noObject := func() { in.reject("", problem.JSON, problem.MendObject, nil) }
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
		_, twice := in.body[field]
		switch {
		case !slices.Contains(known, field):
			in.reject(field, problem.Unknown, problem.MendUnknown, nil)
		case twice:
			in.reject(field, problem.Repeated, problem.MendRepeated, nil)
		default:
			in.body[field] = value
		}
	}
}

// Members of the body.

// has reports whether the member is there, well formed or not.
func (in *input) has(field string) bool { _, ok := in.body[field]; return ok }

// required notes the absence of a member, and reports whether it is there.
func (in *input) required(field string) bool {
	if !in.has(field) && !in.rejected(field) {
		in.reject(field, problem.Required, problem.MendRequired, nil)
	}
	return in.has(field)
}

func (in *input) rejected(field string) bool {
	return slices.ContainsFunc(in.mistakes, func(m problem.Mistake) bool { return m.Field == field || m.Rule == problem.JSON })
}

// text is a member that is a string of min to max characters.
func (in *input) text(field string, minLen, maxLen int) (string, bool) {
	raw, ok := in.body[field]
	if !ok {
		return "", false
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		in.reject(field, problem.Type, problem.MendString, nil)
		return "", false
	}
	return s, in.length(field, s, minLen, maxLen)
}

func (in *input) length(field, s string, minLen, maxLen int) bool {
	n := utf8.RuneCountInString(s)
	if n < minLen || n > maxLen {
		in.reject(field, problem.Length, problem.MendLength, problem.Args{"min": strconv.Itoa(minLen), "max": strconv.Itoa(maxLen)})
		return false
	}
	return true
}

// oneOf is a member that is one of the values; empty if it is not there.
func (in *input) oneOf(field string, values ...string) string {
	raw, ok := in.body[field]
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || !slices.Contains(values, s) {
		in.reject(field, problem.OneOf, problem.MendOneOf, problem.Args{"values": strings.Join(values, ", ")})
		return ""
	}
	return s
}

// list is a member that is a list of at most so many values.
func (in *input) list(field string, most int) []json.RawMessage {
	raw, ok := in.body[field]
	if !ok {
		return nil
	}
	var values []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil {
		in.reject(field, problem.Type, problem.MendListType, nil)
		return nil
	}
	if len(values) < 1 || len(values) > most {
		in.reject(field, problem.Length, problem.MendList, problem.Args{"max": strconv.Itoa(most)})
		return nil
	}
	return values
}

// texts is a member that is a list of strings of 1 to maxLen characters.
func (in *input) texts(field string, most, maxLen int) []string {
	var texts []string
	for i, raw := range in.list(field, most) {
		entry := &input{body: map[string]json.RawMessage{"": raw}}
		s, _ := entry.text("", 1, maxLen)
		texts = append(texts, s)
		in.adopt(field, i, entry)
	}
	return texts
}

// entries is a member that is a list of at most so many JSON objects with
// known members. What is read of each is noted with it, until adopt.
func (in *input) entries(field string, most int, known []string) []*input {
	var list []*input
	for _, raw := range in.list(field, most) {
		entry := &input{}
		entry.readBody(raw, known)
		list = append(list, entry)
	}
	return list
}

// adopt notes the mistakes of the i-th entry of a list, as field[i].member. Of
// very many it keeps the first: they are all alike.
func (in *input) adopt(field string, i int, entry *input) {
	for _, m := range entry.mistakes {
		if len(in.mistakes) >= maxMistakes {
			return
		}
		name := field + "[" + strconv.Itoa(i) + "]"
		if m.Field != "" {
			name += "." + m.Field
		}
		m.Field = name
		in.mistakes = append(in.mistakes, m)
	}
}

// flag is a member that is true or false.
func (in *input) flag(field string) bool {
	raw, ok := in.body[field]
	if !ok {
		return false
	}
	switch string(raw) {
	case "true":
		return true
	case "false":
	default:
		in.reject(field, problem.Type, problem.MendBoolean, nil)
	}
	return false
}

// version is a member that is a 版本号, 0 if it is not there.
func (in *input) version(field string) uint32 {
	raw, ok := in.body[field]
	if !ok {
		return 0
	}
	var n json.Number
	if raw[0] == '"' || json.Unmarshal(raw, &n) != nil || n == "" {
		in.reject(field, problem.Type, problem.MendVersion, nil)
		return 0
	}
	v, err := strconv.ParseUint(n.String(), 10, 32)
	switch {
	case errors.Is(err, strconv.ErrSyntax) && !strings.HasPrefix(n.String(), "-"):
		in.reject(field, problem.Type, problem.MendVersion, nil)
	case err != nil || v == 0:
		in.reject(field, problem.Range, problem.MendVersion, nil)
	}
	return uint32(v)
}

// seq is a member that is a seq.
func (in *input) seq(field string) (uint64, bool) {
	raw, ok := in.body[field]
	if !ok {
		return 0, false
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		in.reject(field, problem.Type, problem.MendSeq, nil)
		return 0, false
	}
	return in.parseSeq(field, s)
}

func (in *input) parseSeq(field, s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		in.reject(field, problem.Form, problem.MendSeq, nil)
		return 0, false
	}
	return n, true
}

// Parameters of the query.

// limit is how many entries the caller wants at most.
func (in *input) limit() int {
	if !in.query.Has("limit") {
		return defaultLimit
	}
	n, err := strconv.Atoi(in.query.Get("limit"))
	if err != nil || n < 1 || n > maxLimit {
		rule := problem.Range
		if errors.Is(err, strconv.ErrSyntax) {
			rule = problem.Type
		}
		in.reject("limit", rule, problem.MendInteger, problem.Args{"min": "1", "max": strconv.Itoa(maxLimit)})
		return defaultLimit
	}
	return n
}

// descending is the order, which is ascending by default.
func (in *input) descending() bool {
	switch order := in.query.Get("order"); {
	case order == "desc":
		return true
	case in.query.Has("order") && order != "asc":
		in.reject("order", problem.OneOf, problem.MendOneOf, problem.Args{"values": "asc, desc"})
	}
	return false
}

// only is a parameter that is true or not given.
func (in *input) only(field string) bool {
	if in.query.Has(field) && in.query.Get(field) != "true" {
		in.reject(field, problem.OneOf, problem.MendOneOf, problem.Args{"values": "true"})
	}
	return in.query.Has(field)
}

// page reads the token of a page into at, and reports whether there is one.
func (in *input) page(at any) bool {
	if !in.query.Has("page") {
		return false
	}
	token := in.query.Get("page")
	if len(token) > maxPageToken || in.use.Open(token, at) != nil {
		in.reject("page", problem.Token, problem.MendToken, nil)
		return false
	}
	return true
}

// day is a Beijing date; fallback if it is not given.
func (in *input) day(field string, fallback archive.Day) archive.Day {
	if !in.query.Has(field) {
		return fallback
	}
	day := archive.Day(in.query.Get(field))
	if day.Start().IsZero() {
		in.reject(field, problem.Form, problem.MendDay, nil)
		return fallback
	}
	return day
}

// moment is a time, zero if it is not given.
func (in *input) moment(field string) time.Time {
	if !in.query.Has(field) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, in.query.Get(field))
	if err != nil {
		in.reject(field, problem.Form, problem.MendTime, nil)
		return time.Time{}
	}
	return t
}

// party is the id of somebody or something, empty if it is not given.
func (in *input) party(field string) string {
	if !in.query.Has(field) {
		return ""
	}
	id := in.query.Get(field)
	in.length(field, id, 1, maxParty)
	return id
}

// readLimited reads a body of at most so many bytes.
func readLimited(r io.Reader, most int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, problem.New(problem.BodyTooLarge, problem.Args{"max": strconv.Itoa(most >> 10)})
	}
	return b, nil
}
