package routes_test

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// An invented page token reaches nothing that a genuine one does not reach, and
// causes no internal error.
func TestInventedPageTokens(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Store(w.Corp, apitest.Chat("m0", "lin.hua", "wmA", "", apitest.Noon, "t"), apitest.Chat("m1", "lin.hua", "wmA zhao", "wr1", apitest.Noon, "t"))
	today := archive.DayOf(apitest.Noon)
	places := map[string]any{
		"null": nil, "a number": uint64(math.MaxUint64), "a small one": -1, "a text": "x", "an empty text": "", "a list": []int{1}, "nothing": struct{}{},
		"times": map[string]any{"t": -1, "f": "x"}, "late": map[string]any{"t": int64(math.MaxInt64), "s": "x", "f": ""}, "early": map[string]any{"t": int64(math.MinInt64)},
		"msgid": map[string]any{"m": strings.Repeat("m", 2000)}, "odd msgid": map[string]any{"m": "#\x00~"}, "a seq": map[string]any{"s": uint64(math.MaxUint64)},
		"no day": map[string]any{"d": "yesterday"}, "empty day": map[string]any{"d": "", "c": "x"}, "a long day": map[string]any{"d": strings.Repeat("9", 1100)},
		"ahead": map[string]any{"d": today, "a": "x\x00\U0010ffff", "r": true}, "much ahead": map[string]any{"d": today, "a": strings.Repeat("a", 2900), "r": true},
		"many left": map[string]any{"d": today, "l": make([]string, 900)}, "the first day": map[string]any{"d": "0000-01-01", "t": 1, "c": "x", "l": []string{"", "x"}}, "the last day": map[string]any{"d": "9999-12-31", "t": int64(math.MaxInt64), "c": "x"},
	}
	// These keys lie before, after and between the stored keys.
	for _, key := range []string{
		"", "\x7f", "\U0010ffff", "person#\U0010ffff", "room#\U0010ffff", "room#wr1#\U0010ffff", "pair#lin.hua#\U0010ffff", "pair#lin.hub", strings.Repeat("~", 1100),
	} {
		places[fmt.Sprintf("key %.20q", key)], places[fmt.Sprintf("text %.20q", key)] = input.KeyPage{Key: key}, key
	}
	queries := map[string][]string{
		"/v1/corps/{corpid}/conversations":    {"member=lin.hua", "external_contact=wmA", "room=wr1", "unplaced=true"},
		"/v1/corps/{corpid}/consents":         {"member=lin.hua", "external_contact=wmA", "room=wr1", "member=lin.hua&external_contact=wmA"},
		"/v1/corps/{corpid}/consents/history": {"member=lin.hua&external_contact=wmA", "room=wr1"},
		"/v1/corps/{corpid}/files":            {"state=waiting", "state=failed"},
	}
	lists := 0
	for _, rt := range w.Table {
		if !slices.Contains(rt.Query, "page") {
			continue
		}
		lists++
		path := strings.NewReplacer("{corpid}", w.Corp, "{conversation}", apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"}))).Replace(rt.Path)
		for _, query := range append(queries[rt.Path], "")[:max(len(queries[rt.Path]), 1)] {
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			for name, at := range places {
				token, err := opaque.Page(path, values).Seal(at)
				if err != nil {
					t.Fatal(err)
				}
				if resp := w.Get(w.As(session.Service), path+"?"+query+"&limit=1&page="+token); !slices.Contains([]int{200, 400, 404}, resp.Status) {
					t.Errorf("%s?%s, %s: got %d", rt.Path, query, name, resp.Status)
				}
			}
		}
	}
	if lists < 8 {
		t.Errorf("only %d lists were tried", lists)
	}
}

// The page tokens of a limited reader do not depend on the callback pair: they
// stay valid after the pair has changed.
func TestPageTokensOutliveACallbackPair(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.Store(w.Corp, apitest.Chat("m0", "lin.hua", "wmA", "", apitest.Noon, "t"), apitest.Chat("m1", "lin.hua", "wmB", "", apitest.Noon, "t"))
	who := w.As(session.Reader).With("staff", "lin.hua")
	path := "/v1/corps/" + w.Corp + "/conversations?member=lin.hua&limit=1"
	first := apitest.Into[struct{ Next *string }](w.Get(who, path).Want(200))
	if first.Next == nil {
		t.Fatal("the list has one page only")
	}
	w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/callback/rotate", map[string]any{"revoke_old": true}).Want(201)
	w.Get(who, path+"&page="+*first.Next).Want(200)
	// The token is bound to the corp's own key.
	w.WithPair(w.Other, apitest.Pair)
	other := strings.Replace(path, w.Corp, w.Other, 1)
	w.Get(apitest.TokenOf(w.Other, session.Reader).With("staff", "lin.hua"), other+"&page="+*first.Next).WantProblem(400, "invalid-request")
}

// Without its key a token would hide nothing, so there is no list.
func TestNoPageTokensWithoutAKey(t *testing.T) {
	w := apitest.NewWorld(t)
	apitest.OK(t, w.Corps.CreateCorp(t.Context(), archive.Corp{ID: w.Corp, CreatedAt: apitest.Noon}))
	path := "/v1/corps/" + w.Corp + "/conversations?member=lin.hua"
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), path).WantProblem(500, "internal")
	w.Get(w.As(session.Reader), path).Want(200)
}
