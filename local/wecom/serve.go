package wecom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// apiHost is the only host that the simulated WeCom answers for.
const apiHost = "qyapi.weixin.qq.com"

// status is the beginning of every JSON answer.
type status struct {
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
}

var ok = status{0, "ok"}

// A refusal is the errcode of an answer.
type refusal int

func (r refusal) Error() string { return fmt.Sprintf("errcode %d", int(r)) }

// phrases are the beginnings of errmsg, by errcode.
var phrases = map[refusal]string{
	-1:     "system busy",
	40001:  "invalid credential",
	40007:  "invalid media_id",
	40013:  "invalid corpid",
	40014:  "invalid access_token",
	40058:  "invalid Request Parameter",
	40091:  "secret is not of this corp",
	40096:  "invalid external userid",
	41001:  "access_token missing",
	41002:  "corpid missing",
	41004:  "secret missing",
	42001:  "access_token expired",
	45009:  "api freq out of limit",
	48002:  "api forbidden",
	60011:  "no privilege to access/modify contact/party/agent",
	60020:  "not allow to access from your ip",
	60111:  "userid not found",
	84061:  "not external contact",
	92002:  "cross corp call",
	301042: "get chatdata whiteip not match",
	301048: "sdkfileid not exist or expired",
	301052: "contract is over time.pls recharge",
	301053: "corp is not open msgaudit",
	301058: "chatdata too large",
	301059: "not an internal room",
	301060: "too many items",
	301061: "invalid userid or exteropenid",
}

// plain lists the errcodes whose errmsg has no hint after the phrase.
var plain = []refusal{40014, 301052, 301053}

// access says which token an endpoint requires, from which addresses.
type access int

const (
	archivePull access = iota // the archive's token, from the archive page's trusted addresses
	archiveInfo               // the archive's token, from the addresses that [Choices.ForeignIPCode] permits
	anyToken                  // any token, from any address
	appOnly                   // the app's token, from the app's trusted addresses
	appOrChoice               // as appOnly, or the archive's token if [Choices.ArchiveReadsUsers] is set
)

// An endpoint is one path of WeCom's interface.
type endpoint struct {
	method    string
	access    access
	perMinute int    // limit of calls by one corp; 0 means generalLimit, -1 means Config.PullsPerMinute
	empty     string // name of the list that a refusal contains too, but empty
	answer    func(*call) (any, error)
}

// generalLimit is how often a corp may call one interface in a minute
// (wecom.md 5).
const generalLimit = 10000

const (
	pathToken = "/cgi-bin/gettoken"
	pathPage  = "/cgi-bin/message/getchatdata"
	pathMedia = "/cgi-bin/message/getchatmediadata"
)

// endpoints are all paths except gettoken's.
var endpoints = map[string]endpoint{
	pathPage:                                 {"POST", archivePull, -1, "chatdata", (*call).chatData},
	pathMedia:                                {"POST", archivePull, 0, "", (*call).mediaData},
	"/cgi-bin/msgaudit/get_permit_user_list": {"POST", archiveInfo, 1000, "ids", (*call).permitted},
	"/cgi-bin/msgaudit/check_single_agree":   {"POST", archiveInfo, 2500, "", (*call).singleAgree},
	"/cgi-bin/msgaudit/check_room_agree":     {"POST", archiveInfo, 1500, "", (*call).roomAgree},
	"/cgi-bin/msgaudit/groupchat/get":        {"POST", archiveInfo, 2000, "", (*call).internalRoom},
	"/cgi-bin/msgaudit/get_robot_info":       {"GET", archiveInfo, 600, "", (*call).robotInfo},
	"/cgi-bin/getcallbackip":                 {"GET", anyToken, 0, "", (*call).callbackIPs},
	"/cgi-bin/get_api_domain_ip":             {"GET", anyToken, 0, "", (*call).domainIPs},
	"/cgi-bin/user/get":                      {"GET", appOrChoice, 0, "", (*call).user},
	"/cgi-bin/externalcontact/get":           {"GET", appOnly, 0, "", (*call).externalContact},
	"/cgi-bin/externalcontact/groupchat/get": {"POST", appOnly, 0, "", (*call).customerRoom},
}

// known reports whether WeCom serves the path.
func known(path string) bool {
	_, ok := endpoints[path]
	return ok || path == pathToken
}

// A call is one request on behalf of a corp.
type call struct {
	sim  *Sim
	corp *Corp
	app  bool // the call has the app's token
	path string
	ip   string
	w    http.ResponseWriter
	r    *http.Request
	body []byte
}

// maxBody is the largest size of a request body. The largest real request has
// 100 pairs of ids, which is far below maxBody.
const maxBody = 1 << 20

// Handler serves qyapi.weixin.qq.com. It takes requests in origin form for any
// host. It takes requests in absolute form, which clients send to a proxy, for
// this host only.
func (s *Sim) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect || r.URL.IsAbs() && r.URL.Hostname() != apiHost {
			http.Error(w, "proxy for "+apiHost+" only, without TLS", http.StatusForbidden)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		c := &call{sim: s, path: r.URL.Path, ip: s.cfg.ClientIP(r), w: w, r: r, body: body}
		if c.path == pathToken {
			c.serveToken()
			return
		}
		e, ok := endpoints[c.path]
		if !ok {
			w.WriteHeader(http.StatusNotFound) // with an empty body, like the real WeCom
			return
		}
		c.serve(e)
	})
}

