package rsakey

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/url"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/shared/pattern"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// parse finds the one private key that a text holds.
//
// It judges a key by its bytes, not by its wrapping, because people copy keys
// through editors, chats, configuration files and JSON. So it takes a text with a
// byte order mark, with line breaks lost or written as \n, indented, quoted, or
// encoded once more; a PEM block with a wrong label, with a damaged BEGIN or END
// line or without one; and base64 alone. A key that the text holds twice is one
// key.
//
// A text that breaks several rules gets the rule that a person must fix first.
func parse(text secret.Value) (*rsa.PrivateKey, error) {
	var f finding
	f.search(text.Reveal(), maxEncodings)
	key, rule := f.result()
	if rule != "" {
		return nil, &RuleError{rule}
	}
	return key, nil
}

const (
	// maxEncodings is how many times a text may be encoded as a whole.
	maxEncodings = 3
	// maxCandidates bounds the work for a text that often looks like a key.
	maxCandidates = 50
)

// A finding collects what a text holds.
type finding struct {
	keys   []*rsa.PrivateKey // distinct
	broken []Rule            // of private keys that cannot be used
	blank  Rule              // of a block that holds nothing
	others bool              // whether the text holds a public key, a certificate or the like
}

func (f *finding) result() (*rsa.PrivateKey, Rule) {
	switch {
	case f.several():
		return nil, RuleSeveral
	case len(f.broken) == 1:
		return nil, f.broken[0]
	case len(f.keys) == 1 && f.keys[0].N.BitLen() != Bits:
		return nil, RuleBits
	case len(f.keys) == 1:
		return f.keys[0], ""
	case f.others:
		return nil, RuleNoPrivate
	case f.blank != "":
		return nil, f.blank
	}
	return nil, RuleNotPEM
}

func (f *finding) empty() bool { return len(f.keys)+len(f.broken) == 0 }

// several reports whether the text is refused whatever else it holds.
func (f *finding) several() bool { return len(f.keys)+len(f.broken) > 1 }

// add records the result of reading some bytes: a key, or the rule that they break.
func (f *finding) add(key *rsa.PrivateKey, rule Rule) {
	switch {
	case rule == RuleNoPrivate:
		f.others = true
	case rule != "":
		f.broken = append(f.broken, rule)
	default:
		for _, k := range f.keys {
			if k.N.Cmp(key.N) == 0 {
				return
			}
		}
		f.keys = append(f.keys, key)
	}
}

// search looks for keys that are written as numbers, for keys in PEM blocks, and then
// in the text beside them.
func (f *finding) search(text string, encodings int) {
	if f.searchNumbers(text); !f.empty() {
		return
	}
	if b, err := hex.DecodeString(beside().ReplaceAllString(text, "")); err == nil && len(b) > minKey {
		f.searchBytes(b, encodings)
		return
	}
	for _, run := range digits().FindAllString(single().ReplaceAllString(text, "0x0$1"), maxCandidates) { // in a program
		b, err := hex.DecodeString(beside().ReplaceAllString(run, ""))
		if _, rule := readDER(b); err == nil && (rule == "" || printable(b)) {
			f.searchBytes(b, encodings)
		}
	}
	if !f.empty() {
		return
	}
	text = plain(text)
	if strings.Contains(text, "PuTTY-User-Key-File-") {
		f.broken = append(f.broken, RulePuTTY)
		return
	}
	blocks, beside := split(text)
	for _, b := range blocks {
		if packed := pack(b.body); b.private() && len(packed) < minKey && !b.encrypted() {
			_, f.blank = b.read() // such as a BEGIN line that was copied twice
			continue
		}
		f.add(b.read())
	}
	if f.empty() {
		f.searchBase64(beside, encodings)
	}
}

// searchBytes looks for a key in bytes that were written as numbers.
func (f *finding) searchBytes(b []byte, encodings int) {
	switch {
	case !printable(b):
		f.add(readDER(b))
	case encodings > 0:
		f.search(string(b), encodings-1)
	}
}

