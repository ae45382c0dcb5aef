package s3store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/pattern"
)

// MediaClient is what [Media] needs of [*s3.Client].
type MediaClient interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	CreateMultipartUpload(context.Context, *s3.CreateMultipartUploadInput, ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error)
	UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (*s3.UploadPartOutput, error)
	ListParts(context.Context, *s3.ListPartsInput, ...func(*s3.Options)) (*s3.ListPartsOutput, error)
	CompleteMultipartUpload(context.Context, *s3.CompleteMultipartUploadInput, ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error)
	AbortMultipartUpload(context.Context, *s3.AbortMultipartUploadInput, ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
}

var _ MediaClient = (*s3.Client)(nil)

// Media is an [media.Store] in a bucket of its own:
//
//	<corp>/files/<sha256 of the sdkfileid>  a file, as WeCom gave it
//
// Every object is stored as bytes without a type; each link says how a reader
// gets them. S3 checks the SHA-256 of every object and part that it receives, and
// keeps it as the object's checksum. An upload keeps nothing of a part in memory, so memory does not grow
// with the file.
type Media struct {
	client MediaClient
	bucket string
}

var (
	_ media.Store      = (*Media)(nil)
	_ decode.FileStats = (*Media)(nil)
)

// NewMedia keeps files in the given bucket.
func NewMedia(client MediaClient, bucket string) *Media {
	return &Media{client: client, bucket: bucket}
}

func fileName(corp, id string) string { return corp + "/files/" + id }

const plainBytes = "application/octet-stream"

// PutFile implements [media.Store].
func (m *Media) PutFile(ctx context.Context, corp, id string, body []byte) error {
	name := fileName(corp, id)
	_, err := m.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &m.bucket, Key: &name, Body: bytes.NewReader(body), ContentType: aws.String(plainBytes),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: aws.String(checksum(body)),
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// BeginUpload implements [media.Store].
func (m *Media) BeginUpload(ctx context.Context, corp, id string) (string, error) {
	name := fileName(corp, id)
	out, err := m.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &m.bucket, Key: &name, ContentType: aws.String(plainBytes), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		return "", fmt.Errorf("begin %s: %w", name, err)
	}
	return aws.ToString(out.UploadId), nil
}

// UploadPart implements [media.Store].
func (m *Media) UploadPart(ctx context.Context, corp, id, upload string, number int, body []byte) error {
	name := fileName(corp, id)
	_, err := m.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &m.bucket, Key: &name, UploadId: &upload, PartNumber: aws.Int32(int32(number)), Body: bytes.NewReader(body),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: aws.String(checksum(body)),
	})
	if err != nil {
		return fmt.Errorf("write part %d of %s: %w", number, name, absentUpload(err))
	}
	return nil
}

// CompleteUpload implements [media.Store]. It completes the parts that S3 lists,
// so the caller remembers only their number and size.
func (m *Media) CompleteUpload(ctx context.Context, corp, id, upload string, parts int, size int64) error {
	name := fileName(corp, id)
	var done []types.CompletedPart
	var sum int64
	for pages := s3.NewListPartsPaginator(m.client, &s3.ListPartsInput{Bucket: &m.bucket, Key: &name, UploadId: &upload}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list parts of %s: %w", name, absentUpload(err))
		}
		for _, p := range page.Parts {
			done = append(done, types.CompletedPart{
				PartNumber: p.PartNumber, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256,
			})
			sum += aws.ToInt64(p.Size)
		}
	}
	if len(done) != parts || sum != size {
		return fmt.Errorf("complete %s: got %d parts of %d bytes, want %d of %d: %w", name, len(done), sum, parts, size, archive.ErrCorrupt)
	}
	_, err := m.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &m.bucket, Key: &name, UploadId: &upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		return fmt.Errorf("complete %s: %w", name, absentUpload(err))
	}
	return nil
}

