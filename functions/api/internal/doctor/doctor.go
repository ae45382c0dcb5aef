// Package doctor answers whether each part of the set-up works, and what a person
// does where it does not.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
)

// Handlers answer about the set-up. The fields never change after the first
// request. The stores are safe for concurrent use.
type Handlers struct {
	Facts   Facts
	Records Records
	Marks   Marks
	Pulls   archive.PullQueue
	Checks  Checks
	Now     func() time.Time
}

// Facts reads what is stored about a corp ([doctor.Reader]).
type Facts interface {
	Read(ctx context.Context, corp archive.Corp) (doctor.Facts, error)
}

// Records reads what examinations have found.
type Records interface {
	Examined(ctx context.Context, corp string) (doctor.Record, error)
	// SetupChanges lists changes, the newest first, at most limit. next is the
	// cursor of the next page, empty at the end.
	SetupChanges(ctx context.Context, corp, cursor string, limit int) (list []doctor.Change, next string, err error)
}

// Marks says whether an inspection waits ([archive.Marks]).
type Marks interface {
	Mark(ctx context.Context, corp, work string) (archive.Mark, error)
}

// Checks requests checks of the set-up.
type Checks interface {
	// RequestCheck requests a check of every access, which ends with an examination.
	// Durable on return.
	RequestCheck(ctx context.Context, corp string, also directory.Request) error
}

type doctorJSON struct {
	CheckedAt   *string     `json:"checked_at"`
	Running     bool        `json:"running"`
	RequestedAt *string     `json:"requested_at"`
	Steps       []stepJSON  `json:"steps"`
	Checks      []checkJSON `json:"checks"`
}

type stepJSON struct {
	Step  int         `json:"step"`
	Name  string      `json:"name"`
	State doctor.Mark `json:"state"`
	Title string      `json:"title"`
	Where *string     `json:"where"` // in WeCom's admin console
}

type checkJSON struct {
	Check doctor.Check  `json:"check"`
	Step  int           `json:"step"`
	State doctor.State  `json:"state"`
	Cause *doctor.Cause `json:"cause"`
	// Who can put it right: the company's admin, or the operators.
	Who      string         `json:"who"`
	Since    *string        `json:"since"`
	At       *string        `json:"at"`
	What     *string        `json:"what"`
	Fix      *string        `json:"fix"`
	Where    *string        `json:"where"`
	Op       *string        `json:"op"`
	Code     *int           `json:"code"`
	Native   bool           `json:"native"`
	FromIP   *string        `json:"from_ip"`
	Evidence []evidenceJSON `json:"evidence"`
}

type evidenceJSON struct {
	Fact  doctor.Fact `json:"fact"`
	Label string      `json:"label"`
	Value string      `json:"value"`
	Text  string      `json:"text"` // the value for people
}

