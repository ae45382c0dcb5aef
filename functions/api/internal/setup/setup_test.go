package setup_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/functions/api/internal/setup"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const (
	aSecret       = "3kTq" + apitest.SecretMark + "v0xPZBq8kYl0m2v1sR7Xc_wQ-0"
	anotherSecret = "9zQw" + apitest.SecretMark + "v0xPZBq8kYl0m2v1sR7Xc_wQ-1"
)

// bind records that a key decrypted a message of the version.
func bind(w *apitest.World, keyID string, version uint32) {
	w.T.Helper()
	if err := w.Corps.Bind(w.T.Context(), w.Corp, archive.Binding{Version: version, KeyID: keyID, Seq: 1, MsgID: "m", At: apitest.Noon}); err != nil {
		w.T.Fatal(err)
	}
}

// register registers the corp of the world.
func register(w *apitest.World) setup.CorpJSON {
	w.T.Helper()
	return apitest.Into[setup.CorpJSON](w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp, map[string]any{"name": "云朵课堂"}).Want(201))
}

func page(w *apitest.World) setup.SetupJSON {
	w.T.Helper()
	return apitest.Into[setup.SetupJSON](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/setup").Want(200))
}

func TestRegisterAndRename(t *testing.T) {
	w := apitest.NewWorld(t)
	made := register(w)
	if made.ID != w.Corp || made.Name != "云朵课堂" || made.Enabled || made.EnabledAt != nil || made.CurrentKey == nil || made.CallbackAt != nil {
		t.Errorf("got %+v", made)
	}
	before := page(w)
	renamed := apitest.Into[setup.CorpJSON](w.Send(w.As(session.Service), "PUT", "/v1/corps/"+w.Corp, map[string]any{"name": "new name"}).Want(200))
	if renamed.Name != "new name" || *renamed.CurrentKey != *made.CurrentKey || renamed.CreatedAt != made.CreatedAt {
		t.Errorf("got %+v after %+v", renamed, made)
	}
	after := page(w)
	if *after.Callback != *before.Callback || *after.PublicKey != *before.PublicKey || len(after.Keys) != 1 {
		t.Error("renaming changed the callback pair or the key")
	}
	if got := apitest.Into[setup.CorpJSON](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp).Want(200)); got.Name != "new name" {
		t.Errorf("got %+v", got)
	}
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"?x=1").WantProblem(400, "invalid-request")

	// WeCom accepts the pair on the page.
	box, err := msgcrypt.New(after.Callback.Token, after.Callback.EncodingAESKey, w.Corp)
	if err != nil || after.Callback.OldUntil != nil || box == nil || strings.ContainsAny(after.Callback.EncodingAESKey, "+/") || len(after.Callback.Token) > 32 {
		t.Errorf("the callback pair is not fit for WeCom: %v", err)
	}
	if want := "https://archive.example.com/callback/" + w.Corp; after.Callback.URL != want {
		t.Errorf("got %s, want %s", after.Callback.URL, want)
	}
}

// An installation without a domain and an address shows the host that API Gateway
// names in the request. A header of the caller does not change it.
func TestCallbackAtTheHostOfTheRequest(t *testing.T) {
	w := apitest.NewWorld(t)
	register(w)
	w.Setup.PublicURL = ""
	forged := map[string]string{"host": "evil.example.com", "x-forwarded-host": "evil.example.com", "forwarded": "host=evil.example.com"}
	got := apitest.Into[setup.SetupJSON](w.Do(apitest.Request{Who: w.As(session.Admin), Method: "GET", Path: "/v1/corps/" + w.Corp + "/setup", Header: forged}).Want(200))
	if want := "https://" + apitest.Host + "/callback/" + w.Corp; got.Callback.URL != want {
		t.Errorf("got %s, want %s", got.Callback.URL, want)
	}
}

