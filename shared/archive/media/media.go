// Package media downloads the files that messages name into our own bucket
// before WeCom deletes them.
//
// [Register] records the files that must be fetched, and a [Fetcher] downloads
// them, one lane of a corp at a time. download.go moves bytes and knows no
// rule; policy.go holds every rule about a file and touches no store; fetch.go
// is the pass in a lane that joins them.
package media

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// File is what we know of a file that messages refer to. Each sdkfileid of a
// corp has one row and one object, however many messages name it.
type File struct {
	Corp string
	ID   string // [ID] of SDKFileID
	// SDKFileID is WeCom's name of the file. It is kept byte for byte and never
	// logged: with the archive secret it is enough to fetch the file. It is empty
	// if the message's text was too long to be an sdkfileid.
	SDKFileID string

	// What the first message that named the file says about it. It may be wrong.
	Kind string // such as image, voice, file
	Name string // with its extension, or empty
	Ext  string // without a dot, or empty
	MD5  string // 32 lower-case hex digits, or empty
	Size int64  // bytes; 0 if the message does not say
	From Use

	// Deadline is the earliest time at which WeCom may delete the file: see
	// [Deadline]. It never changes.
	Deadline time.Time
	// Registered is when we pulled the newest message that made us fetch the
	// file. WeCom may have the file until [archive.Retention] after that.
	Registered time.Time

	State State
	// Reason says why a file is not stored, or is not stored yet. A file that is
	// stored with the right md5 and another size has [ReasonSize]. The value is
	// one of [Reasons], or sdk_<code>.
	Reason string
	// Tries counts the failed tries since Reached last grew. The file is not
	// tried before NotBefore.
	Tries     int
	NotBefore time.Time
	// Reached is the most bytes that were ever durable. Fetching the same bytes
	// again is no progress.
	Reached int64
	// CompleteDownloads counts the downloads that reached the last byte and did
	// not match.
	CompleteDownloads int
	// Resume says how far an unfinished download is durable; nil before the first
	// durable part.
	Resume *Resume
	// Stored describes the object. It is set in the states stored and mismatch,
	// and while a file waits to be fetched again and we still keep its mismatched
	// copy.
	Stored *Object
	// Rev goes up by one with every save. A save replaces only the revision that
	// its writer read.
	Rev uint64
}

// Use is the message that named a file first.
type Use struct {
	Conversation archive.ConversationID
	Time         time.Time
	MsgID        string
	Seq          uint64
}

// Resume says where a download goes on. It is saved after each part, so it
// never claims more than the object store holds.
type Resume struct {
	Upload string // the store's id of the unfinished object
	Index  string // of the next chunk, as WeCom gave it
	Parts  int    // durable parts
	Chunks int    // chunks in the durable parts
	Bytes  int64  // bytes in the durable parts
	Digest []byte // running MD5 of these bytes, in crypto/md5's own form
	SHA256 []byte // running SHA-256 of these bytes, in crypto/sha256's own form
	Type   Type   // of the file, by its first bytes
}

// Object is a file as our bucket holds it.
type Object struct {
	Size   int64
	MD5    string // hex
	SHA256 string // hex, of the whole file
	// Checksum is the checksum that the store made when the object was written,
	// see [Store]. It proves the object without reading it.
	Checksum string
	Type     Type
	At       time.Time
	// While a file with a mismatch waits to be fetched again, Differs holds the
	// Reason of the mismatch; otherwise it is empty.
	Differs string
}

// Matches reports whether an object with that size and checksum has the bytes of
// o. A copy of an object in parts may have the checksum of the whole.
func (o Object) Matches(size int64, checksum string) bool {
	whole, err := hex.DecodeString(o.SHA256)
	return size == o.Size && (checksum == o.Checksum || err == nil && len(whole) > 0 && checksum == base64.StdEncoding.EncodeToString(whole))
}

// State is the state of a file.
type State string

// The states. Stored is final. Mismatch, Expired and Failed last until
// [Register] finds a reason to fetch the file again.
const (
	Waiting State = "waiting"
	Stored  State = "stored"
	// Mismatch: our bucket holds the file, but its md5 or size is not what the
	// message or WeCom says, even after a second try.
	Mismatch State = "mismatch"
	// Expired: WeCom said that it has deleted the file, or so much time has passed
	// that it must have.
	Expired State = "expired"
	// Failed: the file is too large, or could not be fetched before WeCom deleted
	// it.
	Failed State = "failed"
)

