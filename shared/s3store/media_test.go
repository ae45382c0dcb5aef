package s3store_test

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/s3store"
)

// readable is a store whose objects the conformance suite can read back.
type readable struct {
	*s3store.Media
	t      testing.TB
	client *s3.Client
	bucket string
}

func newMedia(t testing.TB) readable {
	client, bucket := s3.NewFromConfig(awstest.Config(t)), awstest.Bucket(t)
	return readable{s3store.NewMedia(client, bucket), t, client, bucket}
}

func (m readable) Bytes(corp, id string) ([]byte, error) {
	out, err := m.client.GetObject(m.t.Context(), &s3.GetObjectInput{Bucket: &m.bucket, Key: aws.String(corp + "/files/" + id)})
	if absent := (*types.NoSuchKey)(nil); errors.As(err, &absent) {
		return nil, archive.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Body.Close() }()
	return io.ReadAll(out.Body)
}

func TestMediaConformance(t *testing.T) {
	archivetest.TestFileStore(t, newMedia(t))
}

// S3's answers about uploads that do not exist. The answers are scripted because
// moto answers some of these calls with 500.
func TestMissingUploadIsNotFound(t *testing.T) {
	for answer, want := range map[string]error{"404 NoSuchUpload": archive.ErrNotFound, "403 AccessDenied": nil, "404 NoSuchBucket": nil} {
		client, _ := scripted(t, answer)
		m := s3store.NewMedia(client, "bucket")
		for call, err := range map[string]error{
			"part":     m.UploadPart(t.Context(), corp, "id", "upload", 1, []byte("x")),
			"complete": m.CompleteUpload(t.Context(), corp, "id", "upload", 1, 1),
		} {
			if err == nil || errors.Is(err, archive.ErrNotFound) != (want != nil) {
				t.Errorf("%s, %s: got %v, want %v (nil: any other error)", call, answer, err, want)
			}
		}
		if err := m.AbortUpload(t.Context(), corp, "id", "upload"); (err == nil) != (want != nil) {
			t.Errorf("abort, %s: got error %v, want error=%v", answer, err, want == nil)
		}
	}
}

func file(name, ext string, is media.Type) media.File {
	return media.File{
		Corp: corp, ID: media.ID("x"), Name: name, Ext: ext, State: media.Stored, Stored: &media.Object{Type: is},
	}
}

// link is a link to a file, and what it makes a browser do.
type link struct {
	what       string
	file       media.File
	wantType   string
	wantInline bool
	wantName   string
}