func TestRegisterRefusesNames(t *testing.T) {
	w := apitest.NewWorld(t)
	for name, tc := range map[string]struct{ body, want string }{
		"none":          {`{}`, "name:required"},
		"number":        {`{"name":1}`, "name:type"},
		"null":          {`{"name":null}`, "name:type"},
		"empty":         {`{"name":""}`, "name:length"},
		"long":          {`{"name":"` + strings.Repeat("云", setup.MaxName+1) + `"}`, "name:length"},
		"blank":         {`{"name":" \u3000"}`, "name:form"},
		"line break":    {`{"name":"a\nb"}`, "name:form"},
		"all at once":   {`{"nmae":"x","name":1,"enabled":true}`, "enabled:unknown name:type nmae:unknown"},
		"given twice":   {`{"name":"a","name":"b"}`, "name:repeated"},
		"wrong capital": {`{"Name":"a"}`, "Name:unknown name:required"},
	} {
		w.Run(name, func(t *testing.T) {
			resp := w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp, tc.body).WantProblem(400, "invalid-request")
			got := strings.Fields(resp.Rules())
			slices.Sort(got)
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp).WantProblem(404, "not-found")
}

// failing is a secret store whose next write fails, for each kind of secret.
type failing struct {
	setup.Secrets
	privateKey, archiveSecret error
}

func (f *failing) CreatePrivateKey(ctx context.Context, corp, id string, v secret.Value) error {
	if err := f.privateKey; err != nil {
		f.privateKey = nil
		return err
	}
	return f.Secrets.CreatePrivateKey(ctx, corp, id, v)
}

func (f *failing) PutArchiveSecret(ctx context.Context, corp string, v secret.Value) error {
	if err := f.archiveSecret; err != nil {
		f.archiveSecret = nil
		return err
	}
	return f.Secrets.PutArchiveSecret(ctx, corp, v)
}

func TestInterruptedWorkIsCompletedByDoingItAgain(t *testing.T) {
	w := apitest.NewWorld(t)
	store := &failing{Secrets: w.Secrets, privateKey: errors.New("lost"), archiveSecret: errors.New("lost")}
	w.Setup.Secrets = store
	put := func(path string, body any) apitest.Response { return w.Send(w.As(session.Admin), "PUT", path, body) }

	put("/v1/corps/"+w.Corp, map[string]any{"name": "n"}).WantProblem(500, "internal")
	if s := page(w); s.PublicKey != nil || len(s.Keys) != 0 {
		t.Error("a public key is offered whose private half is not durable")
	}
	put("/v1/corps/"+w.Corp, map[string]any{"name": "n"}).Want(200)
	if s := page(w); s.PublicKey == nil || s.Callback == nil {
		t.Errorf("registering again left the registration incomplete: %+v", s)
	}

	put("/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret}).WantProblem(500, "internal")
	w.Drain(w.Pulls)
	saved := apitest.Into[struct{ Changed []string }](put("/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret}).Want(200))
	if !slices.Equal(saved.Changed, []string{"secret"}) {
		t.Errorf("saving again: got %v, want the secret saved", saved.Changed)
	}
	if got, err := w.Secrets.ArchiveSecret(t.Context(), w.Corp); err != nil || !got.Equal(secret.New(aSecret)) {
		t.Errorf("the secret is not stored: %v", err)
	}
	if reqs := w.PullRequests(); len(reqs) != 1 || !reqs[0].Force {
		t.Errorf("got pull requests %+v, want one that is forced", reqs)
	}
}

// lostDigest is a store that fails once to note the digest of a new secret.
type lostDigest struct {
	setup.Corps
	setup.App
	before func() error // the next note; nil for none
}

func (l *lostDigest) NoteSecret(ctx context.Context, id string, setAt time.Time, d secret.Digest) error {
	if before := l.before; before != nil {
		l.before = nil
		if err := before(); err != nil {
			return err
		}
	}
	return l.Corps.NoteSecret(ctx, id, setAt, d)
}

func (l *lostDigest) NoteAppSecret(ctx context.Context, corp string, app book.App) error {
	if before := l.before; before != nil {
		l.before = nil
		if err := before(); err != nil {
			return err
		}
	}
	return l.App.NoteAppSecret(ctx, corp, app)
}

// The digest of a secret is noted when the secret is stored. So a save that was
// interrupted is completed by saving again, and of two saves at a time the one that
// ends last is stored with its own digest.
func TestDigestsFollowTheStoredSecret(t *testing.T) {
	for path, stored := range map[string]func(*apitest.World) (secret.Value, error){
		"/setup": func(w *apitest.World) (secret.Value, error) { return w.Secrets.ArchiveSecret(t.Context(), w.Corp) },
		"/app":   func(w *apitest.World) (secret.Value, error) { return w.Secrets.AppSecret(t.Context(), w.Corp) },
	} {
		t.Run(path, func(t *testing.T) {
			w := apitest.NewWorld(t)
			w.BareCorp(w.Corp)
			lost := &lostDigest{Corps: w.Corps, App: w.Contacts}
			w.Setup.Corps, w.Setup.App = lost, lost
			put := func(text string) apitest.Response {
				w.Pass(time.Second)
				return w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+path, map[string]any{"secret": text})
			}
			digests := func() (archive, app secret.Digest) {
				c, err := w.Corps.Corp(t.Context(), w.Corp)
				apitest.OK(t, err)
				r, err := w.Contacts.Reach(t.Context(), w.Corp)
				apitest.OK(t, err)
				return c.SecretDigest, r.App.SecretDigest
			}
			check := func(what, text string) {
				t.Helper()
				v := secret.New(text)
				archive, app := digests()
				if got, err := stored(w); err != nil || !got.Equal(v) || path == "/setup" && !v.Matches(archive) || path == "/app" && !v.Matches(app) {
					t.Errorf("%s: error %v, or the stored secret and its digest are not those of the save", what, err)
				}
			}
			lost.before = func() error { return errors.New("lost") }
			put(aSecret).WantProblem(500, "internal")
			if archive, app := digests(); archive != "" || app != "" {
				t.Errorf("got digests %q and %q of a save that was interrupted", archive, app)
			}
			put(aSecret).Want(200)
			check("saved again", aSecret)

			other, mine := strings.Repeat("o", 43), strings.Repeat("m", 43)
			lost.before = func() error { put(other).Want(200); return nil }
			put(mine).Want(200)
			check("two at a time", mine)
			put(mine).Want(200)
			check("unchanged", mine)
			put(other).Want(200)
			check("changed", other)
		})
	}
}

// lostTime is a store that fails once to write the time of a new secret.
type lostTime struct {
	setup.Corps
	lost bool
}

func (l *lostTime) SetSecret(ctx context.Context, id, prefix string, at time.Time) error {
	if !l.lost {
		l.lost = true
		return errors.New("lost")
	}
	return l.Corps.SetSecret(ctx, id, prefix, at)
}

// A changed secret is never stored under the time of the old one: the pauses after
// refusals of the old secret would hold back the new one.
func TestTimeOfASecretIsWrittenFirst(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Setup.Corps = &lostTime{Corps: w.Corps}
	put := func() apitest.Response {
		return w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret})
	}
	put().WantProblem(500, "internal")
	if _, err := w.Secrets.ArchiveSecret(t.Context(), w.Corp); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("the secret is stored without its time: %v", err)
	}
	put().Want(200)
	if s := page(w); s.Secret == nil || s.Secret.SetAt == "" {
		t.Errorf("saved again: got %+v", s)
	}
}

func TestSaveSecret(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	type saved struct {
		Changed []string
		Setup   setup.SetupJSON
	}
	put := func(body any) saved {
		t.Helper()
		return apitest.Into[saved](w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", body).Want(200))
	}
	first := put(map[string]any{"secret": aSecret})
	if !slices.Equal(first.Changed, []string{"secret"}) || first.Setup.Secret.Masked != "3kTq••••••••" || first.Setup.Secret.SetAt == "" {
		t.Errorf("got %+v", first)
	}
	w.Pass(time.Hour)
	again := put(map[string]any{"secret": aSecret})
	if len(again.Changed) != 0 || again.Setup.Secret.SetAt != first.Setup.Secret.SetAt {
		t.Errorf("the same again: got %+v", again)
	}
	changed := put(map[string]any{"secret": anotherSecret})
	if changed.Setup.Secret.Masked != "9zQw••••••••" || changed.Setup.Secret.SetAt == first.Setup.Secret.SetAt {
		t.Errorf("another: got %+v", changed)
	}
	corrected := put(map[string]any{"secret": aSecret})
	if !slices.Equal(corrected.Changed, []string{"secret"}) {
		t.Errorf("corrected at once: got %+v", corrected)
	}
	all := w.Drain(w.Pulls)
	for _, s := range all {
		if !strings.Contains(s.Body, `"force":true`) || strings.Contains(s.Body, apitest.SecretMark) {
			t.Errorf("got %s", s.Body)
		}
	}
	if len(all) != 2 { // the queue dropped the first one within the hour
		t.Errorf("got %d pull requests for four savings, want one while it waits", len(all))
	}
	if resp := w.Get(apitest.TokenOf(w.Other, session.Admin), "/v1/corps/"+w.Other+"/setup").Want(200); bytes.Contains(resp.Body, []byte("9zQw")) || bytes.Contains(resp.Body, []byte("3kTq")) {
		t.Error("another corp sees the secret's beginning")
	}
	if resp := w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/setup"); bytes.Contains(resp.Body, []byte(apitest.SecretMark)) {
		t.Error("the set-up page shows the secret")
	}
}

