package archive

import (
	"time"
)

// The times of law 8, and of calls to WeCom that are tried again.
const (
	RetryPause = time.Second
	Tries      = 3                // of one call
	PauseLong  = 10 * time.Minute // while only a person or a payment can help
	Banned     = time.Hour        // WeCom's ban of an address (45009 after wrong secrets)
	// SecretSettles is how long the secret store may still show the secret
	// before: a refusal within it says nothing about the new one.
	SecretSettles = time.Minute
	RefusalHours  = time.Hour // the window of the address's budget
	// RefusalBudget is how many refused secrets our address may have in an
	// hour. How many WeCom bears is not documented (wecom.md 10.10).
	RefusalBudget = 10
)

// refusalPauses are the growing pauses of law 8.
var RefusalPauses = []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour}

// due reports whether the corp may be asked for now: its pause is over, or it
// was about a secret that has been changed since.
func Due(c Corp, s PullState, now time.Time) bool {
	changed := !s.SecretRefusedAt.IsZero() && !s.SecretRefusedAt.Equal(c.SecretSetAt)
	return changed || !now.Before(s.NotBefore)
}
