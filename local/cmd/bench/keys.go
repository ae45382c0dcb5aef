package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/libcrypto"
	"github.com/yunduo-scrm/archive/shared/rsakey"
)

// keyRates measures private-key operations in turns with those of openssl speed, by
// the clock that openssl speed uses: user time on one core, elapsed time on all.
func (b *bench) keyRates(ctx context.Context) error {
	load, _ := os.ReadFile("/proc/loadavg") // shown only
	b.heading("private-key operations (RSA-2048), in turns; load " + strings.TrimSpace(string(load)))
	library, err := libcrypto.Open(libcrypto.Name)
	if err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, rsakey.Bits)
	if err != nil {
		return err
	}
	ours, err := library.Fit(key)
	if err != nil {
		return err
	}
	inGo, err := rsakey.Go(key)
	if err != nil {
		return err
	}
	//lint:ignore SA1019 WeCom's encryption is PKCS#1 v1.5
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, bytes.Repeat([]byte("k"), 88))
	if err != nil {
		return err
	}
	cores := runtime.NumCPU()
	rates := make(map[string][]float64)
	for range b.rounds {
		for name, measure := range map[string]func() (float64, error){
			"ours":        func() (float64, error) { return openRate(ours, sealed) },
			"ours, all":   func() (float64, error) { return openRateOfAll(ours, sealed, cores) },
			"Go":          func() (float64, error) { return openRate(inGo, sealed) },
			"openssl":     func() (float64, error) { return opensslRate(ctx) },
			"openssl all": func() (float64, error) { return opensslRate(ctx, "-multi", strconv.Itoa(cores)) },
		} {
			rate, err := measure()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			rates[name] = append(rates[name], rate)
		}
	}
	b.note("private-key operations of decode", median(rates["ours"]), "/s")
	b.note("private-key operations of openssl speed", median(rates["openssl"]), "/s")
	b.note("private-key operations of Go's crypto/rsa", median(rates["Go"]), "/s")
	b.note("private-key operations of decode, of those of openssl speed", median(rates["ours"])/median(rates["openssl"]), "")
	b.note(fmt.Sprintf("the same on %d cores", cores), median(rates["ours, all"])/median(rates["openssl all"]), "")
	return nil
}

// openRate is how many operations a second of user time one core does. openssl speed
// leaves out the kernel's time too.
func openRate(o decode.Opener, sealed []byte) (float64, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, err
	}
	if err := openAll(o, sealed, 1); err != nil {
		return 0, err
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0, err
	}
	return operations / float64(after.Utime.Nano()-before.Utime.Nano()) * 1e9, nil
}

// openRateOfAll is how many operations a second of elapsed time all cores do.
func openRateOfAll(o decode.Opener, sealed []byte, cores int) (float64, error) {
	begun := time.Now()
	err := openAll(o, sealed, cores)
	return float64(cores) * operations / time.Since(begun).Seconds(), err
}

// operations is how many private-key operations of a core are timed.
const operations = 2000

// openAll lets each core take the next of the operations, so that none waits for
// another at the end.
func openAll(o decode.Opener, sealed []byte, cores int) error {
	var group errgroup.Group
	var begun atomic.Int64
	for range cores {
		group.Go(func() error {
			for begun.Add(1) <= int64(cores*operations) {
				if _, err := o.Open(sealed); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

var signsPerSecond = regexp.MustCompile(`(?m)^rsa\s+2048 bits\s+\S+\s+\S+\s+([0-9.]+)`)

// opensslRate is the private operations a second that OpenSSL says it does: by
// user time, or by elapsed time with the flag -multi.
func opensslRate(ctx context.Context, flags ...string) (float64, error) {
	args := append([]string{"speed", "-seconds", "1"}, append(flags, "rsa2048")...)
	out, err := exec.CommandContext(ctx, "openssl", args...).Output()
	if err != nil {
		return 0, fmt.Errorf("openssl speed: %w (apt-get install openssl)", err)
	}
	m := signsPerSecond.FindSubmatch(out)
	if m == nil {
		return 0, errors.New("openssl speed printed something else")
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
