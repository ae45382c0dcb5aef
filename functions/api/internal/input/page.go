package input

import (
	"errors"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// The bounds of a page of a list.
const (
	DefaultLimit = 50   // entries
	MaxLimit     = 200  // entries
	MaxPageToken = 4096 // bytes of a page token
)

// Limit reads the largest number of entries that the caller accepts.
// [DefaultLimit] by default.
func (in *Input) Limit() int {
	if !in.Query.Has("limit") {
		return DefaultLimit
	}
	n, err := strconv.Atoi(in.Query.Get("limit"))
	if err != nil || n < 1 || n > MaxLimit {
		rule := problem.Range
		if errors.Is(err, strconv.ErrSyntax) {
			rule = problem.Type
		}
		in.Reject("limit", rule, problem.RemedyInteger, problem.Args{"min": "1", "max": strconv.Itoa(MaxLimit)})
		return DefaultLimit
	}
	return n
}

// UsePages sets the list that the page tokens of this request belong to.
func (in *Input) UsePages(use opaque.Use) { in.pages = use }

// Page reads the page token of the query into at, and reports whether the
// query has one that fits this list.
func (in *Input) Page(at any) bool {
	if !in.Query.Has("page") {
		return false
	}
	token := in.Query.Get("page")
	if len(token) > MaxPageToken || in.pages.Open(token, at) != nil {
		in.RejectPage()
		return false
	}
	return true
}

// RejectPage notes that the page token does not belong to this list.
func (in *Input) RejectPage() { in.Reject("page", problem.Token, problem.RemedyToken, nil) }

// SealPage makes the token of the page that begins at at.
func (in *Input) SealPage(at any) (*string, error) {
	s, err := in.pages.Seal(at)
	return &s, err
}

// KeyPage is the place of a page in a list that is ordered by a key: the page
// begins after Key.
type KeyPage struct {
	Key string `json:"k"`
}

// SealKey makes the token of the page after key; nil for the empty key, which
// stands for the end of the list.
func (in *Input) SealKey(key string) (*string, error) {
	if key == "" {
		return nil, nil
	}
	return in.SealPage(KeyPage{Key: key})
}
