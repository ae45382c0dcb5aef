package archivetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// FileStore is everything that the functions need of a table of files.
type FileStore interface {
	media.Table
	watch.WaitingFiles
	// Backlog counts the files that wait and the files that have a problem.
	Backlog(ctx context.Context, corp string, now time.Time) (media.Backlog, error)
	// FileProblems lists files that neither wait nor are stored, the latest
	// deadline first, at most limit.
	FileProblems(ctx context.Context, corp string, limit int) ([]media.File, error)
}

// Files is a [FileStore] in memory. It fails the test if a saved resume point
// claims more than the objects hold, or if a row names an object that does not
// exist.
type Files struct {
	t       testing.TB
	faults  *Faults
	objects *Objects // what rows are checked against; nil for no check

	mu    sync.Mutex
	corps map[string]*corpFiles
}

type corpFiles struct {
	rows     map[string]media.File
	waiting  map[string]media.File // as listed
	problems map[string]media.File
}

var _ FileStore = (*Files)(nil)

// NewFiles makes an empty table.
func NewFiles(t testing.TB, f *Faults) *Files {
	return &Files{t: t, faults: f, corps: make(map[string]*corpFiles)}
}

// of is the data of a corp. The caller holds mu.
func (s *Files) of(corp string) *corpFiles {
	c, ok := s.corps[corp]
	if !ok {
		c = &corpFiles{make(map[string]media.File), make(map[string]media.File), make(map[string]media.File)}
		s.corps[corp] = c
	}
	return c
}

// keptFile is a copy of a row that shares no memory with it.
func keptFile(f media.File) media.File {
	f.From.Time, f.Deadline, f.Registered, f.NotBefore = kept(f.From.Time), kept(f.Deadline), kept(f.Registered), kept(f.NotBefore)
	if f.Resume != nil {
		r := *f.Resume
		r.Digest, r.SHA256 = bytes.Clone(r.Digest), bytes.Clone(r.SHA256)
		f.Resume = &r
	}
	if f.Stored != nil {
		st := *f.Stored
		st.At = kept(st.At)
		f.Stored = &st
	}
	return f
}

// AddFiles implements [media.Table].
func (s *Files) AddFiles(ctx context.Context, files []media.File) (had []string, err error) {
	for _, f := range files {
		err := s.createFile(ctx, f)
		if errors.Is(err, archive.ErrExists) {
			had = append(had, f.ID)
			continue
		}
		f.Rev = 1
		if err == nil {
			err = s.ListFile(ctx, f)
		}
		if err != nil {
			return nil, err
		}
	}
	return had, nil
}

func (s *Files) createFile(ctx context.Context, f media.File) error {
	return writeItem(ctx, s.faults, "Files.CreateFile", f.Corp, f.ID, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		named := f.ID == media.ID(f.SDKFileID) && f.State == media.Waiting
		if !named && (f.SDKFileID != "" || f.State != media.Failed) || f.Deadline.IsZero() {
			s.t.Errorf("created file %s of %s in state %s with deadline %s: want the id of its sdkfileid, state waiting or failed, and a deadline", f.ID, f.Corp, f.State, f.Deadline)
		}
		c := s.of(f.Corp)
		if _, there := c.rows[f.ID]; there {
			return archive.ErrExists
		}
		f.Rev = 1
		c.rows[f.ID] = keptFile(f)
		return nil
	})
}

// File implements [media.Table].
func (s *Files) File(ctx context.Context, corp, id string) (media.File, error) {
	return run(ctx, s.faults, Call{Name: "Files.File", Corp: corp, Item: id}, func() (media.File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f, ok := s.of(corp).rows[id]
		if !ok {
			return media.File{}, archive.ErrNotFound
		}
		return keptFile(f), nil
	})
}

