package wecomapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

const (
	// longestText is the most bytes of a name or address that are kept. WeCom's own
	// pages take far fewer.
	longestText = 512
	// longestNick is the same for the name of each of up to 2000 members of a room.
	longestNick = 64
	// longestID is more than the bytes of any id of WeCom's (wecom.md 2.2).
	longestID = 200
)

// picture is a text as the address of a picture.
func picture(m maybe) string {
	if s := directory.Picture(string(m)); len(s) <= longestText {
		return s
	}
	return "" // a part of an address is useless
}

// shown is a text as a screen shows it: at most the first n bytes, cut between
// characters, and nothing if only blanks remain.
func shown(m maybe, n int) string {
	s := directory.Visible(string(m))
	if strings.TrimSpace(s) == "" {
		return ""
	}
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Member calls user/get.
func (cl *Client) Member(ctx context.Context, c directory.Credential, userid string) (directory.Person, error) {
	var a struct {
		Name maybe `json:"name"`
	}
	err := cl.ask(ctx, c, member, url.Values{"userid": {userid}}, nil, &a)
	if err = aboutID(err); err != nil {
		return directory.Person{}, err
	}
	return directory.Person{ID: userid, Kind: directory.Member, Name: shown(a.Name, longestText)}, nil
}

// Contact calls externalcontact/get. It does not read the followers, which may fill
// several pages.
func (cl *Client) Contact(ctx context.Context, c directory.Credential, externalUserID string) (directory.Person, error) {
	var a struct {
		Contact one[struct {
			Name     maybe `json:"name"`
			Avatar   maybe `json:"avatar"`
			CorpName maybe `json:"corp_name"`
			FullName maybe `json:"corp_full_name"`
		}] `json:"external_contact"`
	}
	if err := aboutID(cl.ask(ctx, c, contact, url.Values{"external_userid": {externalUserID}}, nil, &a)); err != nil {
		return directory.Person{}, err
	}
	who := a.Contact.is
	return directory.Person{
		ID: externalUserID, Kind: directory.External, Name: shown(who.Name, longestText), Avatar: picture(who.Avatar),
		Company: cmp.Or(shown(who.CorpName, longestText), shown(who.FullName, longestText)),
	}, nil
}

// Robot calls msgaudit/get_robot_info.
func (cl *Client) Robot(ctx context.Context, c directory.Credential, id string) (directory.Person, error) {
	var a struct {
		Data one[struct {
			Name maybe `json:"name"`
		}] `json:"data"`
	}
	if err := aboutID(cl.ask(ctx, c, robotInfo, url.Values{"robot_id": {id}}, nil, &a)); err != nil {
		return directory.Person{}, err
	}
	return directory.Person{ID: id, Kind: directory.Robot, Name: shown(a.Data.is.Name, longestText)}, nil
}

// InternalRoom calls msgaudit/groupchat/get.
func (cl *Client) InternalRoom(ctx context.Context, c directory.Credential, id string) (directory.Room, error) {
	var a struct {
		Name    maybe  `json:"roomname"`
		Creator ident  `json:"creator"`
		Created moment `json:"room_create_time"`
		Members some[struct {
			ID ident `json:"memberid"`
		}] `json:"members"`
	}
	if err := aboutID(cl.ask(ctx, c, internalRoom, nil, map[string]string{"roomid": id}, &a)); err != nil {
		return directory.Room{}, err
	}
	r := directory.Room{ID: id, Kind: directory.InternalRoom, Name: shown(a.Name, longestText), Owner: string(a.Creator), CreatedAt: a.Created.Time}
	for _, m := range a.Members {
		if m.ID != "" {
			r.Members = append(r.Members, directory.RoomMember{ID: string(m.ID)})
		}
	}
	return r, nil
}

// CustomerRoom calls externalcontact/groupchat/get, with the members' names.
func (cl *Client) CustomerRoom(ctx context.Context, c directory.Credential, id string) (directory.Room, error) {
	var a struct {
		Chat one[struct {
			Name    maybe  `json:"name"`
			Owner   ident  `json:"owner"`
			Created moment `json:"create_time"`
			Members some[struct {
				ID       ident `json:"userid"`
				Name     maybe `json:"name"`
				Nickname maybe `json:"group_nickname"`
			}] `json:"member_list"`
		}] `json:"group_chat"`
	}
	body := map[string]any{"chat_id": id, "need_name": 1}
	if err := aboutID(cl.ask(ctx, c, customerRoom, nil, body, &a)); err != nil {
		return directory.Room{}, err
	}
	chat := a.Chat.is
	r := directory.Room{ID: id, Kind: directory.CustomerRoom, Name: shown(chat.Name, longestText), Owner: string(chat.Owner), CreatedAt: chat.Created.Time}
	for _, m := range chat.Members {
		if m.ID == "" {
			continue
		}
		r.Members = append(r.Members, directory.RoomMember{ID: string(m.ID), Name: cmp.Or(shown(m.Name, longestNick), shown(m.Nickname, longestNick))})
	}
	return r, nil
}

// Permitted calls msgaudit/get_permit_user_list, for one edition or for all at once.
// An id in another form is left out. An answer without a list is refused, and so is a list
// without a readable id: an empty list means that no member is archived.
func (cl *Client) Permitted(ctx context.Context, c directory.Credential, e directory.Edition) ([]string, error) {
	q := struct {
		Type directory.Edition `json:"type,omitzero"`
	}{e}
	var a struct {
		IDs []json.RawMessage `json:"ids"`
	}
	if err := cl.ask(ctx, c, permitted, nil, q, &a); err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(a.IDs))
	for _, raw := range a.IDs {
		var id ident
		if id.UnmarshalJSON(raw) == nil && id != "" {
			ids = append(ids, string(id))
		}
	}
	if a.IDs == nil || len(ids) == 0 && len(a.IDs) > 0 {
		return nil, &directory.APIError{Op: permitted.path, Cause: archive.CauseBadAnswer}
	}
	return ids, nil
}

