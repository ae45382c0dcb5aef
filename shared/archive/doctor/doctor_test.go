package doctor_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

var now = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// well are the facts of a corp whose every check is ok.
func well() doctor.Facts {
	saved := ago(72 * time.Hour)
	accepted := archive.Standing{SecretSetAt: saved, OKAt: ago(time.Minute)}
	app := archive.Standing{SecretSetAt: ago(48 * time.Hour), OKAt: ago(time.Hour)}
	return doctor.Facts{
		Now: now, TrustedIPs: []string{"203.0.113.9", "203.0.113.10"}, Came: true,
		Corp: archive.Corp{
			ID: "ww0123456789abcdef", Enabled: true, EnabledAt: ago(71 * time.Hour), SecretPrefix: "3kTq", SecretSetAt: saved, CurrentKey: "k1",
			CallbackAt: ago(time.Minute),
		},
		Pull: archive.PullState{LastCallAt: ago(time.Minute), LastPageAt: ago(time.Minute), LastEmptyAt: ago(time.Minute), Standing: accepted},
		Keys: archive.KeySet{
			Keys:     []archive.Key{{ID: "k1", Origin: archive.KeyMade, CreatedAt: saved, ClaimedVersion: 4, ClaimedAt: saved}},
			Bindings: []archive.Binding{{Version: 4, KeyID: "k1", At: ago(70 * time.Hour)}},
		},
		Reach: directory.Reach{
			App: directory.App{SetAt: app.SecretSetAt}, Scope: &directory.Scope{Count: 23, At: ago(time.Hour)},
			Access: map[directory.Access]archive.Standing{directory.AccessArchive: accepted, directory.AccessMembers: app, directory.AccessCustomers: app},
		},
		Callback:    archive.Callback{Pair: "p", VerifiedAt: saved, EventAt: ago(time.Minute)},
		AppCallback: archive.Callback{Pair: "q", VerifiedAt: saved},
	}
}

func troubled(c archive.Cause, since time.Duration, more ...func(*archive.Trouble)) func(*doctor.Facts) {
	t := archive.Trouble{Cause: c, Op: "GetChatData", Code: 1, Since: ago(since), At: ago(time.Second)}
	for _, m := range more {
		m(&t)
	}
	return func(f *doctor.Facts) { f.Pull.Trouble = &t }
}

func fromIP(ip string) func(*archive.Trouble) { return func(t *archive.Trouble) { t.FromIP = ip } }

func aside(reason archive.Reason, version uint32) func(*doctor.Facts) {
	return func(f *doctor.Facts) {
		f.SetAside = append(f.SetAside, archive.SetAside{Seq: 9, KeyVersion: version, Reason: reason, At: ago(time.Hour)})
	}
}

func appTrouble(c archive.Cause, more ...func(*archive.Trouble)) func(*doctor.Facts) {
	return func(f *doctor.Facts) {
		s := f.Reach.Access[directory.AccessCustomers]
		s.Trouble = &archive.Trouble{Cause: c, Op: "externalcontact/get", Since: ago(time.Hour), At: ago(time.Hour)}
		for _, m := range more {
			m(s.Trouble)
		}
		f.Reach.Access[directory.AccessCustomers] = s
	}
}

// fresh are the facts of a corp that was registered a moment ago.
func fresh(f *doctor.Facts) {
	*f = doctor.Facts{
		Now: now, TrustedIPs: f.TrustedIPs, Corp: archive.Corp{ID: f.Corp.ID, CurrentKey: "k1"},
		Keys: archive.KeySet{Keys: []archive.Key{{ID: "k1", Origin: archive.KeyMade, CreatedAt: now}}}, Callback: archive.Callback{Pair: "p"},
	}
}

// untried is the state after the secret was saved and before WeCom answered.
func untried(f *doctor.Facts) {
	fresh(f)
	f.Corp.SecretPrefix, f.Corp.SecretSetAt = "3kTq", ago(time.Second)
}

