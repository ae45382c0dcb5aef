// Package replay makes replay jobs and shows them. Two subjects do so: set-up,
// where an imported key is tried on records set aside, and proof.
package replay

import (
	"math"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// New makes a job over the whole journal. Its id sorts by time; unique makes it
// differ from the ids of the same millisecond.
func New(corp, unique, by string, now time.Time) decode.Replay {
	return decode.Replay{Corp: corp, ID: decode.JobID(now, unique), CreatedAt: now, UpdatedAt: now, By: by}
}

// Document is a job that decodes or verifies pages of the journal.
type Document struct {
	ID           string  `json:"id"`
	CreatedAt    string  `json:"created_at"`
	By           string  `json:"by"`
	From         string  `json:"from_seq"`
	To           *string `json:"to_seq"`
	SetAsideOnly bool    `json:"set_aside_only"`
	Version      *uint32 `json:"publickey_ver"`
	Next         string  `json:"next_seq"`
	Pages        int     `json:"pages"`
	UpdatedAt    string  `json:"updated_at"`
	Done         bool    `json:"done"`
	Failed       bool    `json:"failed"`
	StoppedBy    *string `json:"stopped_by"`
	// Progress is the part of the range that is done, from 0 to 1; nil before the
	// first run fixed the range.
	Progress *float64 `json:"progress"`

	Verify    bool      `json:"verify"`
	Weekly    bool      `json:"weekly"`
	ChainOnly bool      `json:"chain_only"`
	Faults    int       `json:"faults"`
	Findings  []Finding `json:"findings"`
}

// Finding is one disagreement that a verification found.
type Finding struct {
	After string       `json:"after"`
	Seq   *string      `json:"seq"`
	What  decode.Fault `json:"what"`
}

// progress is the part of the job's range of seqs that is done.
func progress(r decode.Replay) *float64 {
	part := 0.0
	switch {
	case r.Whole():
		part = 1
	case r.To <= r.From:
		return nil
	case r.Next > r.From:
		part = min(float64(r.Next-r.From)/float64(r.To-r.From), 1)
	}
	part = math.Round(part*1000) / 1000
	return &part
}

// Show writes a job.
func Show(r decode.Replay) Document {
	j := Document{
		ID: r.ID, CreatedAt: output.Moment(r.CreatedAt), By: r.By, From: output.Decimal(r.From), SetAsideOnly: r.OnlySetAside, Version: output.VersionOrNull(r.Version),
		Next: output.Decimal(r.Next), Pages: r.Pages, UpdatedAt: output.Moment(r.UpdatedAt), Done: r.Done, Failed: r.Failed, StoppedBy: output.TextOrNull(r.StoppedBy), Progress: progress(r),
		Verify: r.Verify, Weekly: r.Weekly, ChainOnly: r.ChainOnly, Faults: r.Faults, Findings: []Finding{},
	}
	for _, f := range r.Findings {
		shown := Finding{After: output.Decimal(f.After), What: f.What}
		if f.Seq != 0 {
			seq := output.Decimal(f.Seq)
			shown.Seq = &seq
		}
		j.Findings = append(j.Findings, shown)
	}
	if r.To != 0 {
		to := output.Decimal(r.To)
		j.To = &to
	}
	return j
}
