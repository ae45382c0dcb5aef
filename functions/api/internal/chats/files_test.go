package chats_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// withFiles is a message that names files: a bundle of forwarded files.
func withFiles(msgid string, at time.Time, sdkFileIDs ...string) string {
	var items []string
	for i, id := range sdkFileIDs {
		items = append(items, fmt.Sprintf(
			`{"type":"ChatRecordFile","msgtime":1,"content":"{\"sdkfileid\":%q,\"filename\":\"报价 %d.pdf\",\"fileext\":\"pdf\",\"filesize\":3}","from_chatroom":false}`, id, i))
		items[i] = strings.ReplaceAll(items[i], `:"`+id+`"`, `:\"`+id+`\"`)
	}
	return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,"msgtype":"chatrecord","chatrecord":{"title":%q,"item":[%s]}}`,
		msgid, at.UnixMilli(), apitest.ContentMark, strings.Join(items, ","))
}

// idOf is the id of a message of the chat.
func idOf(t *testing.T, corp, msgid string, at time.Time) string {
	t.Helper()
	id, err := chats.MessageID(archive.Message{Corp: corp, Conversation: apitest.FilesChat, Time: at, MsgID: msgid})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func filePath(corp, id string, n any) string {
	return fmt.Sprintf("/v1/corps/%s/messages/%s/files/%v", corp, id, n)
}

// picture is the sdkfileid of a file that a browser shows.
const picture = "GIF89a of a fair"

// everyState stores a file of each state in a corp, and returns their sdkfileids in
// the order of the files of a message.
func everyState(w *apitest.World, corp string) []string {
	w.T.Helper()
	left := apitest.Noon.Add(93*time.Hour + 30*time.Minute)
	w.File(corp, picture, 7, media.Stored, "", left)
	w.File(corp, "waits", 7, media.Waiting, "sdk_10001", left)
	w.File(corp, "differs", 7, media.Mismatch, media.ReasonMD5, left)
	w.File(corp, "gone", 7, media.Expired, media.ReasonDeleted, left)
	w.File(corp, "fails", 7, media.Failed, "sdk_10003", left)
	w.File(corp, "late", 7, media.Waiting, "", apitest.Noon.Add(-time.Hour))
	return []string{picture, "waits", "differs", "gone", "fails", "late", "never requested"}
}

func TestFilesOfMessages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.BareCorp(w.Other)
	names := everyState(w, w.Corp)
	// Another corp has stored files with the same sdkfileids.
	for _, name := range names {
		w.File(w.Other, name, 7, media.Stored, "", apitest.Noon)
	}
	w.Store(w.Corp, withFiles("m7", apitest.Noon, names...), apitest.Chat("m8", "lin.hua", "wmA", "", apitest.Noon.Add(time.Second), "t"), withFiles("m9", apitest.Noon.Add(2*time.Second), "waits"))
	id := idOf(t, w.Corp, "m7", apitest.Noon)
	type doc struct {
		Content struct {
			Files []chats.FileJSON
		}
	}
	check := func(what string, got []chats.FileJSON) {
		t.Helper()
		var states []string
		for _, f := range got {
			c := f.Copy
			s := string(c.State)
			if c.Reason != nil {
				s += " " + *c.Reason
			}
			if c.Size != nil {
				s += fmt.Sprintf(" %d bytes", *c.Size)
			}
			if c.Type != nil {
				s += " " + *c.Type
			}
			if c.HoursLeft != nil {
				s += fmt.Sprintf(" %v h", *c.HoursLeft)
			}
			if c.LinkPath != nil {
				s += " " + strings.TrimPrefix(*c.LinkPath, "/v1/corps/"+w.Corp+"/messages/"+id)
			}
			states = append(states, s)
		}
		want := []string{
			"stored 16 bytes image/gif /files/0", "waiting sdk_10001 93.5 h", "mismatch md5_differs 7 bytes /files/2", "expired deleted_by_wecom",
			"failed sdk_10003", "waiting -1 h", "unknown",
		}
		if !slices.Equal(states, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(states, "\n"), strings.Join(want, "\n"))
		}
	}
	check("alone", apitest.Into[doc](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+id).Want(200)).Content.Files)

	asked := &askedFiles{FileTable: w.Media}
	w.Chats.Files = asked
	list := apitest.Into[struct{ Messages []doc }](w.Get(w.As(session.Reader), messagesPath(w, apitest.FilesChat)).Want(200)).Messages
	check("in a list", list[0].Content.Files)
	if f := list[2].Content.Files; len(list) != 3 || len(list[1].Content.Files) != 0 || len(f) != 1 || f[0].Copy.State != media.Waiting {
		t.Errorf("got %+v", list)
	}
	if !slices.Equal(asked.sizes, []int{8}) {
		t.Errorf("got look-ups of %v files, want one of all", asked.sizes)
	}
	// No file is looked up if the messages are unwanted, invisible or without files.
	asked.sizes = nil
	w.Get(w.As(session.Reader), messagesPath(w, apitest.FilesChat)+"?revoked=true").Want(200)
	w.Get(w.As(session.Reader).With("staff", "zhao"), messagesPath(w, apitest.FilesChat)).Want(200)
	w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+idOf(t, w.Corp, "m8", apitest.Noon.Add(time.Second))).Want(200)
	if len(asked.sizes) != 0 {
		t.Errorf("got look-ups of %v files, want none", asked.sizes)
	}
}

// askedFiles records how many files each look-up names.
type askedFiles struct {
	chats.FileTable
	sizes []int
}

func (a *askedFiles) Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error) {
	a.sizes = append(a.sizes, len(ids))
	return a.FileTable.Files(ctx, corp, ids)
}

// A look-up is bounded and a page is complete, however many files messages name.
func TestVeryManyFiles(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	asked := &askedFiles{FileTable: w.Media}
	w.Chats.Files = asked
	crowd := func(msgid string, second, files int) string {
		return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,"msgtype":"hologram","hologram":[%s]}`,
			msgid, apitest.Noon.Add(time.Duration(second)*time.Second).UnixMilli(), strings.TrimSuffix(strings.Repeat(`{"sdkfileid":"x"},`, files), ","))
	}
	w.Store(w.Corp, crowd("m0", 0, 600), crowd("m1", 1, 600), crowd("m2", 2, 300), crowd("m3", 3, 1500), crowd("m4", 4, 1), crowd("m5", 5, chats.FilesMost+1))
	type doc struct {
		MsgID   string
		Content struct {
			Whole bool
			Files []chats.FileJSON
		}
	}
	var got []string
	for next := ""; ; {
		page := apitest.Into[struct {
			Messages []doc
			Next     *string
		}](w.Get(w.As(session.Reader), messagesPath(w, apitest.FilesChat)+"?limit=200"+next).Want(200))
		for _, m := range page.Messages {
			got = append(got, fmt.Sprintf("%s %d %v", m.MsgID, len(m.Content.Files), m.Content.Whole))
		}
		if page.Next == nil {
			break
		}
		next = "&page=" + *page.Next
	}
	if want := []string{"m0 600 true", "m1 600 true", "m2 300 true", "m3 1500 true", "m4 1 true", "m5 0 false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, n := range asked.sizes {
		if n > 1500 {
			t.Errorf("got look-ups of %v files", asked.sizes)
		}
	}
	one := apitest.Into[doc](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+idOf(t, w.Corp, "m5", apitest.Noon.Add(5*time.Second))).Want(200))
	if one.Content.Whole || len(one.Content.Files) != 0 {
		t.Errorf("too many files: got %d", len(one.Content.Files))
	}
}

