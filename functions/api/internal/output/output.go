// Package output writes answers: JSON, and the values that the JSON of several
// subjects share.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
)

// The largest answer holds the entries of a page, the names beside them, and
// the rest of its JSON.
const (
	// NamesBytes bounds the names beside a page. A full page of ordinary names
	// fits; ids beyond the bound have no name there.
	NamesBytes = 128 << 10
	// PageBytes bounds the entries of a page.
	PageBytes = gateway.MaxBody - NamesBytes - 64<<10
)

// Answer is what a route answers.
type Answer struct {
	Status      int
	ContentType string // empty for an empty body
	Header      http.Header
	Body        []byte
	// Tagged is what the ETag of the answer follows from, for a route that has one;
	// nil for Body. It leaves out what differs each time.
	Tagged []byte
}

// JSON answers v. Raw JSON within v keeps its bytes except for white space.
func JSON(status int, v any) (Answer, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return Answer{}, fmt.Errorf("encode %T: %w", v, err)
	}
	return Answer{Status: status, ContentType: "application/json", Body: buf.Bytes()}, nil
}

// TaggedBy is the answer with an ETag that follows from v, which is what was answered
// without the parts that differ each time.
func (a Answer) TaggedBy(v any) (Answer, error) {
	tagged, err := JSON(a.Status, v)
	a.Tagged = tagged.Body
	return a, err
}

// List answers the object v with a list as its first member. The entries are what
// JSON made, so List does not read them again: in a long list that takes as long as
// making them.
func List(name string, entries []json.RawMessage, v any) (Answer, error) {
	rest, err := JSON(http.StatusOK, v)
	if err != nil {
		return Answer{}, err
	}
	size := len(name) + len(rest.Body) + 10
	for _, entry := range entries {
		size += len(entry)
	}
	body := append(make([]byte, 0, size), `{"`+name+`":[`...)
	for i, entry := range entries {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, bytes.TrimSuffix(entry, []byte("\n"))...) // JSON ends a text with a line break
	}
	body = append(body, ']')
	if members := rest.Body[1:]; members[0] != '}' {
		body = append(body, ',')
	}
	rest.Body = append(body, rest.Body[1:]...)
	return rest, nil
}

// Moment writes a time.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// MomentOrNull writes a time; null for the zero time.
func MomentOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := Moment(t)
	return &s
}

// TextOrNull writes a text; null for the empty text.
func TextOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// VersionOrNull writes a 版本号; null for 0, which stands for no version.
func VersionOrNull(v uint32) *uint32 {
	if v == 0 {
		return nil
	}
	return &v
}

// Decimal writes a seq as a string, because JavaScript's numbers lose digits
// above 2^53.
func Decimal(seq uint64) string { return strconv.FormatUint(seq, 10) }

// Hours writes the time that is left until a deadline, to a tenth of an hour.
func Hours(left time.Duration) *float64 {
	h := math.Round(left.Hours()*10) / 10
	return &h
}

// Counts writes an object even where m is nil.
func Counts(m map[string]int) map[string]int {
	if m == nil {
		return map[string]int{}
	}
	return m
}

// Requested answers a request for work whose result comes later: what happened
// since the time answers it.
func Requested(at time.Time) (Answer, error) {
	return JSON(http.StatusAccepted, struct {
		RequestedAt string `json:"requested_at"`
	}{Moment(at)})
}
