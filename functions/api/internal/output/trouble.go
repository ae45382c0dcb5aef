package output

import (
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Trouble is why WeCom does not answer us, and what a person does about it.
type Trouble struct {
	Cause  archive.Cause `json:"cause"`
	Step   *int          `json:"step"`
	What   string        `json:"what"`
	Remedy string        `json:"remedy"`
	Op     string        `json:"op"`
	Code   int           `json:"code"`
	Native bool          `json:"native"`
	FromIP *string       `json:"from_ip"`
	Since  string        `json:"since"`
	At     string        `json:"at"`
}

// ShowTrouble writes a trouble of the archive in a language.
func ShowTrouble(t archive.Trouble, lang problem.Language) *Trouble {
	what, remedy := problem.Trouble(string(t.Cause), lang, problem.Args{"from_ip": t.FromIP})
	j := &Trouble{
		Cause: t.Cause, What: what, Remedy: remedy, Op: t.Op, Code: t.Code, Native: t.Native, FromIP: TextOrNull(t.FromIP),
		Since: Moment(t.Since), At: Moment(t.At),
	}
	if step := t.Cause.Step(); step != 0 {
		j.Step = &step
	}
	return j
}

// ShowAccessTrouble writes a trouble with the remedy of the access: for the
// self-built app, the remedy is in the seventh step.
func ShowAccessTrouble(access directory.Access, t archive.Trouble, lang problem.Language) *Trouble {
	j := ShowTrouble(t, lang)
	if step := access.Step(t.Cause); step == directory.AppStep {
		j.Step = &step
		j.What, j.Remedy = problem.AppTrouble(string(t.Cause), lang, problem.Args{"from_ip": t.FromIP})
	}
	return j
}