// One check decides whether a step is done, a bad check of the step marks it too, and
// strangers' requests never do.
func TestMarksOfTheSteps(t *testing.T) {
	off := func(f *doctor.Facts) { fresh(f); f.Corp.EnabledAt = time.Time{} }
	for name, tc := range map[string]struct {
		change func(*doctor.Facts)
		want   string
	}{
		"well":                      {func(*doctor.Facts) {}, "done done done done done done done done"},
		"registered":                {off, "done todo todo todo todo todo todo todo"},
		"a version before a Secret": {func(f *doctor.Facts) { off(f); f.Keys.Keys[0].ClaimedVersion = 1 }, "done todo todo waiting todo todo todo todo"},
		"a Secret is saved":         {untried, "done waiting waiting todo waiting todo todo todo"},
		"the Secret is refused":     {troubled(archive.CauseSecret, time.Hour), "done done redo done done done done done"},
		"the corpid is unknown":     {troubled(archive.CauseCorpID, time.Hour), "redo done done done done done done done"},
		"a version has no key":      {aside(archive.ReasonNoKey, 9), "done done done redo done done done done"},
		"the app may not be called": {appTrouble(archive.CauseSecretKind), "done done done done done done done redo"},
		"no app": {func(f *doctor.Facts) {
			f.Reach.App, f.AppCallback = directory.App{}, archive.Callback{}
		}, "done done done done done done done todo"},
		"a stranger's callback": {func(f *doctor.Facts) {
			f.Callback.RefusedDay, f.Callback.RefusedAt, f.Callback.Refused = archive.DayOf(now), now, 3
		}, "done done done done done done done done"},
	} {
		f := well()
		tc.change(&f)
		results := doctor.Derive(f)
		var marks []string
		for n := range doctor.Steps {
			marks = append(marks, string(doctor.MarkOf(n, results)))
		}
		if got := strings.Join(marks, " "); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}

// testCase is a cause, and what shows beside it.
type testCase struct {
	name     string
	change   func(*doctor.Facts)
	check    doctor.Check
	state    doctor.State
	cause    doctor.Cause
	evidence string // fact=value, separated by blanks
}

var cases = []testCase{
	{"saved and not tried", untried, doctor.CheckSecret, doctor.Waiting, "", "set_at=2026-01-31T07:59:59Z"},
	{"no secret", fresh, doctor.CheckSecret, doctor.Waiting, "secret_missing", ""},
	{"secret refused", troubled(archive.CauseSecret, time.Hour), doctor.CheckSecret, doctor.Bad, "secret_refused", "masked=3kTq… set_at=2026-01-28T08:00:00Z"},
	{"secret refused on the open way", func(f *doctor.Facts) {
		untried(f)
		f.Corp.OpenRefusedAt, f.Corp.OpenCause, f.Corp.OpenCode = now, archive.CauseSecret, 40001
	}, doctor.CheckSecret, doctor.Bad, "secret_refused", "masked=3kTq… set_at=2026-01-31T07:59:59Z"},
	{"secret accepted on the open way", func(f *doctor.Facts) { untried(f); f.Corp.OpenOKAt = now }, doctor.CheckSecret, doctor.OK, "", ""},
	{"refused on the open way, then accepted on the trusted one", func(f *doctor.Facts) {
		f.Corp.OpenRefusedAt, f.Corp.OpenCause = ago(time.Hour), archive.CauseSecret
	}, doctor.CheckSecret, doctor.OK, "", ""},
	{"an earlier secret was refused", func(f *doctor.Facts) {
		f.Pull.Standing = archive.Standing{SecretSetAt: ago(80 * time.Hour), Trouble: &archive.Trouble{Cause: archive.CauseSecret, Since: ago(80 * time.Hour), At: ago(73 * time.Hour)}}
	}, doctor.CheckSecret, doctor.OK, "", ""},
	{"secret of another app", troubled(archive.CauseSecretKind, time.Hour), doctor.CheckSecret, doctor.Bad, "secret_kind", "masked=3kTq… set_at=2026-01-28T08:00:00Z"},
	{"share used up", func(f *doctor.Facts) {
		troubled(archive.CauseShare, time.Hour)(f)
		f.Pull.HeldUntil = now.Add(time.Hour)
	}, doctor.CheckSecret, doctor.Bad, "refusal_share", "masked=3kTq… set_at=2026-01-28T08:00:00Z until=2026-01-31T09:00:00Z"},
	{"budget used up", troubled(archive.CauseBudget, time.Hour), doctor.CheckSecret, doctor.Bad, "address_budget", "masked=3kTq… set_at=2026-01-28T08:00:00Z"},
	{"corpid", troubled(archive.CauseCorpID, time.Hour), doctor.CheckCorp, doctor.Bad, "corpid", "corp_id=ww0123456789abcdef"},
	{"corpid not seen", fresh, doctor.CheckCorp, doctor.Unseen, "", ""},

	{"not open", troubled(archive.CauseNotOpen, time.Hour), doctor.CheckScope, doctor.Bad, "not_open", ""},
	{"not open, the switch", troubled(archive.CauseNotOpen, time.Hour), doctor.CheckSwitch, doctor.Bad, "not_open", ""},
	{"licence", troubled(archive.CauseExpired, time.Hour), doctor.CheckScope, doctor.Bad, "licence_expired", ""},
	{"app of the archive off", troubled(archive.CauseDisabled, time.Hour), doctor.CheckScope, doctor.Bad, "archive_disabled", ""},
	{"corp not verified", troubled(archive.CauseUnverified, time.Hour), doctor.CheckScope, doctor.Bad, "corp_unverified", ""},
	{"nobody in scope", func(f *doctor.Facts) { f.Reach.Scope.Count = 0 }, doctor.CheckScope, doctor.Bad, "scope_empty", ""},
	{"scope not seen", fresh, doctor.CheckScope, doctor.Unseen, "", ""},
	{"scope", func(*doctor.Facts) {}, doctor.CheckScope, doctor.OK, "", "members=23"},
	{"seats", func(*doctor.Facts) {}, doctor.CheckSeats, doctor.Unseen, "scope_over_seats", "members=23"},

	{"key not pasted", fresh, doctor.CheckKey, doctor.Waiting, "key_unclaimed", ""},
	{"key not proved", func(f *doctor.Facts) { f.Keys.Bindings = nil; f.Keys.Keys[0].ClaimedBy = "wang.min" }, doctor.CheckKey, doctor.Waiting, "key_unproved", "version=4 by=wang.min"},
	{"another version proved", func(f *doctor.Facts) { f.Keys.Bindings[0].Version = 5 }, doctor.CheckKey, doctor.OK, "proved_elsewhere", "claimed=4 proved=5"},
	{"versions without a key", func(f *doctor.Facts) { aside(archive.ReasonNoKey, 7)(f); aside(archive.ReasonNoKey, 6)(f) },
		doctor.CheckVersions, doctor.Bad, "version_unmatched", "versions=6, 7 count=2 files_until=2026-02-05T07:00:00Z"},
	{"many records without a key", func(f *doctor.Facts) { aside(archive.ReasonNoKey, 7)(f); f.MoreAside = true },
		doctor.CheckVersions, doctor.Bad, "version_unmatched", "versions=7 at_least=1 files_until=2026-02-05T07:00:00Z"},

	{"address refused", troubled(archive.CauseTrustedIP, time.Hour, fromIP("203.0.113.9")), doctor.CheckTrustedIP, doctor.Bad, "trusted_ip", "trusted_ips=203.0.113.9;203.0.113.10 from_ip=203.0.113.9 on_list=yes"},
	{"address refused, not told which", troubled(archive.CauseTrustedIP, time.Hour), doctor.CheckTrustedIP, doctor.Bad, "trusted_ip", "trusted_ips=203.0.113.9;203.0.113.10"},
	{"another way out", troubled(archive.CauseTrustedIP, time.Hour, fromIP("198.51.100.1")), doctor.CheckTrustedIP, doctor.Bad, "egress_differs", "trusted_ips=203.0.113.9;203.0.113.10 from_ip=198.51.100.1 on_list=no"},
	{"address refused by the HTTP API", func(f *doctor.Facts) {
		s := f.Reach.Access[directory.AccessArchive]
		s.Trouble = &archive.Trouble{Cause: archive.CauseTrustedIP, FromIP: "203.0.113.9", Since: now, At: now}
		f.Reach.Access[directory.AccessArchive] = s
	}, doctor.CheckTrustedIP, doctor.Bad, "trusted_ip", "trusted_ips=203.0.113.9;203.0.113.10 from_ip=203.0.113.9 on_list=yes"},
	{"address not seen", fresh, doctor.CheckTrustedIP, doctor.Unseen, "", "trusted_ips=203.0.113.9;203.0.113.10"},

	{"never on", fresh, doctor.CheckSwitch, doctor.Waiting, "switched_off", ""},
	{"switched off", func(f *doctor.Facts) {
		f.Corp.Enabled, f.Corp.StateAt, f.Corp.StateBy, f.Corp.StateReason = false, ago(time.Hour), "wang.min", "moving"
	}, doctor.CheckSwitch, doctor.Off, "switched_off", "by=wang.min reason=moving"},
	{"switched on a moment ago", func(f *doctor.Facts) { untried(f); f.Corp.Enabled, f.Corp.EnabledAt = true, now }, doctor.CheckSwitch, doctor.Waiting, "", ""},

	{"callback not verified", fresh, doctor.CheckCallback, doctor.Unseen, "callback_unverified", ""},
	{"callback refused", func(f *doctor.Facts) {
		f.Callback.RefusedDay, f.Callback.Refused, f.Callback.RefusedAt, f.Callback.RefusedWhy, f.Callback.RefusedFrom = archive.DayOf(now), 3, now, archive.RefusedSignature, "198.51.100.7"
	}, doctor.CheckCallback, doctor.Bad, "callback_refused", "at_least=3 why=signature source_ip=198.51.100.7"},
	{"callback refused before an event", func(f *doctor.Facts) {
		f.Callback.RefusedDay, f.Callback.Refused, f.Callback.RefusedAt = archive.DayOf(now), 3, ago(time.Hour)
	}, doctor.CheckCallback, doctor.OK, "", "verified_at=2026-01-28T08:00:00Z event_at=2026-01-31T07:59:00Z"},
	{"callback silent", func(f *doctor.Facts) { f.Corp.CallbackAt, f.Callback.EventAt = ago(25*time.Hour), time.Time{} },
		doctor.CheckCallback, doctor.Bad, "callback_silent", "verified_at=2026-01-28T08:00:00Z event_at=2026-01-30T07:00:00Z"},
	{"callback and messages silent", func(f *doctor.Facts) {
		f.Corp.CallbackAt, f.Callback.EventAt, f.Pull.LastPageAt = ago(60*time.Hour), ago(60*time.Hour), ago(60*time.Hour)
	}, doctor.CheckCallback, doctor.OK, "", "verified_at=2026-01-28T08:00:00Z event_at=2026-01-28T20:00:00Z"},
	{"callback of the app silent", func(f *doctor.Facts) { f.AppCallback.VerifiedAt = ago(1000 * time.Hour) }, doctor.CheckAppCallback, doctor.OK, "",
		"verified_at=2025-12-20T16:00:00Z"},
	{"no callback of the app", fresh, doctor.CheckAppCallback, doctor.Off, "", ""},

	{"a minute's outage", troubled(archive.CauseNetwork, time.Minute), doctor.CheckPulls, doctor.OK, "", ""},
	{"network", troubled(archive.CauseNetwork, time.Hour), doctor.CheckPulls, doctor.Bad, "network", "hours=120.0"},
	{"busy", troubled(archive.CauseBusy, time.Hour), doctor.CheckPulls, doctor.Bad, "wecom_busy", "hours=120.0"},
	{"too many calls", troubled(archive.CauseRate, time.Hour), doctor.CheckPulls, doctor.Bad, "rate_limited", "hours=120.0"},
	{"tls", troubled(archive.CauseTLS, time.Hour), doctor.CheckPulls, doctor.Bad, "tls", "hours=120.0"},
	{"library missing", troubled(archive.CauseLibraryMissing, time.Minute), doctor.CheckPulls, doctor.Bad, "library_missing", "hours=120.0"},
	{"library crashes", troubled(archive.CauseLibraryCrash, time.Hour), doctor.CheckPulls, doctor.Bad, "library_crash", "hours=120.0"},
	{"bad answers", troubled(archive.CauseBadAnswer, time.Hour), doctor.CheckPulls, doctor.Bad, "bad_answer", "hours=120.0"},
	{"large record", troubled(archive.CauseRecordTooLarge, time.Hour), doctor.CheckPulls, doctor.Bad, "record_too_large", "hours=120.0"},
	{"unknown code", troubled(archive.CauseUnknownResponse, time.Hour), doctor.CheckPulls, doctor.Bad, "unknown_error", "hours=120.0"},
	{"switched off, pulls", func(f *doctor.Facts) { f.Corp.Enabled = false }, doctor.CheckPulls, doctor.Off, "", ""},

	{"nothing yet", func(f *doctor.Facts) { f.Came, f.Pull.LastPageAt = false, time.Time{} }, doctor.CheckChats, doctor.Waiting, "nothing_yet", "last_call=2026-01-31T07:59:00Z members=23"},
	{"nothing in the first hour", func(f *doctor.Facts) { f.Came, f.Corp.EnabledAt = false, ago(time.Minute) }, doctor.CheckChats, doctor.Waiting, "", ""},
	{"never on, chats", fresh, doctor.CheckChats, doctor.Off, "", ""},

	{"late", func(f *doctor.Facts) { f.Pull.LastEmptyAt = ago(50 * time.Hour) }, doctor.CheckHours, doctor.Bad, "late", "hours=70.0"},
	{"losing", func(f *doctor.Facts) { f.Pull.LastEmptyAt = ago(121 * time.Hour) }, doctor.CheckHours, doctor.Bad, "losing", "hours=-1.0"},
	{"lost", func(f *doctor.Facts) {
		f.Losses = []archive.Loss{{Since: ago(200 * time.Hour), At: ago(80 * time.Hour)}}
	}, doctor.CheckLosses, doctor.Bad, "lost", "count=1"},
	{"lost long ago", func(f *doctor.Facts) {
		f.Losses = []archive.Loss{{Since: ago(900 * time.Hour), At: ago(780 * time.Hour)}}
	}, doctor.CheckLosses, doctor.OK, "lost", "count=1"},
	{"gap", func(f *doctor.Facts) {
		f.Pull.Gaps, f.Pull.LastGap = 2, &archive.GapNote{After: 41, Last: 42, At: ago(time.Hour)}
	}, doctor.CheckLosses, doctor.Bad, "gap", "count=2 seq=42"},
	{"pages stuck", func(f *doctor.Facts) {
		f.Pendings = []archive.Pending{{RequestedAt: ago(time.Minute)}, {RequestedAt: ago(time.Hour), Stuck: true}}
	}, doctor.CheckPages, doctor.Bad, "pages_stuck", "count=1 oldest=2026-01-31T07:00:00Z"},

	{"malformed record", aside(archive.ReasonBadRecord, 1), doctor.CheckSetAside, doctor.Bad, "malformed_record", "count=1 seq=9"},
	{"bad key text", aside(archive.ReasonBadKey, 1), doctor.CheckSetAside, doctor.Bad, "bad_key_text", "count=1 seq=9"},
	{"library refused", aside(archive.ReasonLibrary, 1), doctor.CheckSetAside, doctor.Bad, "library_refused", "count=1 seq=9"},
	{"library crashed", aside(archive.ReasonCrash, 1), doctor.CheckSetAside, doctor.Bad, "library_crashed", "count=1 seq=9"},
	{"library hung", aside(archive.ReasonHang, 1), doctor.CheckSetAside, doctor.Bad, "library_hung", "count=1 seq=9"},
	{"journal damaged", aside(archive.ReasonJournal, 0), doctor.CheckSetAside, doctor.Bad, "journal_damaged", "count=1 seq=9"},
	{"no key is another check", aside(archive.ReasonNoKey, 1), doctor.CheckSetAside, doctor.OK, "", ""},

	{"files short", func(f *doctor.Facts) { f.Files = media.Backlog{Waiting: 3, Earliest: now.Add(time.Hour)} }, doctor.CheckFiles, doctor.Bad, "files_short", "count=3 until=2026-01-31T09:00:00Z"},
	{"files late", func(f *doctor.Facts) { f.Files = media.Backlog{Waiting: 3, Late: 1} }, doctor.CheckFiles, doctor.Bad, "files_short", "count=3"},
	{"files wait", func(f *doctor.Facts) { f.Files = media.Backlog{Waiting: 3, Earliest: now.Add(100 * time.Hour)} }, doctor.CheckFiles, doctor.OK, "", ""},
	{"files missing", func(f *doctor.Facts) {
		f.Files = media.Backlog{Problems: map[media.State]int{media.Failed: 1, media.Expired: 2}}
	}, doctor.CheckFiles, doctor.OK, "files_missing", "count=3"},

	{"no app", fresh, doctor.CheckApp, doctor.Off, "app_unused", ""},
	{"app not tried", func(f *doctor.Facts) { f.Reach.Access = nil }, doctor.CheckApp, doctor.Waiting, "", ""},
	{"secret of the app refused", appTrouble(archive.CauseSecret), doctor.CheckApp, doctor.Bad, "secret_refused", "access=customers"},
	{"right of the app missing", appTrouble(archive.CauseSecretKind), doctor.CheckApp, doctor.Bad, "secret_kind", "access=customers"},
	{"address of the app refused", appTrouble(archive.CauseTrustedIP, fromIP("203.0.113.9")), doctor.CheckApp, doctor.Bad, "trusted_ip", "access=customers from_ip=203.0.113.9"},
	{"address of the app refused, not told which", appTrouble(archive.CauseTrustedIP), doctor.CheckApp, doctor.Bad, "trusted_ip", "access=customers"},
	{"corpid of the app", appTrouble(archive.CauseCorpID), doctor.CheckApp, doctor.Bad, "corpid", "access=customers"},
}

func result(f doctor.Facts, c doctor.Check) doctor.Result {
	all := doctor.Derive(f)
	return all[slices.IndexFunc(all, func(r doctor.Result) bool { return r.Check == c })]
}

func TestEveryCause(t *testing.T) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f := well()
			tc.change(&f)
			got := result(f, tc.check)
			var evidence []string
			for _, e := range got.Evidence {
				evidence = append(evidence, string(e.Fact)+"="+e.Value)
			}
			if got.State != tc.state || got.Cause != tc.cause || strings.Join(evidence, " ") != tc.evidence {
				t.Errorf("got %s %s %q, want %s %s %q", got.State, got.Cause, strings.Join(evidence, " "), tc.state, tc.cause, tc.evidence)
			}
		})
	}
}

