package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const corp = "ww0000000000000001"

// The library has no sockets here if its Init was recorded to work without them.
func TestLibraryHasNoSocketsIfInitWorksOffline(t *testing.T) {
	library := filepath.Join(t.TempDir(), "library.so")
	if err := os.WriteFile(library, []byte("the library"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := func(noSockets bool) {
		t.Helper()
		if got := workers(config{library: library}, nil).NoSockets; got != noSockets {
			t.Errorf("got NoSockets %t, want %t", got, noSockets)
		}
	}
	want(false)
	if err := sdkworker.RecordOffline(library); err != nil {
		t.Fatal(err)
	}
	want(true)
}

func TestHandle(t *testing.T) {
	var did []string
	handle := serve(slog.New(slog.DiscardHandler),
		func(_ context.Context, c string, after uint64, redo decode.Redo) error {
			did = append(did, fmt.Sprint("page ", after, " ", redo))
			if after == 2 {
				return decode.ErrUnfinished
			}
			return nil
		},
		func(_ context.Context, req archive.DecodeRequest) error {
			did = append(did, "replay "+req.Replay)
			return nil
		})
	body := func(rest string) string { return `{"v":1,"corp":"` + corp + `",` + rest + `}` }
	event := events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: body(`"after":"1"`)},
		{MessageId: "2", Body: body(`"after":"2"`)},
		{MessageId: "3", Body: body(`"after":"18446744073709551615"`)},
		{MessageId: "4", Body: body(`"after":"0","replay":"r1"`)},
		{MessageId: "5", Body: `{"v":1,"corp":"","after":"1"}`},
		{MessageId: "6", Body: ``},
	}}
	resp, err := handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range resp.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if !slices.Equal(failed, []string{"2", "5", "6"}) {
		t.Errorf("got failures %v, want 2 5 6", failed)
	}
	if want := []string{"page 1 0", "page 2 0", "page 18446744073709551615 0", "replay r1"}; !slices.Equal(did, want) {
		t.Errorf("got %q, want %q", did, want)
	}
}

// identities is a secret store with an operator's identity in it.
type identities struct{ *archivetest.Secrets }

func (identities) Identity(context.Context, string) (string, secret.Value, error) {
	return "wwoperator0000000", secret.New("ours"), nil
}

// The library can be initialised also for a corp without a secret (law 2).
func TestIdentityForDecoding(t *testing.T) {
	f := &archivetest.Faults{}
	store := identities{archivetest.NewSecrets(f)}
	d := newDecrypters(nil, store, archivetest.NewCorps(t, f), archivetest.NewLedger(t, f), nil, "", false, time.Now)
	id, err := d.identityFor(t.Context(), corp, time.Time{})
	if err != nil || id.CorpID != corp || id.Secret.IsZero() {
		t.Errorf("no secret saved: got %v, %v; want the corp with any text", id.CorpID, err)
	}
	store.Put(corp, secret.New("theirs"))
	if id, err = d.identityFor(t.Context(), corp, time.Time{}); err != nil || !id.Secret.Equal(secret.New("theirs")) {
		t.Errorf("got another secret than the corp's, error %v", err)
	}
	d.identity = "operator"
	if id, err = d.identityFor(t.Context(), corp, time.Time{}); err != nil || id.CorpID != "wwoperator0000000" || !id.Secret.Equal(secret.New("ours")) {
		t.Errorf("got %s, %v; want the operator's identity", id.CorpID, err)
	}
}

