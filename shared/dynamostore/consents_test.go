package dynamostore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// Whoever is told of newer answers is told of those alone: neither of one that is
// stored, nor of one that is older than the stored one. The version changes with them.
func TestOnlyNewerConsentsAreTold(t *testing.T) {
	var told []string
	consents := dynamostore.NewConsents(dynamodb.NewFromConfig(awstest.Config(t)), awstest.Table(t, "ConsentsTable"), func(_ context.Context, newer []archive.Consent) {
		for _, c := range newer {
			told = append(told, c.Contact+" "+string(c.Status))
		}
		slices.Sort(told)
	})
	at := time.Unix(1_800_000_000, 0).UTC()
	answer := func(contact string, status archive.ConsentStatus, after time.Duration) archive.Consent {
		return archive.Consent{Corp: "ww1", Member: "lin.hua", Contact: contact, Status: status, ChangedAt: at.Add(after), Source: archive.ConsentMessage, At: at}
	}
	version := func() string {
		v, err := consents.ConsentsVersion(t.Context(), "ww1")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, step := range []struct {
		record []archive.Consent
		want   []string
	}{
		{[]archive.Consent{answer("wmA", archive.Agreed, 0), answer("wmB", archive.Agreed, 0)}, []string{"wmA agree", "wmB agree"}},
		{[]archive.Consent{answer("wmA", archive.Agreed, 0), answer("wmB", archive.Disagreed, time.Hour)}, []string{"wmB disagree"}},
		{[]archive.Consent{answer("wmB", archive.Agreed, time.Minute)}, nil},
	} {
		told = nil
		before := version()
		if err := consents.RecordConsents(t.Context(), step.record); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told, step.want) {
			t.Errorf("got %q, want %q", told, step.want)
		}
		if changed := version() != before; changed != (step.want != nil) {
			t.Errorf("%q: got another version %v", step.want, changed)
		}
	}
}
