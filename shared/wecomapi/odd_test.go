package wecomapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/wecomapi"
)

// answering makes a client of a WeCom that gives the same answer to every call.
func answering(t *testing.T, answer string) (*wecomapi.Client, directory.Credential) {
	t.Helper()
	return serving(t, func(r *http.Request) string {
		if r.URL.Path == "/cgi-bin/gettoken" {
			return `{"errcode":0,"errmsg":"ok","access_token":"t","expires_in":7200.0}`
		}
		return answer
	})
}

// serving makes a client of a WeCom whose answers a function gives.
func serving(t *testing.T, answer func(*http.Request) string) (*wecomapi.Client, directory.Credential) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, answer(r)) }))
	t.Cleanup(server.Close)
	c := &clock{now: time.Unix(1e9, 0)}
	return newClient(t, c, server.URL, ""), directory.Credential{Corp: corpA, Secret: secret.New("s")}
}

// wide writes ASCII as UTF-16.
func wide(s string) string { return "\x00" + strings.Join(strings.Split(s, ""), "\x00") }

// Customers choose their names, and fields that are not needed come in many forms.
// Neither makes an answer unreadable.
func TestOddContacts(t *testing.T) {
	want := directory.Person{ID: "wm1", Kind: directory.External, Name: "阿木"}
	for name, answer := range map[string]string{
		"control character":     "{\"errcode\":0,\"errmsg\":\"ok\",\"external_contact\":{\"external_userid\":\"wm1\",\"name\":\"阿\x03木\"}}",
		"escaped control":       `{"errcode":0,"external_contact":{"name":"阿\u0007木"}}`,
		"control in errmsg":     "{\"errcode\":0,\"errmsg\":\"o\x01k\",\"external_contact\":{\"name\":\"阿木\"}}",
		"odd errmsg":            `{"errcode":0,"errmsg":{"a":1},"external_contact":{"name":"阿木"}}`,
		"other fields odd":      `{"errcode":"0","external_contact":{"name":"阿木","avatar":{},"corp_name":null,"corp_full_name":[1]},"follow_user":5}`,
		"bad escape":            `{"errcode":0,"external_contact":{"name":"阿木","position":"C:\Users"}}`,
		"byte order mark":       "\ufeff" + `{"errcode":0,"external_contact":{"name":"阿木"}}`,
		"no JSON behind":        `{"errcode":0,"external_contact":{"name":"阿木","position":"a"b"},"follow_user":[]}`,
		"comma behind":          `{"errcode":0,"external_contact":{"name":"阿木",},"follow_user":[{}]}`,
		"no number":             `{"errcode":0,"external_contact":{"corp":[{"a":1},[]],"name":"阿木","gender":NaN}}`,
		"cut off":               `{"errcode":0,"external_contact":{"name":"阿木"},"follow_user":[{"remark":"小`,
		"null behind":           `{"errcode":0,"external_contact":{"name":"阿木","name":null}}`,
		"too long":              `{"errcode":0,"external_contact":{"name":"阿木"},"follow_user":"` + strings.Repeat("x", 9<<20) + `"}`,
		"UTF-16":                "\xfe\xff" + wide(`{"errcode":0,"external_contact":{"name":"`) + "\x96\x3f\x67\x28" + wide(`"}}`),
		"another avatar":        `{"errcode":0,"external_contact":{"name":"阿木","avatar":"javascript:alert(1)"}}`,
		"texts that turn lines": `{"errcode":0,"external_contact":{"name":"\u202e阿\u2028木\u200b"}}`,
		"mark before":           `{"errcode":0,"external_contact":{"position":"a"b","name":"阿木"}}`,
		"mark before, deeper":   `{"errcode":0,"follow_user":[{"remark":"a", b"c","tags":[{"x":"y"z"}]}],"external_contact":{"name":"阿木"}}`,
		"words before":          `{"errcode":0,"a":undefined,"b":NaN,"c":01,"d":[,],"external_contact":{"e":None,"name":"阿木"}}`,
		"name without a value":  `{"errcode":0,"a":,"b","c":{"d"},:"external_contact":{},"external_contact":{"name":"阿木"}}`,
		"deep before":           `{"errcode":0,"a":x,"b":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `,"external_contact":{"name":"阿木"}}`,
		"in a list":             `[{"errcode":0,"external_contact":{"name":"阿木"}}]`,
		"in a call":             `callback({"errcode":0,"external_contact":{"name":"阿木"}});`,
		"another page behind":   `{"errcode":0,"external_contact":{"name":"阿木"}}<html></html>`,
		"address with blanks":   `{"errcode":0,"external_contact":{"name":"阿木","avatar":"https://a.cn/x y"}}`,
		"null as errcode":       `{"errcode":null,"errmsg":"ok","external_contact":{"name":"阿木"}}`,
		"null, and no JSON":     `{"errcode":null,"external_contact":{"name":"阿木","position":"a"b"}}`,
		"in a string":           `"{\"errcode\":0,\"external_contact\":{\"name\":\"阿木\"}}"`,
		"contact in a list":     `{"errcode":0,"external_contact":[{"name":"阿木"}]}`,
		"contact in a string":   `{"errcode":0,"external_contact":"{\"name\":\"阿木\",\"position\":\"C:\\Users\"}"}`,
		"in a list in a string": `{"errcode":0,"external_contact":"[{\"name\":\"阿木\"}]"}`,
		"errcode with fraction": `{"errcode":0.0,"external_contact":{"name":"阿木"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			client, c := answering(t, answer)
			if p, err := client.Contact(t.Context(), c, "wm1"); err != nil || p != want {
				t.Errorf("got %+v, error %v, want %+v", p, err, want)
			}
		})
	}
	client, c := answering(t, `{"errcode":0,"external_contact":{"name":2046}}`)
	if p, err := client.Contact(t.Context(), c, "wm1"); err != nil || p.Name != "2046" {
		t.Errorf("number: got %+v, error %v, want the name 2046", p, err)
	}
	client, c = answering(t, "{\"errcode\":0,\"external_contact\":{\"name\":\"a\xffb\"}}")
	if p, err := client.Contact(t.Context(), c, "wm1"); err != nil || p.Name != "a\ufffdb" {
		t.Errorf("invalid UTF-8: got %+v, error %v, want the rest of the name", p, err)
	}
}

// A picture loads by https alone.
func TestAvatars(t *testing.T) {
	for _, address := range []string{"http://wx.qlogo.cn/mmhead/x/0", "HTTP://wx.qlogo.cn/mmhead/x/0", "//wx.qlogo.cn/mmhead/x/0", ` https://wx.qlogo.cn/mmhead/x/0\n`} {
		client, c := answering(t, `{"errcode":0,"external_contact":{"name":"阿木","avatar":"`+address+`"}}`)
		if p, err := client.Contact(t.Context(), c, "wm1"); err != nil || p.Avatar != "https://wx.qlogo.cn/mmhead/x/0" {
			t.Errorf("%s: got %+v, error %v, want the address with https", address, p, err)
		}
	}
}

// Another member may have the id that remains of a damaged one, so a damaged id is
// none. Blanks around an id are not part of it.
func TestDamagedIDs(t *testing.T) {
	client, c := answering(t, `{"errcode":0,"ids":["lin\u0007.hua","a\ud83d","  "," zhao "]}`)
	if ids, err := client.Permitted(t.Context(), c, directory.AllEditions); err != nil || !slices.Equal(ids, []string{"zhao"}) {
		t.Errorf("scope: got %q, error %v, want zhao", ids, err)
	}
	client, c = answering(t, "{\"errcode\":0,\"group_chat\":{\"name\":\" \",\"owner\":\"a\xff\",\"member_list\":[{\"userid\":\"b\x01\"},{\"userid\":\" wm1 \",\"name\":\"\\u0001\",\"group_nickname\":\"小明\"}]}}")
	want := directory.Room{ID: "wr1", Kind: directory.CustomerRoom, Members: []directory.RoomMember{{ID: "wm1", Name: "小明"}}}
	if r, err := client.CustomerRoom(t.Context(), c, "wr1"); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("room: got %+v, error %v, want %+v", r, err, want)
	}
}

