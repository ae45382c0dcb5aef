package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/pattern"
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
		ChatData []record        `json:"chatdata"`
	}
	// After a type error Unmarshal reads on, and at the end it returns the first one.
	if err := json.Unmarshal(raw, &a); err != nil && !isOfRecord(err) {
		return Answer{}, fmt.Errorf("answer of %d bytes is not a page: %s", len(raw), jsonFault(err))
	}
	if a.ErrCode == nil {
		return Answer{}, fmt.Errorf("answer of %d bytes has no errcode", len(raw))
	}
	code, err := strconv.Atoi(string(*a.ErrCode))
	if err != nil {
		return Answer{}, fmt.Errorf("answer of %d bytes has an errcode that is not a number", len(raw))
	}
	answer := Answer{ErrCode: code, FromIP: CallerIP(stringOf(a.ErrMsg))}
	if a.ChatData != nil {
		answer.Records = make([]Record, len(a.ChatData))
	}
	for i, r := range a.ChatData {
		answer.Records[i] = r.read()
	}
	return answer, nil
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

// record is a record as WeCom writes it. One broken record must not make its page
// unreadable, so its fields take any value.
type record struct {
	Seq        number `json:"seq"`
	MsgID      text   `json:"msgid"`
	KeyVersion number `json:"publickey_ver"`
	RandomKey  text   `json:"encrypt_random_key"`
	Message    text   `json:"encrypt_chat_msg"`
}

func (r record) read() Record {
	seq, _ := strconv.ParseUint(string(r.Seq), 10, 64)
	version, _ := strconv.ParseUint(string(r.KeyVersion), 10, 32)
	return Record{Seq: seq, MsgID: string(r.MsgID), KeyVersion: uint32(version), RandomKey: string(r.RandomKey), Message: string(r.Message)}
}

// isOfRecord reports whether err says that an element of chatdata is not an object.
// Such an element becomes a record without fields.
func isOfRecord(err error) bool {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	return ok && e.Type == reflect.TypeFor[record]()
}

// text is a JSON string. Any other type gives an empty text.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if plain := bytes.Trim(b, `"`); len(plain) == len(b)-2 && bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		*t = text(plain) // most of a page: base64, which has nothing to unquote
		return nil
	}
	*t = text(stringOf(b))
	return nil
}

func stringOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

var fromIPText = pattern.New(`from ip: ?([0-9a-fA-F.:]{2,45}[0-9a-fA-F])`)

// CallerIP is our address in an errmsg of WeCom's, or empty.
func CallerIP(errmsg string) string {
	if m := fromIPText().FindStringSubmatch(errmsg); m != nil {
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
