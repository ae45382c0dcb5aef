// Package mutants breaks the product on purpose, one way at a time, so that the
// simulation can show that its checker finds each way.
package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is a change of one source file that breaks a law.
type Mutant struct {
	Name string // what is broken, in a few words
	Law  string
	File string // below the repository's root
	Old  string // stands in the file exactly once
	New  string
}

// All are the mutants, in the order of the laws.
var All = []Mutant{
	{"pull: the row is written before its page", "1", "shared/archive/pull/pull.go",
		`	if err := r.Journal.PutPage(ctx, row, raw); err != nil {
		return fmt.Errorf("write page after %d to the journal: %w", row.After, err)
	}
	appended, err := r.append(ctx, row)
	if err != nil || !appended {
		return err
	}
`, `	appended, err := r.append(ctx, row)
	if err != nil || !appended {
		return err
	}
	if err := r.Journal.PutPage(ctx, row, raw); err != nil {
		return fmt.Errorf("write page after %d to the journal: %w", row.After, err)
	}
`},
	{"pull: a gap is recorded after the first failure", "1", "shared/archive/pull/gap.go",
		`Sub(p.Since) < gapAge || p.Attempts < gapAttempts {`, `Sub(p.Since) < 0 {`},
	{"pull: the order of seqs is not checked", "1", "shared/archive/pull/pull.go",
		`		if err := archive.CheckOrder(r.head.Last, answer.Records); err != nil {
			r.Log`, `		if err := archive.CheckOrder(r.head.Last, answer.Records); false {
			r.Log`},
	{"decode: an error of the files' table is dropped", "5", "shared/archive/decode/page.go",
		`		return fmt.Errorf("register files: %w", err)
	}
`, `		return nil
	}
`},
	{"decode: an error of the consents' table is dropped", "2", "shared/archive/decode/page.go",
		`		return fmt.Errorf("record consents: %w", err)
	}
`, `		return nil
	}
`},
	{"decode: a stored record stays set aside", "5", "shared/archive/decode/page.go",
		`		if ok && wasSetAside {`, `		if false && ok && wasSetAside {`},
	{"decode: the result is written before the view", "2", "shared/archive/decode/page.go",
		`	if err := p.run(ctx, redo); err != nil {
		return fmt.Errorf("decode page after %d: %w", after, err)
	}
`, `	if err := p.run(ctx, redo); err != nil && !errors.Is(err, context.Canceled) {
		d.cfg.Log.ErrorContext(ctx, "page not decoded", "err", err)
	}
`},
	{"decode: bytes that are no UTF-8 are replaced", "4", "shared/archive/decode/message.go",
		`	m.Raw = raw
`, `	m.Raw = []byte(strings.ToValidUTF8(string(raw), "\uFFFD"))
`},
	{"decode: only a claimed or proved key is tried", "6", "shared/archive/decode/keys.go",
		`	for _, key := range keys {
		ids = append(ids, key.ID)
	}
`, `	for _, key := range keys {
		if rank(key) <= 2 {
			ids = append(ids, key.ID)
		}
	}
`},
	{"replay: the progress is stored before the page is decoded", "5", "shared/archive/decode/replay.go",
		`	if err := r.decode(ctx, job, row); err != nil {
		return err
	}
	next := *job
	next.Next, next.Begun = row.After+1, false
	next.Pages++
	return r.advance(ctx, job, next)
`, `	next := *job
	next.Next, next.Begun = row.After+1, false
	next.Pages++
	if err := r.advance(ctx, job, next); err != nil {
		return err
	}
	return r.decode(ctx, job, row)
`},
	{"dispatch: overdue pages are not requested again", "3", "shared/archive/watch/decodes.go",
		`	left := againOfAll
`, `	left := 0
`},
	{"dispatch: a calm corp is never looked at again", "3", "shared/archive/watch/look.go",
		`	return ok && !t.hasTurn(c.ID, calmTicks) && t.now.Sub(last.at) < calmTicks*time.Minute && t.states[c.ID].LastPageAt.Equal(last.pageAt)
`, `	return ok && !last.at.IsZero()
`},
	{"dispatch: jobs are not requested again", "3", "shared/archive/watch/decodes.go",
		`		if t.now.Sub(job.RequestedAt) < overdueAfter {
			continue
		}
`, `		if true {
			continue
		}
`},
	{"marks: each wish sends a request", "3", "shared/archive/wanted.go",
		`	if maySend && !waits {`, `	if maySend {`},
	{"marks: a lost request is never replaced", "3", "shared/archive/wanted.go",
		`now.Sub(stored.SentAt) < w.Kept+clockMargin &&`, `now.Sub(stored.SentAt) < 1000*w.Kept &&`},
	{"gate: a corp has no share", "8", "shared/archive/gate.go",
		`	if !accepted {
		bounds := `, `	if false && !accepted {
		bounds := `},
	{"dispatch: the state of one corp is taken for that of every corp", "8", "shared/archive/watch/notify.go",
		`		state, before := t.states[c.ID], notified[c.ID]
`, `		state, before := t.states[t.corps[0].ID], notified[c.ID]
`},
	{"pull and dispatch: a loss is not recorded", "9", "shared/archive/ledger.go",
		`	return Retention - now.Sub(caughtUp(c, s))
`, `	return max(1, Retention-now.Sub(caughtUp(c, s)))
`},
	{"dispatch: the notice is noted as sent before it is sent", "9", "shared/archive/watch/notify.go",
		`		sending := Notified{Corp: c.Corp, Health: c.From, At: t.now, Sending: c.To}
`, `		sending := Notified{Corp: c.Corp, Health: c.To, At: t.now}
`},
	{"pull: errcodes of the answer are not read", "10", "shared/archive/pull/pull.go",
		`	if a.ErrCode != 0 {
		cause`, `	if a.ErrCode > 1000000 {
		cause`},
}

// Overlay writes the mutant's file below dir, and the list of replaced files that go
// test -overlay reads. It returns the name of the list.
func (m Mutant) Overlay(root, dir string) (string, error) {
	name := filepath.Join(root, m.File)
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), m.Old); n != 1 {
		return "", fmt.Errorf("%s: the text that mutant %q changes stands there %d times, want once", m.File, m.Name, n)
	}
	changed := filepath.Join(dir, filepath.Base(m.File))
	if err := os.WriteFile(changed, []byte(strings.Replace(string(b), m.Old, m.New, 1)), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {name: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}
