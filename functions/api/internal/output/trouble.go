package output

import (
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
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
	return showTrouble(doctor.CheckPulls, t, lang)
}

func showTrouble(check doctor.Check, t archive.Trouble, lang problem.Language) *Trouble {
	var evidence []doctor.Evidence
	if t.FromIP != "" {
		evidence = append(evidence, doctor.Evidence{Fact: doctor.FactFromIP, Value: t.FromIP})
	}
	text, _ := doctor.TextOf(check, doctor.Cause(t.Cause), evidence)
	what, remedy := problem.Text(text, lang)
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
	step := access.Step(t.Cause)
	if step != directory.AppStep {
		return ShowTrouble(t, lang)
	}
	j := showTrouble(doctor.CheckApp, t, lang)
	j.Step = &step
	return j
}
