package wecom

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Staff is a member of a corp.
type Staff struct {
	UserID string `json:"userid"`
	Name   string `json:"name"`
	Status int    `json:"status"` // 1 active, 2 disabled, 4 not activated, 5 left
}

// Customer is an external contact of the corp.
type Customer struct {
	ExternalUserID string   `json:"external_userid"` // begins with wm or wo
	Name           string   `json:"name"`
	Type           int      `json:"type"`      // 1 WeChat user, 2 member of another corp
	CorpName       string   `json:"corp_name"` // set for type 2
	Followers      []string `json:"followers"` // userids; empty for a customer who has left
}

// RoomKind says which interface returns a room (wecom.md 2.2).
type RoomKind string

// The kinds of room.
const (
	InternalRoom RoomKind = "internal" // returned by msgaudit/groupchat/get
	CustomerRoom RoomKind = "customer" // returned by externalcontact/groupchat/get
	ForeignRoom  RoomKind = "foreign"  // made by another corp; both interfaces answer 92002
)

// Room is a group chat.
type Room struct {
	ID        string    `json:"id"` // begins with wr
	Name      string    `json:"name"`
	Kind      RoomKind  `json:"kind"`
	Owner     string    `json:"owner"` // userid
	Members   []string  `json:"members"`
	Notice    string    `json:"notice"`
	CreatedAt time.Time `json:"created_at"`
}

// Robot is a bot that posts into rooms.
type Robot struct {
	ID      string `json:"id"` // begins with wb
	Name    string `json:"name"`
	Creator string `json:"creator"` // userid
}

// Crowd says how many people and rooms to invent.
type Crowd struct {
	Staff     int `json:"staff"`
	Customers int `json:"customers"`
	Rooms     int `json:"rooms"`
}

// external reports whether an id is an external contact's. The prefix says so.
func external(id string) bool { return strings.HasPrefix(id, "wm") || strings.HasPrefix(id, "wo") }

var (
	surnames = []rune("王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许邓冯韩曹")
	givens   = []rune("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文宇晨欣怡佳雨")
	// oddIDs are userids of every observed form, since a corp chooses its
	// userids.
	oddIDs = []string{"lin.hua", "0042", "0000726", "13800001111", "ZhangSan", "li_si-2", "wang@example.com"}
	topics = []string{"数学提高班", "家长交流群", "新品试吃", "售后服务", "项目群", "周末活动", "团购接龙", "教研组"}
)

func personName(r *rand.Rand) string {
	name := string(surnames[r.IntN(len(surnames))])
	for range 1 + r.IntN(2) {
		name += string(givens[r.IntN(len(givens))])
	}
	return name
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// randomID is a text of n letters, digits, _ and -. With plain it has letters and
// digits only.
func randomID(r *rand.Rand, n int, plain bool) string {
	chars := len(idAlphabet)
	if plain {
		chars -= len("_-")
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = idAlphabet[r.IntN(chars)]
	}
	return string(b)
}

// invent adds the people and rooms of the crowd.
func (c *Corp) invent(crowd Crowd) {
	for i := range crowd.Staff {
		id := fmt.Sprintf("staff%03d", i)
		if i < len(oddIDs) {
			id = oddIDs[i]
		}
		c.staff = append(c.staff, Staff{UserID: id, Name: personName(c.rand), Status: 1})
	}
	for i := range crowd.Customers {
		c.customers = append(c.customers, c.inventCustomer(i))
	}
	if len(c.staff) == 0 || crowd.Rooms <= 0 {
		return
	}
	for i := range crowd.Rooms {
		c.rooms = append(c.rooms, c.inventRoom(i))
	}
	c.robots = append(c.robots, Robot{ID: "wb" + randomID(c.rand, 30, false), Name: "构建机器人", Creator: c.staff[0].UserID})
}

// inventCustomer invents customer i. Every seventh customer is a member of
// another corp.
func (c *Corp) inventCustomer(i int) Customer {
	r := c.rand
	customer := Customer{ExternalUserID: "wm" + randomID(r, 30, false), Name: personName(r), Type: 1}
	if i%7 == 6 {
		customer.ExternalUserID = "wo" + customer.ExternalUserID[2:]
		customer.Type, customer.CorpName = 2, "合作伙伴公司"
	}
	for range min(len(c.staff), 1+r.IntN(2)) {
		follower := c.staff[r.IntN(len(c.staff))].UserID
		if len(customer.Followers) == 0 || customer.Followers[0] != follower {
			customer.Followers = append(customer.Followers, follower)
		}
	}
	return customer
}

// inventRoom invents room i. Two of six rooms are internal and one is foreign.
func (c *Corp) inventRoom(i int) Room {
	r, now := c.rand, c.sim.cfg.Now()
	room := Room{
		ID: "wr" + randomID(r, 30, false), Name: fmt.Sprintf("%s%d", topics[i%len(topics)], i+1),
		Kind: CustomerRoom, Owner: c.staff[r.IntN(len(c.staff))].UserID, CreatedAt: now.Add(-time.Duration(1+r.IntN(100)) * 24 * time.Hour),
	}
	switch i % 6 {
	case 1, 3:
		room.Kind = InternalRoom
	case 5:
		room.Kind = ForeignRoom
	}
	room.Members = []string{room.Owner}
	size := 3 + r.IntN(28)
	for _, s := range r.Perm(len(c.staff))[:min(len(c.staff), 1+size/3)] {
		if id := c.staff[s].UserID; id != room.Owner {
			room.Members = append(room.Members, id)
		}
	}
	if room.Kind != InternalRoom {
		for _, i := range r.Perm(len(c.customers))[:min(len(c.customers), max(0, size-len(room.Members)))] {
			room.Members = append(room.Members, c.customers[i].ExternalUserID)
		}
	}
	return room
}
