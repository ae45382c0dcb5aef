package message_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/message"
)

// longID has the form of WeCom's file ids: base64 of a blob that ends in a
// hexadecimal key.
var longID = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x0a\x1b\x08\x96", 30) + "0123456789abcdef0123456789abcdef"))

// slashes has the form of longID, and more slashes than other characters.
var slashes = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", 120) + "0123456789abcdef0123456789abcdef"))

func ids(files []message.File) []string {
	var ids []string
	for _, f := range files {
		ids = append(ids, f.SDKFileID)
	}
	slices.Sort(ids)
	return ids
}

// deep writes a value into more lists than are read.
func deep(value string) string { return strings.Repeat("[", 9000) + value + strings.Repeat("]", 9000) }

// A file must be fetched before WeCom deletes it, so its id is found in any bytes.
func TestFileIDsAreFoundInAnyBytes(t *testing.T) {
	const whole = `{"msgid":"m","from":"lin.hua","tolist":["wm1"],"msgtype":"file","file":{"sdkfileid":"FIDCUT","md5sum":"0cc175b9c0f1b6a831c399e269772661","filename":"合同.pdf","fileext":"pdf","filesize":1818`
	for name, c := range map[string]struct {
		raw  string
		want []string
	}{
		"cut off":                        {whole, []string{"FIDCUT"}},
		"cut off before the name":        {whole[:strings.Index(whole, "合同")+1], []string{"FIDCUT"}},
		"cut off within the id":          {whole[:strings.Index(whole, "CUT")], nil},
		"cut off behind the id":          {whole[:strings.Index(whole, `,"md5sum`)], []string{"FIDCUT"}},
		"bytes before":                   {"\x00\x01garbage" + whole + "}}", []string{"FIDCUT"}},
		"bytes behind":                   {whole + "}}\x00\x01", []string{"FIDCUT"}},
		"two objects":                    {whole + "}}" + strings.Replace(whole, "FIDCUT", "FID2", 1) + "}}", []string{"FID2", "FIDCUT"}},
		"missing comma":                  {`{"msgtype":"image" "image":{"sdkfileid":"F"}}`, []string{"F"}},
		"double comma":                   {`{"msgtype":"image",,"image":{"x":,"sdkfileid":"F"}}`, []string{"F"}},
		"unquoted value before":          {`{"msgtype":"image","image":{"x":abc def,"sdkfileid":"F"}}`, []string{"F"}},
		"single quotes":                  {`{'msgtype':'image','image':{'sdkfileid':'F'}}`, []string{"F"}},
		"JSON in a broken string":        {`{"msgtype":"mixed","mixed":{"item":[{"content":"{\"sdkfileid\":\"` + longID + `\"}`, []string{longID}},
		"short in a broken string":       {`{"msgtype":"text","text":{"content":"{\"sdkfileid\":\"F\"}`, nil},
		"single quotes in a text":        {`{"msgtype":"text","text":{"content":"{'sdkfileid':'F'}`, nil},
		"items of a cut-off record":      {`{"msgtype":"chatrecord","chatrecord":{"item":[{"type":"ChatRecordImage","content":"{\"sdkfileid\":\"F\"}"},{"type":"ChatRecordText","content":"{\"cont`, []string{"F"}},
		"in a list, cut off":             {`[{"sdkfileid":"A"},{"sdkfileid":"B"},{"sdkfi`, []string{"A", "B"}},
		"by its form alone":              {"\xff\xfe" + longID + "\x00", []string{longID}},
		"by its form, unknown name":      {`{"msgtype":"image","image":{"fid":"` + longID + `"}}`, []string{longID}},
		"by its form, unknown type":      {`{"msgtype":"hologram","hologram":{"a":[{"b":"` + longID + `"}]}}`, []string{longID}},
		"by its form, escaped":           {`{"msgtype":"image","image":{"fid":"` + strings.ReplaceAll(slashes, "/", `\/`) + `"}}`, []string{slashes}},
		"once by name and form":          {`{"msgtype":"hologram","hologram":{"sdkfileid":"` + longID + `"}}`, []string{longID}},
		"once by name and form, cut off": {`{"msgtype":"image","image":{"sdkfileid":"` + longID + `"`, []string{longID}},
		"by its form, in a string":       {`{"msgtype":"hologram","x":"{\"sdkfileid\":\"` + longID + `\"}"}`, []string{longID}},
		"capitals and a dash":            {`{"msgtype":"file","file":{"SDK-FileID":"F"}}`, []string{"F"}},
		"underscore":                     {`{"msgtype":"image","image":{"sdk_fileid":"FID1","md5sum":"","filesize":1}}`, []string{"FID1"}},
		"two underscores":                {`{"msgtype":"image","image":{"sdk_file_id":"FID1"}}`, []string{"FID1"}},
		"camel case":                     {`{"msgtype":"video","video":{"sdkFileId":"FID1"}}`, []string{"FID1"}},
		"underscore, unknown type":       {`{"msgtype":"hologram","x":{"sdk_fileid":"FID1"}}`, []string{"FID1"}},
		"underscore, cut off":            {`{"msgtype":"image","image":{"sdk_fileid":"FID1",`, []string{"FID1"}},
		"deep":                           {`{"msgtype":"x","x":` + deep(`{"a":"C:\x","b":"1","sdkfileid":"`+longID+`"}`) + `}`, []string{longID}},
		"deep, alone":                    {deep(deep(`{"sdkfileid":"` + longID + `"}`)), []string{longID}},
		"UTF-16":                         {"\xff\xfe" + strings.Join(strings.Split(`{"sdkfileid":"F"}`, ""), "\x00") + "\x00", []string{"F"}},
		"UTF-16, big end":                {"\xfe\xff\x00" + strings.Join(strings.Split(`{"sdkfileid":"F"}`, ""), "\x00"), []string{"F"}},
		"in a form":                      {"msgtype=image&sdkfileid=" + longID + "&x=1", []string{longID}},
		"a name of a member":             {`{"msgtype":"file","file":{"` + longID + `":{"filesize":1}}}`, []string{longID}},
		"overwritten":                    {`{"msgtype":"image","image":{"sdkfileid":"F"},"image":null}`, []string{"F"}},
		"overwritten id":                 {`{"msgtype":"image","image":{"sdkfileid":"F","sdkfileid":"G"}}`, []string{"F", "G"}},
		"line break in the id":           {`{"msgtype":"image","image":{"sdkfileid":"` + longID[:80] + `\r\n` + longID[80:] + `"}}`, []string{longID}},
		"delete character in the id":     {`{"msgtype":"image","image":{"sdkfileid":"` + longID[:80] + "\x7f" + longID[80:] + `"}}`, []string{longID}},
		"damage behind the id":           {`{"msgtype":"image","image":{"sdkfileid":"` + longID + "\xff \"}}", []string{longID}},
		"blank in the name":              {`{"msgtype":"image","image":{"sdk fileid ":"F"}}`, []string{"F"}},
		"object in a list of texts":      {`{"msgtype":"vote","vote":{"votetitle":"团建","voteitem":[{"item":"山","sdkfileid":"F"}]}}`, []string{"F"}},
		"list in a list of objects":      {`{"msgtype":"news","news":{"item":[{"title":"一"},[{"sdkfileid":"F"}]]}}`, []string{"F"}},
		"list for an object":             {`{"msgtype":"image","image":[{"sdkfileid":"F"}]}`, []string{"F"}},
		"object for a list":              {`{"msgtype":"mixed","mixed":{"item":{"0":{"type":"image","content":{"sdkfileid":"F"}}}}}`, []string{"F"}},
		"list of ids":                    {`{"msgtype":"image","image":{"sdkfileid":["F","G"]}}`, []string{"F", "G"}},
		"name of a list of ids":          {`{"msgtype":"image","image":{"sdkfileids":["F"],"sdk_file_ids":["G"]}}`, []string{"F", "G"}},
		"list of ids, cut off":           {`{"msgtype":"image","image":{"sdkfileid":["F","G"`, []string{"F", "G"}},
		"texts of Python":                {`{'msgtype': u'image', 'image': {'sdkfileid': u'FID1', 'filesize': 12}}`, []string{"FID1"}},
		"bytes of Python":                {`{'image': {'sdkfileid': b'FID1'}}`, []string{"FID1"}},
		"one letter":                     {`{'image': {'sdkfileid': 'u'}}`, []string{"u"}},
		"written for a URL":              {`{"msgtype":"image","image":{"sdkfileid":"` + url.QueryEscape(longID) + `"}}`, []string{longID}},
		"in a string":                    {`"{\"msgtype\":\"image\",\"image\":{\"sdkfileid\":\"F\"}}"`, []string{"F"}},
		"alone in a list":                {`[{"msgtype":"image","image":{"sdkfileid":"F"}}]`, []string{"F"}},
		"UTF-16 without a mark":          {strings.Join(strings.Split(`{"sdkfileid":"F"}`, ""), "\x00") + "\x00", []string{"F"}},
		"blanks around the type":         {`{"msgtype":" image ","image":{"sdkfileid":"F"}}`, []string{"F"}},
		"object for an id":               {`{"msgtype":"image","image":{"sdkfileid":{"id":"` + longID + `","md5":"0cc175b9c0f1b6a831c399e269772661"}}}`, []string{longID}},
		"object for an id, no JSON":      {`{} "sdkfileid":{"id":"F"}`, nil},
		"very long id, cut off":          {`{"msgtype":"image","image":{"sdkfileid":"` + strings.Repeat("F", 2050) + `",`, []string{strings.Repeat("F", 2050)}},
		"no id":                          {`{"msgtype":"text","text":{"content":"sdkfileid, and sdkfileid`, nil},
		"a long text":                    {`{"msgtype":"hologram","x":"` + strings.Repeat("x", 400) + `"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(c.raw)
			if got := ids(message.Read(raw).Files); !slices.Equal(got, c.want) {
				t.Errorf("Read: got files %q, want %q", got, c.want)
			}
			if got := ids(message.Skim(raw).Files); !slices.Equal(got, c.want) {
				t.Errorf("Skim: got files %q, want %q", got, c.want)
			}
			checkRead(t, raw)
		})
	}
	f := message.Read([]byte(whole)).Files[0]
	if f.MD5 != "0cc175b9c0f1b6a831c399e269772661" || f.Name != "合同.pdf" || f.Ext != "pdf" || f.Size != 0 {
		t.Errorf("got %+v, want what is whole, and no part of a number", f)
	}
}

func TestBackslashesInNames(t *testing.T) {
	raw := []byte(`{"msgid":"m","from":"lin.hua","tolist":["wm1"],"msgtype":"file","file":{"sdkfileid":"F","filename":"C:\Users\合同.pdf"}}`)
	v := message.Read(raw)
	if v.Kind != "file" || len(v.Files) != 1 || v.Files[0].Name != `C:\Users\合同.pdf` {
		t.Errorf("got kind %s with files %+v, want the file with its name", v.Kind, v.Files)
	}
}

// A payload of a known kind is never shown empty: where its form is unknown, the
// screen shows its fields, and Unknown names them.
func TestUnknownFormsOfKnownKinds(t *testing.T) {
	for name, c := range map[string]struct {
		raw     string
		text    []string // within Content.Text
		unknown []string
	}{
		"markdown":             {`{"msgtype":"markdown","markdown":{"text":"**粗**","title":"日报"}}`, []string{"**粗**", "日报"}, []string{"markdown.text", "markdown.title"}},
		"text":                 {`{"msgtype":"text","text":{"body":"你好"}}`, []string{"你好"}, []string{"text.body"}},
		"text as a list":       {`{"msgtype":"text","text":["你好"]}`, []string{"你好"}, []string{"text.item"}},
		"link":                 {`{"msgtype":"link","link":{"name":"页","href":"https://a.cn"}}`, []string{"页", "https://a.cn"}, []string{"link.href", "link.name"}},
		"image as a text":      {`{"msgtype":"image","image":"x"}`, []string{"x"}, []string{"image.content"}},
		"location":             {`{"msgtype":"location","location":{"lat":"31.2","lng":"121.4"}}`, []string{"31.2", "121.4"}, []string{"location.lat", "location.lng"}},
		"red packet":           {`{"msgtype":"redpacket","redpacket":{"money":100}}`, []string{"money", "100"}, []string{"redpacket.money"}},
		"news of texts":        {`{"msgtype":"news","news":{"item":["一","二"]}}`, []string{"一", "二"}, []string{"news.item"}},
		"mixed":                {`{"msgtype":"mixed","mixed":{"parts":[{"text":"看图"}]}}`, []string{"看图"}, []string{"mixed.parts"}},
		"chat record":          {`{"msgtype":"chatrecord","chatrecord":{"records":[{"text":"你好"}]}}`, []string{"你好"}, []string{"chatrecord.records"}},
		"item of a record":     {`{"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"ChatRecordText","content":"{\"body\":\"你好\"}"}]}}`, []string{"你好"}, nil},
		"vote of objects":      {`{"msgtype":"vote","vote":{"votetitle":"团建","voteitem":[{"id":1,"item":"山"},{"id":2,"item":"海"}],"votetype":101,"voteid":"v1"}}`, []string{"山", "海"}, []string{"vote.voteitem"}},
		"vote of odd objects":  {`{"msgtype":"vote","vote":{"votetitle":"团建","voteitem":[{"x":"山"}]}}`, []string{"山"}, []string{"vote.voteitem"}},
		"calendar of objects":  {`{"msgtype":"calendar","calendar":{"title":"会","attendeename":[{"name":"林华"}]}}`, []string{"林华"}, []string{"calendar.attendeename"}},
		"receivers without id": {`{"msgtype":"text","from":"a","tolist":[{"x":1}],"text":{"content":"hi"}}`, []string{"hi"}, []string{"parties"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := message.Read([]byte(c.raw))
			for _, want := range c.text {
				if !strings.Contains(v.Text, want) {
					t.Errorf("got text %q, want it to hold %q", v.Text, want)
				}
			}
			for _, want := range c.unknown {
				if !slices.Contains(v.Unknown, want) {
					t.Errorf("got unknown %q, want %q among them", v.Unknown, want)
				}
			}
			checkRead(t, []byte(c.raw))
		})
	}
}

// The items of a mixed message were seen in other forms than the documented one.
func TestFormsOfMixedItems(t *testing.T) {
	items, err := json.Marshal([]any{
		map[string]any{"type": "text", "content": `{"content":"看图"}`},
		map[string]any{"type": "image", "content": `{"sdkfileid":"F","md5sum":"","filesize":12}`},
	})
	if err != nil {
		t.Fatal(err)
	}
	inString, err := json.Marshal(string(items))
	if err != nil {
		t.Fatal(err)
	}
	for name, payload := range map[string]string{
		"list":       fmt.Sprintf(`{"item":%s}`, items),
		"in strings": fmt.Sprintf(`{"item":%s}`, inString),
		"msg_item":   `{"msg_item":[{"msgtype":"text","text":{"content":"看图"}},{"msgtype":"image","image":{"sdkfileid":"F","md5sum":"","filesize":12}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			v := message.Read([]byte(`{"msgtype":"mixed","mixed":` + payload + `}`))
			if v.Text != "看图\n[图片]" || len(v.Files) != 1 || v.Files[0].SDKFileID != "F" || v.Files[0].Size != 12 || !slices.Equal(v.Files[0].Path, []int{1}) {
				t.Errorf("got text %q and files %+v, want a text and an image", v.Text, v.Files)
			}
			if len(v.Unknown) > 0 {
				t.Errorf("got unknown %q, want nothing", v.Unknown)
			}
		})
	}
}

