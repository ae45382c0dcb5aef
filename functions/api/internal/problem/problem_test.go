package problem_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/rsakey"
)

var place = regexp.MustCompile(`\{[a-z]+\}`)

func TestEverySentenceIsInBothLanguages(t *testing.T) {
	for name, s := range problem.Sentences() {
		zh, en := s[0], s[1]
		if !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: Chinese is %q", name, zh)
		}
		if !strings.ContainsFunc(en, func(r rune) bool { return 'a' <= r && r <= 'z' }) {
			t.Errorf("%s: English is %q", name, en)
		}
		if strings.HasPrefix(name, "kind ") && (strings.Contains(zh+en, "GET ") || strings.Contains(zh+en, "POST ") || strings.Contains(zh+en, "PUT ")) {
			t.Errorf("%s names a call: people read the texts on the console's pages", name)
		}
		if a, b := place.FindAllString(zh, -1), place.FindAllString(en, -1); !slices.Equal(sorted(a), sorted(b)) {
			t.Errorf("%s: places are %v in Chinese, %v in English", name, a, b)
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestEveryConstantHasItsSentences(t *testing.T) {
	all := problem.Sentences()
	for _, k := range apitest.Constants(t, "problem.go", "Kind") {
		if _, ok := all["kind "+k+" title"]; !ok {
			t.Errorf("kind %s has no title", k)
		}
		if problem.New(problem.Kind(k), nil).Status() < 400 {
			t.Errorf("kind %s has no status", k)
		}
	}
	for _, m := range apitest.Constants(t, "texts.go", "Remedy") {
		if _, ok := all["remedy "+m]; !ok {
			t.Errorf("remedy %s has no text", m)
		}
	}
	for _, r := range apitest.Constants(t, "../../../../shared/rsakey/pair.go", "Rule") {
		if m, ok := problem.OfKey(rsakey.Rule(r)); !ok || all["remedy "+string(m)] == [2]string{} {
			t.Errorf("rule %s of a private key has no text", r)
		}
	}
}

func TestChoose(t *testing.T) {
	for header, want := range map[string]problem.Language{
		"":                            problem.Chinese,
		"*":                           problem.Chinese,
		"fr":                          problem.Chinese,
		"en":                          problem.English,
		"en-GB,en;q=0.9":              problem.English,
		"zh-TW":                       problem.Chinese,
		"fr-FR, en;q=0.5, zh;q=0.4":   problem.English,
		"zh-CN,zh;q=0.9,en;q=0.8":     problem.Chinese,
		"en;q=0.1,zh-Hans;q=0.2":      problem.Chinese,
		"!!":                          problem.Chinese,
		strings.Repeat("en,", 100000): problem.English,
	} {
		if got := problem.Choose(header); got != want {
			t.Errorf("%.30q: got %v, want %v", header, got.Tag(), want.Tag())
		}
	}
}

func TestProblemInBothLanguages(t *testing.T) {
	p := &problem.Problem{
		Kind: problem.InvalidRequest,
		Mistakes: []problem.Mistake{
			{Field: "limit", Rule: problem.Range, Remedy: problem.RemedyInteger, Args: problem.Args{"min": "1", "max": "200"}},
		},
	}
	en, zh := p.In(problem.English, "id-1"), p.In(problem.Chinese, "id-1")
	if en.Type != "urn:yunduo-archive:problem:invalid-request" || en.Status != 400 || en.Instance != "id-1" {
		t.Errorf("got %+v", en)
	}
	if got, want := en.Errors[0].Remedy, "Give a whole number from 1 to 200."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := zh.Errors[0].Remedy, "请填写 1 到 200 之间的整数。"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := p.Error(), "invalid-request limit:range"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
