package wecom

import (
	"regexp"
	"slices"
	"time"
)

// maxPairs is the largest number of pairs in a check_single_agree request.
const maxPairs = 100

// permitted answers msgaudit/get_permit_user_list.
func (c *call) permitted() (any, error) {
	var q struct {
		Type *int `json:"type"`
	}
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	if q.Type != nil && (*q.Type < 1 || *q.Type > 3) {
		return nil, refusal(40058)
	}
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	ids := []string{}
	if q.Type == nil || *q.Type == c.corp.edition {
		ids = append(ids, c.corp.inScope()...)
	}
	return struct {
		status
		IDs []string `json:"ids"`
	}{ok, ids}, nil
}

// agreement is a customer's consent in an answer.
type agreement struct {
	ChangedAt int64  `json:"status_change_time"`
	UserID    string `json:"userid,omitempty"`
	// The real interface has the same spelling mistake.
	Customer string `json:"exteranalopenid"`
	Status   string `json:"agree_status"`
}

// agreement returns a customer's consent to a member or in a room. It returns
// false if the answer leaves the customer out.
func (c *Corp) agreement(with, customer string) (agreement, bool) {
	if given, ok := c.consents[consentKey{with, customer}]; ok {
		a := agreement{ChangedAt: given.at.Unix(), Customer: customer, Status: "Disagree"}
		if given.agrees {
			a.Status = "Agree"
		}
		return a, true
	}
	a := agreement{Customer: customer}
	switch c.sim.Choices().Unanswered {
	case UnansweredAgrees:
		a.Status = "Default_Agree"
	case UnansweredRefuses:
		a.Status = "Disagree"
	default:
		return agreement{}, false
	}
	return a, true
}

type agreements struct {
	status
	Info []agreement `json:"agreeinfo"`
}

// singleAgree answers msgaudit/check_single_agree.
func (c *call) singleAgree() (any, error) {
	var q struct {
		Info []struct {
			UserID   string `json:"userid"`
			Customer string `json:"exteranalopenid"`
		} `json:"info"`
	}
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	switch {
	case len(q.Info) == 0:
		return nil, refusal(40058)
	case len(q.Info) > maxPairs:
		return nil, refusal(301060)
	}
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	answer := agreements{ok, []agreement{}}
	for _, pair := range q.Info {
		_, isMember := c.corp.member(pair.UserID)
		_, isCustomer := c.corp.customer(pair.Customer)
		if !isMember || !isCustomer {
			return nil, refusal(301061)
		}
		if a, known := c.corp.agreement(pair.UserID, pair.Customer); known {
			a.UserID = pair.UserID
			answer.Info = append(answer.Info, a)
		}
	}
	return answer, nil
}

// roomAgree answers msgaudit/check_room_agree.
func (c *call) roomAgree() (any, error) {
	room, err := c.namedRoom("roomid")
	if err != nil {
		return nil, err
	}
	if code := c.sim.Choices().InternalConsentCode; room.Kind == InternalRoom && code != 0 {
		return nil, refusal(code)
	}
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	answer := agreements{ok, []agreement{}}
	for _, id := range room.Members {
		if !external(id) {
			continue
		}
		if a, known := c.corp.agreement(room.ID, id); known {
			answer.Info = append(answer.Info, a)
		}
	}
	return answer, nil
}

// namedRoom finds the room that a field of the body names. It refuses a room of
// another corp with 92002.
func (c *call) namedRoom(field string) (Room, error) {
	var q map[string]any
	if err := c.decode(&q); err != nil {
		return Room{}, err
	}
	id, _ := q[field].(string)
	if id == "" {
		return Room{}, refusal(40058)
	}
	c.corp.mu.Lock()
	room, found := c.corp.room(id)
	c.corp.mu.Unlock()
	if found && room.Kind != ForeignRoom {
		return room, nil
	}
	if found {
		return Room{}, refusal(92002)
	}
	for _, other := range c.sim.Corps() {
		other.mu.Lock()
		_, theirs := other.room(id)
		other.mu.Unlock()
		if theirs {
			return Room{}, refusal(92002)
		}
	}
	return Room{}, refusal(301059)
}

// internalRoom answers msgaudit/groupchat/get.
func (c *call) internalRoom() (any, error) {
	room, err := c.namedRoom("roomid")
	if err != nil {
		return nil, err
	}
	if room.Kind != InternalRoom {
		return nil, refusal(301059)
	}
	type member struct {
		ID     string `json:"memberid"`
		Joined int64  `json:"jointime"`
	}
	members := []member{}
	for _, id := range room.Members {
		members = append(members, member{id, room.CreatedAt.Unix()})
	}
	return struct {
		status
		Name    string   `json:"roomname"`
		Creator string   `json:"creator"`
		Created int64    `json:"room_create_time"`
		Notice  string   `json:"notice"`
		Members []member `json:"members"`
	}{ok, room.Name, room.Owner, room.CreatedAt.Unix(), room.Notice, members}, nil
}

// robotInfo answers msgaudit/get_robot_info.
func (c *call) robotInfo() (any, error) {
	id := c.r.URL.Query().Get("robot_id")
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	i := slices.IndexFunc(c.corp.robots, func(r Robot) bool { return r.ID == id })
	if i < 0 {
		return nil, refusal(40058)
	}
	type info struct {
		ID      string `json:"robot_id"`
		Name    string `json:"name"`
		Creator string `json:"creator_userid"`
	}
	return struct {
		status
		Data info `json:"data"`
	}{ok, info(c.corp.robots[i])}, nil
}

