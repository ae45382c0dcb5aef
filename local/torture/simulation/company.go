package simulation

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// company is a corp as it really is: what it said in WeCom, and what its admin has
// entered there. The checker compares the archive with it.
type company struct {
	sim *sim
	id  string

	said  []*said
	files map[string]*file // by sdkfileid

	// In WeCom's console.
	secret  string
	version uint32
	key     string            // of the version
	opens   map[uint32]string // by version: the id of its key
	resets  []time.Time       // of the secret

	// In our archive, as the admin remembers it.
	saved   string   // the secret
	given   []string // ids of the keys that the archive has
	erased  bool
	emptied bool // the operator has emptied the view and not yet requested the replay

	refused []time.Time // wrong secrets that WeCom saw
	broken  []time.Time // pulls that ended without storing their state
	trouble *trouble    // what WeCom answers to every call; nil: a page
}

// said is a message of a company.
type said struct {
	archivetest.Record
	at      time.Time
	conv    archive.ConversationID
	sent    time.Time // its msgtime; zero: the time of the pull counts
	parties []string
	file    *file
	revokes string
	agrees  string // agree or disagree: the answer of the customer
	// answeredAt is the second of the answer.
	answeredAt time.Time
	opens      bool // a key opens it and the library decrypts it, in the end

	heldUntil  time.Time // WeCom cannot hand it out before; zero: at once
	never      bool      // WeCom can never hand it out
	crash      bool      // the library crashes on it in GetChatData, in place of 301058
	decrypt    int       // so many calls of DecryptData break the library; below 0: all
	hang       bool      // they hang in place of crashing
	code       int       // they answer this code in place of that; 0: they do not
	deleted    bool      // WeCom has deleted it
	malformed  bool      // the record's fields are unusable
	unreadable bool      // the message is no JSON
}

// file is a file in WeCom.
type file struct {
	id      string
	body    []byte
	at      time.Time // when it was last sent
	badOnce bool      // its first download has wrong bytes
	never   bool      // WeCom refuses every call for it
}

// seq is the last seq of the company.
func (c *company) seq() uint64 {
	if len(c.said) == 0 {
		return 0
	}
	return c.said[len(c.said)-1].Seq
}

// say sends one message of a random kind.
func (c *company) say() {
	r := c.sim.rand
	now := time.Now()
	s := &said{at: now, sent: now.Truncate(time.Millisecond), opens: true}
	s.Seq = c.seq() + 1
	if r.IntN(8) == 0 {
		s.Seq += uint64(r.IntN(5))
	}
	s.MsgID = fmt.Sprintf("%s-%d_external", c.id, s.Seq)
	s.KeyVersion, s.KeyID = c.version, c.key
	staff, customer := fmt.Sprint("staff", r.IntN(3)), fmt.Sprint("wm", r.IntN(4))
	from, to, room := staff, []string{customer}, ""
	s.conv = archive.PartyConversation([]string{staff, customer})
	if r.IntN(3) == 0 {
		room = fmt.Sprint("wr", r.IntN(2))
		to = []string{customer, "staff9"}
		s.conv = archive.RoomConversation(room)
	}
	s.parties = append([]string{from}, to...)
	kind, payload := c.payload(s, customer)
	if r.IntN(25) == 0 {
		s.sent = time.Time{}
	}
	ms := int64(0)
	if !s.sent.IsZero() {
		ms = s.sent.UnixMilli()
	}
	s.Text = fmt.Appendf(nil, `{"msgid":%q,"action":"send","from":%q,"tolist":["%s"],"roomid":%q,"msgtime":%d,"msgtype":%q,%s}`,
		s.MsgID, from, strings.Join(to, `","`), room, ms, kind, payload)
	switch odd := r.IntN(60); {
	case c.sim.calm:
	case odd == 0: // what is no JSON is kept as it is
		s.Text, s.unreadable = append([]byte("\x00no JSON of "+c.id+"\xff "), byte('0'+r.IntN(10))), true
		s.conv, s.parties, s.sent, s.file, s.revokes, s.agrees = archive.Unplaced, nil, time.Time{}, nil, "", ""
	case odd == 1: // one msgid under two seqs
		if n := len(c.said); n > 0 && !c.said[n-1].unreadable && !c.said[n-1].malformed {
			last := c.said[n-1]
			s.MsgID, s.Text, s.conv, s.parties, s.sent, s.file, s.revokes, s.agrees = last.MsgID, last.Text, last.conv, last.parties, last.sent, last.file, last.revokes, last.agrees
			s.answeredAt = last.answeredAt
		}
	case odd == 2:
		s.Broken = fmt.Sprintf(`{"seq":%d,"msgid":%q,"publickey_ver":%d,"encrypt_random_key":"!","encrypt_chat_msg":"x"}`, s.Seq, s.MsgID, s.KeyVersion)
		s.malformed, s.opens = true, false
	}
	c.weaken(s)
	c.said = append(c.said, s)
	c.sim.world.Library.Say(c.id, s.Record)
}

