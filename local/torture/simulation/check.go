package simulation

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// check compares the whole state with what WeCom offered, from the journal up
// (laws 1 to 6 and 8). It expects an archive at rest.
func (s *sim) check() {
	s.world.Check()
	for i, id := range s.ids {
		c := s.companies[id]
		if c.erased {
			if left := s.world.Leftovers(id); left != "" {
				s.tb.Errorf("company %d: erased, and there is still %s", i, left)
			}
			continue
		}
		k := &checker{sim: s, c: c}
		k.chain()
		k.messages()
		k.lists()
		k.revocations()
		k.answers()
		k.files()
		k.keys()
		k.refusals()
		k.losses()
	}
}

// checker checks one company.
type checker struct {
	*sim
	c      *company
	rows   []archive.Row
	pulled map[uint64]archive.Row // by seq of a record: the row of its page
	lost   []*said                // deleted by WeCom before they were pulled
	inView map[*said]archive.Message
}

func (k *checker) bad(format string, args ...any) {
	k.tb.Errorf(k.c.id+": "+format, args...)
}

// chain checks rows, pages and gaps against everything that the company said (law
// 1).
func (k *checker) chain() {
	ctx := context.Background()
	k.pulled = make(map[uint64]archive.Row)
	head := archive.NewHead(k.c.id)
	for {
		rows, err := k.world.Ledger.Rows(ctx, k.c.id, archive.RowQuery{From: head.Last, Limit: 1000})
		k.must(err)
		for _, row := range rows {
			if row.After != head.Last || row.Prev != head.Hash || row.Hash != archive.ChainHash(row) {
				k.bad("the chain breaks after seq %d (law 1)", row.After)
			}
			head = head.Next(row)
			k.row(row)
		}
		k.rows = append(k.rows, rows...)
		if len(rows) < 1000 {
			break
		}
	}
	if now, err := k.world.Ledger.Head(ctx, k.c.id); err != nil || now.Hash != head.Hash || now.Last != head.Last || now.Rows != head.Rows {
		k.bad("head at %d after %d rows, want %d after %d (law 1)", now.Last, now.Rows, head.Last, head.Rows)
	}
	for _, said := range k.c.said {
		_, got := k.pulled[said.Seq]
		switch {
		case got:
		case said.Seq > head.Last && (said.deleted || said.never):
		case said.Seq > head.Last:
			k.bad("seq %d never pulled (law 1)", said.Seq)
		case said.never && k.inGap(said.Seq): // known before WeCom deleted it
		case said.deleted:
			k.lost = append(k.lost, said)
		case !said.never:
			k.bad("seq %d is in a gap, or skipped, and WeCom can hand it out (law 1)", said.Seq)
		}
	}
}

// inGap reports whether a row says that WeCom did not hand out the seq.
func (k *checker) inGap(seq uint64) bool {
	return slices.ContainsFunc(k.rows, func(r archive.Row) bool { return r.Kind == archive.GapRow && r.After < seq && seq <= r.Last })
}

// row checks one row.
func (k *checker) row(row archive.Row) {
	if row.Kind == archive.GapRow {
		if err := k.world.Journal.Gap(context.Background(), row); err != nil {
			k.bad("evidence of the gap after %d: %v (law 1)", row.After, err)
		}
		return
	}
	raw, err := k.world.Journal.Page(context.Background(), row)
	if err != nil {
		k.bad("page after %d: %v (law 1)", row.After, err)
		return
	}
	answer, err := archive.ParseAnswer(raw)
	if err != nil || len(answer.Records) != row.Count {
		k.bad("page after %d: %d records, %v; want %d (law 1)", row.After, len(answer.Records), err, row.Count)
		return
	}
	for _, rec := range answer.Records {
		said := k.c.of(rec.Seq)
		if said == nil || !said.malformed && (rec.MsgID != said.MsgID || rec.KeyVersion != said.KeyVersion) {
			k.bad("page after %d: record %d is not what WeCom offered (law 1)", row.After, rec.Seq)
		}
		if _, twice := k.pulled[rec.Seq]; twice {
			k.bad("seq %d is in two pages (law 1)", rec.Seq)
		}
		k.pulled[rec.Seq] = row
	}
	if row.State != archive.RowDecoded {
		k.bad("page after %d: state %s at rest (law 5)", row.After, row.State)
	}
}

