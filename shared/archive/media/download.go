package media

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/pattern"
)

// The measures of a download.
const (
	partSize  = 5 << 20   // the smallest part that S3 accepts; ten chunks
	chunkSize = 512 << 10 // the largest chunk that WeCom sends (wecom.md 1.7)
	// A download ends if more than fairChunks chunks average less than fairChunk:
	// the file would never finish.
	fairChunk  = 64 << 10
	fairChunks = 64
)

// A transfer moves one file from WeCom into the store: chunks into parts, parts
// into an object. It knows indexes, uploads and resume points. The policy decides
// what follows from an [Outcome]: see [next].
type transfer struct {
	*asker
	store   Store
	maxSize int64

	// at describes the durable parts, except that Index, Chunks and the running
	// digests sum (MD5) and sha (SHA-256) include buf. buf holds the bytes after the
	// last durable part: less than one part plus one chunk.
	at  Resume
	sum hash.Hash
	sha hash.Hash
	buf []byte
	// followed holds the places in the file (see place) that indexes named since
	// this transfer began or restarted. A download never needs a place twice. With
	// the bounds on size and on small chunks this ends every download, whatever
	// the library repeats.
	followed map[string]bool
	// short says that bytes seem to be missing (by the indexes), and that the
	// download goes on nevertheless.
	short bool
	// fetched counts the bytes that WeCom sent, including bytes that were fetched
	// again.
	fetched int64
}

// download fetches the file f from its resume point, until one more part is
// durable, the file is complete, or the download cannot go on. With mayBeShort,
// missing bytes do not stop it. An error is the error of our own store or of
// the context.
//
// A crash before the returned resume point is saved leaves a part that the next
// download writes again, under the same number.
func (t *transfer) download(ctx context.Context, f File, mayBeShort bool) (Outcome, error) {
	t.resume(f.Resume)
	for {
		if t.timeUp() {
			return Outcome{End: TimeUp}, nil
		}
		c, bad, err := t.chunk(ctx, t.at.Index, f, func(c Chunk) string { return t.fault(f, c, mayBeShort) })
		if err != nil {
			return Outcome{}, err
		}
		if bad != nil {
			return *bad, nil
		}
		t.take(c)
		switch total := t.total(); {
		case total > t.maxSize:
			return Outcome{End: FileTooLarge}, nil
		case t.at.Chunks > fairChunks && total/int64(t.at.Chunks) < fairChunk:
			return Outcome{End: TryFailed, Reason: ReasonDribbles, Lasting: true}, nil
		case c.Finished:
			got := Object{Size: total, MD5: hex.EncodeToString(t.sum.Sum(nil)), SHA256: hex.EncodeToString(t.sha.Sum(nil)), Type: t.at.Type}
			return Outcome{End: Complete, Got: got, Short: t.short}, nil
		case len(t.buf) >= partSize:
			return t.part(ctx, f)
		}
	}
}

// resume begins at r. It begins at the first byte if r is nil or unreadable,
// for example because another version of Go wrote the saved state of the
// digests.
func (t *transfer) resume(r *Resume) {
	t.at, t.sum, t.sha, t.buf, t.short = Resume{}, md5.New(), sha256.New(), t.buf[:0], false
	if r != nil && r.Parts > 0 && r.Index != "" {
		if sum, sha := md5.New(), sha256.New(); continues(sum, r.Digest) && continues(sha, r.SHA256) {
			t.at, t.sum, t.sha = *r, sum, sha
			first, _, known := indexRange(r.Index)
			t.short = known && first != r.Bytes
		}
	}
	if t.followed == nil || t.at.Parts == 0 {
		t.followed = make(map[string]bool)
	}
	t.followed[place(t.at.Index)] = true
}

// continues gives a hash a state that it had before.
func continues(h hash.Hash, state []byte) bool {
	return h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) == nil
}

// total returns how many bytes have come.
func (t *transfer) total() int64 { return t.at.Bytes + int64(len(t.buf)) }

// take adds a chunk to the received bytes.
func (t *transfer) take(c Chunk) {
	if t.total() == 0 {
		t.at.Type = Sniff(c.Data)
	}
	t.buf = append(t.buf, c.Data...)
	_, _ = t.sum.Write(c.Data) // a hash never fails
	_, _ = t.sha.Write(c.Data)
	t.fetched += int64(len(c.Data))
	t.at.Index = c.Next
	t.at.Chunks++
	t.followed[place(c.Next)] = true
}

var indexForm = pattern.New(`^Range:bytes=(\d{1,18})-(\d{1,18})$`)

// indexRange returns the first and the last byte that an index asks for. known
// is false if the index has another form than the example in WeCom's document
// (wecom.md 1.7). The document does not promise that form.
func indexRange(index string) (first, last int64, known bool) {
	m := indexForm().FindStringSubmatch(index)
	if m == nil {
		return 0, 0, false
	}
	first, err := strconv.ParseInt(m[1], 10, 64)
	last, lastErr := strconv.ParseInt(m[2], 10, 64)
	return first, last, err == nil && lastErr == nil
}

// place names the place in the file that an index asks for: the first byte of a
// range, or a digest of an index in any other form. The empty index asks for the
// first byte of the file.
func place(index string) string {
	first, _, known := indexRange(index)
	if known || index == "" {
		return strconv.FormatInt(first, 10)
	}
	sum := md5.Sum([]byte(index))
	return string(sum[:])
}