// It is unknown whether Init asks WeCom. So all processes together rarely use a
// secret that is not known to work (law 8).
func TestSecretsAreSpared(t *testing.T) {
	const other = "ww0000000000000002"
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	setAt := now.Add(-48 * time.Hour)
	refused := &archive.SDKError{Op: "Init", Code: 10000}
	tests := []struct {
		name    string
		state   archive.PullState
		record  map[string]time.Duration // refusals, by name and how long ago
		passed  bool                     // a message was decrypted in this process
		refused bool                     // Init refused the last one in this process
		open    time.Duration            // how long ago WeCom refused the secret on the open way; 0 for never
		offline bool                     // Init works without a network
		want    error
	}{
		{name: "the secret works", state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt, OKAt: setAt}}},
		{name: "the secret works, and the budget is used up", state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt, OKAt: setAt}}, record: flood(other)},
		{name: "the secret works for the puller and was refused to decode", state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt, OKAt: setAt}}, record: map[string]time.Duration{corp + "/decode": time.Minute}, want: errRefused},
		{name: "an earlier secret worked", state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt.Add(-time.Hour), OKAt: setAt}}},
		{name: "never tried"},
		{name: "refused on the open way", open: archive.OpenHold - time.Second, want: errRefused},
		{name: "refused on the open way, and works for the puller", open: time.Minute, state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt, OKAt: setAt}}, want: errRefused},
		{name: "refused on the open way, and the process has no network", open: time.Minute, offline: true},
		{name: "refused on the open way six hours ago", open: archive.OpenHold},
		{name: "never tried, and the budget is used up", record: flood(other), want: errRefused},
		{name: "Init refused the secret to the puller",
			state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt, Refusals: 1, Trouble: &archive.Trouble{Cause: archive.CauseSecret, Op: "Init"}}}, want: errRefused},
		{name: "Init refused an earlier secret to the puller",
			state: archive.PullState{Standing: archive.Standing{SecretSetAt: setAt.Add(-time.Hour), Refusals: 1, Trouble: &archive.Trouble{Cause: archive.CauseSecret, Op: "Init"}}}},
		{name: "a call was refused to the puller",
			state:  archive.PullState{Standing: archive.Standing{SecretSetAt: setAt, Refusals: 1, Trouble: &archive.Trouble{Cause: archive.CauseSecret, Op: "GetChatData"}}},
			record: map[string]time.Duration{corp: time.Minute}},
		{name: "refused to another process", record: map[string]time.Duration{corp + "/decode": 59 * time.Minute}, want: errRefused},
		{name: "refused to another process an hour ago", record: map[string]time.Duration{corp + "/decode": 61 * time.Minute}},
		{name: "refused to another corp", record: map[string]time.Duration{other + "/decode": time.Minute}},
		{name: "refused in this process", refused: true, want: errRefused},
		{name: "accepted in this process, and the budget is used up", passed: true, record: flood(other)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, f := t.Context(), &archivetest.Faults{}
			store := identities{archivetest.NewSecrets(f)}
			store.Put(corp, secret.New("theirs"))
			corps, ledger := archivetest.NewCorps(t, f), archivetest.NewLedger(t, f)
			pool := sdkworker.NewPool(sdkworker.Config{})
			t.Cleanup(pool.Close)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(corps.CreateCorp(ctx, archive.Corp{ID: corp, CreatedAt: setAt}))
			must(corps.SetSecret(ctx, corp, "thei", setAt))
			if tt.open > 0 {
				must(corps.NoteOpen(ctx, corp, setAt, archive.OpenAnswer{RefusedAt: now.Add(-tt.open), Cause: archive.CauseSecret, Code: 40001}))
			}
			d := newDecrypters(pool, store, corps, ledger, &archive.Gate{Log: ledger, Now: func() time.Time { return now }}, "", tt.offline, func() time.Time { return now })
			d.sleep = noSleep
			if tt.passed || tt.refused {
				must(decrypt(ctx, d, corp, nil))
			}
			if tt.refused {
				if err := decrypt(ctx, d, corp, refused); !errors.Is(err, refused) {
					t.Fatalf("got %v, want a refusal", err)
				}
			}
			tt.state.Corp = corp
			must(ledger.SavePullState(ctx, tt.state))
			for by, ago := range tt.record {
				must(refuse(ctx, ledger, by, now.Add(-ago)))
			}
			if err := decrypt(ctx, d, corp, nil); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// answers is a library that answers every call with an error or none.
type answers struct{ err error }

func (a answers) Decrypt(context.Context, []byte, string) ([]byte, error) { return nil, a.err }

func (a answers) DecryptAll(context.Context, []decode.Sealed) ([]decode.Decrypted, error) {
	return nil, a.err
}

// decrypt decrypts a record of the corp with a library that answers err.
func decrypt(ctx context.Context, d *decrypters, corp string, err error) error {
	dec, openErr := d.Decrypter(ctx, corp)
	if openErr != nil {
		return openErr
	}
	dec.(*decrypter).session = answers{err}
	_, err = dec.Decrypt(ctx, nil, "")
	return err
}

func noSleep(context.Context, time.Duration) error { return nil }

// refuse records a refusal to a corp's secret: by is the corp and, behind a
// slash, the function that showed it; the puller if there is none.
func refuse(ctx context.Context, log archive.TryLog, by string, at time.Time) error {
	id, function, _ := strings.Cut(by, "/")
	return log.PutTry(ctx, archive.Try{Way: archive.Trusted, Corp: id, By: cmp.Or(function, "pull"), At: at, State: archive.TryRefused})
}

// flood uses up the budget of our address.
func flood(by string) map[string]time.Duration {
	record := make(map[string]time.Duration)
	for i := range archive.RefusalBudget {
		record[fmt.Sprint(by, "/", i)] = time.Duration(i+1) * time.Minute
	}
	return record
}

// identityWorld is processes of this function with an identity of the operator.
type identityWorld struct {
	t      *testing.T
	now    time.Time
	ledger *archivetest.Ledger
	pool   *sdkworker.Pool
}

func newIdentityWorld(t *testing.T) *identityWorld {
	w := &identityWorld{t: t, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), ledger: archivetest.NewLedger(t, &archivetest.Faults{}), pool: sdkworker.NewPool(sdkworker.Config{})}
	t.Cleanup(w.pool.Close)
	return w
}

