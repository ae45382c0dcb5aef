package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

const corp = "ww0123456789abcdef"

var (
	at    = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	chat  = archive.PartyConversation([]string{"lin.hua", "wmcustomer"})
	wrong = archive.RoomConversation("wrong room")
)

// fixture is an archive with its tables, bucket and queue on the local
// services. The library and the keys are fakes.
type fixture struct {
	t        *testing.T
	library  *archivetest.Library
	ledger   *dynamostore.Ledger
	view     *dynamostore.Messages
	decodes  *sqsqueue.Decode
	queue    *sqs.Client
	url      string
	puller   *pull.Puller
	decoder  *decode.Decoder
	replayer *decode.Replayer
	config   decode.Config // of both
	lastSeq  uint64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	cfg, f := awstest.Config(t), &archivetest.Faults{}
	db, w := dynamodb.NewFromConfig(cfg), archivetest.NewWorld(t, f)
	p := &fixture{
		t: t, library: w.Library, queue: sqs.NewFromConfig(cfg), url: awstest.FIFOQueue(t),
		ledger: dynamostore.NewLedger(db, awstest.Table(t, "LedgerTable")), view: dynamostore.NewMessages(db, awstest.Table(t, "MessagesTable")),
	}
	p.decodes = sqsqueue.NewDecode(p.queue, p.url, rand.Text)
	journal, log := s3store.NewJournal(s3.NewFromConfig(cfg), awstest.Bucket(t)), slog.New(slog.DiscardHandler)
	p.must(w.Corps.CreateCorp(t.Context(), archive.Corp{ID: corp, Name: corp, CreatedAt: at}))
	p.must(w.Corps.SetSecret(t.Context(), corp, "secr", at))
	p.must(w.Corps.SetEnabled(t.Context(), corp, true, "admin", "", at))
	p.must(w.Corps.AddKey(t.Context(), corp, archive.Key{ID: "k1", PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: at}, false, ""))
	p.must(w.Corps.Claim(t.Context(), corp, "k1", 1, "admin", at))
	w.Secrets.Put(corp, secret.New("s"))
	w.Openers.Put(corp, "k1")
	now := time.Now
	p.puller = &pull.Puller{
		Corps: w.Corps, Secrets: w.Secrets, Sources: w.Library, Ledger: p.ledger, Gate: &archive.Gate{Log: p.ledger, Now: now}, Journal: journal, Pulls: archive.NewWantedPulls(w.Marks, w.Pulls, time.Now), Decodes: p.decodes,
		Now: now, Sleep: archive.Sleep, Log: log,
	}
	p.config = decode.Config{
		Ledger: p.ledger, Jobs: p.ledger, Heads: p.ledger, Journal: journal, View: p.view, Keys: w.Corps, Openers: w.Openers, Decrypters: w.Library,
		Consents: archivetest.NewConsents(t, f), Files: w.Files, Media: media.NewWantedLanes(w.Marks, w.Media, now), Decodes: p.decodes, Announcer: w.Announced, Parallel: 1, Now: now, Log: log,
	}
	p.decodeInto(p.view)
	return p
}

// decodeInto makes the decoder and the replayer write to the view.
func (p *fixture) decodeInto(v decode.View) {
	p.config.View = v
	p.decoder, p.replayer = decode.New(p.config)
}

