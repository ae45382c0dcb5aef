package callback_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

func appEvent(change string, fields ...string) string {
	xml := "<xml><ToUserName><![CDATA[x]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>1767225826</CreateTime><MsgType><![CDATA[event]]></MsgType>" + change
	for i := 0; i < len(fields); i += 2 {
		xml += "<" + fields[i] + "><![CDATA[" + fields[i+1] + "]]></" + fields[i] + ">"
	}
	return xml + "</xml>"
}

const (
	contactEvent = "<Event><![CDATA[change_external_contact]]></Event>"
	roomEvent    = "<Event><![CDATA[change_external_chat]]></Event>"
)

func TestAppCallback(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	toApp := func(plain string) apitest.Request {
		r := post(t, w.Corp, apitest.Pair, plain)
		r.Path = strings.Replace(r.Path, "/callback/"+w.Corp, "/callback/"+w.Corp+"/app", 1)
		return r
	}
	// WeCom sends a consent three times.
	for range 3 {
		w.Do(toApp(appEvent(contactEvent, "ChangeType", "msg_audit_approved", "UserID", "lin.hua", "ExternalUserID", "wmEXAMPLEcustomer001", "WelcomeCode", "W"))).Want(200)
	}
	list, _, err := w.Consents.Consents(t.Context(), w.Corp, archive.ConsentQuery{Member: "lin.hua"}, "", 10)
	if err != nil || len(list) != 1 || list[0].Status != archive.Agreed || list[0].Source != archive.ConsentEvent || !list[0].ChangedAt.Equal(time.Unix(1767225826, 0)) {
		t.Errorf("got %+v, error %v", list, err)
	}
	// An event requests a name only if the archive fetched the name before.
	changed := []string{
		appEvent(contactEvent, "ChangeType", "edit_external_contact", "UserID", "lin.hua", "ExternalUserID", "wmEXAMPLEcustomer001"),
		appEvent(roomEvent, "ChangeType", "update", "ChatId", "wrA"),
	}
	for _, e := range changed {
		w.Do(toApp(e)).Want(200)
	}
	if reqs := w.InspectRequests(); len(reqs) != 0 {
		t.Errorf("names that were never fetched are requested: %+v", reqs)
	}
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, directory.Person{ID: "wmEXAMPLEcustomer001", Name: "旧名"}))
	apitest.OK(t, w.Contacts.SaveRoom(t.Context(), w.Corp, directory.Room{ID: "wrA", Name: "旧名"}))
	for range 3 {
		for _, e := range changed {
			w.Do(toApp(e)).Want(200)
		}
	}
	reqs := w.InspectRequests()
	if len(reqs) != 1 || !reqs[0].Again || reqs[0].Force || len(reqs[0].People) != 1 || len(reqs[0].Rooms) != 1 {
		t.Errorf("got %+v, want one request for the contact and the room", reqs)
	}
	// Every authentic event is recorded, even a malformed one.
	for _, odd := range []string{"<xml></xml>", "not xml", appEvent(contactEvent, "ChangeType", "msg_audit_approved"), appEvent(roomEvent, "ChatId", strings.Repeat("x", 1000))} {
		logged := len(w.Log.String())
		w.Do(toApp(odd)).Want(200)
		said := w.Log.String()[logged:]
		if !strings.Contains(said, "event unreadable") || strings.Contains(odd, contactEvent) && !strings.Contains(said, "event=change_external_contact change=msg_audit_approved") {
			t.Errorf("%.100s: got log %s, want a warning with the type of the event", odd, said)
		}
	}
	events, err := archivetest.AllEvents(t.Context(), w.Corps, w.Corp, archive.DayOf(w.Now())) // of their arrival: they are weeks old
	if err != nil || len(events) != 7 {
		t.Errorf("got %d events of the day, error %v, want 7", len(events), err)
	}
	c, err := w.Corps.Corp(t.Context(), w.Corp)
	if err != nil || !c.CallbackAt.IsZero() {
		t.Errorf("got callback at %s, error %v: the app's events say nothing of the archive's", c.CallbackAt, err)
	}
	if reqs := w.PullRequests(); len(reqs) != 0 {
		t.Errorf("got pulls %+v, want none", reqs)
	}
}

// The two callbacks of a corp have different pairs.
func TestAppCallbackHasItsOwnPair(t *testing.T) {
	w := apitest.NewWorld(t)
	other := apitest.Pair
	other.ID, other.AESKey = "other", secret.New(anotherAESKey)
	w.WithPair(w.Corp, other)
	event := post(t, w.Corp, apitest.Pair, appEvent(contactEvent))
	event.Path = strings.Replace(event.Path, w.Corp, w.Corp+"/app", 1)
	w.Do(event).WantProblem(401, "unauthorized")
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	w.Do(event).Want(200)
	w.Do(post(t, w.Corp, apitest.Pair, appEvent(contactEvent))).WantProblem(401, "unauthorized")
	if _, err := w.Corps.Callback(t.Context(), w.Other, archive.AppCallback); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("another corp: got error %v", err)
	}
}