// fault returns what is wrong with a chunk that came without an error, or an
// empty text.
func (t *transfer) fault(f File, c Chunk, mayBeShort bool) string {
	switch {
	case len(c.Data) > chunkSize:
		return ReasonTooLarge
	case !c.Finished && c.Next == "":
		return ReasonNoIndex
	case !c.Finished && t.followed[place(c.Next)]:
		return ReasonRepeats
	case !t.short && !t.fills(f, c):
		if !mayBeShort {
			return ReasonSize
		}
		t.short = true
	}
	return ""
}

// fills reports whether a chunk seems complete by the indexes: the next index
// begins where the chunk ends, and the last chunk ends where its index ends. If
// the message has neither md5 nor size, only the indexes show that bytes are
// missing. If md5 or size prove the file, it is complete even if its last index
// asked for more.
func (t *transfer) fills(f File, c Chunk) bool {
	end := t.total() + int64(len(c.Data))
	if !c.Finished {
		next, _, known := indexRange(c.Next)
		return !known || next == end
	}
	first, last, known := indexRange(t.at.Index)
	if !known || last+1 == end {
		return true
	}
	if first == last && len(c.Data) == 0 && (f.MD5 != "" || f.Size > 0) {
		return true // an empty chunk after the last byte: md5 or size decide later
	}
	sum, err := t.sum.(hash.Cloner).Clone()
	if err != nil {
		return false
	}
	_, _ = sum.Write(c.Data) // a hash never fails
	return f.proves(Object{Size: end, MD5: hex.EncodeToString(sum.Sum(nil))})
}

// part stores the received bytes as one part.
func (t *transfer) part(ctx context.Context, f File) (Outcome, error) {
	lost, err := t.upload(ctx, f)
	if err != nil {
		return Outcome{}, err
	}
	if lost {
		return Outcome{End: UploadLost}, nil
	}
	t.at.Digest, err = t.sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err == nil {
		t.at.SHA256, err = t.sha.(encoding.BinaryMarshaler).MarshalBinary()
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("digest: %w", err)
	}
	return Outcome{End: PartStored, Resume: t.at}, nil
}

// upload stores buf as the next part. A crash after upload leaves a part that
// no row names; the next download replaces the part, or the bucket's own rule
// removes the upload.
func (t *transfer) upload(ctx context.Context, f File) (lost bool, err error) {
	if t.at.Upload == "" {
		if t.at.Upload, err = t.store.BeginUpload(ctx, f.Corp, f.ID); err != nil {
			return false, fmt.Errorf("begin upload: %w", err)
		}
	}
	err = t.store.UploadPart(ctx, f.Corp, f.ID, t.at.Upload, t.at.Parts+1, t.buf)
	if errors.Is(err, archive.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("upload part %d: %w", t.at.Parts+1, err)
	}
	t.at.Parts++
	t.at.Bytes += int64(len(t.buf))
	t.buf = t.buf[:0]
	return false, nil
}

// write turns the finished download, which got describes, into the object of
// the file. lost says that neither the upload nor the object exists. A crash
// after write leaves an object that the row does not name; the next pass finds
// the object.
func (t *transfer) write(ctx context.Context, f File, got Object) (lost bool, err error) {
	if t.at.Parts == 0 {
		if err := t.store.PutFile(ctx, f.Corp, f.ID, t.buf); err != nil {
			return false, fmt.Errorf("write object: %w", err)
		}
		return false, nil
	}
	if len(t.buf) > 0 {
		if lost, err = t.upload(ctx, f); err != nil {
			return false, err
		}
	}
	if !lost {
		err = t.store.CompleteUpload(ctx, f.Corp, f.ID, t.at.Upload, t.at.Parts, t.at.Bytes)
		switch {
		case err == nil:
			t.at.Upload = "" // nothing is left to discard
			return false, nil
		case errors.Is(err, archive.ErrCorrupt):
			return true, nil
		case !errors.Is(err, archive.ErrNotFound):
			return false, fmt.Errorf("complete object: %w", err)
		}
	}
	// The upload does not exist: a fetcher completed it and crashed before it saved
	// the row, or the parts are lost.
	there, err := readObject(ctx, t.store, f)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return false, err
	}
	return err != nil || there.MD5 != got.MD5, nil
}

// discard aborts the upload, if there is one. A crash before discard leaves an
// upload that no row names; the bucket's own rule removes that upload.
func (t *transfer) discard(ctx context.Context, f File) error {
	if t.at.Upload == "" {
		return nil
	}
	if err := t.store.AbortUpload(ctx, f.Corp, f.ID, t.at.Upload); err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}

// readObject describes the object of a file in the bucket: all fields except
// the time and the checksum. It returns [archive.ErrNotFound] if there is no
// object. It reads the object to its end.
func readObject(ctx context.Context, store Store, f File) (Object, error) {
	body, err := store.OpenFile(ctx, f.Corp, f.ID)
	if err != nil {
		return Object{}, fmt.Errorf("open object: %w", err)
	}
	defer func() { _ = body.Close() }()
	head := make([]byte, SniffLen)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Object{}, fmt.Errorf("read object: %w", err)
	}
	sum, sha := md5.New(), sha256.New()
	both := io.MultiWriter(sum, sha)
	_, _ = both.Write(head[:n]) // a hash never fails
	rest, err := io.Copy(both, body)
	if err != nil {
		return Object{}, fmt.Errorf("read object: %w", err)
	}
	return Object{Size: int64(n) + rest, MD5: hex.EncodeToString(sum.Sum(nil)), SHA256: hex.EncodeToString(sha.Sum(nil)), Type: Sniff(head[:n])}, nil
}
