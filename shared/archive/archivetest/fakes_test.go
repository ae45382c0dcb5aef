package archivetest_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const corp = "ww0123456789abcdef"

var start = time.Date(2025, 3, 1, 9, 0, 0, int(7*time.Millisecond), time.UTC)

// complaints is a test that collects the complaints of a fake.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Helper()           {}
func (c *complaints) Error(args ...any) { c.said = append(c.said, fmt.Sprint(args...)) }
func (c *complaints) Errorf(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// want checks that there was a complaint with the given words, and forgets it.
// Without words it checks that no complaint came.
func (c *complaints) want(t *testing.T, words string) {
	t.Helper()
	got := strings.Join(c.said, "; ")
	if (words == "") != (got == "") || !strings.Contains(got, words) {
		t.Errorf("got complaint %q, want %q", got, words)
	}
	c.said = nil
}

func TestWorldPolicesTheOrderOfWrites(t *testing.T) {
	c := &complaints{TB: t}
	w := archivetest.NewWorld(c, &archivetest.Faults{})
	page := []byte("page")
	head := archive.NewHead(corp)
	row := archivetest.PageRow(head, page, 1, 2, 2, start)

	must(t, w.Ledger.Append(t.Context(), head, row))
	c.want(t, "not in the journal")
	must(t, w.Journal.PutPage(t.Context(), row, page))
	must(t, w.Decodes.RequestDecodes(t.Context(), archive.DecodeRequest{Corp: corp, After: 2}))
	c.want(t, "has no row")
	must(t, w.Decodes.RequestDecodes(t.Context(), archive.DecodeRequest{Corp: corp, After: 0}))
	c.want(t, "")
	must(t, w.Ledger.Finish(t.Context(), corp, 0, archive.Result{At: start, Stored: 2}, nil))
	c.want(t, "the view has 0 messages")
	must(t, w.Ledger.Finish(t.Context(), corp, 0, archive.Result{At: start, Stored: 1}, nil))
	c.want(t, "law 5")
	must(t, w.View.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: []archive.Message{
		{Corp: corp, Conversation: "room:r", Time: start, MsgID: "a", Seq: 1},
		{Corp: corp, Conversation: "room:r", Time: start, MsgID: "b", Seq: 2},
	}}))
	must(t, w.Ledger.Finish(t.Context(), corp, 0, archive.Result{At: start, Stored: 2}, nil))
	c.want(t, "")
	w.Check()
	c.want(t, "")
	w.Journal.Damage(row)
	if _, err := w.Journal.Page(t.Context(), row); !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("damaged page: got error %v, want %v", err, archive.ErrCorrupt)
	}
	w.Journal.Lose(row)
	w.Check()
	c.want(t, "not in the journal")
}

func TestLedgerPolicesTheChain(t *testing.T) {
	head := archive.NewHead(corp)
	good := archivetest.PageRow(head, []byte("page"), 1, 2, 2, start)
	for name, mutate := range map[string]func(*archive.Row){
		"genesis of another corp": func(r *archive.Row) { r.Prev = archive.GenesisHash("other") },
		"hash of other fields":    func(r *archive.Row) { r.Count++ },
		"ends before it begins":   func(r *archive.Row) { r.Last = 0; r.Hash = archive.ChainHash(*r) },
		"skips a seq":             func(r *archive.Row) { r.After = 1; r.Hash = archive.ChainHash(*r) },
		"already decoded":         func(r *archive.Row) { r.State = archive.RowDecoded },
		"another corp":            func(r *archive.Row) { r.Corp = "ww11111111"; r.Hash = archive.ChainHash(*r) },
	} {
		t.Run(name, func(t *testing.T) {
			c := &complaints{TB: t}
			row := good
			mutate(&row)
			_ = archivetest.NewLedger(c, &archivetest.Faults{}).Append(t.Context(), head, row)
			c.want(t, "row of ")
		})
	}
}

func TestViewPolicesImmutability(t *testing.T) {
	good := archive.Message{Corp: corp, Conversation: "room:r", Time: start, MsgID: "a", Seq: 1, Raw: []byte("{}")}
	for name, mutate := range map[string]func(*archive.Message){
		"content":                     func(m *archive.Message) { m.Raw = []byte("[]") },
		"time":                        func(m *archive.Message) { m.Time = m.Time.Add(time.Second) },
		"conversation":                func(m *archive.Message) { m.Conversation = "room:s" },
		"msgid":                       func(m *archive.Message) { m.MsgID = "b" },
		"key version":                 func(m *archive.Message) { m.KeyVersion = 2 },
		"time too fine":               func(m *archive.Message) { m.Time = m.Time.Add(time.Microsecond) },
		"overflow of a short message": func(m *archive.Message) { m.Raw, m.Overflow = nil, &archive.Overflow{Sum: archivetest.Sum(nil)} },
		"too long":                    func(m *archive.Message) { m.Seq, m.Raw = 2, make([]byte, archive.InlineLimit+1) },
		"another corp":                func(m *archive.Message) { m.Corp = "ww11111111" },
		"from a later page":           func(m *archive.Message) { m.After = 1 },
		"no conversation":             func(m *archive.Message) { m.Conversation = "" },
	} {
		t.Run(name, func(t *testing.T) {
			c := &complaints{TB: t}
			v := archivetest.NewView(c, &archivetest.Faults{})
			for range 2 {
				must(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: []archive.Message{good}}))
			}
			c.want(t, "")
			m := good
			mutate(&m)
			must(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: []archive.Message{m}}))
			c.want(t, "message of ")
		})
	}
}