// What surrounds a secret that was copied from a page is left out, and the answer
// says so.
func TestSecretsAreTrimmed(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	for path, stored := range map[string]func() (secret.Value, error){
		"/setup": func() (secret.Value, error) { return w.Secrets.ArchiveSecret(t.Context(), w.Corp) },
		"/app":   func() (secret.Value, error) { return w.Secrets.AppSecret(t.Context(), w.Corp) },
	} {
		for i, around := range [][2]string{{"", ""}, {" ", "\t"}, {"\ufeff", "\r\n"}, {"\u3000", "\u00a0"}, {"\u200b\u2060", " \n \ufeff"}, {"\u202a\u00ad", "\u202c\x00"}, {`"`, `"`}, {"“", "” "}, {strings.Repeat(" ", 200), ""}} {
			bare := aSecret + path[1:] // the two steps have different Secrets
			body := map[string]any{"secret": around[0] + bare + around[1]}
			saved := apitest.Into[struct{ Trimmed []string }](w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+path, body).Want(200))
			if got, err := stored(); err != nil || !got.Equal(secret.New(bare)) {
				t.Errorf("%s, %q: error %v, or another secret is stored", path, around, err)
			}
			if want := min(i, 1); len(saved.Trimmed) != want || saved.Trimmed == nil {
				t.Errorf("%s, %q: got trimmed %q, want %d", path, around, saved.Trimmed, want)
			}
		}
	}
}

