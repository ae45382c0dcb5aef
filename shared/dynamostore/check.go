package dynamostore

import (
	"context"
	"fmt"
	"reflect"

	"github.com/yunduo-scrm/archive/shared/archive"
)

var _ archive.ViewChecker = (*Messages)(nil)

// Check implements [archive.ViewChecker]: it makes the items that storing the
// page would make, and compares them with those that are there.
func (m *Messages) Check(ctx context.Context, p archive.PageView) (missing, differing, notAside []uint64, err error) {
	fail := func(err error) ([]uint64, []uint64, []uint64, error) {
		return nil, nil, nil, fmt.Errorf("checking messages of corp %s: %w", p.Corp, err)
	}
	want := make([]item, len(p.Messages))
	keys := make([]item, len(p.Messages))
	for i, msg := range p.Messages {
		if want[i], err = encodeMessage(msg); err != nil {
			return fail(err)
		}
		keys[i] = item{"pk": want[i]["pk"], "sk": want[i]["sk"]}
	}
	stored, err := m.readAll(ctx, m.client, distinct(keys))
	if err != nil {
		return fail(err)
	}
	byKey := make(map[[2]string]item, len(stored))
	for _, it := range stored {
		byKey[fullKey(it)] = it
	}
	for i, msg := range p.Messages {
		it, there := byKey[fullKey(want[i])]
		switch {
		case !there:
			missing = append(missing, msg.Seq)
		case !reflect.DeepEqual(it, want[i]):
			differing = append(differing, msg.Seq)
		}
	}
	for _, u := range p.SetAside {
		rows, err := m.SetAside(ctx, p.Corp, u.Seq, u.Seq)
		if err != nil {
			return fail(err)
		}
		if len(rows) == 0 {
			notAside = append(notAside, u.Seq)
		}
	}
	return missing, differing, notAside, nil
}