// searchBase64 looks for keys in base64 without BEGIN and END lines.
func (f *finding) searchBase64(text string, encodings int) {
	if encodings > 0 {
		for _, run := range wrapped().FindAllString(text, maxCandidates) { // each value of a configuration
			f.search(string(unpack(pack(run))), encodings-1)
		}
		if !f.empty() {
			return
		}
	}
	packed := pack(text)
	failed := f.candidates(packed, encodings)
	if failed != "" && f.empty() {
		for _, repair := range repairs {
			var again finding
			again.candidates(pack(repair(text)), 0)
			if f.keys = again.keys; len(f.keys) > 0 {
				break
			}
		}
	}
	if inner := unpack(packed); f.empty() && failed == "" && encodings > 0 && len(inner) > minKey && printable(inner) {
		f.search(string(inner), encodings-1)
	}
	if sshPublic().MatchString(text) {
		f.others = true
	}
	switch {
	case !f.empty():
	case failed != "":
		f.broken = append(f.broken, failed)
	case !f.others && strings.Contains(text, endMark):
		f.broken = append(f.broken, RuleCutOff) // an END line, and no key before it
	}
}

// candidates reads a key wherever the text looks like the beginning of a key. If
// nothing is usable, failed says what is wrong with the first candidate.
func (f *finding) candidates(packed string, encodings int) (failed Rule) {
	for range maxCandidates {
		at := begin().FindStringIndex(packed)
		if at == nil {
			break
		}
		packed = packed[at[0]:]
		if strings.HasPrefix(packed, pemStart) {
			if encodings > 0 {
				f.search(string(unpack(packed)), encodings-1)
			}
			break
		}
		switch key, rule := readBase64(packed); rule {
		case RuleCutOff, RuleMalformed, RuleNotRSA:
			if failed == "" && len(packed) > minKey { // a short text may be an ordinary word
				failed = rule
			}
			packed = packed[1:]
		default:
			f.add(key, rule)
			packed = packed[min(len(packed), keyChars(packed)):]
		}
	}
	return failed
}

var (
	// A key in base64 begins like this: a DER sequence, OpenSSH's magic text, or a
	// PEM text that was encoded once more. The short sequences are those of elliptic
	// keys.
	begin     = pattern.New(`MI[IHG]|MHcCAQEE|MC4CAQAw|` + sshStart + `|` + pemStart)
	sshStart  = "b3BlbnNzaC1rZXktdj"
	pemStart  = "LS0tL"
	wrapped   = pattern.New(pemStart + `[A-Za-z0-9+/_-]{100,}`)
	sshPublic = pattern.New(`AAAAB3NzaC1yc2E|\bssh-(?:rsa|dss|ed25519)\b|\becdsa-sha2-`) // a public key of OpenSSH
	digits    = pattern.New(`(?i)(?:(?:\\?0?x)?[0-9a-f]{2}[\s,:;]*){100,}`)
	single    = pattern.New(`\b0[xX]([0-9a-fA-F])\b`)
	// What people and programs write between hexadecimal digits.
	beside = pattern.New(`\\?0?[xX]|[\s:,;'"(){}\[\]\x{feff}]`)
	// The dashes may be lost, and the label may be wrong.
	mark = pattern.New(`(?i)[- ]*\b(BEGIN|END)[ _+]+((?:[A-Z0-9.]+[ _+]+){0,5}?(?:KEY|CERTIFICATE|PARAMETERS|REQUEST|CRL|PKCS7|CMS))(?:[ _+]BLOCK)?[ ]*-*`)
	// endMark replaces an END line without a BEGIN line.
	endMark = "\x00"
)

// A block is the text between a BEGIN line and the next such line.
type block struct{ label, body string }

