package repo_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	literal = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'[^'\n]*'|`[^`]*`")
	// consoleNames are WeCom's and the SCRM's own spellings, without blanks.
	consoleNames = strings.NewReplacer("可信IP地址", "", "企业可信IP", "", "企业ID", "", "会话存档API", "", "企微API管理", "", "设置API接收", "")
	// badChinese is what CONTRIBUTING.md rules out.
	badChinese = regexp.MustCompile(`\p{Han}[A-Za-z0-9]|[A-Za-z0-9]\p{Han}` + // no blank between Chinese and Latin
		`|\p{Han}[,;:?!(]|[，。；：、！？」）] ?[,;:?!]` + // half-width punctuation
		`|[，。；：、！？「」（）] [\p{Han}A-Za-z0-9]|[\p{Han}A-Za-z0-9] [，。；：、！？（「]` + // a blank beside full-width punctuation
		`|“|”|归档|员工|你|重新解码|企业 ID|证实|系统运营方|技术支持|运维[^人]`) // another word for a term
)

// Chinese texts that people read keep the terms and signs of CONTRIBUTING.md.
func TestChineseTexts(t *testing.T) {
	check := func(path, s string) {
		if bad := badChinese.FindString(consoleNames.Replace(s)); bad != "" {
			t.Errorf("%s: %q in %q", path, bad, s)
		}
	}
	for _, line := range prose(read(t, "README.zh-CN.md")) {
		if !strings.HasPrefix(line, "#") {
			check("README.zh-CN.md", line)
		}
	}
	found := 0
	for _, f := range texts(t, ".go", ".ts") {
		switch {
		case strings.HasSuffix(f.path, "/texts.go"), strings.HasPrefix(f.path, "web/src/console/texts/zh/"):
		default:
			continue
		}
		for _, s := range literal.FindAllString(f.body, -1) {
			if chinese(s) {
				found++
				check(f.path, s)
			}
		}
	}
	if found < 500 {
		t.Errorf("found %d Chinese texts only", found)
	}
}

// chinese reports whether a text is Chinese, and not an English one with Chinese names.
func chinese(s string) bool {
	han, signs := 0, 0
	for _, r := range s {
		if unicode.Is(unicode.Han, r) {
			han++
		} else if r == '，' || r == '。' || r == '：' {
			signs++
		}
	}
	return han > 0 && (signs > 0 || 3*han > len([]rune(s)))
}
