package main

import (
	"slices"
	"strings"
	"testing"
)

// Every variable that parseConfig reads is required or in this list, and the
// error names all required ones at once.
func TestConfigNamesEveryMissingVariable(t *testing.T) {
	optional := []string{"ANNOUNCEMENT_BUS", "DECODE_IDENTITY", "WECOM_PROXY"}
	var unnamed, read []string
	_, err := parseConfig(func(name string) string {
		read = append(read, name)
		return ""
	})
	if err == nil {
		t.Fatal("without variables: got no error")
	}
	for _, name := range read {
		if !strings.Contains(err.Error(), name) {
			unnamed = append(unnamed, name)
		}
	}
	if slices.Sort(unnamed); !slices.Equal(unnamed, optional) {
		t.Errorf("got %v: it does not name %v, want only the optional %v left out", err, unnamed, optional)
	}
	_, err = parseConfig(func(name string) string {
		if slices.Contains(optional, name) {
			return ""
		}
		return name
	})
	if err != nil {
		t.Errorf("with every required variable set: got %v", err)
	}
}