// The reasons for a file's state. Further reasons are sdk_<code>, a code of
// WeCom's library, and the [archive.Cause] of a corp's trouble.
const (
	ReasonMD5       = "md5_differs"
	ReasonSize      = "size_differs"
	ReasonDeleted   = "deleted_by_wecom"
	ReasonBadFileID = "unknown_fileid" // WeCom does not know the sdkfileid, or it is another corp's
	ReasonNoIndex   = "no_index"       // WeCom gave an unfinished chunk without an index of the next
	ReasonRepeats   = "chunk_repeats"  // the next index asks for a place that was fetched before
	ReasonDribbles  = "never_finishes" // the chunks are far too small for the file to finish
	ReasonTooLarge  = "too_large"
	ReasonUploads   = "uploads_lost" // the store lost the uploaded parts, repeatedly
	ReasonCrashes   = "library_crashed"
	ReasonHangs     = "library_hung"
)

// Reasons returns every reason except sdk_<code>. Its values are part of the HTTP
// API. Of the causes only [archive.CauseBadAnswer] is absent: it is about pages.
func Reasons() []string {
	list := []string{
		ReasonMD5, ReasonSize, ReasonDeleted, ReasonBadFileID, ReasonNoIndex, ReasonRepeats, ReasonDribbles, ReasonTooLarge, ReasonUploads,
		ReasonCrashes, ReasonHangs,
	}
	for _, c := range []archive.Cause{
		archive.CauseTrustedIP, archive.CauseSecret, archive.CauseDisabled, archive.CauseUnverified, archive.CauseSecretKind, archive.CauseSecretMissing,
		archive.CauseCorpID, archive.CauseExpired, archive.CauseNotOpen, archive.CauseRate, archive.CauseBudget, archive.CauseShare, archive.CauseNetwork,
		archive.CauseBusy, archive.CauseTLS, archive.CauseLibraryMissing, archive.CauseLibraryCrash, archive.CauseRecordTooLarge, archive.CauseUnknownResponse,
	} {
		list = append(list, string(c))
	}
	return list
}

// ID returns the id of the file of an sdkfileid: the hex SHA-256 of the
// sdkfileid.
func ID(sdkFileID string) string { return archive.Digest([]byte(sdkFileID)) }

// Lanes is the number of files of a corp that may be fetched at the same time.
const Lanes = 4

// Lane returns the lane in which a file waits. The lane follows from the file's
// id.
func Lane(id string) int {
	b, err := hex.DecodeString(id[:min(len(id), 2)])
	if err != nil || len(b) == 0 {
		return 0
	}
	return int(b[0]) % Lanes
}

// Deadline returns the earliest time at which WeCom may delete the file of a
// message. Whether WeCom's 120 hours count from sending or from archiving is
// unknown (wecom.md 10.11). Deadline counts from the earlier time, so it may be
// before the pull of the message. The deadline decides which files are urgent;
// it alone never decides that a file is given up.
func Deadline(sent, pulled time.Time) time.Time {
	if sent.After(pulled) {
		sent = pulled
	}
	return sent.Add(archive.Retention).UTC().Truncate(time.Millisecond)
}

// The longest texts of a message that the row of a file keeps, in bytes. An
// sdkfileid has about 150 to 600 (wecom.md 1.7).
const (
	maxFileID   = 4096
	maxFileText = 500
)

// NewFile makes the row of a file that a message names.
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
		// WeCom does not make such an sdkfileid, and a row could not hold it.
		f.SDKFileID, f.State, f.Reason = "", Failed, ReasonBadFileID
	}
	return f
}

// atMost cuts a text to at most n bytes, between two characters.
func atMost(n int, s string) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Backlog is the part of a corp's status about files. Counts stop at
// [BacklogBound].
type Backlog struct {
	Waiting  int       // files that wait
	Late     int       // waiting files past their deadline: WeCom may have deleted them
	Earliest time.Time // the next deadline of a waiting file that is not late; zero if there is none
	Problems map[State]int
}

// Wait counts one file that waits.
func (b *Backlog) Wait(deadline, now time.Time) {
	b.Waiting++
	if !deadline.After(now) {
		b.Late++
	} else if b.Earliest.IsZero() || deadline.Before(b.Earliest) {
		b.Earliest = deadline
	}
}

// BacklogBound is the largest number of files that a [Backlog] counts in each
// list.
const BacklogBound = 10_000

