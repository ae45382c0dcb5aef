package message_test

import (
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/message"
)

func quote(t *testing.T, raw []byte) *message.Quote {
	t.Helper()
	v := message.Read(raw)
	text, ok := v.Parts[0].(message.Text)
	if !ok {
		t.Fatalf("got a part of type %T, want a text", v.Parts[0])
	}
	return text.Quote
}

func textMessage(t testing.TB, content string) []byte {
	t.Helper()
	return composed(t, "text", map[string]string{"content": content})
}

// Clients write one quote in many forms.
func TestQuoteInEveryForm(t *testing.T) {
	const who, quoted, reply = "王总：售后", "周五能到货吗", "可以的"
	for _, intro := range []string{
		"这是一条引用/回复消息：\n", "这是一条引用/回复消息:\n", "这是一条引用／回复消息： \n", "这是一条引用/回复消息：", "這是一條引用/回覆訊息：\n",
		"This is a quote/reply:\n", "This is a quote/reply：\n", "this is a quote / reply: \n", "\ufeff这是一条引用/回复消息：\n",
	} {
		for _, marks := range []string{`""`, "“”", "””", "＂＂"} {
			pair := []rune(marks)
			for _, colon := range []string{":", "：", " ：", ": "} {
				for _, row := range []string{"------\n", "- - - - - -\n", "——————\n", "------ \n", ""} {
					lf := intro + string(pair[0]) + who + colon + "\n" + quoted + string(pair[1]) + "\n" + row + reply
					for _, content := range []string{lf, strings.ReplaceAll(lf, "\n", "\r\n"), strings.ReplaceAll(lf, "\n", "\u2028"), strings.ReplaceAll(lf, "\n", "\u0085")} {
						got := quote(t, textMessage(t, content))
						if want := (message.Quote{Who: who, Text: quoted, Reply: reply}); got == nil || *got != want {
							t.Errorf("%q: got %+v, want %+v", content, got, want)
						}
					}
				}
			}
		}
	}
}