// payload makes the content of a message.
func (c *company) payload(s *said, customer string) (kind, payload string) {
	r := c.sim.rand
	switch r.IntN(12) {
	case 0, 1:
		if !c.sim.weather.files {
			break
		}
		s.file = c.newFile()
		sum := md5.Sum(s.file.body)
		return "image", fmt.Sprintf(`"image":{"sdkfileid":%q,"md5sum":%q,"filesize":%d}`, s.file.id, hex.EncodeToString(sum[:]), len(s.file.body))
	case 2:
		if n := len(c.said); n > 0 {
			if of := c.said[r.IntN(n)]; !of.unreadable && !of.malformed && of.conv == s.conv {
				s.revokes = of.MsgID
				return "revoke", fmt.Sprintf(`"revoke":{"pre_msgid":%q}`, of.MsgID)
			}
		}
	case 3:
		return "hologram", fmt.Sprintf(`"hologram":{"of":%q,"n":1e2}`, c.id)
	case 4:
		s.answeredAt = s.at.Truncate(time.Second)
		s.agrees = []string{"agree", "disagree"}[r.IntN(2)]
		return s.agrees, fmt.Sprintf(`%q:{"userid":%q,"%s_time":%d},"of":%q`, s.agrees, customer, s.agrees, s.at.UnixMilli(), c.id)
	case 5:
		if r.IntN(10) == 0 { // over the limit of the table
			return "text", fmt.Sprintf(`"text":{"content":"%s %s"}`, c.id, bytes.Repeat([]byte("长"), archive.InlineLimit/3+1))
		}
	}
	return "text", fmt.Sprintf(`"text":{"content":"第%d条 of %s \u0007"}`, s.Seq, c.id)
}

// newFile makes a file, or names one again.
func (c *company) newFile() *file {
	r := c.sim.rand
	if r.IntN(6) == 0 {
		for _, s := range c.said {
			if s.file != nil && !s.file.never {
				s.file.at = time.Now()
				return s.file
			}
		}
	}
	f := &file{id: fmt.Sprintf("file-%d-of-%s", len(c.files), c.id), at: time.Now(), badOnce: r.IntN(6) == 0, never: r.IntN(12) == 0}
	f.body = fmt.Appendf(nil, "bytes of %s %d", f.id, r.Uint64())
	c.files[f.id] = f
	c.sim.world.Library.PutFile(c.id, f.id, f.body)
	return f
}

// weaken makes a few messages hard to fetch or to decrypt.
func (c *company) weaken(s *said) {
	r, w := c.sim.rand, c.sim.weather
	if c.sim.calm {
		return
	}
	if w.poison > 0 && r.IntN(w.poison) == 0 {
		switch s.crash = r.IntN(2) == 0; r.IntN(4) {
		case 0:
			s.never = true
		default:
			s.heldUntil = time.Now().Add(time.Duration(1+r.IntN(8)) * time.Minute)
		}
	}
	if w.breaks > 0 && r.IntN(w.breaks) == 0 {
		s.hang = r.IntN(2) == 0
		if s.decrypt = 1 + r.IntN(5); r.IntN(4) == 0 {
			s.decrypt, s.opens = -1, false
		} else if r.IntN(3) == 0 {
			s.code, s.decrypt = codes[r.IntN(len(codes))], 1+r.IntN(3)
		}
	}
}

// codes are answers of DecryptData without a cause: of documented codes, and of others.
var codes = []int{10000, 10001, 10006, 10010, -1, 77777}

// forget deletes what WeCom has kept for five days. It returns the last seq that is
// deleted.
func (c *company) forget(now time.Time) (last uint64) {
	for _, s := range c.said {
		if now.Sub(s.at) >= archive.Retention {
			s.deleted, last = true, s.Seq
		}
	}
	c.sim.world.Library.Forget(c.id, last)
	return last
}