// StatFile implements [media.Store] and [decode.FileStats]. Like OpenFile it needs
// s3:ListBucket, and permission to decrypt: S3 seals checksums with the object.
func (m *Media) StatFile(ctx context.Context, corp, id string) (size int64, checksum string, err error) {
	name := fileName(corp, id)
	out, err := m.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &m.bucket, Key: &name, ChecksumMode: types.ChecksumModeEnabled})
	if statusOf(err) == http.StatusNotFound {
		err = archive.ErrNotFound
	}
	if err != nil {
		return 0, "", fmt.Errorf("stat %s: %w", name, err)
	}
	// Behind the checksum of an object in parts S3 writes a dash and their number.
	checksum, _, _ = strings.Cut(aws.ToString(out.ChecksumSHA256), "-")
	return aws.ToInt64(out.ContentLength), checksum, nil
}

// checksum is the SHA-256 of a body in S3's form.
func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// OpenFile implements [media.Store]. It needs s3:ListBucket: without that right
// S3 answers 403 for an object that does not exist.
func (m *Media) OpenFile(ctx context.Context, corp, id string) (io.ReadCloser, error) {
	name := fileName(corp, id)
	out, err := m.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &m.bucket, Key: &name})
	if absent := (*types.NoSuchKey)(nil); errors.As(err, &absent) {
		err = archive.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return out.Body, nil
}

// AbortUpload implements [media.Store].
func (m *Media) AbortUpload(ctx context.Context, corp, id, upload string) error {
	name := fileName(corp, id)
	_, err := m.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &m.bucket, Key: &name, UploadId: &upload})
	if err = absentUpload(err); err != nil && !errors.Is(err, archive.ErrNotFound) {
		return fmt.Errorf("abort %s: %w", name, err)
	}
	return nil
}

// absentUpload turns S3's error for an upload that does not exist into
// [archive.ErrNotFound].
func absentUpload(err error) error {
	if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "NoSuchUpload" {
		return archive.ErrNotFound
	}
	return err
}

// Links makes links to files. It signs them itself, without a call to S3.
type Links struct {
	client *s3.PresignClient
	bucket string
}

// NewLinks makes links to the files of a [Media] with the same bucket.
func NewLinks(client *s3.PresignClient, bucket string) *Links {
	return &Links{client: client, bucket: bucket}
}

// LongestLink is the longest lifetime that [Links.Link] accepts. How long a link
// lives is the caller's decision: this is only what the bucket's owner allows.
const LongestLink = 5 * time.Minute

// ErrLifetime: the requested lifetime of a link exceeds [LongestLink].
var ErrLifetime = errors.New("link lifetime too long")

// shown are the types that a browser may show inline, with their extensions. The
// browser saves files of any other type, under a type that it never runs.
var shown = map[media.Type]string{
	media.JPEG:  "jpg",
	media.PNG:   "png",
	media.GIF:   "gif",
	media.WebP:  "webp",
	media.MP4:   "mp4",
	media.M4A:   "m4a",
	media.MP3:   "mp3",
	media.WAV:   "wav",
	media.AMR:   "amr",
	media.AMRWB: "awb",
}

// Link makes a link to a stored file that lives for ttl, and for at least a
// second. It answers [ErrLifetime] if ttl exceeds [LongestLink], and
// [archive.ErrNotFound] for a file without an object.
//
// f.Corp and f.ID alone name the object: a caller that found f under a corp gets
// a link to that corp's file and to no other file. The type is the type of the
// file's first bytes, if browsers may show it. The name that the message gives
// the file is used only as the name to save it under. Browsers only save the file
// if save is set, or if its type is not for showing.
func (l *Links) Link(ctx context.Context, f media.File, ttl time.Duration, save bool) (string, error) {
	if ttl > LongestLink {
		return "", fmt.Errorf("link to file %s for %s: %w: limit %s", f.ID, ttl, ErrLifetime, LongestLink)
	}
	if f.Stored == nil {
		return "", fmt.Errorf("link to file %s in state %s: %w", f.ID, f.State, archive.ErrNotFound)
	}
	contentType, disposition := plainBytes, "attachment"
	ext, ok := shown[f.Stored.Type]
	if ok {
		contentType, disposition = string(f.Stored.Type), "inline"
	}
	if save {
		disposition = "attachment"
	}
	req, err := l.client.PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket:                     &l.bucket,
		Key:                        aws.String(fileName(f.Corp, f.ID)),
		ResponseContentType:        &contentType,
		ResponseContentDisposition: aws.String(disposition + "; " + saveAs(f, ext)),
		ResponseCacheControl:       aws.String("private, max-age=300"),
	}, s3.WithPresignExpires(max(ttl, time.Second)))
	if err != nil {
		return "", fmt.Errorf("link to file %s: %w", f.ID, err)
	}
	return req.URL, nil
}

