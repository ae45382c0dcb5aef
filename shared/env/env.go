// Package env reads a function's environment and reports all its mistakes at
// once. The environment holds names and addresses only; secret values come from
// the secret store.
package env

import (
	"errors"
	"fmt"
)

// Reader reads variables through a function such as os.Getenv and remembers the
// mistakes. It is not safe for concurrent use.
type Reader struct {
	get  func(string) string
	errs []error
}

// NewReader makes a reader of the variables that get returns.
func NewReader(get func(string) string) *Reader { return &Reader{get: get} }

// Required returns the variable. An unset or empty variable is a mistake.
func (r *Reader) Required(name string) string {
	v := r.get(name)
	if v == "" {
		r.errs = append(r.errs, fmt.Errorf("environment variable %s is not set: template.yaml declares it for each function that needs it", name))
	}
	return v
}

// Optional returns the variable, or the empty string if it is unset.
func (r *Reader) Optional(name string) string { return r.get(name) }

// Reject adds a mistake that the caller found in a variable's value. rule
// completes a sentence that begins with the variable, such as "must be a number".
func (r *Reader) Reject(name, rule string) {
	r.errs = append(r.errs, fmt.Errorf("environment variable %s %s", name, rule))
}

// Err returns all mistakes so far, or nil.
func (r *Reader) Err() error { return errors.Join(r.errs...) }
