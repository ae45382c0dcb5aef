package proof

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

type filesJSON struct {
	Waiting  int            `json:"waiting"`
	Late     int            `json:"late"`
	Earliest *string        `json:"earliest_deadline"`
	Left     *float64       `json:"hours_left"`
	Problems map[string]int `json:"problems"`
	More     bool           `json:"more"`
}

// showBacklog shows the files of a corp for its status.
func showBacklog(b media.Backlog, now time.Time) filesJSON {
	j := filesJSON{Waiting: b.Waiting, Late: b.Late, Earliest: output.MomentOrNull(b.Earliest), Problems: make(map[string]int), More: b.Waiting >= media.BacklogBound}
	if !b.Earliest.IsZero() {
		j.Left = output.Hours(b.Earliest.Sub(now))
	}
	n := 0
	for state, count := range b.Problems {
		j.Problems[string(state)] = count
		n += count
	}
	j.More = j.More || n >= media.BacklogBound
	return j
}

type mediaJSON struct {
	Named    int  `json:"named"`
	Stored   int  `json:"stored"`
	Waiting  int  `json:"waiting"`
	Mismatch int  `json:"mismatch"`
	Expired  int  `json:"expired"`
	Failed   int  `json:"failed"`
	Whole    bool `json:"whole"`
	// SHA256 pins the bytes of all files that are stored: it is a digest of their
	// digests. It is null if some files of the day are unknown.
	SHA256 *string `json:"sha256"`
}

func (j *mediaJSON) add(state media.State) {
	switch state {
	case media.Stored:
		j.Stored++
	case media.Waiting:
		j.Waiting++
	case media.Mismatch:
		j.Mismatch++
	case media.Expired:
		j.Expired++
	case media.Failed:
		j.Failed++
	}
}

// countFiles counts, in each statement, the files that the pages of its day name,
// by their current state.
func (h *Handlers) countFiles(ctx context.Context, corp string, list []*statementJSON) error {
	ids := make(map[string]bool)
	for _, s := range list {
		maps.Copy(ids, s.files)
	}
	var known map[string]media.File
	if len(ids) > 0 {
		var err error
		if known, err = h.Files.Files(ctx, corp, slices.Collect(maps.Keys(ids))); err != nil {
			return err
		}
	}
	for _, s := range list {
		s.Media.Named = len(s.files)
		sum := sha256.New()
		for _, id := range slices.Sorted(maps.Keys(s.files)) {
			row, ok := known[id]
			s.Media.add(row.State)
			s.Media.Whole = s.Media.Whole && ok // decoding writes the rows before the result, so a row is absent only after a fault
			if row.Stored != nil {
				fmt.Fprintf(sum, "%s %s\n", id, row.Stored.SHA256) // a hash never fails
			}
		}
		if s.Media.Whole {
			digest := hex.EncodeToString(sum.Sum(nil))
			s.Media.SHA256 = &digest
		}
	}
	return nil
}
