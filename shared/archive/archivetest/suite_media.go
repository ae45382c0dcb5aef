package archivetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// TestFiles checks that a table of files keeps the contract of [FileStore]. The
// table that open makes is empty.
func TestFiles(t *testing.T, open func(t testing.TB) FileStore) {
	s := open(t)
	for name, test := range map[string]func(*testing.T, FileStore){
		"Rows":     filesRows,
		"Swap":     filesSwap,
		"Lists":    filesLists,
		"Late":     filesLateWriter,
		"Waiting":  filesWaiting,
		"Order":    filesOrder,
		"Register": filesRegister,
		"Strange":  filesStrangeTexts,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

// newFile is the nth file of the corp, as a message names it.
func newFile(corp string, n int) media.File {
	id := fmt.Sprintf("CtYB/+=%s %d", corp, n)
	return media.File{
		Corp: corp, ID: media.ID(id), SDKFileID: id, Kind: "file", Name: "报价 \"1\".pdf", Ext: "pdf",
		MD5: "d41d8cd98f00b204e9800998ecf8427e", Size: 1 << 40,
		From:     media.Use{Conversation: "room:r1", Time: kept(epoch), MsgID: "m 1", Seq: far},
		Deadline: kept(media.Deadline(epoch, epoch).Add(time.Duration(n) * time.Hour)), State: media.Waiting, NotBefore: kept(epoch),
		Registered: kept(epoch.Add(time.Second)),
	}
}

// add adds files. The store has had those with the ids had before, and no other.
func add(t *testing.T, s FileStore, files []media.File, had ...string) {
	t.Helper()
	got, err := s.AddFiles(t.Context(), files)
	ok(t, err)
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(had))) {
		t.Errorf("added %d files: got %v as known, want %v", len(files), got, had)
	}
}

func filesRows(t *testing.T, s FileStore) {
	a, b := corpFor(t, 1), corpFor(t, 2)
	f := newFile(a, 1)
	_, err := s.File(t.Context(), a, f.ID)
	fails(t, "absent", err, archive.ErrNotFound)
	add(t, s, []media.File{f})
	other := f
	other.Name = "another"
	added := newFile(a, 2)
	add(t, s, []media.File{other, added}, f.ID)
	f.Rev, added.Rev = 1, 1
	got, err := s.File(t.Context(), a, f.ID)
	ok(t, err)
	same(t, "created", got, f)
	_, err = s.File(t.Context(), b, f.ID)
	fails(t, "another corp's", err, archive.ErrNotFound)
	bare := media.File{
		Corp: a, ID: media.ID("x"), SDKFileID: "x", State: media.Waiting,
		Deadline: f.Deadline, NotBefore: f.NotBefore, From: media.Use{Time: f.From.Time},
	}
	add(t, s, []media.File{bare})
	bare.Rev = 1
	many, err := s.Files(t.Context(), a, []string{f.ID, bare.ID, media.ID("none"), f.ID, added.ID})
	ok(t, err)
	same(t, "several", many, map[string]media.File{f.ID: f, bare.ID: bare, added.ID: added})
	if many, err := s.Files(t.Context(), a, nil); err != nil || len(many) != 0 {
		t.Errorf("no ids: got %v, %v", many, err)
	}
}

func filesSwap(t *testing.T, s FileStore) {
	f := newFile(corpFor(t, 1), 1)
	_, err := s.SaveFile(t.Context(), f)
	fails(t, "absent", err, archive.ErrConflict)
	add(t, s, []media.File{f})
	f.Rev = 1
	first := f
	first.Tries, first.Reason, first.CompleteDownloads, first.NotBefore = 3, "sdk_10001", 1, kept(epoch.Add(time.Minute))
	first, err = s.SaveFile(t.Context(), first)
	ok(t, err)
	if first.Rev != 2 {
		t.Errorf("got rev %d, want 2", first.Rev)
	}
	_, err = s.SaveFile(t.Context(), f)
	fails(t, "earlier rev", err, archive.ErrConflict)
	got, err := s.File(t.Context(), f.Corp, f.ID)
	ok(t, err)
	same(t, "saved", got, first)
}

