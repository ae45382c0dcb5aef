package directory

import (
	"context"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

const (
	// givenMost bounds the people or rooms of one request, and GivenBytes the
	// body that lists them.
	givenMost  = 500
	GivenBytes = 1 << 20
	// reportedMost bounds each list of what an answer says about entries.
	reportedMost = 1000

	maxPersonName = 200  // characters of the name of a person, company or room
	maxAvatar     = 1024 // characters of an address
)

// PutContacts saves the names that the SCRM knows of people. Customers choose their
// names, so one odd entry does not keep the others from being saved; see [given]. A
// failure or a crash may leave some entries saved; the same request again saves the
// rest.
func (h *Handlers) PutContacts(ctx context.Context, c *session.Call) (output.Answer, error) {
	g := &given{call: c, field: "contacts"}
	var people []directory.Person
	for i, in := range g.entries("id", "kind", "name", "avatar", "company") {
		p := directory.Person{
			ID: g.id(in), Name: name(in), Company: optional(in, "company", maxPersonName), Avatar: avatar(in),
			Kind:   directory.PersonKind(oneOf(in, "kind", string(directory.Member), string(directory.External), string(directory.Robot))),
			Origin: directory.Origin{Source: directory.SourceSCRM, At: h.Now()},
		}
		if p.Kind == "" {
			p.Kind = directory.KindOf(p.ID)
		}
		if g.admit(i, in) {
			people = append(people, p)
		}
	}
	if err := g.err(); err != nil {
		return output.Answer{}, err
	}
	if err := h.Contacts.GivePeople(ctx, c.CorpID, people); err != nil {
		return output.Answer{}, err
	}
	return g.answer()
}

// PutRooms saves the names of rooms as PutContacts saves those of people.
func (h *Handlers) PutRooms(ctx context.Context, c *session.Call) (output.Answer, error) {
	g := &given{call: c, field: "rooms"}
	var rooms []directory.Room
	for i, in := range g.entries("id", "kind", "name", "owner") {
		r := directory.Room{
			ID: g.id(in), Name: name(in), Owner: optional(in, "owner", input.MaxParty),
			Kind:   directory.RoomKind(oneOf(in, "kind", string(directory.InternalRoom), string(directory.CustomerRoom), string(directory.ForeignRoom))),
			Origin: directory.Origin{Source: directory.SourceSCRM, At: h.Now()},
		}
		if g.admit(i, in) {
			rooms = append(rooms, r)
		}
	}
	if err := g.err(); err != nil {
		return output.Answer{}, err
	}
	if err := h.Contacts.GiveRooms(ctx, c.CorpID, rooms); err != nil {
		return output.Answer{}, err
	}
	return g.answer()
}

// given is the list of entries of a request. An entry without a readable id or name
// is refused. What is odd in another member is left out or corrected. The answer
// lists both.
type given struct {
	call     *session.Call
	field    string
	seen     map[string]bool
	admitted int
	changed  []problem.Mistake
	refused  []problem.Mistake
}

func (g *given) entries(known ...string) []*input.Input {
	g.seen = make(map[string]bool)
	g.call.Required(g.field)
	return g.call.Entries(g.field, givenMost, known)
}

// id reads the member id. An id that was given before is a mistake.
func (g *given) id(in *input.Input) string {
	in.Required("id")
	id, ok := in.Text("id", 1, input.MaxParty)
	switch {
	case !ok:
	case g.seen[id]:
		in.Reject("id", problem.Repeated, problem.RemedyRepeated, nil)
	case directory.Damaged(id):
		in.Reject("id", problem.Form, problem.RemedyCharacters, nil)
	}
	g.seen[id] = true
	return id
}

// admit takes note of the i-th entry, and reports whether it can be saved.
func (g *given) admit(i int, in *input.Input) bool {
	place := g.field + "[" + strconv.Itoa(i) + "]"
	in.Forgive(problem.Unknown)
	if in.Mistaken() {
		g.refused = append(g.refused, in.Mistakes(place)...)
		return false
	}
	g.changed = append(g.changed, in.Changes(place)...)
	g.admitted++
	return true
}

// err is the problem of a request of which nothing can be saved.
func (g *given) err() error {
	if err := g.call.Err(); err != nil || g.admitted > 0 {
		return err
	}
	return &problem.Problem{Kind: problem.InvalidRequest, Mistakes: g.refused[:min(len(g.refused), input.MaxMistakes)]}
}

type givenJSON struct {
	Saved   int                     `json:"saved"`
	Changed []problem.MistakeDetail `json:"changed"`
	Refused []problem.MistakeDetail `json:"refused"`
}

func (g *given) answer() (output.Answer, error) {
	details := func(list []problem.Mistake) []problem.MistakeDetail {
		return problem.Details(g.call.Lang, list[:min(len(list), reportedMost)])
	}
	return output.JSON(200, givenJSON{g.admitted, details(g.changed), details(g.refused)})
}

// name reads the member name, which is required. null removes the name that was given
// before.
func name(in *input.Input) string {
	if !in.Required("name") || in.IsNull("name") {
		return ""
	}
	s, ok := readable(in, "name")
	switch {
	case !ok:
		in.Reject("name", problem.Type, problem.RemedyString, nil)
	case strings.TrimSpace(s) == "":
		in.Reject("name", problem.Form, problem.RemedyName, nil)
	case strings.TrimFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsSpace(r) }) == "":
		in.Reject("name", problem.Form, problem.RemedyCharacters, nil) // it would replace a good name
	case utf8.RuneCountInString(s) > maxPersonName:
		in.Reject("name", problem.Length, problem.RemedyLength, lengthTo(maxPersonName))
	}
	return s
}

