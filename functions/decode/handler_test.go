package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const corp = "ww0000000000000001"

func TestHandle(t *testing.T) {
	var did []string
	h := handler{
		log: slog.New(slog.DiscardHandler),
		now: time.Now,
		decode: func(_ context.Context, c string, after uint64, redo archive.Redo) error {
			did = append(did, fmt.Sprint("page ", after, " ", redo))
			if after == 2 {
				return archive.ErrUnfinished
			}
			return nil
		},
		replay: func(_ context.Context, c, id string) error {
			did = append(did, "replay "+id)
			return nil
		},
	}
	body := func(rest string) string { return `{"v":1,"corp":"` + corp + `",` + rest + `}` }
	event := events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: body(`"after":"1"`)},
		{MessageId: "2", Body: body(`"after":"2"`)},
		{MessageId: "3", Body: body(`"after":"18446744073709551615"`)},
		{MessageId: "4", Body: body(`"after":"0","replay":"r1"`)},
		{MessageId: "5", Body: `{"v":1,"corp":"","after":"1"}`},
		{MessageId: "6", Body: ``},
	}}
	failed := func(ctx context.Context) []string {
		resp, err := h.handle(ctx, event)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range resp.BatchItemFailures {
			ids = append(ids, f.ItemIdentifier)
		}
		return ids
	}
	if got := failed(t.Context()); !slices.Equal(got, []string{"2", "5", "6"}) {
		t.Errorf("got failures %v, want 2 5 6", got)
	}
	if want := []string{"page 1 0", "page 2 0", "page 18446744073709551615 0", "replay r1"}; !slices.Equal(did, want) {
		t.Errorf("got %q, want %q", did, want)
	}
	did = nil
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(startMargin-time.Second))
	defer cancel()
	if got := failed(ctx); len(got) != 6 || len(did) != 0 {
		t.Errorf("no time left: got failures %v and work %v, want all back and none begun", got, did)
	}
}

func TestConfigNamesEveryMistake(t *testing.T) {
	_, err := parseConfig(func(string) string { return "" })
	for _, name := range []string{"CORPS_TABLE", "LEDGER_TABLE", "MESSAGES_TABLE", "CONSENTS_TABLE", "JOURNAL_BUCKET", "DECODE_QUEUE_URL", "SECRETS_PREFIX", "SDK_WORKER", "SDK_LIBRARY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
}

// identities is a secret store with an operator's identity in it.
type identities struct{ *archivetest.Secrets }

func (identities) Identity(context.Context, string) (string, secret.Value, error) {
	return "wwoperator0000000", secret.New("ours"), nil
}

// Law 2: without a secret of the corp there still is something to initialise
// the library with.
func TestIdentityForDecoding(t *testing.T) {
	f := &archivetest.Faults{}
	store := identities{archivetest.NewSecrets(f)}
	d := newDecrypters(nil, store, archivetest.NewLedger(t, f), "", time.Now)
	id, err := d.identityFor(t.Context(), corp)
	if err != nil || id.CorpID != corp || id.Secret.IsZero() {
		t.Errorf("no secret saved: got %v, %v; want the corp with some text", id.CorpID, err)
	}
	store.Put(corp, secret.New("theirs"))
	if id, err = d.identityFor(t.Context(), corp); err != nil || !id.Secret.Equal(secret.New("theirs")) {
		t.Errorf("got another secret than the corp's, error %v", err)
	}
	d.identity = "operator"
	if id, err = d.identityFor(t.Context(), corp); err != nil || id.CorpID != "wwoperator0000000" || !id.Secret.Equal(secret.New("ours")) {
		t.Errorf("got %s, %v; want the operator's identity", id.CorpID, err)
	}
}

// Law 8: what Init refused is left alone for a while, and counts.
func TestRefusedInitIsSpared(t *testing.T) {
	f := &archivetest.Faults{}
	store := identities{archivetest.NewSecrets(f)}
	store.Put(corp, secret.New("stale"))
	ledger := archivetest.NewLedger(t, f)
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	pool := sdkworker.NewPool(sdkworker.Config{})
	t.Cleanup(pool.Close)
	d := newDecrypters(pool, store, ledger, "", func() time.Time { return now })
	dec, err := d.Decrypter(t.Context(), corp)
	if err != nil {
		t.Fatal(err)
	}
	if err := dec.(*decrypter).note(t.Context(), &archive.SDKError{Op: "Init", Code: 10000}); err != nil {
		t.Fatal(err)
	}
	if n, err := ledger.Refusals(t.Context(), now); err != nil || n != 1 {
		t.Errorf("got %d refusals counted, %v; want 1", n, err)
	}
	if _, err := d.Decrypter(t.Context(), corp); !errors.Is(err, errRefused) {
		t.Errorf("at once: got %v, want it spared", err)
	}
	now = now.Add(refusedPause)
	if _, err := d.Decrypter(t.Context(), corp); err != nil {
		t.Errorf("later: got %v, want another try", err)
	}
	for range archive.RefusalBudget {
		now = now.Add(time.Millisecond)
		if err := ledger.RecordRefusal(t.Context(), "wwother0000000000", now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Decrypter(t.Context(), corp); !errors.Is(err, errRefused) {
		t.Errorf("budget used up: got %v, want it spared", err)
	}
	store.Put(corp, secret.New("fresh"))
	if _, err := d.Decrypter(t.Context(), corp); err != nil {
		t.Errorf("another secret: got %v, want a try", err)
	}
}
