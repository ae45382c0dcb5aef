package routes_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/getkin/kin-openapi/openapi3"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/eventbus"
)

// examplesOf lists the examples of a body in one media type, and that of its schema.
func examplesOf(m *openapi3.MediaType) (list []any) {
	if m.Example != nil {
		list = append(list, m.Example)
	}
	if m.Schema != nil && m.Schema.Value.Example != nil {
		list = append(list, m.Schema.Value.Example)
	}
	for _, e := range m.Examples {
		list = append(list, e.Value.Value)
	}
	return list
}

// checkExamples checks the examples of each media type of a body. Some bodies need
// one. Only a body with a schema has a form to compare.
func checkExamples(t *testing.T, where string, content openapi3.Content, needed bool) {
	t.Helper()
	for name, media := range content {
		list := examplesOf(media)
		if needed && len(list) == 0 {
			t.Errorf("%s, %s: no example", where, name)
		}
		for _, example := range list {
			if media.Schema == nil {
				continue
			}
			if err := media.Schema.Value.VisitJSON(asRead(t, example), openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s, %s: the example is not as the schema says: %v", where, name, err)
			}
		}
	}
}

// asRead is a value as a client reads it from JSON.
func asRead(t *testing.T, v any) (read any) {
	t.Helper()
	if err := json.Unmarshal(asJSON(t, v), &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// Every operation has an example of its request and of each answer that it gives
// to a correct request. Every example has the form that the document gives it.
func TestExamples(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if op.RequestBody != nil {
				checkExamples(t, where+", request", op.RequestBody.Value.Content, true)
			}
			for status, answer := range op.Responses.Map() {
				checkExamples(t, where+", "+status, answer.Value.Content, strings.HasPrefix(status, "2"))
			}
			for _, p := range append(item.Parameters, op.Parameters...) {
				if p.Value.Example == nil || p.Value.Schema == nil {
					continue
				}
				if err := p.Value.Schema.Value.VisitJSON(asRead(t, p.Value.Example), openapi3.EnableJSONSchema2020()); err != nil {
					t.Errorf("%s, parameter %s: the example is not as the schema says: %v", where, p.Value.Name, err)
				}
			}
		}
	}
	for name, item := range doc.Webhooks {
		checkExamples(t, "webhook "+name, item.Post.RequestBody.Value.Content, true)
	}
	for name, schema := range doc.Components.Schemas { // also those of parts of a body
		if schema.Value.Example != nil {
			if err := schema.Value.VisitJSON(asRead(t, schema.Value.Example), openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("schema %s: the example is not as the schema says: %v", name, err)
			}
		}
	}
}

// putEvents keeps what is put on an event bus.
type putEvents struct{ in []*eventbridge.PutEventsInput }

func (p *putEvents) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	p.in = append(p.in, in)
	return &eventbridge.PutEventsOutput{}, nil
}

// The events that the archive announces have the form that the document gives them.
func TestAnnouncementsAreAsDocumented(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	const corp = "ww0123456789abcdef"
	at, sent := time.Now(), &putEvents{}
	bus := eventbus.New(sent, "bus", time.Now, slog.New(slog.DiscardHandler))
	for _, conv := range []archive.ConversationID{archive.RoomConversation("wr1"), archive.PartyConversation([]string{"a", "wmA"}), archive.PartyConversation([]string{"a"}), archive.PartyConversation([]string{"a", "b", "c"}), archive.Unplaced} {
		bus.AnnounceMessages(t.Context(), corp, []decode.Update{{Conversation: conv, LastAt: at, Seq: 1<<64 - 1}})
	}
	for _, status := range []archive.ConsentStatus{archive.Agreed, archive.Disagreed, archive.AgreedDefault} {
		bus.AnnounceConsents(t.Context(), []archive.Consent{{Corp: corp, Contact: "wmA", Room: "wr1", Status: status, Source: archive.ConsentCheck, At: at}})
	}
	for _, check := range doctor.Checks {
		change := doctor.Change{Check: check, From: doctor.Bad, To: doctor.OK, Was: doctor.CauseStuck, At: at}
		apitest.OK(t, bus.NotifySetup(t.Context(), archive.Corp{ID: corp}, []doctor.Change{change, {Check: check, To: doctor.Bad, Now: doctor.CauseGap, At: at}}))
	}
	seen := make(map[string]bool)
	for _, in := range sent.in {
		for _, e := range in.Entries {
			event := map[string]any{"id": "1", "source": *e.Source, "detail-type": *e.DetailType, "time": e.Time, "detail": json.RawMessage(*e.Detail)}
			seen[*e.DetailType] = true
			webhook := doc.Webhooks[*e.DetailType]
			if webhook == nil {
				t.Errorf("%s is not documented", *e.DetailType)
				continue
			}
			schema := webhook.Post.RequestBody.Value.Content["application/json"].Schema.Value
			if err := schema.VisitJSON(asRead(t, event), openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s is not as documented: %v\n%s", *e.DetailType, err, *e.Detail)
			}
		}
	}
	if len(seen) != len(doc.Webhooks) {
		t.Errorf("got the kinds %v, want the %d of the document", seen, len(doc.Webhooks))
	}
}
