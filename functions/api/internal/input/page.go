package input

import (
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
)

// MaxPageToken is the longest page token that is accepted, in bytes.
const MaxPageToken = 4096

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