// A corp whose every part works has nothing to say but the hint about seats, and
// one trouble makes no unrelated check bad.
func TestOneTroubleIsOneCheck(t *testing.T) {
	for _, r := range doctor.Derive(well()) {
		if r.State != doctor.OK && r.Check != doctor.CheckSeats || r.Cause != "" && r.Check != doctor.CheckSeats {
			t.Errorf("%s: got %s %s, want ok", r.Check, r.State, r.Cause)
		}
	}
	for _, tc := range cases {
		if tc.state != doctor.Bad || strings.HasPrefix(tc.name, "not open") {
			continue
		}
		f := well()
		tc.change(&f)
		for _, r := range doctor.Derive(f) {
			if r.State == doctor.Bad && r.Check != tc.check {
				t.Errorf("%s: %s is %s too", tc.name, r.Check, r.Cause)
			}
		}
	}
}

// Every cause that only the doctor names is reached by a case. As people read them,
// the texts are in both languages, and show no place that the evidence leaves open.
func TestTextsFitTheirEvidence(t *testing.T) {
	for _, tc := range cases {
		f := well()
		tc.change(&f)
		got := result(f, tc.check)
		if got.Cause == "" {
			continue
		}
		text, _ := doctor.TextOf(tc.check, tc.cause, got.Evidence)
		for _, w := range []doctor.Words{text.What, text.Remedy} {
			for _, s := range []string{w.ZH, w.EN} {
				if s == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "  ") || strings.Contains(s, "地址 的") || strings.Contains(s, "address .") {
					t.Errorf("%s, %s: got %q", tc.name, tc.cause, s)
				}
			}
		}
		for _, e := range got.Evidence {
			if n := e.Fact.Name(); n.ZH == "" || n.EN == "" {
				t.Errorf("fact %s has no name", e.Fact)
			}
		}
	}
	for _, c := range doctor.OwnCauses() {
		if !slices.ContainsFunc(cases, func(tc testCase) bool { return tc.cause == c }) {
			t.Errorf("no case shows %s", c)
		}
	}
}