// fetch gets a link as a browser would, without a token.
func fetch(t *testing.T, link string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got %s, %v: %.300s", resp.Status, err, body)
	}
	return body
}

func TestLinksToFiles(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	names := everyState(w, w.Corp)
	raw := func(id string) string {
		return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,"msgtype":"file","file":{"sdkfileid":%q,"filename":"../报价.pdf","fileext":"pdf","filesize":3,"md5sum":""}}`,
			id, apitest.Noon.UnixMilli(), id)
	}
	w.Store(w.Corp, withFiles("m7", apitest.Noon, names...), raw("differs"))
	w.Store(w.Other, withFiles("m7", apitest.Noon, "waits", "differs"))
	id, ofOther := idOf(t, w.Corp, "m7", apitest.Noon), idOf(t, w.Other, "m7", apitest.Noon)
	who := w.As(session.Reader)

	shown := apitest.Into[chats.LinkedFileJSON](w.Get(who, filePath(w.Corp, id, 0)).Want(200))
	if got := fetch(t, shown.URL); shown.State != media.Stored || shown.ContentType != "image/gif" || string(got) != picture {
		t.Errorf("got %+v and %q", shown, got)
	}
	l := apitest.Into[chats.LinkedFileJSON](w.Get(who, filePath(w.Corp, id, 2)).Want(200))
	sum := md5.Sum([]byte("differs"))
	if l.State != media.Mismatch || l.Size != 7 || l.MD5 != hex.EncodeToString(sum[:]) || l.ContentType != "application/octet-stream" ||
		l.ExpiresAt != output.Moment(apitest.Noon.Add(5*time.Minute)) {
		t.Errorf("got %+v", l)
	}
	if l.FileName != "报价 2.pdf" {
		t.Errorf("got name %q, want the one in this message", l.FileName)
	}
	if got := fetch(t, l.URL); string(got) != "differs" {
		t.Errorf("got %q", got)
	}
	if u, err := url.Parse(l.URL); err != nil || u.Query().Get("X-Amz-Expires") != "300" || !strings.Contains(u.Path, "/"+w.Corp+"/files/"+media.ID("differs")) {
		t.Errorf("got link %s", l.URL)
	}
	moved := w.Get(who, filePath(w.Corp, id, 2)+"?redirect=true").Want(302)
	if got := fetch(t, moved.Header.Get("Location")); string(got) != "differs" || len(moved.Body) != 0 || moved.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %q, headers %v", got, moved.Header)
	}
	hostile := apitest.Into[chats.LinkedFileJSON](w.Get(who, filePath(w.Corp, idOf(t, w.Corp, "differs", apitest.Noon), 0)).Want(200))
	if hostile.FileName != "_报价.pdf" {
		t.Errorf("got name %q", hostile.FileName)
	}
	// The reading is recorded before the answer.
	readings, _, err := w.Readings.Readings(t.Context(), w.Corp, archive.DayOf(apitest.Noon), "", 100)
	if err != nil || len(readings) != 1 || readings[0].Conversation != apitest.FilesChat || readings[0].By != "u-reader" {
		t.Errorf("got readings %+v, %v", readings, err)
	}
	w.Chats.Readings = noReadings{w.Readings}
	w.Get(who, filePath(w.Corp, id, 0)).WantProblem(500, "internal")
	w.Chats.Readings = w.Readings

	for _, tc := range []struct {
		n            int
		kind, detail string
	}{
		{1, "file-waiting", "93.5 hours"},
		{3, "file-expired", "deleted_by_wecom"},
		{4, "file-failed", "sdk_10003"},
		{5, "file-waiting", "in 0 hours"},
		{6, "file-unknown", "seq 1"},
	} {
		for _, query := range []string{"", "?redirect=true"} {
			resp := w.Get(who, filePath(w.Corp, id, tc.n)+query).WantProblem(409, tc.kind)
			if got := apitest.Into[apitest.Problem](resp).Detail; !strings.Contains(got, tc.detail) {
				t.Errorf("%d: got %q, want %q in it", tc.n, got, tc.detail)
			}
		}
		zh := w.Do(apitest.Request{Who: who, Method: "GET", Path: filePath(w.Corp, id, tc.n), Header: map[string]string{"Accept-Language": "zh"}}).WantProblem(409, tc.kind)
		if got := apitest.Into[apitest.Problem](zh).Detail; !strings.Contains(got, "企业微信") || strings.ContainsAny(got, "{}") {
			t.Errorf("%d: got %q", tc.n, got)
		}
	}
	for name, path := range map[string]string{
		"beyond the last":           filePath(w.Corp, id, 7),
		"below 0":                   filePath(w.Corp, id, -1),
		"not as numbers are":        filePath(w.Corp, id, "00"),
		"with a sign":               filePath(w.Corp, id, "+0"),
		"no number":                 filePath(w.Corp, id, "x"),
		"too large a number":        filePath(w.Corp, id, "99999999999999999999"),
		"of another corp's message": filePath(w.Corp, ofOther, 0),
		"in another corp":           filePath(w.Other, id, 0),
		"by the file's id":          filePath(w.Corp, media.ID("differs"), 0),
		"of no message":             filePath(w.Corp, idOf(t, w.Corp, "m404", apitest.Noon), 0),
	} {
		if resp := w.Get(who, path); resp.Status != 404 {
			t.Errorf("%s: got %d", name, resp.Status)
		}
	}
	// The stored file of another corp does not serve this corp.
	w.Get(apitest.TokenOf(w.Other, session.Reader), filePath(w.Other, ofOther, 1)).WantProblem(409, "file-unknown")
	w.Get(who.With("staff", "zhao"), filePath(w.Corp, id, 0)).WantProblem(404, "not-found")
	w.Get(who.With("staff", "lin.hua"), filePath(w.Corp, id, 0)).Want(200)
	if got := w.Get(who, filePath(w.Corp, id, 0)+"?redirect=false").Want(400).Rules(); got != "redirect:one_of" {
		t.Errorf("got %s", got)
	}
	if strings.Contains(w.Log.String(), "X-Amz-Signature") {
		t.Error("a link is in the log")
	}
}

type filesPage struct {
	Files []chats.ListedFileJSON
	Whole bool
	Next  *string
}

func listFiles(w *apitest.World, who apitest.Token, query string) filesPage {
	w.T.Helper()
	return apitest.Into[filesPage](w.Get(who, "/v1/corps/"+who["corp"]+"/files?"+query).Want(200))
}

func TestListsOfFiles(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	who := w.As(session.Admin)
	for i := range 7 {
		// Two at a time share a deadline, so only the id orders them.
		w.File(w.Corp, fmt.Sprintf("w%d", i), uint64(i+1), media.Waiting, "", apitest.Noon.Add(time.Duration(i/2)*time.Hour))
		w.File(w.Corp, fmt.Sprintf("f%d", i), uint64(i+11), media.Failed, "sdk_10003", apitest.Noon.Add(time.Duration(i/2)*time.Hour))
	}
	w.File(w.Corp, "stored", 30, media.Stored, "", apitest.Noon)
	w.File(w.Corp, "gone", 31, media.Expired, media.ReasonDeleted, apitest.Noon.Add(-time.Hour))
	w.File(w.Other, "differs", 32, media.Mismatch, media.ReasonSize, apitest.Noon)
	for _, tc := range []struct {
		state string
		n     int
		first string // deadline
	}{
		{"waiting", 7, output.Moment(apitest.Noon)}, {"failed", 7, output.Moment(apitest.Noon.Add(3 * time.Hour))},
		{"expired", 1, output.Moment(apitest.Noon.Add(-time.Hour))}, {"mismatch", 0, ""},
	} {
		all := listFiles(w, who, "state="+tc.state)
		if len(all.Files) != tc.n || !all.Whole || all.Next != nil {
			t.Fatalf("%s: got %+v", tc.state, all)
		}
		if tc.n == 0 {
			continue
		}
		f := all.Files[0]
		if f.Deadline != tc.first || string(f.State) != tc.state || (f.HoursLeft != nil) != (tc.state == "waiting") || f.Kind != "file" {
			t.Errorf("%s: got %+v", tc.state, f)
		}
		for limit := 1; limit <= 7; limit++ {
			var seqs, want []string
			for _, f := range all.Files {
				want = append(want, f.Seq)
			}
			for p, next := (filesPage{}), ""; ; {
				p = listFiles(w, who, fmt.Sprintf("state=%s&limit=%d%s", tc.state, limit, next))
				for _, f := range p.Files {
					seqs = append(seqs, f.Seq)
				}
				if p.Next == nil {
					break
				}
				next = "&page=" + *p.Next
			}
			if !slices.Equal(seqs, want) {
				t.Errorf("%s by %d: got %v, want %v", tc.state, limit, seqs, want)
			}
		}
	}
	gone := listFiles(w, w.As(session.Auditor), "state=expired").Files[0]
	if gone.MsgID != "m31" || *gone.Reason != media.ReasonDeleted || *gone.MessageID != idOf(t, w.Corp, "m31", apitest.Noon) {
		t.Errorf("got %+v", gone)
	}
	// An admin learns whose chat a file is of, as from the record of readings.
	apitest.OK(t, w.Contacts.GivePeople(t.Context(), w.Corp, []book.Person{{ID: apitest.FilesChat.Parties()[0], Kind: book.Member, Name: "林华", Origin: book.Origin{Source: book.SourceSCRM, At: apitest.Noon}}}))
	if body := string(w.Get(who, "/v1/corps/"+w.Corp+"/files?state=expired").Want(200).Body); !slices.Equal(gone.Parties, apitest.FilesChat.Parties()) || gone.Room != nil || !strings.Contains(body, "林华") {
		t.Errorf("got parties %v, room %v and %s, want those of the chat and their names", gone.Parties, gone.Room, body)
	}
	if strings.Contains(string(w.Get(who, "/v1/corps/"+w.Corp+"/files?state=failed").Body), apitest.ContentMark) {
		t.Error("the list holds the names that a chat gives the files")
	}
	if p := listFiles(w, apitest.TokenOf(w.Other, session.Service), "state=mismatch"); len(p.Files) != 1 || p.Files[0].Seq != "32" {
		t.Errorf("another corp: got %+v", p)
	}
	page := *listFiles(w, who, "state=waiting&limit=1").Next
	for query, want := range map[string]string{
		"": "state:required", "state=stored": "state:one_of", "state=": "state:one_of", "state=waiting&limit=0": "limit:range",
		"state=failed&page=" + page: "page:token", "state=failed&x=1": "x:unknown",
	} {
		if got := w.Get(who, "/v1/corps/"+w.Corp+"/files?"+query).Want(400).Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// Files of messages that are too long for content are listed and linked, up to the
// bound of memory. Beyond it the answer names the bound.
func TestFilesOfVeryLongMessages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.File(w.Corp, picture, 1, media.Stored, "", apitest.Noon)
	long := func(msgid string, second, size int) string {
		at := apitest.Noon.Add(time.Duration(second) * time.Second)
		s := withFiles(msgid, at, "never requested", picture)
		return strings.TrimSuffix(s, "}") + `,"padding":"` + strings.Repeat("x", size-len(s)-len(`,"padding":""`)) + `"}`
	}
	w.Store(w.Corp, long("m0", 0, chats.ContentMost+1), long("m1", 1, chats.FilesRead), long("m2", 2, chats.FilesRead+1))
	who := w.As(session.Reader)
	type doc struct {
		Content struct {
			Whole bool
			Text  string
			Files []chats.FileJSON
		}
	}
	for second, msgid := range []string{"m0", "m1"} {
		id := idOf(t, w.Corp, msgid, apitest.Noon.Add(time.Duration(second)*time.Second))
		v := apitest.Into[doc](w.Get(who, "/v1/corps/"+w.Corp+"/messages/"+id).Want(200)).Content
		if v.Whole || v.Text != chats.TooLong || len(v.Files) != 2 || *v.Files[1].Copy.LinkPath != filePath(w.Corp, id, 1) {
			t.Errorf("%s: got %+v", msgid, v)
		}
		if l := apitest.Into[chats.LinkedFileJSON](w.Get(who, filePath(w.Corp, id, 1)).Want(200)); string(fetch(t, l.URL)) != picture {
			t.Errorf("%s: got %+v", msgid, l)
		}
	}
	id := idOf(t, w.Corp, "m2", apitest.Noon.Add(2*time.Second))
	if v := apitest.Into[doc](w.Get(who, "/v1/corps/"+w.Corp+"/messages/"+id).Want(200)).Content; len(v.Files) != 0 {
		t.Errorf("got %+v", v)
	}
	p := apitest.Into[apitest.Problem](w.Get(who, filePath(w.Corp, id, 1)).WantProblem(409, "file-unread"))
	if !strings.Contains(p.Detail, fmt.Sprint(chats.FilesRead+1)) {
		t.Errorf("got %q", p.Detail)
	}
}

// The copy of a file is linked while the file is fetched again.
func TestLinkWhileTheFileIsFetchedAgain(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	row := w.File(w.Corp, picture, 1, media.Mismatch, media.ReasonMD5, apitest.Noon.Add(time.Hour))
	kept := *row.Stored
	kept.Differs = row.Reason
	row.State, row.Reason, row.Stored = media.Waiting, "", &kept
	if _, err := w.Media.SaveFile(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	w.Store(w.Corp, withFiles("m7", apitest.Noon, picture))
	id, who := idOf(t, w.Corp, "m7", apitest.Noon), w.As(session.Reader)
	l := apitest.Into[chats.LinkedFileJSON](w.Get(who, filePath(w.Corp, id, 0)).Want(200))
	if got := fetch(t, l.URL); string(got) != picture || l.State != media.Mismatch {
		t.Errorf("got %q and %+v", got, l)
	}
	m := apitest.Into[struct {
		Content struct{ Files []chats.FileJSON }
	}](w.Get(who, "/v1/corps/"+w.Corp+"/messages/"+id).Want(200))
	if c := m.Content.Files[0].Copy; c.State != media.Waiting || *c.HoursLeft != 1 || *c.LinkPath != filePath(w.Corp, id, 0) {
		t.Errorf("got %+v", c)
	}
}

// manyProblems is a table with more files with a problem than an answer reads.
type manyProblems struct{ chats.FileTable }

func (manyProblems) FileProblems(_ context.Context, corp string, limit int) ([]media.File, error) {
	var list []media.File
	for i := range limit {
		id := media.ID(fmt.Sprint(i))
		list = append(list, media.File{Corp: corp, ID: id, State: media.Failed, From: media.Use{Seq: 12, Time: apitest.Noon}, Deadline: apitest.Noon})
	}
	return list, nil
}

// A list reads a bounded number of files, and says so.
func TestListsOfFilesAreBounded(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Chats.Files = &manyProblems{w.Media}
	if p := listFiles(w, w.As(session.Auditor), "state=failed"); p.Whole || len(p.Files) != input.DefaultLimit || p.Next == nil {
		t.Errorf("got %d files, whole %v", len(p.Files), p.Whole)
	}
}