// split finds the blocks of a text. beside is the rest of the text. The text of a
// block without an END line runs to the next BEGIN line or to the end.
func split(text string) (blocks []block, beside string) {
	var rest strings.Builder
	open, label, at := false, "", 0
	for _, m := range mark().FindAllStringSubmatchIndex(text, -1) {
		body := text[at:m[0]]
		if open {
			blocks = append(blocks, block{label, body})
		} else {
			rest.WriteString(body)
			if strings.EqualFold(text[m[2]:m[3]], "END") {
				rest.WriteString(endMark)
			}
		}
		open = strings.EqualFold(text[m[2]:m[3]], "BEGIN")
		label, at = strings.ToUpper(text[m[4]:m[5]]), m[1]
	}
	if open {
		blocks = append(blocks, block{label, text[at:]})
	} else {
		rest.WriteString(text[at:])
	}
	return blocks, rest.String()
}

func (b block) private() bool {
	return strings.HasSuffix(b.label, "KEY") && !strings.Contains(b.label, "PUBLIC") && !strings.HasPrefix(b.label, "PGP")
}

func (b block) encrypted() bool {
	return strings.Contains(b.label, "ENCRYPTED") || strings.Contains(b.body, "ENCRYPTED") || strings.Contains(b.body, "DEK-Info")
}

// read reads a block's key. The label decides only where the bytes do not.
func (b block) read() (*rsa.PrivateKey, Rule) {
	body := header().ReplaceAllString(b.body, "")
	key, rule := readBase64(pack(body))
	if rule == RuleCutOff || rule == RuleMalformed {
		for _, repair := range repairs {
			for _, text := range []string{body, b.body} { // a header may be the name of a line
				if again, ok := readBase64(pack(repair(text))); ok == "" {
					return again, ""
				}
			}
		}
	}
	switch {
	case rule == "":
		return key, ""
	case b.private() && b.encrypted():
		return nil, RuleEncrypted
	case rule != RuleMalformed && rule != RuleCutOff:
		return nil, rule
	case !b.private():
		return nil, RuleNoPrivate
	case strings.HasPrefix(b.label, "EC ") || strings.HasPrefix(b.label, "DSA ") || strings.HasPrefix(b.label, "SM2 "):
		return nil, RuleNotRSA
	}
	return nil, rule
}

// repairs undo what other programs do to the base64 of a key. The key itself shows
// whether a repair was right.
var repairs = []func(string) string{
	// A web form, sent without URL-encoding, turns each plus sign into a blank.
	func(s string) string { return strings.ReplaceAll(s, " ", "+") },
	// Numbers of lines, times, list marks, and pieces of programs are short.
	func(s string) string { return strings.Join(longRuns().FindAllString(s, -1), "") },
	// Programs and people write paths, times and names beside or between lines.
	longLines,
	// In a diff, each added line begins with a plus sign.
	func(s string) string { return strings.ReplaceAll(s, "\n+", "\n") },
	// A mail (quoted-printable) breaks lines with =, and writes characters as = and
	// two hex digits.
	func(s string) string {
		return quoted().ReplaceAllStringFunc(s, func(e string) string {
			b, _ := hex.DecodeString(strings.TrimSpace(e[1:])) // nothing for the end of a line
			return string(b)
		})
	},
}

var (
	longRuns = pattern.New(`[A-Za-z0-9+/_-]{9,}`)
	quoted   = pattern.New(`=(?:[0-9A-F]{2}|[ ]*\n)`)
)