func TestSetupRefuses(t *testing.T) {
	w := apitest.NewWorld(t)
	register(w)
	for name, tc := range map[string]struct{ body, want string }{
		"nothing":             {`{}`, ":required"},
		"short secret":        {`{"secret":"abc"}`, "secret:length"},
		"long secret":         {`{"secret":"` + strings.Repeat("a", setup.MaxSecret+1) + `"}`, "secret:length"},
		"secret with a blank": {`{"secret":"` + aSecret[:9] + ` ` + aSecret[9:] + `"}`, "secret:form"},
		"blanks alone":        {`{"secret":"                    "}`, "secret:length"},
		"secret not ASCII":    {`{"secret":"云朵云朵云朵云朵云朵云朵云朵云朵云朵云朵"}`, "secret:form"},
		"secret a number":     {`{"secret":12345678901234567890}`, "secret:type"},
		"version a text":      {`{"publickey_ver":"1"}`, "publickey_ver:type"},
		"version a fraction":  {`{"publickey_ver":1.5}`, "publickey_ver:type"},
		"version with an e":   {`{"publickey_ver":1e3}`, "publickey_ver:type"},
		"version null":        {`{"publickey_ver":null}`, "publickey_ver:type"},
		"version zero":        {`{"publickey_ver":0}`, "publickey_ver:range"},
		"version negative":    {`{"publickey_ver":-1}`, "publickey_ver:range"},
		"version too large":   {`{"publickey_ver":4294967296}`, "publickey_ver:range"},
		"key alone":           {`{"secret":"` + aSecret + `","key_id":"` + strings.Repeat("a", 32) + `"}`, "publickey_ver:required"},
		"key malformed":       {`{"publickey_ver":1,"key_id":"` + strings.Repeat("Z", 32) + `"}`, "key_id:form"},
		"no such key":         {`{"publickey_ver":1,"key_id":"` + strings.Repeat("a", 32) + `"}`, "key_id:one_of"},
		"several":             {`{"secret":"abc","publickey_ver":0,"x":1}`, "x:unknown secret:length publickey_ver:range"},
	} {
		w.Run(name, func(t *testing.T) {
			resp := w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", tc.body).WantProblem(400, "invalid-request")
			if got := resp.Rules(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if s := page(w); s.Secret != nil {
		t.Error("the form was saved")
	}
}

func TestClaimVersion(t *testing.T) {
	w := apitest.NewWorld(t)
	first := *register(w).CurrentKey
	type saved struct {
		Changed []string
		Moved   *string `json:"claim_moved_from"`
		Setup   setup.SetupJSON
	}
	put := func(body any) saved {
		t.Helper()
		return apitest.Into[saved](w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", body).Want(200))
	}
	// The admin claims a version without messages for the offered key.
	s := put(map[string]any{"publickey_ver": 7})
	if !slices.Equal(s.Changed, []string{"publickey_ver"}) || s.Moved != nil || *s.Setup.Keys[0].ClaimedVersion != 7 || s.Setup.Keys[0].State != "claimed" {
		t.Errorf("got %+v", s)
	}
	if s := put(map[string]any{"publickey_ver": 7}); len(s.Changed) != 0 {
		t.Errorf("the same again changed %v", s.Changed)
	}
	// The offered key is in use now, so the API makes another.
	w.Pass(time.Second)
	second := apitest.Into[setup.KeyJSON](w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys", nil).Want(201)).ID
	s = put(map[string]any{"publickey_ver": 7})
	if s.Moved == nil || *s.Moved != first || *s.Setup.Keys[1].ClaimedVersion != 7 || s.Setup.Keys[0].ClaimedVersion != nil || s.Setup.Keys[0].State != "unused" {
		t.Errorf("the claim did not move: %+v", s)
	}
	// The admin corrects a typing mistake.
	if s := put(map[string]any{"publickey_ver": 8}); s.Moved != nil || *s.Setup.Keys[1].ClaimedVersion != 8 {
		t.Errorf("got %+v", s)
	}
	if s := put(map[string]any{"publickey_ver": 7, "key_id": first}); s.Moved != nil || *s.Setup.Keys[0].ClaimedVersion != 7 {
		t.Errorf("got %+v", s)
	}
	// No other key can claim a version that a message proved, and no part of such a
	// form is saved.
	bind(w, first, 7)
	resp := w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"publickey_ver": 7, "secret": aSecret}).WantProblem(409, "version-proved")
	if d := apitest.Into[apitest.Problem](resp).Detail; !strings.Contains(d, first[:8]+"…") || !strings.Contains(d, second[:8]+"…") || !strings.Contains(d, "version 7") {
		t.Errorf("the explanation does not name version and keys: %s", d)
	}
	now := page(w)
	if now.Secret != nil || now.Keys[0].State != "proved" || len(now.Keys[0].Proved) != 1 || now.Keys[0].Proved[0].Version != 7 || *now.Keys[1].ClaimedVersion != 8 {
		t.Errorf("got %+v", now)
	}
	// The page shows who waits for which version since when, and which message
	// proved it.
	one, two := now.Keys[0], now.Keys[1]
	if apitest.Deref(one.ClaimedBy) != "u-admin" || apitest.Deref(one.ClaimedAt) == "" || one.Proved[0].Seq != "1" || one.Proved[0].At != output.Moment(apitest.Noon) || apitest.Deref(one.OfferedAt) != one.CreatedAt || one.LastUsedAt != nil {
		t.Errorf("the proved key: got %+v", one)
	}
	if apitest.Deref(two.ClaimedBy) != "u-admin" || len(two.Proved) != 0 {
		t.Errorf("the claimed key: got %+v", two)
	}
	apitest.OK(t, w.Corps.TouchKey(t.Context(), w.Corp, first, w.Now()))
	if got := apitest.Deref(page(w).Keys[0].LastUsedAt); got != output.Moment(w.Now()) {
		t.Errorf("last used at %s", got)
	}
	if s := put(map[string]any{"publickey_ver": 7, "key_id": first}); len(s.Changed) != 0 {
		t.Errorf("claiming what is proved for the same key changed %v", s.Changed)
	}
}

// The page says whether the saved secret was tried, and what WeCom answered.
func TestSecretSaysWhetherItWasTried(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	if s := page(w); s.Secret != nil {
		t.Errorf("nothing saved: got %+v", s.Secret)
	}
	w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret}).Want(200)
	c, err := w.Corps.Corp(t.Context(), w.Corp)
	apitest.OK(t, err)
	of := func(s archive.Standing) archive.Standing {
		s.SecretSetAt = c.SecretSetAt
		return s
	}
	at := func(d time.Duration) time.Time { return c.SecretSetAt.Add(d) }
	trouble := func(cause archive.Cause, op string, d time.Duration) *archive.Trouble {
		return &archive.Trouble{Cause: cause, Op: op, Since: at(d), At: at(d)}
	}
	for name, tc := range map[string]struct {
		standing archive.Standing
		tried    time.Duration // since it was saved; 0 for never
		ok       bool
		trouble  archive.Cause
	}{
		"not yet":                  {of(archive.Standing{}), 0, false, ""},
		"accepted":                 {of(archive.Standing{OKAt: at(time.Second)}), time.Second, true, ""},
		"refused":                  {of(archive.Standing{RefusedAt: at(time.Second), Refusals: 1, Trouble: trouble(archive.CauseSecret, "Init", time.Second)}), time.Second, false, archive.CauseSecret},
		"an address refused":       {of(archive.Standing{Trouble: trouble(archive.CauseTrustedIP, "GetChatData", time.Minute)}), time.Minute, false, archive.CauseTrustedIP},
		"held by the gate":         {of(archive.Standing{Trouble: trouble(archive.CauseBudget, "", time.Minute)}), 0, false, archive.CauseBudget},
		"an earlier secret failed": {archive.Standing{SecretSetAt: at(-time.Hour), RefusedAt: at(-time.Minute), Trouble: trouble(archive.CauseSecret, "Init", -time.Minute)}, 0, false, ""},
	} {
		apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp, Standing: tc.standing}))
		got, tried := page(w).Secret, (*string)(nil)
		if tc.tried != 0 {
			tried = output.MomentOrNull(at(tc.tried))
		}
		if apitest.Deref(got.TriedAt) != apitest.Deref(tried) || (got.OKAt != nil) != tc.ok || (got.Trouble != nil) != (tc.trouble != "") || got.Trouble != nil && got.Trouble.Cause != tc.trouble {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// A fresh secret is first tried on the open way. A typing mistake is refused there,
// and never reaches the addresses that all companies share.
func TestFreshSecretIsTriedOnTheOpenWay(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	put := func(secret string) setup.SetupJSON {
		t.Helper()
		w.Pass(time.Minute)
		return apitest.Into[struct{ Setup setup.SetupJSON }](w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": secret}).Want(200)).Setup
	}
	w.WeCom.Answer(func(v secret.Value) error {
		if v.Equal(secret.New(aSecret)) {
			return nil
		}
		return &book.APIError{Op: "gettoken", Code: 40001}
	})
	s := put(anotherSecret)
	if s.Secret.Trouble == nil || s.Secret.Trouble.Cause != archive.CauseSecret || s.Secret.Trouble.Op != "gettoken" || s.Secret.Trouble.Code != 40001 || apitest.Deref(s.Secret.TriedAt) != output.Moment(w.Now()) || s.Secret.OKAt != nil {
		t.Errorf("refused: got %+v", s.Secret)
	}
	if got := w.PullRequests(); len(got) != 0 {
		t.Errorf("refused: got %d pulls", len(got))
	}
	if s = put(aSecret); s.Secret.Trouble != nil || apitest.Deref(s.Secret.OKAt) != output.Moment(w.Now()) || len(w.PullRequests()) != 1 {
		t.Errorf("accepted: got %+v", s.Secret)
	}
	// The corp used up its share of the trusted way with earlier secrets.
	until := w.Now().Add(20 * time.Hour)
	apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp, Standing: archive.Standing{NotBefore: until, HeldUntil: until}}))
	if s := page(w); apitest.Deref(s.Secret.NextTry) != output.Moment(w.Now()) {
		t.Errorf("accepted after the share: got %+v, want it tried now", s.Secret)
	}
	apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp}))
	for name, err := range map[string]error{
		"no connection": &book.APIError{Op: "gettoken", Cause: archive.CauseNetwork}, "address refused": &book.APIError{Op: "gettoken", Code: 60020},
		"too many calls": &book.APIError{Op: "gettoken", Code: 45009}, "no answer in time": context.DeadlineExceeded,
	} {
		w.WeCom.Answer(func(secret.Value) error { return err })
		if s = put(anotherSecret); s.Secret.OKAt != nil || s.Secret.Trouble != nil || s.Secret.TriedAt != nil || len(w.PullRequests()) != 1 {
			t.Errorf("%s: got %+v, want the trusted way to decide", name, s.Secret)
		}
		put(aSecret)
		w.PullRequests()
	}
	tries, err := w.Ledger.Tries(t.Context(), archive.Trusted, w.Now().Add(-time.Hour))
	apitest.OK(t, err)
	for _, try := range tries {
		if try.Corp == w.Corp {
			t.Errorf("got a try on the trusted way: %+v", try)
		}
	}
	// Ten refusals a day are this way's share; after them the trusted way decides.
	w.WeCom.Answer(func(secret.Value) error { return &book.APIError{Op: "gettoken", Code: 40001} })
	asked := w.WeCom.Asked
	for i := range 15 {
		put(fmt.Sprintf("a-wrong-secret-%d-%s", i, apitest.SecretMark))
	}
	if got := w.WeCom.Asked - asked; got > 10 {
		t.Errorf("got %d tries on the open way, want at most 10", got)
	}
	if got := w.PullRequests(); len(got) != 1 {
		t.Errorf("after the share: got %d pulls, want one", len(got))
	}
}

// The set-up keeps its ETag while nothing changes, although the next try of a secret
// without a pause is the present time.
func TestSetupIsTagged(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret}).Want(200)
	ask := func(tag string) apitest.Response {
		return w.Do(apitest.Request{Who: w.As(session.Admin), Method: "GET", Path: "/v1/corps/" + w.Corp + "/setup", Header: map[string]string{"If-None-Match": tag}})
	}
	tag := ask("").Want(200).Header.Get("Etag")
	w.Pass(time.Minute)
	ask(tag).Want(304)
	c, err := w.Corps.Corp(t.Context(), w.Corp)
	apitest.OK(t, err)
	apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp, Standing: archive.Standing{SecretSetAt: c.SecretSetAt, NotBefore: w.Now().Add(time.Hour)}}))
	paused := ask(tag).Want(200).Header.Get("Etag")
	w.Pass(time.Minute)
	ask(paused).Want(304)
}