// An odd answer about a token is no answer about the id, and an odd life does not spend
// a call of gettoken on each call.
func TestOddTokens(t *testing.T) {
	for _, token := range []string{`"access_token":{}`, `"access_token":null`, `"token":"t"`, `"access_token":"t"x"`} {
		client, c := serving(t, func(r *http.Request) string {
			if r.URL.Path == "/cgi-bin/gettoken" {
				return `{"errcode":0,` + token + `}`
			}
			return `{"errcode":0,"name":"x"}`
		})
		_, err := client.Member(t.Context(), c, "a")
		failedFor(t, token, err, archive.CauseBadAnswer)
	}
	for _, life := range []string{`null`, `{}`, `"soon"`, `-1`, `0`, `1e300`, `7200.5`, `"7200"`} {
		fetched := 0
		client, c := serving(t, func(r *http.Request) string {
			if r.URL.Path == "/cgi-bin/gettoken" {
				fetched++
				return `{"errcode":0,"access_token":"t","expires_in":` + life + `}`
			}
			return `{"errcode":0,"name":"x"}`
		})
		for range 3 {
			if p, err := client.Member(t.Context(), c, "a"); err != nil || p.Name != "x" {
				t.Errorf("%s: got %+v, error %v", life, p, err)
			}
		}
		if fetched != 1 {
			t.Errorf("%s: got %d tokens, want 1", life, fetched)
		}
	}
}

