// Package pattern compiles regular expressions at their first use. At the start of a
// function they would delay the first event, which needs few of them.
package pattern

import (
	"regexp"
	"sync"
)

// New returns a function that compiles expr when it is first called. It panics then if
// expr is no regular expression. Safe for concurrent use.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
