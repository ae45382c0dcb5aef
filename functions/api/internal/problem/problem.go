// Package problem holds the texts that the API shows to people, in Chinese and
// English: RFC 9457 problems and the mistakes of a request. Programs read the codes
// beside the texts. The codes are part of the API and do not change. The texts of a
// corp's troubles are the doctor's.
package problem

import (
	"net/http"
	"strings"

	"golang.org/x/text/language"

	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/rsakey"
)

// Language is the language of a text.
type Language int

// The languages. Chinese is the default.
const (
	Chinese Language = iota
	English
)

// matcher lists the languages in the order of their values.
var matcher = language.NewMatcher([]language.Tag{language.Chinese, language.English})

// longestHeader bounds the part of an Accept-Language header that is read, in
// bytes. Parsing takes time that grows with the header.
const longestHeader = 200

// Choose returns the language for an Accept-Language header.
func Choose(acceptLanguage string) Language {
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage[:min(len(acceptLanguage), longestHeader)])
	if err != nil || len(tags) == 0 {
		return Chinese
	}
	_, i, confidence := matcher.Match(tags...)
	if confidence == language.No {
		return Chinese
	}
	return Language(i)
}

// Tag is the language's name in Content-Language.
func (l Language) Tag() string {
	if l == English {
		return "en"
	}
	return "zh-CN"
}

// words is a text in both languages. "{name}" stands for an argument.
type words struct{ zh, en string }

