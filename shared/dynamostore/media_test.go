package dynamostore_test

import (
	"testing"

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