// overtaken is a store in which another admin saves a secret after the first admin's
// save has ended, and before WeCom is asked about it.
type overtaken struct {
	setup.Corps
	reads int // since the end of the first save
	save  func() error
}

func (o *overtaken) NoteSecret(ctx context.Context, id string, setAt time.Time, d secret.Digest) error {
	o.reads = 1
	return o.Corps.NoteSecret(ctx, id, setAt, d)
}

func (o *overtaken) Corp(ctx context.Context, id string) (archive.Corp, error) {
	if o.reads > 0 {
		o.reads++
	}
	if o.reads == 3 { // the save's own look at the digest is the first read
		if err := o.save(); err != nil {
			return archive.Corp{}, err
		}
	}
	return o.Corps.Corp(ctx, id)
}

// WeCom's answer about one admin's secret is never noted on the secret that another
// admin saved meanwhile.
func TestAnswerAboutAnOvertakenSecretIsNotNoted(t *testing.T) {
	for name, noted := range map[string]bool{"the other save has begun": false, "the other save has ended": true} {
		t.Run(name, func(t *testing.T) {
			w := apitest.NewWorld(t)
			w.BareCorp(w.Corp)
			at := w.Now().Add(time.Second)
			w.Setup.Corps = &overtaken{Corps: w.Corps, save: func() error {
				if err := w.Corps.SetSecret(t.Context(), w.Corp, "9zQw", at); err != nil || !noted {
					return err
				}
				return w.Corps.NoteSecret(t.Context(), w.Corp, at, secret.New(anotherSecret).Digest())
			}}
			w.WeCom.Answer(func(secret.Value) error { return &book.APIError{Op: "gettoken", Code: 40001} })
			w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret}).Want(200)
			if c, err := w.Corps.Corp(t.Context(), w.Corp); err != nil || !c.SecretSetAt.Equal(at) || !c.OpenRefusedAt.IsZero() {
				t.Errorf("got %v, refused at %v; want the other secret without an answer", err, c.OpenRefusedAt)
			}
		})
	}
}

// Versions whose records no key opens are told, as far as the records set aside are
// looked at.
func TestVersionsWithoutAKey(t *testing.T) {
	w := apitest.NewWorld(t)
	register(w)
	if s := page(w); len(s.UnmatchedVersions) != 0 || s.UnmatchedMore {
		t.Errorf("a fresh corp: got %v, more %v", s.UnmatchedVersions, s.UnmatchedMore)
	}
	row := w.AppendRow(0, 3)
	w.SetAside(archive.SetAside{Corp: w.Corp, Seq: 2, After: row.After, MsgID: "m", KeyVersion: 4, Reason: archive.ReasonNoKey, At: apitest.Noon})
	if s := page(w); !slices.Equal(s.UnmatchedVersions, []uint32{4}) {
		t.Errorf("got %v, want 4", s.UnmatchedVersions)
	}
	if err := w.Messages.WritePage(t.Context(), decode.Decoded{Corp: w.Corp, Cleared: []uint64{2}}); err != nil {
		t.Fatal(err)
	}
	if s := page(w); len(s.UnmatchedVersions) != 0 {
		t.Errorf("opened: got %v", s.UnmatchedVersions)
	}

	var many []archive.SetAside
	for i := range uint64(setup.CountMost + 1) {
		many = append(many, archive.SetAside{Corp: w.Corp, Seq: 10 + i, After: 9, KeyVersion: 1, Reason: archive.ReasonLibrary, At: apitest.Noon})
	}
	w.SetAside(many[1:]...)
	if s := page(w); s.UnmatchedMore {
		t.Error("all rows were looked at, and there are said to be more")
	}
	many[0].Reason = archive.ReasonNoKey
	w.SetAside(many[0])
	if s := page(w); !s.UnmatchedMore || !slices.Equal(s.UnmatchedVersions, []uint32{1}) {
		t.Errorf("got %v, more %v", s.UnmatchedVersions, s.UnmatchedMore)
	}
}

func TestSwitchOnAndOff(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	put := func(enabled any) apitest.Response {
		return w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/state", map[string]any{"enabled": enabled})
	}
	if resp := put(true).WantProblem(409, "secret-missing"); !strings.Contains(apitest.Into[apitest.Problem](resp).Detail, "step 2") {
		t.Errorf("the step is not named: %s", resp.Body)
	}
	put(false).Want(200)
	w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"secret": aSecret}).Want(200)
	w.Drain(w.Pulls)
	on := apitest.Into[setup.CorpJSON](put(true).Want(200))
	if !on.Enabled || on.EnabledAt == nil {
		t.Errorf("got %+v", on)
	}
	w.Pass(time.Hour)
	if again := apitest.Into[setup.CorpJSON](put(true).Want(200)); *again.EnabledAt != *on.EnabledAt {
		t.Errorf("switching on twice moved the time from %s to %s", *on.EnabledAt, *again.EnabledAt)
	}
	if off := apitest.Into[setup.CorpJSON](put(false).Want(200)); off.Enabled {
		t.Error("it is still on")
	}
	if reqs := w.PullRequests(); len(reqs) != 2 || !reqs[0].Force || reqs[0].Why != "enabled" { // the second one after the first was lost
		t.Errorf("got pull requests %+v, want a forced one an hour", reqs)
	}
	for body, want := range map[string]string{`{}`: "enabled:required", `{"enabled":"true"}`: "enabled:type", `{"enabled":1}`: "enabled:type", `{"enabled":null}`: "enabled:type"} {
		if got := w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/state", body).Want(400).Rules(); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestPullOnRequest(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	ask := func() { w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/pull", nil).Want(202) }
	ask()
	ask()
	double := w.Drain(w.Pulls)
	if len(double) != 1 || !strings.Contains(double[0].Body, `"force":true`) {
		t.Errorf("a double click: got %+v, want one forced pull", double)
	}
	ask()
	if later := w.Drain(w.Pulls); len(later) != 1 {
		t.Errorf("a click after the pull began: got %+v, want another pull", later)
	}
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/pull").Want(405)
}

func TestRotationRaces(t *testing.T) {
	w := apitest.NewWorld(t)
	first := *register(w).CurrentKey
	rotate := func() apitest.Response { return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys", nil) }
	if k := apitest.Into[setup.KeyJSON](rotate().Want(200)); k.ID != first || !k.Current || k.State != "unused" {
		t.Errorf("an unused key was replaced: %+v", k)
	}
	w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"publickey_ver": 1}).Want(200)
	w.Pass(time.Second)
	const n = 5
	var wg sync.WaitGroup
	answers := make([]apitest.Response, n)
	for i := range n {
		wg.Go(func() { answers[i] = rotate() })
	}
	wg.Wait()
	made := 0
	for _, a := range answers {
		if a.Status == 201 {
			made++
		} else {
			a.Want(200)
		}
		if k, winner := apitest.Into[setup.KeyJSON](a), apitest.Into[setup.KeyJSON](answers[0]); k.ID != winner.ID || k.PublicKey != winner.PublicKey || k.ID == first {
			t.Errorf("got key %s, want %s", k.ID, winner.ID)
		}
	}
	s := page(w)
	if made != 1 || len(s.Keys) != 2 || s.Keys[0].Current || !s.Keys[1].Current || *s.PublicKey != s.Keys[1].PublicKey {
		t.Errorf("%d were made; got %+v", made, s.Keys)
	}
	if _, err := w.Secrets.PrivateKey(t.Context(), w.Corp, s.Keys[1].ID); err != nil {
		t.Errorf("the offered key's private half: %v", err)
	}
	// A key that decrypted a message is in use too.
	bind(w, s.Keys[1].ID, 2)
	rotate().Want(201)
}

