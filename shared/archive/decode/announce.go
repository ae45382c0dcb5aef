package decode

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Update says that messages of a conversation were stored, and between whom.
type Update struct {
	Conversation archive.ConversationID
	Parties      []string  // of the page's messages in the conversation; sorted, at most [partiesMost]
	LastAt       time.Time // the newest time of these messages
	Seq          uint64    // the highest seq of these messages
}

const (
	// updatesMost bounds the updates of one page. A live page names a few
	// conversations; a page of a backlog may name a thousand, and the SCRM reads the
	// days then.
	updatesMost = 100
	// partiesMost bounds the parties of one update.
	partiesMost = 50
)

// announce tells the SCRM of the page's conversations, if the page notes a change.
// Of a page that is decoded again, only the messages that were set aside count.
func (p *pageDecode) announce(ctx context.Context) {
	if p.decoded.Change.At.IsZero() {
		return
	}
	messages := p.decoded.Messages
	if p.again() {
		messages = slices.DeleteFunc(slices.Clone(messages), func(m archive.Message) bool { return !slices.Contains(p.decoded.Cleared, m.Seq) })
	}
	if updates := updatesOf(messages, p.decoded.Activities); len(updates) > 0 {
		p.cfg.Announcer.AnnounceMessages(ctx, p.row.Corp, updates)
	}
}

// updatesOf gives one update for each conversation of the messages, those with the
// newest messages first.
func updatesOf(messages []archive.Message, activities []archive.Activity) []Update {
	found := make(map[archive.ConversationID]Update)
	for _, m := range messages {
		u := found[m.Conversation]
		u.Conversation, u.Seq = m.Conversation, max(u.Seq, m.Seq)
		if m.Time.After(u.LastAt) {
			u.LastAt = m.Time
		}
		found[m.Conversation] = u
	}
	newest := slices.SortedFunc(maps.Values(found), func(a, b Update) int { return cmp.Compare(b.Seq, a.Seq) })
	newest = newest[:min(len(newest), updatesMost)]
	parties := make(map[archive.ConversationID][]string)
	for _, a := range activities {
		parties[a.Conversation] = append(parties[a.Conversation], a.Party)
	}
	for i := range newest {
		ids := archive.Distinct(parties[newest[i].Conversation])
		newest[i].Parties = ids[:min(len(ids), partiesMost)]
	}
	return newest
}
