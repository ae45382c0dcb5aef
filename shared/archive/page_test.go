package archive_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A record of any shape costs no other record of its page.
func TestOddRecordsAreRecordsWithoutFields(t *testing.T) {
	raw := `{"errcode":0,"chatdata":[{"seq":1,"msgid":"m\u00e9\"","publickey_ver":2,"encrypt_random_key":"a\/b=","encrypt_chat_msg":"c"},` +
		`null,7,"x",[1],{"seq":[],"msgid":7,"publickey_ver":{},"encrypt_random_key":null,"encrypt_chat_msg":["x"]},{"seq":"9","msgid":"` + "\xff" + `"}]}`
	a, err := archive.ParseAnswer([]byte(raw))
	want := []archive.Record{{Seq: 1, MsgID: `mé"`, KeyVersion: 2, RandomKey: "a/b=", Message: "c"}, {}, {}, {}, {}, {}, {Seq: 9, MsgID: "\ufffd"}}
	if err != nil || !slices.Equal(a.Records, want) {
		t.Errorf("got %+v and %v, want %+v", a.Records, err, want)
	}
	if a, err := archive.ParseAnswer([]byte(`{"errcode":0,"chatdata":"x"}`)); err == nil {
		t.Errorf("chatdata that is no list: got %+v, want an error", a)
	}
}

// refusedAnswer is the form of every error of ParseAnswer, which quotes nothing.
var refusedAnswer = regexp.MustCompile(`^answer of \d+ bytes (has no errcode|has an errcode that is not a number|is not a page: (not JSON( at byte \d+)?|wrong type in field [a-z_.]* at byte \d+))$`)

// An answer of any bytes is read or refused. The error quotes nothing. The records that
// were read are the same after they are written as WeCom writes them, and CheckOrder
// accepts them exactly if each seq is above the previous one.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"errcode":0,"errmsg":"ok","chatdata":[{"seq":1,"msgid":"m","publickey_ver":1,"encrypt_random_key":"a","encrypt_chat_msg":"b"}]}`))
	f.Add([]byte(`{"errcode":301042,"errmsg":"x, from ip: 1.2.3.4, more","chatdata":[]}`))
	f.Add([]byte(`{"errcode":"0","chatdata":[null,{"seq":"18446744073709551615"},7]}`))
	f.Add([]byte(`{"errcode":0,"chatdata":"x"}`))
	type record struct {
		Seq        uint64 `json:"seq"`
		MsgID      string `json:"msgid"`
		KeyVersion uint32 `json:"publickey_ver"`
		RandomKey  string `json:"encrypt_random_key"`
		Message    string `json:"encrypt_chat_msg"`
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := archive.ParseAnswer(raw)
		if err != nil {
			if a.ErrCode != 0 || a.FromIP != "" || a.Records != nil || !refusedAnswer.MatchString(err.Error()) {
				t.Errorf("got %+v and %q", a, err)
			}
			return
		}
		if strings.Trim(a.FromIP, "0123456789abcdefABCDEF.:") != "" {
			t.Errorf("got address %q", a.FromIP)
		}
		list := make([]record, len(a.Records))
		rising := true
		for i, r := range a.Records {
			list[i] = record(r)
			rising = rising && r.Seq > 0 && (i == 0 || r.Seq > a.Records[i-1].Seq)
		}
		if err := archive.CheckOrder(0, a.Records); (err == nil) != rising {
			t.Errorf("order of %+v: got %v", a.Records, err)
		}
		text, err := json.Marshal(map[string]any{"errcode": a.ErrCode, "chatdata": list})
		if err != nil {
			t.Fatal(err)
		}
		again, err := archive.ParseAnswer(text)
		if err != nil || again.ErrCode != a.ErrCode || !slices.Equal(again.Records, a.Records) {
			t.Errorf("got %+v and %v after %+v", again, err, a)
		}
	})
}

// Clients choose the ids of conversations. An id of any text has at most the parties
// that it names; the id of parties names them, and different parties have different
// ids.
func FuzzConversationID(f *testing.F) {
	f.Add("lin.hua", "wm1")
	f.Add("room:a%3Ab", "single:%zz")
	f.Add("a:b", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		free := archive.ConversationID(a)
		if room := free.Room(); room != "" && !slices.Equal(free.Parties(), []string{room}) {
			t.Errorf("%q: got room %q and parties %q", a, room, free.Parties())
		}
		if kind := free.Kind(); !strings.HasPrefix(a, kind) || strings.Contains(kind, ":") {
			t.Errorf("%q: got kind %q", a, kind)
		}
		if room := archive.RoomConversation(a); room.Kind() != "room" || room.Room() != a {
			t.Errorf("room %q: got %q of %q", a, room.Room(), room)
		}
		conv, ids := archive.PartyConversation([]string{a, b}), archive.Distinct([]string{a, b})
		if len(ids) == 0 && conv != archive.Unplaced || !slices.Equal(conv.Parties(), ids) && len(ids) > 0 {
			t.Errorf("got %q with parties %q, want %q", conv, conv.Parties(), ids)
		}
		if conv != archive.PartyConversation([]string{b, a, b}) {
			t.Errorf("%q and %q in another order: not %q", a, b, conv)
		}
		if alone := archive.PartyConversation([]string{a}); len(ids) == 2 && alone == conv {
			t.Errorf("%q alone and with %q: both are %q", a, b, conv)
		}
	})
}
