package routes_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// companyIDs are one id of each sort that a company has.
type companyIDs struct {
	corp, user                      string
	member, contact, room           string // WeCom's ids
	msgid, word                     string // of a message, and in its text
	conversation, message, key, job string // the API's ids
	page                            string // a page token of the list that is asked for
}

// ids says which id a parameter of a path, a parameter of a query or a member of a
// body takes. A name after an operationId holds for that operation only.
var ids = map[string]func(companyIDs) string{
	"corpid":                  func(c companyIDs) string { return c.corp },
	"page":                    func(c companyIDs) string { return c.page },
	"conversation":            func(c companyIDs) string { return c.conversation },
	"id":                      func(c companyIDs) string { return c.message },
	"around":                  func(c companyIDs) string { return c.message },
	"message":                 func(c companyIDs) string { return c.message },
	"getMessages ids":         func(c companyIDs) string { return c.message },
	"msgid":                   func(c companyIDs) string { return c.msgid },
	"key_id":                  func(c companyIDs) string { return c.key },
	"getReplay id":            func(c companyIDs) string { return c.job },
	"stopReplay id":           func(c companyIDs) string { return c.job },
	"viewer":                  func(c companyIDs) string { return c.user },
	"member":                  func(c companyIDs) string { return c.member },
	"with":                    func(c companyIDs) string { return c.member },
	"from_party":              func(c companyIDs) string { return c.member },
	"owner":                   func(c companyIDs) string { return c.member },
	"party":                   func(c companyIDs) string { return c.contact },
	"external_contact":        func(c companyIDs) string { return c.contact },
	"listContacts ids":        func(c companyIDs) string { return c.contact },
	"putContacts id":          func(c companyIDs) string { return c.contact },
	"room":                    func(c companyIDs) string { return c.room },
	"listRooms ids":           func(c companyIDs) string { return c.room },
	"putRooms id":             func(c companyIDs) string { return c.room },
	"requestInspection rooms": func(c companyIDs) string { return c.room },
	"q":                       func(c companyIDs) string { return c.word },
}

// notIDs are the other parameters and members, with the value that a request gives
// where it needs one: a value or a func() any that makes it.
var notIDs = map[string]any{
	"limit": "1", "order": nil, "sort": nil, "kind": nil, "kinds": nil, "omit": nil, "members": nil, "state": "waiting",
	"at": nil, "day": "2026-01-31", "days": nil, "from": nil, "to": nil, "from_day": nil, "to_day": nil, "month": nil, "since": nil, "until": "2026-01-31T06:00:00Z",
	"unplaced": nil, "rooms": "true", "external": nil, "revoked": nil, "files": nil, "redirect": nil, "download": nil,
	"n": 0, "from_seq": nil, "to_seq": nil, "set_aside_only": nil, "verify": nil, "publickey_ver": 1,
	"name": "名字", "avatar": nil, "company": nil, "agent_id": nil, "enabled": true, "reason": nil, "revoke_old": nil,
	"secret": func() any { return apitest.SecretMark + rand.Text() }, "private_key": privateKey, // each step has a Secret of its own
}

// together are the parameters that a request needs beside an id. A request for
// another company's corpid has those of "corpid".
var together = map[string][]string{
	"putSetup corpid":                     {"secret"},
	"putSetup key_id":                     {"publickey_ver"},
	"requestInspection corpid":            {"external_contact"}, // and so the member of the pair
	"listConsents corpid":                 {"member"},
	"listConsents page":                   {"member"},
	"listConsentHistory corpid":           {"member", "external_contact"},
	"listConsentHistory page":             {"member", "external_contact"},
	"listConsentHistory member":           {"external_contact"},
	"listConsentHistory external_contact": {"member"},
	"listConversations corpid":            {"member"},
	"listConversations page":              {"member"},
	"listConversations q":                 {"rooms"},
}