// messages checks that every pulled record is stored once, byte for byte, or set
// aside for a reason that holds (laws 2, 4 and 5).
func (k *checker) messages() {
	ctx := context.Background()
	stored := make(map[uint64]archive.Message)
	for _, m := range k.world.View.All(k.c.id) {
		if _, twice := stored[m.Seq]; twice {
			k.bad("seq %d is stored twice (law 2)", m.Seq)
		}
		stored[m.Seq] = m
	}
	aside := make(map[uint64]archive.SetAside)
	list, _, err := k.world.View.ListSetAside(ctx, k.c.id, 0, 100_000)
	k.must(err)
	for _, a := range list {
		aside[a.Seq] = a
	}
	k.inView = make(map[*said]archive.Message)
	for _, said := range k.c.said {
		row, pulled := k.pulled[said.Seq]
		m, there := stored[said.Seq]
		a, isAside := aside[said.Seq]
		delete(stored, said.Seq)
		delete(aside, said.Seq)
		switch {
		case !pulled && (there || isAside):
			k.bad("seq %d is in the view and in no page (law 2)", said.Seq)
		case !pulled:
		case there && isAside:
			k.bad("seq %d is stored and set aside (law 5)", said.Seq)
		case !there && !isAside:
			k.bad("seq %d is neither stored nor set aside (law 5)", said.Seq)
		case isAside && (said.opens || a.Reason == archive.ReasonJournal):
			k.bad("seq %d is set aside at rest: %s %s (law 5)", said.Seq, a.Reason, a.Detail)
		case there && !said.opens && said.decrypt == 0:
			k.bad("seq %d is stored, and nothing opens it (law 4)", said.Seq)
		case there:
			k.inView[said] = m
			k.message(said, m, row)
		}
	}
	if len(stored)+len(aside) > 0 {
		k.bad("%d messages and %d records set aside that the company never sent (laws 2 and 8)", len(stored), len(aside))
	}
}

// message checks one stored message.
func (k *checker) message(said *said, m archive.Message, row archive.Row) {
	raw := m.Raw
	if m.Overflow != nil {
		var err error
		if raw, err = k.world.Journal.Message(context.Background(), k.c.id, *m.Overflow); err != nil {
			k.bad("bytes of seq %d: %v (law 4)", said.Seq, err)
		}
	}
	sent := said.sent
	if sent.IsZero() {
		sent = row.At
	}
	switch {
	case !bytes.Equal(raw, said.Text):
		k.bad("seq %d: got %d bytes, want %d, equal (law 4)", said.Seq, len(raw), len(said.Text))
	case !bytes.Contains(raw, []byte(k.c.id)):
		k.bad("seq %d is another company's (law 8)", said.Seq)
	case m.Conversation != said.conv || m.MsgID != said.MsgID || !m.Time.Equal(sent) || m.After != row.After || m.KeyVersion != said.KeyVersion:
		k.bad("seq %d is stored at %s %s %s after %d, want %s %s %s after %d (law 2)", said.Seq, m.Conversation, m.MsgID, m.Time, m.After, said.conv, said.MsgID, sent, row.After)
	}
	got, err := k.world.View.Message(context.Background(), k.c.id, m.Conversation, m.Position())
	if err != nil || !bytes.Equal(got.Raw, m.Raw) {
		k.bad("seq %d cannot be read at its place: %v (law 2)", said.Seq, err)
	}
}

// lists checks the conversation lists, in both directions (law 2).
func (k *checker) lists() {
	want := make(map[archive.Activity]bool)
	for said, m := range k.inView {
		parties := said.parties
		if len(parties) == 0 {
			parties = []string{""}
		}
		for _, party := range parties {
			want[archive.Activity{Corp: k.c.id, Party: party, Day: archive.DayOf(m.Time), Conversation: m.Conversation}] = true
		}
	}
	for _, a := range k.world.View.AllActivities(k.c.id) {
		if !want[a] {
			k.bad("list entry %+v of no message (law 2)", a)
		}
		delete(want, a)
	}
	for a := range want {
		k.bad("list entry %+v is missing (law 2)", a)
	}
}

// revocations checks that each revoked message is marked, by the first message
// that revoked it (law 2).
func (k *checker) revocations() {
	first := make(map[[2]string]uint64)
	for _, said := range k.c.said {
		if m, there := k.inView[said]; there && said.revokes != "" {
			at := [2]string{string(m.Conversation), archive.RevocationKey(said.revokes)}
			if _, earlier := first[at]; !earlier {
				first[at] = said.Seq
			}
		}
	}
	for said, m := range k.inView {
		if said.MsgID == "" {
			continue
		}
		marks, err := k.world.View.Revocations(context.Background(), k.c.id, m.Conversation, []string{said.MsgID})
		k.must(err)
		if got, want := marks[said.MsgID].Seq, first[[2]string{string(m.Conversation), archive.RevocationKey(said.MsgID)}]; got != want {
			k.bad("seq %d: revoked by %d, want %d (law 2)", said.Seq, got, want)
		}
	}
}

