package decode_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// tampered is a ledger whose rows somebody has edited.
type tampered struct {
	decode.ReplayLedger
	edit func(*archive.Row)
}

func (l tampered) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	rows, err := l.ReplayLedger.Rows(ctx, corp, q)
	for i := range rows {
		l.edit(&rows[i])
	}
	return rows, err
}

// verified runs a verify job over seqs above from, and returns its findings.
func verified(d *archivetest.DecodeFixture, from uint64) (decode.Replay, []string) {
	d.T.Helper()
	id := fmt.Sprint("v", d.Clock.Now().UnixNano())
	d.Must(d.Replayer.StartReplay(d.T.Context(), decode.Replay{Corp: archivetest.Corp, ID: id, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now(), Verify: true, From: from}))
	d.Clock.Advance(time.Second)
	d.Work()
	job, err := d.Ledger.Replay(d.T.Context(), archivetest.Corp, id)
	d.Must(err)
	if !job.Done || job.Faults < len(job.Findings) {
		d.T.Errorf("got job %+v, want it done", job)
	}
	var found []string
	for _, f := range job.Findings {
		found = append(found, fmt.Sprintf("%d/%d %s", f.After, f.Seq, f.What))
	}
	return job, found
}

// threePages are seqs 1-2, 3-4 and 5-6, on two days, one of them waiting for a
// key, one in the bucket, and the last withdrawing the third.
func threePages(t *testing.T) *archivetest.DecodeFixture {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	large := archivetest.TextRecord(4, 1, "k1")
	large.Text = []byte(strings.Replace(string(large.Text), "第", strings.Repeat("长", archive.InlineLimit), 1))
	revoking := archivetest.TextRecord(6, 1, "k1")
	revoking.Text = fmt.Appendf(nil, `{"msgid":"m6","action":"recall","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"msgtype":"revoke","revoke":{"pre_msgid":"m3"}}`,
		archivetest.Start.UnixMilli()+6)
	for _, page := range [][]archivetest.Record{
		{archivetest.TextRecord(1, 1, "k1"), archivetest.TextRecord(2, 9, "unknown")}, {archivetest.TextRecord(3, 1, "k1"), large}, {archivetest.TextRecord(5, 1, "k1"), revoking},
	} {
		d.Library.Say(archivetest.Corp, page...)
		d.PullAndDecode()
		d.Clock.Advance(20 * time.Hour)
	}
	return d
}

