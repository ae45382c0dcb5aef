package apitest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// Chat is a text message as WeCom sends it.
func Chat(msgid, from, to, room string, at time.Time, text string) string {
	b, err := json.Marshal(map[string]any{
		"msgid": msgid, "action": "send", "from": from, "tolist": strings.Fields(to), "roomid": room, "msgtime": at.UnixMilli(),
		"msgtype": "text", "text": map[string]string{"content": text + " " + ContentMark},
	})
	if err != nil {
		return err.Error() // texts and numbers always encode
	}
	return string(b)
}

// Store writes messages into the view of a corp, as decoding does, and returns
// them.
func (w *World) Store(corp string, raws ...string) []archive.Message {
	w.T.Helper()
	page := decode.Decoded{Corp: corp}
	for i, raw := range raws {
		f, _ := message.Parse([]byte(raw))
		parties := archive.Distinct(f.Parties())
		m := archive.Message{
			Corp: corp, Conversation: archive.PartyConversation(parties), Time: time.UnixMilli(f.Time).UTC(), MsgID: f.MsgID,
			Seq: uint64(i + 1), KeyVersion: 1, Raw: []byte(raw),
		}
		if f.Time == 0 {
			m.Time, m.MsgID = Noon, fmt.Sprintf("unreadable-%d", i)
		}
		if f.RoomID != "" {
			m.Conversation = archive.RoomConversation(f.RoomID)
		}
		if len(raw) > archive.InlineLimit {
			sum := sha256.Sum256([]byte(raw))
			m.Raw, m.Overflow = nil, &archive.Overflow{Sum: hex.EncodeToString(sum[:]), Size: len(raw)}
			OK(w.T, w.Journal.PutMessage(w.T.Context(), corp, *m.Overflow, []byte(raw)))
		}
		if len(parties) == 0 {
			parties = []string{""}
		}
		for _, p := range parties {
			page.Activities = append(page.Activities, archive.Activity{Corp: corp, Party: p, Day: archive.DayOf(m.Time), Conversation: m.Conversation})
		}
		page.Messages = append(page.Messages, m)
	}
	OK(w.T, w.Messages.WritePage(w.T.Context(), page))
	return page.Messages
}

// SetAside writes records set aside.
func (w *World) SetAside(list ...archive.SetAside) {
	w.T.Helper()
	OK(w.T, w.Messages.WritePage(w.T.Context(), decode.Decoded{Corp: w.Corp, SetAside: list}))
}

// ConversationID is the id of a conversation in the API.
func ConversationID(t *testing.T, corp string, conv archive.ConversationID) string {
	t.Helper()
	id, err := opaque.Conversation(corp).Seal(conv)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// AppendRow appends a page of the seqs after+1 to last to the chain, pulled
// now.
func (w *World) AppendRow(after, last uint64) archive.Row {
	w.T.Helper()
	head, err := w.Ledger.Head(w.T.Context(), w.Corp)
	if err != nil {
		w.T.Fatal(err)
	}
	row := archive.Row{
		Corp: w.Corp, Kind: archive.PageRow, After: after, First: after + 1, Last: last, Count: int(last - after),
		Sum: strings.Repeat("ab", 32), Size: 1000, At: w.Now(), Prev: head.Hash, State: archive.RowRequested, Tries: 1,
	}
	row.Hash = archive.ChainHash(row)
	OK(w.T, w.Ledger.Append(w.T.Context(), head, row))
	return row
}

// Link appends a row to the chain, pulled at a time.
func (w *World) Link(at time.Time, kind archive.RowKind, last uint64) archive.Row {
	w.T.Helper()
	head, err := w.Ledger.Head(w.T.Context(), w.Corp)
	if err != nil {
		w.T.Fatal(err)
	}
	row := archive.Row{
		Corp: w.Corp, Kind: kind, After: head.Last, Last: last, Sum: strings.Repeat("ab", 32), Size: 1000, At: at,
		Prev: head.Hash, State: archive.RowRequested, Tries: 1,
	}
	if kind == archive.PageRow {
		row.First, row.Count = head.Last+1, int(last-head.Last)
	} else {
		row.State, row.Reason, row.Evidence = archive.RowDecoded, "301058", "seen twice"
	}
	row.Hash = archive.ChainHash(row)
	OK(w.T, w.Ledger.Append(w.T.Context(), head, row))
	return row
}

// Decoded records the result of decoding a row, and the files that its page
// names.
func (w *World) Decoded(row archive.Row, res archive.Result, files ...string) {
	w.T.Helper()
	res.At, res.Files = w.Now(), max(res.Files, len(files))
	OK(w.T, w.Ledger.Finish(w.T.Context(), w.Corp, row.After, res, files))
}

// FilesChat is the conversation whose messages name the files of [World.File].
var FilesChat = archive.PartyConversation([]string{"lin.hua", "wmA"})

// File stores the row of a file as registering and fetching leave it: named by
// an sdkfileid and by the seq of a message, in a state. The bytes of a stored
// file are its sdkfileid.
func (w *World) File(corp, sdkFileID string, seq uint64, state media.State, reason string, deadline time.Time) media.File {
	w.T.Helper()
	f := media.File{
		Corp: corp, ID: media.ID(sdkFileID), SDKFileID: sdkFileID, Kind: "file", Name: "another chat's " + ContentMark + ".pdf", Ext: "pdf",
		From:     media.Use{Conversation: FilesChat, Time: Noon, MsgID: fmt.Sprintf("m%d", seq), Seq: seq},
		Deadline: deadline, State: media.Waiting, NotBefore: w.Now(),
	}
	_, err := w.Media.AddFiles(w.T.Context(), []media.File{f})
	OK(w.T, err)
	f.Rev = 1
	if state == media.Waiting && reason == "" {
		return f
	}
	f.State, f.Reason = state, reason
	if state == media.Stored || state == media.Mismatch {
		sum := md5.Sum([]byte(sdkFileID))
		f.Stored = &media.Object{
			Size: int64(len(sdkFileID)), MD5: hex.EncodeToString(sum[:]), SHA256: archive.Digest([]byte(sdkFileID)), Type: media.Sniff([]byte(sdkFileID)), At: w.Now(),
		}
		OK(w.T, w.Files.PutFile(w.T.Context(), corp, f.ID, []byte(sdkFileID)))
	}
	f, err = w.Media.SaveFile(w.T.Context(), f)
	OK(w.T, err)
	OK(w.T, w.Media.ListFile(w.T.Context(), f))
	return f
}

// NoteAccess stores the state of an access, for the secrets that are saved now.
func (w *World) NoteAccess(a book.Access, s archive.Standing) {
	w.T.Helper()
	reach, err := w.Contacts.Reach(w.T.Context(), w.Corp)
	if err != nil {
		w.T.Fatal(err)
	}
	c, err := w.Corps.Corp(w.T.Context(), w.Corp)
	if err != nil {
		w.T.Fatal(err)
	}
	s.SecretSetAt = reach.Standing(a, c).SecretSetAt
	OK(w.T, w.Contacts.SaveAccess(w.T.Context(), w.Corp, a, s))
}
