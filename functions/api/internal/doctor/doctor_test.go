package doctor_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
)

type check struct {
	Check, State, Who string
	Step              int
	Cause, Since, At  *string
	What, Fix, Where  *string
	Op                *string
	Code              *int
	FromIP            *string `json:"from_ip"`
	Evidence          []struct{ Fact, Label, Value string }
}

type answer struct {
	CheckedAt   *string `json:"checked_at"`
	Running     bool
	RequestedAt *string `json:"requested_at"`
	Steps       []struct {
		Step               int
		Name, State, Title string
		Where              *string
	}
	Checks []check
}

func (a answer) of(name doctor.Check) check {
	i := slices.IndexFunc(a.Checks, func(c check) bool { return c.Check == string(name) })
	return a.Checks[i]
}

func get(w *apitest.World, lang string) answer {
	w.T.Helper()
	return apitest.Into[answer](w.Do(apitest.Request{
		Who: w.As(session.Admin), Method: "GET", Path: "/v1/corps/" + w.Corp + "/doctor", Header: map[string]string{"Accept-Language": lang},
	}).Want(200))
}

// The answer follows from what is stored, names the step, the place and the
// remedy, and speaks both languages.
func TestDoctorNamesCauseAndRemedy(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	if got := get(w, "en"); len(got.Checks) != len(doctor.Checks) || got.CheckedAt != nil || got.Running || *got.of(doctor.CheckSecret).Cause != "secret_missing" {
		t.Errorf("a fresh corp: got %+v", got)
	}
	apitest.OK(t, w.Corps.SetSecret(t.Context(), w.Corp, "3kTq", apitest.Noon))
	apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp, LastCallAt: w.Now(), Standing: archive.Standing{
		SecretSetAt: apitest.Noon, OKAt: apitest.Noon,
		Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "GetChatData", Code: 10009, Native: true, FromIP: "198.51.100.1", Since: apitest.Noon, At: w.Now()},
	}}))
	for lang, want := range map[string][4]string{
		"en": {"WeCom saw the address 198.51.100.1. The deployment's addresses are 203.0.113.9;203.0.113.10.", "operators", "可信IP地址", "Address that WeCom saw"},
		"zh": {"企业微信识别到的来源 IP 地址是 198.51.100.1，与系统的出口 IP 地址 203.0.113.9;203.0.113.10 不同。", "operators", "可信IP地址", "企业微信识别到的来源 IP 地址"},
	} {
		got := get(w, lang).of(doctor.CheckTrustedIP)
		i := slices.IndexFunc(got.Evidence, func(e struct{ Fact, Label, Value string }) bool { return e.Fact == "from_ip" })
		if got.State != "bad" || got.Step != 4 || *got.Cause != "egress_differs" || *got.What != want[0] || got.Who != want[1] || !strings.Contains(*got.Where, want[2]) ||
			got.Evidence[i].Label != want[3] || *got.FromIP != "198.51.100.1" || *got.Op != "GetChatData" || *got.Code != 10009 || *got.Since != "2026-01-31T06:30:05.000Z" {
			t.Errorf("%s: got %+v", lang, got)
		}
	}
}