// The names of members come in other capitals and with other separators.
func TestSpellingsOfMembers(t *testing.T) {
	v := message.Read([]byte(`{"msgId":"m","from":"a","toList":["b"],"msgType":"voice","Voice":{"SdkFileId":"F","md5_sum":"0cc175b9c0f1b6a831c399e269772661","voiceSize":7,"playLength":3}}`))
	want := message.File{SDKFileID: "F", Path: []int{0}, Kind: "voice", Ext: "amr", Size: 7, MD5: "0cc175b9c0f1b6a831c399e269772661", Seconds: 3}
	if v.Kind != "voice" || v.Fields.MsgID != "m" || len(v.Files) != 1 || !reflect.DeepEqual(v.Files[0], want) || len(v.Unknown) > 0 {
		t.Errorf("got %s of %+v with files %+v and unknown %q, want the file %+v", v.Kind, v.Fields, v.Files, v.Unknown, want)
	}
	v = message.Read([]byte(`{"msgtype":"vote","vote":{"voteTitle":"团建","VoteItem":["山"],"vote_type":101}}`))
	if v.Text != "[投票] 团建\n山" || len(v.Unknown) > 0 {
		t.Errorf("got text %q and unknown %q", v.Text, v.Unknown)
	}
}

// Where a member decides how the others are read, its spelling does not matter
// either.
func TestSpellingsOfMembersThatDecide(t *testing.T) {
	id := wecomsID(1)
	for raw, want := range map[string]string{
		`{"msgtype":"text","text":"{\"Content\":\"早\"}"}`:                         "早",
		`{"msgtype":"location","location":{"Longitude":116.5,"LATITUDE":"39.9"}}`: "[位置]",
		`{"msgtype":"location","Longitude":116.5,"Latitude":39.9}`:                "[位置]",
	} {
		if v := message.Read([]byte(raw)); v.Text != want || len(v.Unknown) > 0 {
			t.Errorf("%s: got text %q and unknown %q, want %q", raw, v.Text, v.Unknown, want)
		}
	}
	// In an unknown kind, the payload of a known item is not a person's text: its file
	// id needs no form.
	for _, item := range []string{`"type":"image","content":`, `"Type":"image","Content":`, `"MsgType":"ChatRecordImage","content":`, `"type":"image","image":`} {
		raw := `{"msgtype":"novelty","novelty":{"list":[{` + item + `"{\"sdkfileid\":\"F\"}"}]}}`
		if v := message.Read([]byte(raw)); len(v.Files) != 1 || v.Files[0].SDKFileID != "F" {
			t.Errorf("%s: got files %+v, want F", raw, v.Files)
		}
		spoken := strings.ReplaceAll(strings.ReplaceAll(raw, "image", "text"), "Image", "Text")
		if v := message.Read([]byte(spoken)); len(v.Files) != 0 {
			t.Errorf("%s: got files %+v of a person's text, want none", spoken, v.Files)
		}
	}
	if v := message.Read([]byte(`{"msgtype":"novelty","novelty":{"Type":"image","CONTENT":"{\"sdkfileid\":\"` + id + `\"}"}}`)); len(v.Files) != 1 {
		t.Errorf("got files %+v, want one", v.Files)
	}
}

