// Package needs marks tests that need more than Go. `make unit` leaves those
// tests out, and says so in its last line; everything else runs them, and
// fails where what they need is missing.
//
// No other code of the repository skips a test.
package needs

import (
	"os"
	"testing"
)

// Unit is the environment variable by which make unit asks to leave out what
// needs more than Go. The Makefile removes it from the environment of every
// other target, so that make test leaves out no test that needs more than Go.
const Unit = "YUNDUO_UNIT"

// Servers marks a test that needs DynamoDB Local and moto.
func Servers(t testing.TB) {
	t.Helper()
	leaveOut(t, "servers")
}

// Compiler marks a test that needs a C compiler.
func Compiler(t testing.TB) {
	t.Helper()
	leaveOut(t, "a C compiler")
}

// OpenSSL marks a test that needs the system's OpenSSL 3.
func OpenSSL(t testing.TB) {
	t.Helper()
	leaveOut(t, "OpenSSL 3")
}

// Python marks a test that needs Python and packages of it.
func Python(t testing.TB) {
	t.Helper()
	leaveOut(t, "Python")
}

func leaveOut(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(Unit) != "" {
		t.Skip("needs " + what)
	}
}
