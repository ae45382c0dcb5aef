//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// callLimit ends a call of a library that hangs without a network.
const callLimit = 20 * time.Second

// probe makes harmless calls in the real worker and prints the result of each.
// Its process has no network.
func probe(ctx context.Context, out io.Writer, worker, library string) error {
	s, end := madeUpSession(worker, library, false)
	defer end()
	err := decryptMadeUp(ctx, s)
	init := failureOf(err, "Init")
	if start := failureOf(err, "start"); start != "" {
		fmt.Fprintf(out, "worker   cannot load the library: %s\n", start)
		return nil
	}
	fmt.Fprintf(out, "worker   loads the library, protocol version %d\n", sdkproto.Version)
	if init != "" {
		fmt.Fprintf(out, "Init     needs WeCom: without a network and with a made-up secret the result is %s.\n", init)
		fmt.Fprintln(out, "         Decoding then needs WeCom and an accepted secret: set DecodeIdentity (DESIGN.md, law 2)")
		return nil
	}
	fmt.Fprintln(out, "Init     works without a network and with a made-up secret: decoding needs no WeCom (law 2)")
	if why := initWithoutSockets(ctx, worker, library); why == "" {
		fmt.Fprintln(out, "         and without sockets: make layer records that, and decode gets none")
	} else {
		fmt.Fprintf(out, "         but not without sockets, so decode keeps them: %s\n", why)
	}
	fmt.Fprintf(out, "calls    DecryptData of a made-up message: %s\n", outcome(err))
	_, err = s.ChatData(ctx, 0, 1)
	fmt.Fprintf(out, "         GetChatData without a network: %s\n", outcome(err))
	_, err = s.ChatData(ctx, 0, pull.PageLimit+1)
	fmt.Fprintf(out, "         GetChatData with a limit of %d: %s\n", pull.PageLimit+1, outcome(err))
	_, err = s.MediaChunk(ctx, "", "made-up-file")
	fmt.Fprintf(out, "         GetMediaData without a network: %s\n", outcome(err))
	return nil
}

// probeOffline runs this program again in a new network namespace, which has no
// connection: a made-up secret must not reach WeCom, because WeCom counts
// refusals against the address.
func probeOffline(ctx context.Context, out io.Writer, worker, file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	worker, err = filepath.Abs(worker)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, probeCommand, worker, file)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	err = cmd.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EACCES) {
		fmt.Fprintln(out, "calls    not tried: this machine permits no network namespace (user namespaces)")
		return nil
	}
	return err
}

// madeUpSession is a session with a made-up secret. end stops its worker.
func madeUpSession(worker, library string, noSockets bool) (s *sdkworker.Session, end func()) {
	pool := sdkworker.NewPool(sdkworker.Config{
		Worker: worker, Library: library, NoSockets: noSockets,
		InitTimeout: callLimit, ChatDataTimeout: callLimit, DecryptTimeout: callLimit, MediaTimeout: callLimit,
	})
	const corp = "ww0000000000000000"
	return pool.Session(corp, sdkworker.Identity{CorpID: corp, Secret: secret.New("made-up-secret-of-43-letters-for-sdk-check-x")}), pool.Close
}

// decryptMadeUp calls Init, if the session has no worker yet, and DecryptData
// with a message that no key opens. DecryptData sends no request, so an error of
// another function comes from Init or the start.
func decryptMadeUp(ctx context.Context, s *sdkworker.Session) error {
	_, err := s.Decrypt(ctx, []byte("made-up key text"), "bWFkZS11cCBtZXNzYWdl")
	return err
}

// initWithoutSockets says why Init and DecryptData do not work in a worker
// without sockets. It is empty if they do: DecryptData then returns a code for
// the made-up message.
func initWithoutSockets(ctx context.Context, worker, library string) string {
	s, end := madeUpSession(worker, library, true)
	defer end()
	err := decryptMadeUp(ctx, s)
	var sdk *archive.SDKError
	if errors.As(err, &sdk) && sdk.Op == "DecryptData" {
		return ""
	}
	return outcome(err)
}

// failureOf describes the failure of op. It is empty if err is about another
// function.
func failureOf(err error, op string) string {
	var sdk *archive.SDKError
	var crash *archive.CrashError
	var library *archive.LibraryError
	switch {
	case errors.As(err, &sdk) && sdk.Op == op:
		return fmt.Sprintf("code %d", sdk.Code)
	case errors.As(err, &crash) && crash.Op == op:
		return crash.Error()
	case errors.As(err, &library) && op == "start":
		return library.Error()
	}
	return ""
}

func outcome(err error) string {
	if err == nil {
		return "an answer"
	}
	return err.Error()
}