// A text says which address WeCom refused, if WeCom named it.
func TestTextsOfARefusedAddress(t *testing.T) {
	for _, check := range []doctor.Check{doctor.CheckPulls, doctor.CheckTrustedIP, doctor.CheckApp} {
		for _, ip := range []string{"", "203.0.113.9"} {
			var evidence []doctor.Evidence
			if ip != "" {
				evidence = append(evidence, doctor.Evidence{Fact: doctor.FactFromIP, Value: ip})
			}
			text, own := doctor.TextOf(check, doctor.Cause(archive.CauseTrustedIP), evidence)
			for _, s := range []string{text.What.ZH, text.What.EN} {
				if strings.Contains(s, "203.0.113.9") != (ip != "") || strings.ContainsAny(s, "{}") {
					t.Errorf("%s, %q: got %q", check, ip, s)
				}
			}
			if own != (check == doctor.CheckApp) {
				t.Errorf("%s: own is %v", check, own)
			}
		}
	}
}

// A company registers with the corpid of its token. So the remedy for a wrong corpid
// names the token's claim.
func TestAWrongCorpidIsCorrectedAtTheSignIn(t *testing.T) {
	wrong := doctor.Cause(archive.CauseCorpID)
	for _, check := range []doctor.Check{doctor.CheckPulls, doctor.CheckApp} {
		text, _ := doctor.TextOf(check, wrong, nil)
		if !strings.Contains(text.Remedy.ZH, "声明 corp，") || !strings.Contains(text.Remedy.EN, "claim corp,") {
			t.Errorf("%s: got %q, without the claim", check, text.Remedy)
		}
	}
	if !wrong.Operators() {
		t.Error("the company's admin is said to have the remedy")
	}
}

