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

// Customer is a person outside the corp whom staff talk to.
type Customer struct {
	ExternalUserID string   `json:"external_userid"` // begins with wm or wo
	Name           string   `json:"name"`
	Type           int      `json:"type"`      // 1 on WeChat, 2 member of another corp
	CorpName       string   `json:"corp_name"` // for type 2
	Followers      []string `json:"followers"` // userids; nobody once the customer is gone
}

// RoomKind says who may look a room up (wecom.md 2.2).
type RoomKind string

// The kinds of room.
const (
	InternalRoom RoomKind = "internal" // msgaudit/groupchat/get
	CustomerRoom RoomKind = "customer" // externalcontact/groupchat/get
	ForeignRoom  RoomKind = "foreign"  // made by another corp: nobody, 92002
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

// Crowd asks for people to be invented.
type Crowd struct {
	Staff     int `json:"staff"`
	Customers int `json:"customers"`
	Rooms     int `json:"rooms"`
}

// external tells people outside the corp by the prefix of their ids.
func external(id string) bool { return strings.HasPrefix(id, "wm") || strings.HasPrefix(id, "wo") }

var (
	surnames = []rune("王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许邓冯韩曹")
	givens   = []rune("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文宇晨欣怡佳雨")
	// oddIDs are userids of every form that was met: the corp chooses them.
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

// randomID is n characters of the letters and digits, _ and - left out where
// plain is set.
func randomID(r *rand.Rand, n int, plain bool) string {
	chars := len(idAlphabet)
	if plain {
		chars -= 2
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = idAlphabet[r.IntN(chars)]
	}
	return string(b)
}

// invent adds the people that crowd asks for.
func (c *Corp) invent(crowd Crowd) {
	r, now := c.rand, c.sim.cfg.Now()
	for i := range crowd.Staff {
		id := fmt.Sprintf("staff%03d", i)
		if i < len(oddIDs) {
			id = oddIDs[i]
		}
		c.staff = append(c.staff, Staff{UserID: id, Name: personName(r), Status: 1})
	}
	for i := range crowd.Customers {
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
		c.customers = append(c.customers, customer)
	}
	for i := range crowd.Rooms {
		if len(c.staff) == 0 {
			break
		}
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
		c.rooms = append(c.rooms, room)
	}
	if crowd.Rooms > 0 && len(c.staff) > 0 {
		c.robots = append(c.robots, Robot{ID: "wb" + randomID(r, 30, false), Name: "构建机器人", Creator: c.staff[0].UserID})
	}
}
