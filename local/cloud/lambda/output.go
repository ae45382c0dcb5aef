package lambda

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
)

// longest is how much of a line is kept; CloudWatch too has a limit (256 KB).
const longest = 256 * 1024

// copyOutput copies lines until the process closes its end.
func (f *Function) copyOutput(from io.Reader) {
	lines := bufio.NewReaderSize(from, longest)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			f.print(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (f *Function) print(line []byte) {
	f.outMu.Lock()
	// A log that cannot be written must not stop the function.
	_, _ = f.cfg.Output.Write(line)
	if line[len(line)-1] != '\n' {
		_, _ = f.cfg.Output.Write([]byte("\n"))
	}
	f.outMu.Unlock()

	var entry struct {
		Level   string `json:"level"`
		Message string `json:"msg"`
		Err     string `json:"err"`
	}
	text := shorten(string(line))
	if json.Unmarshal(line, &entry) != nil {
		// Not a line of the function's logger. If it is a panic's, the failed
		// invocation tells.
		f.cfg.Log.Info("function prints", "function", f.cfg.Name, "text", text)
		return
	} else if entry.Message != "" {
		text = shorten(entry.Message + " " + entry.Err)
	}
	switch entry.Level {
	case "WARN", "ERROR":
		f.cfg.Log.Warn("function says", "function", f.cfg.Name, "level", entry.Level, "text", text)
	}
}

func shorten(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}
