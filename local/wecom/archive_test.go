package wecom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/local/wecom/chat"
)

func TestPagesContainSentMessages(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	if _, err := c.Every(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Mixed(400); err != nil {
		t.Fatal(err)
	}
	sent := w.Sent(corpA)
	if len(sent) < 400 {
		t.Fatalf("archived: got %d messages, want nearly all of more than 400", len(sent))
	}
	records := w.allRecords(c)
	if len(records) != len(sent) {
		t.Fatalf("pages: got %d records, want %d", len(records), len(sent))
	}
	var after uint64
	gaps := false
	for i, r := range records {
		if r.Seq <= after {
			t.Fatalf("seq %d after %d", r.Seq, after)
		}
		gaps = gaps || r.Seq > after+1
		after = r.Seq
		checkRecord(t, r, sent[i])
	}
	if !gaps {
		t.Error("the seqs have no gaps")
	}
	if stats := w.Stats().Corps[corpA]; stats.Sent != len(records) || stats.LastSeq != after {
		t.Errorf("stats: got %d sent up to %d, want %d up to %d", stats.Sent, stats.LastSeq, len(records), after)
	}
}

// allRecords requests pages until a page is empty.
func (w *world) allRecords(c *wecom.Corp) (all []record) {
	w.t.Helper()
	var after uint64
	for {
		page := w.page(c, after, 97)
		if page.Errcode != 0 {
			w.t.Fatalf("page after %d: got %s", after, page.raw)
		}
		if len(page.ChatData) == 0 {
			if !strings.Contains(page.raw, `"chatdata":[]`) {
				w.t.Errorf("empty page: got %s", page.raw)
			}
			return all
		}
		all = append(all, page.ChatData...)
		if last := page.ChatData[len(page.ChatData)-1].Seq; last > after {
			after = last
		} else {
			w.t.Fatalf("seq %d in the page after %d", last, after)
		}
	}
}

func checkRecord(t *testing.T, r record, want wecom.Sent) {
	t.Helper()
	if r.Seq != want.Seq || r.MsgID != want.MsgID || r.KeyVersion != 1 || len(r.RandomKey) != 344 {
		t.Fatalf("record: got seq %d, msgid %s, version %d, key of %d characters, want seq %d, msgid %s", r.Seq, r.MsgID, r.KeyVersion, len(r.RandomKey), want.Seq, want.MsgID)
	}
	plain, err := open(keyPair(), r.RandomKey, r.Message)
	if err != nil {
		t.Fatalf("seq %d: %v", r.Seq, err)
	}
	if !bytes.Equal(plain, want.Plain) {
		t.Errorf("seq %d: got %q, want %q", r.Seq, plain, want.Plain)
	}
}

func TestEveryKindIsArchived(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	list, err := c.Every()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(chat.Kinds()) {
		t.Fatalf("got %d messages, want one message of each of %d kinds", len(list), len(chat.Kinds()))
	}
	for _, s := range list {
		if s.LeftOut != "" {
			t.Errorf("%s: left out: %s", s.Kind, s.LeftOut)
		}
	}
	// The agree and disagree messages among them leave the consents unchanged.
	pair := map[string]string{"userid": c.Details().Scope[0], "exteranalopenid": c.Details().Customers[0].ExternalUserID}
	if a := w.call(c, "/cgi-bin/msgaudit/check_single_agree", map[string]any{"info": []any{pair}}); len(a.Agree) != 1 || a.Agree[0].Status != "Default_Agree" {
		t.Errorf("consent after Every: got %s, want Default_Agree", a.raw)
	}
}

func TestSameSeedSameMessages(t *testing.T) {
	run := func() []wecom.Sent {
		w := newWorld(t, wecom.Config{Seed: 7})
		c := w.add(fullCorp(corpA))
		if _, err := c.Mixed(50); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Every(); err != nil {
			t.Fatal(err)
		}
		return c.Sent()
	}
	a, b := run(), run()
	if len(a) != len(b) {
		t.Fatalf("got %d and %d messages", len(a), len(b))
	}
	for i := range a {
		if a[i].Seq != b[i].Seq || a[i].MsgID != b[i].MsgID || !bytes.Equal(a[i].Plain, b[i].Plain) {
			t.Fatalf("message %d: got %d %s and %d %s", i, a[i].Seq, a[i].MsgID, b[i].Seq, b[i].MsgID)
		}
	}
}

// An archivingRule says whether a draft is archived.
type archivingRule struct {
	name   string
	change func(*wecom.CorpConfig)
	noKey  bool
	before []wecom.Draft // drafts sent before
	draft  wecom.Draft
	want   string // why the draft is left out; empty if it is archived
}

func (rule archivingRule) check(t *testing.T, cfg wecom.CorpConfig) {
	w := newWorld(t, wecom.Config{})
	if rule.change != nil {
		rule.change(&cfg)
	}
	c, err := w.AddCorp(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !rule.noKey {
		if _, err := c.AddKey(publicPEM(keyPair())); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range rule.before {
		if _, err := c.Send(d); err != nil {
			t.Fatal(err)
		}
	}
	archived := len(c.Sent())
	s, err := c.Send(rule.draft)
	if err != nil {
		t.Fatal(err)
	}
	if s.LeftOut != rule.want {
		t.Errorf("left out: got %q, want %q", s.LeftOut, rule.want)
	}
	if got := len(c.Sent()) > archived; got != (rule.want == "") {
		t.Errorf("archived: got %t, want %t", got, rule.want == "")
	}
}

func TestArchivingRules(t *testing.T) {
	const member, other, customer = "lin.hua", "0042", "wmcustomer0000000001"
	base := func() wecom.CorpConfig {
		return wecom.CorpConfig{
			ID: corpA, Open: true, Scope: []string{member}, TrustedIPs: []string{"127.0.0.1"},
			Staff:     []wecom.Staff{{UserID: member}, {UserID: other}},
			Customers: []wecom.Customer{{ExternalUserID: customer}},
			Rooms:     []wecom.Room{{ID: "wrroom", Kind: wecom.CustomerRoom, Owner: member, Members: []string{member, other, customer}}},
		}
	}
	single := wecom.Draft{From: member, To: []string{customer}}
	for _, test := range []archivingRule{
		{name: "in scope", draft: single},
		{name: "from a customer", draft: wecom.Draft{From: customer, To: []string{member}}},
		{name: "not switched on", change: func(c *wecom.CorpConfig) { c.Open = false }, draft: single, want: "archive not switched on"},
		{name: "no key", noKey: true, draft: single, want: "no public key"},
		{name: "no scope", change: func(c *wecom.CorpConfig) { c.Scope = nil }, draft: single, want: "no member in scope"},
		{name: "licence expired", change: func(c *wecom.CorpConfig) { c.Expires = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }, draft: single, want: "licence expired"},
		{name: "sender out of scope", draft: wecom.Draft{From: other, To: []string{customer}}, want: "no member in scope"},
		{name: "receiver in scope", draft: wecom.Draft{From: other, To: []string{member}}},
		{name: "over the seats", change: func(c *wecom.CorpConfig) { c.Scope, c.Seats = []string{other, member}, 1 }, draft: single, want: "no member in scope"},
		{name: "office edition, outside", change: func(c *wecom.CorpConfig) { c.Edition = 1 }, draft: single, want: "edition does not archive this"},
		{name: "office edition, inside", change: func(c *wecom.CorpConfig) { c.Edition = 1 }, draft: wecom.Draft{From: member, To: []string{other}}},
		{
			name: "voice call, service edition", change: func(c *wecom.CorpConfig) { c.Edition = 2 },
			draft: wecom.Draft{From: member, To: []string{other}, Kind: "meeting_voice_call"}, want: "edition does not archive this",
		},
		{
			name: "customer refused", before: []wecom.Draft{{From: customer, To: []string{member}, Kind: "disagree"}},
			draft: single, want: "customer has not agreed",
		},
		{
			name: "customer refused, customer sends", before: []wecom.Draft{{From: customer, To: []string{member}, Kind: "disagree"}},
			draft: wecom.Draft{From: customer, To: []string{member}}, want: "customer has not agreed",
		},
		{
			name: "customer agreed again", before: []wecom.Draft{
				{From: customer, To: []string{member}, Kind: "disagree"}, {From: customer, To: []string{member}, Kind: "agree"},
			},
			draft: single,
		},
		{name: "refusal itself", draft: wecom.Draft{From: customer, To: []string{member}, Kind: "disagree"}},
		{
			name: "refused in the room", before: []wecom.Draft{{From: customer, Room: "wrroom", Kind: "disagree"}},
			draft: wecom.Draft{From: customer, Room: "wrroom"}, want: "customer has not agreed",
		},
		{
			name: "refused in the room, member sends", before: []wecom.Draft{{From: customer, Room: "wrroom", Kind: "disagree"}},
			draft: wecom.Draft{From: other, Room: "wrroom"},
		},
	} {
		t.Run(test.name, func(t *testing.T) { test.check(t, base()) })
	}
}

func TestUnansweredConsent(t *testing.T) {
	w := newWorld(t, wecom.Config{Choices: wecom.Choices{Unanswered: wecom.UnansweredOmitted}})
	cfg := fullCorp(corpA)
	cfg.Customers = []wecom.Customer{{ExternalUserID: "wmquiet"}}
	c := w.add(cfg)
	s, err := c.Send(wecom.Draft{From: "lin.hua", To: []string{"wmquiet"}})
	if err != nil || s.LeftOut == "" {
		t.Errorf("got left out %q and %v, want the message left out", s.LeftOut, err)
	}
	query := map[string]any{"info": []any{map[string]string{"userid": "lin.hua", "exteranalopenid": "wmquiet"}}}
	if a := w.call(c, "/cgi-bin/msgaudit/check_single_agree", query); !strings.Contains(a.raw, `"agreeinfo":[]`) {
		t.Errorf("got %s, want an empty list", a.raw)
	}
	if err := w.Choose(wecom.Choices{Unanswered: wecom.UnansweredRefuses}); err != nil {
		t.Fatal(err)
	}
	if a := w.call(c, "/cgi-bin/msgaudit/check_single_agree", query); len(a.Agree) != 1 || a.Agree[0].Status != "Disagree" {
		t.Errorf("got %s, want a refusal", a.raw)
	}
}

func TestRetention(t *testing.T) {
	send := func(t *testing.T, c *wecom.Corp, d wecom.Draft) wecom.Sent {
		t.Helper()
		d.From, d.To = "lin.hua", []string{"0042"}
		s, err := c.Send(d)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	seqs := func(a answer) (list []uint64) {
		for _, r := range a.ChatData {
			list = append(list, r.Seq)
		}
		return list
	}
	t.Run("by archiving", func(t *testing.T) {
		w := newWorld(t, wecom.Config{})
		c := w.add(fullCorp(corpA))
		first := send(t, c, wecom.Draft{})
		w.clock.Advance(time.Hour)
		second := send(t, c, wecom.Draft{Time: w.clock.Now().Add(-100 * time.Hour)})
		w.clock.Advance(119*time.Hour - time.Nanosecond)
		if got, want := seqs(w.page(c, 0, 10)), []uint64{first.Seq, second.Seq}; !slices.Equal(got, want) {
			t.Errorf("just before: got %v, want %v", got, want)
		}
		w.clock.Advance(time.Nanosecond)
		if got, want := seqs(w.page(c, 0, 10)), []uint64{second.Seq}; !slices.Equal(got, want) {
			t.Errorf("after five days: got %v, want %v", got, want)
		}
		if err := c.Age(2 * time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := seqs(w.page(c, 0, 10)); len(got) != 0 {
			t.Errorf("aged: got %v, want no records", got)
		}
		if got := c.Sent(); len(got) != 2 || len(got[0].Plain) == 0 {
			t.Errorf("sent: got %d, want both messages for comparison", len(got))
		}
	})
	t.Run("by sending", func(t *testing.T) {
		w := newWorld(t, wecom.Config{Choices: wecom.Choices{RetainBySending: true}})
		c := w.add(fullCorp(corpA))
		send(t, c, wecom.Draft{Time: w.clock.Now().Add(-121 * time.Hour)})
		fresh := send(t, c, wecom.Draft{})
		if got, want := seqs(w.page(c, 0, 10)), []uint64{fresh.Seq}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestKeyRotation(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	cfg := fullCorp(corpA)
	cfg.FirstKeyVersion, cfg.KeyVersionStep = 5, 3
	c := w.add(cfg)
	if _, err := c.Mixed(3); err != nil {
		t.Fatal(err)
	}
	version, err := c.AddKey(publicPEM(otherKeyPair()))
	if err != nil || version != 8 {
		t.Fatalf("second key: got version %d and %v, want 8", version, err)
	}
	if _, err := c.SendRaw([]byte(`{"new":1}`), wecom.RawOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendRaw([]byte(`{"old":1}`), wecom.RawOptions{KeyVersion: 5}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendRaw([]byte(`{"lie":1}`), wecom.RawOptions{ClaimVersion: 99}); err != nil {
		t.Fatal(err)
	}
	records := w.page(c, 0, 100).ChatData
	for i, want := range []struct {
		plain   string
		version uint32
		with    int
	}{{`{"new":1}`, 8, 1}, {`{"old":1}`, 5, 0}, {`{"lie":1}`, 99, 1}} {
		r := records[len(records)-3+i]
		key := keyPair()
		if want.with == 1 {
			key = otherKeyPair()
		}
		plain, err := open(key, r.RandomKey, r.Message)
		if err != nil || string(plain) != want.plain || r.KeyVersion != want.version {
			t.Errorf("got %s of version %d and %v, want %s of %d", plain, r.KeyVersion, err, want.plain, want.version)
		}
	}
}

func TestSpoiltRecords(t *testing.T) {
	for _, spoil := range []wecom.Spoil{wecom.SpoilRandomKey, wecom.SpoilBase64, wecom.SpoilKeyText, wecom.SpoilOtherKey, wecom.SpoilMessage} {
		t.Run(string(spoil), func(t *testing.T) {
			w := newWorld(t, wecom.Config{})
			c := w.add(fullCorp(corpA))
			s, err := c.SendRaw([]byte(`{"msgid":"1"}`), wecom.RawOptions{MsgID: "1", Spoil: spoil})
			if err != nil || !s.Spoilt {
				t.Fatalf("got spoilt %t and %v", s.Spoilt, err)
			}
			r := w.page(c, 0, 1).ChatData[0]
			if len(r.RandomKey) != 344 {
				t.Errorf("key: got %d characters, want 344", len(r.RandomKey))
			}
			if plain, err := open(keyPair(), r.RandomKey, r.Message); err == nil {
				t.Errorf("got %s, want an error", plain)
			}
		})
	}
}

func TestJumpSeqAndRedeliver(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	cfg := fullCorp(corpA)
	cfg.FirstSeq = 4100
	c := w.add(cfg)
	first, err := c.Send(wecom.Draft{From: "lin.hua", To: []string{"0042"}, Text: "一"})
	if err != nil {
		t.Fatal(err)
	}
	if first.Seq <= 4100 {
		t.Errorf("first seq: got %d, want a seq above 4100", first.Seq)
	}
	for _, above := range []uint64{1 << 31, 1 << 53} {
		if err := c.JumpSeq(above); err != nil {
			t.Fatal(err)
		}
		again, err := c.Redeliver(first.MsgID)
		if err != nil {
			t.Fatal(err)
		}
		if again.Seq <= above || again.MsgID != first.MsgID || !bytes.Equal(again.Plain, first.Plain) {
			t.Errorf("redelivered: got seq %d, msgid %s, want the same message above %d", again.Seq, again.MsgID, above)
		}
	}
	if got := w.page(c, 1<<53, 10).ChatData; len(got) != 1 || got[0].Seq <= 1<<53 {
		t.Errorf("page after 2^53: got %d records", len(got))
	}
	if err := c.JumpSeq(5); err == nil {
		t.Error("JumpSeq below the last seq: got no error")
	}
}

func TestSendRefusesDrafts(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	big := 2 << 30
	for name, d := range map[string]wecom.Draft{
		"no sender":      {To: []string{"0042"}},
		"no receiver":    {From: "0042"},
		"unknown room":   {From: "0042", Room: "wrnowhere"},
		"unknown kind":   {From: "0042", To: []string{"lin.hua"}, Kind: "telepathy"},
		"member agrees":  {From: "0042", To: []string{"lin.hua"}, Kind: "agree"},
		"unknown md5":    {From: "0042", To: []string{"lin.hua"}, MD5: "maybe"},
		"file too large": {From: "0042", To: []string{"lin.hua"}, Kind: "file", Size: &big},
	} {
		if _, err := c.Send(d); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := w.Send("ww00000000nobody", wecom.Draft{}); err == nil {
		t.Error("unknown corp: got no error")
	}
}

func TestAddKeyRefusals(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	for name, text := range map[string]string{
		"empty": "", "no key": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"broken": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	} {
		if _, err := c.AddKey(text); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestChatterRate(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	if err := c.StartChatter(20); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(10 * time.Second)
	stats := w.Stats().Corps[corpA]
	got := stats.Sent
	for _, n := range stats.LeftOut {
		got += n
	}
	if got < 195 || got > 200 {
		t.Errorf("in 10 s at 20/s: got %d messages, want about 200", got)
	}
	c.StopChatter()
	w.clock.Advance(time.Minute)
	if again := w.Stats().Corps[corpA].Sent; again != stats.Sent {
		t.Errorf("after the stop: got %d more", again-stats.Sent)
	}
	if err := c.StartChatter(-1); err == nil {
		t.Error("negative rate: got no error")
	}
}

// A machine that slept sends only the messages of ten seconds afterwards.
func TestChatterAfterSleep(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	if err := c.StartChatter(20); err != nil {
		t.Fatal(err)
	}
	w.clock.jump(time.Hour)
	w.clock.Advance(0)
	stats := w.Stats().Corps[corpA]
	got := stats.Sent
	for _, n := range stats.LeftOut {
		got += n
	}
	if got < 200 || got > 201 {
		t.Errorf("after an hour of sleep at 20/s: got %d messages, want those of 10 s", got)
	}
}

func TestDraftFieldsInPlaintext(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	size := 5
	s, err := c.Send(wecom.Draft{From: "lin.hua", To: []string{"0042"}, Kind: "file", Text: "a.pdf", Size: &size, MD5: wecom.MD5Empty, MsgID: "m/1+=", Time: time.UnixMilli(1767225608214)})
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		MsgID string
		Time  int64 `json:"msgtime"`
		File  struct {
			Name string `json:"filename"`
			Ext  string `json:"fileext"`
			MD5  string `json:"md5sum"`
			Size int    `json:"filesize"`
			ID   string `json:"sdkfileid"`
		}
	}
	if err := json.Unmarshal(s.Plain, &m); err != nil {
		t.Fatal(err)
	}
	if m.MsgID != "m/1+=" || m.Time != 1767225608214 || m.File.Name != "a.pdf" || m.File.Ext != "pdf" || m.File.MD5 != "" || m.File.Size != 5 || len(m.File.ID) < 150 {
		t.Errorf("got %+v", m)
	}
}

func TestCorpsAreSeparate(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	a, b := w.add(fullCorp(corpA)), w.add(fullCorp(corpB))
	if _, err := a.Mixed(20); err != nil {
		t.Fatal(err)
	}
	if got := w.page(b, 0, 10).ChatData; len(got) != 0 {
		t.Errorf("the other corp: got %d records, want 0", len(got))
	}
	if _, err := w.AddCorp(fullCorp(corpA)); err == nil {
		t.Error("second corp with the same id: got no error")
	}
	var errs []error
	for _, id := range []string{"", "ww1", "xx0000000000000001", "ww00000000/0000001"} {
		_, err := w.AddCorp(fullCorp(id))
		errs = append(errs, err)
	}
	if slices.Contains(errs, nil) {
		t.Errorf("bad corpids: got %v", errors.Join(errs...))
	}
}

func BenchmarkMixed(b *testing.B) {
	sim := wecom.New(wecom.Config{})
	b.Cleanup(sim.Close)
	c, err := sim.AddCorp(fullCorp(corpA))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.AddKey(publicPEM(keyPair())); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Mixed(1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