// A time that no calendar holds is none, and says so.
func TestOddTimesAreUnknown(t *testing.T) {
	for _, odd := range []string{`-1`, `-5000`, `1767225600123456`, `"1767225600123456789"`, `253402300800000`, `1e300`, `"soon"`} {
		for want, form := range map[string]string{
			"msgtime":                                   `{"msgtype":"text","msgtime":%s,"text":{"content":"x"}}`,
			"calendar.starttime":                        `{"msgtype":"calendar","calendar":{"title":"会","starttime":%s,"endtime":1767225600}}`,
			"meeting.endtime":                           `{"msgtype":"meeting","meeting":{"topic":"会","starttime":1767225600,"endtime":%s}}`,
			"chatrecord.item.msgtime":                   `{"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"ChatRecordText","msgtime":%s,"content":"{\"content\":\"x\"}"}]}}`,
			"meeting_voice_call.endtime":                `{"msgtype":"meeting_voice_call","meeting_voice_call":{"endtime":%s,"sdkfileid":"F"}}`,
			"meeting_voice_call.demofiledata.starttime": `{"msgtype":"meeting_voice_call","meeting_voice_call":{"endtime":1767225600,"demofiledata":[{"filename":"a","starttime":%s}]}}`,
			"agree.agree_time":                          `{"msgtype":"agree","from":"wm1","msgtime":1767225600123,"agree":{"userid":"wm1","agree_time":%s}}`,
			"disagree.disagree_time":                    `{"msgtype":"disagree","from":"wm1","disagree":{"userid":"wm1","disagree_time":%s}}`,
			"switch.time":                               `{"action":"switch","user":"a","time":%s}`,
		} {
			raw := fmt.Appendf(nil, form, odd)
			if v := message.Read(raw); !slices.Contains(v.Unknown, want) {
				t.Errorf("%s: got unknown %q, want %s", raw, v.Unknown, want)
			}
			checkRead(t, raw)
		}
	}
}

