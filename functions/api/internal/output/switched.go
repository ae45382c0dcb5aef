package output

import "github.com/yunduo-scrm/archive/shared/archive"

// Switched says who last switched archiving on or off, and why.
type Switched struct {
	At     string  `json:"at"`
	By     string  `json:"by"`
	Reason *string `json:"reason"`
}

// ShowSwitched is nil for a corp that was never switched.
func ShowSwitched(c archive.Corp) *Switched {
	if c.StateAt.IsZero() {
		return nil
	}
	return &Switched{At: Moment(c.StateAt), By: c.StateBy, Reason: TextOrNull(c.StateReason)}
}