// A corp has at most two keys that were made here and have not opened a message,
// whatever it claims, until the operator raises the bound.
func TestRotationWhileKeysAreUnproved(t *testing.T) {
	w := apitest.NewWorld(t)
	first := *register(w).CurrentKey
	rotate := func() apitest.Response { return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys", nil) }
	claim := func(version int) {
		w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+"/setup", map[string]any{"publickey_ver": version}).Want(200)
	}
	claim(1)
	w.Pass(time.Second)
	second := apitest.Into[setup.KeyJSON](rotate().Want(201)).ID
	rotate().Want(200)
	claim(2)
	made := 0
	w.Setup.MakePair = func() (rsakey.Pair, error) { made++; return rsakey.Make() }
	detail := apitest.Into[apitest.Problem](rotate().WantProblem(409, "keys-unproved")).Detail
	if made != 0 || !strings.Contains(detail, "2 keys") || !strings.Contains(detail, "Paste") {
		t.Errorf("made %d pairs, and the explanation is %q", made, detail)
	}
	// An imported key that is not proved does not count.
	bind(w, first, 1)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	apitest.OK(t, err)
	w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys/import", map[string]any{"private_key": pemOf(t, key, true)}).Want(201)
	third := apitest.Into[setup.KeyJSON](rotate().Want(201)).ID
	claim(3)
	if third == second || made != 1 {
		t.Errorf("got key %s after %s, %d pairs made", third, second, made)
	}
	rotate().WantProblem(409, "keys-unproved")
	quota, err := w.Corps.KeyQuota(t.Context(), w.Corp)
	apitest.OK(t, err)
	quota.Unproved = 3
	apitest.OK(t, w.Corps.SaveKeyQuota(t.Context(), w.Corp, quota))
	rotate().Want(201)
}

// A rotation that another one overtakes while it makes its pair stores nothing.
func TestOvertakenRotationStoresNoKey(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	won := archive.Key{ID: strings.Repeat("a", 32), PublicPEM: "pem", Origin: archive.KeyMade, CreatedAt: w.Now()}
	var lost string
	w.Setup.MakePair = func() (rsakey.Pair, error) {
		apitest.OK(t, w.Corps.AddKey(t.Context(), w.Corp, won, true, ""))
		pair, err := rsakey.Make()
		lost = pair.ID
		return pair, err
	}
	if k := apitest.Into[setup.KeyJSON](w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys", nil).Want(200)); k.ID != won.ID || !k.Current {
		t.Errorf("got %+v, want the key of the other rotation", k)
	}
	if _, err := w.Secrets.PrivateKey(t.Context(), w.Corp, lost); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("the private key is stored: %v", err)
	}
}

