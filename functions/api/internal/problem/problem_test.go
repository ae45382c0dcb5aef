package problem_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
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

// No text of a trouble shows the place of a value that WeCom did not give.
func TestTroublesWithoutAnAddress(t *testing.T) {
	for _, cause := range apitest.Constants(t, "../../../../shared/archive/trouble.go", "Cause") {
		for _, lang := range []problem.Language{problem.Chinese, problem.English} {
			for _, ip := range []string{"", "203.0.113.9"} {
				what, remedy := problem.Trouble(cause, lang, problem.Args{"from_ip": ip})
				appWhat, appRemedy := problem.AppTrouble(cause, lang, problem.Args{"from_ip": ip})
				for _, s := range []string{what, remedy, appWhat, appRemedy} {
					if s == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "  ") || strings.Contains(s, "address .") || strings.Contains(s, "地址 的") {
						t.Errorf("%s from %q: got %q", cause, ip, s)
					}
				}
				if shown := strings.Contains(what+appWhat, "203.0.113.9"); cause == "trusted_ip" && shown != (ip != "") {
					t.Errorf("%s from %q: got %q and %q", cause, ip, what, appWhat)
				}
			}
		}
	}
}

// A company registers with the corpid of its token. So the remedy for a wrong corpid
// names the token's claim.
func TestAWrongCorpidIsCorrectedAtTheSignIn(t *testing.T) {
	for _, lang := range []problem.Language{problem.Chinese, problem.English} {
		_, remedy := problem.Trouble("corpid", lang, nil)
		_, app := problem.AppTrouble("corpid", lang, nil)
		for _, s := range []string{remedy, app} {
			if !strings.Contains(s, "声明 corp，") && !strings.Contains(s, "claim corp,") {
				t.Errorf("got %q, without the claim", s)
			}
		}
	}
	if !doctor.Cause("corpid").Operators() {
		t.Error("the company's admin is said to have the remedy")
	}
}

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
	for _, c := range apitest.Constants(t, "../../../../shared/archive/trouble.go", "Cause") {
		if _, ok := all["trouble "+c+" what"]; !ok {
			t.Errorf("cause %s has no text", c)
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

func TestTrouble(t *testing.T) {
	what, remedy := problem.Trouble("trusted_ip", problem.English, problem.Args{"from_ip": "203.0.113.9"})
	if !strings.Contains(what, "203.0.113.9") || !strings.Contains(remedy, "step 4") {
		t.Errorf("got %q, %q", what, remedy)
	}
	if what, _ := problem.Trouble("brand_new", problem.Chinese, nil); what == "" {
		t.Error("an unknown cause has no text")
	}
}
