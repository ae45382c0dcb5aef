package archive_test

import (
	"slices"
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

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"errcode":0,"errmsg":"ok","chatdata":[{"seq":1,"msgid":"m","publickey_ver":1,"encrypt_random_key":"a","encrypt_chat_msg":"b"}]}`))
	f.Add([]byte(`{"errcode":301042,"errmsg":"x, from ip: 1.2.3.4, more","chatdata":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) { _, _ = archive.ParseAnswer(raw) })
}