func TestQuotes(t *testing.T) {
	const intro = "这是一条引用/回复消息：\n"
	for name, c := range map[string]struct {
		content string
		want    *message.Quote
	}{
		"mention first":              {intro + "“王总：\n周五能到货吗”\n------\n@王总 可以的", &message.Quote{Who: "王总", Text: "周五能到货吗", Reply: "@王总 可以的"}},
		"mention with its separator": {intro + "\"王总：\n周五能到货吗\"\n------\n@王总\u2005可以的", &message.Quote{Who: "王总", Text: "周五能到货吗", Reply: "@王总\u2005可以的"}},
		"quotes within":              {intro + "\"王总：\n他说\"周五\"，“可能”\"\n------\n可以的", &message.Quote{Who: "王总", Text: "他说\"周五\"，“可能”", Reply: "可以的"}},
		"quotes at the end of lines": {intro + "\"王总：\n\"周五\"\n\"周六\"\"\n------\n可以的", &message.Quote{Who: "王总", Text: "\"周五\"\n\"周六\"", Reply: "可以的"}},
		"blanks within":              {intro + "\"王总：\n  周五\n\n  周六  \"\n------\n可以的\n好", &message.Quote{Who: "王总", Text: "  周五\n\n  周六  ", Reply: "可以的\n好"}},
		"dashes in the quoted text":  {intro + "\"王总：\n一\n------\n二\"\n------\n可以的", &message.Quote{Who: "王总", Text: "一\n------\n二", Reply: "可以的"}},
		"name with colons":           {intro + "\"A: B: C:\n问\"\n------\n答", &message.Quote{Who: "A: B: C", Text: "问", Reply: "答"}},
		"name with a half colon":     {intro + "\"王总:售后：\n问\"\n------\n答", &message.Quote{Who: "王总:售后", Text: "问", Reply: "答"}},
		"name with blanks":           {intro + "\" 王 总 ：\n问\"\n------\n答", &message.Quote{Who: "王 总", Text: "问", Reply: "答"}},
		"name and text in one line":  {intro + "\"王总：问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"name alone":                 {intro + "\"王总：\"\n------\n答", &message.Quote{Who: "王总", Reply: "答"}},
		"no name":                    {intro + "\"问\"\n------\n答", &message.Quote{Text: "问", Reply: "答"}},
		"no name and an address":     {intro + "\"https://a.cn/b\"\n------\n答", &message.Quote{Text: "https://a.cn/b", Reply: "答"}},
		"no name and a time":         {intro + "\"周五 10:30\"\n------\n答", &message.Quote{Text: "周五 10:30", Reply: "答"}},
		"no name and no dashes":      {intro + "\"问\"\n答", &message.Quote{Text: "问", Reply: "答"}},
		"nothing quoted":             {"这是一条引用/回复消息：\"\n------\n@小林 好的", &message.Quote{Reply: "@小林 好的"}},
		"nothing quoted, two marks":  {intro + "\"\"\n------\n好的", &message.Quote{Reply: "好的"}},
		"nothing quoted, no dashes":  {"这是一条引用/回复消息：“\n@小林 好的", &message.Quote{Reply: "@小林 好的"}},
		"no name, several lines":     {intro + "\"时间：周五\n地点：上海\"\n------\n答", &message.Quote{Text: "时间：周五\n地点：上海", Reply: "答"}},
		"WeChat, text goes on":       {"「林华：明天\n几点？」\n- - - - - - - - - - - - - - -\n九点", &message.Quote{Who: "林华", Text: "明天\n几点？", Reply: "九点"}},
		"no quotation marks":         {intro + "王总：\n问\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"no reply":                   {intro + "\"王总：\n问\"\n------", &message.Quote{Who: "王总", Text: "问"}},
		"WeChat":                     {"「林华：明天几点到？」\n- - - - - - - - - - - - - - -\n九点", &message.Quote{Who: "林华", Text: "明天几点到？", Reply: "九点"}},
		"WeChat, half colon, CRLF":   {"「林华: 明天几点到？」\r\n- - - - - - - - - - - - - - -\r\n九点\r\n半", &message.Quote{Who: "林华", Text: "明天几点到？", Reply: "九点\n半"}},
		"WeChat, several lines":      {"「林华：\n明天\n几点？」\n—————————————\n九点", &message.Quote{Who: "林华", Text: "明天\n几点？", Reply: "九点"}},
		"quote within a quote":       {intro + "\"王总：\n" + intro + "\"李：\n问\"\n------\n答\"\n------\n好", &message.Quote{Who: "王总", Text: intro + "\"李：\n问\"\n------\n答", Reply: "好"}},
		"quote in the reply":         {intro + "\"王总：\n问\"\n------\n" + intro + "\"李：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: intro + "\"李：\n问\"\n------\n答"}},
		"quotes in a reply, no row":  {intro + "\"王总：\n问\"\n他说\"好\"\n再说", &message.Quote{Who: "王总", Text: "问", Reply: "他说\"好\"\n再说"}},
		"a mark alone within":        {intro + "\"王总：\n5\" 屏\"\n------\n好", &message.Quote{Who: "王总", Text: "5\" 屏", Reply: "好"}},
		"WeChat, quote in a quote":   {"「王总：\n「李：问」\n—————————————\n答」\n—————————————\n好", &message.Quote{Who: "王总", Text: "「李：问」\n—————————————\n答", Reply: "好"}},
		"other marks":                {intro + "‘王总：\n问’\n------\n好", &message.Quote{Who: "王总", Text: "问", Reply: "好"}},
		"two colons":                 {intro + "\"王总：：\n问\"\n------\n好", &message.Quote{Who: "王总：", Text: "问", Reply: "好"}},
		"lines between":              {"This is a quoted message:\n\n\"Tom:\nwhen?\"\n\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"nothing quoted, no mark":    {intro + "------\n好", &message.Quote{Reply: "好"}},
		"no reply and no dashes":     {intro + "\"王总：\n问\"", &message.Quote{Who: "王总", Text: "问"}},
		"no second mark":             {intro + "\"王总：\n问\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"no second mark, one line":   {intro + "\"王总：问\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"row beside the mark":        {intro + "\"王总：\n问\"------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"reply beside the row":       {intro + "\"王总：\n问\"\n------ 答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"row of other signs":         {intro + "\"王总：\n问\"\n======\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"straight single marks":      {intro + "'王总：\n问'\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"backticks":                  {intro + "`王总：\n问`\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"marks of another print":     {intro + "〝王总：\n问〞\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"marks of upright text":      {intro + "﹁王总：\n问﹂\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"apostrophe within":          {intro + "\"王总：\nthe boys'\n------\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "the boys'\n------\n问", Reply: "答"}},
		"other blanks behind a name": {intro + "\"王总：\u2005\u200e\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"upright colon":              {intro + "\"王总︓\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"invisible beginning":        {"\u2068\u200e" + intro + "\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"intro without a colon":      {"这是一条引用/回复消息\n\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"intro in brackets":          {"【这是一条引用/回复消息】\n\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"intro in other words":       {"以下是一条引用信息：\n\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"quoted and replied":         {"This is a quoted/replied message:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"quote or reply":             {"This message is a quote or reply:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"WeChat, curly marks":        {"“林华：明天几点到？”\n- - - - - - - - - - - - - - -\n九点", &message.Quote{Who: "林华", Text: "明天几点到？", Reply: "九点"}},
		"a reply":                    {"This message is a reply:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"a reply to a message":       {"This is a reply to a message:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"a reply to this message":    {"This is a reply to this message:\r\n“Tom：\r\nwhen?”\r\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"a reply or quote":           {"This message is a reply/quote:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"a quoted reply":             {"This is a quoted reply：\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"a replied message":          {"This is a replied message:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "now"}},
		"the message first":          {"该消息是一条引用/回复消息：\n\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"the message first, short":   {"此消息为回复：\n\"王总：\n问\"\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"a reply to one message":     {"这是一条对消息的回复：\n\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "答"}},
		"mention before":             {"@王总 " + intro + "\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "@王总 答"}},
		"mention, its separator":     {"@王总\u2005" + intro + "“王总：\n问”\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "@王总\u2005答"}},
		"mention on its own line":    {"@王总\r\n" + intro + "\"王总：\n问\"\n------\n答", &message.Quote{Who: "王总", Text: "问", Reply: "@王总\n答"}},
		"mentions of two":            {"@Tom Lee\u2005@林华 This is a quote/reply:\n\"Tom:\nwhen?\"\n------\nnow", &message.Quote{Who: "Tom", Text: "when?", Reply: "@Tom Lee\u2005@林华 now"}},
		"mention on both sides":      {"@王总\u2005" + intro + "\"王总：\n问\"\n------\n@林华 答", &message.Quote{Who: "王总", Text: "问", Reply: "@王总\u2005@林华 答"}},
		"mention, nothing quoted":    {"@王总 这是一条引用/回复消息：\"\n------\n答", &message.Quote{Reply: "@王总 答"}},
		"mention, WeChat":            {"@林华\u2005「林华：明天几点到？」\n- - - - - - - - - - - - - - -\n九点", &message.Quote{Who: "林华", Text: "明天几点到？", Reply: "@林华\u2005九点"}},
		"mention, then own words":    {"@王总 你看\n\"王总：\n问\"\n------\n答", nil},
		"own words about a reply":    {"This is a reply from Tom:\n\"when?\"\n------\nnow", nil},
		"a person's own words":       {"这是一条引用\n你看\n------\n好", nil},
		"own words, then a quote":    {"This is a quote by Tom:\n\"when?\"\n------\nnow", nil},
		"intro alone":                {intro + "可是没有引号", nil},
		"another beginning":          {"他说：" + intro + "\"王总：\n问\"\n------\n答", nil},
		"title in corner brackets":   {"「周报」\n---\n一切正常", nil},
		"quotation":                  {"\"王总：\n问\"\n------\n答", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := quote(t, textMessage(t, c.content))
			if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
