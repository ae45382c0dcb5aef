package dynamostore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// A member's list has two parts. The first names conversations by day, in no order:
// a reader must read a message of each to sort them. It holds rooms, chats among
// members, and the first [listedMost] conversations of a day. The second part holds
// the further chats with customers, in the order of time: a broadcast makes ten
// thousand of them on one day. Each page with messages of such a chat adds a move
// to it, with the time of the page's newest message. So this always holds: a chat
// with a message on a day is named in the first part for that day, or the second
// part has a move at the time of the chat's newest message.

const (
	// listedMost is the number of conversations of a member's day from which on new
	// chats with customers are listed by time.
	listedMost = 100
	// movesBytes is the most bytes of an entry, unless it has one move only: a write
	// unit. movesExtra of them are the names of its attributes and its version, and
	// moveExtra of each move are its time and the form of a list.
	movesBytes = 1024
	movesExtra = 30
	moveExtra  = 10
	// movesDigest is how many bytes of the digest of an entry are in its key.
	movesDigest = 16
	// movesAtOnce is the number of entries of one read, and wholeDayAtOnce that of a
	// read of whole days.
	movesAtOnce    = 32
	wholeDayAtOnce = 500
)

// movesPart begins the sort keys of the second part. It sorts after all days.
const movesPart = "t#"

// movesItem is an entry of the second part. Its key has the time of the first move.
type movesItem struct {
	With []string `dynamodbav:"with"` // the customers, escaped as in the ids of conversations
	At   []int64  `dynamodbav:"at"`   // in ms since 1970, falling
}

// customerOf returns the other party of a single chat of the party, if the party is
// a member and the other is none.
func customerOf(party string, conv archive.ConversationID) (customer string, ok bool) {
	if directory.KindOf(party) != directory.Member || conv.Kind() != "single" {
		return "", false
	}
	parties := conv.Parties()
	i := slices.IndexFunc(parties, func(id string) bool { return directory.KindOf(id) != directory.Member })
	if i < 0 || archive.PartyConversation([]string{party, parties[i]}) != conv {
		return "", false
	}
	return parties[i], true
}

// saidOn is a conversation on a day.
type saidOn struct {
	conversation archive.ConversationID
	day          archive.Day
}

// newestOf finds the newest message of each conversation and day.
func newestOf(messages []archive.Message) map[saidOn]time.Time {
	newest := make(map[saidOn]time.Time)
	for _, m := range messages {
		on := saidOn{m.Conversation, archive.DayOf(m.Time)}
		if at, there := newest[on]; !there || m.Time.After(at) {
			newest[on] = m.Time
		}
	}
	return newest
}

// splitMissing divides the conversations that a party's list lacks for a day: those
// that become part of the day, and those that become moves. held is the number of
// conversations that the day has already.
func splitMissing(of partyDay, conversations []archive.ConversationID, held int, newest map[saidOn]time.Time) (listed []archive.ConversationID, moved []archive.Move) {
	for _, conv := range conversations {
		at, said := newest[saidOn{conv, of.day}]
		if _, ok := customerOf(of.party, conv); ok && said {
			moved = append(moved, archive.Move{Conversation: conv, At: at})
		} else {
			listed = append(listed, conv)
		}
	}
	if held+len(conversations) > listedMost {
		return listed, moved
	}
	return conversations, nil
}