// GetDoctor answers the present state of every step and check. It derives the states from
// what is stored at this moment, so they are never older than WeCom's last answers.
func (h *Handlers) GetDoctor(ctx context.Context, c *session.Call) (output.Answer, error) {
	facts, err := h.Facts.Read(ctx, c.Corp)
	if err != nil {
		return output.Answer{}, err
	}
	record, err := h.Records.Examined(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	mark, err := h.Marks.Mark(ctx, c.CorpID, directory.InspectionWork)
	if err != nil {
		return output.Answer{}, err
	}
	j := doctorJSON{CheckedAt: output.MomentOrNull(facts.Reach.CheckedAt), Running: mark.Wish != "", Checks: []checkJSON{}}
	if j.Running {
		j.RequestedAt = output.MomentOrNull(mark.SentAt)
	}
	results := doctor.Derive(facts)
	for n := range doctor.Steps {
		title, where := doctor.StepTexts(n)
		j.Steps = append(j.Steps, stepJSON{n, doctor.StepName(n), doctor.MarkOf(n, results), problem.Words(title).In(c.Lang, nil), textOrNull(where, c.Lang)})
	}
	for _, r := range results {
		j.Checks = append(j.Checks, show(r, record.Since(r), c.Lang))
	}
	return output.JSON(200, j)
}

func show(r doctor.Result, since time.Time, lang problem.Language) checkJSON {
	j := checkJSON{
		Check: r.Check, Step: r.Check.Step(), State: r.State, Who: doctor.Who(r.Cause.Operators()), Since: output.MomentOrNull(since), At: output.MomentOrNull(r.At),
		Op: output.TextOrNull(r.Op), Native: r.Native, FromIP: output.TextOrNull(r.FromIP), Where: textOrNull(r.Check.Where(), lang), Evidence: showEvidence(r.Evidence, lang),
	}
	if r.Op != "" {
		j.Code = &r.Code
	}
	if r.Cause != "" {
		j.Cause = &r.Cause
		text, _ := doctor.TextOf(r.Check, r.Cause, r.Evidence)
		what, fix := problem.Text(text, lang)
		j.What, j.Fix = &what, &fix
	}
	return j
}

func textOrNull(w doctor.Words, lang problem.Language) *string {
	return output.TextOrNull(problem.Words(w).In(lang, nil))
}

func showEvidence(list []doctor.Evidence, lang problem.Language) []evidenceJSON {
	shown := []evidenceJSON{}
	for _, e := range list {
		shown = append(shown, evidenceJSON{e.Fact, problem.Words(e.Fact.Name()).In(lang, nil), e.Value, problem.Words(e.Shown()).In(lang, nil)})
	}
	return shown
}

// RequestDoctor requests a pull and a check of every access. Both skip pauses,
// because a person asked.
func (h *Handlers) RequestDoctor(ctx context.Context, c *session.Call) (output.Answer, error) {
	at := h.Now()
	if err := h.Pulls.RequestPulls(ctx, archive.PullRequest{Corp: c.CorpID, Why: "asked", Force: true}); err != nil {
		return output.Answer{}, fmt.Errorf("request pull of %s: %w", c.CorpID, err)
	}
	if err := h.Checks.RequestCheck(ctx, c.CorpID, directory.Request{}); err != nil {
		return output.Answer{}, err
	}
	return output.Requested(at)
}

type changeJSON struct {
	At       string         `json:"at"`
	Check    doctor.Check   `json:"check"`
	Step     int            `json:"step"`
	From     *doctor.State  `json:"from"`
	To       doctor.State   `json:"to"`
	Was      *doctor.Cause  `json:"was"`
	Cause    *doctor.Cause  `json:"cause"`
	Who      string         `json:"who"`
	What     *string        `json:"what"`
	Evidence []evidenceJSON `json:"evidence"`
}

// ListChanges lists what examinations found changed, the newest first.
func (h *Handlers) ListChanges(ctx context.Context, c *session.Call) (output.Answer, error) {
	var at input.KeyPage
	c.Page(&at)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	list, next, err := h.Records.SetupChanges(ctx, c.CorpID, at.Key, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Changes []changeJSON `json:"changes"`
		Next    *string      `json:"next"`
	}{Changes: []changeJSON{}}
	for _, ch := range list {
		out.Changes = append(out.Changes, showChange(ch, c.Lang))
	}
	if out.Next, err = c.SealKey(next); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

func showChange(ch doctor.Change, lang problem.Language) changeJSON {
	j := changeJSON{
		At: output.Moment(ch.At), Check: ch.Check, Step: ch.Check.Step(), To: ch.To, Who: doctor.Who(ch.Operators), Evidence: showEvidence(ch.Evidence, lang),
	}
	if ch.From != "" {
		j.From = &ch.From
	}
	if ch.Was != "" {
		j.Was = &ch.Was
	}
	if ch.Now != "" {
		j.Cause = &ch.Now
		text, _ := doctor.TextOf(ch.Check, ch.Now, ch.Evidence)
		what, _ := problem.Text(text, lang)
		j.What = &what
	}
	return j
}