// serve answers a call of an endpoint.
func (c *call) serve(e endpoint) {
	owner, err := c.sim.owner(c.r.URL.Query().Get("access_token"))
	if owner.corp == nil {
		c.count()
		c.refuse(err, e.empty)
		return
	}
	c.corp, c.app = owner.corp, owner.app
	c.count()
	c.answerWithFaults(e.empty, func() (any, error) {
		if err != nil {
			return nil, err
		}
		if c.r.Method != e.method {
			return nil, or(c.sim.Choices().WrongMethodCode, 40058)
		}
		if err := c.admit(e); err != nil {
			return nil, err
		}
		return e.answer(c)
	})
}

// count counts the call for its corp, or as a stray.
func (c *call) count() {
	if c.corp == nil {
		c.sim.mu.Lock()
		defer c.sim.mu.Unlock()
		c.sim.strays[c.path]++
		return
	}
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()
	c.corp.counted.Calls[c.path]++
}

// answerWithFaults answers a call, unless a fault of the corp prevents this.
func (c *call) answerWithFaults(empty string, answer func() (any, error)) {
	c.corp.mu.Lock()
	faults, failure := c.corp.faults, c.corp.failure(c.path)
	c.corp.mu.Unlock()
	if faults.DelayMS > 0 {
		wait := time.NewTimer(faults.delay())
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-c.r.Context().Done():
			return
		case <-c.sim.background.Done():
			panic(http.ErrAbortHandler)
		}
	}
	if faults.Unreachable {
		panic(http.ErrAbortHandler) // the server closes the connection without a log line
	}
	switch {
	case failure.Body != "":
		c.answerBytes("application/json; charset=UTF-8", []byte(failure.Body))
		return
	case failure.Code != 0:
		c.refuse(refusal(failure.Code), empty)
		return
	}
	switch v, err := answer(); {
	case err != nil:
		c.refuse(err, empty)
	case v != nil:
		c.answerJSON(v)
	}
}

// admit checks whether the call's token may call e now, from the call's address.
func (c *call) admit(e endpoint) error {
	choices := c.sim.Choices()
	c.corp.mu.Lock()
	defer c.corp.mu.Unlock()

	app := e.access == appOnly || e.access == appOrChoice
	switch {
	case e.access == anyToken, c.app == app, e.access == appOrChoice && choices.ArchiveReadsUsers:
	default:
		return refusal(48002)
	}

	switch {
	case e.access == archivePull && !contains(c.corp.trusted, c.ip):
		return refusal(301042)
	case e.access == archiveInfo && choices.ForeignIPCode >= 0 && !contains(c.corp.trusted, c.ip):
		return or(choices.ForeignIPCode, 301042)
	case app && c.app && !contains(c.corp.app.trusted, c.ip):
		return refusal(60020)
	}

	if e.access == archivePull || e.access == archiveInfo {
		if !c.corp.open {
			return refusal(301053)
		}
		if c.corp.expired() {
			return refusal(301052)
		}
	}

	return c.countPerMinute(e.perMinute)
}

// countPerMinute counts the call, or refuses it if the corp has reached the
// endpoint's limit. The corp is locked.
func (c *call) countPerMinute(limit int) error {
	now := c.sim.cfg.Now()
	switch limit {
	case 0:
		limit = generalLimit
	case -1:
		limit = c.sim.cfg.PullsPerMinute
	}
	recent := slices.DeleteFunc(c.corp.calls[c.path], func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(recent) >= limit {
		c.corp.calls[c.path] = recent
		return refusal(45009)
	}
	c.corp.calls[c.path] = append(recent, now)
	return nil
}

// decode reads the body into v. An empty body means {}.
func (c *call) decode(v any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	err := json.Unmarshal(c.body, v)
	if wrongType := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrongType) {
		return refusal(40058)
	}
	if err != nil {
		return or(c.sim.Choices().BrokenJSONCode, 40058)
	}
	return nil
}

// or returns code, or instead if code is zero.
func or(code, instead int) refusal {
	if code == 0 {
		return refusal(instead)
	}
	return refusal(code)
}

// refuse answers with the errcode of err and with the empty list that is named.
func (c *call) refuse(err error, empty string) {
	code := refusal(-1)
	errors.As(err, &code)
	if c.corp != nil {
		c.corp.mu.Lock()
		byCode := c.corp.counted.Refused[c.path]
		if byCode == nil {
			byCode = map[int]int{}
			c.corp.counted.Refused[c.path] = byCode
		}
		byCode[int(code)]++
		c.corp.mu.Unlock()
	}
	text, ok := phrases[code]
	if !ok {
		text = "refused"
	}
	if !slices.Contains(plain, code) {
		text = fmt.Sprintf("%s, hint: [%s], from ip: %s, more info at https://open.work.weixin.qq.com/devtool/query?e=%d", text, c.sim.hint(), c.ip, code)
	}
	s := status{int(code), text}
	switch empty {
	case "chatdata":
		c.answerJSON(struct {
			status
			ChatData []string `json:"chatdata"`
		}{s, []string{}})
	case "ids":
		c.answerJSON(struct {
			status
			IDs []string `json:"ids"`
		}{s, []string{}})
	default:
		c.answerJSON(s)
	}
}

// hint is a request id in the form of WeCom's errmsg.
func (s *Sim) hint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d_%d_%016x%016x", s.cfg.Now().Unix(), s.rand.IntN(1000), s.rand.Uint64(), s.rand.Uint64())
}

// encode writes JSON as WeCom does, without HTML escapes and without a line end.
func encode(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("wecom: encode a %T: %v", v, err)) // impossible: v is one of this package's plain structs
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

func (c *call) answerJSON(v any) { c.answerBytes("application/json; charset=UTF-8", encode(v)) }

func (c *call) answerBytes(contentType string, b []byte) {
	c.w.Header().Set("Content-Type", contentType)
	_, _ = c.w.Write(b) // an error means that the caller has closed the connection
}
