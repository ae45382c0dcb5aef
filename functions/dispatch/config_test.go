package main

import (
	"strings"
	"testing"
)

// Every variable that parseConfig reads is required, and the error names all of
// them at once.
func TestConfigNamesEveryMissingVariable(t *testing.T) {
	var read []string
	_, err := parseConfig(func(name string) string {
		read = append(read, name)
		return ""
	})
	if err == nil || len(read) == 0 {
		t.Fatalf("got error %v after reading %v, want an error", err, read)
	}
	for _, name := range read {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
	if cfg, err := parseConfig(func(name string) string { return name }); err != nil {
		t.Errorf("with every variable set: got %+v, %v", cfg, err)
	}
}
