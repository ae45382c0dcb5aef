package dynamostore_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func newMedia(t testing.TB) *dynamostore.Media {
	return dynamostore.NewMedia(client(t), awstest.Table(t, "MediaTable"))
}

func TestMediaConformance(t *testing.T) {
	archivetest.TestFiles(t, func(t testing.TB) archivetest.FileStore { return newMedia(t) })
}

// A field that the table forgets comes back different.
func TestEveryFieldOfAFileComesBack(t *testing.T) {
	s := newMedia(t)
	f := fill[media.File]()
	f.Corp, f.Rev = corp, 0
	f.State = media.Waiting
	_, err := s.AddFiles(t.Context(), []media.File{f})
	must(t, err)
	f.Rev = 1
	got, err := s.File(t.Context(), corp, f.ID)
	must(t, err)
	check(t, "file", got, f)
}

// A round takes 50 files from a list that may hold a company's whole history. What the
// store reads for that is paid for, so it follows from the 50 and not from the list.
func TestFirstFilesOfALongListCostLittle(t *testing.T) {
	var read float64
	s := dynamostore.NewMedia(client(t), awstest.Table(t, "MediaTable"),
		dynamostore.WithCapacity(func(_, _ string, _, rcu float64) { read += rcu }))
	const files, late = 800, 100
	ids := make([]string, files)
	for i := range ids {
		ids[i] = fmt.Sprintf("00%062d", i)
	}
	for some := range slices.Chunk(ids, 25) {
		var list []media.File
		for _, id := range some {
			f := media.File{Corp: corp, ID: id, SDKFileID: id, State: media.Waiting, Deadline: start.Add(time.Hour), NotBefore: start}
			if id < ids[late] {
				f.NotBefore = start.Add(time.Minute)
			}
			list = append(list, f)
		}
		_, err := s.AddFiles(t.Context(), list)
		must(t, err)
	}

	read = 0
	all, err := s.DueFiles(t.Context(), corp, media.Lane(ids[0]), start.Add(time.Minute), files+1)
	must(t, err)
	check(t, "files", all, ids)
	whole := read

	for _, c := range []struct {
		when time.Time
		due  []string
		read float64 // how many entries
	}{
		{start.Add(time.Minute), ids[:20], 20},
		{start, ids[late : late+20], 20 + 80 + 320}, // the third answer is the first with files that are due
	} {
		read = 0
		due, err := s.DueFiles(t.Context(), corp, media.Lane(ids[0]), c.when, 20)
		must(t, err)
		check(t, "due files", due, c.due)
		// A request is charged in whole units.
		if most := whole*c.read/files + 3; read > most {
			t.Errorf("20 of %d files: the store read %v units, want at most %v", files, read, most)
		}
	}
}