// A message that shows nothing says so.
func TestNothingIsEmptyInSilence(t *testing.T) {
	for _, msgtype := range msgtypes {
		for _, payload := range []string{``, `,%q:{}`, `,"x":{}`, `,%q:null`, `,%q:{"content":"","title":null,"sdkfileid":"","item":[]}`} {
			if strings.Contains(payload, "%q") {
				payload = fmt.Sprintf(payload, msgtype)
			}
			raw := fmt.Appendf(nil, `{"msgid":"m","from":"a","tolist":["b"],"msgtype":%q%s}`, msgtype, payload)
			switch v := message.Read(raw); v.Kind {
			case "agree", "disagree", message.KindSwitch: // these say it by their kind
			default:
				if len(v.Unknown) == 0 && !strings.Contains(v.Text, "x") {
					t.Errorf("%s: got no entry of Unknown, and text %q", raw, v.Text)
				}
			}
		}
	}
}

// wecomsID makes a file id in the form of WeCom's.
func wecomsID(n int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%04d%s", strings.Repeat("\x0a\x1b\x08\x96", 30), n, strings.Repeat("0123456789abcdef", 2)))
}

// A person may write a text that is like a file. Each file is fetched for days, so a
// text names none in another form than WeCom's, and only a few in all.
func TestTextsNameFewFiles(t *testing.T) {
	inText := func(ids ...string) string {
		text := "["
		for i, id := range ids {
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf(`{"sdkfileid":%q,"filesize":104857600}`, id)
		}
		quoted, err := json.Marshal(text + "]")
		if err != nil {
			t.Fatal(err)
		}
		return string(quoted)
	}
	var many []string
	for n := range 100 {
		many = append(many, wecomsID(n))
	}
	item := func(content string) string { // of a chat record, in a string as WeCom's are
		quoted, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		return string(quoted)
	}
	for name, form := range map[string]func(text string) string{
		"solitaire": func(text string) string {
			return `{"msgtype":"solitaire","solitaire":{"title":"t","list":[{"text":` + text + `}]}}`
		},
		"list of texts": func(text string) string { return `{"msgtype":"hologram","x":[` + text + `]}` },
		"unknown field": func(text string) string { return `{"msgtype":"weapp","weapp":{"title":"x","newfield":` + text + `}}` },
		"unknown kind":  func(text string) string { return `{"msgtype":"hologram","hologram":` + text + `}` },
		"unknown item": func(text string) string {
			return `{"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"ChatRecordNew","content":` + text + `}]}}`
		},
		"member of item": func(text string) string {
			return `{"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"ChatRecordNew","content":` + item(`{"content":`+text+`}`) + `}]}}`
		},
		"items of a note": func(text string) string { return `{"msgtype":"note","note":{"items":` + text + `}}` },
		"item of a note":  func(text string) string { return `{"msgtype":"note","note":{"items":[` + text + `]}}` },
		"note":            func(text string) string { return `{"msgtype":"note","note":{"text":` + text + `}}` },
		"text that is a message": func(text string) string {
			return `{"msgtype":"solitaire","solitaire":{"x":` + item(`{"type":"image","content":`+text+`}`) + `}}`
		},
		"text as an object": func(text string) string {
			return `{"msgtype":"mixed","mixed":{"item":[{"type":"text","content":` + item(`{"content":"x","y":`+text+`}`) + `}]}}`
		},
		"title beside a type": func(text string) string { return `{"msgtype":"hologram","x":{"type":"image","title":` + text + `}}` },
		"name of a member":    func(text string) string { return `{"msgtype":"hologram","x":{` + text + `:1}}` },
		"text in a string": func(text string) string {
			var list string
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
			return `{"msgtype":"text","text":` + item(`{"content":"x","y":`+list+`}`) + `}`
		},
		"no JSON": func(text string) string { return `{"msgtype":"hologram","x":` + text + `,` },
	} {
		t.Run(name, func(t *testing.T) {
			for what, read := range map[string]func([]byte) message.Content{"Read": message.Read, "Skim": message.Skim} {
				if got := read([]byte(form(inText("FORGED", strings.Repeat("A", 400))))).Files; len(got) != 0 {
					t.Errorf("%s: got files %+v of a text, want none in another form than WeCom's", what, got)
				}
				if got := ids(read([]byte(form(inText(wecomsID(1))))).Files); !slices.Equal(got, []string{wecomsID(1)}) {
					t.Errorf("%s: got files %q, want the one in WeCom's form", what, got)
				}
				if got := read([]byte(form(inText(many...)))).Files; len(got) != 5 {
					t.Errorf("%s: got %d files of a text, want 5", what, len(got))
				}
			}
		})
	}
	for name, raw := range map[string]string{
		"by their form":            `{"msgtype":"hologram","x":["` + strings.Join(many, `","`) + `"]}`,
		"by their form, in fields": `{"msgtype":"hologram","x":{"a":"` + strings.Join(many, `","a":"`) + `"}}`,
		"by their form, no JSON":   "\xff " + strings.Join(many, " "),
	} {
		for what, read := range map[string]func([]byte) message.Content{"Read": message.Read, "Skim": message.Skim} {
			if got := read([]byte(raw)).Files; len(got) > 5 || len(got) == 0 {
				t.Errorf("%s, %s: got %d files, want at most 5", name, what, len(got))
			}
		}
	}
	for name, raw := range map[string]string{
		"text":                       `{"msgtype":"text","text":{"content":` + inText(wecomsID(1)) + `}}`,
		"text without an object":     `{"msgtype":"text","text":` + inText(wecomsID(1)) + `}`,
		"markdown without an object": `{"msgtype":"markdown","info":` + inText(wecomsID(1)) + `}`,
		"link":                       `{"msgtype":"link","link":{"title":` + inText(wecomsID(1)) + `}}`,
		"item":                       `{"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"ChatRecordText","content":` + item(`{"content":`+inText(wecomsID(1))+`}`) + `}]}}`,
	} {
		if got := message.Read([]byte(raw)).Files; len(got) != 0 {
			t.Errorf("%s: got files %+v of a text that is known to be one, want none", name, got)
		}
	}
}

