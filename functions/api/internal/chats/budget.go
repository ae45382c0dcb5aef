package chats

import "github.com/yunduo-scrm/archive/shared/archive"

// lookMost and lookBytes bound the messages that a page shows, plus those that it
// passes over because the caller asks for revoked messages only. Messages that the
// caller may not see do not count.
const (
	lookMost  = 2000
	lookBytes = 32 << 20
)

// budget counts the messages and bytes that were read for a page.
type budget struct{ messages, bytes int }

func (b *budget) left() bool { return b.messages < lookMost && b.bytes < lookBytes }

// admits counts the bytes of a message in the journal, and reports whether the
// page has room for them. The first message always fits, so each page advances.
func (b *budget) admits(m archive.Message) bool {
	if m.Overflow != nil {
		b.bytes += m.Overflow.Size
	}
	return b.bytes <= lookBytes || b.messages == 0
}

// spend counts a message that was shown or passed over.
func (b *budget) spend(m archive.Message) {
	b.messages++
	b.bytes += len(m.Raw)
}
