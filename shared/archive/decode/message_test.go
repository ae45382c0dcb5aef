package decode_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// The view holds the bytes of every message as they were decrypted (law 4).
func TestDecodeStoresBytesAsTheyAre(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	texts := map[string][]byte{
		"text":               archivetest.TextOf(1),
		"control characters": []byte("{\"msgid\":\"m2\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600002,\"msgtype\":\"text\",\"text\":{\"content\":\"a\x00\x01b\"}}"),
		"invalid UTF-8":      []byte("{\"msgid\":\"m3\",\"from\":\"lin.hua\",\"tolist\":[\"wmcustomer\"],\"msgtime\":1772355600003,\"msgtype\":\"text\",\"text\":{\"content\":\"a\xff\xfe\"}}"),
		"unknown type":       []byte(`{"msgid":"m4","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600004,"msgtype":"hologram","hologram":{"n":12345678901234567890}}`),
		"100 KB":             fmt.Appendf(nil, `{"msgid":"m5","from":"lin.hua","tolist":["wmcustomer"],"msgtime":1772355600005,"msgtype":"text","text":{"content":"%s"}}`, strings.Repeat("长", 34000)),
	}
	seq := uint64(0)
	want := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		seq++
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("id", seq), KeyVersion: 1, KeyID: "k1", Text: texts[name]})
		want[string(texts[name])] = true
	}
	d.PullAndDecode()
	got := d.StoredIn(archivetest.SingleChat)
	if len(got) != len(texts) {
		t.Errorf("got %d messages, want %d", len(got), len(texts))
	}
	for _, m := range got {
		if !want[string(m.Raw)] {
			t.Errorf("bytes of seq %d changed", m.Seq)
		}
	}
}

// Every message gets a conversation and a time, and stands in the list of each
// party.
func TestDecodePlacesEveryMessage(t *testing.T) {
	tests := []struct {
		name, raw string
		conv      archive.ConversationID
		parties   []string
		at        time.Time
	}{
		{"room", `{"from":"a","tolist":["b","c"],"roomid":"wr/1#2","msgtime":1767225600123}`, "room:wr%2F1%232", []string{"a", "b", "c"}, time.UnixMilli(1767225600123)},
		{"single chat", `{"from":"wmZ","tolist":["a:b"],"msgtime":1767225600123}`, "single:a%3Ab:wmZ", []string{"a:b", "wmZ"}, time.UnixMilli(1767225600123)},
		{"to its sender", `{"from":"a","tolist":["a"],"msgtime":1767225600123}`, "own:a", []string{"a"}, time.UnixMilli(1767225600123)},
		{"switch", `{"action":"switch","user":"a","time":1767225600123}`, "own:a", []string{"a"}, time.UnixMilli(1767225600123)},
		{"a group without a room", `{"from":"a","tolist":["c","b"],"msgtime":1767225600123}`, archive.PartyConversation([]string{"a", "b", "c"}), []string{"a", "b", "c"}, time.UnixMilli(1767225600123)},
		{"without parties", `{"msgtype":"sys","msgtime":1767225600123}`, archive.Unplaced, []string{""}, time.UnixMilli(1767225600123)},
		{"unreadable", "\x00\x01nonsense", archive.Unplaced, []string{""}, archivetest.Start.Add(time.Second)},
		{"time 0", `{"from":"a","tolist":["b"],"msgtime":0}`, "single:a:b", []string{"a", "b"}, archivetest.Start.Add(time.Second)},
		{"the last day of year 9999 in Beijing", `{"from":"a","tolist":["b"],"msgtime":253402271999999}`, "single:a:b", []string{"a", "b"}, time.UnixMilli(253402271999999)},
		{"a day of five digits in Beijing", `{"from":"a","tolist":["b"],"msgtime":253402272000000}`, "single:a:b", []string{"a", "b"}, archivetest.Start.Add(time.Second)},
		{"year beyond any calendar", `{"from":"a","tolist":["b"],"msgtime":999999999999999999}`, "single:a:b", []string{"a", "b"}, archivetest.Start.Add(time.Second)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 1, MsgID: "m1", KeyVersion: 1, KeyID: "k1", Text: []byte(tt.raw)})
			d.PullAndDecode()
			got := d.StoredIn(tt.conv)
			if len(got) != 1 {
				t.Fatalf("got %d messages in %s, want 1", len(got), tt.conv)
			}
			m := got[0]
			if string(m.Raw) != tt.raw || !m.Time.Equal(tt.at.UTC()) || m.MsgID != "m1" || m.Seq != 1 || m.KeyVersion != 1 {
				t.Errorf("got %+v at %v, want time %v", m, m.Time, tt.at.UTC())
			}
			for _, party := range tt.parties {
				days, err := d.View.ActiveDays(t.Context(), archivetest.Corp, party, "", 9)
				if err != nil || len(days) != 1 || days[0].Day != archive.DayOf(tt.at) || !slices.Equal(days[0].Conversations, []archive.ConversationID{tt.conv}) {
					t.Errorf("list of %q: got %v, %v", party, days, err)
				}
			}
		})
	}
}

