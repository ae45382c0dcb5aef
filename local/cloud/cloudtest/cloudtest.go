// Package cloudtest starts local clouds for tests.
package cloudtest

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/needs"
)

// Start starts a cloud that stops with the test. Unless the options say otherwise, its
// stack has a name of its own, and a cloud without a data folder uses the services that
// all tests share. Errors that the cloud logs are in the test's output.
func Start(t *testing.T, o cloud.Options) *cloud.Cloud {
	t.Helper()
	needs.Servers(t)
	if o.Services == nil && o.Data == "" {
		o.Services = awstest.Services(t)
	}
	if o.StackName == "" {
		o.StackName = fmt.Sprintf("test-%d", time.Now().UnixNano())
	}
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	c, err := cloud.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}
