package sqsqueue_test

import (
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// A message of any body is a request of one valid corp within its bounds, or it is
// refused.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		`{"v":1,"corp":"ww0123456789abcdef","why":"timer"}`, `{"v":1,"corp":"ww0123456789abcdef","after":"5"}`,
		`{"v":1,"corp":"ww0123456789abcdef","lane":3}`, `{"v":1,"corp":"ww0123456789abcdef","people":["a"]}`, `{"v":2}`, `null`, `[]`, "\xff",
	} {
		f.Add(body, "1")
	}
	f.Fuzz(func(t *testing.T, body, receives string) {
		m := events.SQSMessage{Body: body, Attributes: map[string]string{"ApproximateReceiveCount": receives}}
		want := func(corp string, err error) {
			t.Helper()
			if (err == nil) != archive.ValidCorpID(corp) {
				t.Errorf("%q: got corp %q, error %v", body, corp, err)
			}
		}
		pull, err := sqsqueue.ParsePull(m)
		want(pull.Corp, err)
		decode, err := sqsqueue.ParseDecode(m)
		want(decode.Corp, err)
		inspect, err := sqsqueue.ParseInspect(m)
		want(inspect.Corp, err)
		if inspect.TooLarge() {
			t.Errorf("%q: a request with too many ids was accepted", body)
		}
		files, err := sqsqueue.ParseMedia(m)
		want(files.Corp, err)
		if files.Lane < 0 || files.Lane >= media.Lanes {
			t.Errorf("%q: got lane %d", body, files.Lane)
		}
	})
}