// What counts as the form of WeCom's file ids: the length, the alphabet, and the key
// at the end of what they encode.
func TestFormOfFileIDsInTexts(t *testing.T) {
	blob := func(size, hex int) []byte {
		return append(bytes.Repeat([]byte{0x96}, size-hex), bytes.Repeat([]byte("5e"), hex/2)...)
	}
	id := func(size int) string { return base64.RawStdEncoding.EncodeToString(blob(size, 32)) }
	for name, c := range map[string]struct {
		id   string
		want bool
	}{
		"99 characters":            {id(74), false},
		"100 characters":           {id(75), true},
		"2000 characters":          {id(1500), true},
		"2002 characters":          {id(1501), false},
		"key in capitals":          {base64.RawStdEncoding.EncodeToString(bytes.ReplaceAll(blob(150, 32), []byte("e"), []byte("E"))), true},
		"key with another letter":  {base64.RawStdEncoding.EncodeToString(bytes.ReplaceAll(blob(150, 32), []byte("e"), []byte("g"))), false},
		"key of 30 digits":         {base64.StdEncoding.EncodeToString(blob(150, 30)), false},
		"for names of files":       {base64.RawURLEncoding.EncodeToString(append(bytes.Repeat([]byte{0xfb, 0xff}, 60), blob(33, 32)...)), true},
		"with padding":             {base64.StdEncoding.EncodeToString(blob(151, 32)), true},
		"followed by another mark": {id(150) + "!!!!", false},
		"no bytes":                 {strings.Repeat("=", 200), false},
	} {
		for where, raw := range map[string]string{
			"named":   `{"msgtype":"hologram","x":"{\"sdkfileid\":\"` + c.id + `\"}"}`,
			"unnamed": `{"msgtype":"hologram","x":"` + c.id + `"}`,
		} {
			for what, read := range map[string]func([]byte) message.Content{"Read": message.Read, "Skim": message.Skim} {
				if got := ids(read([]byte(raw)).Files); (len(got) == 1) != c.want || c.want && got[0] != c.id {
					t.Errorf("%s, %s, %s: got files %q", name, where, what, got)
				}
			}
		}
	}
	// An id outside of a text has any form, also one that looks as if it was written
	// for a URL.
	if got := ids(message.Read([]byte(`{"msgtype":"image","image":{"sdkfileid":"100%25"}}`)).Files); !slices.Equal(got, []string{"100%25"}) {
		t.Errorf("got files %q, want the id as it is", got)
	}
}