// pemOf encodes a private key as PKCS#1 or PKCS#8.
func pemOf(t *testing.T, key *rsa.PrivateKey, pkcs8 bool) string {
	t.Helper()
	if !pkcs8 {
		return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestImportKey(t *testing.T) {
	w := apitest.NewWorld(t)
	current := *register(w).CurrentKey
	w.BareCorp(w.Other)
	w.Pass(time.Second)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	post := func(body any) apitest.Response {
		return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys/import", body)
	}
	type imported struct {
		Key    setup.KeyJSON
		Moved  *string `json:"claim_moved_from"`
		Replay *replay.Document
	}
	resp := post(map[string]any{"private_key": pemOf(t, key, true), "publickey_ver": 3}).Want(201)
	got := apitest.Into[imported](resp)
	if got.Key.Origin != "imported" || got.Key.Current || *got.Key.ClaimedVersion != 3 || !got.Replay.SetAsideOnly || got.Replay.By != "u-admin" {
		t.Errorf("got %+v", got)
	}
	if bytes.Contains(resp.Body, []byte("PRIVATE")) {
		t.Error("the answer holds the private key")
	}
	requests := w.Drain(w.Decodes)
	if len(requests) != 1 || !strings.Contains(requests[0].Body, got.Replay.ID) {
		t.Errorf("got decode requests %+v, want the job", requests)
	}
	// The same key as PKCS#1: it is there, so there is nothing to do.
	again := apitest.Into[struct {
		Key    setup.KeyJSON
		Replay *replay.Document
	}](post(map[string]any{"private_key": "\n" + pemOf(t, key, false)}).Want(200))
	jobs, err := w.Ledger.Replays(t.Context(), w.Corp, 10)
	if err != nil || len(jobs) != 1 || again.Key.ID != got.Key.ID || *again.Key.ClaimedVersion != 3 || again.Replay != nil {
		t.Errorf("the same key again: got %+v, jobs %+v, error %v", again, jobs, err)
	}
	if requests := w.Drain(w.Decodes); len(requests) != 0 {
		t.Errorf("the same key again: got decode requests %+v", requests)
	}
	// Nor does it make a job after the first one has ended without proving the key.
	running, err := w.Ledger.Running(t.Context(), w.Corp, false)
	apitest.OK(t, err)
	apitest.OK(t, w.Ledger.RemoveRunning(t.Context(), running))
	post(map[string]any{"private_key": pemOf(t, key, true)}).Want(200)
	if jobs, err := w.Ledger.Replays(t.Context(), w.Corp, 10); err != nil || len(jobs) != 1 || len(w.Drain(w.Decodes)) != 0 {
		t.Errorf("the same key after its job: got jobs %+v, error %v; want the first alone", jobs, err)
	}
	if stored, err := w.Secrets.PrivateKey(t.Context(), w.Corp, got.Key.ID); err != nil || stored.IsZero() {
		t.Errorf("the private key is not stored: %v", err)
	}
	if s := page(w); *s.PublicKey == got.Key.PublicKey || len(s.Keys) != 2 || !s.Keys[0].Current || s.Keys[0].ID != current {
		t.Errorf("the imported key is offered: %+v", s.Keys)
	}
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/replays/"+got.Replay.ID).Want(200)
	// The key belongs to one corp only.
	if resp := w.Get(apitest.TokenOf(w.Other, session.Admin), "/v1/corps/"+w.Other+"/setup"); bytes.Contains(resp.Body, []byte(got.Key.ID)) {
		t.Error("another corp sees the key")
	}
	bind(w, current, 9)
	post(map[string]any{"private_key": pemOf(t, key, true), "publickey_ver": 9}).WantProblem(409, "version-proved")
}

// crash ends an invocation at a step, before or after its write.
type crash struct {
	step  string
	after bool
}

func (c *crash) at(step string, do func() error) error {
	died := errors.New("function ended")
	if c.step != step {
		return do()
	}
	if c.after {
		return errors.Join(do(), died)
	}
	return died
}

type (
	crashingSecrets struct {
		setup.Secrets
		*crash
	}
	crashingCorps struct {
		setup.Corps
		*crash
	}
	crashingReplays struct {
		setup.Retries
		*crash
	}
)

func (s crashingSecrets) CreatePrivateKey(ctx context.Context, corp, id string, v secret.Value) error {
	return s.at("private key", func() error { return s.Secrets.CreatePrivateKey(ctx, corp, id, v) })
}

func (s crashingCorps) SaveKeyQuota(ctx context.Context, id string, q archive.KeyQuota) error {
	return s.at("quota", func() error { return s.Corps.SaveKeyQuota(ctx, id, q) })
}

func (s crashingCorps) AddKey(ctx context.Context, id string, k archive.Key, makeCurrent bool, prev string) error {
	return s.at("key", func() error { return s.Corps.AddKey(ctx, id, k, makeCurrent, prev) })
}

func (s crashingCorps) Claim(ctx context.Context, id, keyID string, version uint32, by string, at time.Time) error {
	return s.at("claim", func() error { return s.Corps.Claim(ctx, id, keyID, version, by, at) })
}

func (s crashingCorps) NoteRetried(ctx context.Context, id, keyID string) error {
	return s.at("note", func() error { return s.Corps.NoteRetried(ctx, id, keyID) })
}

func (r crashingReplays) PlanRetry(ctx context.Context, job decode.Replay) error {
	return r.at("job", func() error { return r.Retries.PlanRetry(ctx, job) })
}

func (r crashingReplays) StartRetry(ctx context.Context, job decode.Replay) (started bool, _ error) {
	err := r.at("request", func() (err error) {
		started, err = r.Retries.StartRetry(ctx, job)
		return err
	})
	return started, err
}

// importSteps are the writes of an import, in order.
var importSteps = []string{"quota", "private key", "job", "key", "claim", "request", "note"}

// An import may crash at any write. If the key exists after the crash, a job that
// tries the key on the records set aside exists too, and dispatch finds the job.
// So it does where another job runs.
func TestImportCrashesAnywhere(t *testing.T) {
	w := apitest.NewWorld(t)
	c := &crash{}
	w.Setup.Secrets, w.Setup.Corps, w.Setup.Replays = crashingSecrets{w.Secrets, c}, crashingCorps{w.Corps, c}, crashingReplays{w.Setup.Replays, c}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"private_key": pemOf(t, key, true), "publickey_ver": 1}
	for _, step := range importSteps {
		for _, after := range []bool{false, true} {
			for _, busy := range []bool{false, true} {
				w.Run(fmt.Sprintf("%s, after %v, busy %v", step, after, busy), func(t *testing.T) {
					w.Corp = apitest.NewCorpID()
					w.BareCorp(w.Corp)
					path := "/v1/corps/" + w.Corp
					if busy {
						w.Send(w.As(session.Admin), "POST", path+"/replays", map[string]any{}).Want(202)
						w.Drain(w.Decodes)
					}
					*c = crash{step, after}
					w.Send(w.As(session.Admin), "POST", path+"/keys/import", body).WantProblem(500, "internal")
					checkCrashedImport(w, busy, step == "request" && after || step == "note")
					*c = crash{}
					if resp := w.Send(w.As(session.Admin), "POST", path+"/keys/import", body); resp.Status != 200 && resp.Status != 201 {
						t.Errorf("repeated: got status %d", resp.Status)
					}
					set, err := w.Corps.KeySet(t.Context(), w.Corp)
					if err != nil || len(set.Keys) != 1 || set.Keys[0].ClaimedVersion != 1 {
						t.Errorf("repeated: got keys %+v, %v", set.Keys, err)
					}
					if requests := w.Drain(w.Decodes); len(requests) > 1 {
						t.Errorf("repeated: got requests %+v, want at most one", requests)
					}
					checkRetry(w, busy)
				})
			}
		}
	}
}

// checkCrashedImport checks what a crashed import left.
func checkCrashedImport(w *apitest.World, busy, requested bool) {
	t := w.T
	t.Helper()
	set, err := w.Corps.KeySet(t.Context(), w.Corp)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) > 0 {
		checkRetry(w, busy)
	}
	// No job runs before its key is stored: the import requests the job last, and
	// dispatch requests it after the time of many invocations.
	if requests := w.Drain(w.Decodes); len(requests) != 0 && !requested {
		t.Errorf("got requests %+v, want none", requests)
	}
}

// checkRetry wants that the records set aside are tried again: by the running job,
// or after it.
func checkRetry(w *apitest.World, busy bool) {
	t := w.T
	t.Helper()
	running, err := w.Ledger.Running(t.Context(), w.Corp, false)
	if err != nil {
		t.Fatal(err)
	}
	job, err := w.Ledger.Replay(t.Context(), w.Corp, running.ID)
	if err != nil || job.Done || !job.OnlySetAside && !running.KeyCame || busy == job.OnlySetAside {
		t.Errorf("got job %+v, running %+v, %v", job, running, err)
	}
}

// A corp imports 20 keys a day and 100 in all, also by requests at once, until
// the operator raises the bounds.
func TestImportsAreBounded(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	post := func() apitest.Response {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		apitest.OK(t, err)
		return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys/import", map[string]any{"private_key": pemOf(t, key, true)})
	}
	use := func(change func(*archive.KeyQuota)) {
		t.Helper()
		q, err := w.Corps.KeyQuota(t.Context(), w.Corp)
		apitest.OK(t, err)
		change(&q)
		apitest.OK(t, w.Corps.SaveKeyQuota(t.Context(), w.Corp, q))
	}
	wantKeys := func(what string, want int) {
		t.Helper()
		if set, err := w.Corps.KeySet(t.Context(), w.Corp); err != nil || len(set.Keys) != want {
			t.Errorf("%s: got %d keys, error %v, want %d", what, len(set.Keys), err, want)
		}
	}
	use(func(q *archive.KeyQuota) { q.Day, q.Today, q.Begun = archive.DayOf(w.Now()), 18, 50 })
	statuses := make([]int, 4)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i] = post().Status })
	}
	wg.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{201, 201, 409, 409}) {
		t.Errorf("four imports where two are left: got %v", statuses)
	}
	wantKeys("the day is used up", 2)
	if d := apitest.Into[apitest.Problem](post().WantProblem(409, "imports-today")).Detail; !strings.Contains(d, "20 keys") || !strings.Contains(d, "tomorrow") {
		t.Errorf("got explanation %q", d)
	}
	use(func(q *archive.KeyQuota) { q.ImportsPerDay = 21 })
	post().Want(201)
	w.Pass(24 * time.Hour)
	post().Want(201)
	wantKeys("the next day", 4)
	use(func(q *archive.KeyQuota) { q.Begun = 100 })
	if d := apitest.Into[apitest.Problem](post().WantProblem(409, "imports-used")).Detail; !strings.Contains(d, "100 keys") || !strings.Contains(d, "operator") {
		t.Errorf("got explanation %q", d)
	}
	use(func(q *archive.KeyQuota) { q.Imports = 101 })
	post().Want(201)
	wantKeys("raised", 5)
}