// Files implements [media.Table].
func (s *Files) Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error) {
	return read(ctx, s.faults, "Files.Files", corp, func() (map[string]media.File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		found := make(map[string]media.File)
		for _, id := range ids {
			if f, ok := s.of(corp).rows[id]; ok {
				found[id] = keptFile(f)
			}
		}
		return found, nil
	})
}

// SaveFile implements [media.Table].
func (s *Files) SaveFile(ctx context.Context, f media.File) (media.File, error) {
	err := writeItem(ctx, s.faults, "Files.SaveFile", f.Corp, f.ID, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.of(f.Corp)
		old, ok := c.rows[f.ID]
		if !ok || old.Rev != f.Rev {
			return archive.ErrConflict
		}
		s.check(old, f)
		saved := keptFile(f)
		saved.Rev++
		c.rows[f.ID] = saved
		return nil
	})
	if err != nil {
		return media.File{}, err
	}
	f.Rev++
	return keptFile(f), nil
}

func (s *Files) check(old, f media.File) {
	if !old.Deadline.Equal(f.Deadline) || old.SDKFileID != f.SDKFileID || old.MD5 != f.MD5 || old.Size != f.Size || old.From != f.From {
		s.t.Errorf("file %s: got a save that changes what its message says", f.ID)
	}
	has, waits := f.State == media.Stored || f.State == media.Mismatch, f.State == media.Waiting
	kept := waits && f.Stored != nil
	if !kept && has != (f.Stored != nil) || kept != (f.Stored != nil && f.Stored.Differs != "") || !waits && f.Resume != nil {
		s.t.Errorf("file %s in state %s: got object %+v and resume point %+v, which do not fit the state", f.ID, f.State, f.Stored, f.Resume)
	}
	if s.objects == nil {
		return
	}
	if r := f.Resume; r != nil {
		if n, size := s.objects.parts(f.Corp, f.ID, r.Upload); n < r.Parts || size[r.Parts] != r.Bytes {
			s.t.Errorf("file %s: got a resume point of %d parts and %d bytes, the store has %d parts and %d bytes", f.ID, r.Parts, r.Bytes, n, size[r.Parts])
		}
	}
	if has && f.Stored != nil {
		if size := s.objects.size(f.Corp, f.ID); size != f.Stored.Size {
			s.t.Errorf("file %s in state %s: got %d bytes on the row, the object has %d (-1: no object)", f.ID, f.State, f.Stored.Size, size)
		}
	}
}

// Lose removes a file's row. A removal like this needs access to the table.
func (s *Files) Lose(corp, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of(corp).rows, id)
}

// ListFile implements [media.Table].
func (s *Files) ListFile(ctx context.Context, f media.File) error {
	return writeItem(ctx, s.faults, "Files.ListFile", f.Corp, f.ID, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.of(f.Corp)
		for _, list := range []map[string]media.File{c.waiting, c.problems} {
			if list[f.ID].Rev <= f.Rev {
				delete(list, f.ID)
			}
		}
		list := c.problems
		switch f.State {
		case media.Stored:
			return nil
		case media.Waiting:
			list = c.waiting
		}
		if _, newer := list[f.ID]; !newer {
			list[f.ID] = keptFile(f)
		}
		return nil
	})
}

// DueFiles implements [media.Table].
func (s *Files) DueFiles(ctx context.Context, corp string, lane int, now time.Time, limit int) ([]string, error) {
	return read(ctx, s.faults, "Files.DueFiles", corp, func() ([]string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var due []media.File
		for id, f := range s.of(corp).waiting {
			if media.Lane(id) == lane && !f.NotBefore.After(now) {
				due = append(due, f)
			}
		}
		slices.SortFunc(due, func(a, b media.File) int {
			return cmp.Or(a.Deadline.Compare(b.Deadline), cmp.Compare(a.ID, b.ID))
		})
		var ids []string
		for _, f := range due[:min(limit, len(due))] {
			ids = append(ids, f.ID)
		}
		return ids, nil
	})
}