func (w words) in(l Language, args Args) string {
	text := w.zh
	if l == English {
		text = w.en
	}
	pairs := make([]string, 0, 2*len(args))
	for name, value := range args {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Args fill the places of a text. The caller sees them unchanged, so they hold
// no secret and no content of a message.
type Args map[string]string

// Kind is a kind of problem: the last part of its type.
type Kind string

// The kinds.
const (
	InvalidRequest       Kind = "invalid-request"
	Unauthorized         Kind = "unauthorized"
	Forbidden            Kind = "forbidden"
	StaffMissing         Kind = "staff-missing"
	NotFound             Kind = "not-found"
	MethodNotAllowed     Kind = "method-not-allowed"
	VersionProved        Kind = "version-proved" // Args: version, and the beginnings of key and owner
	SecretMissing        Kind = "secret-missing"
	ChangedMeanwhile     Kind = "changed-meanwhile"
	JobRunning           Kind = "job-running" // Args: id
	JobsToday            Kind = "jobs-today"  // Args: max
	InspectionsWait      Kind = "inspections-wait"
	KeysUnproved         Kind = "keys-unproved"     // Args: max
	ImportsToday         Kind = "imports-today"     // Args: max
	ImportsUsed          Kind = "imports-used"      // Args: max
	BodyTooLarge         Kind = "body-too-large"    // Args: max
	MessageTooLarge      Kind = "message-too-large" // Args: size, ranges
	UnsupportedMediaType Kind = "unsupported-media-type"
	RangeNotSatisfiable  Kind = "range-not-satisfiable" // Args: size
	FileWaiting          Kind = "file-waiting"          // Args: hours
	FileExpired          Kind = "file-expired"          // Args: reason
	FileFailed           Kind = "file-failed"           // Args: reason, message
	FileUnknown          Kind = "file-unknown"          // Args: message
	FileUnread           Kind = "file-unread"           // Args: size
	Unavailable          Kind = "unavailable"
	Internal             Kind = "internal"
)

// Problem is an error that the caller learns. Its Error text is for the log.
type Problem struct {
	Kind     Kind
	Args     Args
	Detail   Detail      // in place of the kind's own detail; may be empty
	Mistakes []Mistake   // of an InvalidRequest
	Header   http.Header // of the answer; may be nil
}

// New makes a problem of a kind without mistakes.
func New(k Kind, args Args) *Problem { return &Problem{Kind: k, Args: args} }

// A Detail says more than the detail of a kind.
type Detail string

const (
	DetailNoAddress Detail = "no_address" // of NotFound
	DetailNeedsRole Detail = "needs_role" // of Forbidden; Args: needs, has
)

// NoAddress is the problem of a path that no operation has.
func NoAddress() *Problem { return &Problem{Kind: NotFound, Detail: DetailNoAddress} }

// NeedsRole is the problem of a token that has none of the roles of an operation.
func NeedsRole[R ~string](needs, has []R) *Problem {
	list := func(roles []R) string {
		names := make([]string, len(roles))
		for i, r := range roles {
			names[i] = string(r)
		}
		return strings.Join(names, ", ")
	}
	return &Problem{Kind: Forbidden, Detail: DetailNeedsRole, Args: Args{"needs": list(needs), "has": list(has)}}
}

func (p *Problem) Error() string {
	text := string(p.Kind)
	for _, m := range p.Mistakes {
		text += " " + m.Field + ":" + string(m.Rule)
	}
	return text
}

// Status is the HTTP status of the problem.
func (p *Problem) Status() int { return kinds[p.Kind].status }

// Document is the body of an answer with media type application/problem+json.
type Document struct {
	Type     string          `json:"type"`
	Title    string          `json:"title"`
	Status   int             `json:"status"`
	Detail   string          `json:"detail"`
	Instance string          `json:"instance"`
	Errors   []MistakeDetail `json:"errors,omitempty"`
}

// MistakeDetail is a [Mistake] in a language.
type MistakeDetail struct {
	Field  string `json:"field"`
	Rule   Rule   `json:"rule"`
	Remedy string `json:"remedy"`
}

// In is the problem in a language; instance is the request's id.
func (p *Problem) In(l Language, instance string) Document {
	k := kinds[p.Kind]
	detail, ok := details[p.Detail]
	if !ok {
		detail = k.detail
	}
	d := Document{
		Type:     "urn:yunduo-archive:problem:" + string(p.Kind),
		Title:    k.title.in(l, p.Args),
		Status:   k.status,
		Detail:   detail.in(l, p.Args),
		Instance: instance,
	}
	d.Errors = Details(l, p.Mistakes)
	return d
}

// Details are mistakes in a language.
func Details(l Language, list []Mistake) []MistakeDetail {
	details := make([]MistakeDetail, len(list))
	for i, m := range list {
		details[i] = MistakeDetail{Field: m.Field, Rule: m.Rule, Remedy: remedies[m.Remedy].in(l, m.Args)}
	}
	return details
}

// Mistake is one mistake of a request.
type Mistake struct {
	Field  string // query parameter or member of the body; empty for the body as a whole
	Rule   Rule
	Remedy Remedy
	Args   Args // for the text of Remedy
}

// Rule names the rule that a field breaks, for programs.
type Rule string

// The rules. Those of a private key are the values of rsakey.Rule.
const (
	Required  Rule = "required"
	Unknown   Rule = "unknown"
	Repeated  Rule = "repeated"
	Type      Rule = "type"
	Length    Rule = "length"
	Range     Rule = "range"
	Form      Rule = "form"
	Exclusive Rule = "exclusive"
	OneOf     Rule = "one_of"
	Token     Rule = "token"
	JSON      Rule = "json"
)

// Text is a text of the doctor in a language.
func Text(t doctor.Text, l Language) (what, remedy string) {
	return Words(t.What).In(l, nil), Words(t.Remedy).In(l, nil)
}

// Words is a text of the doctor in both languages.
type Words doctor.Words

// In is the text in a language, with its arguments.
func (w Words) In(l Language, args Args) string { return words{w.ZH, w.EN}.in(l, args) }

// OfKey is the remedy for a private key that is refused.
func OfKey(r rsakey.Rule) (Remedy, bool) {
	m, ok := map[rsakey.Rule]Remedy{
		rsakey.RuleNotPEM:       RemedyKeyNotPEM,
		rsakey.RuleNoPrivate:    RemedyKeyNoPrivate,
		rsakey.RuleSeveral:      RemedyKeySeveral,
		rsakey.RuleEncrypted:    RemedyKeyEncrypted,
		rsakey.RuleEncryptedSSH: RemedyKeyEncryptedSSH,
		rsakey.RulePuTTY:        RemedyKeyPuTTY,
		rsakey.RulePKCS12:       RemedyKeyPKCS12,
		rsakey.RuleCutOff:       RemedyKeyCutOff,
		rsakey.RuleNotRSA:       RemedyKeyNotRSA,
		rsakey.RuleMalformed:    RemedyKeyMalformed,
		rsakey.RuleBits:         RemedyKeyNot2048Bit,
	}[r]
	return m, ok
}
