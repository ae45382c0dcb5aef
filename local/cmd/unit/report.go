package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string // of build-output
}

// leftOut counts the tests that were left out, by package and by what they
// need.
type leftOut struct {
	packages map[string]int
	reasons  map[string]bool
}

// String is the closing line, or empty if no test was left out.
func (l leftOut) String() string {
	if len(l.packages) == 0 {
		return ""
	}
	tests := 0
	var names []string
	for _, name := range slices.Sorted(maps.Keys(l.packages)) {
		tests += l.packages[name]
		names = append(names, "."+strings.TrimPrefix(name, module))
	}
	return fmt.Sprintf("left out: %d tests that need %s; make test runs them: %s\n",
		tests, strings.Join(slices.Sorted(maps.Keys(l.reasons)), ", "), strings.Join(names, " "))
}

// A suite is what is known of one package's tests.
type suite struct {
	order   []string
	output  map[string]*strings.Builder
	outcome map[string]string
}

// report prints what go test prints without -json, and counts the skips, which
// go test hides.
func report(events io.Reader, w io.Writer) (leftOut, error) {
	left := leftOut{packages: map[string]int{}, reasons: map[string]bool{}}
	suites := map[string]*suite{}
	for lines := json.NewDecoder(events); ; {
		var e event
		if err := lines.Decode(&e); err == io.EOF {
			return left, nil
		} else if err != nil {
			return left, fmt.Errorf("read the output of go test: %w", err)
		}
		if e.Action == "build-output" {
			fmt.Fprint(w, e.Output)
			continue
		}
		s := suites[e.Package]
		if s == nil {
			s = &suite{output: map[string]*strings.Builder{}, outcome: map[string]string{}}
			suites[e.Package] = s
		}
		switch {
		case e.Test == "" && e.Action == "output":
			if e.Output != "PASS\n" && !strings.HasSuffix(e.Output, "[no test files]\n") {
				s.printFailures(w)
				fmt.Fprint(w, e.Output)
			}
		case e.Test == "":
			if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
				delete(suites, e.Package)
			}
		case e.Action == "output":
			s.of(e.Test).WriteString(e.Output)
		case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
			s.of(e.Test)
			s.outcome[e.Test] = e.Action
			if e.Action == "skip" {
				left.packages[e.Package]++
				left.reasons[reason(s.of(e.Test).String())] = true
			}
		}
	}
}

// of is where the output of a test is collected.
func (s *suite) of(test string) *strings.Builder {
	if s.output[test] == nil {
		s.output[test] = &strings.Builder{}
		s.order = append(s.order, test)
	}
	return s.output[test]
}

// printFailures prints the output of the tests that failed or did not end,
// once, before the first line about their package.
func (s *suite) printFailures(w io.Writer) {
	for _, test := range s.order {
		if outcome := s.outcome[test]; outcome == "pass" || outcome == "skip" {
			continue
		}
		for line := range strings.Lines(s.output[test].String()) {
			if !strings.HasPrefix(line, "=== ") {
				fmt.Fprint(w, line)
			}
		}
	}
	s.order, s.output = nil, map[string]*strings.Builder{}
}

// reason is what a skipped test needs, as package needs wrote it.
func reason(output string) string {
	for line := range strings.Lines(output) {
		if _, what, ok := strings.Cut(line, ": needs "); ok {
			return strings.TrimSpace(what)
		}
	}
	return "something else"
}
