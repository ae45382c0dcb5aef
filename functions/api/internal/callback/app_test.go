package callback_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
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
	apitest.OK(t, w.Secrets.CreateAppCallback(t.Context(), w.Corp, apitest.Pair))
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
		w.Do(toApp(odd)).Want(200)
	}
	events, err := w.Corps.Events(t.Context(), w.Corp, archive.DayOf(time.Unix(1767225826, 0)))
	if err != nil || len(events) != 5 {
		t.Errorf("got %d events of the day, error %v, want 5", len(events), err)
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
	apitest.OK(t, w.Secrets.CreateCallback(t.Context(), sampleCorp, apitest.Pair))
	echostr := "&echostr=" + url.QueryEscape(sampleEchostr)
	path := "/callback/" + sampleCorp + "/app?" + sampleQuery + echostr
	w.Do(apitest.Request{Method: "GET", Path: path}).WantProblem(401, "unauthorized")
	w.Pass(callback.PairAge)
	apitest.OK(t, w.Secrets.CreateAppCallback(t.Context(), sampleCorp, apitest.Pair))
	if resp := w.Do(apitest.Request{Method: "GET", Path: path}).Want(200); string(resp.Body) != "1616140317555161061" {
		t.Errorf("got %q", resp.Body)
	}
	if _, err := w.Secrets.AppCallback(t.Context(), w.Corp); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("another corp: got error %v", err)
	}
}