// Another person may have the id that remains of a damaged one, so a damaged id is
// none, and the log says so. An odd text elsewhere keeps no consent from being noted.
func TestDamagedIDsInEvents(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	send := func(member, contact, more string) (consents []archive.Consent, said string) {
		logged := len(w.Log.String())
		xml := appEvent(contactEvent + "<ChangeType>msg_audit_approved</ChangeType><UserID>" + member + "</UserID><ExternalUserID>" + contact + "</ExternalUserID>" + more)
		event := post(t, w.Corp, apitest.Pair, xml)
		event.Path = strings.Replace(event.Path, w.Corp, w.Corp+"/app", 1)
		w.Do(event).Want(200)
		list, _, err := w.Consents.Consents(t.Context(), w.Corp, archive.ConsentQuery{Member: "lin.hua"}, "", 10)
		apitest.OK(t, err)
		return list, w.Log.String()[logged:]
	}
	for _, damage := range []string{"\x00", "\x07", "\x1f", "\x7f", "&#0;", "&#x1F;", "\xff", "\ufffd", "\ufffe", "&#xFFFF;", "\n", "\t", "\u0085"} {
		for _, ids := range [][2]string{{"lin" + damage + ".hua", "wm1"}, {"lin.hua", "wm" + damage + "1"}, {"<![CDATA[lin" + damage + ".hua]]>", "wm1"}} {
			if list, said := send(ids[0], ids[1], ""); len(list) != 0 || !strings.Contains(said, "event unreadable") {
				t.Errorf("%q: got consents %+v and log %q, want none and a warning", ids, list, said)
			}
		}
	}
	if list, _ := send(" lin.hua\n", "wm1", "<State>a\x00&#1;b\xff</State><Remark>\x01</Remark>\x02"); len(list) != 1 || list[0].Contact != "wm1" {
		t.Errorf("odd texts elsewhere: got consents %+v, want one", list)
	}
}

// full is a store whose events of the day leave no room.
type full struct{ callback.Corps }

func (full) RecordEvent(context.Context, string, archive.Event) (bool, error) { return false, nil }

// An event beyond the bound of the day is only counted.
func TestAppEventsBeyondTheBound(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, directory.Person{ID: "wmA", Name: "旧名"}))
	w.Callback.Corps = full{w.Corps}
	for _, change := range []string{"msg_audit_approved", "edit_external_contact"} {
		event := post(t, w.Corp, apitest.Pair, appEvent(contactEvent, "ChangeType", change, "UserID", "lin.hua", "ExternalUserID", "wmA"))
		event.Path = strings.Replace(event.Path, w.Corp, w.Corp+"/app", 1)
		w.Do(event).Want(200)
	}
	list, _, err := w.Consents.Consents(t.Context(), w.Corp, archive.ConsentQuery{Member: "lin.hua"}, "", 10)
	if err != nil || len(list) != 0 {
		t.Errorf("got consents %+v, error %v, want none", list, err)
	}
	if reqs := w.InspectRequests(); len(reqs) != 0 {
		t.Errorf("got requests %+v, want none", reqs)
	}
	if !strings.Contains(w.Log.String(), "event only counted") {
		t.Error("the log does not say that events are only counted")
	}
}

// lostConsent fails once to store a consent.
type lostConsent struct {
	archive.ConsentWriter
	lost bool
}

func (l *lostConsent) RecordConsents(ctx context.Context, list []archive.Consent) error {
	if !l.lost {
		l.lost = true
		return errors.New("lost")
	}
	return l.ConsentWriter.RecordConsents(ctx, list)
}

// A crash between the event and its consent loses neither: WeCom sends the event
// again, and its second record is the first.
func TestConsentAfterACrash(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	w.Callback.Consents = &lostConsent{ConsentWriter: w.Consents}
	event := post(t, w.Corp, apitest.Pair, appEvent(contactEvent, "ChangeType", "msg_audit_approved", "UserID", "lin.hua", "ExternalUserID", "wmA"))
	event.Path = strings.Replace(event.Path, w.Corp, w.Corp+"/app", 1)
	w.Do(event).WantProblem(500, "internal")
	w.Do(event).Want(200)
	list, _, err := w.Consents.Consents(t.Context(), w.Corp, archive.ConsentQuery{Member: "lin.hua"}, "", 10)
	if err != nil || len(list) != 1 {
		t.Errorf("got consents %+v, error %v, want 1", list, err)
	}
	count, err := w.Corps.EventCount(t.Context(), w.Corp, archive.DayOf(w.Now()))
	if err != nil || count.Stored != 1 || count.Dropped != 0 {
		t.Errorf("got %+v, error %v, want one event", count, err)
	}
}

// A consent keeps the time that its sender gave, so a replay of it never replaces
// a later answer. Only a time in the future counts as the time of arrival.
func TestTimeOfAConsent(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	for i, tc := range []struct {
		sent string
		want time.Time
	}{
		{"1000000000", time.Unix(1000000000, 0)},
		{fmt.Sprint(apitest.Noon.Unix() - 60), apitest.Noon.Add(-time.Minute)},
		{fmt.Sprint(apitest.Noon.Unix() + 3600), apitest.Noon},
		{"", apitest.Noon},
	} {
		contact := fmt.Sprint("wm", i)
		xml := appEvent(contactEvent, "ChangeType", "msg_audit_approved", "UserID", "lin.hua", "ExternalUserID", contact)
		event := post(t, w.Corp, apitest.Pair, strings.Replace(xml, "1767225826", tc.sent, 1))
		event.Path = strings.Replace(event.Path, w.Corp, w.Corp+"/app", 1)
		w.Do(event).Want(200)
		list, _, err := w.Consents.Consents(t.Context(), w.Corp, archive.ConsentQuery{Contact: contact}, "", 10)
		if err != nil || len(list) != 1 || !list[0].ChangedAt.Equal(tc.want) {
			t.Errorf("sent %q: got %+v, error %v, want %v", tc.sent, list, err, tc.want)
		}
	}
}