// A cause that a later version stored has a text.
func TestTextOfAnUnknownCause(t *testing.T) {
	unknown, _ := doctor.TextOf(doctor.CheckPulls, doctor.Cause(archive.CauseUnknownResponse), nil)
	if got, own := doctor.TextOf(doctor.CheckPulls, "brand_new", nil); own || got != unknown || got.What.ZH == "" {
		t.Errorf("got %q, own %v; want %q", got, own, unknown)
	}
}

// People read words and Beijing's time, in the evidence and in the texts.
func TestEvidenceIsReadByPeople(t *testing.T) {
	for _, tc := range []struct {
		evidence doctor.Evidence
		zh, en   string
	}{
		{doctor.Evidence{Fact: doctor.FactUntil, Value: "2026-01-31T18:30:00Z"}, "2026-02-01 02:30", "2026-02-01 02:30 (Beijing)"},
		{doctor.Evidence{Fact: doctor.FactWhy, Value: "signature"}, "签名不符，Token 不一致", "wrong signature, another Token"},
		{doctor.Evidence{Fact: doctor.FactOnList, Value: "no"}, "否", "no"},
		{doctor.Evidence{Fact: doctor.FactReason, Value: "2026-01-31T18:30:00Z"}, "2026-01-31T18:30:00Z", "2026-01-31T18:30:00Z"},
		{doctor.Evidence{Fact: doctor.FactCount, Value: "3"}, "3", "3"},
	} {
		if got := tc.evidence.Shown(); got != (doctor.Words{ZH: tc.zh, EN: tc.en}) {
			t.Errorf("%s %s: got %q, want %q and %q", tc.evidence.Fact, tc.evidence.Value, got, tc.zh, tc.en)
		}
		text := doctor.Words{ZH: "（{" + string(tc.evidence.Fact) + "}）", EN: "({" + string(tc.evidence.Fact) + "})"}
		if got := text.With([]doctor.Evidence{tc.evidence}); got != (doctor.Words{ZH: "（" + tc.zh + "）", EN: "(" + tc.en + ")"}) {
			t.Errorf("in a text: got %q", got)
		}
	}
}

