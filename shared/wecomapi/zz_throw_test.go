package wecomapi_test

import (
	"fmt"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

func TestZZ(t *testing.T) {
	for i, a := range []string{
		`{"errcode":0,"external_contact":{"name":"阿木","avatar":"HTTP://a.cn/x"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木","avatar":"//a.cn/x"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木","avatar":" https://a.cn/x \n"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木","avatar":"https://a.cn/a b"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木","avatar":"https://"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木\ud83d"}}`,
		`{"errcode":0,"external_contact":{"name":"\ud83d\ude00阿木"}}`,
		`{"errcode":0,"external_contact":{"name":"   "}}`,
		`{"errcode":0,"external_contact":{"name":"\u202e阿木\u2028\u200b"}}`,
		`{"errcode":0,"external_contact":{"name":true}}`,
		`{"errcode":0,"external_contact":{"name":1e400}}`,
		`{"errcode":0,"external_contact":{"name":-0.5}}`,
		`{"errcode":0,"external_contact":{"name":["阿木"]}}`,
		`{"errcode":0,"external_contact":[{"name":"阿木"}]}`,
		`{"errcode":0,"external_contact":"{\"name\":\"阿木\"}"}`,
		`[{"errcode":0,"external_contact":{"name":"阿木"}}]`,
		`{"errcode":0,"external_contact":{"name":"阿木"}}<html></html>`,
		`{"errcode":0,"external_contact":{"name":"阿木"}}{"errcode":40001}`,
		`{"errcode":0,"external_contact":{"name":"阿木"}` + "\x00\x00",
		"\n\r\n " + `{"errcode":0,"external_contact":{"name":"阿木"}}`,
		`callback({"errcode":0,"external_contact":{"name":"阿木"}})`,
		`{"errcode":null,"external_contact":{"name":"阿木"}}`,
		`{"errcode":"","external_contact":{"name":"阿木"}}`,
		`{"errcode":false,"external_contact":{"name":"阿木"}}`,
		`{"errcode":"ok","external_contact":{"name":"阿木"}}`,
		`{"errcode":-0,"external_contact":{"name":"阿木"}}`,
		`{"errcode":0e0,"external_contact":{"name":"阿木"}}`,
		`{"ErrCode":0,"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"external_contact":{"Name":"阿木"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木"},"errcode":40001}`,
		`{"errcode":0,"external_contact":{"external_userid":"wmOTHER","name":"别人"}}`,
		`{"errcode":0,"external_contact":null}`,
		`{"external_contact":{"name":"阿木"}}`,
		`{"errmsg":"ok"}`,
		``,
		`null`,
		`{"errcode":0,"external_contact":{"name":"a` + "\xed\xa0\xbd" + `b"}}`,
		`{"errcode":0,"external_contact":{"name":"a\q"}}`,
		`{"errcode":0,"external_contact":{"name":"阿木` + "\t" + `x"}}`,
		`{'errcode':0,'external_contact':{'name':'阿木'}}`,
		`{"errcode":0,/* c */"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"external_contact":{"type":Infinity,"name":"阿木"}}`,
		`{"errcode":0,"external_contact":{"position":"a"b","name":"阿木"}}`,
		`{"errcode":0,"external_contact":{"external_profile":{"external_attr":[{"text":{"value":"a"b"}}]},"name":"阿木"}}`,
		`{"errcode":0,"follow_user":[{"remark":"a"b"}],"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"follow_user":[{"remark":"x` + "\x80" + `"}],"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"follow_user":undefined,"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"follow_user":[,],"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"follow_user":[01],"external_contact":{"name":"阿木"}}`,
		`{"errcode":0,"follow_user":[{"remark":"\u12"}],"external_contact":{"name":"阿木"}}`,
	} {
		client, c := answering(t, a)
		p, err := client.Contact(t.Context(), c, "wm1")
		fmt.Printf("%d %q => %q avatar=%q err=%v\n", i, a, p.Name, p.Avatar, err)
	}
	for i, a := range []string{
		`{"errcode":0,"group_chat":{"name":"","member_list":[{"userid":"a"}]}}`,
		`{"errcode":0,"group_chat":{"name":null,"owner":{"userid":"lin.hua"},"member_list":[{"userid":"a","name":"x"}]}}`,
		`{"errcode":0,"group_chat":{"name":"群","member_list":{"0":{"userid":"a"}}}}`,
		`{"errcode":0,"group_chat":{"name":"群","member_list":"[{\"userid\":\"a\"}]"}}`,
		`{"errcode":0,"group_chat":{"name":"群","member_list":[{"userid":"a","name":"x"y"},{"userid":"b"}]}}`,
		`{"errcode":0,"group_chat":{"member_list":[{"userid":"a","name":"x"y"},{"userid":"b"}],"name":"群"}}`,
		`{"errcode":0,"group_chat":{"name":"群","create_time":"2026-01-01","member_list":[{"userid":"a "},{"userid":" "},{"userid":"a"}]}}`,
		`{"errcode":0,"group_chat":{"name":"群","member_list":[{"user_id":"a"},{"userId":"b"}]}}`,
		`{"errcode":0,"group_chat":{"name":"群","member_list":[{"userid":"a","name":"` + "\xff" + `"}]}}`,
		`{"errcode":0,"group_chat":{"name":"群` + "\x1f" + `","member_list":null}}`,
	} {
		client, c := answering(t, a)
		p, err := client.CustomerRoom(t.Context(), c, "wr1")
		fmt.Printf("R%d %q => %+v err=%v\n", i, a, p, err)
	}
	for i, a := range []string{
		`{"errcode":0,"ids":["a","a"," b ","",null]}`,
		`{"errcode":0,"ids":"a,b"}`,
		`{"errcode":0,"ids":["a",{"userid":"b"}]}`,
		`{"errcode":0,"ids":["a` + "\x07" + `b"]}`,
		`{"errcode":0,"ids":["a"],}`,
		`{"errcode":0,"ids":[1.0,1e3]}`,
		`{"errcode":0,"IDs":["a"]}`,
	} {
		client, c := answering(t, a)
		p, err := client.Permitted(t.Context(), c, directory.AllEditions)
		fmt.Printf("P%d %q => %q err=%v\n", i, a, p, err)
	}
	for i, a := range []string{
		`{"errcode":0,"agreeinfo":[{"userid":"a","external_userid":"wm1","agree_status":"Agree"}]}`,
		`{"errcode":0,"agreeinfo":[{"userid":"a","exteranalopenid":"wm1","agree_status":"agree"}]}`,
		`{"errcode":0,"agreeinfo":[{"userid":"a","exteranalopenid":"wm1","agree_status":"Default_Agree ","status_change_time":1767200000123}]}`,
		`{"errcode":0,"agreeinfo":[{"userid":"a","exteranalopenid":"wm1","agree_status":"Agree","status_change_time":-5}]}`,
		`{"errcode":0,"agreeinfo":{"userid":"a","exteranalopenid":"wm1","agree_status":"Agree"}}`,
		`{"errcode":0,"agreeinfo":null}`,
		`{"errcode":0}`,
	} {
		client, c := answering(t, a)
		p, err := client.PairConsents(t.Context(), c, []directory.Pair{{Member: "a", Contact: "wm1"}})
		fmt.Printf("C%d %q => %+v err=%v\n", i, a, p, err)
	}
}
