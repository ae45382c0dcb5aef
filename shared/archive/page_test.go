package archive_test

import (
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
)

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"errcode":0,"errmsg":"ok","chatdata":[{"seq":1,"msgid":"m","publickey_ver":1,"encrypt_random_key":"a","encrypt_chat_msg":"b"}]}`))
	f.Add([]byte(`{"errcode":301042,"errmsg":"x, from ip: 1.2.3.4, more","chatdata":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) { _, _ = archive.ParseAnswer(raw) })
}
