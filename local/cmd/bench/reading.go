package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

const (
	busyDay  = 10_000 // conversations of one member in a day
	quietDay = 100    // conversations of another member
	longChat = 1000   // messages of one conversation
	pageSize = 50
	deep     = 10 // pages of a list before the later one that is measured
)

// reading measures a page of a chat against the store's own Query of the same
// items, and the first and a later page of a busy member's conversations against the
// first one of a quiet member.
func (b *bench) reading(ctx context.Context) error {
	b.heading(fmt.Sprintf("reading through the API, in turns (pages of %d)", pageSize))
	c, err := b.cloud(ctx, "bench-reading", 0, []wecom.CorpConfig{
		{ID: "ww0000000000000001", Name: "company", Crowd: wecom.Crowd{Staff: 2, Customers: busyDay}},
	}, wecom.Config{Seed: 1, PullsPerMinute: 1_000_000})
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	corp := c.Sim.Corps()[0]
	busy, quiet := corp.Details().Staff[0].UserID, corp.Details().Staff[1].UserID
	customers := corp.Details().Customers
	sent := 0
	send := func(from string, to, times int) error {
		for range times {
			s, err := corp.Send(wecom.Draft{From: from, To: []string{customers[to].ExternalUserID}, Text: fmt.Sprint("message ", sent)})
			if err != nil {
				return err
			}
			if s.LeftOut != "" {
				return fmt.Errorf("message was not archived: %s", s.LeftOut)
			}
			sent++
		}
		return nil
	}
	for i := range busyDay {
		if err := send(busy, i, 1); err != nil {
			return err
		}
	}
	for i := range quietDay {
		if err := send(quiet, i, 1); err != nil {
			return err
		}
	}
	if err := send(quiet, 0, longChat); err != nil {
		return err
	}
	if err := drained(ctx, &people.Watcher{API: c.API, Corp: corp.ID()}, upTo(corp)); err != nil {
		return err
	}

	chat, own, err := pageOfChat(ctx, c, corp.ID(), quiet, customers[0].ExternalUserID)
	if err != nil {
		return err
	}
	later, err := laterConversations(ctx, c, corp.ID(), busy)
	if err != nil {
		return err
	}
	if err := giveNames(ctx, c, corp.ID(), quiet, customers[0].ExternalUserID); err != nil {
		return err
	}
	var inside []float64
	page := func() error {
		took := c.Function("ApiFunction").Stats().Duration
		err := chat()
		took = c.Function("ApiFunction").Stats().Duration - took
		inside = append(inside, took.Seconds())
		return err
	}
	times, err := b.inTurns(10*b.rounds, page, own, firstConversations(ctx, c, corp.ID(), busy), firstConversations(ctx, c, corp.ID(), quiet), later)
	if err != nil {
		return err
	}
	b.note("the store's own Query of a page of a chat", times[1]*1000, "ms")
	b.note("a page of a chat, the function alone, as a multiple of it", median(inside)/times[1], "")
	b.note("the same as its caller sees it", times[0]/times[1], "")
	b.note(fmt.Sprintf("first conversations of a day with %d", busyDay), times[2]*1000, "ms")
	b.note(fmt.Sprintf("the same as a multiple of a day with %d", quietDay), times[2]/times[3], "")
	b.note(fmt.Sprintf("the page after %d of them as the same multiple", deep*pageSize), times[4]/times[3], "")
	return nil
}

// giveNames names the people of a chat, as the SCRM does.
func giveNames(ctx context.Context, c *cloud.Cloud, corp, member, customer string) error {
	contacts := []map[string]string{
		{"id": member, "kind": "member", "name": "one who answers"}, {"id": customer, "kind": "external", "name": "one who asks"},
	}
	return c.API.Call(ctx, people.Admin, http.MethodPut, corp, "/contacts", map[string]any{"contacts": contacts}, nil)
}

func conversationsPath(member string) string {
	return fmt.Sprintf("/conversations?limit=%d&member=%s", pageSize, url.QueryEscape(member))
}

// firstConversations is a call of the API for the first page of a member's
// conversations.
func firstConversations(ctx context.Context, c *cloud.Cloud, corp, member string) func() error {
	return func() error {
		return c.API.Call(ctx, people.Reader, http.MethodGet, corp, conversationsPath(member), nil, nil)
	}
}

