package problem_test

import (
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
)

// A header of any text chooses one of the languages. A header without weights that
// begins with Chinese chooses Chinese, and what stands behind the part that is read
// changes nothing.
func FuzzChoose(f *testing.F) {
	for _, header := range []string{"", "en", "zh-CN,zh;q=0.9,en;q=0.8", "en-US;q=0.1", "fr, en;q=0.2", "*", "en;q=2", "x-y-z-", "\xff", strings.Repeat("en,", 100)} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := problem.Choose(header)
		if got != problem.Chinese && got != problem.English {
			t.Fatalf("%q: got %v", header, got)
		}
		if chinese := problem.Choose("zh," + header); chinese != problem.Chinese && !strings.Contains(header, ";") {
			t.Errorf("zh,%q: got %s", header, chinese.Tag())
		}
		if long := header + strings.Repeat(" ", 200); problem.Choose(long) != problem.Choose(long+",en") {
			t.Errorf("%q: the end of a long header counts", header)
		}
	})
}
