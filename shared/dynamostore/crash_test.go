package dynamostore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

var errCrash = errors.New("crash")

// crashing fails every write that fails matches, without effect, as if the process
// had crashed before the write.
type crashing struct {
	*dynamodb.Client
	fails func(write any) bool
}

func (c crashing) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	if c.fails(in) {
		return nil, errCrash
	}
	return c.Client.BatchWriteItem(ctx, in, o...)
}

func (c crashing) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if c.fails(in) {
		return nil, errCrash
	}
	return c.Client.UpdateItem(ctx, in, o...)
}

func (c crashing) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if c.fails(in) {
		return nil, errCrash
	}
	return c.Client.DeleteItem(ctx, in, o...)
}

// A party's list never names a conversation whose messages are missing.
func TestCrashBeforeMessagesLeavesNoList(t *testing.T) {
	db, table := client(t), awstest.Table(t, "MessagesTable")
	page := decode.Decoded{
		Corp: corp, Messages: []archive.Message{message(0, "m", 1)},
		Activities: []archive.Activity{{Corp: corp, Party: "p", Day: archive.DayOf(sent), Conversation: room}},
	}
	isMessage := func(write any) bool {
		for _, writes := range write.(*dynamodb.BatchWriteItemInput).RequestItems {
			for _, w := range writes {
				pk, ok := w.PutRequest.Item["pk"].(*types.AttributeValueMemberS)
				if ok && strings.Contains(pk.Value, "#c#") {
					return true
				}
			}
		}
		return false
	}
	checkError(t, "WritePage", dynamostore.NewMessages(crashing{db, isMessage}, table).WritePage(t.Context(), page), errCrash)
	s := dynamostore.NewMessages(db, table)
	list, err := s.ActiveDays(t.Context(), corp, "p", "", 1)
	must(t, err)
	check(t, "days on the list after the crash", len(list), 0)
	must(t, s.WritePage(t.Context(), page))
	list, err = s.ActiveDays(t.Context(), corp, "p", "", 1)
	must(t, err)
	check(t, "list after the next try", list, []archive.ActiveDay{{Day: archive.DayOf(sent), Conversations: []archive.ConversationID{room}}})
}

// An enabled corp always has the time from which its hours left count.
func TestCrashWhileSwitchingOnLeavesNoEnabledCorpWithoutTime(t *testing.T) {
	for n := range 2 {
		db, table, updates := client(t), awstest.Table(t, "CorpsTable"), 0
		s := dynamostore.NewCorps(crashing{db, func(any) bool { updates++; return updates == n+1 }}, table)
		must(t, s.CreateCorp(t.Context(), archive.Corp{ID: corp}))
		checkError(t, "SetEnabled", s.SetEnabled(t.Context(), corp, true, "admin", "", start), errCrash)
		got, err := s.Corp(t.Context(), corp)
		must(t, err)
		if got.Enabled && got.EnabledAt.IsZero() {
			t.Errorf("crash at update %d: got an enabled corp without a time", n+1)
		}
		must(t, s.SetEnabled(t.Context(), corp, true, "admin", "", start))
		got, err = s.Corp(t.Context(), corp)
		must(t, err)
		check(t, "corp after the next try", got, archive.Corp{ID: corp, Enabled: true, EnabledAt: start, StateAt: start, StateBy: "admin"})
	}
}

// A file is never on neither of the two lists, where no later look would find it.
func TestCrashBetweenListsLeavesFileOnBoth(t *testing.T) {
	db, table, crash := client(t), awstest.Table(t, "MediaTable"), false
	s := dynamostore.NewMedia(crashing{db, func(any) bool { return crash }}, table)
	f := media.File{Corp: corp, ID: strings.Repeat("0", 64), SDKFileID: "F", State: media.Waiting, Deadline: start.Add(time.Hour), NotBefore: start}
	_, err := s.AddFiles(t.Context(), []media.File{f})
	must(t, err)
	f.Rev, f.State = 1, media.Failed
	f, err = s.SaveFile(t.Context(), f)
	must(t, err)
	crash = true
	checkError(t, "ListFile", s.ListFile(t.Context(), f), errCrash)
	problems, err := s.FileProblems(t.Context(), corp, 10)
	must(t, err)
	check(t, "files with a problem", len(problems), 1)
	waiting, err := s.DueFiles(t.Context(), corp, media.Lane(f.ID), start, 10)
	must(t, err)
	check(t, "waiting files", waiting, []string{f.ID})
	crash = false
	must(t, s.ListFile(t.Context(), f))
	waiting, err = s.DueFiles(t.Context(), corp, media.Lane(f.ID), start, 10)
	must(t, err)
	check(t, "waiting files after the next try", len(waiting), 0)
}

// A page is decoded once its pending item is gone: after a crash between result and
// mark, the page is decoded again.
func TestCrashWhileFinishingLeavesThePagePending(t *testing.T) {
	db, table, crash := client(t), awstest.Table(t, "LedgerTable"), true
	s := dynamostore.NewLedger(crashing{db, func(any) bool { return crash }}, table)
	grow(t, s, archive.NewHead(corp), 1)
	checkError(t, "Finish", s.Finish(t.Context(), corp, 0, archive.Result{Stored: 10}, nil), errCrash)
	for _, want := range []struct {
		state   archive.RowState
		pending int
	}{{archive.RowRequested, 1}, {archive.RowDecoded, 0}} {
		row, err := s.Row(t.Context(), corp, 0)
		must(t, err)
		rows, err := s.Rows(t.Context(), corp, archive.RowQuery{Limit: 1})
		must(t, err)
		pending, err := s.Pendings(t.Context(), corp, 10)
		must(t, err)
		check(t, "state of the row", row.State, want.state)
		check(t, "state of the row in a list", rows[0].State, want.state)
		check(t, "pending pages", len(pending), want.pending)
		crash = false
		must(t, s.Finish(t.Context(), corp, 0, archive.Result{Stored: 10}, nil))
	}
}

// A notification is replaced only from the state in which it was read.
func TestSaveNotifiedOnlyFromWhatWasRead(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	first := watch.Notified{Corp: corp, Health: "bad", At: start}
	must(t, s.SaveNotified(ctx, watch.Notified{Corp: corp}, first))
	checkError(t, "created by another run", s.SaveNotified(ctx, watch.Notified{Corp: corp}, first), archive.ErrConflict)
	second := watch.Notified{Corp: corp, Health: "good", At: start.Add(time.Hour)}
	for name, old := range map[string]watch.Notified{
		"another time":   {Corp: corp, Health: "bad", At: start.Add(1)},
		"another health": {Corp: corp, Health: "good", At: start},
	} {
		checkError(t, name, s.SaveNotified(ctx, old, second), archive.ErrConflict)
	}
	must(t, s.SaveNotified(ctx, first, second))
	got, err := s.Notified(ctx, []string{corp, neighbor, corp})
	must(t, err)
	check(t, "notified", got, map[string]watch.Notified{corp: second, neighbor: {Corp: neighbor}})
}

// A stored message that names the page is extra, also with a seq of another page.
func TestCheckFindsMessagesThatNameThePage(t *testing.T) {
	s := newMessages(t)
	page := decode.Decoded{Corp: corp, Messages: []archive.Message{message(0, "a", 11), message(9, "b", 12)}}
	must(t, s.WritePage(t.Context(), page))
	stray, other := message(5, "c", 50), message(6, "d", 60)
	other.After = 2
	write(t, s, stray, other)
	got, err := s.Check(t.Context(), page)
	must(t, err)
	check(t, "check", got, decode.Checked{Extra: []uint64{50}})
}