// The files of a chat record are WeCom's, although they are written in strings: any
// number of them counts, in any form.
func TestFilesOfLongRecords(t *testing.T) {
	item := `{"type":"ChatRecordImage","content":"{\"sdkfileid\":\"F\"}"}`
	mixed := `{"type":"ChatRecordMixed","content":"{\"item\":[{\"type\":\"image\",\"content\":\"{\\\"sdkfileid\\\":\\\"F\\\"}\"}]}"}`
	raw := []byte(`{"msgtype":"chatrecord","chatrecord":{"title":"t","item":[` + strings.Repeat(item+","+mixed+",", 300) + item + `]}}`)
	for what, read := range map[string]func([]byte) message.Content{"Read": message.Read, "Skim": message.Skim} {
		if got := len(read(raw).Files); got != 601 {
			t.Errorf("%s: got %d files, want 601", what, got)
		}
	}
}

// Searching bytes that are not JSON takes a time that follows their size.
func TestSearchingBytesIsLinear(t *testing.T) {
	const size = 1 << 20
	for name, unit := range map[string]string{
		"names alone":          `sdkfileid `,
		"names and brackets":   `{"a":"sdkfileid","b":`,
		"names and open texts": `{"sdkfileid":"x`,
		"escaped names":        `{\"sdkfileid\":\"`,
		"separators":           `s_-d_-k_-`,
		"brackets":             `{"a":[`,
		"broken objects":       `{"sdkfileid":{,`,
		"single quotes":        `{'sdkfileid':'F`,
		"colons":               `sdkfileid::::::`,
	} {
		raw := []byte("{" + strings.Repeat(unit, size/len(unit)))
		begun := time.Now()
		message.Read(raw)
		if took := time.Since(begun); took > 20*time.Second { // reading once takes well below a second
			t.Errorf("%s: took %s for %d bytes", name, took, len(raw))
		}
	}
}

