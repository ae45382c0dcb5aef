package archivetest_test

import (
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

func TestFakeLedger(t *testing.T) {
	archivetest.TestLedger(t, func(t testing.TB) archivetest.LedgerStore {
		return archivetest.NewLedger(t, &archivetest.Faults{})
	})
}