func TestCompareFindsWhatChanged(t *testing.T) {
	f := well()
	first, changes := doctor.Compare(doctor.Record{Corp: "c"}, f)
	if len(changes) != 0 || first.Rev != 1 || len(first.Checks) != len(doctor.Checks) {
		t.Fatalf("the first examination of a sound corp: got %+v, %d changes", first, len(changes))
	}
	troubled(archive.CauseTrustedIP, time.Hour)(&f)
	second, changes := doctor.Compare(first, f)
	if len(changes) != 1 || changes[0].Check != doctor.CheckTrustedIP || changes[0].From != doctor.OK || changes[0].To != doctor.Bad || changes[0].Now != "trusted_ip" {
		t.Errorf("got %+v", changes)
	}
	if _, again := doctor.Compare(second, f); len(again) != 0 {
		t.Errorf("the same facts again: got %+v", again)
	}
	if got := second.Since(result(f, doctor.CheckTrustedIP)); !got.Equal(ago(time.Hour)) {
		t.Errorf("got since %v", got)
	}
	fresh(&f)
	if _, changes := doctor.Compare(doctor.Record{Corp: "c"}, f); len(changes) != 0 {
		t.Errorf("what is still to be done is no news: got %+v", changes)
	}
}

// Operators get a notice of each check that becomes bad or ends to be, unless the
// notice about the corp's health tells the same.
func TestWhatOperatorsAreTold(t *testing.T) {
	checked := func(f *doctor.Facts) { // found by the HTTP API
		f.Reach.Access[directory.AccessArchive] = archive.Standing{SecretSetAt: f.Corp.SecretSetAt, Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, Since: now, At: now}}
	}
	off := func(f *doctor.Facts) { f.Corp.Enabled = false }
	pulled := troubled(archive.CauseTrustedIP, time.Hour)
	for name, tc := range map[string]struct {
		check    doctor.Check
		was, now func(*doctor.Facts)
		want     bool
	}{
		"a trouble that a pull found":          {doctor.CheckTrustedIP, nil, pulled, false},
		"its end":                              {doctor.CheckTrustedIP, pulled, nil, false},
		"a trouble that the HTTP check found":  {doctor.CheckTrustedIP, nil, checked, true},
		"its end too":                          {doctor.CheckTrustedIP, checked, nil, true},
		"before the switch-on":                 {doctor.CheckTrustedIP, off, func(f *doctor.Facts) { off(f); pulled(f) }, true},
		"the pulls of a corp switched off":     {doctor.CheckPulls, troubled(archive.CauseNetwork, time.Hour), off, false},
		"late, without a cause":                {doctor.CheckHours, nil, func(f *doctor.Facts) { f.Pull.LastEmptyAt = ago(50 * time.Hour) }, false},
		"late, by a trouble that health names": {doctor.CheckHours, nil, func(f *doctor.Facts) { f.Pull.LastEmptyAt = ago(50 * time.Hour); pulled(f) }, true},
		"the first record set aside":           {doctor.CheckVersions, nil, aside(archive.ReasonNoKey, 7), false},
		"set aside, for a second reason":       {doctor.CheckSetAside, aside(archive.ReasonNoKey, 7), func(f *doctor.Facts) { aside(archive.ReasonNoKey, 7)(f); aside(archive.ReasonJournal, 0)(f) }, true},
		"what only the doctor knows":           {doctor.CheckScope, nil, func(f *doctor.Facts) { f.Reach.Scope.Count = 0 }, true},
		"the app":                              {doctor.CheckApp, nil, appTrouble(archive.CauseSecret), true},
		"no trouble before or after":           {doctor.CheckApp, func(f *doctor.Facts) { f.Reach.Access = nil }, nil, false},
	} {
		examine := func(was doctor.Record, change func(*doctor.Facts)) (doctor.Record, []doctor.Change) {
			f := well()
			if change != nil {
				change(&f)
			}
			return doctor.Compare(was, f)
		}
		before, _ := examine(doctor.Record{Corp: "c"}, tc.was)
		_, changes := examine(before, tc.now)
		i := slices.IndexFunc(changes, func(c doctor.Change) bool { return c.Check == tc.check })
		if i < 0 || changes[i].Worth() != tc.want {
			t.Errorf("%s: got %+v, want worth a notice: %v", name, changes, tc.want)
		}
	}
}
