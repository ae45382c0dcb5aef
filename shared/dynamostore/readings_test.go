package dynamostore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

func TestReadingsOfADay(t *testing.T) {
	s, ctx := newReadings(t), t.Context()
	slot := sent.Truncate(archive.ReadingSlot)
	var want []archive.Reading
	for i := range 7 {
		want = append(want, archive.Reading{
			Corp: corp, By: fmt.Sprintf("v#%d", i), Role: "staff", Conversation: room,
			At: slot.Add(time.Duration(i) * archive.ReadingSlot),
		})
	}
	// These share one slot and have ids that a careless key would confuse.
	last := want[6].At.Add(archive.ReadingSlot)
	want = append(want,
		archive.Reading{Corp: corp, By: "a", Role: "b#c", List: archive.DayList, Day: "2026-01-30", At: last},
		archive.Reading{Corp: corp, By: "a", Role: "b#c", List: archive.DayList, Day: "2026-01-31", At: last},
		archive.Reading{Corp: corp, By: "a", Role: "b#c", List: archive.PartyList, Party: "d", At: last},
		archive.Reading{Corp: corp, By: "a", Role: "b#c", List: archive.PartyList, Party: "d#2026-01-30", At: last},
		archive.Reading{Corp: corp, By: "a", Role: "b#c", List: archive.RoomList, Party: "d", At: last},
		archive.Reading{Corp: corp, By: "a", Role: "b#c", List: archive.UnplacedList, At: last},
		archive.Reading{Corp: corp, By: "a", Role: "b#c", Conversation: "d", At: last},
		archive.Reading{Corp: corp, By: "a#b", Role: "c", List: archive.PartyList, Party: strings.Repeat("长", 300), At: last},
	)
	day := archive.DayOf(slot)
	tomorrow := want[0]
	tomorrow.At = slot.Add(24 * time.Hour)
	theirs := want[0]
	theirs.Corp = neighbor
	for _, v := range append([]archive.Reading{tomorrow, theirs}, append(want, want...)...) {
		must(t, s.RecordReading(ctx, v))
	}
	for _, limit := range []int{1, 3, len(want), 100} {
		var got []archive.Reading
		cursor := ""
		for turn := 0; turn == 0 || cursor != ""; turn++ {
			page, next, err := s.Readings(ctx, corp, day, cursor, limit)
			must(t, err)
			got, cursor = append(got, page...), next
			if len(page) > limit || turn > len(want) {
				t.Fatalf("limit %d: got a page of %d in turn %d", limit, len(page), turn)
			}
		}
		check(t, fmt.Sprintf("readings, %d at a time", limit), got, want)
	}
	_, _, err := s.Readings(ctx, corp, day, strings.Repeat("x", 2000), 1)
	checkError(t, "invalid cursor", err, archive.ErrNotFound)
}
