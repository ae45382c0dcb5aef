package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
)

// Answer is a parsed answer of GetChatData (wecom.md 1.5).
type Answer struct {
	ErrCode int
	FromIP  string // our address as WeCom saw it; empty where the errmsg does not say
	Records []Record
}

// Record is one encrypted message of a page. Fields that are absent or of
// another type are zero.
type Record struct {
	Seq        uint64
	MsgID      string
	KeyVersion uint32
	RandomKey  string // encrypt_random_key
	Message    string // encrypt_chat_msg
}

// ParseAnswer reads an answer of GetChatData. A chatdata that is absent, null or
// empty means that nothing is new. ParseAnswer fails if the answer is not an
// object with an errcode; the error quotes nothing of the answer.
func ParseAnswer(raw []byte) (Answer, error) {
	var a struct {
		ErrCode  *number         `json:"errcode"`
		ErrMsg   json.RawMessage `json:"errmsg"` // text for people; any type is accepted
		ChatData []Record        `json:"chatdata"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return Answer{}, fmt.Errorf("answer of %d bytes is not a page: %s", len(raw), jsonFault(err))
	}
	if a.ErrCode == nil {
		return Answer{}, fmt.Errorf("answer of %d bytes has no errcode", len(raw))
	}
	code, err := strconv.Atoi(string(*a.ErrCode))
	if err != nil {
		return Answer{}, fmt.Errorf("answer of %d bytes has an errcode that is not a number", len(raw))
	}
	return Answer{ErrCode: code, FromIP: CallerIP(stringOf(a.ErrMsg)), Records: a.ChatData}, nil
}

// jsonFault describes a JSON error by its place only, because encoding/json
// quotes the input in its errors.
func jsonFault(err error) string {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Sprintf("not JSON at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("wrong type in field %s at byte %d", e.Field, e.Offset)
	}
	return "not JSON"
}

// number is a JSON number, or a string that holds one: some proxies turn numbers
// into strings (wecom.md 2.2). Any other type gives an empty number.
type number string

func (n *number) UnmarshalJSON(b []byte) error {
	*n = number(bytes.Trim(b, `"`))
	return nil
}

// UnmarshalJSON reads the fields that are readable: one broken record must not
// make its page unreadable.
func (r *Record) UnmarshalJSON(b []byte) error {
	var raw struct {
		Seq        number          `json:"seq"`
		MsgID      json.RawMessage `json:"msgid"`
		KeyVersion number          `json:"publickey_ver"`
		RandomKey  json.RawMessage `json:"encrypt_random_key"`
		Message    json.RawMessage `json:"encrypt_chat_msg"`
	}
	if json.Unmarshal(b, &raw) != nil {
		*r = Record{}
		return nil
	}
	r.Seq, _ = strconv.ParseUint(string(raw.Seq), 10, 64)
	version, _ := strconv.ParseUint(string(raw.KeyVersion), 10, 32)
	r.KeyVersion = uint32(version)
	r.MsgID = stringOf(raw.MsgID)
	r.RandomKey = stringOf(raw.RandomKey)
	r.Message = stringOf(raw.Message)
	return nil
}

func stringOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

var fromIPText = regexp.MustCompile(`from ip: ?([0-9a-fA-F.:]{2,45}[0-9a-fA-F])`)

// CallerIP is our address in an errmsg of WeCom's, or empty.
func CallerIP(errmsg string) string {
	if m := fromIPText.FindStringSubmatch(errmsg); m != nil {
		return m[1]
	}
	return ""
}

// CheckOrder verifies that the next page may be asked for after the page's last
// seq: every record has a seq, each seq is above after, and the seqs rise.
func CheckOrder(after uint64, records []Record) error {
	last := after
	for i, r := range records {
		if r.Seq <= last {
			return fmt.Errorf("record %d of %d has seq %d, not above %d", i+1, len(records), r.Seq, last)
		}
		last = r.Seq
	}
	return nil
}

// Digest is the hex SHA-256 of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
