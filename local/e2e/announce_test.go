package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// announced is the detail of an announcement, whichever kind it is.
type announced struct {
	Corp            string
	Conversation    string
	ExternalContact string `json:"external_contact"`
	Status          string
	Check, To       string
}

// untilAnnounced waits for an announcement of the kind that fits, and returns it.
func untilAnnounced(ctx context.Context, t *testing.T, c *cloud.Cloud, kind string, fits func(announced) bool) announced {
	t.Helper()
	for {
		for _, a := range c.Announcements() {
			var d announced
			if err := json.Unmarshal(a.Detail, &d); err != nil {
				t.Fatalf("%s: %v", a.Detail, err)
			}
			if a.DetailType == kind && fits(d) {
				return d
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("got no %s among %d announcements", kind, len(c.Announcements()))
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// The functions announce a stored message, a refusal of consent and a broken
// set-up on the bus of the template. The id in an announcement reads the chat.
func TestAnnouncements(t *testing.T) {
	c := start(t, cloud.Options{Tick: time.Second, Sim: wecom.Config{Seed: 5, NotifyEvery: time.Second}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	corp := c.Sim.Corps()[0]
	staff, customer := corp.Details().Staff[0].UserID, corp.Details().Customers[0].ExternalUserID
	for _, kind := range []string{"text", "disagree"} {
		if _, err := corp.Send(wecom.Draft{From: customer, To: []string{staff}, Kind: kind}); err != nil {
			t.Fatal(err)
		}
	}
	untilDecoded(ctx, t, c, corp)
	chat := untilAnnounced(ctx, t, c, "conversation.updated", func(d announced) bool { return d.Corp == corp.ID() })
	var page struct{ Messages []people.Message }
	if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp.ID(), "/conversations/"+chat.Conversation+"/messages", nil, &page); err != nil || len(page.Messages) == 0 {
		t.Errorf("got %d messages of the announced conversation, error %v", len(page.Messages), err)
	}
	untilAnnounced(ctx, t, c, "consent.changed", func(d announced) bool { return d.ExternalContact == customer && d.Status == "disagree" })

	if err := corp.SetTrustedIPs("203.0.113.9"); err != nil {
		t.Fatal(err)
	}
	if err := c.API.Call(ctx, people.Admin, http.MethodPost, corp.ID(), "/doctor", nil, nil); err != nil {
		t.Fatal(err)
	}
	untilAnnounced(ctx, t, c, "setup.changed", func(d announced) bool { return d.Corp == corp.ID() && d.Check == "trusted_ip" && d.To == "bad" })
}