func TestImportRefuses(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := rsakey.Make()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		body any
		want string
	}{
		"none":         {map[string]any{}, "private_key:required"},
		"number":       {map[string]any{"private_key": 1}, "private_key:type"},
		"empty":        {map[string]any{"private_key": ""}, "private_key:length"},
		"long":         {map[string]any{"private_key": strings.Repeat("x", setup.MaxPrivateKey+1)}, "private_key:length"},
		"no PEM":       {map[string]any{"private_key": "hello"}, "private_key:not_pem"},
		"public key":   {map[string]any{"private_key": pair.PublicPEM}, "private_key:no_private_key"},
		"too small":    {map[string]any{"private_key": pemOf(t, small, true), "publickey_ver": 0}, "private_key:not_2048_bits publickey_ver:range"},
		"cut off":      {map[string]any{"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "private_key:malformed"},
		"another kind": {map[string]any{"private_key": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"}, "private_key:not_rsa"},
	} {
		w.Run(name, func(t *testing.T) {
			resp := w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys/import", tc.body).WantProblem(400, "invalid-request")
			if got := resp.Rules(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			for _, e := range apitest.Into[apitest.Problem](resp).Errors {
				if e.Remedy == "" {
					t.Errorf("%s:%s says nothing", e.Field, e.Rule)
				}
			}
		})
	}
	if set, err := w.Corps.KeySet(t.Context(), w.Corp); err != nil || len(set.Keys) != 0 {
		t.Errorf("got %d keys, %v, want none", len(set.Keys), err)
	}
}

// A stored proof for records without a version refuses no import without a version.
func TestImportWithoutAVersionNeedsNoFreeVersion(t *testing.T) {
	w := apitest.NewWorld(t)
	bind(w, *register(w).CurrentKey, 0)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/keys/import", map[string]any{"private_key": pemOf(t, key, true)}).Want(201)
}

// endingReplays is the job store of a corp whose running job ends between the plan
// of a retry and the storing of the key.
type endingReplays struct {
	setup.Retries
	end func()
}

func (r endingReplays) PlanRetry(ctx context.Context, job decode.Replay) error {
	defer r.end()
	return r.Retries.PlanRetry(ctx, job)
}

// An import loses its retry if the running job ends before the key is stored and
// the function ends before it requests the retry. The import of the same key then
// requests it, once.
func TestImportAgainMakesUpForALostRetry(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	path := "/v1/corps/" + w.Corp
	w.Send(w.As(session.Admin), "POST", path+"/replays", map[string]any{}).Want(202)
	c := &crash{step: "request"}
	stored := w.Setup.Replays
	w.Setup.Replays = crashingReplays{endingReplays{stored, func() {
		running, err := w.Ledger.Running(t.Context(), w.Corp, false)
		apitest.OK(t, err)
		apitest.OK(t, w.Ledger.RemoveRunning(t.Context(), running))
	}}, c}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	apitest.OK(t, err)
	post := func() apitest.Response {
		w.Pass(time.Second)
		return w.Send(w.As(session.Admin), "POST", path+"/keys/import", map[string]any{"private_key": pemOf(t, key, true)})
	}
	post().WantProblem(500, "internal")
	if running, err := w.Ledger.Running(t.Context(), w.Corp, false); !errors.Is(err, archive.ErrNotFound) {
		t.Fatalf("got %+v, %v, want the retry lost", running, err)
	}
	w.Drain(w.Decodes)
	w.Setup.Replays = stored
	type imported struct {
		Key    setup.KeyJSON
		Replay *replay.Document
	}
	again := apitest.Into[imported](post().Want(200))
	if again.Replay == nil || !again.Replay.SetAsideOnly || len(w.Drain(w.Decodes)) != 1 {
		t.Fatalf("got %+v, want a retry that is requested", again)
	}
	if third := apitest.Into[imported](post().Want(200)); third.Replay != nil || len(w.Drain(w.Decodes)) != 0 {
		t.Errorf("got %+v, want no second job", third)
	}
	running, err := w.Ledger.Running(t.Context(), w.Corp, false)
	apitest.OK(t, err)
	apitest.OK(t, w.Ledger.RemoveRunning(t.Context(), running))
	if fourth := apitest.Into[imported](post().Want(200)); fourth.Replay != nil || len(w.Drain(w.Decodes)) != 0 {
		t.Errorf("got %+v, want no job: the retry was requested", fourth)
	}
}

// Each route that saves a part of the set-up lets the doctor examine it. Saving
// again and again makes no further requests: two wait at most.
func TestTheDoctorExaminesAfterEachSave(t *testing.T) {
	w := apitest.NewWorld(t)
	register(w)
	if reqs := w.InspectRequests(); len(reqs) != 1 || !reqs[0].Examine {
		t.Errorf("registered: got requests %+v, want one examination", reqs)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	apitest.OK(t, err)
	for _, save := range []struct {
		method, path string
		body         map[string]any
	}{
		{"PUT", "", map[string]any{"name": "another name"}},
		{"PUT", "/setup", map[string]any{"secret": aSecret}},
		{"PUT", "/setup", map[string]any{"publickey_ver": 1}},
		{"PUT", "/app", map[string]any{"secret": "app-" + aSecret}},
		{"PUT", "/state", map[string]any{"enabled": true}},
		{"POST", "/keys", nil},
		{"POST", "/keys/import", map[string]any{"private_key": pemOf(t, key, true)}},
		{"POST", "/callback/rotate", map[string]any{}},
		{"POST", "/app/callback/rotate", map[string]any{}},
	} {
		for range 5 {
			r := apitest.Request{Who: w.As(session.Admin), Method: save.method, Path: "/v1/corps/" + w.Corp + save.path, Unchecked: true}
			if save.body != nil {
				r.Body = save.body
			}
			if resp := w.Do(r); resp.Status >= 300 {
				t.Fatalf("%s %s: got status %d: %s", save.method, save.path, resp.Status, resp.Body)
			}
		}
		reqs := w.InspectRequests()
		if len(reqs) == 0 || len(reqs) > 2 || !slices.ContainsFunc(reqs, func(r book.Request) bool { return r.Examine || r.Check }) {
			t.Errorf("%s %s: got requests %+v, want an examination, and two requests at most", save.method, save.path, reqs)
		}
	}
}