func (w *waitingList) want(what string, lane int, now time.Time, limit int, want ...string) {
	w.t.Helper()
	got, err := w.s.DueFiles(w.t.Context(), w.corp, lane, now, limit)
	ok(w.t, err)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

type waitingList struct {
	t    *testing.T
	s    FileStore
	corp string
}

func filesLists(t *testing.T, s FileStore) {
	corp := corpFor(t, 1)
	list := &waitingList{t, s, corp}
	f := newFile(corp, 1)
	lane := media.Lane(f.ID)
	list.want("not added", lane, epoch, 9)
	add(t, s, []media.File{f})
	f.Rev = 1
	list.want("added", lane, epoch, 9, f.ID)
	for range 2 {
		ok(t, s.ListFile(t.Context(), f))
	}
	list.want("listed", lane, epoch, 9, f.ID)
	list.want("another lane", (lane+1)%media.Lanes, epoch, 9)
	list.want("before NotBefore", lane, epoch.Add(-time.Millisecond), 9)
	b, err := s.Backlog(t.Context(), corp, epoch)
	ok(t, err)
	same(t, "one waits", b, media.Backlog{Waiting: 1, Earliest: f.Deadline, Problems: map[media.State]int{}})

	later := f
	later.NotBefore = kept(epoch.Add(time.Hour))
	later, err = s.SaveFile(t.Context(), later)
	ok(t, err)
	ok(t, s.ListFile(t.Context(), later))
	list.want("postponed", lane, epoch.Add(59*time.Minute), 9)
	list.want("due again", lane, epoch.Add(time.Hour), 9, f.ID)

	failed := later
	failed.State, failed.Reason = media.Failed, media.ReasonBadFileID
	failed, err = s.SaveFile(t.Context(), failed)
	ok(t, err)
	for range 2 {
		ok(t, s.ListFile(t.Context(), failed))
	}
	list.want("failed", lane, epoch.Add(time.Hour), 9)
	b, err = s.Backlog(t.Context(), corp, epoch)
	ok(t, err)
	same(t, "one failed", b, media.Backlog{Problems: map[media.State]int{media.Failed: 1}})
	problems, err := s.FileProblems(t.Context(), corp, 9)
	ok(t, err)
	same(t, "problems", problems, []media.File{failed})
	if other, err := s.FileProblems(t.Context(), corpFor(t, 2), 9); err != nil || len(other) != 0 {
		t.Errorf("another corp's: got %v, %v", other, err)
	}

	again := failed
	again.State, again.Reason = media.Waiting, ""
	again, err = s.SaveFile(t.Context(), again)
	ok(t, err)
	ok(t, s.ListFile(t.Context(), again))
	list.want("waits again", lane, epoch.Add(time.Hour), 9, f.ID)
	b, err = s.Backlog(t.Context(), corp, epoch)
	ok(t, err)
	if b.Waiting != 1 || len(b.Problems) != 0 {
		t.Errorf("waits again: got %+v, want one waiting file and no problem", b)
	}
}

// A late writer removes no entry of a later revision from the lists.
func filesLateWriter(t *testing.T, s FileStore) {
	f := newFile(corpFor(t, 1), 1)
	list := &waitingList{t, s, f.Corp}
	lane := media.Lane(f.ID)
	save := func(f media.File, state media.State) media.File {
		t.Helper()
		f.State = state
		f, err := s.SaveFile(t.Context(), f)
		ok(t, err)
		return f
	}
	counts := func(what string, waiting, problems int) {
		t.Helper()
		b, err := s.Backlog(t.Context(), f.Corp, epoch)
		ok(t, err)
		if b.Waiting != waiting || b.Problems[media.Failed] != problems {
			t.Errorf("%s: got %+v, want %d waiting and %d failed", what, b, waiting, problems)
		}
	}
	add(t, s, []media.File{f})
	f.Rev = 1
	failed := save(f, media.Failed)
	again := failed
	again.NotBefore = kept(epoch.Add(time.Hour))
	again = save(again, media.Waiting)
	ok(t, s.ListFile(t.Context(), again))
	counts("waits again", 1, 0)
	ok(t, s.ListFile(t.Context(), failed)) // late
	list.want("still waits", lane, epoch.Add(time.Hour), 9, f.ID)
	ok(t, s.ListFile(t.Context(), f)) // late, too
	list.want("not due earlier", lane, epoch, 9)
	list.want("waits on", lane, epoch.Add(time.Hour), 9, f.ID)
	ok(t, s.ListFile(t.Context(), again))
	counts("listed again", 1, 0)

	lost := save(again, media.Failed)
	ok(t, s.ListFile(t.Context(), lost))
	counts("failed", 0, 1)
	ok(t, s.ListFile(t.Context(), again)) // late: a stale entry, which the next pass removes
	counts("failed, with a stale entry", 1, 1)
	ok(t, s.ListFile(t.Context(), lost))
	counts("failed, without the stale entry", 0, 1)
	lost.Stored = &media.Object{At: kept(epoch)}
	ok(t, s.ListFile(t.Context(), save(lost, media.Stored)))
	counts("stored", 0, 0)
}

// Waiting finds the lanes with due files, and the next deadline of all waiting
// files that are not late.
func filesWaiting(t *testing.T, s FileStore) {
	a, b := corpFor(t, 1), corpFor(t, 2)
	want := func(what, corp string, before, now time.Time, next time.Time, lanes ...int) {
		t.Helper()
		got, deadline, err := s.Waiting(t.Context(), corp, before, now)
		if ok(t, err); !slices.Equal(got, lanes) || !deadline.Equal(next) {
			t.Errorf("%s: got %v and %v, want %v and %v", what, got, deadline, lanes, next)
		}
	}
	want("no files", a, epoch, epoch, time.Time{})
	var all []int
	var files []media.File
	for n := 1; n <= 20; n++ {
		f := newFile(a, n)
		f.NotBefore = kept(epoch.Add(time.Duration(n) * time.Minute))
		add(t, s, []media.File{f})
		f.Rev = 1
		files, all = append(files, f), append(all, media.Lane(f.ID))
	}
	slices.Sort(all)
	want("none is due", a, epoch, epoch, files[0].Deadline)
	want("one is due", a, epoch.Add(time.Minute), epoch, files[0].Deadline, media.Lane(files[0].ID))
	want("all are due", a, epoch.Add(time.Hour), epoch, files[0].Deadline, slices.Compact(all)...)
	want("some are late", a, epoch, files[6].Deadline, files[7].Deadline)
	want("all are late", a, epoch, files[19].Deadline, time.Time{})
	want("another corp", b, epoch.Add(time.Hour), epoch, time.Time{})
	backlog, err := s.Backlog(t.Context(), a, files[6].Deadline)
	ok(t, err)
	if backlog.Waiting != 20 || backlog.Late != 7 || !backlog.Earliest.Equal(files[7].Deadline) {
		t.Errorf("got %+v, want 20 waiting, 7 late, and the deadline of the eighth", backlog)
	}
}

func filesOrder(t *testing.T, s FileStore) {
	corp := corpFor(t, 1)
	list := &waitingList{t, s, corp}
	byLane := map[int][]string{}
	for n := 1; n <= 40; n++ {
		f := newFile(corp, n)
		add(t, s, []media.File{f})
		lane := media.Lane(f.ID)
		byLane[lane] = append(byLane[lane], f.ID)
	}
	for lane, want := range byLane {
		list.want("all", lane, epoch, 100, want...)
		list.want("some", lane, epoch, 3, want[:3]...)
	}
	b, err := s.Backlog(t.Context(), corp, epoch)
	ok(t, err)
	if b.Waiting != 40 || !b.Earliest.Equal(newFile(corp, 1).Deadline) {
		t.Errorf("got %+v, want 40 waiting and the deadline of the first", b)
	}
}

func filesRegister(t *testing.T, s FileStore) {
	corp := corpFor(t, 1)
	var files []media.File
	lanes := map[int]bool{}
	for n := range 120 {
		files = append(files, newFile(corp, n))
		lanes[media.Lane(files[n].ID)] = true
	}
	add(t, s, files[50:60]) // another page names these, too
	for range 2 {
		got, err := media.Register(t.Context(), s, corp, append(files, files...), false)
		ok(t, err)
		if len(got) != len(lanes) || !slices.IsSorted(got) {
			t.Errorf("got lanes %v, want %d", got, len(lanes))
		}
	}
	b, err := s.Backlog(t.Context(), corp, epoch)
	ok(t, err)
	if b.Waiting != len(files) {
		t.Errorf("got %d waiting, want %d", b.Waiting, len(files))
	}
}

// A row keeps any text that a message gives a file.
func filesStrangeTexts(t *testing.T, s FileStore) {
	f := newFile(corpFor(t, 1), 1)
	f.Name, f.Ext, f.Kind, f.From.MsgID = "../\x00\r\n<b>\u202e", "", "未知", ""
	f.From.Conversation = archive.Unplaced
	add(t, s, []media.File{f})
	f.Rev = 1
	got, err := s.File(t.Context(), f.Corp, f.ID)
	ok(t, err)
	same(t, "strange", got, f)
}

// FileBytes is everything that [TestFileStore] needs of a store of files' bytes.
type FileBytes interface {
	media.Store
	// Bytes reads a file's object; [archive.ErrNotFound].
	Bytes(corp, id string) ([]byte, error)
}

// TestFileStore checks that an empty store of files' bytes keeps the contract of
// [media.Store].
func TestFileStore(t *testing.T, s FileBytes) {
	a, b := corpFor(t, 1), corpFor(t, 2)
	id := media.ID("file")
	wantBytes := func(what, corp string, want []byte, parts ...int) {
		t.Helper()
		wantStat(t, s, what, corp, id, want, parts)
		got, err := s.Bytes(corp, id)
		if want == nil {
			fails(t, what, err, archive.ErrNotFound)
		} else if ok(t, err); !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes, want %d, equal", what, len(got), len(want))
		}
		body, err := s.OpenFile(t.Context(), corp, id)
		if want == nil {
			fails(t, what+", opened", err, archive.ErrNotFound)
			return
		}
		ok(t, err)
		got, err = io.ReadAll(body)
		if ok(t, errors.Join(err, body.Close())); !bytes.Equal(got, want) {
			t.Errorf("%s, opened: got %d bytes, want %d, equal", what, len(got), len(want))
		}
	}
	ctx := t.Context()
	part := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

	wantBytes("absent", a, nil)
	ok(t, s.PutFile(ctx, a, id, []byte{}))
	wantBytes("empty", a, []byte{})
	ok(t, s.PutFile(ctx, a, id, []byte("small")))
	wantBytes("replaced", a, []byte("small"))
	wantBytes("another corp's", b, nil)

	up, err := s.BeginUpload(ctx, b, id)
	ok(t, err)
	ok(t, s.UploadPart(ctx, b, id, up, 1, part(leastPart, 'x')))
	ok(t, s.UploadPart(ctx, b, id, up, 1, part(leastPart+5, 'a')))
	ok(t, s.UploadPart(ctx, b, id, up, 2, part(3, 'b')))
	wantBytes("not completed", b, nil)
	fails(t, "part missing", s.CompleteUpload(ctx, b, id, up, 3, leastPart+8), archive.ErrCorrupt)
	fails(t, "another size", s.CompleteUpload(ctx, b, id, up, 2, leastPart+7), archive.ErrCorrupt)
	ok(t, s.CompleteUpload(ctx, b, id, up, 2, leastPart+8))
	wantBytes("completed", b, append(part(leastPart+5, 'a'), "bbb"...), leastPart+5, 3)
	fails(t, "completed twice", s.CompleteUpload(ctx, b, id, up, 2, leastPart+8), archive.ErrNotFound)

	up, err = s.BeginUpload(ctx, a, id)
	ok(t, err)
	ok(t, s.UploadPart(ctx, a, id, up, 1, []byte("c")))
	for range 2 {
		ok(t, s.AbortUpload(ctx, a, id, up))
	}
	if err := s.CompleteUpload(ctx, a, id, up, 1, 1); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("aborted: got %v, want %v", err, archive.ErrNotFound)
	}
	wantBytes("unchanged", a, []byte("small"))
}

// wantStat checks size and checksum of a file whose object was written in parts of
// those sizes, or whole.
func wantStat(t *testing.T, s FileBytes, what, corp, id string, want []byte, parts []int) {
	t.Helper()
	size, checksum, err := s.StatFile(t.Context(), corp, id)
	if want == nil {
		fails(t, what+", size and checksum", err, archive.ErrNotFound)
		return
	}
	ok(t, err)
	var inParts [][]byte
	for _, n := range parts {
		inParts, want = append(inParts, want[:n]), want[n:]
	}
	if parts == nil {
		inParts = [][]byte{want}
	}
	if wanted := checksumOf(inParts, parts != nil); checksum != wanted || size != int64(len(slices.Concat(inParts...))) {
		t.Errorf("%s: got %d bytes and checksum %s, want checksum %s", what, size, checksum, wanted)
	}
}
