package message_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/message"
)

var update = flag.Bool("update", false, "rewrite the expected contents in testdata/golden")

// msgtypes are the types of wecom.md 2.3.
var msgtypes = []string{
	"text", "image", "revoke", "agree", "disagree", "voice", "video", "card", "location", "emotion", "file", "link",
	"weapp", "chatrecord", "todo", "vote", "collect", "redpacket", "external_redpacket", "meeting",
	"meeting_notification", "docmsg", "markdown", "news", "calendar", "mixed", "meeting_voice_call",
	"voip_doc_share", "sphfeed", "voiptext", "qydiskfile", "solitaire", "note", "switch",
}

// golden is the form of an expected result: the content as a screen gets it, and the
// file ids, which the screen does not get.
type golden struct {
	View       message.Content `json:"view"`
	SDKFileIDs []string        `json:"sdkfileids"`
}

func contentJSON(t *testing.T, v message.Content) []byte {
	t.Helper()
	g := golden{View: v, SDKFileIDs: []string{}}
	for _, f := range v.Files {
		g.SDKFileIDs = append(g.SDKFileIDs, f.SDKFileID)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// goldens returns the names of the messages in testdata/golden. Each file is one
// message byte for byte.
func goldens(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); !strings.HasSuffix(name, ".view") {
			names = append(names, name)
		}
	}
	return names
}

func goldenMessage(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "golden", name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestGolden(t *testing.T) {
	for _, name := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			raw := goldenMessage(t, name)
			view := message.Read(raw)
			kind, _, _ := strings.Cut(name, "-")
			if view.Kind != kind {
				t.Errorf("got kind %s, want %s", view.Kind, kind)
			}
			got := contentJSON(t, view)
			file := filepath.Join("testdata", "golden", name+".view.json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got another content than %s:\n%s", file, got)
			}
			if !bytes.Equal(raw, goldenMessage(t, name)) {
				t.Error("Read changed its input")
			}
		})
	}
}

func TestEveryTypeHasAGoldenMessage(t *testing.T) {
	names := make(map[string]bool)
	for _, name := range goldens(t) {
		names[name] = true
	}
	for _, msgtype := range append(msgtypes, message.KindUnknown) {
		if !names[msgtype] {
			t.Errorf("got no golden message of type %s, want one", msgtype)
		}
	}
}