// pair is WeCom's form of a member and an external contact. WeCom misspells the name of
// the second field.
type pair struct {
	Member  string `json:"userid"`
	Contact string `json:"exteranalopenid"`
}

// agreements is the answer of both checks. An entry of another form is left out, and
// the others are read.
type agreements struct {
	Info some[struct {
		Member    ident  `json:"userid"`
		Contact   ident  `json:"exteranalopenid"`
		External  ident  `json:"external_userid"` // as in the other answers
		ChangedAt moment `json:"status_change_time"`
		Status    maybe  `json:"agree_status"`
	}] `json:"agreeinfo"`
}

// statuses are WeCom's, in small letters.
var statuses = map[string]archive.ConsentStatus{
	"agree": archive.Agreed, "disagree": archive.Disagreed, "default_agree": archive.AgreedDefault,
}

// consents converts the answer to the archive's type. An entry with an undocumented
// status is left out, because a screen could not show it.
func (a agreements) consents(room string) []archive.Consent {
	var list []archive.Consent
	for _, i := range a.Info {
		status, ok := statuses[strings.ToLower(strings.TrimSpace(string(i.Status)))]
		contact, member := string(cmp.Or(i.Contact, i.External)), string(i.Member)
		if !ok || contact == "" || room == "" && member == "" {
			continue
		}
		c := archive.Consent{Contact: contact, Room: room, Status: status, ChangedAt: i.ChangedAt.Time}
		if room == "" {
			c.Member = member
		}
		list = append(list, c)
	}
	return list
}

// PairConsents calls msgaudit/check_single_agree. If the answer about several pairs is
// unreadable, it asks about them in halves, so that the others have theirs.
func (cl *Client) PairConsents(ctx context.Context, c directory.Credential, pairs []directory.Pair) ([]archive.Consent, error) {
	body := struct {
		Info []pair `json:"info"`
	}{}
	for _, p := range pairs {
		body.Info = append(body.Info, pair(p))
	}
	var a agreements
	err := cl.ask(ctx, c, pairAgree, nil, body, &a)
	if _, odd := errors.AsType[contentError](err); odd && len(pairs) > 1 {
		first, err := cl.PairConsents(ctx, c, pairs[:len(pairs)/2])
		if err != nil {
			return nil, err
		}
		second, err := cl.PairConsents(ctx, c, pairs[len(pairs)/2:])
		return append(first, second...), err
	}
	if err = aboutID(err); err != nil {
		return nil, err
	}
	return a.consents(""), nil
}

// RoomConsents calls msgaudit/check_room_agree.
func (cl *Client) RoomConsents(ctx context.Context, c directory.Credential, room string) ([]archive.Consent, error) {
	var a agreements
	if err := aboutID(cl.ask(ctx, c, roomAgree, nil, map[string]string{"roomid": room}, &a)); err != nil {
		return nil, err
	}
	return a.consents(room), nil
}
