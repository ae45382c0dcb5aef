package dynamostore

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
)

var _ archive.ViewChecker = (*Messages)(nil)

// Check implements [archive.ViewChecker]: it makes the items that storing the
// page would make, and compares them with those that are there.
func (m *Messages) Check(ctx context.Context, p archive.PageView) (c archive.Checked, err error) {
	if c.Missing, c.Differing, err = m.checkMessages(ctx, p.Messages); err == nil {
		c.NotAside, c.StaleAside, err = m.checkAside(ctx, p)
	}
	if err == nil {
		c.NotRevoked, err = m.checkRevocations(ctx, p)
	}
	if err == nil {
		c.NotInLists, err = m.checkLists(ctx, p.Activities)
	}
	if err != nil {
		return archive.Checked{}, fmt.Errorf("checking a page of corp %s: %w", p.Corp, err)
	}
	return c, nil
}

func (m *Messages) checkMessages(ctx context.Context, messages []archive.Message) (missing, differing []uint64, err error) {
	want := make([]item, len(messages))
	for i, msg := range messages {
		if want[i], err = encodeMessage(msg); err != nil {
			return nil, nil, err
		}
	}
	stored, err := m.readByKey(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	for i, msg := range messages {
		it, there := stored[fullKey(want[i])]
		switch {
		case !there:
			missing = append(missing, msg.Seq)
		case !reflect.DeepEqual(it, want[i]):
			differing = append(differing, msg.Seq)
		}
	}
	return missing, differing, nil
}

// readByKey reads the items that have the keys of those given.
func (m *Messages) readByKey(ctx context.Context, like []item) (map[[2]string]item, error) {
	keys := make([]item, len(like))
	for i, it := range like {
		keys[i] = item{"pk": it["pk"], "sk": it["sk"]}
	}
	stored, err := m.readAll(ctx, m.client, distinct(keys))
	if err != nil {
		return nil, err
	}
	byKey := make(map[[2]string]item, len(stored))
	for _, it := range stored {
		byKey[fullKey(it)] = it
	}
	return byKey, nil
}

// checkAside compares the rows set aside of the page's seqs in both
// directions.
func (m *Messages) checkAside(ctx context.Context, p archive.PageView) (missing, stale []uint64, err error) {
	var seqs []uint64
	messages := make(map[uint64]bool, len(p.Messages))
	for _, msg := range p.Messages {
		seqs = append(seqs, msg.Seq)
		messages[msg.Seq] = true
	}
	for _, u := range p.SetAside {
		seqs = append(seqs, u.Seq)
	}
	if len(seqs) == 0 {
		return nil, nil, nil
	}
	rows, err := m.SetAside(ctx, p.Corp, slices.Min(seqs), slices.Max(seqs))
	if err != nil {
		return nil, nil, err
	}
	stored := make(map[uint64]bool, len(rows))
	for _, u := range rows {
		stored[u.Seq] = true
		if messages[u.Seq] {
			stale = append(stale, u.Seq)
		}
	}
	for _, u := range p.SetAside {
		if !stored[u.Seq] {
			missing = append(missing, u.Seq)
		}
	}
	return missing, stale, nil
}

func (m *Messages) checkRevocations(ctx context.Context, p archive.PageView) (missing []uint64, err error) {
	for _, r := range p.Revocations { // rare
		found, err := m.Revocations(ctx, p.Corp, r.Conversation, []string{r.MsgID})
		if err != nil {
			return nil, err
		}
		if stored, ok := found[r.MsgID]; revocationSK(r.MsgID) != "" && (!ok || stored.Seq > r.Seq) {
			missing = append(missing, r.Seq)
		}
	}
	return missing, nil
}

func (m *Messages) checkLists(ctx context.Context, activities []archive.Activity) (missing int, err error) {
	listed, err := m.listed(ctx, activities)
	if err != nil {
		return 0, err
	}
	for _, a := range activities {
		if !listed[a] {
			missing++
		}
	}
	return missing, nil
}