type addresses struct {
	status
	IPs []string `json:"ip_list"`
}

// callbackIPs answers getcallbackip with the loopback address, from which this
// WeCom sends events.
func (c *call) callbackIPs() (any, error) { return addresses{ok, []string{"127.0.0.1"}}, nil }

// domainIPs answers get_api_domain_ip.
func (c *call) domainIPs() (any, error) {
	return addresses{ok, []string{"127.0.0.0/8", "203.0.113.9"}}, nil
}

// user answers user/get.
func (c *call) user() (any, error) {
	id := c.r.URL.Query().Get("userid")
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	m, found := c.corp.member(id)
	switch {
	case id == "":
		return nil, refusal(40058)
	case !found:
		return nil, refusal(60111)
	case c.app && !c.corp.sees(id):
		return nil, refusal(60011)
	}
	return struct {
		status
		UserID         string `json:"userid"`
		Name           string `json:"name"`
		Department     []int  `json:"department"`
		MainDepartment int    `json:"main_department"`
		Position       string `json:"position"`
		Status         int    `json:"status"`
		OpenUserID     string `json:"open_userid"`
	}{ok, m.UserID, m.Name, []int{1}, 1, "", max(1, m.Status), ""}, nil
}

var externalID = regexp.MustCompile(`^w[mo][0-9A-Za-z_-]+$`)

// externalContact answers externalcontact/get.
func (c *call) externalContact() (any, error) {
	id := c.r.URL.Query().Get("external_userid")
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	p, found := c.corp.customer(id)
	switch {
	case !c.corp.app.contacts:
		return nil, refusal(48002)
	case !externalID.MatchString(id):
		return nil, refusal(40096)
	case !found || !slices.ContainsFunc(p.Followers, c.corp.sees):
		return nil, refusal(84061)
	}
	type contact struct {
		ID       string `json:"external_userid"`
		Name     string `json:"name"`
		Position string `json:"position,omitempty"`
		Avatar   string `json:"avatar"`
		CorpName string `json:"corp_name,omitempty"`
		FullName string `json:"corp_full_name,omitempty"`
		Type     int    `json:"type"`
		Gender   int    `json:"gender"`
	}
	type follower struct {
		UserID      string   `json:"userid"`
		Remark      string   `json:"remark"`
		Description string   `json:"description"`
		Created     int64    `json:"createtime"`
		Tags        []string `json:"tags"`
		AddWay      int      `json:"add_way"`
	}
	followers := []follower{}
	for _, userid := range p.Followers {
		if c.corp.sees(userid) {
			followers = append(followers, follower{userid, p.Name, "", c.sim.cfg.Now().Add(-30 * 24 * time.Hour).Unix(), []string{}, 1})
		}
	}
	return struct {
		status
		Contact contact    `json:"external_contact"`
		Follow  []follower `json:"follow_user"`
		Next    string     `json:"next_cursor,omitempty"`
	}{ok, contact{ID: p.ExternalUserID, Name: p.Name, CorpName: p.CorpName, FullName: p.CorpName, Type: max(1, p.Type)}, followers, ""}, nil
}

// customerRoom answers externalcontact/groupchat/get.
func (c *call) customerRoom() (any, error) {
	c.corp.mu.Lock()
	contacts := c.corp.app.contacts
	c.corp.mu.Unlock()
	if !contacts {
		return nil, refusal(48002)
	}
	room, err := c.namedRoom("chat_id")
	if err == refusal(301059) { // 301059 is a code of msgaudit; this interface refuses an unknown room with 40058
		err = refusal(40058)
	}
	if err != nil {
		return nil, err
	}
	var q struct {
		NeedName int `json:"need_name"`
	}
	if err := c.decode(&q); err != nil {
		return nil, err
	}
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	switch {
	case room.Kind == InternalRoom:
		return nil, or(c.sim.Choices().InternalRoomCode, 40058)
	case !c.corp.sees(room.Owner):
		return nil, refusal(60011)
	}
	type invitor struct {
		UserID string `json:"userid"`
	}
	type member struct {
		UserID   string  `json:"userid"`
		Type     int     `json:"type"`
		Joined   int64   `json:"join_time"`
		Scene    int     `json:"join_scene"`
		Invitor  invitor `json:"invitor"`
		Nickname string  `json:"group_nickname"`
		Name     string  `json:"name,omitempty"`
	}
	type chat struct {
		ID      string    `json:"chat_id"`
		Name    string    `json:"name"`
		Owner   string    `json:"owner"`
		Created int64     `json:"create_time"`
		Notice  string    `json:"notice"`
		Members []member  `json:"member_list"`
		Admins  []invitor `json:"admin_list"`
		Version string    `json:"member_version"`
	}
	answer := chat{
		ID: room.ID, Name: room.Name, Owner: room.Owner, Created: room.CreatedAt.Unix(), Notice: room.Notice,
		Members: []member{}, Admins: []invitor{}, Version: "1",
	}
	for _, id := range room.Members {
		m := member{UserID: id, Type: 1, Joined: room.CreatedAt.Unix(), Scene: 1, Invitor: invitor{room.Owner}}
		staff, _ := c.corp.member(id)
		name := staff.Name
		if external(id) {
			m.Type = 2
			customer, _ := c.corp.customer(id)
			name = customer.Name
		}
		if q.NeedName == 1 {
			m.Name = name
		}
		answer.Members = append(answer.Members, m)
	}
	return struct {
		status
		Chat chat `json:"group_chat"`
	}{ok, answer}, nil
}
