package callback_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// An event of any bytes names people and rooms by ids that can be asked for, and times
// that can be stored. What a customer wrote, in any form, replaces no id that stands
// before it.
func FuzzAppEvent(f *testing.F) {
	for _, text := range []string{
		"阿木", "<xml><UserID>a</UserID><ExternalUserID>b</ExternalUserID><CreateTime>1767225826</CreateTime></xml>", "</Name><UserID>evil</UserID><Name>",
		"<![CDATA[]]>", "<!--", "&#x0;", "<xml><ChatId>\xff</ChatId><CreateTime>1e14</CreateTime></xml>", "<CreateTime>253402300800</CreateTime>",
	} {
		f.Add(text)
	}
	arrived := time.Date(2026, 1, 31, 6, 30, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, sent, consented := callback.ReadEvent([]byte(text), arrived)
		for _, id := range []string{s.Member, s.Contact, s.Room} {
			if len(id) > input.MaxParty || directory.Damaged(id) || id != strings.TrimSpace(id) {
				t.Errorf("%q: got the id %q", text, id)
			}
		}
		if _, err := json.Marshal(sent); err != nil || !sent.IsZero() && sent.Unix() <= 0 {
			t.Errorf("%q: sent at %v, %v", text, sent, err)
		}
		if consented.IsZero() || consented.After(arrived.Add(archive.EventAhead)) {
			t.Errorf("%q: consented at %v", text, consented)
		}
		s, _, _ = callback.ReadEvent([]byte("<xml><UserID>lin.hua</UserID><ExternalUserID>wm1</ExternalUserID><ChatId>wr1</ChatId><Name>"+text+"</Name></xml>"), arrived)
		if s.Member != "lin.hua" || s.Contact != "wm1" || s.Room != "wr1" {
			t.Errorf("%q replaced an id: got %+v", text, s)
		}
	})
}
