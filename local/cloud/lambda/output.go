package lambda

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
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

	text := shorten(string(line))
	var entry map[string]any
	if json.Unmarshal(line, &entry) != nil {
		// Not a line of the function's logger. If it is a panic's, the failed
		// invocation tells.
		f.cfg.Log.Info("function prints", "function", f.cfg.Name, "text", text)
		return
	}
	level := entry["level"]
	if level != "WARN" && level != "ERROR" {
		return
	}
	if message, ok := entry["message"].(string); ok {
		text = message
		for _, name := range slices.Sorted(maps.Keys(entry)) {
			switch name {
			case "timestamp", "level", "message", "requestId":
			default:
				text += fmt.Sprintf("; %s %v", name, entry[name])
			}
		}
	}
	f.cfg.Log.Warn("function says", "function", f.cfg.Name, "level", level, "text", shorten(text))
}

func shorten(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}
