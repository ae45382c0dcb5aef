package dynamostore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// written is a view that remembers the page written last.
type written struct {
	decode.View
	page decode.Decoded
}

func (w *written) WritePage(ctx context.Context, p decode.Decoded) error {
	w.page = p
	return w.View.WritePage(ctx, p)
}

// FuzzStoredMessages checks that any bytes that WeCom's library decrypts, parsed
// or not, become one item that DynamoDB takes, and are read from it unchanged
// (law 4).
func FuzzStoredMessages(f *testing.F) {
	files, err := filepath.Glob("../message/testdata/golden/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no golden messages", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".view.json") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, "m1")
	}
	f.Add([]byte{}, "m1")
	f.Add([]byte("\x00\xff\xfe not JSON"), "")
	f.Add([]byte(`{"msgid":"!\"#\u0000~","from":"a#b!c","tolist":["\ud800"],"roomid":"`+strings.Repeat("长", 3000)+`","msgtime":253402300799999}`), "")
	f.Add([]byte(`{"msgid":"`+strings.Repeat("m", 5000)+`","tolist":["a"],"msgtype":"revoke","revoke":{"pre_msgid":"`+strings.Repeat("p", 5000)+`"}}`), "")
	f.Add(bytes.Repeat([]byte{'x'}, archive.InlineLimit+1), "m1")
	f.Fuzz(func(t *testing.T, raw []byte, msgID string) {
		got, item := throughTheStore(t, raw, msgID)
		if !bytes.Equal(got, raw) {
			t.Fatalf("got %d bytes, want the %d that were decrypted", len(got), len(raw))
		}
		if item.PK > 2048 || item.SK > 1024 || item.Size > 400<<10 {
			t.Fatalf("got an item of %+v bytes, want one that DynamoDB takes", item)
		}
	})
}

// throughTheStore archives and decodes a message, and reads its bytes back from
// the message's item.
func throughTheStore(t *testing.T, raw []byte, msgID string) ([]byte, dynamostore.ItemSize) {
	t.Helper()
	ctx, w := t.Context(), archivetest.NewWorld(t, &archivetest.Faults{})
	now := func() time.Time { return start }
	must(t, w.Corps.CreateCorp(ctx, archive.Corp{ID: corp, CreatedAt: start}))
	must(t, w.Corps.SetSecret(ctx, corp, "secr", start))
	must(t, w.Corps.SetEnabled(ctx, corp, true, "admin", "", start))
	must(t, w.Corps.AddKey(ctx, corp, archive.Key{ID: "k1", PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: start}, false, ""))
	must(t, w.Corps.Claim(ctx, corp, "k1", 1, "admin", start))
	w.Secrets.Put(corp, secret.New("s"))
	w.Openers.Put(corp, "k1")
	w.Library.Say(corp, archivetest.Record{Seq: 1, MsgID: msgID, KeyVersion: 1, KeyID: "k1", Text: raw})
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	puller := &pull.Puller{
		Corps: w.Corps, Secrets: w.Secrets, Sources: w.Library, Ledger: w.Ledger, Gate: &archive.Gate{Log: w.Ledger, Now: now}, Journal: w.Journal, Pulls: archive.NewWantedPulls(w.Marks, w.Pulls, now), Decodes: w.Decodes,
		Now: now, Sleep: func(context.Context, time.Duration) error { return nil }, Log: log,
	}
	must(t, puller.Pull(ctx, archive.PullRequest{Corp: corp, Force: true}))
	view := &written{View: w.View}
	decoder, _ := decode.New(decode.Config{
		Ledger: w.Ledger, Jobs: w.Ledger, Heads: w.Ledger, Journal: w.Journal, View: view, Keys: w.Corps, Openers: w.Openers, Decrypters: w.Library,
		Consents: archivetest.NewConsents(t, &archivetest.Faults{}), Files: w.Files, Media: media.NewWantedLanes(w.Marks, w.Media, now), Decodes: w.Decodes, Announcer: w.Announced, Parallel: 1, Now: now, Log: log,
	})
	must(t, decoder.Decode(ctx, corp, 0, decode.FirstTime))
	if len(view.page.Messages) != 1 {
		t.Fatalf("got %d messages and %+v set aside, want one message", len(view.page.Messages), view.page.SetAside)
	}
	want := view.page.Messages[0]
	got, size, err := dynamostore.StoredMessage(want)
	must(t, err)
	if want.Raw != nil && got.Raw == nil {
		t.Fatal("got no bytes, want an empty message")
	}
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); want.Overflow == nil && (g != w || !reflect.DeepEqual(got, want)) {
		t.Fatalf("got %.2000s, want %.2000s", g, w)
	}
	if got.Overflow == nil {
		return got.Raw, size
	}
	if *got.Overflow != *want.Overflow {
		t.Fatalf("got bytes at %+v, want %+v", got.Overflow, want.Overflow)
	}
	body, err := w.Journal.Message(ctx, corp, *got.Overflow)
	must(t, err)
	return body, size
}
