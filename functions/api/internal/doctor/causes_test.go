package doctor_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	api "github.com/yunduo-scrm/archive/functions/api/internal/doctor"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
)

var update = flag.Bool("update", false, "rewrite the causes that the tests of the console show")

// causesFile has every cause as the API answers it. web/test/console feeds it to the
// set-up page and reads each sentence there.
const causesFile = "../../../../web/test/console/causes.json"

// causes are the causes of each check, with the check's state.
var causes = []struct {
	check  doctor.Check
	state  doctor.State
	causes []doctor.Cause
}{
	{doctor.CheckCorp, doctor.Bad, []doctor.Cause{"corpid"}},
	{doctor.CheckScope, doctor.Bad, []doctor.Cause{"not_open", "licence_expired", "archive_disabled", "corp_unverified", "scope_empty"}},
	{doctor.CheckSeats, doctor.Unseen, []doctor.Cause{"scope_over_seats"}},
	{doctor.CheckSecret, doctor.Waiting, []doctor.Cause{"secret_missing"}},
	{doctor.CheckSecret, doctor.Bad, []doctor.Cause{"secret_refused", "secret_kind", "refusal_share", "address_budget"}},
	{doctor.CheckKey, doctor.Waiting, []doctor.Cause{"key_unclaimed", "key_unproved"}},
	{doctor.CheckKey, doctor.OK, []doctor.Cause{"proved_elsewhere"}},
	{doctor.CheckVersions, doctor.Bad, []doctor.Cause{"version_unmatched"}},
	{doctor.CheckTrustedIP, doctor.Bad, []doctor.Cause{"trusted_ip", "egress_differs"}},
	{doctor.CheckSwitch, doctor.Bad, []doctor.Cause{"not_open"}},
	{doctor.CheckSwitch, doctor.Off, []doctor.Cause{"switched_off"}},
	{doctor.CheckCallback, doctor.Unseen, []doctor.Cause{"callback_unverified"}},
	{doctor.CheckCallback, doctor.Bad, []doctor.Cause{"callback_silent", "callback_refused"}},
	{doctor.CheckPulls, doctor.Bad, []doctor.Cause{
		"rate_limited", "network", "wecom_busy", "tls", "library_missing", "library_crash", "bad_answer", "record_too_large", "unknown_error",
	}},
	{doctor.CheckChats, doctor.Waiting, []doctor.Cause{"nothing_yet"}},
	{doctor.CheckHours, doctor.Bad, []doctor.Cause{"late", "losing"}},
	{doctor.CheckLosses, doctor.Bad, []doctor.Cause{"lost", "gap"}},
	{doctor.CheckPages, doctor.Bad, []doctor.Cause{"pages_stuck"}},
	{doctor.CheckSetAside, doctor.Bad, []doctor.Cause{"malformed_record", "bad_key_text", "library_refused", "library_crashed", "library_hung", "journal_damaged"}},
	{doctor.CheckFiles, doctor.Bad, []doctor.Cause{"files_short"}},
	{doctor.CheckFiles, doctor.OK, []doctor.Cause{"files_missing"}},
	{doctor.CheckApp, doctor.Off, []doctor.Cause{"app_unused"}},
	{doctor.CheckApp, doctor.Bad, []doctor.Cause{"secret_refused", "secret_kind", "trusted_ip", "corpid"}},
	{doctor.CheckAppCallback, doctor.Unseen, []doctor.Cause{"callback_unverified"}},
}

// facts are values for the places in the texts.
var facts = []doctor.Evidence{
	{Fact: doctor.FactMembers, Value: "23"}, {Fact: doctor.FactVersion, Value: "4"}, {Fact: doctor.FactVersions, Value: "6, 7"},
	{Fact: doctor.FactClaimed, Value: "4"}, {Fact: doctor.FactProved, Value: "5"}, {Fact: doctor.FactCount, Value: "3"},
	{Fact: doctor.FactAtLeast, Value: "3"}, {Fact: doctor.FactSeq, Value: "42"}, {Fact: doctor.FactFromIP, Value: "198.51.100.1"},
	{Fact: doctor.FactTrustedIPs, Value: "203.0.113.9"}, {Fact: doctor.FactWhy, Value: "signature"}, {Fact: doctor.FactSourceIP, Value: "198.51.100.7"},
	{Fact: doctor.FactHours, Value: "70.0"}, {Fact: doctor.FactUntil, Value: "2026-01-31T09:00:00Z"},
}

func TestThePageTestsShowEveryCause(t *testing.T) {
	shown := map[doctor.Cause]bool{}
	texts := map[problem.Language][]string{}
	for _, c := range causes {
		for _, cause := range c.causes {
			shown[cause] = true
			r := doctor.Result{Check: c.check, State: c.state, Cause: cause}
			bare, own := doctor.TextOf(c.check, cause, nil)
			for _, e := range facts {
				if with, _ := doctor.TextOf(c.check, cause, []doctor.Evidence{e}); with != bare {
					r.Evidence = append(r.Evidence, e)
				}
			}
			if c.state == doctor.Bad && !own {
				r.Op, r.Code, r.Native = "GetChatData", 10000, true
			}
			if cause == "trusted_ip" {
				r.FromIP = "198.51.100.1"
			}
			for _, lang := range []problem.Language{problem.Chinese, problem.English} {
				shows := api.Show(r, time.Time{}, lang)
				shows.Where = nil // the place is the check's, whatever the cause
				line, err := json.Marshal(shows)
				if err != nil {
					t.Fatal(err)
				}
				texts[lang] = append(texts[lang], string(line))
			}
		}
	}
	unknown, _ := doctor.TextOf(doctor.CheckPulls, "unknown_error", nil)
	for file, name := range map[string]string{"doctor/doctor.go": "Cause", "trouble.go": "Cause", "message.go": "Reason"} {
		for _, cause := range apitest.Constants(t, "../../../../shared/archive/"+file, name) {
			if !shown[doctor.Cause(cause)] && cause != "no_key" { // the doctor calls it version_unmatched
				t.Errorf("%s of %s is missing", cause, file)
			}
			if text, _ := doctor.TextOf(doctor.CheckPulls, doctor.Cause(cause), facts); shown[doctor.Cause(cause)] && text == unknown && cause != "unknown_error" {
				t.Errorf("%s of %s has no text", cause, file)
			}
		}
	}

	want := []byte("{\n\"zh\": [\n" + strings.Join(texts[problem.Chinese], ",\n") + "\n],\n\"en\": [\n" + strings.Join(texts[problem.English], ",\n") + "\n]\n}\n")
	if *update {
		if err := os.WriteFile(causesFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(causesFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs from the texts (%v): run this test with -update", causesFile, err)
	}
}
