package decode_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// A page announces each of its conversations once, however many messages it has.
// A replay announces nothing; it stores nothing new.
func TestPageAnnouncesItsConversations(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 5)
	room := archivetest.TextRecord(6, 1, "k1")
	room.Text = fmt.Appendf(nil, `{"msgid":"m6","action":"send","from":"zhao","tolist":["wmA","wmB"],"roomid":"wr1","msgtime":%d,"msgtype":"text","text":{"content":"x"}}`, archivetest.Start.UnixMilli())
	d.Library.Say(archivetest.Corp, room)
	d.PullAndDecode()
	want := []decode.Update{
		{Conversation: archive.RoomConversation("wr1"), Parties: []string{"wmA", "wmB", "zhao"}, LastAt: archivetest.Start, Seq: 6},
		{Conversation: archivetest.SingleChat, Parties: []string{"lin.hua", "wmcustomer"}, LastAt: archivetest.Start.Add(5 * time.Millisecond), Seq: 5},
	}
	if got := d.Announced.Take(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if got := d.Announced.Take(); len(got) != 0 {
		t.Errorf("a replay announced %+v", got)
	}
}

// notes is a view that keeps the changes that are noted.
type notes struct {
	decode.View
	changes []archive.Change
}

func (n *notes) WritePage(ctx context.Context, p decode.Decoded) error {
	if !p.Change.At.IsZero() {
		n.changes = append(n.changes, p.Change)
	}
	return n.View.WritePage(ctx, p)
}

// A replay may reach a page that is still pending. It notes and announces the page's
// messages, which are new, and the page's own request does not do so again.
func TestReplayAnnouncesPendingPages(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 2)
	d.Must(d.Pull(archive.PullRequest{}))
	own := d.Decodes.Take()
	noted := &notes{View: d.View}
	cfg := d.Config
	cfg.View = noted
	d.Configure(cfg)
	startReplay(d, decode.Replay{ID: "r"})
	d.Work()
	wantDone(d, "r", 1)
	if got := d.Announced.Take(); len(got) != 1 || got[0].Seq != 2 || len(noted.changes) != 1 {
		t.Errorf("got %+v announced and %+v noted, want the page's conversation and one change", got, noted.changes)
	}
	for _, r := range own {
		d.Must(d.Decoder.Decode(t.Context(), r.Corp, r.After, decode.FirstTime))
	}
	startReplay(d, decode.Replay{ID: "again"})
	d.Work()
	if got := d.Announced.Take(); len(own) != 1 || len(got) != 0 || len(noted.changes) != 1 {
		t.Errorf("got %+v announced and %+v noted, want nothing new", got, noted.changes)
	}
}

// withLateKey has a page of two records in two chats. The archive lacks the second one's key.
func withLateKey(t *testing.T) *archivetest.DecodeFixture {
	t.Helper()
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 1)
	late := archivetest.TextRecord(2, 2, "k2")
	late.Text = fmt.Appendf(nil, `{"msgid":"m2","action":"send","from":"zhao","tolist":["wmA"],"msgtime":%d,"msgtype":"text","text":{"content":"x"}}`, archivetest.Start.UnixMilli())
	d.Library.Say(archivetest.Corp, late)
	return d
}

// A key that comes while a page is decoded for the first time opens the page's other
// records. They are announced, and the messages before them not a second time.
func TestKeyDuringDecodeAnnouncesItsMessagesOnly(t *testing.T) {
	d := withLateKey(t)
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer {
		d.Library.OnDecrypt = nil
		d.AddKey(archivetest.Corp, "k2", 2)
		return nil
	}
	d.PullAndDecode()
	if got := d.Announced.Take(); len(got) != 2 || got[0].Seq != 1 || got[1].Seq != 2 {
		t.Errorf("got %+v, want each conversation once", got)
	}
}

// Messages that were set aside are announced when their key has come, and the
// other messages of their page are not announced again.
func TestLateKeyAnnouncesItsMessages(t *testing.T) {
	d := withLateKey(t)
	d.PullAndDecode()
	if got := d.Announced.Take(); len(got) != 1 || got[0].Conversation != archivetest.SingleChat {
		t.Errorf("got %+v, want the readable message's conversation", got)
	}
	d.AddKey(archivetest.Corp, "k2", 2)
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.Again))
	if got := d.Announced.Take(); len(got) != 1 || got[0].Seq != 2 {
		t.Errorf("got %+v, want the late message's conversation", got)
	}
}

// A page with very many conversations announces a hundred, the newest ones.
func TestAnnouncementsOfAPageAreBounded(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for seq := range uint64(300) {
		r := archivetest.TextRecord(seq+1, 1, "k1")
		r.Text = fmt.Appendf(nil, `{"msgid":"m%d","action":"send","from":"zhao","tolist":["wm%d"],"msgtime":%d,"msgtype":"text","text":{"content":"x"}}`, seq+1, seq, archivetest.Start.UnixMilli())
		d.Library.Say(archivetest.Corp, r)
	}
	d.PullAndDecode()
	got := d.Announced.Take()
	if len(got) != 100 || got[0].Seq != 300 || got[99].Seq != 201 {
		t.Errorf("got %d updates, want those of the seqs 300 to 201", len(got))
	}
}
