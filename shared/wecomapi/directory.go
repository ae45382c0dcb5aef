package wecomapi

import (
	"context"
	"net/url"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

const (
	// longestText is how many bytes of a name or address are kept: far more
	// than WeCom's own pages take.
	longestText = 512
	// longestNick is the same for each of up to 2000 members of a room.
	longestNick = 64
)

// clip cuts s to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Member asks user/get.
func (cl *Client) Member(ctx context.Context, c directory.Credential, userid string) (directory.Person, error) {
	var a struct {
		Name string `json:"name"`
	}
	err := cl.ask(ctx, c, member, url.Values{"userid": {userid}}, nil, &a)
	if err != nil {
		return directory.Person{}, err
	}
	return directory.Person{ID: userid, Kind: directory.Member, Name: clip(a.Name, longestText)}, nil
}

// Contact asks externalcontact/get. The followers, of whom there may be
// several pages, are not wanted.
func (cl *Client) Contact(ctx context.Context, c directory.Credential, externalUserID string) (directory.Person, error) {
	var a struct {
		Contact struct {
			Name     string `json:"name"`
			Avatar   string `json:"avatar"`
			CorpName string `json:"corp_name"`
			FullName string `json:"corp_full_name"`
		} `json:"external_contact"`
	}
	if err := cl.ask(ctx, c, contact, url.Values{"external_userid": {externalUserID}}, nil, &a); err != nil {
		return directory.Person{}, err
	}
	p := directory.Person{
		ID: externalUserID, Kind: directory.External, Name: clip(a.Contact.Name, longestText), Company: clip(a.Contact.CorpName, longestText),
	}
	if len(a.Contact.Avatar) <= longestText { // half an address leads nowhere
		p.Avatar = a.Contact.Avatar
	}
	if p.Company == "" {
		p.Company = clip(a.Contact.FullName, longestText)
	}
	return p, nil
}

// Robot asks msgaudit/get_robot_info.
func (cl *Client) Robot(ctx context.Context, c directory.Credential, id string) (directory.Person, error) {
	var a struct {
		Data struct {
			Name string `json:"name"`
		} `json:"data"`
	}
	if err := cl.ask(ctx, c, robotInfo, url.Values{"robot_id": {id}}, nil, &a); err != nil {
		return directory.Person{}, err
	}
	return directory.Person{ID: id, Kind: directory.Robot, Name: clip(a.Data.Name, longestText)}, nil
}

// InternalRoom asks msgaudit/groupchat/get.
func (cl *Client) InternalRoom(ctx context.Context, c directory.Credential, id string) (directory.Room, error) {
	var a struct {
		Name    string `json:"roomname"`
		Creator string `json:"creator"`
		Created number `json:"room_create_time"`
		Members []struct {
			ID string `json:"memberid"`
		} `json:"members"`
	}
	if err := cl.ask(ctx, c, internalRoom, nil, map[string]string{"roomid": id}, &a); err != nil {
		return directory.Room{}, err
	}
	r := directory.Room{ID: id, Kind: directory.InternalRoom, Name: clip(a.Name, longestText), Owner: a.Creator, CreatedAt: a.Created.time()}
	for _, m := range a.Members {
		r.Members = append(r.Members, directory.RoomMember{ID: m.ID})
	}
	return r, nil
}

// CustomerRoom asks externalcontact/groupchat/get, with the members' names.
func (cl *Client) CustomerRoom(ctx context.Context, c directory.Credential, id string) (directory.Room, error) {
	var a struct {
		Chat struct {
			Name    string `json:"name"`
			Owner   string `json:"owner"`
			Created number `json:"create_time"`
			Members []struct {
				ID       string `json:"userid"`
				Name     string `json:"name"`
				Nickname string `json:"group_nickname"`
			} `json:"member_list"`
		} `json:"group_chat"`
	}
	body := map[string]any{"chat_id": id, "need_name": 1}
	if err := cl.ask(ctx, c, customerRoom, nil, body, &a); err != nil {
		return directory.Room{}, err
	}
	r := directory.Room{ID: id, Kind: directory.CustomerRoom, Name: clip(a.Chat.Name, longestText), Owner: a.Chat.Owner, CreatedAt: a.Chat.Created.time()}
	for _, m := range a.Chat.Members {
		name := m.Name
		if name == "" {
			name = m.Nickname
		}
		r.Members = append(r.Members, directory.RoomMember{ID: m.ID, Name: clip(name, longestNick)})
	}
	return r, nil
}

// Permitted asks msgaudit/get_permit_user_list, for all editions at once.
func (cl *Client) Permitted(ctx context.Context, c directory.Credential) ([]string, error) {
	var a struct {
		IDs []string `json:"ids"`
	}
	err := cl.ask(ctx, c, permitted, nil, struct{}{}, &a)
	return a.IDs, err
}

// pair is how WeCom writes a member and an external contact; the name of the
// latter is misspelt there.
type pair struct {
	Member  string `json:"userid"`
	Contact string `json:"exteranalopenid"`
}

// agreements is what both checks answer.
type agreements struct {
	Info []struct {
		pair
		ChangedAt number `json:"status_change_time"`
		Status    string `json:"agree_status"`
	} `json:"agreeinfo"`
}

var statuses = map[string]archive.ConsentStatus{
	"Agree": archive.Agreed, "Disagree": archive.Disagreed, "Default_Agree": archive.AgreedDefault,
}

// consents turns the answer into ours. A status that no document names says
// nothing that could be shown, and is left out.
func (a agreements) consents(room string) []archive.Consent {
	var list []archive.Consent
	for _, i := range a.Info {
		status, ok := statuses[i.Status]
		if !ok || i.Contact == "" {
			continue
		}
		c := archive.Consent{Contact: i.Contact, Room: room, Status: status, ChangedAt: i.ChangedAt.time()}
		if room == "" {
			c.Member = i.Member
		}
		list = append(list, c)
	}
	return list
}

// PairConsents asks msgaudit/check_single_agree.
func (cl *Client) PairConsents(ctx context.Context, c directory.Credential, pairs []directory.Pair) ([]archive.Consent, error) {
	body := struct {
		Info []pair `json:"info"`
	}{}
	for _, p := range pairs {
		body.Info = append(body.Info, pair(p))
	}
	var a agreements
	if err := cl.ask(ctx, c, pairAgree, nil, body, &a); err != nil {
		return nil, err
	}
	return a.consents(""), nil
}

// RoomConsents asks msgaudit/check_room_agree.
func (cl *Client) RoomConsents(ctx context.Context, c directory.Credential, room string) ([]archive.Consent, error) {
	var a agreements
	if err := cl.ask(ctx, c, roomAgree, nil, map[string]string{"roomid": room}, &a); err != nil {
		return nil, err
	}
	return a.consents(room), nil
}