// A Table keeps the rows of files, and two lists: the files that wait, and the
// files that have a problem.
//
// The row is the truth. The lists follow after the row is saved, and a file
// leaves the list of waiting files last: after a crash in between, the next
// pass finds the file there and corrects the lists. A late writer may leave a
// stale entry on the list of waiting files, which the next pass removes; it
// never removes the entry of a file that still waits.
//
// Durable on return. Safe for concurrent use.
type Table interface {
	// AddFiles stores a row with Rev 1 for each of the files that has none, and then
	// puts it on its list. The files wait or have failed, are of one corp, and have
	// different ids. AddFiles
	// changes nothing of a file that has a row, and returns its id. After an error or
	// a crash any of the files may have a row that is on no list.
	AddFiles(ctx context.Context, files []File) (had []string, err error)
	// File reads a row consistently. It returns [archive.ErrNotFound] if there is
	// no row.
	File(ctx context.Context, corp, id string) (File, error)
	// Files reads the rows of the given ids, by id. Ids without a row are left
	// out.
	Files(ctx context.Context, corp string, ids []string) (map[string]File, error)
	// SaveFile replaces the row by f with the next Rev, and returns that row. If
	// the Rev of the stored row is not f.Rev, SaveFile returns
	// [archive.ErrConflict].
	SaveFile(ctx context.Context, f File) (File, error)
	// ListFile updates the lists from the saved row f. It leaves entries of a
	// later Rev alone. Idempotent.
	ListFile(ctx context.Context, f File) error
	// DueFiles lists the ids of the files that wait in the lane and are due: the
	// earliest deadline first, at most limit. It reads the list consistently.
	DueFiles(ctx context.Context, corp string, lane int, now time.Time, limit int) ([]string, error)
}

