// Package media downloads the files that messages name into our own bucket
// before WeCom deletes them.
package media

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// File is what is known of a file that messages refer to. There is one row
// and one object for each sdkfileid of a corp, however many messages name it.
type File struct {
	Corp string
	ID   string // [ID] of SDKFileID
	// SDKFileID is how WeCom names the file. It is kept byte for byte and never
	// logged: with the archive secret it is enough to fetch the file. It is
	// empty where it was too long to be one.
	SDKFileID string

	// What the first message that named it says. It may be wrong.
	Kind string // such as image, voice, file
	Name string // with its extension, or empty
	Ext  string // without a dot, or empty
	MD5  string // 32 lower-case hex digits, or empty
	Size int64  // bytes; 0 where the message does not say
	From Use

	// Deadline is when WeCom deletes the file, at the earliest: see
	// [Deadline]. It never changes.
	Deadline time.Time
	// Registered is when the newest message that made us ask for the file was
	// pulled: WeCom may have it until [archive.Retention] after that.
	Registered time.Time

	State State
	// Reason is why it is not stored, or not yet, or what is odd about it:
	// [ReasonSize] of a stored file whose md5 is right. It is one of the Reason
	// constants, sdk_<code>, or a [archive.Cause].
	Reason string
	// Tries counts what failed since Reached last grew; no try before NotBefore.
	Tries     int
	NotBefore time.Time
	// Reached is the most bytes that were ever durable: to fetch them once more
	// is no progress.
	Reached int64
	// Wholes counts downloads that were complete and did not match.
	CompleteDownloads int
	// Resume is how far an unfinished download is durable; nil before the first
	// part is.
	Resume *Resume
	// Stored is set in states stored and mismatch, and while a mismatch that is
	// kept waits anew.
	Stored *Object
	// Rev goes up by one with every save: what was read is what is replaced.
	Rev uint64
}

// FileUse is the message that named a file first.
type Use struct {
	Conversation archive.ConversationID
	Time         time.Time
	MsgID        string
	Seq          uint64
}

// Resume is where a download goes on. It is saved after each part, so that it
// never says more than what the object store holds.
type Resume struct {
	Upload string // the store's id of the unfinished object
	Index  string // of the next chunk, as WeCom gave it
	Parts  int    // durable parts
	Chunks int    // chunks in them
	Bytes  int64  // bytes in them
	Digest []byte // running MD5 of them, in crypto/md5's own form
	Type   Type   // of their first bytes
}

// StoredFile is a file as it is in our bucket.
type Object struct {
	Size int64
	MD5  string // hex
	Type Type
	At   time.Time
	// Differs is the Reason of a mismatch while that waits anew, else empty.
	Differs string
}

// FileState is how a file is doing.
type State string

// The states. Stored is final. The other three are until [Register] has
// a reason to let the file wait anew.
const (
	Waiting  State = "waiting"
	Stored   State = "stored"
	Mismatch State = "mismatch" // stored with another md5 or size than the message or WeCom says, after more than one try; kept
	Expired  State = "expired"  // WeCom has it no more, as it says or by the time that has passed
	Failed   State = "failed"   // too large, or still not to be fetched when WeCom deletes it
)

// The reasons that a file has for its state, beside sdk_<code>, a code of
// WeCom's library, and the [archive.Cause] of a corp's trouble.
const (
	ReasonMD5       = "md5_differs"
	ReasonSize      = "size_differs"
	ReasonDeleted   = "deleted_by_wecom"
	ReasonBadFileID = "unknown_fileid" // of another corp, or not one, says WeCom
	ReasonNoIndex   = "no_index"       // not finished, but nothing to go on with
	ReasonRepeats   = "chunk_repeats"  // the index does not move forward
	ReasonDribbles  = "never_finishes" // chunks far too small, for ever
	ReasonTooLarge  = "too_large"
	ReasonUploads   = "uploads_lost" // what is uploaded does not last, again and again
	ReasonCrashes   = "library_crashed"
	ReasonHangs     = "library_hung"
)

// FileID names the file of an sdkfileid: the hex SHA-256 of it.
func ID(sdkFileID string) string { return archive.Digest([]byte(sdkFileID)) }

// FileLanes is how many files of a corp may be fetched at once.
const Lanes = 4

// FileLane is the lane that a file waits in. It follows from the id.
func Lane(id string) int {
	b, err := hex.DecodeString(id[:min(len(id), 2)])
	if err != nil || len(b) == 0 {
		return 0
	}
	return int(b[0]) % Lanes
}

