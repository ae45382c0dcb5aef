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

// lineLimit is the size of the largest line; longer lines are cut. CloudWatch
// has the same limit (256 KB).
const lineLimit = 256 * 1024

// copyOutput copies lines until the process closes its end of the pipe.
func (f *Function) copyOutput(from io.Reader) {
	lines := bufio.NewReaderSize(from, lineLimit)
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

// print writes a line to the output, and logs warnings and errors.
func (f *Function) print(line []byte) {
	f.outMu.Lock()
	// An output that cannot be written must not stop the function.
	_, _ = f.cfg.Output.Write(line)
	if line[len(line)-1] != '\n' {
		_, _ = f.cfg.Output.Write([]byte("\n"))
	}
	f.outMu.Unlock()

	text := shorten(string(line))
	var entry map[string]any
	if json.Unmarshal(line, &entry) != nil {
		// The function's logger writes JSON, so another program or a panic wrote
		// this line. After a panic the failed invocation is logged.
		f.cfg.Log.Info("function output", "function", f.cfg.Name, "text", text)
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
	f.cfg.Log.Warn("function log", "function", f.cfg.Name, "level", level, "text", shorten(text))
}

func shorten(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}