// answers checks that the newest answer of each customer about each member or room
// is kept (law 2).
func (k *checker) answers() {
	want := make(map[archive.ConsentQuery]archive.Consent)
	for said, m := range k.inView {
		if said.agrees == "" {
			continue
		}
		at := archive.ConsentQuery{Contact: said.parties[1], Member: said.parties[0]}
		if m.Conversation.Kind() == "room" {
			at.Member, at.Room = "", m.Conversation.Parties()[0]
		}
		c := archive.Consent{Status: archive.ConsentStatus(said.agrees), Source: archive.ConsentMessage, ChangedAt: said.answeredAt}
		if old, there := want[at]; !there || c.Order() > old.Order() {
			want[at] = c
		}
	}
	for at, w := range want {
		list, _, err := k.consents.Consents(context.Background(), k.c.id, at, "", 10)
		k.must(err)
		if len(list) != 1 || list[0].Order() != w.Order() {
			k.bad("answer %+v: got %+v, want %+v (law 2)", at, list, w)
		}
	}
}

// files checks that every file that a stored message names has a row, and that its
// bytes are there unless WeCom does not give them.
func (k *checker) files() {
	ctx := context.Background()
	named := make(map[string]*file)
	for said := range k.inView {
		if said.file != nil {
			named[media.ID(said.file.id)] = said.file
		}
	}
	waiting := 0
	for id, f := range named {
		row, err := k.world.Files.File(ctx, k.c.id, id)
		if err != nil {
			k.bad("%s: %v (law 5)", f.id, err)
			continue
		}
		body, there := k.world.Objects.Object(k.c.id, id)
		switch row.State {
		case media.Stored:
			if !there || !bytes.Equal(body, f.body) {
				k.bad("%s: %d bytes stored, want %d, equal (law 4)", f.id, len(body), len(f.body))
			}
		case media.Waiting:
			if waiting++; !f.never {
				k.bad("%s waits at rest: %s", f.id, row.Reason)
			}
		default:
			if time.Since(f.at) < archive.Retention-k.weather.off() {
				k.bad("%s is %s, %s, while WeCom has it", f.id, row.State, row.Reason)
			}
		}
	}
	backlog, err := k.world.Files.Backlog(ctx, k.c.id, time.Now())
	k.must(err)
	if backlog.Waiting != waiting {
		k.bad("%d files on the list of waiting files, %d wait", backlog.Waiting, waiting)
	}
}

// keys checks that no key is lost, and that each binding is true (law 6).
func (k *checker) keys() {
	set, err := k.world.Corps.KeySet(context.Background(), k.c.id)
	k.must(err)
	for _, id := range k.c.given {
		if !slices.ContainsFunc(set.Keys, func(key archive.Key) bool { return key.ID == id }) {
			k.bad("%s is lost (law 6)", id)
		}
	}
	for _, b := range set.Bindings {
		if k.c.opens[b.Version] != b.KeyID {
			k.bad("version %d is bound to %s, want %s (law 6)", b.Version, b.KeyID, k.c.opens[b.Version])
		}
	}
	for said := range k.inView {
		if !slices.ContainsFunc(set.Bindings, func(b archive.Binding) bool { return b.Version == said.KeyVersion }) && !said.unreadable {
			k.bad("seq %d is stored, and version %d is bound to no key (law 6)", said.Seq, said.KeyVersion)
			return
		}
	}
}

// refusals checks how often WeCom saw a wrong secret of the company (law 8): its
// share, what a reset secret costs until its refusal is noted, and what pulls cost
// that ended before they could note it.
func (k *checker) refusals() {
	within := func(list []time.Time, from, to time.Time) (n int) {
		for _, at := range list {
			if !at.Before(from) && !at.After(to) {
				n++
			}
		}
		return n
	}
	for _, bound := range []struct {
		window time.Duration
		most   int
	}{{time.Hour, 2}, {24 * time.Hour, 5}} {
		for _, at := range k.c.refused {
			from := at.Add(-bound.window + 2*k.weather.off())
			allowed := bound.most + 2*within(k.c.resets, from, at) + within(k.c.broken, from, at.Add(10*time.Minute))
			if n := within(k.c.refused, from, at); n > allowed {
				k.bad("WeCom saw %d wrong secrets within %s, want at most %d (law 8)", n, bound.window, allowed)
				return
			}
		}
	}
}

// losses checks that whatever WeCom deleted before it was pulled lies in a recorded
// loss (law 9).
func (k *checker) losses() {
	losses, err := k.world.Ledger.Losses(context.Background(), k.c.id)
	k.must(err)
	slack := 2*k.weather.off() + time.Second
	for _, said := range k.lost {
		if !slices.ContainsFunc(losses, func(l archive.Loss) bool {
			return !l.Since.After(said.at.Add(slack)) && !l.At.Before(said.at.Add(-slack))
		}) {
			k.bad("seq %d was deleted unpulled, and no loss covers it: %+v (law 9)", said.Seq, losses)
			return
		}
	}
	if len(k.lost) == 0 && k.weather.away < archive.Retention-time.Hour-2*k.weather.off() && len(losses) > 0 {
		k.bad("a loss is recorded, and nothing was lost: %+v (law 9)", losses)
	}
}