// Origin returns the scheme and the host that every link begins with. A page that
// shows files must allow this origin in its policy.
func (l *Links) Origin(ctx context.Context) (string, error) {
	req, err := l.client.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &l.bucket, Key: aws.String("origin")})
	if err != nil {
		return "", fmt.Errorf("origin of links: %w", err)
	}
	u, err := url.Parse(req.URL)
	if err != nil {
		return "", fmt.Errorf("origin of links: %w", err)
	}
	return u.Scheme + "://" + u.Host, nil
}

const (
	longestName = 120 // characters
	longestExt  = 20
)

// saveAs makes the parameters of a Content-Disposition that name the file (RFC
// 6266): a plain name that every program reads, and the real name. byType is the
// extension of the file's type, or empty.
func saveAs(f media.File, byType string) string {
	name, ext := safeName(f.Name), safeExt(f.Ext)
	switch {
	case name == "":
		name, ext = "file-"+f.ID[:min(len(f.ID), 8)], cmp.Or(byType, ext)
	case (ext == "" || number().MatchString(ext) && strings.HasSuffix(name, "."+ext)) && !ownExt().MatchString(name):
		ext = byType
	}
	name = withExt(name, ext)
	plain := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || r == '"' || r == '\\' || r == '%' {
			return '_'
		}
		return r
	}, name)
	return `filename="` + plain + `"; filename*=UTF-8''` + percent(name)
}

var (
	// ownExt is the end of a name that has an extension: another text behind a dot is
	// part of the name, such as a version or a day.
	ownExt = pattern.New(`\.[0-9]{0,3}[A-Za-z][0-9A-Za-z]{0,9}$`)
	number = pattern.New(`^[0-9]+$`)
)

// safeName is a name without folders, control characters, dots and blanks at
// either end, and characters that file systems refuse. Characters that turn the
// direction of text can hide an extension and count as control characters.
func safeName(name string) string {
	name = strings.TrimRightFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || strings.ContainsRune(` ./\`, r) })
	name = strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
			return -1
		case strings.ContainsRune(`/\:*?"<>|;`, r), r == 0x2028, r == 0x2029:
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.TrimFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
	if runes := []rune(name); len(runes) > longestName {
		// Cut before the extension.
		ext := ""
		if dot := strings.LastIndexByte(name, '.'); dot > 0 && safeExt(name[dot:]) != "" {
			ext = name[dot:]
		}
		name = strings.TrimRight(string(runes[:longestName-len([]rune(ext))]), " .") + ext
	}
	return name
}

// safeExt is an extension without the dots and blanks around it, in small letters, or
// empty for a text that is none.
func safeExt(ext string) string {
	ext = strings.TrimLeft(ext, "* .")
	separated := strings.ContainsAny(ext, `/\:*?"<>|;`)
	if ext = strings.ToLower(safeName(ext)); separated || utf8.RuneCountInString(ext) > longestExt || strings.Contains(ext, "..") || strings.ContainsFunc(ext, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+", r)
	}) {
		return ""
	}
	return ext
}

// alike are extensions that people write for one another.
var alike = map[string]string{"jpeg": "jpg", "htm": "html", "tif": "tiff", "mpg": "mpeg", "yml": "yaml"}

// withExt ends a name with an extension, unless the name ends with it already.
func withExt(name, ext string) string {
	if ext == "" || strings.HasSuffix(strings.ToLower(name), "."+ext) {
		return name
	}
	same := func(e string) string { return cmp.Or(alike[e], e) }
	if dot := strings.LastIndexByte(name, '.'); dot > 0 && same(strings.ToLower(name[dot+1:])) == same(ext) {
		return name
	}
	if runes, most := []rune(name), longestName-1-utf8.RuneCountInString(ext); len(runes) > most {
		name = strings.TrimRight(string(runes[:most]), " .")
	}
	return name + "." + ext
}

// percent encodes each byte that RFC 5987 does not allow in plain form.
func percent(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&+-.^_`|~"
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