// Register puts files on the list of files to download. It creates the rows
// that do not exist. A row that exists keeps what its first message says;
// [File.waitAgain] decides whether its file is fetched again. replay is true if
// a replay makes this call.
//
// When Register returns nil, each of the files is on its list, even if an
// earlier call failed halfway. lanes are the lanes in which one of the files
// waits.
func Register(ctx context.Context, table Table, corp string, files []File, replay bool) (lanes []int, err error) {
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
		return nil, fmt.Errorf("read %d files: %w", len(ids), err)
	}
	if err := add(ctx, table, corp, ids, byID, known); err != nil {
		return nil, err
	}
	waits := make([]bool, len(ids))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(registerAtOnce)
	for i, id := range ids {
		f, ok := known[id]
		if !ok { // it is new, and on its list
			waits[i] = byID[id].State == Waiting
			continue
		}
		group.Go(func() (err error) {
			waits[i], err = registerAgain(groupCtx, table, f, latest[id], replay)
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

// add adds the files that are not known, and makes known the rows of those that
// another page of the corp added meanwhile.
//
// A crash in it leaves rows that are on no list. The page is not decoded yet, so the
// same files are registered and listed again.
func add(ctx context.Context, table Table, corp string, ids []string, named, known map[string]File) error {
	var unknown []File
	for _, id := range ids {
		if _, ok := known[id]; !ok {
			unknown = append(unknown, named[id])
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	had, err := table.AddFiles(ctx, unknown)
	if err != nil {
		return fmt.Errorf("add %d files: %w", len(unknown), err)
	}
	if len(had) == 0 {
		return nil
	}
	rows, err := table.Files(ctx, corp, had)
	if err != nil {
		return fmt.Errorf("read %d files: %w", len(had), err)
	}
	maps.Copy(known, rows)
	return nil
}

// registerAgain registers one file that has a row, f; named is the file as the newest
// message names it.
func registerAgain(ctx context.Context, table Table, f, named File, replay bool) (waits bool, err error) {
	if again, ok := f.waitAgain(named, replay); ok {
		saved, err := table.SaveFile(ctx, again)
		if errors.Is(err, archive.ErrConflict) { // another writer was first
			saved, err = table.File(ctx, f.Corp, f.ID)
		}
		if err != nil {
			return false, fmt.Errorf("save file %s as waiting again: %w", f.ID, err)
		}
		// A crash here leaves a waiting file that is on the list of problems only.
		// The page or the replay is not done yet, so the file is registered and
		// listed again.
		f = saved
	}
	if f.State != Waiting && f.Rev > 1 {
		// The fetcher that gave the file this state also lists it. Only a row that
		// was created in this state has Rev 1, and Register lists it.
		return false, nil
	}
	if err := table.ListFile(ctx, f); err != nil {
		return false, fmt.Errorf("list file %s: %w", f.ID, err)
	}
	// A fetcher may have stored the file after f was read. Then this entry is stale,
	// and the next pass removes it.
	return f.State == Waiting, nil
}

// A Store keeps the bytes of files: one object for each file, named by corp and
// id. A large object is uploaded in parts, numbered from 1, of at least 5 MiB
// except the last. Writing an object or a part again replaces it.
//
// Durable on return. Safe for concurrent use. After the return the caller owns
// the bytes again.
type Store interface {
	// PutFile stores a whole file.
	PutFile(ctx context.Context, corp, id string, body []byte) error
	// BeginUpload starts an object in parts. Readers do not see it before it is
	// completed.
	BeginUpload(ctx context.Context, corp, id string) (upload string, err error)
	// UploadPart stores a part. It returns [archive.ErrNotFound] if there is no
	// such upload.
	UploadPart(ctx context.Context, corp, id, upload string, number int, body []byte) error
	// CompleteUpload makes the object from the parts 1 to n, where n is parts. It
	// returns [archive.ErrNotFound] if there is no such upload. It returns
	// [archive.ErrCorrupt] and changes nothing if the store does not hold exactly
	// these parts, with size bytes in all.
	CompleteUpload(ctx context.Context, corp, id, upload string, parts int, size int64) error
	// StatFile returns the size of a file's object, and its checksum in base64: the
	// SHA-256 of the bytes, or for an object in parts the SHA-256 of the parts'
	// SHA-256s, one after another. It returns [archive.ErrNotFound] if there is no
	// object. The store made the checksum from the bytes that it received.
	StatFile(ctx context.Context, corp, id string) (size int64, checksum string, err error)
	// OpenFile opens a complete file for reading. It returns [archive.ErrNotFound]
	// if there is no object. The caller closes the reader.
	OpenFile(ctx context.Context, corp, id string) (io.ReadCloser, error)
	// AbortUpload discards an upload. An upload that does not exist is no error.
	AbortUpload(ctx context.Context, corp, id, upload string) error
}

// Request requests to fetch the files of a corp that wait in a lane. It is a
// hint: the table says which files wait, so a lost or doubled request does no
// harm (law 3).
type Request struct {
	Corp string `json:"corp"`
	Lane int    `json:"lane"`
	// SentAt is that of the request's mark, see [archive.Wanted].
	SentAt time.Time `json:"sent_at,omitzero"`
}

// Requests makes one request for each of the lanes.
func Requests(corp string, lanes []int) []Request {
	reqs := make([]Request, len(lanes))
	for i, lane := range lanes {
		reqs[i] = Request{Corp: corp, Lane: lane}
	}
	return reqs
}

// Kept is the time for which the queue of files keeps a request. template.yaml
// sets it.
const Kept = 4 * time.Hour

// WantedLanes is a [Queue] in which a lane is wanted or not wanted.
type WantedLanes struct{ archive.Wanted[Request] }

// NewWantedLanes keeps the marks of the lanes in a queue.
func NewWantedLanes(marks archive.Marks, queue Sender, now func() time.Time) WantedLanes {
	return WantedLanes{archive.Wanted[Request]{
		Marks: marks,
		Work:  func(r Request) (corp, work string) { return r.Corp, "media/" + strconv.Itoa(r.Lane) },
		Join:  func(waiting, _ Request) (Request, error) { return waiting, nil },
		Sent:  func(r *Request) *time.Time { return &r.SentAt },
		Send:  queue.SendMedia,
		Kept:  Kept,
		Now:   archive.Rising(now),
	}}
}

// RequestMedia implements [Queue].
func (w WantedLanes) RequestMedia(ctx context.Context, reqs ...Request) error {
	return w.Want(ctx, reqs...)
}

// A Queue takes requests to fetch files. Durable on return. [WantedLanes] is one.
type Queue interface {
	RequestMedia(ctx context.Context, reqs ...Request) error
}

// A Sender puts each request into the queue. Only [WantedLanes] calls it, see
// [archive.PullSender].
type Sender interface {
	SendMedia(ctx context.Context, reqs ...Request) error
}

// Chunk is a piece of a file as GetMediaData gives it (wecom.md 1.7).
type Chunk struct {
	Data     []byte // at most 512 KiB; the caller owns it
	Next     string // index of the next chunk
	Finished bool   // this is the last chunk
}

// A Source is GetMediaData for one corp. Not safe for concurrent use. Errors are
// as for [pull.Source].
type Source interface {
	// MediaChunk fetches one chunk of a file. index is empty for the first chunk;
	// for every other chunk it is Next of the chunk before. The same call may be
	// repeated.
	MediaChunk(ctx context.Context, index, sdkFileID string) (Chunk, error)
}

// Sources opens sources, as [pull.Sources] does.
type Sources interface {
	MediaSource(ctx context.Context, corp string, archiveSecret secret.Value) (Source, error)
}