// The marks of the steps follow what the admin did and what WeCom answered.
func TestDoctorMarksTheSteps(t *testing.T) {
	w := apitest.NewWorld(t)
	w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp, map[string]any{"name": "云朵课堂"}).Want(201)
	marks := func(what, want string) {
		t.Helper()
		var got []string
		for n, s := range get(w, "en").Steps {
			if s.Step != n || s.Title == "" || s.Name != doctor.StepName(n) || (s.Where == nil) != (n == 6) {
				t.Errorf("%s: got step %+v", what, s)
			}
			got = append(got, s.State)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: got %s, want %s", what, s, want)
		}
	}
	put := func(path string, body map[string]any) {
		t.Helper()
		w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp+path, body).Want(200)
	}
	marks("registered", "done todo todo todo todo todo todo todo")
	put("/setup", map[string]any{"secret": "3kTq" + apitest.SecretMark + "v0xPZBq8kYl0m2v1sR7Xc_wQ-0", "publickey_ver": 1})
	marks("saved", "done waiting waiting waiting waiting todo todo todo")
	put("/state", map[string]any{"enabled": true})
	marks("enabled", "done waiting waiting waiting waiting waiting waiting todo")
	trouble := func(c archive.Cause) {
		t.Helper()
		corp, err := w.Corps.Corp(t.Context(), w.Corp)
		apitest.OK(t, err)
		apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp, LastCallAt: w.Now(), Standing: archive.Standing{
			SecretSetAt: corp.SecretSetAt, Trouble: &archive.Trouble{Cause: c, Since: w.Now(), At: w.Now()},
		}}))
	}
	trouble(archive.CauseTrustedIP)
	marks("address refused", "done waiting waiting waiting redo waiting waiting todo")
	trouble(archive.CauseSecret)
	marks("secret refused", "done waiting redo waiting waiting waiting waiting todo")
	trouble(archive.CauseNotOpen)
	marks("not open", "done redo waiting waiting waiting redo waiting todo")
}

// A person's request tries everything now, and says from when its results count.
func TestRequestDoctor(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	asked := apitest.Into[struct {
		At string `json:"requested_at"`
	}](w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/doctor", nil).Want(202)).At
	if got := get(w, "en"); !got.Running || apitest.Deref(got.RequestedAt) < asked {
		t.Errorf("requested at %s: got %+v", asked, got)
	}
	pulls, checks := w.PullRequests(), w.InspectRequests()
	if len(pulls) != 1 || !pulls[0].Force || len(checks) != 1 || !checks[0].Check || !checks[0].Force {
		t.Errorf("got %+v and %+v", pulls, checks)
	}
	if got := get(w, "en"); got.Running {
		t.Errorf("after the inspection took it: got %+v", got)
	}
}

// Changes are listed as examinations recorded them, and a state is as old as its
// record says.
func TestChangesOfTheSetup(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	examiner := &doctor.Examiner{Reader: w.Doctor.Facts.(*doctor.Reader), Records: w.Ledger, Log: slog.New(slog.DiscardHandler)}
	examine := func() {
		t.Helper()
		corp, err := w.Corps.Corp(t.Context(), w.Corp)
		apitest.OK(t, err)
		apitest.OK(t, examiner.Examine(t.Context(), corp))
	}
	examine()
	for _, n := range []int{0, 3, 0} {
		w.Pass(time.Hour)
		apitest.OK(t, w.Contacts.SaveScope(t.Context(), w.Corp, book.Scope{Count: n, At: w.Now()}))
		examine()
		examine()
	}
	var got []string
	path := "/v1/corps/" + w.Corp + "/doctor/changes?limit=1"
	for next := ""; ; {
		page := apitest.Into[struct {
			Changes []struct {
				At, Check, To string
				From, Cause   *string
				What          *string
			}
			Next *string
		}](w.Get(w.As(session.Auditor), path+next).Want(200))
		for _, c := range page.Changes {
			if c.Check == "scope" {
				got = append(got, fmt.Sprint(c.At, " ", apitest.Deref(c.From), " ", c.To, " ", apitest.Deref(c.Cause), " ", apitest.Deref(c.What)))
			}
		}
		if page.Next == nil {
			break
		}
		next = "&page=" + *page.Next
	}
	want := []string{
		"2026-01-31T09:30:05.000Z ok bad scope_empty No member is in scope.",
		"2026-01-31T08:30:05.000Z bad ok  ",
		"2026-01-31T07:30:05.000Z unseen bad scope_empty No member is in scope.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	w.Pass(time.Hour)
	apitest.OK(t, w.Contacts.SaveScope(t.Context(), w.Corp, book.Scope{At: w.Now()}))
	if s := get(w, "en").of(doctor.CheckScope); *s.Since != "2026-01-31T09:30:05.000Z" || *s.At != "2026-01-31T10:30:05.000Z" {
		t.Errorf("got %+v, want it since the recorded change", s)
	}
}
