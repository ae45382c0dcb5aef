package message

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// beijing is the time zone of all of China.
var beijing = time.FixedZone("UTC+8", 8*60*60)

const noLimit = -1

// rendering collects a text of at most limit characters.
type rendering struct {
	b     strings.Builder
	limit int // characters left, or [noLimit]
	last  byte
}

// render writes parts, each on lines of its own.
func render(parts []Part, limit int) string {
	r := &rendering{limit: limit}
	r.parts(parts)
	return r.b.String()
}

func (r *rendering) parts(parts []Part) {
	for _, part := range parts {
		if r.full() {
			return
		}
		r.newline()
		part.render(r)
	}
}

func (r *rendering) full() bool { return r.limit == 0 }

func (r *rendering) write(s string) {
	switch {
	case s == "" || r.limit == 0:
		return
	case r.limit != noLimit:
		if head := cut(s, r.limit); len(head) < len(s) || utf8.RuneCountInString(s) == r.limit {
			r.limit, s = 0, head
		} else {
			r.limit -= utf8.RuneCountInString(s)
		}
	}
	r.b.WriteString(s)
	r.last = s[len(s)-1]
}

func (r *rendering) newline() {
	if r.b.Len() > 0 && r.last != '\n' {
		r.write("\n")
	}
}

// card writes the label and title that WeCom's client shows in lists, and then the
// details.
func (r *rendering) card(label, title string, details ...string) {
	r.write("[" + label + "]")
	if title != "" {
		r.write(" " + title)
	}
	for _, d := range details {
		r.line(d)
	}
}

func (r *rendering) line(s string) {
	if s != "" {
		r.newline()
		r.write(s)
	}
}

func (p Text) render(r *rendering)       { r.write(p.Text) }
func (p Image) render(r *rendering)      { r.card("图片", "") }
func (p Voice) render(r *rendering)      { r.card("语音", length(p.Seconds)) }
func (p Video) render(r *rendering)      { r.card("视频", length(p.Seconds)) }
func (p Emotion) render(r *rendering)    { r.card("表情", "") }
func (p Attachment) render(r *rendering) { r.card("文件", p.Name) }
func (p Link) render(r *rendering)       { r.card("链接", p.Title, p.Description, p.URL) }
func (p Weapp) render(r *rendering)      { r.card("小程序", p.Title, p.Description, p.Name) }
func (p Location) render(r *rendering)   { r.card("位置", p.Title, p.Address) }
func (p Card) render(r *rendering)       { r.card("名片", p.UserID, p.Corp) }

func (p RedPacket) render(r *rendering) {
	var sum []string
	if p.Amount != "" {
		sum = append(sum, p.Amount+" 元")
	}
	if p.Count > 0 {
		sum = append(sum, fmt.Sprintf("共 %d 个", p.Count))
	}
	r.card("红包", p.Wish, strings.Join(sum, "，"))
}

func (p Meeting) render(r *rendering) {
	r.card("会议", p.Topic, p.StatusText, span(p.Start, p.End), p.Address, p.Remarks)
}

func (p MeetingNotification) render(r *rendering) { r.card("会议通知", p.Text) }
func (p Doc) render(r *rendering)                 { r.card("在线文档", p.Title, p.URL) }

func (p News) render(r *rendering) {
	for _, a := range p.Articles {
		if r.full() {
			return
		}
		r.newline()
		r.card("图文", a.Title, a.Description, a.URL)
	}
}

func (p Calendar) render(r *rendering) {
	r.card("日程", p.Title, span(p.Start, p.End), p.Place, strings.Join(p.Attendees, "、"), p.Remarks)
}

func (p Vote) render(r *rendering) {
	label := "投票"
	if p.Event == "joined" {
		label = "参与投票"
	}
	r.card(label, p.Title, p.Options...)
}

func (p Todo) render(r *rendering) { r.card("待办", p.Content, p.Title) }

func (p Collect) render(r *rendering) {
	r.card("收集表", p.Title)
	for _, q := range p.Questions {
		r.line(q.Question)
	}
}

func (p Solitaire) render(r *rendering) {
	r.card("接龙", p.Title)
	r.fields(p.Fields)
}

func (p Note) render(r *rendering) {
	r.card("笔记", p.Title)
	r.parts(p.Parts)
}

func (p ChatRecord) render(r *rendering) {
	r.card("聊天记录", p.Title)
	for _, item := range p.Items {
		r.parts(item.Parts)
	}
}

func (p MeetingVoiceCall) render(r *rendering) {
	r.card("语音通话录音", "")
	for _, d := range p.Demos {
		r.line(d.Name)
	}
}

func (p VoipDocShare) render(r *rendering) { r.card("通话中共享的文档", p.Name) }
func (p SphFeed) render(r *rendering)      { r.card("视频号", p.Name, p.Description) }

func (p VoipText) render(r *rendering) {
	label := map[string]string{"video": "视频通话", "group_video": "群视频通话", "group_voice": "群语音通话"}[p.Call]
	if label == "" {
		label = "语音通话"
	}
	r.card(label, length(p.Seconds))
}

func (p QyDiskFile) render(r *rendering) { r.card("微盘文件", p.Name) }

func (p Consent) render(r *rendering) {
	if p.Agreed {
		r.card("同意存档会话内容", "")
		return
	}
	r.card("不同意存档会话内容", "")
}

func (p Revoke) render(r *rendering) { r.card("撤回了一条消息", "") }
func (p Switch) render(r *rendering) { r.card("切换企业", p.UserID) }

func (p Generic) render(r *rendering) {
	r.card("暂不支持的消息类型", p.Name)
	r.fields(p.Fields)
}

func (p Rest) render(r *rendering) { r.card(fmt.Sprintf("另有 %d 条未展开", p.Count), "") }

func (r *rendering) fields(fields []Field) {
	for _, f := range fields {
		r.line(f.Name + "：" + f.Value)
	}
}

// length writes a duration in the form that clients show.
func length(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	if seconds < 3600 {
		return fmt.Sprintf("%02d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

func span(start, end int64) string {
	if start == 0 {
		return ""
	}
	const layout = "2006-01-02 15:04"
	s := time.UnixMilli(start).In(beijing).Format(layout)
	if end != 0 {
		s += " 至 " + time.UnixMilli(end).In(beijing).Format(layout)
	}
	return s
}

func yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

// cut returns the first n characters of s.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func validUTF8(raw []byte) string { return strings.ToValidUTF8(string(raw), "\uFFFD") }
