package login

import "time"

// A User is a person who can sign in.
type User struct {
	ID      string // also the sub claim
	Company string // heading above the user
	Name    string
	About   string // what the user may do

	Corp, Role string
	Staff      string // empty for none
	// Life is how long the user's tokens live; 0 for the usual time.
	Life time.Duration
	// NoRenewal means that the user's refresh tokens are refused.
	NoRenewal bool
}

func (u User) claims() map[string]any {
	claims := map[string]any{"sub": u.ID, "corp": u.Corp}
	if u.Role != "" {
		claims["role"] = u.Role
	}
	if u.Staff != "" {
		claims["staff"] = u.Staff
	}
	return claims
}

// A Company is a company of the local cloud, for which users are prepared.
type Company struct {
	ID, Name string
	// Member and MemberName are a member whose chats a limited reader sees. Empty
	// leaves the limited reader out.
	Member, MemberName string
}

// Prepared lists the users of the companies: one for each role, and one for each kind
// of failure after a sign-in. The id of a user is a word, @ and the corpid.
func Prepared(companies []Company) []User {
	var users []User
	for _, c := range companies {
		add := func(word string, u User) {
			u.ID, u.Company = word+"@"+c.ID, c.Name+" · "+c.ID
			if u.Corp == "" {
				u.Corp = c.ID
			}
			users = append(users, u)
		}
		add("all", User{Name: "王敏", About: "管理员、查看者和审计员 · admin, reader and auditor", Role: "admin reader auditor", Staff: "*"})
		add("admin", User{Name: "管理员", About: "设置与状态 · admin: set-up and status", Role: "admin"})
		if c.Member != "" {
			add("member", User{Name: c.MemberName, About: "只看自己的会话 · reader of this member's chats", Role: "reader", Staff: c.Member})
		}
		add("reader", User{Name: "客服主管", About: "看全部会话 · reader of all chats", Role: "reader", Staff: "*"})
		add("auditor", User{Name: "合规", About: "会话与证明 · auditor: chats and proof", Role: "auditor"})
		add("expiring", User{Name: "过期", About: "60 秒后过期，不能续期 · expires after 60 s, without renewal", Role: "admin", Life: time.Minute, NoRenewal: true})
		add("foreign", User{Name: "其他企业", About: "企业未登记 · of a company that is not registered", Role: "admin", Corp: "ww00000000000000ff"})
		add("norole", User{Name: "无角色", About: "令牌没有角色 · token without a role", Role: ""})
	}
	return users
}