// Ids that are longer than WeCom's, and times that no table holds, are left out.
func TestHugeValues(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	client, c := answering(t, `{"errcode":0,"group_chat":{"name":"群","owner":"`+huge+`","create_time":9e15,"member_list":[{"userid":"`+huge+`"},{"userid":"wm2","name":"`+huge+`"}]}}`)
	want := directory.Room{ID: "wr1", Kind: directory.CustomerRoom, Name: "群", Members: []directory.RoomMember{{ID: "wm2", Name: huge[:64]}}}
	if r, err := client.CustomerRoom(t.Context(), c, "wr1"); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("got %.300v, error %v", r, err)
	}
	client, c = answering(t, `{"errcode":0,"agreeinfo":[{"exteranalopenid":"`+huge+`","agree_status":"Agree"},{"exteranalopenid":"wm1","agree_status":"Agree","status_change_time":253402300800}]}`)
	if list, err := client.RoomConsents(t.Context(), c, "wr1"); err != nil || len(list) != 1 || list[0] != (archive.Consent{Room: "wr1", Contact: "wm1", Status: archive.Agreed}) {
		t.Errorf("got %.300v, error %v", list, err)
	}
	client, c = answering(t, `{"errcode":0,"ids":["`+huge+`","lin.hua"]}`)
	if ids, err := client.Permitted(t.Context(), c, directory.AllEditions); err != nil || !slices.Equal(ids, []string{"lin.hua"}) {
		t.Errorf("got %.300v, error %v", ids, err)
	}
}