// laterConversations follows a member's conversations over some pages, and returns
// a call of the API for the page after them.
func laterConversations(ctx context.Context, c *cloud.Cloud, corp, member string) (func() error, error) {
	path := conversationsPath(member)
	for range deep {
		var page struct {
			Next *string `json:"next"`
		}
		if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp, path, nil, &page); err != nil {
			return nil, err
		}
		if page.Next == nil {
			return nil, fmt.Errorf("conversations of %s end before page %d", member, deep+1)
		}
		path = conversationsPath(member) + "&page=" + url.QueryEscape(*page.Next)
	}
	return func() error { return c.API.Call(ctx, people.Reader, http.MethodGet, corp, path, nil, nil) }, nil
}

// inTurns runs each of the calls once, and then all in turns. It returns the median
// time of each, in seconds.
func (b *bench) inTurns(rounds int, calls ...func() error) ([]float64, error) {
	times := make([][]float64, len(calls))
	for round := range rounds + 1 {
		for i, call := range calls {
			begun := time.Now()
			if err := call(); err != nil {
				return nil, err
			}
			if round > 0 { // the first call starts processes
				times[i] = append(times[i], time.Since(begun).Seconds())
			}
		}
	}
	medians := make([]float64, len(calls))
	for i := range calls {
		medians[i] = median(times[i])
	}
	return medians, nil
}

// pageOfChat returns a call of the API for the newest page of a chat, and the
// store's own Query of the same items.
func pageOfChat(ctx context.Context, c *cloud.Cloud, corp, member, customer string) (page, own func() error, err error) {
	var list struct {
		Conversations []struct {
			ID string `json:"id"`
		} `json:"conversations"`
	}
	query := fmt.Sprintf("/conversations?limit=1&external_contact=%s", url.QueryEscape(customer))
	if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp, query, nil, &list); err != nil {
		return nil, nil, err
	}
	if len(list.Conversations) != 1 {
		return nil, nil, fmt.Errorf("got %d conversations of %s and %s, want one", len(list.Conversations), member, customer)
	}
	path := fmt.Sprintf("/conversations/%s/messages?order=desc&limit=%d", url.PathEscape(list.Conversations[0].ID), pageSize)
	page = func() error {
		var out struct {
			Messages []struct{} `json:"messages"`
		}
		err := c.API.Call(ctx, people.Reader, http.MethodGet, corp, path, nil, &out)
		if err == nil && len(out.Messages) != pageSize {
			err = fmt.Errorf("got a page of %d messages, want %d", len(out.Messages), pageSize)
		}
		return err
	}

	table := c.Stack.Tables["MessagesTable"]
	db := &queries{Client: dynamodb.NewFromConfig(c.Config)}
	store := dynamostore.NewMessages(db, table)
	conv := archive.PartyConversation([]string{member, customer})
	if _, _, err := store.Messages(ctx, corp, conv, archive.MessageQuery{Descending: true, Limit: pageSize}); err != nil {
		return nil, nil, err
	}
	in := db.last
	own = func() error {
		out, err := db.Client.Query(ctx, &in)
		if err == nil && out.Count < pageSize {
			err = fmt.Errorf("got %d items, want %d", out.Count, pageSize)
		}
		return err
	}
	return page, own, nil
}

// queries keeps the last Query.
type queries struct {
	*dynamodb.Client
	last dynamodb.QueryInput
}

func (q *queries) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	q.last = *in
	q.last.ReturnConsumedCapacity = ""
	return q.Client.Query(ctx, in, options...)
}

// upTo tells whether a corp's messages up to the last one that WeCom has now are in
// the archive.
func upTo(corp *wecom.Corp) func(people.Progress) bool {
	sent := corp.Sent()
	if len(sent) == 0 {
		return func(people.Progress) bool { return true }
	}
	last := sent[len(sent)-1].Seq
	return func(p people.Progress) bool { return p.Head >= last }
}

// drained waits until all messages are in the archive, and can be read. It calls the
// functions of meanwhile again and again. Requests that the end of an earlier run lost
// are sent again after a quarter of an hour.
func drained(ctx context.Context, watch *people.Watcher, all func(people.Progress) bool, meanwhile ...func()) error {
	for before, since := -1, time.Now(); ; {
		for _, do := range meanwhile {
			do()
		}
		begun := time.Now()
		p, err := watch.Look(ctx)
		if err != nil {
			return err
		}
		// A look counts all files that wait: with a backlog it keeps the store busy itself.
		pause := max(200*time.Millisecond, 4*time.Since(begun))
		if p.Pending == 0 && all(p) {
			return nil
		}
		if p.Decoded != before {
			before, since = p.Decoded, time.Now()
		}
		if time.Since(since) > 20*time.Minute {
			return fmt.Errorf("the archive stands still at %+v", p)
		}
		time.Sleep(pause)
	}
}
