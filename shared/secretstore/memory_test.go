package secretstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// oneSecret is Secrets Manager with one value for every name. It counts reads.
type oneSecret struct {
	*secretsmanager.Client
	value string
	err   error
	reads int
}

func (o *oneSecret) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	o.reads++
	value := o.value
	return &secretsmanager.GetSecretValueOutput{SecretString: &value}, o.err
}

// Secrets Manager is asked once for a saved secret, and again when another is
// saved. It may show the former secret just after that, so what it shows then is
// not remembered.
func TestMemoryReadsASecretWhenItChanged(t *testing.T) {
	saved := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	now := saved.Add(time.Hour)
	client := &oneSecret{value: "old"}
	m := secretstore.NewMemory(secretstore.New(client, "stack", ""), func() time.Time { return now })
	const corp = "ww0123456789abcdef"
	for _, step := range []struct {
		name    string
		after   time.Duration // since the step before
		save    bool          // at this moment
		shows   string        // what Secrets Manager shows; empty for the same as before
		err     error
		want    string // empty for an error
		readsIt bool
	}{
		{"first pull", 0, false, "", nil, "old", true},
		{"second pull", time.Minute, false, "", nil, "old", false},
		{"saved, not shown yet", time.Minute, true, "", nil, "old", true},
		{"saved and shown", 59 * time.Second, false, "new", nil, "new", true},
		{"the minute is over", time.Second, false, "", nil, "new", true},
		{"next pull", time.Minute, false, "", nil, "new", false},
		{"an hour without a change", 58 * time.Minute, false, "", nil, "new", false},
		{"after the hour", time.Minute, false, "replaced by hand", nil, "replaced by hand", true},
		{"Secrets Manager is down", 2 * time.Minute, true, "", errors.New("down"), "", true},
		{"removed", time.Minute, false, "", &types.ResourceNotFoundException{}, "", true},
		{"back", time.Minute, false, "back", nil, "back", true},
		{"remembered", time.Minute, false, "", nil, "back", false},
	} {
		now = now.Add(step.after)
		if step.save {
			saved = now
		}
		if step.shows != "" {
			client.value = step.shows
		}
		client.err = step.err
		before := client.reads
		got, err := m.ArchiveSecret(t.Context(), corp, saved)
		if (err == nil) != (step.want != "") || err == nil && got.Reveal() != step.want {
			t.Errorf("%s: got %q and %v, want %q", step.name, got.Reveal(), err, step.want)
		}
		if reads := client.reads - before; (reads == 1) != step.readsIt || reads > 1 {
			t.Errorf("%s: got %d reads, want one: %t", step.name, reads, step.readsIt)
		}
	}
}

// A company that moved to another stack, or was erased and came back, has the
// same corpid and another SecretSetAt.
func TestMemorySeparatesCorps(t *testing.T) {
	client := &oneSecret{value: "a"}
	m := secretstore.NewMemory(secretstore.New(client, "stack", ""), time.Now)
	for i, corp := range []string{"ww0123456789abcdef", "ww1123456789abcdef", "ww0123456789abcdef"} {
		client.value = corp
		got, err := m.ArchiveSecret(t.Context(), corp, time.Unix(1, 0))
		if err != nil || got.Reveal() != corp || client.reads != min(i+1, 2) {
			t.Errorf("%s: got %q, %v, %d reads", corp, got.Reveal(), err, client.reads)
		}
	}
	if _, err := m.AppSecret(t.Context(), "ww0123456789abcdef"); err != nil || client.reads != 3 {
		t.Errorf("got %v and %d reads, want the app's secret read", err, client.reads)
	}
	client.err = &types.ResourceNotFoundException{}
	if _, err := m.ArchiveSecret(t.Context(), "ww0123456789abcdef", time.Unix(2, 0)); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

// An identity of the operator is read once an hour, not for every page.
func TestMemoryKeepsAnIdentityForAnHour(t *testing.T) {
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	client := &oneSecret{value: `{"corpid":"ww1","secret":"a"}`, err: errors.New("down")}
	m := secretstore.NewMemory(secretstore.New(client, "stack", ""), func() time.Time { return now })
	want := func(corp, value string, reads int) {
		t.Helper()
		id, got, err := m.Identity(t.Context(), "operator")
		if (err == nil) != (corp != "") || id != corp || got.Reveal() != value || client.reads != reads {
			t.Errorf("got %q, %q, %v and %d reads, want %q, %q and %d reads", id, got.Reveal(), err, client.reads, corp, value, reads)
		}
	}
	want("", "", 1)
	client.err = nil
	want("ww1", "a", 2)
	client.value = `{"corpid":"ww2","secret":"b"}`
	now = now.Add(time.Hour - time.Second)
	want("ww1", "a", 2)
	now = now.Add(time.Second)
	want("ww2", "b", 3)
}