// optional reads a text of up to most characters that is not needed. It leaves out
// another form of it.
func optional(in *input.Input, field string, most int) string {
	s, ok := readable(in, field)
	switch {
	case !ok && in.Has(field) && !in.IsNull(field):
		in.Change(field, problem.Type, problem.RemedyString, nil)
	case utf8.RuneCountInString(s) > most:
		in.Change(field, problem.Length, problem.RemedyLength, lengthTo(most))
	case strings.TrimSpace(s) != "":
		return s
	}
	return ""
}

func lengthTo(most int) problem.Args {
	return problem.Args{"min": "1", "max": strconv.Itoa(most)}
}

// readable reads a text, or a number in its written form, as a screen shows it. The
// replacement character stands for bytes that were not UTF-8.
func readable(in *input.Input, field string) (string, bool) {
	s, number, ok := in.TextOrNumber(field)
	if number {
		in.Change(field, problem.Type, problem.RemedyString, nil)
	}
	visible := directory.Visible(s)
	if visible != s || strings.ContainsRune(s, utf8.RuneError) {
		in.Change(field, problem.Form, problem.RemedyCharacters, nil)
	}
	return visible, ok
}

// avatar reads the address that pages load a picture from. It takes an http address
// as https, because a page may load no other, and leaves out what is not an address.
func avatar(in *input.Input) string {
	s := strings.TrimSpace(optional(in, "avatar", maxAvatar))
	if s == "" {
		return ""
	}
	https := directory.Picture(s)
	if !strings.EqualFold(https, s) {
		in.Change("avatar", problem.Form, problem.RemedyHTTPS, nil)
	}
	return https
}

// oneOf reads a member that is one of the values. It leaves out another value.
func oneOf(in *input.Input, field string, values ...string) string {
	s := optional(in, field, maxPersonName)
	for _, v := range values {
		if strings.EqualFold(s, v) {
			return v
		}
	}
	if s != "" {
		in.Change(field, problem.OneOf, problem.RemedyOneOf, problem.Args{"values": strings.Join(values, ", ")})
	}
	return ""
}