func TestOneMsgIDUnderTwoSeqs(t *testing.T) {
	for _, order := range [][]uint64{{0, 1}, {1, 0}} {
		d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
		d.AddKey(archivetest.Corp, "k1", 1)
		again := archivetest.TextRecord(1, 1, "k1")
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"))
		d.Must(d.Pull(archive.PullRequest{}))
		again.Seq = 2
		d.Library.Say(archivetest.Corp, again)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		for _, after := range order {
			d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, after, decode.FirstTime))
		}
		if got := d.StoredIn(archivetest.SingleChat); len(got) != 1 || got[0].Seq != 1 {
			t.Errorf("decoded in order %v: got %+v, want one message, with the lower seq", order, got)
		}
	}
}

// Ids of any length fit into keys and items. So one malformed message cannot make
// its page impossible to store.
func TestLongIDsStayStorable(t *testing.T) {
	monster := strings.Repeat("x", 400_000) // more than an item holds
	for name, raw := range map[string]string{
		"from":      `{"msgid":"a","from":"` + monster + `","tolist":["b"],"msgtime":1767225600123,"msgtype":"text"}`,
		"tolist":    `{"msgid":"a","from":"a","tolist":["` + monster + `","c"],"msgtime":1767225600123,"msgtype":"text"}`,
		"roomid":    `{"msgid":"a","from":"a","tolist":["b"],"roomid":"` + monster + `","msgtime":1767225600123,"msgtype":"text"}`,
		"pre_msgid": `{"msgid":"a","action":"recall","from":"` + monster + `","tolist":["b"],"msgtime":1767225600123,"msgtype":"revoke","revoke":{"pre_msgid":"` + monster + `"}}`,
		"userid":    `{"msgid":"a","from":"wmA","tolist":["b"],"msgtime":1767225600123,"msgtype":"agree","agree":{"userid":"` + monster + `"}}`,
		"msgtype":   `{"msgid":"a","from":"a","tolist":["b"],"msgtime":1767225600123,"msgtype":"` + monster + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 1, MsgID: monster, KeyVersion: 1, KeyID: "k1", Text: []byte(raw)})
			d.Say(archivetest.Corp, 2, 2)
			d.PullAndDecode()
			if r := d.Rows()[0].Result; r == nil || r.Stored != 3 {
				t.Errorf("got %+v, want 3 messages stored", r)
			}
			if len(d.StoredIn(archivetest.SingleChat)) != 2 {
				t.Error("the other messages of the page are missing")
			}
		})
	}
}

// The revocation of a message is found in whichever order the two are decoded.
// The revoked message stays as it is.
func TestRevocations(t *testing.T) {
	revoke := func(seq uint64, msgID, of string) archivetest.Record {
		return archivetest.Record{Seq: seq, MsgID: msgID, KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":%q,"action":"recall","from":"lin.hua","tolist":["wmcustomer"],"roomid":"","msgtime":%d,"msgtype":"revoke","revoke":{"pre_msgid":%q}}`,
			msgID, archivetest.Start.UnixMilli()+int64(seq), of)}
	}
	said := []archivetest.Record{archivetest.TextRecord(1, 1, "k1"), revoke(2, "r2", "m1_external"), revoke(3, "r3", "m1"), revoke(4, "r4", "never seen")}
	for _, order := range [][]uint64{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
		d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
		d.AddKey(archivetest.Corp, "k1", 1)
		for _, r := range said {
			d.Library.Say(archivetest.Corp, r)
			d.Must(d.Pull(archive.PullRequest{Force: true}))
		}
		for range 2 {
			for _, after := range order {
				d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, after, decode.Again))
			}
		}
		found, err := d.View.Revocations(t.Context(), archivetest.Corp, archivetest.SingleChat, []string{"m1", "r2"})
		d.Must(err)
		if got := found["m1"]; len(found) != 1 || got.Seq != 2 || got.By != "lin.hua" || !got.At.Equal(archivetest.Start.Add(2*time.Millisecond)) {
			t.Errorf("decoded in order %v: got %+v, want m1 revoked by seq 2", order, found)
		}
		if m := d.StoredIn(archivetest.SingleChat)[0]; string(m.Raw) != string(archivetest.TextOf(1)) {
			t.Error("revoked message changed")
		}
	}
}

