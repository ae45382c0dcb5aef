// Package env reads a function's environment and names every mistake in it at
// once. It holds names and addresses only; secret values come from the secret
// store.
package env

import (
	"errors"
	"fmt"
)

// Reader reads variables through a function such as os.Getenv and remembers
// what was wrong. Not safe for concurrent use.
type Reader struct {
	get  func(string) string
	errs []error
}

// NewReader reads through get.
func NewReader(get func(string) string) *Reader { return &Reader{get: get} }

// Required returns the variable, which must be set and not empty.
func (r *Reader) Required(name string) string {
	v := r.get(name)
	if v == "" {
		r.errs = append(r.errs, fmt.Errorf("environment variable %s is not set: template.yaml declares it for each function that needs it", name))
	}
	return v
}

// Optional returns the variable, or the empty string.
func (r *Reader) Optional(name string) string { return r.get(name) }

// Reject notes a mistake that the caller found in a variable's value.
func (r *Reader) Reject(name, rule string) {
	r.errs = append(r.errs, fmt.Errorf("environment variable %s %s", name, rule))
}

// Err returns all mistakes so far, nil if there are none.
func (r *Reader) Err() error { return errors.Join(r.errs...) }
