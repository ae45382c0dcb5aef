package eventbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/eventbus"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

const corp = "ww0123456789abcdef"

var at = time.Date(2026, 3, 1, 9, 0, 0, 5e6, time.UTC)

func now() time.Time { return at }

// secret is in every field that no announcement may show.
const secret = "must not be announced"

func changes() []doctor.Change {
	return []doctor.Change{
		{Check: doctor.CheckTrustedIP, From: doctor.OK, To: doctor.Bad, Now: doctor.Cause(archive.CauseTrustedIP), At: at, Evidence: []doctor.Evidence{{Fact: doctor.FactReason, Value: secret}}},
		{Check: doctor.CheckPages, To: doctor.Bad, Now: doctor.CauseStuck, At: at, Operators: true},
	}
}

// A delivered event is what a rule of the bus gives to its target.
type delivered struct {
	Source     string
	DetailType string `json:"detail-type"`
	Detail     map[string]any
}

// busWithTarget makes an event bus whose events a queue receives, and the function
// that receives one.
func busWithTarget(t *testing.T) (client *eventbridge.Client, name string, receive func() delivered) {
	t.Helper()
	cfg, ctx := awstest.Config(t), t.Context()
	client, queues := eventbridge.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	name, queue := awstest.Name(t), awstest.Queue(t)
	parts := strings.Split(queue, "/")
	arn := "arn:aws-cn:sqs:" + cfg.Region + ":123456789012:" + parts[len(parts)-1]
	for _, err := range []error{
		second(client.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: &name})),
		second(client.PutRule(ctx, &eventbridge.PutRuleInput{Name: &name, EventBusName: &name, EventPattern: aws.String(`{"source":["yunduo-archive"],"detail":{"corp":["` + corp + `"]}}`)})),
		second(client.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: &name, EventBusName: &name, Targets: []types.Target{{Id: aws.String("scrm"), Arn: &arn}}})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return client, name, func() (d delivered) {
		t.Helper()
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 10})
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("got %v, error %v, want one message", out, err)
		}
		if err := json.Unmarshal([]byte(*out.Messages[0].Body), &d); err != nil {
			t.Fatal(err)
		}
		if _, err := queues.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
		return d
	}
}

// patient waits for a slow moto longer than the bus would.
type patient struct{ *eventbridge.Client }

func (p patient) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, options ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	return p.Client.PutEvents(context.WithoutCancel(ctx), in, options...)
}

func second[T any](_ T, err error) error { return err }