// encodeMoves makes entries of the moves of one day. The key of an entry follows
// from its content, so that a repetition writes the same.
func encodeMoves(of partyDay, moves []archive.Move) ([]item, error) {
	slices.SortFunc(moves, func(x, y archive.Move) int {
		return cmp.Or(y.At.Compare(x.At), strings.Compare(string(x.Conversation), string(y.Conversation)))
	})
	pk := partyPK(of.corp, of.party)
	var items []item
	for len(moves) > 0 {
		at, err := millis(moves[0].At)
		if err != nil {
			return nil, err
		}
		var entry movesItem
		sum := sha256.New()
		room := movesBytes - movesExtra - len(pk) - len(movesPart+at+"#") - 2*movesDigest
		for ; len(moves) > 0; moves = moves[1:] {
			customer, _ := customerOf(of.party, moves[0].Conversation)
			with, ms := url.QueryEscape(customer), moves[0].At.UnixMilli()
			if room -= len(with) + moveExtra; room < 0 && len(entry.With) > 0 {
				break
			}
			entry.With, entry.At = append(entry.With, with), append(entry.At, ms)
			_, _ = fmt.Fprintf(sum, "%d %s\n", ms, with) // a hash never fails
		}
		it, err := encode(pk, movesPart+at+"#"+hex.EncodeToString(sum.Sum(nil)[:movesDigest]), entry)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, nil
}

func readMoves(member string, it item) (archive.Moves, error) {
	attributes, err := readItem[movesItem](it)
	if err != nil {
		return archive.Moves{}, err
	}
	var e archive.Moves
	for i, with := range attributes.With {
		customer, err := url.QueryUnescape(with)
		if err != nil || i >= len(attributes.At) {
			return archive.Moves{}, fmt.Errorf("item %s: %w", keyOf(it, "sk"), archive.ErrCorrupt)
		}
		e.Moves = append(e.Moves, archive.Move{Conversation: archive.PartyConversation([]string{member, customer}), At: time.UnixMilli(attributes.At[i]).UTC()})
	}
	if len(e.Moves) == 0 {
		return archive.Moves{}, fmt.Errorf("item %s: %w", keyOf(it, "sk"), archive.ErrCorrupt)
	}
	e.Newest = e.Moves[0].At
	return e, nil
}

// Moves lists the part of a member's list that is in the order of time: the entries
// whose newest move is not after upTo, or all if upTo is zero, newest first. It
// reads some at a time, as the caller asks for them. The same conversation may be in
// many entries. It ends after the first error.
func (m *Messages) Moves(ctx context.Context, corp, member string, upTo time.Time) iter.Seq2[archive.Moves, error] {
	return m.moves(ctx, corp, member, upTo, movesAtOnce)
}

func (m *Messages) moves(ctx context.Context, corp, member string, upTo time.Time, atOnce int32) iter.Seq2[archive.Moves, error] {
	return func(yield func(archive.Moves, error) bool) {
		if directory.KindOf(member) != directory.Member {
			return // only members' lists have this part
		}
		hi := ":" // after all digits
		if !upTo.IsZero() {
			hi = millisFrom(upTo) + "$" // after '#'
		}
		in := within(partyPK(corp, member), movesPart, movesPart+hi)
		in.ScanIndexForward, in.Limit = aws.Bool(false), aws.Int32(atOnce)
		for it, err := range m.query(ctx, m.client, in) {
			var e archive.Moves
			if err == nil {
				e, err = readMoves(member, it)
			}
			if err != nil {
				yield(e, fmt.Errorf("read moves in corp %s: %w", corp, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// movedDays lists the newest days of a member's moves, as [Messages.ListedDays]
// lists days.
func (m *Messages) movedDays(ctx context.Context, corp, member string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	var end time.Time
	if upTo != "" {
		if end = upTo.Next().Start().Add(-time.Millisecond); end.UnixMilli() < 0 {
			return nil, nil
		}
	}
	var days []archive.ActiveDay
	for e, err := range m.moves(ctx, corp, member, end, wholeDayAtOnce) {
		if err != nil {
			return nil, err
		}
		day := archive.DayOf(e.Newest)
		if n := len(days); n == 0 || days[n-1].Day != day {
			if n == limit {
				break
			}
			days = append(days, archive.ActiveDay{Day: day})
		}
		last := &days[len(days)-1]
		for _, move := range e.Moves {
			last.Conversations = append(last.Conversations, move.Conversation)
		}
	}
	return days, nil
}

// notMoved reports which of the activities neither the lists nor moves hold.
// messages are those of the pages that are checked.
func (m *Messages) notMoved(ctx context.Context, activities []archive.Activity, lists partyLists, messages []archive.Message) (func(archive.Activity) bool, error) {
	type page struct {
		saidOn
		after uint64
	}
	newest := make(map[page]int64)
	for _, msg := range messages {
		of := page{saidOn{msg.Conversation, archive.DayOf(msg.Time)}, msg.After}
		newest[of] = max(newest[of], msg.Time.UnixMilli())
	}
	times := make(map[saidOn][]int64)
	for of, at := range newest {
		times[of.saidOn] = append(times[of.saidOn], at)
	}
	// An entry has the time of its first move in its key. The chat of this move may be
	// listed since: another page that was decoded at the same time listed it. So the
	// entries are read up to the newest message of all chats that may have moved.
	oldest, latest := make(map[partyDay]int64), make(map[partyDay]int64) // oldest is of the chats that are not listed
	for _, a := range activities {
		at := times[saidOn{a.Conversation, a.Day}]
		if _, ok := customerOf(a.Party, a.Conversation); !ok || len(at) == 0 {
			continue
		}
		of := dayOf(a)
		latest[of] = max(latest[of], slices.Max(at))
		if begin, begun := oldest[of]; !lists.listed[a] && (!begun || slices.Min(at) < begin) {
			oldest[of] = slices.Min(at)
		}
	}
	type move struct {
		member string
		conv   archive.ConversationID
		at     int64
	}
	there := make(map[move]bool)
	for of, begin := range oldest {
		lo, hi := millisFrom(time.UnixMilli(begin)), millisFrom(time.UnixMilli(latest[of]))
		in := consistently(within(partyPK(of.corp, of.party), movesPart+lo, movesPart+hi+"$"))
		for it, err := range m.query(ctx, m.client, in) {
			var e archive.Moves
			if err == nil {
				e, err = readMoves(of.party, it)
			}
			if err != nil {
				return nil, fmt.Errorf("read moves in corp %s: %w", of.corp, err)
			}
			for _, moved := range e.Moves {
				there[move{of.party, moved.Conversation, moved.At.UnixMilli()}] = true
			}
		}
	}
	return func(a archive.Activity) bool {
		if lists.listed[a] {
			return false
		}
		at := times[saidOn{a.Conversation, a.Day}]
		_, ok := customerOf(a.Party, a.Conversation)
		return !ok || len(at) == 0 || slices.ContainsFunc(at, func(ms int64) bool { return !there[move{a.Party, a.Conversation, ms}] })
	}, nil
}