func (p *fixture) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// page makes WeCom archive two messages, pulls them and decodes them. The second
// message revokes the first.
func (p *fixture) page() {
	p.t.Helper()
	sent, revoking := p.lastSeq+1, p.lastSeq+2
	p.lastSeq += 2
	for seq, content := range map[uint64]string{
		sent:     `"action":"send","msgtype":"text","text":{"content":"x"}`,
		revoking: fmt.Sprintf(`"action":"recall","msgtype":"revoke","revoke":{"pre_msgid":"m%d"}`, sent),
	} {
		p.library.Say(corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":"m%d","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,%s}`, seq, at.UnixMilli()+int64(seq), content)})
	}
	p.must(p.puller.Pull(p.t.Context(), archive.PullRequest{Corp: corp, Why: "asked", Force: true}))
	p.work()
}

// work serves the queue until it is empty.
func (p *fixture) work() {
	p.t.Helper()
	for {
		out, err := p.queue.ReceiveMessage(p.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &p.url, MaxNumberOfMessages: 1})
		p.must(err)
		if len(out.Messages) == 0 {
			return
		}
		var r archive.DecodeRequest
		p.must(json.Unmarshal([]byte(aws.ToString(out.Messages[0].Body)), &r))
		if r.Replay != "" {
			p.must(p.replayer.Run(p.t.Context(), r))
		} else {
			p.must(p.decoder.Decode(p.t.Context(), r.Corp, r.After, decode.FirstTime))
		}
		_, err = p.queue.DeleteMessage(p.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &p.url, ReceiptHandle: out.Messages[0].ReceiptHandle})
		p.must(err)
	}
}

func (p *fixture) replay(job decode.Replay) decode.Replay {
	p.t.Helper()
	job.Corp, job.ID, job.CreatedAt, job.UpdatedAt = corp, rand.Text(), time.Now(), time.Now()
	p.must(p.replayer.StartReplay(p.t.Context(), job))
	p.work()
	job, err := p.ledger.Replay(p.t.Context(), corp, job.ID)
	p.must(err)
	return job
}

// misplacing is the view of a version that stores every message in the wrong
// chat.
type misplacing struct{ decode.View }

func (v misplacing) WritePage(ctx context.Context, p decode.Decoded) error {
	for i := range p.Messages {
		p.Messages[i].Conversation = wrong
	}
	for i := range p.Revocations {
		p.Revocations[i].Conversation = wrong
	}
	for i := range p.Activities {
		p.Activities[i].Conversation = wrong
	}
	return v.View.WritePage(ctx, p)
}

// contents describes the view: for the right and the wrong chat the numbers of
// messages and revocations, and the number of chats in lin.hua's list.
func (p *fixture) contents() string {
	p.t.Helper()
	ctx := p.t.Context()
	var s strings.Builder
	for _, conv := range []archive.ConversationID{chat, wrong} {
		list, _, err := p.view.Messages(ctx, corp, conv, archive.MessageQuery{Limit: 100})
		p.must(err)
		var ids []string
		for seq := range p.lastSeq {
			ids = append(ids, fmt.Sprint("m", seq+1))
		}
		revoked, err := p.view.Revocations(ctx, corp, conv, ids)
		p.must(err)
		fmt.Fprintf(&s, "%s: %d, %d; ", conv.Kind(), len(list), len(revoked))
	}
	days, err := p.view.ActiveDays(ctx, corp, "lin.hua", "", 1)
	p.must(err)
	listed := 0
	for _, day := range days {
		listed += len(day.Conversations)
	}
	fmt.Fprint(&s, listed, " listed")
	return s.String()
}

// busyView is a view to which pages are written while it is cleared.
type busyView struct {
	*dynamostore.Messages
	meanwhile func()
}

func (b busyView) Clear(ctx context.Context, corp string, removed func(items int)) error {
	b.meanwhile()
	return b.Messages.Clear(ctx, corp, func(items int) {
		removed(items)
		b.meanwhile()
	})
}

// An old version stored messages, revocations and list entries in the wrong
// chat. A replay leaves these items. A rebuild removes them, even while new
// pages arrive, and a verification then finds no fault.
func TestRebuildRemovesItemsThatAReplayLeaves(t *testing.T) {
	p := newFixture(t)
	p.decodeInto(misplacing{p.view})
	p.page()
	p.page()
	p.decodeInto(p.view)
	if job := p.replay(decode.Replay{}); !job.Done || job.Pages != 2 {
		t.Fatalf("got %+v, want a completed replay of two pages", job)
	}
	if got, want := p.contents(), "single: 4, 2; room: 4, 2; 2 listed"; got != want {
		t.Errorf("after a replay: got %s, want %s", got, want)
	}
	stranger := archive.Message{Corp: corp + "0", Conversation: chat, Time: at, MsgID: "m", Seq: 1, Raw: []byte("{}")}
	p.must(p.view.WritePage(t.Context(), decode.Decoded{Corp: stranger.Corp, Messages: []archive.Message{stranger}}))

	var out bytes.Buffer
	r := rebuilder{
		corp: corp, ledger: p.ledger, view: busyView{p.view, p.page}, jobs: p.replayer, now: time.Now, out: &out,
		sleep: func(context.Context, time.Duration) error { p.work(); return nil },
	}
	p.must(r.rebuild(t.Context()))
	if got, want := p.contents(), "single: 8, 4; room: 0, 0; 1 listed"; got != want {
		t.Errorf("after a rebuild: got %s, want %s", got, want)
	}
	if job := p.replay(decode.Replay{Verify: true}); !job.Done || job.Pages != 4 || job.Faults != 0 {
		t.Errorf("got %+v, want 4 verified pages without a fault", job)
	}
	if list, _, err := p.view.Messages(t.Context(), stranger.Corp, chat, archive.MessageQuery{Limit: 9}); err != nil || len(list) != 1 {
		t.Errorf("other company: got %d messages and %v, want its one message unchanged", len(list), err)
	}
	for _, want := range []string{"2 pages and gaps, up to seq 4", "removed: ", "decodes all pages again", "done: 4 pages decoded, up to seq 8"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output: got %q, want %q in it", out.String(), want)
		}
	}
}

func TestRebuildRefusesACompanyWithoutPages(t *testing.T) {
	p := newFixture(t)
	r := rebuilder{corp: "ww0000000000000000", ledger: p.ledger, out: &bytes.Buffer{}}
	if err := r.rebuild(t.Context()); err == nil || !strings.Contains(err.Error(), "no pages") {
		t.Errorf("got %v, want an error before anything is removed", err)
	}
}

func TestJobContinuesAfterTheCommandIsStopped(t *testing.T) {
	p := newFixture(t)
	p.page()
	r := rebuilder{
		corp: corp, ledger: p.ledger, view: p.view, jobs: p.replayer, now: time.Now, out: &bytes.Buffer{},
		sleep: func(context.Context, time.Duration) error { return context.Canceled },
	}
	p.must(r.rebuild(t.Context()))
	p.work()
	if got, want := p.contents(), "single: 2, 1; room: 0, 0; 1 listed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A job may end before its last page: a user stops it, or its runs make no progress.
// The command then reports no success, and can be run again.
func TestRebuildReportsAJobThatEndsEarly(t *testing.T) {
	p := newFixture(t)
	p.page()
	p.page()
	r := rebuilder{corp: corp, ledger: p.ledger, view: p.view, jobs: p.replayer, now: time.Now, out: &bytes.Buffer{}}
	rebuild := func(want string, meanwhile func(context.Context) error) {
		t.Helper()
		r.sleep = func(ctx context.Context, _ time.Duration) error { return meanwhile(ctx) }
		if err := r.rebuild(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	for want, end := range map[string]func(*decode.Replay){
		"was stopped by lin.hua at seq 2 of 4: run rebuild again": func(job *decode.Replay) { job.StoppedBy = "lin.hua" },
		"ended without progress at seq 2 of 4":                    func(job *decode.Replay) { job.Failed = true },
	} {
		rebuild(want, func(ctx context.Context) error {
			rebuild("runs: start the rebuild when it is done", nil)
			running, err := p.ledger.Running(ctx, corp, false)
			p.must(err)
			job, err := p.ledger.Replay(ctx, corp, running.ID)
			p.must(err)
			ended := job
			ended.Next, ended.To, ended.Pages, ended.Done = 2, 4, 1, true
			end(&ended)
			return p.ledger.AdvanceReplay(ctx, job, ended)
		})
		p.work() // the requested run finds the job done
		if got, want := p.contents(), "single: 0, 0; room: 0, 0; 0 listed"; got != want {
			t.Errorf("after a job that ended early: got %s, want %s", got, want)
		}
	}
	r.sleep = func(context.Context, time.Duration) error { p.work(); return nil }
	p.must(r.rebuild(t.Context()))
	if got, want := p.contents(), "single: 4, 2; room: 0, 0; 1 listed"; got != want {
		t.Errorf("after a further rebuild: got %s, want %s", got, want)
	}
}