// chatData answers a call of GetChatData in WeCom's place; nil: WeCom hands out the
// page.
func (c *company) chatData(after uint64, limit int) *archivetest.Answer {
	if c.trouble != nil {
		return c.trouble.answer()
	}
	now := time.Now()
	last := c.forget(now)
	if c.sim.weather.strict && after < last && after > 0 {
		return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: archive.CodeExpired}}
	}
	n := 0
	for _, s := range c.said {
		if s.Seq <= after || s.deleted || n == limit {
			continue
		}
		if n++; s.never || now.Before(s.heldUntil) {
			if s.crash {
				return &archivetest.Answer{Err: &archive.CrashError{Op: "GetChatData", How: archive.Crashed, Note: "signal 11"}}
			}
			return &archivetest.Answer{Bytes: archivetest.Refused(301058, "too large")}
		}
	}
	return c.sim.lie()
}

// decrypt answers for the library.
func (c *company) decrypt(seq uint64, try int) *archivetest.Answer {
	for _, s := range c.said {
		if s.Seq == seq && s.decrypt != 0 && (s.decrypt < 0 || try <= s.decrypt) {
			if s.code != 0 {
				return &archivetest.Answer{Err: &archive.SDKError{Op: "DecryptData", Code: s.code}}
			}
			how := archive.Crashed
			if s.hang {
				how = archive.Hung
			}
			return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: how, Note: "signal 11"}}
		}
	}
	return nil
}

// chunk changes an answer of GetMediaData.
func (c *company) chunk(id string, chunk media.Chunk, err error) (media.Chunk, error) {
	f := c.files[id]
	switch {
	case f == nil || err != nil:
		return chunk, err
	case c.trouble != nil && c.trouble.native != 0:
		return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: c.trouble.native}
	case time.Since(f.at) >= archive.Retention:
		return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: archive.CodeExpired}
	case f.never:
		return media.Chunk{}, &archive.SDKError{Op: "GetMediaData", Code: 10003}
	case f.badOnce:
		f.badOnce = false
		chunk.Data[0] ^= 1
		return chunk, nil
	}
	if fault := c.sim.lieAboutFile(); fault != nil {
		return media.Chunk{}, fault
	}
	return chunk, nil
}

// source counts the wrong secrets that WeCom sees (law 8).
type source struct {
	pull.Source
	c *company
}

func (s source) ChatData(ctx context.Context, after uint64, limit int) ([]byte, error) {
	raw, err := s.Source.ChatData(ctx, after, limit)
	if err == nil && bytes.Contains(raw, []byte(`"errcode":40001`)) && s.c.trouble == nil {
		s.c.refused = append(s.c.refused, time.Now())
	}
	return raw, err
}

// sources is the library for pull.
type sources struct{ sim *sim }

func (s sources) Source(ctx context.Context, corp string, v secret.Value) (pull.Source, error) {
	src, err := s.sim.world.Library.Source(ctx, corp, v)
	if err != nil {
		return nil, err
	}
	return source{Source: src, c: s.sim.companies[corp]}, nil
}

// trouble is an answer of WeCom to every call of a company.
type trouble struct {
	errcode int
	native  int
	cause   archive.Cause
}

func (t trouble) answer() *archivetest.Answer {
	if t.native != 0 {
		return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: t.native}}
	}
	return &archivetest.Answer{Bytes: archivetest.Refused(t.errcode, "no")}
}

// lasting are the troubles that people are notified of (law 10: both levels).
var lasting = []trouble{
	{errcode: 301042, cause: archive.CauseTrustedIP},
	{errcode: 60020, cause: archive.CauseTrustedIP},
	{errcode: 301052, cause: archive.CauseExpired},
	{errcode: 301053, cause: archive.CauseNotOpen},
	{errcode: 50003, cause: archive.CauseDisabled},
	{errcode: 48002, cause: archive.CauseSecretKind},
	{errcode: -1, cause: archive.CauseBusy},
	{errcode: 999999, cause: archive.CauseUnknownResponse},
	{native: 10001, cause: archive.CauseNetwork},
	{native: 10009, cause: archive.CauseTrustedIP},
	{native: 10011, cause: archive.CauseTLS},
	{native: 10002, cause: archive.CauseBusy},
}
