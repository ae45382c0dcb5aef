//go:build !linux

package main

import (
	"context"
	"fmt"
	"io"
)

const notLinux = "the library loads on Linux only; a container or WSL2 is enough"

func probe(context.Context, io.Writer, string, string) error {
	return fmt.Errorf("probe: %s", notLinux)
}

func probeOffline(_ context.Context, out io.Writer, _, _ string) error {
	fmt.Fprintf(out, "calls    not tried: %s\n", notLinux)
	return nil
}

func initWithoutSockets(context.Context, string, string) string { return notLinux }