// A person may write a line of any character of base64, also where the message
// has an unknown form.
func TestLinesOfBase64AreText(t *testing.T) {
	for _, c := range "=+/-_aA0" {
		line := strings.Repeat(string(c), 200)
		for name, raw := range map[string]string{
			"solitaire":      `{"msgtype":"solitaire","solitaire":{"content":"%s","x":"%s"}}`,
			"unknown kind":   `{"msgtype":"never_seen","never_seen":{"note":"%s"}}`,
			"unknown member": `{"msgtype":"text","text":{"content":"a"},"extra":"%s"}`,
			"unknown item":   `{"msgtype":"chatrecord","chatrecord":{"item":[{"type":"ChatRecordNeverSeen","content":"%s"}]}}`,
			"list":           `{"msgtype":"never_seen","never_seen":["%s"]}`,
			"named as an id": `{"msgtype":"never_seen","never_seen":"{\"sdkfileid\":\"%s\"}"}`,
			"cut off":        `{"msgtype":"image","image":{"sdkfileid":"%s`,
			"no JSON":        `sdkfileid %s`,
		} {
			raw = strings.ReplaceAll(raw, "%s", line)
			if files := message.Read([]byte(raw)).Files; len(files) > 0 {
				t.Errorf("%s: got %d files from a line of %q", name, len(files), c)
			}
			message.Skim([]byte(raw))
		}
	}
}