// privateKey is made when the first request needs it, which takes a while.
var privateKey = sync.OnceValue(func() any {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err.Error()
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err.Error()
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

// nobody are ids that no company has.
func nobody() companyIDs {
	return companyIDs{
		corp: apitest.NewCorpID(), user: "u-nobody", member: "lin.nobody", contact: "wmnobody", room: "wrnobody", msgid: "file-nobody", word: "word-nobody",
		conversation: "abc", message: "abc", page: "abc", key: "0123456789abcdef0123456789abcdef", job: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	}
}

// settle stores a company with a room, in which a member and a customer wrote
// messages and sent a file.
func (w *isolation) settle(corp, name string) companyIDs {
	w.T.Helper()
	c := companyIDs{
		corp: corp, user: "u-" + name, member: "lin." + name, contact: "wm" + name, room: "wr" + name, msgid: "file-" + name, word: "word-" + name,
	}
	w.BareCorp(corp)
	stored := w.Store(corp,
		named(c.msgid, c.member, c.contact, c.room, apitest.Noon, "sdk-"+name),
		apitest.Chat("1-"+name, c.member, c.contact, c.room, apitest.Noon.Add(-time.Minute), c.word),
		apitest.Chat("2-"+name, c.contact, c.member, c.room, apitest.Noon.Add(-time.Hour), c.word),
		apitest.Chat("3-"+name, c.member, c.contact, "", apitest.Noon, c.word),
	)
	c.conversation, c.message = apitest.ConversationID(w.T, corp, archive.RoomConversation(c.room)), messageID(w.T, stored[0])
	return c
}

// rob stores the company of which every list has two pages.
func (w *isolation) rob() companyIDs {
	t, ctx := w.T, w.T.Context()
	c := w.settle(w.Corp, "robbed")
	w.GivePair(w.Corp, archive.ArchiveCallback, apitest.Pair)
	w.File(w.Corp, "sdk-robbed", 1, media.Stored, "", apitest.Noon.Add(time.Hour))
	origin := book.Origin{Source: book.SourceSCRM, At: apitest.Noon}
	var people []book.Person
	var rooms []book.Room
	var consents []archive.Consent
	var changes []book.ScopeChange
	for i, suffix := range []string{"", "2"} {
		people = append(people, book.Person{ID: c.contact + suffix, Kind: book.External, Name: c.word, Origin: origin}, book.Person{ID: c.member + suffix, Kind: book.Member, Name: c.word, Origin: origin})
		rooms = append(rooms, book.Room{ID: c.room + suffix, Kind: book.CustomerRoom, Name: c.word, Owner: c.member, Members: []book.RoomMember{{ID: c.member}}, Origin: origin})
		for _, contact := range []string{c.contact, c.contact + suffix} {
			at := apitest.Noon.Add(time.Duration(i) * time.Minute)
			consents = append(consents, archive.Consent{Corp: w.Corp, Member: c.member, Contact: contact, Status: archive.Agreed, ChangedAt: at, Source: archive.ConsentMessage, At: at})
		}
		changes = append(changes, book.ScopeChange{Member: c.member + suffix, Edition: book.Service, Entered: true, At: apitest.Noon})
		w.File(w.Corp, "waiting"+suffix, uint64(8+i), media.Waiting, "", apitest.Noon.Add(time.Hour))
		w.SetAside(archive.SetAside{Corp: w.Corp, Seq: uint64(8 + i), After: 7, MsgID: c.word, KeyVersion: 1, Reason: archive.ReasonNoKey, At: apitest.Noon})
		_, err := w.Corps.RecordEvent(ctx, w.Corp, archive.Event{ArrivedAt: apitest.Noon, Body: fmt.Appendf(nil, "<xml>%d</xml>", i)})
		apitest.OK(t, err)
		w.AppendRow(uint64(i), uint64(i+1))
	}
	apitest.OK(t, w.Contacts.GivePeople(ctx, w.Corp, people))
	apitest.OK(t, w.Contacts.GiveRooms(ctx, w.Corp, rooms))
	apitest.OK(t, w.Consents.RecordConsents(ctx, consents))
	apitest.OK(t, w.Contacts.AppendScope(ctx, w.Corp, changes))
	w.examine(0, 3)
	who, corp := w.as(w.Corp, session.Service), "/v1/corps/"+w.Corp
	w.Send(who, "PUT", corp+"/app", map[string]any{"secret": "app-" + apitest.SecretMark + "-0123456789"}).Want(200)
	c.key = apitest.Into[struct {
		KeyID string `json:"key_id"`
	}](w.Send(who, "POST", corp+"/keys", nil).Want(201)).KeyID
	c.job = apitest.Into[struct{ ID string }](w.Send(who, "POST", corp+"/replays", map[string]any{"verify": true}).Want(202)).ID
	w.Get(who, corp+"/conversations?member="+c.member).Want(200) // two readings
	w.Get(who, corp+"/conversations/"+c.conversation+"/messages").Want(200)
	return c
}

// examine examines the set-up of the robbed company while so many members are in
// scope.
func (w *isolation) examine(scopes ...int) {
	w.T.Helper()
	examiner := &doctor.Examiner{Reader: w.Doctor.Facts.(*doctor.Reader), Records: w.Ledger, Log: slog.New(slog.DiscardHandler)}
	corp, err := w.Corps.Corp(w.T.Context(), w.Corp)
	apitest.OK(w.T, err)
	for _, n := range append([]int{0}, scopes...) {
		apitest.OK(w.T, w.Contacts.SaveScope(w.T.Context(), w.Corp, book.Scope{Count: n, At: w.Now()}))
		apitest.OK(w.T, examiner.Examine(w.T.Context(), corp))
	}
}

// as is a token of a role in a company. A reader is limited to the members of all
// companies, so that what a thief's token lists keeps nothing from it.
func (w *isolation) as(corp string, r session.Role) apitest.Token {
	who := apitest.TokenOf(corp, r).With("sub", "u-thieve")
	if corp == w.Corp {
		who = who.With("sub", "u-robbed")
	}
	if r == session.Reader {
		who = who.With("staff", "lin.robbed lin.robbed2 lin.thieve lin.nobody")
	}
	return who
}
