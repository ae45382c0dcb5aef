package archive_test

import (
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// The hash of a row is the one that docs/data.md describes, so that others can
// compute it.
func TestChainHashHasTheDocumentedForm(t *testing.T) {
	at := time.UnixMilli(1772355600123)
	sum := archive.Digest([]byte("page"))
	genesis := archive.Digest([]byte("yunduo-archive ledger v1\nww1\n"))
	page := archive.Row{Corp: "ww1", Kind: archive.PageRow, After: 7, First: 8, Last: 12, Count: 3, Sum: sum, Size: 4, At: at, Prev: genesis}
	gap := archive.Row{Corp: "ww1", Kind: archive.GapRow, After: 12, Last: 14, Sum: archive.Digest([]byte("九 calls")), At: at, Reason: "errcode_301058", Evidence: "九 calls", Prev: archive.ChainHash(page)}
	for name, c := range map[string]struct {
		row   archive.Row
		lines []string
	}{
		"page": {page, []string{"page", "7", "8", "12", "3", sum, "4", "1772355600123", archive.Digest([]byte("0\n")), genesis}},
		"gap":  {gap, []string{"gap", "12", "0", "14", "0", gap.Sum, "0", "1772355600123", archive.Digest([]byte("14\nerrcode_301058九 calls")), gap.Prev}},
	} {
		want := archive.Digest([]byte("yunduo-archive row v1\nww1\n" + strings.Join(c.lines, "\n") + "\n"))
		if got := archive.ChainHash(c.row); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := archive.GenesisHash("ww1"); got != genesis {
		t.Errorf("before the first row: got %s, want %s", got, genesis)
	}
}
