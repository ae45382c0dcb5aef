package main

import (
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

func TestConfigNamesEveryMistake(t *testing.T) {
	_, err := parseConfig(func(string) string { return "" })
	for _, name := range []string{"CORPS_TABLE", "LEDGER_TABLE", "MEDIA_TABLE", "MEDIA_BUCKET", "MEDIA_QUEUE_URL", "SECRETS_PREFIX", "SDK_WORKER", "SDK_LIBRARY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
}

// The library's processes keep the times from which a pass sums up its margin, and
// fit into the least memory that template.yaml allows beside this process.
func TestWorkersFitTheFunction(t *testing.T) {
	c := workers(config{}, nil)
	if c.StartTimeout != archive.StartTimeout || c.InitTimeout != archive.InitTimeout || c.MediaTimeout != media.CallTimeout {
		t.Errorf("got times %s, %s and %s, want those of the margin", c.StartTimeout, c.InitTimeout, c.MediaTimeout)
	}
	const memory, own = 512 << 20, 128 << 20
	if all := int64(c.MaxProcesses) * c.MaxRSS; all == 0 || all > memory-own {
		t.Errorf("%d processes may keep %d bytes each, want them to fit into %d", c.MaxProcesses, c.MaxRSS, memory-own)
	}
	if c.MemoryLimit == 0 || c.MemoryLimit > memory/2 {
		t.Errorf("one process may use %d bytes more, want at most half of the memory", c.MemoryLimit)
	}
}