// FileDeadline is when WeCom deletes the file of a message. Whether its 120
// hours count from sending or from archiving is not known (wecom.md 10.11): the
// earlier is taken, which may be before the message was pulled. So it says what
// is urgent; nothing is given up by it alone.
func Deadline(sent, pulled time.Time) time.Time {
	if sent.After(pulled) {
		sent = pulled
	}
	return sent.Add(archive.Retention).UTC().Truncate(time.Millisecond)
}

// The most bytes that are kept of what a message says of a file. An sdkfileid
// has some hundred (wecom.md 1.7).
const (
	maxFileID   = 4096
	maxFileText = 500
)

// newFile is the row of a file that a message names.
func NewFile(named message.File, m archive.Message, pulled, now time.Time) File {
	f := File{
		Corp:      m.Corp,
		ID:        ID(named.SDKFileID),
		SDKFileID: named.SDKFileID,
		Kind:      atMost(maxFileText, named.Kind),
		Name:      atMost(maxFileText, named.Name),
		Ext:       atMost(maxFileText, named.Ext),
		Size:      max(0, named.Size),
		From:      Use{Time: m.Time, MsgID: atMost(maxFileText, m.MsgID), Seq: m.Seq},
		Deadline:  Deadline(m.Time, pulled),
		State:     Waiting,
		NotBefore: now.UTC().Truncate(time.Millisecond),

		Registered: pulled.UTC().Truncate(time.Millisecond),
	}
	if sum, err := hex.DecodeString(named.MD5); err == nil && len(sum) == md5.Size {
		f.MD5 = strings.ToLower(named.MD5)
	}
	if len(m.Conversation) <= maxFileID {
		f.From.Conversation = m.Conversation
	}
	if len(f.SDKFileID) > maxFileID {
		// Nothing that WeCom could have made, nor a row could hold.
		f.SDKFileID, f.State, f.Reason = "", Failed, ReasonBadFileID
	}
	return f
}

// atMost cuts a text before the character that would make it longer than n
// bytes.
func atMost(n int, s string) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// FileBacklog is what a corp's status says of files. Counts stop at
// [BacklogBound].
type Backlog struct {
	Waiting  int
	Late     int       // of these, past their deadline: WeCom may have deleted them
	Earliest time.Time // deadline of the most urgent of the others; zero for none
	Problems map[State]int
}

// Wait counts a file that waits.
func (b *Backlog) Wait(deadline, now time.Time) {
	b.Waiting++
	if !deadline.After(now) {
		b.Late++
	} else if b.Earliest.IsZero() || deadline.Before(b.Earliest) {
		b.Earliest = deadline
	}
}

// BacklogBound is the most files that a [Backlog] counts in each list.
const BacklogBound = 10_000

// A FileTable keeps the rows of files, and two lists of them: those that wait,
// and those that have a problem. The row is the truth. The lists are brought
// in line after it was saved, and a file stays among those that wait until that
// is done, so a crash in between is found and mended by the next look. So is a
// file that waits no more and is listed so by somebody who comes late; one that
// waits is never taken off by him.
// Durable on return. Safe for concurrent use.
type Table interface {
	// CreateFile stores a row that is not there yet, with Rev 1; [archive.ErrExists].
	CreateFile(ctx context.Context, f File) error
	// File reads a row consistently; [archive.ErrNotFound].
	File(ctx context.Context, corp, id string) (File, error)
	// Files reads those of the rows that exist, by id, in no order.
	Files(ctx context.Context, corp string, ids []string) (map[string]File, error)
	// SaveFile replaces the row, if its Rev is still f.Rev, by f with the next
	// Rev, and returns that; [archive.ErrConflict].
	SaveFile(ctx context.Context, f File) (File, error)
	// ListFile brings the lists in line with the row f, as it was saved. It
	// leaves alone what a later Rev is listed as. Idempotent.
	ListFile(ctx context.Context, f File) error
	// DueFiles lists ids of the lane that wait and are due, the earliest
	// deadline first, at most limit. It reads the list consistently.
	DueFiles(ctx context.Context, corp string, lane int, now time.Time, limit int) ([]string, error)
}

