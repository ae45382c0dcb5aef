package e2e_test

import (
	"bytes"
	"context"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// derived is all data of a corp that follows from the journal (law 2).
type derived struct {
	messages map[string]people.Message // by msgid, read through the API
	lists    map[string][]string       // conversations by member or customer, read through the API
	items    map[string]item           // stored messages, revocations and rows set aside
	consents map[string]item           // stored consents that came with messages
	files    map[string]item           // stored files with the fields that messages name
	results  map[uint64]archive.Result // result of decoding each page, by the page's after
}

type item = map[string]types.AttributeValue

// derive reads all derived data of the corp.
func derive(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) derived {
	t.Helper()
	d := derived{messages: readAll(ctx, t, c, corp), lists: lists(ctx, t, c, corp), results: map[uint64]archive.Result{}}
	ours := func(it item) bool { return strings.HasPrefix(text(it, "pk"), corp.ID()) }
	d.items = items(ctx, t, c, "MessagesTable", func(it item) bool {
		// The forms of a party's list and of a corp's day depend on the order of
		// decoding, and notes of changes on its time.
		pk, ofCorp := strings.CutPrefix(text(it, "pk"), corp.ID()+"#")
		return ours(it) && !(ofCorp && (strings.HasPrefix(pk, "p#") || pk == "d" || pk == "n"))
	})
	d.consents = items(ctx, t, c, "ConsentsTable", func(it item) bool { return ours(it) && fromMessage(it) })
	for _, it := range d.consents {
		delete(it, "at") // of two equal answers, the store may keep either
	}
	d.files = items(ctx, t, c, "MediaTable", func(it item) bool { return ours(it) && strings.HasPrefix(text(it, "sk"), "file#") })
	for _, it := range d.files {
		// The state of the download does not follow from the journal.
		for _, name := range []string{"state", "reason", "tries", "not_before", "registered", "wholes", "resume", "stored", "rev"} {
			delete(it, name)
		}
	}
	ledger := dynamostore.NewLedger(dynamodb.NewFromConfig(c.Config), c.Stack.Tables["LedgerTable"])
	for from := uint64(0); ; {
		rows, err := ledger.Rows(ctx, corp.ID(), archive.RowQuery{From: from, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			if r.Result != nil {
				result := *r.Result
				result.At = time.Time{}
				d.results[r.After] = result
			}
			from = r.Last
		}
	}
	for what, n := range map[string]int{"messages": len(d.items), "consents": len(d.consents), "files": len(d.files), "results": len(d.results)} {
		if n == 0 {
			t.Errorf("%s: got no %s, so a rebuild proves nothing", corp.ID(), what)
		}
	}
	return d
}

// same reports the differences from before.
func (d derived) same(t *testing.T, corp string, before derived) {
	t.Helper()
	report := func(what string, names []string) {
		if len(names) > 0 {
			t.Errorf("%s: %d %s differ after the rebuild, such as %q", corp, len(names), what, names[:min(len(names), 5)])
		}
	}
	report("messages", changed(before.messages, d.messages, func(a, b people.Message) bool {
		return a.ID == b.ID && a.Seq == b.Seq && a.Time.Equal(b.Time) && bytes.Equal(a.Raw, b.Raw)
	}))
	report("lists", changed(before.lists, d.lists, slices.Equal))
	equal := func(a, b item) bool { return reflect.DeepEqual(a, b) }
	report("items", changed(before.items, d.items, equal))
	report("consents", changed(before.consents, d.consents, equal))
	report("files", changed(before.files, d.files, equal))
	if !reflect.DeepEqual(before.results, d.results) {
		t.Errorf("%s: results of pages differ after the rebuild", corp)
	}
}

// changed lists the names that only one map has, or whose values differ.
func changed[V any](a, b map[string]V, equal func(V, V) bool) []string {
	names := map[string]bool{}
	for name, v := range a {
		if w, ok := b[name]; !ok || !equal(v, w) {
			names[name] = true
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// wipe removes all data that [derive] reads, except the results of pages, which a
// rebuild replaces.
func wipe(ctx context.Context, t *testing.T, c *cloud.Cloud) {
	t.Helper()
	for _, table := range []string{"MessagesTable", "MediaTable"} {
		if err := c.WipeTable(ctx, table); err != nil {
			t.Fatal(err)
		}
	}
	// The other consents do not follow from the journal: inspect requested them
	// from WeCom.
	db, consents := dynamodb.NewFromConfig(c.Config), c.Stack.Tables["ConsentsTable"]
	for _, it := range items(ctx, t, c, "ConsentsTable", fromMessage) {
		if _, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &consents, Key: item{"pk": it["pk"], "sk": it["sk"]}}); err != nil {
			t.Fatal(err)
		}
	}
	objects, bucket := s3.NewFromConfig(c.Config), c.Stack.Buckets[0].Name
	for _, corp := range c.Sim.Corps() {
		prefix := corp.ID() + "/messages/"
		list, err := objects.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Versions) < 2 {
			t.Errorf("%s: got %d large messages in the bucket, want at least 2", corp.ID(), len(list.Versions))
		}
		for _, v := range list.Versions {
			if _, err := objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: v.Key, VersionId: v.VersionId}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// lists reads the conversations of each member and customer, and of each day.
func lists(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) map[string][]string {
	t.Helper()
	details := corp.Details()
	var parties []string
	for _, s := range details.Staff {
		parties = append(parties, "member="+url.QueryEscape(s.UserID))
	}
	for _, p := range details.Customers {
		parties = append(parties, "external_contact="+url.QueryEscape(p.ExternalUserID))
	}
	all := map[string][]string{}
	for _, party := range parties {
		ids, err := people.Conversations(ctx, c.API, corp.ID(), party)
		if err != nil {
			t.Fatalf("%s: conversations of %s: %v", corp.ID(), party, err)
		}
		slices.Sort(ids)
		all[party] = ids
	}
	view := dynamostore.NewMessages(dynamodb.NewFromConfig(c.Config), c.Stack.Tables["MessagesTable"])
	days, err := view.CorpDays(ctx, corp.ID(), "", 10)
	if err != nil || len(days) == 0 {
		t.Fatalf("%s: got %d days, %v", corp.ID(), len(days), err)
	}
	for _, day := range days {
		for _, id := range day.Conversations {
			all["day "+string(day.Day)] = append(all["day "+string(day.Day)], string(id))
		}
	}
	return all
}

// items reads the items of a table for which keep is true, by their keys.
func items(ctx context.Context, t *testing.T, c *cloud.Cloud, table string, keep func(item) bool) map[string]item {
	t.Helper()
	name := c.Stack.Tables[table]
	all := map[string]item{}
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(c.Config), &dynamodb.ScanInput{TableName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			if keep(it) {
				all[text(it, "pk")+" "+text(it, "sk")] = it
			}
		}
	}
	return all
}

// fromMessage reports whether a consent came with a message.
func fromMessage(it item) bool { return text(it, "source") == string(archive.ConsentMessage) }

// text is a text attribute of an item. It is empty if the item has none.
func text(it item, name string) string {
	s, _ := it[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}