func TestVerify(t *testing.T) {
	tests := []struct {
		name   string
		tamper func(d *archivetest.DecodeFixture)
		want   []string
	}{
		{"all is well", func(*archivetest.DecodeFixture) {}, nil},
		{"a message is gone", func(d *archivetest.DecodeFixture) { d.View.Tamper(archivetest.Corp, 3, nil) }, []string{"2/3 message_missing"}},
		{"a message was changed", func(d *archivetest.DecodeFixture) { d.View.Tamper(archivetest.Corp, 6, []byte("other")) }, []string{"4/6 message_differs"}},
		{"the view is gone", func(d *archivetest.DecodeFixture) { d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil)) }, []string{
			"0/1 message_missing", "0/2 set_aside_missing", "0/0 lists_incomplete", "2/3 message_missing", "2/4 message_missing", "2/0 lists_incomplete",
			"4/5 message_missing", "4/6 message_missing", "4/6 revocation_missing", "4/0 lists_incomplete"}},
		{"markers and lists are gone", func(d *archivetest.DecodeFixture) { d.View.Forget(archivetest.Corp) }, []string{"0/0 lists_incomplete", "2/0 lists_incomplete", "4/6 revocation_missing", "4/0 lists_incomplete"}},
		{"a message stands in another place too", func(d *archivetest.DecodeFixture) {
			m := messageOf(d, 3)
			m.MsgID, m.Time = "m3'", m.Time.Add(time.Millisecond)
			d.View.Plant(archivetest.Corp, []archive.Message{m}, nil)
		}, []string{"2/3 message_extra"}},
		{"a withdrawal is forged", func(d *archivetest.DecodeFixture) {
			m := messageOf(d, 5)
			d.View.Plant(archivetest.Corp, nil, []archive.Revocation{{Corp: archivetest.Corp, Conversation: m.Conversation, MsgID: "m5", By: "lin.hua", At: m.Time, Seq: 99}})
		}, []string{"4/99 revocation_extra"}},
		{"a mended record is aside", func(d *archivetest.DecodeFixture) {
			d.Must(d.View.WritePage(t.Context(), decode.Decoded{Corp: archivetest.Corp, SetAside: []archive.SetAside{{Corp: archivetest.Corp, Seq: 3, After: 2, Reason: archive.ReasonNoKey}}}))
		}, []string{"2/3 set_aside_stale"}},
		{"a result counts too many", func(d *archivetest.DecodeFixture) {
			d.Replayer.Ledger = tampered{d.Ledger, func(r *archive.Row) {
				if r.After == 4 {
					result := *r.Result
					result.Stored++
					r.Result = &result
				}
			}}
		}, []string{"4/0 result_differs"}},
		{"a page was changed", func(d *archivetest.DecodeFixture) { d.Journal.Damage(d.Rows()[1]) }, []string{"2/0 journal_changed"}},
		{"a page is gone", func(d *archivetest.DecodeFixture) { d.Journal.Lose(d.Rows()[1]) }, []string{"2/0 journal_missing"}},
		{"a row was edited", func(d *archivetest.DecodeFixture) {
			d.Replayer.Ledger = tampered{d.Ledger, func(r *archive.Row) {
				if r.After == 2 {
					r.Count++
				}
			}}
		}, []string{"2/0 row_changed"}},
		{"a row was edited and hashed anew", func(d *archivetest.DecodeFixture) {
			d.Replayer.Ledger = tampered{d.Ledger, func(r *archive.Row) {
				if r.After == 2 {
					r.At = r.At.Add(time.Hour)
					r.Hash = archive.ChainHash(*r)
				}
			}}
		}, []string{"4/0 chain_broken"}},
		{"the chain was rewritten to its end", func(d *archivetest.DecodeFixture) {
			prev := ""
			d.Replayer.Ledger = tampered{d.Ledger, func(r *archive.Row) {
				if r.After >= 2 {
					r.At = r.At.Add(time.Minute)
					if prev != "" {
						r.Prev = prev
					}
					r.Hash = archive.ChainHash(*r)
					prev = r.Hash
				}
			}}
		}, []string{"4/0 head_disagrees", "4/0 head_disagrees"}}, // a day's and the ledger's
		{"a row is gone", func(d *archivetest.DecodeFixture) { d.Replayer.Ledger = withoutRows{d.Ledger, 2, 2} }, []string{"4/0 chain_broken"}},
		{"the first row is gone", func(d *archivetest.DecodeFixture) { d.Replayer.Ledger = withoutRows{d.Ledger, 0, 0} }, []string{"2/0 chain_broken"}},
		{"the last row is gone", func(d *archivetest.DecodeFixture) { d.Replayer.Ledger = withoutRows{d.Ledger, 4, 4} }, []string{"4/0 rows_missing"}},
		{"all rows are gone", func(d *archivetest.DecodeFixture) { d.Replayer.Ledger = withoutRows{d.Ledger, 0, 4} }, []string{"0/0 rows_missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := threePages(t)
			tt.tamper(d)
			job, got := verified(d, 0)
			if !slices.Equal(got, tt.want) || job.Faults != len(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// withoutRows is a ledger from which rows were removed.
type withoutRows struct {
	decode.ReplayLedger
	from, to uint64
}

func (l withoutRows) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	rows, err := l.ReplayLedger.Rows(ctx, corp, q)
	return slices.DeleteFunc(rows, func(r archive.Row) bool { return r.After >= l.from && r.After <= l.to }), err
}

// messageOf reads the message of a seq from the view.
func messageOf(d *archivetest.DecodeFixture, seq uint64) archive.Message {
	d.T.Helper()
	list := d.StoredIn(archivetest.SingleChat)
	i := slices.IndexFunc(list, func(m archive.Message) bool { return m.Seq == seq })
	if i < 0 {
		d.T.Fatalf("seq %d is not in the view", seq)
	}
	return list[i]
}

func TestVerifyNamesWhatWaits(t *testing.T) {
	d := threePages(t)
	d.Say(archivetest.Corp, 7, 1)
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	d.Decodes.Take()
	if _, got := verified(d, 4); !slices.Equal(got, []string{"6/0 not_decoded"}) {
		t.Errorf("got %v, want the page that was not decoded", got)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 6, decode.FirstTime))
	if _, got := verified(d, 6); got != nil {
		t.Errorf("from within the chain: got %v, want nothing", got)
	}
}

// Verifying writes nothing but its own job, whatever it finds.
func TestVerifyWritesNothing(t *testing.T) {
	f := &archivetest.Faults{}
	d := archivetest.NewDecodeFixture(t, f)
	d.AddKey(archivetest.Corp, "k1", 0)
	d.Say(archivetest.Corp, 1, 3)
	d.PullAndDecode()
	d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
	f.Arm(nil)
	if _, got := verified(d, 0); len(got) != 4 {
		t.Errorf("got %v, want 3 messages and the lists missing", got)
	}
	for _, c := range f.Calls() {
		if c.Writes && c.Name != "Ledger.CreateReplay" && c.Name != "Ledger.AdvanceReplay" && c.Name != "DecodeQueue.RequestDecodes" {
			t.Errorf("verifying wrote: %s", c.Name)
		}
	}
}
