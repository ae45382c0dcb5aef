package callback

import (
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// Held is the number of corps whose pairs are in memory.
func (p *Pairs) Held() int { return len(p.boxes) }

// ReadEvent returns what the app's callback takes from an event: its ids, the time that
// it names, and the time of a consent in it.
func ReadEvent(plain []byte, arrived time.Time) (about subject, sent, consented time.Time) {
	event, _ := msgcrypt.ParseEvent(plain)
	sent = sentAt(event)
	return readSubject(plain), sent, consentedAt(archive.Event{SentAt: sent, ArrivedAt: arrived})
}
