package main

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

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// file stores a row as registering and fetching leave it: named by an sdkfileid
// and a message's seq, in a state. What is stored has its sdkfileid as bytes.
func (w *world) file(corp, sdkFileID string, seq uint64, state media.State, reason string, deadline time.Time) media.File {
	w.t.Helper()
	f := media.File{
		Corp: corp, ID: media.ID(sdkFileID), SDKFileID: sdkFileID, Kind: "file", Name: "another chat's " + contentMark + ".pdf", Ext: "pdf",
		From: media.Use{
			Conversation: archive.PartyConversation([]string{"lin.hua", "wmA"}), Time: noon, MsgID: fmt.Sprintf("m%d", seq), Seq: seq,
		},
		Deadline: deadline, State: state, Reason: reason, NotBefore: w.now(),
	}
	if state == media.Stored || state == media.Mismatch {
		sum := md5.Sum([]byte(sdkFileID))
		f.Stored = &media.Object{
			Size: int64(len(sdkFileID)), MD5: hex.EncodeToString(sum[:]), Type: media.Sniff([]byte(sdkFileID)), At: w.now(),
		}
		if err := w.files.PutFile(w.t.Context(), corp, f.ID, []byte(sdkFileID)); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.media.CreateFile(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
	f.Rev = 1
	if err := w.media.ListFile(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// withFiles is a message that names files, each as a field of a type that we
// know: a forwarded bundle of them.
func withFiles(msgid string, at time.Time, sdkFileIDs ...string) string {
	var items []string
	for i, id := range sdkFileIDs {
		items = append(items, fmt.Sprintf(
			`{"type":"ChatRecordFile","msgtime":1,"content":"{\"sdkfileid\":%q,\"filename\":\"报价 %d.pdf\",\"fileext\":\"pdf\",\"filesize\":3}","from_chatroom":false}`, id, i))
		items[i] = strings.ReplaceAll(items[i], `:"`+id+`"`, `:\"`+id+`\"`)
	}
	return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,"msgtype":"chatrecord","chatrecord":{"title":%q,"item":[%s]}}`,
		msgid, at.UnixMilli(), contentMark, strings.Join(items, ","))
}

var filesChat = archive.PartyConversation([]string{"lin.hua", "wmA"})

// idOf is the id of a message of the chat.
func idOf(t *testing.T, corp, msgid string, at time.Time) string {
	t.Helper()
	id, err := messageID(archive.Message{Corp: corp, Conversation: filesChat, Time: at, MsgID: msgid})
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

// everyState stores a file of each state in a corp, and names them in the
// order of a message's files.
func (w *world) everyState(corp string) []string {
	w.t.Helper()
	left := noon.Add(93*time.Hour + 30*time.Minute)
	w.file(corp, picture, 7, media.Stored, "", left)
	w.file(corp, "waits", 7, media.Waiting, "sdk_10001", left)
	w.file(corp, "differs", 7, media.Mismatch, media.ReasonMD5, left)
	w.file(corp, "gone", 7, media.Expired, media.ReasonDeleted, left)
	w.file(corp, "fails", 7, media.Failed, "sdk_10003", left)
	w.file(corp, "late", 7, media.Waiting, "", noon.Add(-time.Hour))
	return []string{picture, "waits", "differs", "gone", "fails", "late", "never asked for"}
}

func TestFilesOfMessages(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	w.bareCorp(other)
	names := w.everyState(corp)
	// The neighbour has files of the same names, all of them stored.
	for _, name := range names {
		w.file(other, name, 7, media.Stored, "", noon)
	}
	w.store(corp, withFiles("m7", noon, names...), chat("m8", "lin.hua", "wmA", "", noon.Add(time.Second), "t"), withFiles("m9", noon.Add(2*time.Second), "waits"))
	id := idOf(t, corp, "m7", noon)
	type doc struct {
		View struct {
			Files []fileJSON
		}
	}
	check := func(what string, got []fileJSON) {
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
				s += " " + strings.TrimPrefix(*c.LinkPath, "/v1/corps/"+corp+"/messages/"+id)
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
	check("alone", into[doc](w.get(tokenOf(corp, reader), "/v1/corps/"+corp+"/messages/"+id).want(200)).View.Files)

	asked := &askedFiles{fileTable: w.media}
	w.api.files = asked
	list := into[struct{ Messages []doc }](w.get(tokenOf(corp, reader), messagesPath(t, filesChat)).want(200)).Messages
	check("in a list", list[0].View.Files)
	if f := list[2].View.Files; len(list) != 3 || len(list[1].View.Files) != 0 || len(f) != 1 || f[0].Copy.State != media.Waiting {
		t.Errorf("got %+v", list)
	}
	if !slices.Equal(asked.sizes, []int{8}) {
		t.Errorf("got look-ups of %v files, want one of all", asked.sizes)
	}
	// Nothing is looked up where nothing is named or seen, or wanted.
	asked.sizes = nil
	w.get(tokenOf(corp, reader), messagesPath(t, filesChat)+"?revoked=true").want(200)
	w.get(tokenOf(corp, reader).with("staff", "zhao"), messagesPath(t, filesChat)).want(200)
	w.get(tokenOf(corp, reader), "/v1/corps/"+corp+"/messages/"+idOf(t, corp, "m8", noon.Add(time.Second))).want(200)
	if len(asked.sizes) != 0 {
		t.Errorf("got look-ups of %v files, want none", asked.sizes)
	}
}

// askedFiles notes how many files were looked up.
type askedFiles struct {
	fileTable
	sizes []int
}

func (a *askedFiles) Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error) {
	a.sizes = append(a.sizes, len(ids))
	return a.fileTable.Files(ctx, corp, ids)
}

// However many files messages name, a look-up is bounded and a page complete.
func TestVeryManyFiles(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	asked := &askedFiles{fileTable: w.media}
	w.api.files = asked
	crowd := func(msgid string, second, files int) string {
		return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,"msgtype":"hologram","hologram":[%s]}`,
			msgid, noon.Add(time.Duration(second)*time.Second).UnixMilli(), strings.TrimSuffix(strings.Repeat(`{"sdkfileid":"x"},`, files), ","))
	}
	w.store(corp, crowd("m0", 0, 600), crowd("m1", 1, 600), crowd("m2", 2, 300), crowd("m3", 3, 1500), crowd("m4", 4, 1), crowd("m5", 5, filesMost+1))
	type doc struct {
		MsgID string
		View  struct {
			Whole bool
			Files []fileJSON
		}
	}
	var got []string
	for next := ""; ; {
		page := into[struct {
			Messages []doc
			Next     *string
		}](w.get(tokenOf(corp, reader), messagesPath(t, filesChat)+"?limit=200"+next).want(200))
		for _, m := range page.Messages {
			got = append(got, fmt.Sprintf("%s %d %v", m.MsgID, len(m.View.Files), m.View.Whole))
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
	one := into[doc](w.get(tokenOf(corp, reader), "/v1/corps/"+corp+"/messages/"+idOf(t, corp, "m5", noon.Add(5*time.Second))).want(200))
	if one.View.Whole || len(one.View.Files) != 0 {
		t.Errorf("too many files: got %d", len(one.View.Files))
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
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	names := w.everyState(corp)
	raw := func(id string) string {
		return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,"msgtype":"file","file":{"sdkfileid":%q,"filename":"../报价.pdf","fileext":"pdf","filesize":3,"md5sum":""}}`,
			id, noon.UnixMilli(), id)
	}
	w.store(corp, withFiles("m7", noon, names...), raw("differs"))
	w.store(other, withFiles("m7", noon, "waits", "differs"))
	id, ofOther := idOf(t, corp, "m7", noon), idOf(t, other, "m7", noon)
	who := tokenOf(corp, reader)

	shown := into[linkedFileJSON](w.get(who, filePath(corp, id, 0)).want(200))
	if got := fetch(t, shown.URL); shown.State != media.Stored || shown.ContentType != "image/gif" || string(got) != picture {
		t.Errorf("got %+v and %q", shown, got)
	}
	l := into[linkedFileJSON](w.get(who, filePath(corp, id, 2)).want(200))
	sum := md5.Sum([]byte("differs"))
	if l.State != media.Mismatch || l.Size != 7 || l.MD5 != hex.EncodeToString(sum[:]) || l.ContentType != "application/octet-stream" ||
		l.ExpiresAt != moment(noon.Add(5*time.Minute)) {
		t.Errorf("got %+v", l)
	}
	if l.FileName != "报价 2.pdf" {
		t.Errorf("got name %q, want the one in this message", l.FileName)
	}
	if got := fetch(t, l.URL); string(got) != "differs" {
		t.Errorf("got %q", got)
	}
	if u, err := url.Parse(l.URL); err != nil || u.Query().Get("X-Amz-Expires") != "300" || !strings.Contains(u.Path, "/"+corp+"/files/"+media.ID("differs")) {
		t.Errorf("got link %s", l.URL)
	}
	moved := w.get(who, filePath(corp, id, 2)+"?redirect=true").want(302)
	if got := fetch(t, moved.header.Get("Location")); string(got) != "differs" || len(moved.body) != 0 || moved.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %q, headers %v", got, moved.header)
	}
	hostile := into[linkedFileJSON](w.get(who, filePath(corp, idOf(t, corp, "differs", noon), 0)).want(200))
	if hostile.FileName != "_报价.pdf" {
		t.Errorf("got name %q", hostile.FileName)
	}
	// Every look is on record before it is answered.
	readings, _, err := w.readings.Readings(t.Context(), corp, archive.DayOf(noon), "", 100)
	if err != nil || len(readings) != 1 || readings[0].Conversation != filesChat || readings[0].By != "u-reader" {
		t.Errorf("got readings %+v, %v", readings, err)
	}
	w.api.readings = noReadings{w.readings}
	w.get(who, filePath(corp, id, 0)).wantProblem(500, "internal")
	w.api.readings = w.readings

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
			resp := w.get(who, filePath(corp, id, tc.n)+query).wantProblem(409, tc.kind)
			if got := into[problemDoc](resp).Detail; !strings.Contains(got, tc.detail) {
				t.Errorf("%d: got %q, want %q in it", tc.n, got, tc.detail)
			}
		}
		zh := w.do(request{who: who, method: "GET", path: filePath(corp, id, tc.n), header: map[string]string{"Accept-Language": "zh"}}).wantProblem(409, tc.kind)
		if got := into[problemDoc](zh).Detail; !strings.Contains(got, "企业微信") || strings.ContainsAny(got, "{}") {
			t.Errorf("%d: got %q", tc.n, got)
		}
	}
	for name, path := range map[string]string{
		"beyond the last":           filePath(corp, id, 7),
		"below 0":                   filePath(corp, id, -1),
		"not as numbers are":        filePath(corp, id, "00"),
		"with a sign":               filePath(corp, id, "+0"),
		"no number":                 filePath(corp, id, "x"),
		"too large a number":        filePath(corp, id, "99999999999999999999"),
		"of another corp's message": filePath(corp, ofOther, 0),
		"in another corp":           filePath(other, id, 0),
		"by the file's id":          filePath(corp, media.ID("differs"), 0),
		"of no message":             filePath(corp, idOf(t, corp, "m404", noon), 0),
	} {
		if resp := w.get(who, path); resp.status != 404 {
			t.Errorf("%s: got %d", name, resp.status)
		}
	}
	// What another corp has stored is not what this one waits for.
	w.get(tokenOf(other, reader), filePath(other, ofOther, 1)).wantProblem(409, "file-unknown")
	w.get(who.with("staff", "zhao"), filePath(corp, id, 0)).wantProblem(404, "not-found")
	w.get(who.with("staff", "lin.hua"), filePath(corp, id, 0)).want(200)
	if got := w.get(who, filePath(corp, id, 0)+"?redirect=false").want(400).rules(); got != "redirect:one_of" {
		t.Errorf("got %s", got)
	}
	if strings.Contains(w.log.String(), "X-Amz-Signature") {
		t.Error("a link is in the log")
	}
}

type filesPage struct {
	Files []listedFileJSON
	Whole bool
	Next  *string
}

func (w *world) listed(who token, query string) filesPage {
	w.t.Helper()
	return into[filesPage](w.get(who, "/v1/corps/"+who["corp"]+"/files?"+query).want(200))
}

func TestListsOfFiles(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	who := tokenOf(corp, admin)
	for i := range 7 {
		// Two at a time share a deadline, so only the id orders them.
		w.file(corp, fmt.Sprintf("w%d", i), uint64(i+1), media.Waiting, "", noon.Add(time.Duration(i/2)*time.Hour))
		w.file(corp, fmt.Sprintf("f%d", i), uint64(i+11), media.Failed, "sdk_10003", noon.Add(time.Duration(i/2)*time.Hour))
	}
	w.file(corp, "stored", 30, media.Stored, "", noon)
	w.file(corp, "gone", 31, media.Expired, media.ReasonDeleted, noon.Add(-time.Hour))
	w.file(other, "differs", 32, media.Mismatch, media.ReasonSize, noon)
	for _, tc := range []struct {
		state string
		n     int
		first string // deadline
	}{
		{"waiting", 7, moment(noon)}, {"failed", 7, moment(noon.Add(3 * time.Hour))},
		{"expired", 1, moment(noon.Add(-time.Hour))}, {"mismatch", 0, ""},
	} {
		all := w.listed(who, "state="+tc.state)
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
				p = w.listed(who, fmt.Sprintf("state=%s&limit=%d%s", tc.state, limit, next))
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
	gone := w.listed(tokenOf(corp, auditor), "state=expired").Files[0]
	if gone.MsgID != "m31" || *gone.Reason != media.ReasonDeleted || *gone.MessageID != idOf(t, corp, "m31", noon) {
		t.Errorf("got %+v", gone)
	}
	if strings.Contains(string(w.get(who, "/v1/corps/"+corp+"/files?state=failed").body), contentMark) {
		t.Error("the list has what a chat calls the files")
	}
	if p := w.listed(tokenOf(other, service), "state=mismatch"); len(p.Files) != 1 || p.Files[0].Seq != "32" {
		t.Errorf("another corp: got %+v", p)
	}
	page := *w.listed(who, "state=waiting&limit=1").Next
	for query, want := range map[string]string{
		"": "state:required", "state=stored": "state:one_of", "state=": "state:one_of", "state=waiting&limit=0": "limit:range",
		"state=failed&page=" + page: "page:token", "state=failed&x=1": "x:unknown",
	} {
		if got := w.get(who, "/v1/corps/"+corp+"/files?"+query).want(400).rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestFilesInStatus(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	get := func() statusJSON {
		t.Helper()
		return into[statusJSON](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/status").want(200))
	}
	if f := get().Files; f.Waiting != 0 || f.Earliest != nil || f.Left != nil || len(f.Problems) != 0 || f.More {
		t.Errorf("of a corp without files: got %+v", f)
	}
	if err := w.corps.SetEnabled(t.Context(), corp, true, w.now()); err != nil {
		t.Fatal(err)
	}
	if s := get(); *s.HoursLeft != 120 {
		t.Errorf("got %v hours left", *s.HoursLeft)
	}
	w.file(corp, "waits", 1, media.Waiting, "", noon.Add(90*time.Hour))
	w.file(corp, "waits too", 2, media.Waiting, "", noon.Add(30*time.Hour))
	w.file(corp, "fails", 3, media.Failed, "sdk_10003", noon.Add(time.Hour))
	w.file(corp, "gone", 4, media.Expired, media.ReasonDeleted, noon.Add(time.Hour))
	w.file(corp, "gone too", 5, media.Expired, media.ReasonDeleted, noon.Add(time.Hour))
	w.file(corp, "stored", 6, media.Stored, "", noon)
	w.file(other, "waits", 6, media.Waiting, "", noon)
	s := get()
	if f := s.Files; f.Waiting != 2 || *f.Earliest != moment(noon.Add(30*time.Hour)) || *f.Left != 30 || f.Problems["failed"] != 1 || f.Problems["expired"] != 2 || len(f.Problems) != 2 || f.More {
		t.Errorf("got %+v", f)
	}
	if *s.HoursLeft != 30 || *s.LagSeconds != 0 {
		t.Errorf("got %v hours left, lag %d; the file has 30 hours", *s.HoursLeft, *s.LagSeconds)
	}
	w.aside(archive.SetAside{Corp: corp, Seq: 6, After: 5, MsgID: "a", KeyVersion: 2, Reason: archive.ReasonNoKey, At: noon.Add(-100 * time.Hour)})
	if s := get(); *s.HoursLeft != 20 {
		t.Errorf("got %v hours left; the files of a record have 20", *s.HoursLeft)
	}
	w.pass(32 * time.Hour)
	if s := get(); *s.HoursLeft != 58 || *s.Files.Left != 58 || s.Files.Waiting != 2 || s.Files.Late != 1 {
		t.Errorf("got %v and %v hours left, %+v; one file is late, and does not count", *s.HoursLeft, *s.Files.Left, s.Files)
	}
	w.pass(60 * time.Hour)
	if s := get(); *s.HoursLeft != 28 || s.Files.Left != nil || s.Files.Earliest != nil || s.Files.Late != 2 {
		t.Errorf("got %v hours left, %+v; both are late", *s.HoursLeft, s.Files)
	}
}

// Files of what nobody has read yet count by the time of the pull, those over
// which it is too late no more, however many they are.
func TestFilesOfWhatIsNotRead(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	if err := w.corps.SetEnabled(t.Context(), corp, true, w.now()); err != nil {
		t.Fatal(err)
	}
	check := func(what string, left float64, pages, aside time.Time) {
		t.Helper()
		s := into[statusJSON](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/status").want(200))
		text := func(p *string) string {
			if p == nil {
				return ""
			}
			return *p
		}
		want := func(at time.Time) string {
			if at.IsZero() {
				return ""
			}
			return moment(at)
		}
		if *s.HoursLeft != left || text(s.PagesWaiting.FilesUntil) != want(pages) || text(s.SetAside.FilesUntil) != want(aside) {
			t.Errorf("%s: got %v hours left, %s and %s; want %v, %s and %s", what, *s.HoursLeft,
				text(s.PagesWaiting.FilesUntil), text(s.SetAside.FilesUntil), left, want(pages), want(aside))
		}
	}
	old, now := noon.Add(-400*time.Hour), noon
	w.link(old, archive.PageRow, 5000)
	check("over", 120, time.Time{}, time.Time{})
	w.decoded(w.link(now.Add(-110*time.Hour), archive.PageRow, 5010), archive.Result{Stored: 10})
	w.link(now.Add(-90*time.Hour), archive.PageRow, 5020)
	w.link(now.Add(-10*time.Hour), archive.PageRow, 5030)
	check("behind what is over", 30, now.Add(30*time.Hour), time.Time{})
	var list []archive.SetAside
	for seq := range uint64(countMost + 1) {
		list = append(list, archive.SetAside{Corp: corp, Seq: seq + 1, MsgID: "a", KeyVersion: 2, Reason: archive.ReasonNoKey, At: old})
	}
	w.aside(list...)
	check("rows over", 30, now.Add(30*time.Hour), time.Time{})
	w.aside(
		archive.SetAside{Corp: corp, Seq: 5005, After: 5000, MsgID: "b", KeyVersion: 2, Reason: archive.ReasonNoKey, At: now.Add(-110 * time.Hour)},
		archive.SetAside{Corp: corp, Seq: 5025, After: 5020, MsgID: "c", KeyVersion: 2, Reason: archive.ReasonNoKey, At: now.Add(-10 * time.Hour)},
	)
	check("rows behind them", 10, now.Add(30*time.Hour), now.Add(10*time.Hour))
}

// Files of messages that are too long for a view are listed and linked, up to
// what memory allows; behind that the answer says why not.
func TestFilesOfVeryLongMessages(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.file(corp, picture, 1, media.Stored, "", noon)
	long := func(msgid string, second, size int) string {
		at := noon.Add(time.Duration(second) * time.Second)
		s := withFiles(msgid, at, "never asked for", picture)
		return strings.TrimSuffix(s, "}") + `,"padding":"` + strings.Repeat("x", size-len(s)-len(`,"padding":""`)) + `"}`
	}
	w.store(corp, long("m0", 0, contentMost+1), long("m1", 1, filesRead), long("m2", 2, filesRead+1))
	who := tokenOf(corp, reader)
	type doc struct {
		View struct {
			Whole bool
			Text  string
			Files []fileJSON
		}
	}
	for second, msgid := range []string{"m0", "m1"} {
		id := idOf(t, corp, msgid, noon.Add(time.Duration(second)*time.Second))
		v := into[doc](w.get(who, "/v1/corps/"+corp+"/messages/"+id).want(200)).View
		if v.Whole || v.Text != tooLong || len(v.Files) != 2 || *v.Files[1].Copy.LinkPath != filePath(corp, id, 1) {
			t.Errorf("%s: got %+v", msgid, v)
		}
		if l := into[linkedFileJSON](w.get(who, filePath(corp, id, 1)).want(200)); string(fetch(t, l.URL)) != picture {
			t.Errorf("%s: got %+v", msgid, l)
		}
	}
	id := idOf(t, corp, "m2", noon.Add(2*time.Second))
	if v := into[doc](w.get(who, "/v1/corps/"+corp+"/messages/"+id).want(200)).View; len(v.Files) != 0 {
		t.Errorf("got %+v", v)
	}
	p := into[problemDoc](w.get(who, filePath(corp, id, 1)).wantProblem(409, "file-unread"))
	if !strings.Contains(p.Detail, fmt.Sprint(filesRead+1)) {
		t.Errorf("got %q", p.Detail)
	}
}

// What is kept of a file can be had while it waits to be fetched anew.
func TestLinkToWhatIsFetchedAnew(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	row := w.file(corp, picture, 1, media.Mismatch, media.ReasonMD5, noon.Add(time.Hour))
	kept := *row.Stored
	kept.Differs = row.Reason
	row.State, row.Reason, row.Stored = media.Waiting, "", &kept
	if _, err := w.media.SaveFile(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	w.store(corp, withFiles("m7", noon, picture))
	id, who := idOf(t, corp, "m7", noon), tokenOf(corp, reader)
	l := into[linkedFileJSON](w.get(who, filePath(corp, id, 0)).want(200))
	if got := fetch(t, l.URL); string(got) != picture || l.State != media.Mismatch {
		t.Errorf("got %q and %+v", got, l)
	}
	m := into[struct{ View struct{ Files []fileJSON } }](w.get(who, "/v1/corps/"+corp+"/messages/"+id).want(200))
	if c := m.View.Files[0].Copy; c.State != media.Waiting || *c.HoursLeft != 1 || *c.LinkPath != filePath(corp, id, 0) {
		t.Errorf("got %+v", c)
	}
}

func TestFilesInStatements(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	a := w.link(beijing(t, 28, "12:00:00"), archive.PageRow, 10)
	b := w.link(beijing(t, 29, "12:00:00"), archive.PageRow, 20)
	c := w.link(beijing(t, 29, "13:00:00"), archive.PageRow, 30)
	w.link(beijing(t, 31, "12:00:00"), archive.PageRow, 40)
	names := func(ids ...string) []string {
		for i, id := range ids {
			ids[i] = media.ID(id)
		}
		slices.Sort(ids)
		return ids
	}
	w.decoded(a, archive.Result{Stored: 10}, names("a", "x")...)
	w.decoded(b, archive.Result{Stored: 10}, names("b", "c", "d", "e")...)
	w.decoded(c, archive.Result{Stored: 10}, names("e", "f", "a", "x")...)
	w.file(corp, "a", 10, media.Waiting, "", noon)
	w.file(corp, "b", 11, media.Waiting, "", noon)
	w.file(corp, "c", 20, media.Failed, "sdk_10003", noon)
	w.file(corp, "d", 21, media.Mismatch, media.ReasonMD5, noon)
	w.file(corp, "e", 30, media.Expired, media.ReasonDeleted, noon)
	w.file(corp, "f", 30, media.Stored, "", noon)
	w.file(corp, "x", 9, media.Expired, media.ReasonDeleted, noon)
	w.file(corp, "g", 35, media.Waiting, "", noon) // its page is being decoded
	w.file(other, "h", 11, media.Failed, "sdk_10003", noon)
	for day, want := range map[string]string{
		"2026-01-28": "named 2, stored 0, waiting 1, mismatch 0, expired 1, failed 0",
		"2026-01-29": "named 7, stored 1, waiting 2, mismatch 1, expired 2, failed 1",
		"2026-01-30": "named 0, stored 0, waiting 0, mismatch 0, expired 0, failed 0",
		"2026-01-31": "named 0, stored 0, waiting 0, mismatch 0, expired 0, failed 0",
	} {
		m := w.statement(day).Media
		got := fmt.Sprintf("named %d, stored %d, waiting %d, mismatch %d, expired %d, failed %d", m.Named, m.Stored, m.Waiting, m.Mismatch, m.Expired, m.Failed)
		if got != want || !m.Whole {
			t.Errorf("%s: got %s, whole %v; want %s", day, got, m.Whole, want)
		}
	}

	// However many have had a problem in other years, a day's numbers are true;
	// those of a day that is too long by itself are the least that there is.
	w.api.files = &manyProblems{fileTable: w.media}
	if m := w.statement("2026-01-29").Media; !m.Whole || m.Named != 7 || m.Expired != 2 {
		t.Errorf("got %+v", m)
	}
	if p := w.listed(tokenOf(corp, auditor), "state=failed"); p.Whole || len(p.Files) != defaultLimit || p.Next == nil {
		t.Errorf("got %d files, whole %v", len(p.Files), p.Whole)
	}
	for i := range filesCounted/archive.MaxFileIDs + 1 {
		many := []string{"a"}
		for n := range archive.MaxFileIDs - 1 {
			many = append(many, fmt.Sprint(i, " ", n))
		}
		w.decoded(w.link(beijing(t, 31, fmt.Sprintf("13:%02d:00", i)), archive.PageRow, uint64(50+i)), archive.Result{Stored: 10}, names(many...)...)
	}
	if m := w.statement("2026-01-31").Media; m.Whole || m.Named != filesCounted || m.Waiting != 1 {
		t.Errorf("of a day with more than are counted: got %+v", m)
	}
	// In a list such a day is one by itself.
	list := into[struct {
		Statements []statementJSON
		Next       *string
	}](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/statements?from=2026-01-28&to=2026-01-31").want(200))
	if len(list.Statements) != 3 || list.Next == nil || *list.Next != "2026-01-31" {
		t.Errorf("got %d statements, next %v; want those before the long day", len(list.Statements), list.Next)
	}
}

// manyProblems has more files with a problem than are read.
type manyProblems struct{ fileTable }

func (manyProblems) FileProblems(_ context.Context, corp string, limit int) ([]media.File, error) {
	var list []media.File
	for i := range limit {
		id := media.ID(fmt.Sprint(i))
		list = append(list, media.File{Corp: corp, ID: id, State: media.Failed, From: media.Use{Seq: 12, Time: noon}, Deadline: noon})
	}
	return list, nil
}