// Each kind reaches the target of a rule that the SCRM adds to the bus, with these
// fields and no others.
func TestAnnouncementsReachARule(t *testing.T) {
	client, name, receive := busWithTarget(t)
	bus, ctx := eventbus.New(patient{client}, name, now, slog.New(slog.NewTextHandler(t.Output(), nil))), t.Context()
	room, err := opaque.Conversation(corp).Seal(archive.RoomConversation("wr/1"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(kind eventbus.Kind, want map[string]any) {
		t.Helper()
		got := receive()
		if got.Source != eventbus.Source || got.DetailType != string(kind) || !reflect.DeepEqual(got.Detail, want) {
			t.Errorf("got %+v, want %s %+v", got, kind, want)
		}
	}

	bus.AnnounceMessages(ctx, corp, []decode.Update{{Conversation: archive.RoomConversation("wr/1"), Parties: []string{"lin.hua", "wmA"}, LastAt: at, Seq: 1 << 60}})
	check(eventbus.ConversationUpdated, map[string]any{
		"corp": corp, "conversation": room, "kind": "room", "room": "wr/1", "parties": []any{"lin.hua", "wmA"}, "last_at": "2026-03-01T09:00:00.005Z", "seq": "1152921504606846976",
	})
	bus.AnnounceConsents(ctx, []archive.Consent{{Corp: corp, Contact: "wmA", Member: "lin.hua", Status: archive.Disagreed, ChangedAt: at, Source: archive.ConsentMessage, At: at}})
	check(eventbus.ConsentChanged, map[string]any{
		"corp": corp, "external_contact": "wmA", "member": "lin.hua", "room": nil, "status": "disagree", "changed_at": "2026-03-01T09:00:00.005Z", "source": "message",
	})
	if err := bus.NotifySetup(ctx, archive.Corp{ID: corp, Name: secret}, changes()[:1]); err != nil {
		t.Fatal(err)
	}
	check(eventbus.SetupChanged, map[string]any{
		"corp": corp, "check": "trusted_ip", "step": 4.0, "from": "ok", "to": "bad", "was": nil, "cause": "trusted_ip", "who": "admin", "at": "2026-03-01T09:00:00.005Z",
	})
}

// fake is a Client that refuses what its function says.
type fake struct {
	do  func(ctx context.Context, in *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error)
	got []*eventbridge.PutEventsInput
}

func (f *fake) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	f.got = append(f.got, in)
	if f.do == nil {
		return &eventbridge.PutEventsOutput{}, nil
	}
	return f.do(ctx, in)
}

func updates(n int) (list []decode.Update) {
	for i := range n {
		list = append(list, decode.Update{Conversation: archive.RoomConversation(fmt.Sprint("wr", i)), LastAt: at, Seq: uint64(i + 1)})
	}
	return list
}

// EventBridge takes ten events at a time.
func TestAnnouncementsGoTenAtATime(t *testing.T) {
	f := &fake{}
	eventbus.New(f, "bus", now, slog.New(slog.DiscardHandler)).AnnounceMessages(t.Context(), corp, updates(25))
	var sizes []int
	for _, in := range f.got {
		sizes = append(sizes, len(in.Entries))
	}
	if want := []int{10, 10, 5}; !reflect.DeepEqual(sizes, want) {
		t.Errorf("got calls with %v entries, want %v", sizes, want)
	}
}

// A failure costs one call and one log line. It is no error of the caller, and the
// bus is left alone for half a minute.
func TestFailuresHoldNobodyUp(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, in *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error){
		"throttled": func(context.Context, *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error) {
			return nil, errors.New("ThrottlingException")
		},
		"some refused": func(_ context.Context, in *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error) {
			out := &eventbridge.PutEventsOutput{FailedEntryCount: 1, Entries: make([]types.PutEventsResultEntry, len(in.Entries))}
			out.Entries[0].ErrorCode = aws.String("InternalFailure")
			return out, nil
		},
		"hanging": func(ctx context.Context, _ *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			clock, f := at, &fake{do: do}
			bus := eventbus.New(f, "bus", func() time.Time { return clock }, slog.New(slog.NewTextHandler(&log, nil)))
			began := time.Now()
			if err := bus.NotifySetup(t.Context(), archive.Corp{ID: corp, Name: secret}, changes()); err != nil {
				t.Errorf("got error %v, want none", err)
			}
			bus.AnnounceMessages(t.Context(), corp, updates(100))
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the caller waited %s", took)
			}
			if len(f.got) != 1 {
				t.Errorf("got %d calls, want one", len(f.got))
			}
			for _, want := range []string{"announcements not sent", "missing=100"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("got log %s, want %q in it", log.String(), want)
				}
			}
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log shows what it must not: %s", log.String())
			}
			clock, f.do = clock.Add(time.Minute), nil
			bus.AnnounceMessages(t.Context(), corp, updates(1))
			if len(f.got) != 2 {
				t.Errorf("a minute later: got %d calls, want another one", len(f.got)-1)
			}
		})
	}
}

// Without a bus nothing is called.
func TestNoBus(t *testing.T) {
	bus := eventbus.New(nil, "", now, slog.New(slog.DiscardHandler))
	bus.AnnounceMessages(t.Context(), corp, updates(1))
	bus.AnnounceConsents(t.Context(), nil)
	if err := bus.NotifySetup(t.Context(), archive.Corp{ID: corp}, changes()); err != nil {
		t.Error(err)
	}
}
