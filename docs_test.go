package repo_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// text is a file that people write, read as it is.
type text struct {
	path string // slash-separated, relative to the root
	body string
}

// texts reads every file of the repository whose name has one of the
// extensions. It skips what is built, installed or recorded.
func texts(t *testing.T, extensions ...string) []text {
	t.Helper()
	var all []text
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != "." && (strings.HasPrefix(name, ".") || name == "build" || name == "dist" || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.Contains(extensions, path.Ext(p)) {
			all = append(all, text{filepath.ToSlash(p), read(t, p)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	fence    = regexp.MustCompile("^\\s*(```|~~~)")
	heading  = regexp.MustCompile(`^#{1,6} +(.+?)(?: +#+)?$`)
	numbered = regexp.MustCompile(`^(\d+(?:\.\d+)*)\.? `)
	item     = regexp.MustCompile(`^(\d+)\. `)
)

// prose lists the lines of a Markdown document without its code blocks, whose
// lines become empty so that line numbers stay.
func prose(markdown string) []string {
	lines := strings.Split(markdown, "\n")
	var code bool
	for i, line := range lines {
		edge := fence.MatchString(line)
		if code || edge {
			lines[i] = ""
		}
		code = code != edge
	}
	return lines
}

// sections lists the numbers of a document's headings, and those of the items
// of numbered lists below them: item 8 below heading 7.1 is 7.1.8.
func sections(markdown string) map[string]bool {
	found := make(map[string]bool)
	var under string
	for _, line := range prose(markdown) {
		if h := heading.FindStringSubmatch(line); h != nil {
			under = ""
			if n := numbered.FindStringSubmatch(h[1]); n != nil {
				under = n[1]
				found[under] = true
			}
		} else if n := item.FindStringSubmatch(line); n != nil && under != "" {
			found[under+"."+n[1]] = true
		}
	}
	return found
}

var (
	commentBreak = regexp.MustCompile(`\n[ \t]*(//|#|\*)?[ \t]*`)
	citation     = regexp.MustCompile("wecom\\.md`?,? (?:sections? )?(\\d+(?:\\.\\d+)*(?:(?:,| and| or) \\d+(?:\\.\\d+)+)*)")
	number       = regexp.MustCompile(`\d+(?:\.\d+)*`)
)

// citations lists the sections of docs/wecom.md that a text cites, also where a
// comment's line ends between the name and the number.
func citations(body string) []string {
	var cited []string
	for _, m := range citation.FindAllStringSubmatch(commentBreak.ReplaceAllString(body, " "), -1) {
		cited = append(cited, number.FindAllString(m[1], -1)...)
	}
	return cited
}

// The code says why by citing sections, so a section that moves or goes takes
// the reason away without a sign.
func TestCitedSectionsExist(t *testing.T) {
	known := sections(read(t, "docs/wecom.md"))
	var seen int
	for _, f := range texts(t, ".go", ".md", ".yaml", ".yml", ".ts") {
		if f.path == "docs_test.go" {
			continue // its examples cite sections that do not exist
		}
		for _, number := range citations(f.body) {
			seen++
			if !known[number] {
				t.Errorf("%s cites wecom.md %s: docs/wecom.md has no such section", f.path, number)
			}
		}
	}
	if seen < 50 {
		t.Errorf("found %d citations only: the rule would check nothing", seen)
	}
}

// anchors lists the fragments that GitHub gives to a document's headings, and
// those that the document sets itself.
func anchors(markdown string) map[string]bool {
	found := make(map[string]bool)
	for _, line := range prose(markdown) {
		for _, m := range ownAnchor.FindAllStringSubmatch(line, -1) {
			found[m[1]] = true
		}
		h := heading.FindStringSubmatch(line)
		if h == nil {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkText.ReplaceAllString(h[1], "$1"))
		unique := name
		for n := 1; found[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		found[unique] = true
	}
	return found
}

var (
	ownAnchor  = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	codeSpan   = regexp.MustCompile("`[^`]*`")
	inlineLink = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+["'][^)]*)?\)`)
	linkTarget = regexp.MustCompile(`^ {0,3}\[[^\]]+\]: +<?([^\s>]+)`)
	htmlLink   = regexp.MustCompile(`\b(?:src|srcset|href)="([^"]+)"`)
	elsewhere  = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*:|//)`)
)

// links lists what a line of Markdown links to, other sites left out.
func links(line string) []string {
	line = codeSpan.ReplaceAllString(line, "")
	var targets []string
	for _, form := range []*regexp.Regexp{inlineLink, linkTarget, htmlLink} {
		for _, m := range form.FindAllStringSubmatch(line, -1) {
			if !elsewhere.MatchString(m[1]) {
				targets = append(targets, m[1])
			}
		}
	}
	return targets
}

// resolve turns a link of a document into a path from the root and an anchor.
func resolve(document, link string) (file, anchor string) {
	file, anchor, _ = strings.Cut(link, "#")
	switch {
	case file == "":
		return document, anchor
	case strings.HasPrefix(file, "/"):
		return path.Clean(strings.TrimLeft(file, "/")), anchor
	}
	return path.Join(path.Dir(document), file), anchor
}

func TestLinksResolve(t *testing.T) {
	documents := texts(t, ".md")
	known := make(map[string]map[string]bool)
	for _, d := range documents {
		known[d.path] = anchors(d.body)
	}
	var seen int
	for _, d := range documents {
		for n, line := range prose(d.body) {
			for _, link := range links(line) {
				seen++
				file, anchor := resolve(d.path, link)
				if strings.HasPrefix(file, "..") {
					t.Errorf("%s:%d: %s leaves the repository", d.path, n+1, link)
				} else if _, err := os.Stat(file); err != nil {
					t.Errorf("%s:%d: %s leads nowhere: %v", d.path, n+1, link, err)
				} else if anchor != "" && !known[file][anchor] {
					t.Errorf("%s:%d: %s: %s has no heading with this anchor", d.path, n+1, link, file)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("found %d links only: the rule would check nothing", seen)
	}
}

// A document that the index lacks is found by chance only.
func TestIndexListsEveryDocument(t *testing.T) {
	const index = "docs/README.md"
	listed := make(map[string]bool)
	for _, line := range prose(read(t, index)) {
		for _, link := range links(line) {
			file, _ := resolve(index, link)
			listed[file] = true
		}
	}
	err := filepath.WalkDir("docs", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p = filepath.ToSlash(p); !d.IsDir() && p != index && !listed[p] {
			t.Errorf("%s does not list %s", index, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// misfenced names the first line of a code block that text follows on the fence
// that should end it, or that no fence ends. CommonMark then reads the rest of
// the document as code.
func misfenced(markdown string) int {
	var opened int
	for i, line := range strings.Split(markdown, "\n") {
		switch {
		case !fence.MatchString(line):
		case opened == 0:
			opened = i + 1
		case strings.Trim(line, " `~") != "":
			return opened
		default:
			opened = 0
		}
	}
	return opened
}

func TestCodeBlocksEnd(t *testing.T) {
	for _, f := range texts(t, ".md") {
		if n := misfenced(f.body); n > 0 {
			t.Errorf("%s:%d: the code block has no end: the closing fence must stand alone on its line", f.path, n)
		}
	}
}

// SECURITY.md says which test prevents a weakness. The test exists, so its removal
// shows there.
func TestSecurityNamesTests(t *testing.T) {
	declared := make(map[string]bool)
	for _, f := range texts(t, ".go") {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(f.body, -1) {
			declared[m[1]] = true
		}
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(read(t, "SECURITY.md"), -1)
	for _, name := range named {
		if !declared[name] {
			t.Errorf("SECURITY.md names %s, which no file declares", name)
		}
	}
	if len(named) < 20 {
		t.Errorf("found %d tests only: the rule would check nothing", len(named))
	}
}

// Each weakness in SECURITY.md has its state in one of three forms.
func TestWeaknessesHaveAState(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "SECURITY.md"), "| what an actor could do | present state |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 2 || !regexp.MustCompile(`^(Prevented|Limited|Accepted)\b`).MatchString(cells[1]) {
			t.Errorf("SECURITY.md: got %.80q, want a state that begins with Prevented, Limited or Accepted", row)
			continue
		}
		if strings.HasPrefix(cells[1], "Prevented") && !strings.Contains(cells[1], "(Test") {
			t.Errorf("SECURITY.md: got %.80q, want the test that shows it", row)
		}
	}
	if len(rows) < 40 {
		t.Errorf("found %d weaknesses only: the rule would check nothing", len(rows))
	}
}

// The rules above are worth what they see.
func TestDocumentRulesSee(t *testing.T) {
	for body, want := range map[string][]string{
		"// as WeCom sends it (wecom.md 98.7).":               {"98.7"},
		"// The kinds (wecom.md\n// 98.7.6), in order.":       {"98.7.6"},
		"# both ways (wecom.md 98.7, 98.8; 3 tries)":          {"98.7", "98.8"},
		"see `wecom.md` section 98, V1 and the 2 after":       {"98"},
		"`wecom.md` with a section number, and wecom.md, too": nil,
	} {
		if got := citations(body); !slices.Equal(got, want) {
			t.Errorf("citations of %q: got %q, want %q", body, got, want)
		}
	}
	const document = "## 7. Steps\n### 7.1 The `call` & [its](x.md) answer\n1. first\n```\n## 9. no\n2. no\n```\n## Steps\n## Steps\n"
	for _, n := range []string{"7", "7.1", "7.1.1"} {
		if !sections(document)[n] {
			t.Errorf("section %s is not seen", n)
		}
	}
	for _, n := range []string{"9", "7.1.2"} {
		if sections(document)[n] {
			t.Errorf("section %s stands in a code block and is seen", n)
		}
	}
	for _, a := range []string{"7-steps", "71-the-call--its-answer", "steps", "steps-1"} {
		if !anchors(document)[a] {
			t.Errorf("anchor %s is not seen", a)
		}
	}
	for body, want := range map[string]int{"a\n```go\nb\n```\nc\n": 0, "a\n```\nb\n``` c\n": 2, "~~~\n": 1} {
		if got := misfenced(body); got != want {
			t.Errorf("misfenced(%q) = %d, want %d", body, got, want)
		}
	}
	line := "[a](b.md#c) ![d](e.svg \"f\") `[g](h.md)` <img src=\"i.svg\"> [j](https://example.com/k.md) [l](#m)"
	if got, want := links(line), []string{"b.md#c", "e.svg", "#m", "i.svg"}; !slices.Equal(got, want) {
		t.Errorf("links: got %q, want %q", got, want)
	}
}

// The table of third-party code has every module that a deployed binary links, and
// no other.
func TestThirdPartyCodeIsListed(t *testing.T) {
	mains, err := filepath.Glob("functions/*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("got functions %v, %v", mains, err)
	}
	args := []string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./layers/finance-sdk/worker"}
	for _, main := range mains {
		args = append(args, "./"+path.Dir(filepath.ToSlash(main)))
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := make(map[string]bool)
	for m := range strings.FieldsSeq(string(out)) {
		const sdk = "github.com/aws/aws-sdk-go-v2"
		if strings.HasPrefix(m, sdk+"/") {
			m = sdk
		}
		linked[m] = m+"/" != module
	}
	listed := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z.]+\.[a-z]+/[^ |]+)`).FindAllStringSubmatch(read(t, "docs/third-party.md"), -1) {
		listed[row[1]] = true
	}
	for m := range linked {
		if linked[m] != listed[m] {
			t.Errorf("%s: linked %t, listed in docs/third-party.md %t", m, linked[m], listed[m])
		}
	}
	for m := range listed {
		if !linked[m] {
			t.Errorf("%s is listed in docs/third-party.md, and no binary links it", m)
		}
	}
}

var (
	inAccount = regexp.MustCompile(`^(aws [a-z]|sam deploy\b)|\bENV=(prod|staging)`)
	wrapped   = regexp.MustCompile(`\s+`)
)

// commands lists the code of a document: each line of a block, and each span.
func commands(markdown string) []string {
	var all []string
	var code bool
	for line := range strings.SplitSeq(markdown, "\n") {
		edge := fence.MatchString(line)
		if code || strings.HasPrefix(line, "    ") {
			all = append(all, strings.TrimSpace(line))
		}
		code = code != edge
	}
	text := wrapped.ReplaceAllString(strings.Join(prose(markdown), "\n"), " ")
	for _, span := range codeSpan.FindAllString(text, -1) {
		all = append(all, strings.Trim(span, "`"))
	}
	return all
}

// unmarked names the first command of a document that acts on an account, if the
// text above the first section does not say what was tried on an account.
func unmarked(markdown string) string {
	head, _, _ := strings.Cut(markdown, "\n## ")
	if strings.Contains(wrapped.ReplaceAllString(head, " "), "tried on an account") {
		return ""
	}
	for _, c := range commands(markdown) {
		if inAccount.MatchString(c) {
			return c
		}
	}
	return ""
}

// No command was tried on an account of AWS, and an operator must know this before
// the first one.
func TestPagesSayWhatWasTriedOnAnAccount(t *testing.T) {
	var marked int
	for _, f := range texts(t, ".md") {
		if strings.Contains(wrapped.ReplaceAllString(f.body, " "), "tried on an account") {
			marked++
		}
		if c := unmarked(f.body); c != "" {
			t.Errorf("%s has the command %q, and its head does not say that no command was tried on an account", f.path, c)
		}
	}
	if marked < 8 {
		t.Errorf("found %d pages only: the rule would check nothing", marked)
	}
	for body, want := range map[string]string{
		"# A\n\n    aws s3 ls\n":                                   "aws s3 ls",
		"# A\n\nRun `sam\ndeploy`.\n":                              "sam deploy",
		"# A\n\n```\nmake deploy ENV=prod\n```\n":                  "make deploy ENV=prod",
		"# A\n\nNone was tried on\nan account.\n\n    aws s3 ls\n": "",
		"# A\n\n## B\nNot tried on an account.\n\n    aws s3 ls\n": "aws s3 ls",
		"# A\n\n`make deploy ENV=…`, `aws:CalledVia`, aws s3 ls\n": "",
	} {
		if got := unmarked(body); got != want {
			t.Errorf("unmarked(%q) = %q, want %q", body, got, want)
		}
	}
}

// laidOut lists the folders that a layout names. A folder with a slash at its end
// stands for all below it.
func laidOut(layout string) []string {
	var folders []string
	for line := range strings.Lines(layout) {
		folder, _, _ := strings.Cut(line, " ")
		before, rest, braced := strings.Cut(folder, "{")
		if !braced {
			folders = append(folders, folder)
			continue
		}
		names, after, _ := strings.Cut(rest, "}")
		for name := range strings.SplitSeq(names, ",") {
			folders = append(folders, before+name+after)
		}
	}
	return folders
}

// DESIGN.md names each folder with code, and no other.
func TestLayoutIsTheTree(t *testing.T) {
	_, layout, _ := strings.Cut(read(t, "DESIGN.md"), "## 3. Layout\n```\n")
	layout, _, _ = strings.Cut(layout, "```")
	named := laidOut(layout)
	for _, folder := range named {
		if folder == "functions/<name>/" {
			continue
		}
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			t.Errorf("DESIGN.md lists %s, which is no folder", folder)
		}
	}
	dirs := []string{"docs", "web"}
	for _, f := range sources(t) {
		dirs = append(dirs, f.dir)
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if dir == "." || path.Dir(dir) == "functions" {
			continue
		}
		if !slices.ContainsFunc(named, func(folder string) bool {
			return folder == dir || strings.HasSuffix(folder, "/") && strings.HasPrefix(dir+"/", folder)
		}) {
			t.Errorf("DESIGN.md does not list %s", dir)
		}
	}
}