// Waiting implements [watch.WaitingFiles].
func (s *Files) Waiting(ctx context.Context, corp string, before, now time.Time) (lanes []int, next time.Time, err error) {
	lanes, err = read(ctx, s.faults, "Files.Waiting", corp, func() ([]int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var lanes []int
		var b media.Backlog
		for id, f := range s.of(corp).waiting {
			if !f.NotBefore.After(before) {
				lanes = append(lanes, media.Lane(id))
			}
			b.Wait(f.Deadline, now)
		}
		next = b.Earliest
		slices.Sort(lanes)
		return slices.Compact(lanes), nil
	})
	return lanes, next, err
}

// Backlog implements [FileStore].
func (s *Files) Backlog(ctx context.Context, corp string, now time.Time) (media.Backlog, error) {
	return read(ctx, s.faults, "Files.Backlog", corp, func() (media.Backlog, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.of(corp)
		b := media.Backlog{Problems: make(map[media.State]int)}
		for _, f := range c.waiting {
			b.Wait(f.Deadline, now)
		}
		for _, f := range c.problems {
			b.Problems[f.State]++
		}
		return b, nil
	})
}

// FileProblems implements [FileStore].
func (s *Files) FileProblems(ctx context.Context, corp string, limit int) ([]media.File, error) {
	return read(ctx, s.faults, "Files.FileProblems", corp, func() ([]media.File, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.of(corp)
		var all []media.File
		for id := range c.problems {
			all = append(all, keptFile(c.rows[id]))
		}
		slices.SortFunc(all, func(a, b media.File) int {
			return cmp.Or(b.Deadline.Compare(a.Deadline), cmp.Compare(b.ID, a.ID))
		})
		return all[:min(limit, len(all))], nil
	})
}

// Objects is a [media.Store] in memory.
type Objects struct {
	t      testing.TB
	faults *Faults

	mu      sync.Mutex
	objects map[[2]string][]byte
	sums    map[[2]string]string // checksums of the objects
	uploads map[string]*upload
	begun   int
}

type upload struct {
	corp, id string
	parts    map[int][]byte
}

var _ media.Store = (*Objects)(nil)

// NewObjects makes an empty store.
func NewObjects(t testing.TB, f *Faults) *Objects {
	return &Objects{t: t, faults: f, objects: make(map[[2]string][]byte), sums: make(map[[2]string]string), uploads: make(map[string]*upload)}
}

// checksumOf is the checksum that S3 makes of an object: of its bytes, or of the
// digests of its parts.
func checksumOf(parts [][]byte, inParts bool) string {
	if !inParts {
		sum := sha256.Sum256(parts[0])
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	all := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256(part)
		_, _ = all.Write(sum[:]) // a hash never fails
	}
	return base64.StdEncoding.EncodeToString(all.Sum(nil))
}

// keep stores an object. The caller holds mu.
func (o *Objects) keep(corp, id string, parts [][]byte, inParts bool) {
	at := [2]string{corp, id}
	o.objects[at], o.sums[at] = slices.Concat(parts...), checksumOf(parts, inParts)
}

// Object is a file's bytes.
func (o *Objects) Object(corp, id string) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.objects[[2]string{corp, id}]
	return bytes.Clone(b), ok
}

// size is how many bytes an object has; -1 if there is no object.
func (o *Objects) size(corp, id string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.objects[[2]string{corp, id}]
	if !ok {
		return -1
	}
	return int64(len(b))
}

// Uploads is how many uploads were begun and neither completed nor aborted.
func (o *Objects) Uploads() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.uploads)
}

// Forget removes every upload, as the bucket's own rule removes old uploads.
func (o *Objects) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.uploads)
}

// parts is the number n of parts before the first missing one, and the size of
// the first k parts by k.
func (o *Objects) parts(corp, id, name string) (n int, size map[int]int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size = map[int]int64{}
	u := o.uploads[name]
	if u == nil || u.corp != corp || u.id != id {
		return 0, size
	}
	for u.parts[n+1] != nil {
		n++
		size[n] = size[n-1] + int64(len(u.parts[n]))
	}
	return n, size
}

