package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// A screen prints lines, and below them one live line that changes. Where
// standard output is no terminal there is no live line: it is printed as a
// line of its own whenever it differs. Safe for concurrent use.
type screen struct {
	out      *os.File
	terminal bool

	mu   sync.Mutex
	live string
}

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	return &screen{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Write prints whole lines above the live one.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	n, err := s.out.Write(p)
	s.draw()
	return n, err
}

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// show replaces the live line.
func (s *screen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		if line != s.live {
			fmt.Fprintln(s.out, line)
		}
		s.live = line
		return
	}
	s.erase()
	s.live = line
	s.draw()
}

// done leaves the live line where it is.
func (s *screen) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal && s.live != "" {
		fmt.Fprintln(s.out)
	}
	s.live = ""
}

func (s *screen) erase() {
	if s.terminal && s.live != "" {
		fmt.Fprint(s.out, "\r"+strings.Repeat(" ", len(s.live))+"\r")
	}
}

func (s *screen) draw() {
	if s.terminal {
		fmt.Fprint(s.out, s.live)
	}
}