func TestConsentMessages(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	say := func(seq uint64, format string) {
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil, format, fmt.Sprint("m", seq))})
	}
	say(1, `{"msgid":%q,"action":"send","from":"wmA","tolist":["lin.hua"],"roomid":"","msgtime":1767225826656,"msgtype":"agree","agree":{"userid":"wmA","agree_time":1767225826656}}`)
	say(2, `{"msgid":%q,"action":"send","from":"wmA","tolist":["lin.hua"],"roomid":"","msgtime":1767225944122,"msgtype":"disagree","disagree":{"userid":"wmA","disagree_time":1767225944122}}`)
	say(3, `{"msgid":%q,"action":"send","from":"wmB","tolist":["lin.hua","wmA"],"roomid":"wr1","msgtime":1767225944122,"msgtype":"agree","agree":{"userid":"wmB","agree_time":1767225944122}}`)
	say(4, `{"msgid":%q,"action":"send","from":"wmC","tolist":["a","b"],"roomid":"","msgtime":1767225944122,"msgtype":"agree","agree":{"userid":"wmC"}}`)
	d.PullAndDecode()
	for _, tt := range []struct {
		query archive.ConsentQuery
		want  []archive.Consent
	}{
		{archive.ConsentQuery{Contact: "wmA"}, []archive.Consent{{Corp: archivetest.Corp, Contact: "wmA", Member: "lin.hua", Status: archive.Disagreed,
			Source: archive.ConsentMessage, ChangedAt: time.Unix(1767225944, 0).UTC(), At: d.Rows()[0].At}}},
		{archive.ConsentQuery{Room: "wr1"}, []archive.Consent{{Corp: archivetest.Corp, Contact: "wmB", Room: "wr1", Status: archive.Agreed,
			Source: archive.ConsentMessage, ChangedAt: time.Unix(1767225944, 0).UTC(), At: d.Rows()[0].At}}},
		{archive.ConsentQuery{Contact: "wmC"}, nil},
	} {
		got, _, err := d.Consents.Consents(t.Context(), archivetest.Corp, tt.query, "", 10)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %+v, %v\nwant %+v", tt.query, got, err, tt.want)
		}
	}
	if rows := d.Rows(); rows[0].Result.Stored != 4 {
		t.Errorf("got %+v, want all four messages stored", rows[0].Result)
	}
}

func TestConversationIDs(t *testing.T) {
	for _, tt := range []struct {
		conv    archive.ConversationID
		kind    string
		parties []string
	}{
		{archive.RoomConversation("wr 1/ä:#"), "room", []string{"wr 1/ä:#"}},
		{archive.PartyConversation([]string{"b:b", "a#a", "b:b"}), "single", []string{"a#a", "b:b"}},
		{archive.PartyConversation([]string{"", "x"}), "own", []string{"x"}},
		{archive.PartyConversation(nil), "unplaced", nil},
		{archive.PartyConversation([]string{"a", "b", "c"}), "group", nil},
	} {
		if got := tt.conv.Kind(); got != tt.kind {
			t.Errorf("%s: got kind %s, want %s", tt.conv, got, tt.kind)
		}
		if got := tt.conv.Parties(); !slices.Equal(got, tt.parties) {
			t.Errorf("%s: got parties %q, want %q", tt.conv, got, tt.parties)
		}
		if strings.ContainsAny(string(tt.conv), "#/ ") {
			t.Errorf("%s holds a character that separates keys", tt.conv)
		}
	}
	if a, b := archive.PartyConversation([]string{"a,b", "c"}), archive.PartyConversation([]string{"a", "b,c"}); a == b {
		t.Errorf("two chats share %s", a)
	}
}
