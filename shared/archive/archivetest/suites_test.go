package archivetest_test

import (
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

func TestFakeLedger(t *testing.T) {
	archivetest.TestLedger(t, func(t testing.TB) archivetest.LedgerStore {
		return archivetest.NewLedger(t, &archivetest.Faults{})
	})
}

func TestFakeView(t *testing.T) {
	archivetest.TestView(t, func(t testing.TB) archivetest.ViewStore {
		return archivetest.NewView(t, &archivetest.Faults{})
	})
}

func TestFakeJournal(t *testing.T) {
	archivetest.TestJournal(t, func(t testing.TB) archivetest.JournalStore {
		return archivetest.NewJournal(t, &archivetest.Faults{})
	})
}

func TestFakeCorps(t *testing.T) {
	archivetest.TestCorps(t, func(t testing.TB) archivetest.CorpStore {
		return archivetest.NewCorps(t, &archivetest.Faults{})
	})
}

func TestFakeQueues(t *testing.T) {
	f := &archivetest.Faults{}
	pulls, decodes := archivetest.NewPullQueue(t, f), archivetest.NewDecodeQueue(t, f)
	archivetest.TestQueues(t, pulls, pulls.Take, decodes, decodes.Take)
}

func TestFakeMarks(t *testing.T) {
	archivetest.TestMarks(t, archivetest.NewMarks(t, &archivetest.Faults{}))
}

func TestFakeFiles(t *testing.T) {
	archivetest.TestFiles(t, func(t testing.TB) archivetest.FileStore {
		return archivetest.NewFiles(t, &archivetest.Faults{})
	})
}

type fakeBytes struct{ *archivetest.Objects }

func (f fakeBytes) Bytes(corp, id string) ([]byte, error) {
	if b, ok := f.Object(corp, id); ok {
		return b, nil
	}
	return nil, archive.ErrNotFound
}

func TestFakeObjects(t *testing.T) {
	archivetest.TestFileStore(t, fakeBytes{archivetest.NewObjects(t, &archivetest.Faults{})})
}