// PutFile implements [media.Store].
func (o *Objects) PutFile(ctx context.Context, corp, id string, body []byte) error {
	return write(ctx, o.faults, "Objects.PutFile", corp, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.keep(corp, id, [][]byte{body}, false)
		return nil
	})
}

// BeginUpload implements [media.Store].
func (o *Objects) BeginUpload(ctx context.Context, corp, id string) (string, error) {
	var name string
	err := write(ctx, o.faults, "Objects.BeginUpload", corp, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.begun++
		name = "upload-" + strconv.Itoa(o.begun)
		o.uploads[name] = &upload{corp, id, make(map[int][]byte)}
		return nil
	})
	return name, err
}

// UploadPart implements [media.Store].
func (o *Objects) UploadPart(ctx context.Context, corp, id, name string, number int, body []byte) error {
	return write(ctx, o.faults, "Objects.UploadPart", corp, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		u := o.uploads[name]
		if u == nil {
			return archive.ErrNotFound
		}
		if u.corp != corp || u.id != id || number < 1 || len(body) == 0 {
			o.t.Errorf("got part %d of %d bytes of file %s for an upload of file %s", number, len(body), id, u.id)
		}
		u.parts[number] = bytes.Clone(body)
		return nil
	})
}

const leastPart = 5 << 20 // the smallest part that S3 takes, except the last

// CompleteUpload implements [media.Store].
func (o *Objects) CompleteUpload(ctx context.Context, corp, id, name string, parts int, size int64) error {
	return write(ctx, o.faults, "Objects.CompleteUpload", corp, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		u := o.uploads[name]
		if u == nil || u.corp != corp || u.id != id {
			return archive.ErrNotFound
		}
		inOrder := make([][]byte, parts)
		for n := range inOrder {
			inOrder[n] = u.parts[n+1]
		}
		whole := slices.Concat(inOrder...)
		if len(u.parts) != parts || int64(len(whole)) != size {
			return archive.ErrCorrupt
		}
		for n := 1; n < parts; n++ {
			if len(u.parts[n]) < leastPart {
				o.t.Errorf("part %d of %d: got %d bytes, which S3 refuses", n, parts, len(u.parts[n]))
			}
		}
		o.keep(corp, id, inOrder, true)
		delete(o.uploads, name)
		return nil
	})
}

// StatFile implements [media.Store].
func (o *Objects) StatFile(ctx context.Context, corp, id string) (size int64, checksum string, err error) {
	checksum, err = read(ctx, o.faults, "Objects.StatFile", corp, func() (string, error) {
		if size = o.size(corp, id); size < 0 {
			return "", archive.ErrNotFound
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.sums[[2]string{corp, id}], nil
	})
	return max(size, 0), checksum, err
}

// Replace puts other bytes in the place of a file, or removes it if body is nil. A
// change like this needs access to the bucket.
func (o *Objects) Replace(corp, id string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(o.objects, [2]string{corp, id}); body != nil {
		o.keep(corp, id, [][]byte{body}, false)
	}
}

// OpenFile implements [media.Store].
func (o *Objects) OpenFile(ctx context.Context, corp, id string) (io.ReadCloser, error) {
	return read(ctx, o.faults, "Objects.OpenFile", corp, func() (io.ReadCloser, error) {
		body, ok := o.Object(corp, id)
		if !ok {
			return nil, archive.ErrNotFound
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	})
}

// AbortUpload implements [media.Store].
func (o *Objects) AbortUpload(ctx context.Context, corp, id, name string) error {
	return write(ctx, o.faults, "Objects.AbortUpload", corp, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.uploads, name)
		return nil
	})
}