// RegisterFiles lets files wait for their download: it creates the rows that
// are not there. A row that is there keeps what its first message says. One
// that is not stored waits anew if again is set, as in a replay; and if a
// message with a later deadline names the file, since WeCom may then have it
// again. Neither helps where WeCom itself said that it has deleted the file, or
// must have by now. Of a mismatch what is kept stays, for readers too, until
// something better comes. One that waits already is given up later.
//
// When it returns nil, each of the files is on its list, also if it failed half
// way before. lanes are those in which something waits.
func Register(ctx context.Context, table Table, corp string, files []File, again bool) (lanes []int, err error) {
	byID, latest := make(map[string]File, len(files)), make(map[string]File, len(files))
	var ids []string
	for _, f := range files {
		if _, twice := byID[f.ID]; !twice {
			byID[f.ID], latest[f.ID] = f, f
			ids = append(ids, f.ID)
		} else if f.Deadline.After(latest[f.ID].Deadline) {
			latest[f.ID] = f
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	known, err := table.Files(ctx, corp, ids)
	if err != nil {
		return nil, fmt.Errorf("look for %d files: %w", len(ids), err)
	}
	waits := make([]bool, len(ids))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(registerAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			f, ok := known[id]
			if !ok {
				f = byID[id]
			}
			var err error
			waits[i], err = register(groupCtx, table, f, !ok, latest[id], again)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, id := range ids {
		if waits[i] {
			lanes = append(lanes, Lane(id))
		}
	}
	slices.Sort(lanes)
	return slices.Compact(lanes), nil
}

const registerAtOnce = 8

// registerFile registers one; named is the file as the last message names it.
func register(ctx context.Context, table Table, f File, create bool, named File, again bool) (waits bool, err error) {
	if create {
		err := table.CreateFile(ctx, f)
		f.Rev = 1
		if errors.Is(err, archive.ErrExists) { // another page named it in this moment
			f, err = table.File(ctx, f.Corp, f.ID)
		}
		if err != nil {
			return false, fmt.Errorf("create file %s: %w", f.ID, err)
		}
	}
	if anew, ok := f.waitAgain(named, again); ok {
		saved, err := table.SaveFile(ctx, anew)
		if errors.Is(err, archive.ErrConflict) { // somebody else asked for it
			saved, err = table.File(ctx, f.Corp, f.ID)
		}
		if err != nil {
			return false, fmt.Errorf("let file %s wait again: %w", f.ID, err)
		}
		f = saved
	}
	if f.State != Waiting && f.Rev > 1 {
		return false, nil // whoever settled it lists it; what was created so we do
	}
	if err := table.ListFile(ctx, f); err != nil {
		return false, fmt.Errorf("list file %s: %w", f.ID, err)
	}
	return f.State == Waiting, nil
}

// A FileStore keeps the bytes of files, one object for each file, named by
// corp and id. Large ones are uploaded in parts, of 5 MiB at least but for the
// last, numbered from 1. Writing again replaces. Durable on return. Safe for
// concurrent use; who calls owns the bytes again after the return.
type Store interface {
	// PutFile stores a whole file.
	PutFile(ctx context.Context, corp, id string, body []byte) error
	// BeginUpload starts an object in parts, which nobody sees before it is
	// completed.
	BeginUpload(ctx context.Context, corp, id string) (upload string, err error)
	// UploadPart stores a part; [archive.ErrNotFound] if there is no such upload.
	UploadPart(ctx context.Context, corp, id, upload string, number int, body []byte) error
	// CompleteUpload makes the object of the parts 1 to parts. It answers
	// [archive.ErrNotFound] if there is no such upload, and [archive.ErrCorrupt], doing
	// nothing, if the store does not hold just these parts with size bytes in
	// all.
	CompleteUpload(ctx context.Context, corp, id, upload string, parts int, size int64) error
	// OpenFile reads a file that is whole; [archive.ErrNotFound]. The caller closes it.
	OpenFile(ctx context.Context, corp, id string) (io.ReadCloser, error)
	// AbortUpload throws an upload away. One that does not exist is none.
	AbortUpload(ctx context.Context, corp, id, upload string) error
}

// MediaRequest asks for the files of a corp that wait in a lane. It is a hint:
// which ones wait is in the table, and a lost or doubled request does no harm
// (law 3).
type Request struct {
	Corp string `json:"corp"`
	Lane int    `json:"lane"`
}

func Requests(corp string, lanes []int) []Request {
	reqs := make([]Request, len(lanes))
	for i, lane := range lanes {
		reqs[i] = Request{Corp: corp, Lane: lane}
	}
	return reqs
}

// MediaQueue takes requests to fetch files. Durable on return.
type Queue interface {
	RequestMedia(ctx context.Context, reqs ...Request) error
}

// MediaChunk is a part of a file as GetMediaData gives it (wecom.md 1.7).
type Chunk struct {
	Data     []byte // at most 512 KiB, the caller's
	Next     string // index of the next chunk
	Finished bool   // there is no next chunk
}

// A MediaSource is GetMediaData, as one corp. Not safe for concurrent use.
// Errors are as for [pull.Source].
type Source interface {
	// MediaChunk fetches one chunk of a file. index is empty for the first,
	// and Next of the one before for the others. The same may be asked again.
	MediaChunk(ctx context.Context, index, sdkFileID string) (Chunk, error)
}

// MediaSources opens sources, as [pull.Sources] does.
type Sources interface {
	MediaSource(ctx context.Context, corp string, archiveSecret secret.Value) (Source, error)
}
