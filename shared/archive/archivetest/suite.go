package archivetest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

// The suites check the contracts, on the fakes and on the real adapters. Each test
// uses corps of its own, so that one store serves all tests of a suite. Rows,
// messages and times are as the archive makes them.

// epoch is the time of everything in the suites.
var epoch = time.Date(2025, 3, 1, 9, 30, 0, int(123*time.Millisecond), time.UTC)

// far is a seq that is too large for a signed integer.
const far = uint64(1)<<63 + 12345

// corpFor makes a corpid from the name of the test and n.
func corpFor(t testing.TB, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", t.Name(), n))
	return fmt.Sprintf("ww%x", sum[:8])
}

// ok ends the test if err is an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails checks that err is want, or wraps it.
func fails(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// same checks that two values are deeply equal. Their difference is shown as JSON.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	g, err1 := json.Marshal(got)
	w, err2 := json.Marshal(want)
	if errors.Join(err1, err2) != nil {
		g, w = fmt.Appendf(nil, "%+v", got), fmt.Appendf(nil, "%+v", want)
	}
	const enough = 2000
	t.Errorf("%s:\n got %.*s\nwant %.*s", what, enough, g, enough, w)
}