// MediaQueue is a [media.Sender] and a [watch.QueueDepth] in memory.
type MediaQueue struct {
	t      testing.TB
	faults *Faults
	marks  *Marks // have the marks of the requests; nil: none
	mu     sync.Mutex
	reqs   []media.Request
}

var (
	_ media.Sender     = (*MediaQueue)(nil)
	_ watch.QueueDepth = (*MediaQueue)(nil)
)

// NewMediaQueue makes an empty queue.
func NewMediaQueue(t testing.TB, f *Faults) *MediaQueue { return &MediaQueue{t: t, faults: f} }

// SendMedia implements [media.Sender].
func (q *MediaQueue) SendMedia(ctx context.Context, reqs ...media.Request) error {
	return write(ctx, q.faults, "MediaQueue.SendMedia", "", func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, r := range reqs {
			if r.Corp == "" || r.Lane < 0 || r.Lane >= media.Lanes {
				q.t.Errorf("got media request %+v, want a corp and a lane", r)
			}
		}
		q.reqs = append(q.reqs, reqs...)
		return nil
	})
}

// Take removes all requests and returns them in their order. Like their consumer
// it clears their marks.
func (q *MediaQueue) Take() []media.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	reqs := q.reqs
	q.reqs = nil
	for _, r := range reqs {
		q.marks.taken(r.Corp, fmt.Sprintf("media/%d", r.Lane), r.SentAt)
	}
	return reqs
}

// Depth implements [watch.QueueDepth].
func (q *MediaQueue) Depth(ctx context.Context) (int, error) {
	return read(ctx, q.faults, "MediaQueue.Depth", "", func() (int, error) {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.reqs), nil
	})
}

// chunkBytes is the size of the largest chunk of GetMediaData.
const chunkBytes = 512 << 10

// PutFile gives WeCom a file of a corp.
func (l *Library) PutFile(corp, sdkFileID string, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of(corp)
	if s.files == nil {
		s.files = make(map[string][]byte)
	}
	s.files[sdkFileID] = body
}

// MediaSource implements [media.Sources].
func (l *Library) MediaSource(ctx context.Context, corp string, archiveSecret secret.Value) (media.Source, error) {
	return read(ctx, l.faults, "Library.MediaSource", corp, func() (media.Source, error) {
		return &handle{l: l, corp: corp, key: archiveSecret}, nil
	})
}

// MediaChunk implements [media.Source].
func (h *handle) MediaChunk(ctx context.Context, index, sdkFileID string) (media.Chunk, error) {
	defer h.alone("MediaChunk")()
	return read(ctx, h.l.faults, "MediaSource.MediaChunk", h.corp, func() (media.Chunk, error) {
		h.l.mu.Lock()
		defer h.l.mu.Unlock()
		s := h.l.of(h.corp)
		if !s.secret.IsZero() && !s.secret.Equal(h.key) {
			return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10002}
		}
		var c media.Chunk
		var err error
		body, ok := s.files[sdkFileID]
		var from, last int
		switch {
		case !ok:
			err = &archive.SDKError{Op: "GetMediaData", Code: 10005}
		case index == "":
			last = min(len(body), chunkBytes) - 1
		default:
			if n, scanErr := fmt.Sscanf(index, "Range:bytes=%d-%d", &from, &last); scanErr != nil || n != 2 || last >= len(body) || from > last {
				err = &archive.SDKError{Op: "GetMediaData", Code: 10000}
			}
		}
		if err == nil {
			c = media.Chunk{Data: bytes.Clone(body[from : last+1]), Finished: last+1 == len(body)}
			if !c.Finished {
				c.Next = fmt.Sprintf("Range:bytes=%d-%d", last+1, min(len(body), last+1+chunkBytes)-1)
			}
		}
		if h.l.OnMediaChunk == nil {
			return c, err
		}
		return h.l.OnMediaChunk(h.corp, index, sdkFileID, c, err)
	})
}