func TestOddRooms(t *testing.T) {
	member := directory.RoomMember{ID: "lin.hua", Name: "林华"}
	for name, c := range map[string]struct {
		members string
		want    []directory.RoomMember
	}{
		"control character":    {"[{\"userid\":\"lin.hua\",\"name\":\"林华\"},{\"userid\":\"wm2\",\"name\":\"小\x01明\"}]", []directory.RoomMember{member, {ID: "wm2", Name: "小明"}}},
		"name of another type": {`[{"userid":"lin.hua","name":"林华"},{"userid":"wm2","name":{}}]`, []directory.RoomMember{member, {ID: "wm2"}}},
		"number as id":         {`[{"userid":"lin.hua","name":"林华"},{"userid":42,"name":null}]`, []directory.RoomMember{member, {ID: "42"}}},
		"odd member":           {`[5,{"userid":"lin.hua","name":"林华"},null,{"name":"x"}]`, []directory.RoomMember{member}},
		"no list":              {`"x"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			client, credential := answering(t, `{"errcode":0,"group_chat":{"name":"家长群","owner":"lin.hua","create_time":"1767200000.0","notice":[],"member_list":`+c.members+`}}`)
			want := directory.Room{ID: "wr1", Kind: directory.CustomerRoom, Name: "家长群", Owner: "lin.hua", CreatedAt: time.Unix(1767200000, 0).UTC(), Members: c.want}
			if r, err := client.CustomerRoom(t.Context(), credential, "wr1"); err != nil || !reflect.DeepEqual(r, want) {
				t.Errorf("got %+v, error %v, want %+v", r, err, want)
			}
		})
	}
	client, credential := answering(t, `{"errcode":0,"roomname":"项目群","creator":["x"],"room_create_time":"soon","members":[{"memberid":7},{"memberid":"lin.hua","jointime":null}]}`)
	want := directory.Room{ID: "wr2", Kind: directory.InternalRoom, Name: "项目群", Members: []directory.RoomMember{{ID: "7"}, {ID: "lin.hua"}}}
	if r, err := client.InternalRoom(t.Context(), credential, "wr2"); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("internal room: got %+v, error %v, want %+v", r, err, want)
	}
}

// A refusal is read from an answer that is no JSON too: it may concern one id alone.
func TestErrcodesOfDamagedRefusals(t *testing.T) {
	for name, answer := range map[string]string{
		"mark in errmsg":              `{"errcode":84061,"errmsg":"a"b, from ip: 203.0.113.9, more"}`,
		"cut off":                     `{"errcode":84061,"errmsg":"not ext, from ip: 203.0.113.9, mo`,
		"errcode as a text":           `{ "errcode" : "84061" ,"errmsg":"a"b, from ip: 203.0.113.9, more"}`,
		"errcode with a fraction":     `[{"errcode":84061.0,"errmsg":"a"b, from ip: 203.0.113.9, more"}]`,
		"another errcode behind":      `{"errcode":84061,"x":{"errcode":0},"name":"小"明","errmsg":"from ip: 203.0.113.9, more"}`,
		"errcode in a text":           `{"errcode":84061,"name":"小"明","position":"{\"errcode\":0,}","errmsg":"from ip: 203.0.113.9, more"}`,
		"in a string, and it is JSON": `"{\"errcode\":84061,\"errmsg\":\"from ip: 203.0.113.9, more\"}"`,
	} {
		client, c := answering(t, answer)
		_, err := client.Contact(t.Context(), c, "wm1")
		refusal, ok := errors.AsType[*directory.APIError](err)
		if !ok || refusal.Code != 84061 || refusal.FromIP != "203.0.113.9" {
			t.Errorf("%s: got error %+v, want the code 84061 and the address", name, err)
		}
	}
}

// A text of a customer could refuse the access for all, so an errcode counts only
// where no text stands before it.
func TestErrcodeInATextIsNone(t *testing.T) {
	for name, answer := range map[string]string{
		"behind a name":    `{"name":"小"明","errcode":40001,"x":"","errmsg":"ok","errcode":0}`,
		"escaped":          `{"name":"小"明\"errcode\":40001,"}`,
		"no number":        `{"errcode":{},"name":"小"明"}`,
		"no errcode":       `{"name":"小"明"}`,
		"cut off in it":    `{"errcode":4000`,
		"null without end": `{"errcode":nul`,
	} {
		client, c := answering(t, answer)
		_, err := client.Member(t.Context(), c, "a")
		failedFor(t, name, err, archive.CauseBadAnswer)
	}
}

// An unreadable name in the answer about one id concerns only this id. The access
// works.
func TestUnreadableNameIsNoFailure(t *testing.T) {
	for name, answer := range map[string]string{
		"name of another type":        `{"errcode":0,"name":{}}`,
		"content of another type":     `{"errcode":0,"errmsg":"ok","external_contact":[],"group_chat":7,"data":"x"}`,
		"content that is no JSON":     `{"errcode":0,"errmsg":"ok","name":"小"明"}`,
		"errcode of a refusal within": `{"errcode":0,"name":"小"明","x":{"errcode":40001}}`,
		"no JSON, errcode behind":     `{"name":"小"明","errmsg":"ok","errcode":0}`,
		"no JSON, odd errcode":        `{ "errmsg":"ok", "errcode" : "0.0" , "name":"小"明"}`,
	} {
		t.Run(name, func(t *testing.T) {
			client, c := answering(t, answer)
			if p, err := client.Member(t.Context(), c, "a"); err != nil || p != (directory.Person{ID: "a", Kind: directory.Member}) {
				t.Errorf("member: got %+v, error %v", p, err)
			}
			if p, err := client.Contact(t.Context(), c, "a"); err != nil || p != (directory.Person{ID: "a", Kind: directory.External}) {
				t.Errorf("contact: got %+v, error %v", p, err)
			}
			if p, err := client.Robot(t.Context(), c, "a"); err != nil || p != (directory.Person{ID: "a", Kind: directory.Robot}) {
				t.Errorf("robot: got %+v, error %v", p, err)
			}
			if r, err := client.CustomerRoom(t.Context(), c, "a"); err != nil || !reflect.DeepEqual(r, directory.Room{ID: "a", Kind: directory.CustomerRoom}) {
				t.Errorf("room: got %+v, error %v", r, err)
			}
		})
	}
}

func TestOddScopeAndConsents(t *testing.T) {
	// An unreadable id does not hide the other members.
	client, c := answering(t, `{"errcode":0,"ids":["lin.hua",42,{},null,["x"],"0042"]}`)
	if ids, err := client.Permitted(t.Context(), c, directory.AllEditions); err != nil || !slices.Equal(ids, []string{"lin.hua", "42", "0042"}) {
		t.Errorf("scope: got %v, error %v", ids, err)
	}
	for _, answer := range []string{`{"errcode":0,"ids":"x"}`, `{"errcode":0,"ids":["a"b"]}`, `{"errcode":0}`, `{"errcode":0,"ids":null}`, `{"errcode":0,"ids":[{"userid":"a"}]}`} {
		client, c = answering(t, answer)
		_, err := client.Permitted(t.Context(), c, directory.AllEditions)
		failedFor(t, answer, err, archive.CauseBadAnswer)
	}
	client, c = answering(t, `{"errcode":0,"agreeinfo":[{"userid":42,"exteranalopenid":"wm1","agree_status":"Agree","status_change_time":"1767200000"},`+
		`{"userid":"a","exteranalopenid":"wm2","agree_status":"Disagree","status_change_time":{}},5,{"userid":"a","exteranalopenid":"wm3","agree_status":7}]}`)
	want := []archive.Consent{
		{Member: "42", Contact: "wm1", Status: archive.Agreed, ChangedAt: time.Unix(1767200000, 0).UTC()},
		{Member: "a", Contact: "wm2", Status: archive.Disagreed},
	}
	if list, err := client.PairConsents(t.Context(), c, []directory.Pair{{Member: "a", Contact: "wm2"}}); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("consents: got %+v, error %v, want %+v", list, err, want)
	}
	// The right name of a member, other capitals, and milliseconds.
	client, c = answering(t, `{"errcode":0,"agreeinfo":[{"userid":"a","external_userid":"wm1","agree_status":"agree "},{"userid":"a","exteranalopenid":"wm2","agree_status":"Default_agree","status_change_time":1767200000123}]}`)
	want = []archive.Consent{{Member: "a", Contact: "wm1", Status: archive.Agreed}, {Member: "a", Contact: "wm2", Status: archive.AgreedDefault, ChangedAt: time.Unix(1767200000, 0).UTC()}}
	if list, err := client.PairConsents(t.Context(), c, []directory.Pair{{Member: "a", Contact: "wm2"}}); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("consents in other forms: got %+v, error %v, want %+v", list, err, want)
	}
	// One room's answer, and one pair's, is unreadable; the others have theirs.
	client, c = answering(t, `{"errcode":0,"agreeinfo":[{"a"b"}]}`)
	if list, err := client.RoomConsents(t.Context(), c, "wr1"); err != nil || len(list) != 0 {
		t.Errorf("room: got %+v, error %v, want nothing", list, err)
	}
	client, c = serving(t, func(r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path == "/cgi-bin/gettoken":
			return `{"errcode":0,"access_token":"t","expires_in":7200}`
		case strings.Contains(string(body), "wmOdd"):
			return `{"errcode":0,"agreeinfo":[{"userid":"小"明"}]}`
		}
		return `{"errcode":0,"agreeinfo":[{"userid":"a","exteranalopenid":"wm1","agree_status":"Agree"}]}`
	})
	pairs := []directory.Pair{{Member: "a", Contact: "wm1"}, {Member: "a", Contact: "wmOdd"}}
	if list, err := client.PairConsents(t.Context(), c, pairs); err != nil || len(list) != 1 || list[0].Contact != "wm1" {
		t.Errorf("pairs: got %+v, error %v, want the readable one", list, err)
	}
}