// process is a fresh process; identity is the name of the operator's secret.
func (w *identityWorld) process(identity string) *decrypters {
	clock := func() time.Time { return w.now }
	f := &archivetest.Faults{}
	d := newDecrypters(w.pool, identities{archivetest.NewSecrets(f)}, archivetest.NewCorps(w.t, f), w.ledger, &archive.Gate{Log: w.ledger, Now: clock}, identity, false, clock)
	d.sleep = noSleep
	return d
}

func (w *identityWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// A corp without a secret is decoded with the operator's identity, or with any
// text. A refusal of either is left alone for a while.
func TestSecretsAreSparedWithAnIdentity(t *testing.T) {
	w := newIdentityWorld(t)
	for name, by := range map[string]string{"operator": "wwoperator0000000/decode", "": corp + "/decode"} {
		w.must(decrypt(t.Context(), w.process(name), corp, nil))
		w.must(refuse(t.Context(), w.ledger, by, w.now))
		if err := decrypt(t.Context(), w.process(name), corp, nil); !errors.Is(err, errRefused) {
			t.Errorf("%q: got %v after a refusal, want %v", name, err, errRefused)
		}
	}
}

// A page without a record for the library tries no secret. So a corp that lacks its
// key holds up no other corp that is decoded with the same identity (law 8).
func TestPageWithoutAnOpenRecordTriesNoSecret(t *testing.T) {
	w := newIdentityWorld(t)
	if _, err := w.process("operator").Decrypter(t.Context(), corp); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(10 * time.Minute)
	w.must(decrypt(t.Context(), w.process("operator"), "ww0000000000000002", nil))
}

// A process admits an identity once, for whichever corp it is used.
func TestIdentityIsAdmittedOncePerProcess(t *testing.T) {
	w := newIdentityWorld(t)
	d := w.process("operator")
	w.must(decrypt(t.Context(), d, corp, nil))
	w.must(refuse(t.Context(), w.ledger, "wwoperator0000000/decode", w.now))
	w.must(decrypt(t.Context(), d, "ww0000000000000002", nil))
}

// A record that the library refuses shows that Init accepted the identity.
func TestRefusedRecordPassesTheIdentity(t *testing.T) {
	w := newIdentityWorld(t)
	d := w.process("operator")
	refused := &archive.SDKError{Op: "DecryptData", Code: 10003}
	for range 20 {
		if err := decrypt(t.Context(), d, corp, refused); !errors.Is(err, refused) {
			t.Fatalf("got %v, want the code of the library", err)
		}
	}
	if tries, err := w.ledger.Tries(t.Context(), archive.Trusted, w.now.Add(-time.Hour)); len(tries) != 1 || err != nil {
		t.Errorf("got %d tries, %v; want 1", len(tries), err)
	}
}

// Processes that start together wait for the answer to the first of them. A process
// that ended without an answer counts as refused.
func TestProcessesThatStartTogether(t *testing.T) {
	w := newIdentityWorld(t)
	try := archive.Try{Way: archive.Trusted, Corp: "wwoperator0000000", By: byDecode, At: w.now, ID: "first", State: archive.TryRunning}
	answer := func(state archive.TryState) error {
		w.must(w.ledger.PutTry(t.Context(), try))
		d := w.process("operator")
		d.sleep = func(ctx context.Context, pause time.Duration) error {
			w.now = w.now.Add(pause)
			if state == "" {
				return nil
			}
			settled := try
			settled.State = state
			return w.ledger.PutTry(ctx, settled)
		}
		return decrypt(t.Context(), d, corp, nil)
	}
	w.must(answer(archive.TryReleased))
	if err := answer(archive.TryRefused); !errors.Is(err, errRefused) {
		t.Errorf("refused to the first: got %v, want %v", err, errRefused)
	}
	if err := answer(""); !errors.Is(err, errRefused) || w.now.Sub(try.At) > 2*time.Minute {
		t.Errorf("the first died: got %v after %v, want %v within two minutes", err, w.now.Sub(try.At), errRefused)
	}
}

// As many processes as the function runs at once may start in the same moment.
func TestTwentyProcessesStartTogether(t *testing.T) {
	w := newIdentityWorld(t)
	var all sync.WaitGroup
	failed := make(chan error, 20)
	for range 20 {
		d := w.process("operator")
		d.sleep = func(ctx context.Context, pause time.Duration) error { return archive.Sleep(ctx, pause/100) }
		all.Go(func() {
			dec, err := d.Decrypter(t.Context(), corp)
			if err == nil {
				dec.(*decrypter).session = slow{}
				_, err = dec.Decrypt(t.Context(), nil, "")
			}
			failed <- err
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
}

// slow is a library whose first call takes as long as a hundredth of half a second.
type slow struct{ answers }

func (slow) Decrypt(ctx context.Context, _ []byte, _ string) ([]byte, error) {
	return nil, archive.Sleep(ctx, 5*time.Millisecond)
}