// longLines keeps the longest run of each line, if it is long. The last line may be
// short: it is the next one that begins like the others, or whose beginning is as long.
func longLines(s string) string {
	var kept strings.Builder
	before, rest := "", []string(nil)
	for line := range strings.Lines(s) {
		from, to := 0, 0
		for _, run := range longRuns().FindAllStringIndex(line, -1) {
			if run[1]-run[0] > to-from {
				from, to = run[0], run[1]
			}
		}
		if to-from < longLine {
			rest = append(rest, line)
			continue
		}
		kept.WriteString(line[from:to])
		before, rest = line[:from], nil
	}
	rest = slices.DeleteFunc(rest, func(line string) bool { return len(line) <= len(before) })
	if len(rest) > 0 {
		last := rest[max(slices.IndexFunc(rest, func(line string) bool { return strings.HasPrefix(line, before) }), 0)]
		kept.WriteString(shortRun().FindString(last[len(before):]))
	}
	return kept.String()
}

// longLine is shorter than the lines of a key.
const longLine = 40

var shortRun = pattern.New(`^[A-Za-z0-9+/_=-]*`)

var header = pattern.New(`(?m)^[ \t]*[A-Za-z-]+: .*$`)

// plain undoes what editors, chats and configuration files do to a text.
func plain(s string) string {
	for range maxEncodings {
		if encoded().MatchString(s) {
			if u, err := url.QueryUnescape(s); err == nil {
				s = u
			}
		}
		s = tag().ReplaceAllString(html.UnescapeString(s), "\n")
	}
	s = colours().ReplaceAllString(joined().ReplaceAllString(s, ""), "")
	s = unicodeEscape().ReplaceAllStringFunc(s, func(e string) string {
		b, err := hex.DecodeString(e[len(e)-2:])
		if err != nil {
			return ""
		}
		return string(rune(b[0]))
	})
	s = escape().ReplaceAllString(s, "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("‐‑‒–—―−﹘﹣－", r):
			return '-'
		case r >= '！' && r <= '～': // the full-width forms of ASCII
			return r - '！' + '!'
		case strings.ContainsRune("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t", r):
			return ' '
		case r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085' || r == '\v' || r == '\f':
			return '\n'
		case r == 0 || strings.ContainsRune("\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad\\\ufffd", r):
			return -1
		}
		return r
	}, s)
}

var (
	encoded       = pattern.New(`(?i)%(25)*(0a|0d|20|2b|2f|3d)`)
	tag           = pattern.New(`(?i)</?(br|p|div|span|pre|code)\b[^<>]*>`)
	joined        = pattern.New(`["']\s*[+.]\s*["']`) // "…" + "…", as in source code
	unicodeEscape = pattern.New(`\\+(?:u00|x)[0-9a-fA-F]{2}`)
	escape        = pattern.New("\\\\+(?:par\\b|01[25]|[nrt])|`[nr]|\\^[MJ]") // PowerShell has a backtick
	colours       = pattern.New(`\x1b\[[0-9;]*m`)                             // of a terminal
)

// pack keeps the characters of base64. It replaces those of the URL alphabet by
// those of the standard one.
func pack(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '+', r == '/':
			return r
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		}
		return -1
	}, s)
}

// unpack decodes as much base64 as there is.
func unpack(packed string) []byte {
	if len(packed)%4 == 1 {
		packed = packed[:len(packed)-1]
	}
	b, err := base64.RawStdEncoding.DecodeString(packed)
	if err != nil {
		return nil
	}
	return b
}

// keyChars returns how many characters of packed belong to the key at its
// beginning, by the length in the key's DER header.
func keyChars(packed string) int {
	n := derLength(unpack(packed[:min(len(packed), 8)]))
	if n == 0 {
		return len(packed)
	}
	return (n*8 + 5) / 6
}

// readBase64 reads the key at the beginning of a text, and ignores what follows
// the key.
func readBase64(packed string) (*rsa.PrivateKey, Rule) {
	if strings.HasPrefix(packed, sshStart) {
		return readSSH(unpack(packed))
	}
	n := keyChars(packed)
	if len(packed) < n {
		key, rule := readDER(unpack(packed))
		if rule == RuleMalformed {
			rule = RuleCutOff
		}
		return key, rule
	}
	return readDER(unpack(packed[:n]))
}

// printable reports whether b is a text in ASCII.
func printable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}
