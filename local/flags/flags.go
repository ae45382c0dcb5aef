// Package flags reads the arguments of the repository's commands. A mistake is one
// sentence with what is wanted, and ends a command with status 2; package flag alone
// would print the mistake twice, and every flag.
package flags

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// Parse reads args into f, which does not exit by itself (flag.ContinueOnError). For
// -h it calls the Usage of f, and returns flag.ErrHelp.
func Parse(f *flag.FlagSet, args []string) error {
	help, usage := f.Output(), f.Usage
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	err := f.Parse(args)
	f.SetOutput(help)
	f.Usage = usage
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage()
		return err
	case err != nil:
		return Mistake(explain(f, err))
	}
	return nil
}

// ParseAll is Parse for a command whose every argument has a flag.
func ParseAll(f *flag.FlagSet, args []string) error {
	if err := Parse(f, args); err != nil {
		return err
	}
	return NoArguments(f)
}

// NoArguments refuses arguments without a flag, after f has been parsed. Such an argument
// is a slip: the name of a flag, or its value after a space.
func NoArguments(f *flag.FlagSet) error {
	if f.NArg() > 0 {
		return Mistake(fmt.Errorf("unknown argument %q; -h lists the flags", f.Arg(0)))
	}
	return nil
}

// mistake is an error of the person who wrote the arguments.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// Mistake marks an error as one of the arguments. It returns nil for nil.
func Mistake(err error) error {
	if err == nil {
		return nil
	}
	return mistake{err}
}

// Status is the status with which a command ends: 2 after a mistake, 1 after another
// error.
func Status(err error) int {
	var m mistake
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &m):
		return 2
	}
	return 1
}

// Exit ends a command. It prints the errors, one a line under the prefix.
func Exit(prefix string, err error) {
	status := Status(err)
	if status != 0 {
		fmt.Fprintln(os.Stderr, prefix+strings.ReplaceAll(err.Error(), "\n", "\n"+strings.Repeat(" ", len(prefix))))
	}
	os.Exit(status)
}

// Kind says which values a flag takes.
func Kind(f *flag.Flag) string {
	switch f.Value.(flag.Getter).Get().(type) {
	case bool:
		return "true or false"
	case int:
		return "a whole number"
	case uint64:
		return "a whole number of 0 or more"
	case float64:
		return "a number"
	case time.Duration:
		return "a duration such as 30s or 5m"
	}
	return "text"
}

// badValue is how package flag words a value that a flag does not take.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^:]+): `)

// explain adds to a mistake of the command line what would be right.
func explain(f *flag.FlagSet, err error) error {
	if m := badValue.FindStringSubmatch(err.Error()); m != nil && f.Lookup(m[2]) != nil {
		return fmt.Errorf("-%s is %q: want %s", m[2], m[1], Kind(f.Lookup(m[2])))
	}
	return fmt.Errorf("%w; -h lists the flags", err)
}