func TestFaults(t *testing.T) {
	f := &archivetest.Faults{}
	q := archivetest.NewPullQueue(t, f)
	send := func() error {
		return q.SendPulls(t.Context(), archive.PullRequest{Corp: corp})
	}
	must(t, send())
	for _, c := range []struct {
		hook archivetest.Hook
		want string // of three sends: which failed, and how many arrived
	}{
		{nil, "... 3"},
		{archivetest.FailNth(2, archivetest.FailsBefore), ".x. 2"},
		{archivetest.FailNth(2, archivetest.FailsAfter), ".x. 3"},
		{archivetest.CrashAt(2, archivetest.FailsBefore), ".xx 1"},
		{archivetest.CrashAt(2, archivetest.FailsAfter), ".xx 2"},
	} {
		q.Take()
		f.Arm(c.hook)
		got := ""
		for range 3 {
			switch err := send(); {
			case err == nil:
				got += "."
			case errors.Is(err, archivetest.ErrInjected):
				got += "x"
			default:
				t.Fatal(err)
			}
		}
		f.Disarm()
		if got += fmt.Sprint(" ", len(q.Take())); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if n := len(f.Calls()); n != 3 {
			t.Errorf("got %d calls, want 3", n)
		}
	}
}

func TestEveryFaultMeetsEveryCall(t *testing.T) {
	met := make(map[string]int)
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		w := archivetest.NewWorld(t, f)
		arm()
		_, err1 := w.Ledger.Head(t.Context(), corp)
		err2 := w.Pulls.SendPulls(t.Context(), archive.PullRequest{Corp: corp})
		f.Disarm()
		met[fmt.Sprint(err1 != nil, err2 != nil, len(w.Pulls.Take()))]++
	})
	for how, want := range map[string]int{
		"false false 1": 1, // without a fault
		"true false 1":  1, // the first call fails
		"true true 0":   1, // crash at the first call
		"false true 0":  2, // the second call fails or crashes before it takes effect
		"false true 1":  2, // the second call fails or crashes after it takes effect
	} {
		if met[how] != want {
			t.Errorf("%s: got %d runs, want %d", how, met[how], want)
		}
	}
}

func TestLibraryAnswersAsWeCom(t *testing.T) {
	f := &archivetest.Faults{}
	lib := archivetest.NewLibrary(t, f)
	openers := archivetest.NewOpeners(f)
	openers.Put(corp, "k1")
	openers.Put(corp, "k2")
	for seq := range uint64(5) {
		lib.Say(corp, archivetest.Record{Seq: 10 * (seq + 1), MsgID: "m", KeyVersion: 3, KeyID: "k1", Text: []byte("a text\n")})
	}
	lib.Forget(corp, 10)
	lib.SetSecret(corp, secret.New("right"))
	src, err := lib.Source(t.Context(), corp, secret.New("right"))
	must(t, err)
	raw, err := src.ChatData(t.Context(), 20, 2)
	must(t, err)
	page, err := archive.ParseAnswer(raw)
	must(t, err)
	if len(page.Records) != 2 || page.Records[0].Seq != 30 || page.Records[1].Seq != 40 || page.Records[0].KeyVersion != 3 {
		t.Errorf("got page %s, want seqs 30 and 40", raw)
	}
	if raw, _ := src.ChatData(t.Context(), 50, 2); string(raw) != `{"errcode":0,"errmsg":"ok","chatdata":[]}` {
		t.Errorf("after the last: got %s, want an empty page", raw)
	}
	src, err = lib.Source(t.Context(), corp, secret.New("wrong"))
	must(t, err)
	if raw, _ = src.ChatData(t.Context(), 0, 1); !strings.Contains(string(raw), "40001") {
		t.Errorf("wrong secret: got %s, want errcode 40001", raw)
	}

	dec, err := lib.Decrypter(t.Context(), corp)
	must(t, err)
	sealed, err := base64.StdEncoding.DecodeString(page.Records[0].RandomKey)
	must(t, err)
	right, err := openers.Opener(t.Context(), corp, "k1")
	must(t, err)
	keyText, err := right.Open(sealed)
	must(t, err)
	if text, err := dec.Decrypt(t.Context(), keyText, page.Records[0].Message); err != nil || string(text) != "a text\n" {
		t.Errorf("got %q, error %v, want the text", text, err)
	}
	wrong, err := openers.Opener(t.Context(), corp, "k2")
	must(t, err)
	if _, err := wrong.Open(sealed); err == nil {
		t.Error("a wrong key opened the text")
	}
	_, err = dec.Decrypt(t.Context(), []byte(strings.Repeat("k", 88)), page.Records[0].Message)
	var sdk *archive.SDKError
	if !errors.As(err, &sdk) || sdk.Code != 10006 {
		t.Errorf("wrong key text: got error %v, want code 10006", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