// What a browser gets from a link, through S3.
func TestLinks(t *testing.T) {
	m := newMedia(t)
	links := s3store.NewLinks(s3.NewPresignClient(m.client), m.bucket)
	const body = "<script>alert(1)</script>"
	if err := m.PutFile(t.Context(), corp, media.ID("x"), []byte(body)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []link{
		{"a picture", file("", "jpg", media.JPEG), "image/jpeg", true, "file-2d711642.jpg"},
		{"a picture named like a page", file("x.html", "html", media.PNG), "image/png", true, "x.html"},
		{"a page", file("x.html", "html", media.Other), "application/octet-stream", false, "x.html"},
		{"a page named like a picture", file("x.jpg", "jpg", media.Other), "application/octet-stream", false, "x.jpg"},
		{"a drawing", file("", "svg", media.Other), "application/octet-stream", false, "file-2d711642.svg"},
		{"voice", file("", "", media.AMR), "audio/amr", true, "file-2d711642.amr"},
		{"voice that browsers do not play", file("", "amr", media.SILK), "application/octet-stream", false, "file-2d711642.amr"},
		{"a film", file("片子", "mp4", media.MP4), "video/mp4", true, "片子.mp4"},
		{"sound", file("", "", media.M4A), "audio/mp4", true, "file-2d711642.m4a"},
		{"folders", file("../../etc/passwd", "", media.Other), "application/octet-stream", false, "_.._etc_passwd"},
		{"other folders", file(`C:\a\b.exe`, "exe", media.Other), "application/octet-stream", false, "C__a_b.exe"},
		{"hidden", file(" ...bashrc. ", "", media.Other), "application/octet-stream", false, "bashrc"},
		{"control characters", file("a\r\nSet-Cookie: x=1\x00\x7f.txt", "", media.Other), "application/octet-stream", false, "aSet-Cookie_ x=1.txt"},
		{"text direction turned", file("x\u202efdp.exe", "", media.Other), "application/octet-stream", false, "xfdp.exe"},
		{"quotes and percents", file(`a"b\c%41;d.txt`, "", media.Other), "application/octet-stream", false, "a_b_c%41_d.txt"},
		{"invalid UTF-8", file("a\xff\xfeb.txt", "", media.Other), "application/octet-stream", false, "ab.txt"},
		{"long", file(strings.Repeat("长", 300)+".xlsx", "", media.Other), "application/octet-stream", false, strings.Repeat("长", 115) + ".xlsx"},
		{"no extension", file("无后缀", "docx", media.Other), "application/octet-stream", false, "无后缀.docx"},
		{"a dot and no extension", file("报价 v2.1", "docx", media.Other), "application/octet-stream", false, "报价 v2.1.docx"},
		{"another extension", file("合同.pdf", "docx", media.Other), "application/octet-stream", false, "合同.pdf.docx"},
		{"extension in capitals", file("合同.DOCX", "docx", media.Other), "application/octet-stream", false, "合同.DOCX"},
		{"given extension in capitals, with its dot", file("合同", " .DOCX", media.Other), "application/octet-stream", false, "合同.docx"},
		{"a name like an extension", file("docx", "docx", media.Other), "application/octet-stream", false, "docx.docx"},
		{"a name that ends like an extension", file("mydocx", "docx", media.Other), "application/octet-stream", false, "mydocx.docx"},
		{"extension of two parts", file("备份", "tar.gz", media.Other), "application/octet-stream", false, "备份.tar.gz"},
		{"extension of two parts that is there", file("备份.tar.gz", "gz", media.Other), "application/octet-stream", false, "备份.tar.gz"},
		{"another spelling of the extension", file("照片.jpeg", "jpg", media.JPEG), "image/jpeg", true, "照片.jpeg"},
		{"extension of a picture without a name's", file("照片", "png", media.PNG), "image/png", true, "照片.png"},
		{"extension of the type", file("照片", "", media.PNG), "image/png", true, "照片.png"},
		{"version in the name", file("v2.1", "1", media.PNG), "image/png", true, "v2.1.png"},
		{"day in the name", file("2026.01.31 合影", "", media.JPEG), "image/jpeg", true, "2026.01.31 合影.jpg"},
		{"extension of its own, of another type", file("照片.heic", "", media.JPEG), "image/jpeg", true, "照片.heic"},
		{"parts that are numbered", file("备份.001", "001", media.Other), "application/octet-stream", false, "备份.001"},
		{"another spelling, not a picture's", file("compose.yml", "yaml", media.Other), "application/octet-stream", false, "compose.yml"},
		{"extension that is none", file("合同", "../sh", media.Other), "application/octet-stream", false, "合同"},
		{"extension of dots", file("合同", "..", media.Other), "application/octet-stream", false, "合同"},
		{"long without extension", file(strings.Repeat("长", 300), "xlsx", media.Other), "application/octet-stream", false, strings.Repeat("长", 115) + ".xlsx"},
		{"blanks and dots behind", file("合同.docx \u3000.\t", "docx", media.Other), "application/octet-stream", false, "合同.docx"},
		{"no-break blank behind", file("合同.docx\u00a0", "docx", media.Other), "application/octet-stream", false, "合同.docx"},
		{"character without width behind", file("合同.docx\u200b\ufeff", "docx", media.Other), "application/octet-stream", false, "合同.docx"},
		{"folder that ends", file("合同.docx/", "docx", media.Other), "application/octet-stream", false, "合同.docx"},
		{"name in a folder", file("a/合同", "docx", media.Other), "application/octet-stream", false, "a_合同.docx"},
		{"extension twice", file("合同.docx.docx", "docx", media.Other), "application/octet-stream", false, "合同.docx.docx"},
		{"extension behind another", file("合同.docx.exe", "docx", media.Other), "application/octet-stream", false, "合同.docx.exe.docx"},
		{"hidden, with the extension alone", file(".docx", "docx", media.Other), "application/octet-stream", false, "docx.docx"},
		{"text direction turned, extension", file("合同\u202excod", "docx", media.Other), "application/octet-stream", false, "合同xcod.docx"},
		{"pattern as extension", file("合同", "*.docx", media.Other), "application/octet-stream", false, "合同.docx"},
		{"extension with a dot behind", file("合同", "docx. ", media.Other), "application/octet-stream", false, "合同.docx"},
		{"extension with control characters", file("合同", "do\u202ecx\x00", media.Other), "application/octet-stream", false, "合同.docx"},
		{"extension of signs", file("源码", "C++", media.Other), "application/octet-stream", false, "源码.c++"},
		{"long extension", file("项目", "code-workspace", media.Other), "application/octet-stream", false, "项目.code-workspace"},
		{"extension in Chinese", file("说明", "文档", media.Other), "application/octet-stream", false, "说明.文档"},
		{"long, with an extension behind", file(strings.Repeat("长", 120)+".XLSX", "xlsx", media.Other), "application/octet-stream", false, strings.Repeat("长", 115) + ".XLSX"},
		{"long, extension in Chinese", file(strings.Repeat("长", 120), "文档", media.Other), "application/octet-stream", false, strings.Repeat("长", 117) + ".文档"},
		{"only dots", file("....", "../sh", media.Other), "application/octet-stream", false, "file-2d711642"},
	} {
		t.Run(c.what, func(t *testing.T) {
			url, err := links.Link(t.Context(), c.file, time.Minute, false)
			if err != nil {
				t.Fatal(err)
			}
			if status, got := get(t, url); status != http.StatusOK || got != body {
				t.Fatalf("got %d, %q", status, got)
			}
			c.check(t, url)
		})
	}
}

// get follows a link.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// check reads the headers that the link requests. S3 answers with these headers
// (GetObject, "Overriding response header values"); moto does not.
func (c link) check(t *testing.T, url string) {
	t.Helper()
	q := query(t, url)
	if got := q.Get("response-content-type"); got != c.wantType {
		t.Errorf("got type %q, want %q", got, c.wantType)
	}
	disposition, params, err := mime.ParseMediaType(q.Get("response-content-disposition"))
	if err != nil || (disposition == "inline") != c.wantInline || disposition != "inline" && disposition != "attachment" {
		t.Errorf("got disposition %q, %v; want inline=%v", disposition, err, c.wantInline)
	}
	if params["filename"] != c.wantName {
		t.Errorf("got name %q, want %q", params["filename"], c.wantName)
	}
}

func query(t *testing.T, link string) url.Values {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestLinksExpire(t *testing.T) {
	links := newLinks()
	for ttl, want := range map[time.Duration]string{time.Minute: "60", s3store.LongestLink: "300", 0: "1", -time.Hour: "1"} {
		link, err := links.Link(t.Context(), file("", "", media.Other), ttl, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := query(t, link).Get("X-Amz-Expires"); got != want {
			t.Errorf("%s: got a link for %s s, want %s", ttl, got, want)
		}
	}
}

// A lifetime above the limit is refused by name, and never shortened.
func TestLinkLifetimeIsBounded(t *testing.T) {
	links := newLinks()
	for _, ttl := range []time.Duration{s3store.LongestLink + time.Nanosecond, time.Hour} {
		if link, err := links.Link(t.Context(), file("", "", media.Other), ttl, false); !errors.Is(err, s3store.ErrLifetime) || link != "" {
			t.Errorf("%s: got %q, %v; want %v", ttl, link, err, s3store.ErrLifetime)
		}
	}
}

// newLinks makes links without a server: a link is signed without a call.
func newLinks() *s3store.Links {
	return s3store.NewLinks(s3.NewPresignClient(s3.New(s3.Options{
		Region: "cn-north-1", Credentials: credentials.NewStaticCredentialsProvider("made", "up", ""),
	})), "bucket")
}

// Corp and id of the row decide the object. Texts of the message never reach the
// path.
func TestLinkPathComesFromTheRow(t *testing.T) {
	links := newLinks()
	f := file("../../ww9999999999999999/files/x", "../ww9999999999999999", media.Other)
	f.SDKFileID, f.Kind = "../../y", "../../z"
	link, err := links.Link(t.Context(), f, time.Minute, false)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/" + corp + "/files/" + f.ID; !strings.HasSuffix(u.Path, want) || strings.Contains(u.Path, "..") {
		t.Errorf("got path %s, want it to end in %s", u.Path, want)
	}
	for _, state := range []media.State{media.Waiting, media.Expired, media.Failed} {
		f := file("", "", media.Other)
		f.State, f.Stored = state, nil
		if _, err := links.Link(t.Context(), f, time.Minute, false); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("%s: got %v, want %v", state, err, archive.ErrNotFound)
		}
	}
}
