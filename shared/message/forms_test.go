package message_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/message"
)

// longID has the form of WeCom's file ids: base64 of a blob that ends in a
// hexadecimal key.
var longID = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x0a\x1b\x08\x96", 30) + "0123456789abcdef0123456789abcdef"))

func ids(files []message.File) []string {
	var ids []string
	for _, f := range files {
		ids = append(ids, f.SDKFileID)
	}
	slices.Sort(ids)
	return ids
}

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
		"JSON in a broken string":        {`{"msgtype":"mixed","mixed":{"item":[{"content":"{\"sdkfileid\":\"F\"}`, []string{"F"}},
		"in a list, cut off":             {`[{"sdkfileid":"A"},{"sdkfileid":"B"},{"sdkfi`, []string{"A", "B"}},
		"by its form alone":              {"\xff\xfe" + longID + "\x00", []string{longID}},
		"by its form, unknown name":      {`{"msgtype":"image","image":{"fid":"` + longID + `"}}`, []string{longID}},
		"by its form, unknown type":      {`{"msgtype":"hologram","hologram":{"a":[{"b":"` + longID + `"}]}}`, []string{longID}},
		"by its form, escaped":           {`{"msgtype":"image","image":{"fid":"` + strings.ReplaceAll(longID, "/", `\/`) + `"}}`, []string{longID}},
		"once by name and form":          {`{"msgtype":"hologram","hologram":{"sdkfileid":"` + longID + `"}}`, []string{longID}},
		"once by name and form, cut off": {`{"msgtype":"image","image":{"sdkfileid":"` + longID + `"`, []string{longID}},
		"underscore":                     {`{"msgtype":"image","image":{"sdk_fileid":"FID1","md5sum":"","filesize":1}}`, []string{"FID1"}},
		"two underscores":                {`{"msgtype":"image","image":{"sdk_file_id":"FID1"}}`, []string{"FID1"}},
		"camel case":                     {`{"msgtype":"video","video":{"sdkFileId":"FID1"}}`, []string{"FID1"}},
		"underscore, unknown type":       {`{"msgtype":"hologram","x":{"sdk_fileid":"FID1"}}`, []string{"FID1"}},
		"underscore, cut off":            {`{"msgtype":"image","image":{"sdk_fileid":"FID1",`, []string{"FID1"}},
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
