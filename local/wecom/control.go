package wecom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A route is a command of the console.
type route struct {
	pattern string // pattern of http.ServeMux
	about   string // description for the list of commands
	serve   func(*Sim, *http.Request) (any, error)
}

// routes are all commands except the list itself, in the order of the list.
var routes = []route{
	{"GET /counts", "counts of messages, calls and refusals since the start, by corp", func(s *Sim, _ *http.Request) (any, error) {
		return s.Stats(), nil
	}},
	{"GET /choices", "the answers to the open questions of wecom.md 10", func(s *Sim, _ *http.Request) (any, error) {
		return s.Choices(), nil
	}},
	{"PUT /choices", "replaces the answers, see Choices", func(s *Sim, r *http.Request) (any, error) {
		choices, err := read[Choices](r)
		if err == nil {
			err = s.Choose(choices)
		}
		return done{}, err
	}},
	{"GET /corps", "the ids of the corps", func(s *Sim, _ *http.Request) (any, error) {
		ids := []string{}
		for _, c := range s.Corps() {
			ids = append(ids, c.id)
		}
		return ids, nil
	}},
	{"POST /corps", `adds a corp: {"id":"ww…","open":true,"scope_all":true,"trusted_ips":["127.0.0.1"],"crowd":{"staff":8,"customers":30,"rooms":6}} and more fields, see CorpConfig`,
		func(s *Sim, r *http.Request) (any, error) {
			cfg, err := read[CorpConfig](r)
			if err != nil {
				return nil, err
			}
			c, err := s.AddCorp(cfg)
			if err != nil {
				return nil, err
			}
			return c.Details(), nil
		}},
	{"GET /corps/{id}", "all details of a corp, including the archive secret", of(func(c *Corp, _ *http.Request) (any, error) {
		return c.Details(), nil
	})},
	{"POST /corps/{id}/keys", `uploads the public key in the body (PEM); the answer is {"version":n}`, of(func(c *Corp, r *http.Request) (any, error) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		version, err := c.AddKey(string(text))
		return struct {
			Version uint32 `json:"version"`
		}{version}, err
	})},
	{"PUT /corps/{id}/scope", `replaces the members to archive: {"members":["lin.hua"],"seats":5}; seats 0 archives all members`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			Members []string `json:"members"`
			Seats   int      `json:"seats"`
		}](r)
		if err == nil {
			err = c.SetScope(q.Members, q.Seats)
		}
		return done{}, err
	})},
	{"PUT /corps/{id}/trusted-ips", `replaces the archive page's trusted addresses: {"ips":["127.0.0.1","10.0.0.0/8"]}`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			IPs []string `json:"ips"`
		}](r)
		if err == nil {
			err = c.SetTrustedIPs(q.IPs...)
		}
		return done{}, err
	})},
	{"PUT /corps/{id}/open", `switches the archive on or off: {"open":true}`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			Open bool `json:"open"`
		}](r)
		if err == nil {
			c.SetOpen(q.Open)
		}
		return done{}, err
	})},
	{"PUT /corps/{id}/licence", `replaces the licence: {"expires":"2030-01-01T00:00:00Z","edition":3}; without expires the licence never ends`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			Expires time.Time `json:"expires"`
			Edition int       `json:"edition"`
		}](r)
		if err == nil {
			err = c.SetLicence(q.Expires, q.Edition)
		}
		return done{}, err
	})},
	{"POST /corps/{id}/secret", `resets the archive secret; the answer is {"secret":"…"}`, of(func(c *Corp, _ *http.Request) (any, error) {
		return struct {
			Secret string `json:"secret"`
		}{c.ResetSecret()}, nil
	})},
	{"DELETE /corps/{id}/tokens", "ends the tokens before they expire", of(func(c *Corp, _ *http.Request) (any, error) {
		c.InvalidateTokens()
		return done{}, nil
	})},
	{"PUT /corps/{id}/app", `replaces the self-built app: {"secret":"…","trusted_ips":[…],"visible":[…],"contacts":true}`, of(func(c *Corp, r *http.Request) (any, error) {
		app, err := read[AppConfig](r)
		if err == nil {
			err = c.SetApp(app)
		}
		return done{}, err
	})},
	{"PUT /corps/{id}/callback", `replaces the archive page's callback after a check of the URL: {"url":"…","token":"…","encoding_aes_key":"…"}; an empty URL removes the callback`,
		of(func(c *Corp, r *http.Request) (any, error) {
			cb, err := read[Callback](r)
			if err == nil {
				err = c.SetCallback(r.Context(), cb)
			}
			return done{}, err
		})},
	{"PUT /corps/{id}/app-callback", "replaces the app's callback in the same way", of(func(c *Corp, r *http.Request) (any, error) {
		cb, err := read[Callback](r)
		if err == nil {
			err = c.SetAppCallback(r.Context(), cb)
		}
		return done{}, err
	})},
	{"POST /corps/{id}/events", `sends an event: {} means msgaudit_notify; {"copies":2}, {"wrong_signature":true}, {"app":true,"event":"…"} and more fields, see Event`,
		of(func(c *Corp, r *http.Request) (any, error) {
			e, err := read[Event](r)
			if err == nil {
				err = c.Emit(e)
			}
			return done{}, err
		})},
	{"GET /corps/{id}/deliveries", "the results of the last events", of(func(c *Corp, _ *http.Request) (any, error) {
		return append([]Delivery{}, c.Deliveries()...), nil
	})},
	{"POST /corps/{id}/messages",
		`sends messages: {"count":100} messages of ordinary traffic, {"every":true} one message of every kind, {"drafts":[{"from":"lin.hua","to":["0042"],"text":"…"}]} (see Draft) or {"raw":[{"text":"base64"}]} with more fields (see RawOptions); the answer lists the messages without plaintext`,
		of(sendMessages)},
	{"POST /corps/{id}/redeliver", `archives a message again under a new seq: {"msgid":"…"}`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			MsgID string `json:"msgid"`
		}](r)
		if err != nil {
			return nil, err
		}
		s, err := c.Redeliver(q.MsgID)
		s.Plain = nil
		return s, err
	})},
	{"POST /corps/{id}/chatter", `starts background chat: {"rate":2.5} messages a second; rate 0 stops it`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			Rate float64 `json:"rate"`
		}](r)
		switch {
		case err != nil:
			return nil, err
		case q.Rate == 0:
			c.StopChatter()
			return done{}, nil
		}
		return done{}, c.StartChatter(q.Rate)
	})},
	{"POST /corps/{id}/consent", `sends a customer's consent or refusal: {"customer":"wm…","member":"lin.hua","agree":false}, or "room" in place of "member"`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			Customer string `json:"customer"`
			Member   string `json:"member"`
			Room     string `json:"room"`
			Agree    bool   `json:"agree"`
		}](r)
		if err != nil {
			return nil, err
		}
		d := Draft{Kind: "disagree", From: q.Customer, Room: q.Room}
		if q.Agree {
			d.Kind = "agree"
		}
		if q.Member != "" {
			d.To = []string{q.Member}
		}
		s, err := c.Send(d)
		s.Plain = nil
		return s, err
	})},
	{"PUT /corps/{id}/faults", `replaces the faults: {} means no faults; {"unreachable":true}, {"delay_ms":3000}, {"page":"not_json"}, {"empty":"absent"} and more fields, see Faults`,
		of(func(c *Corp, r *http.Request) (any, error) {
			f, err := read[Faults](r)
			if err == nil {
				err = c.SetFaults(f)
			}
			return done{}, err
		})},
	{"POST /corps/{id}/failures", `makes the next calls fail: {"endpoint":"/cgi-bin/message/getchatdata","errcode":-1,"times":3}`, of(func(c *Corp, r *http.Request) (any, error) {
		f, err := read[Failure](r)
		if err == nil {
			err = c.FailNext(f)
		}
		return done{}, err
	})},
	{"DELETE /corps/{id}/failures", "ends the failures that are still to come", of(func(c *Corp, _ *http.Request) (any, error) {
		c.EndFailures()
		return done{}, nil
	})},
	{"POST /corps/{id}/age", `makes all archived messages older, for retention only: {"by":"120h"}`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			By string `json:"by"`
		}](r)
		if err != nil {
			return nil, err
		}
		d, err := time.ParseDuration(q.By)
		if err != nil {
			return nil, fmt.Errorf("by: %q is not a duration such as 120h or 30m", q.By)
		}
		return done{}, c.Age(d)
	})},
	{"POST /corps/{id}/seq", `makes the next seq higher: {"above":2147483648}`, of(func(c *Corp, r *http.Request) (any, error) {
		q, err := read[struct {
			Above uint64 `json:"above"`
		}](r)
		if err == nil {
			err = c.JumpSeq(q.Above)
		}
		return done{}, err
	})},
	{"GET /corps/{id}/sent", "lists archived messages, including those past retention: ?after=seq&limit=n; plain is the plaintext in base64", of(func(c *Corp, r *http.Request) (any, error) {
		after, err := number(r, "after", 0)
		if err != nil {
			return nil, err
		}
		limit, err := number(r, "limit", 1000)
		if err != nil {
			return nil, err
		}
		return c.SentAfter(after, int(min(limit, 10000))), nil
	})},
}

// done is the empty answer of a command.
type done struct{}

// of makes a command from a function of the corp in the path.
func of(f func(*Corp, *http.Request) (any, error)) func(*Sim, *http.Request) (any, error) {
	return func(s *Sim, r *http.Request) (any, error) {
		c, err := s.Corp(r.PathValue("id"))
		if err != nil {
			return nil, missing{err}
		}
		return f(c, r)
	}
}

// missing is an error with status 404.
type missing struct{ error }

// rawMessage is a message whose plaintext the caller chooses.
type rawMessage struct {
	Text []byte `json:"text"`
	RawOptions
}

// sendAll sends messages, which what names, up to the first that fails.
func sendAll[M any](all []M, what string, send func(M) (Sent, error)) ([]Sent, error) {
	var list []Sent
	for i, m := range all {
		s, err := send(m)
		if err != nil {
			return nil, fmt.Errorf("%s %d (earlier %ss are sent): %w", what, i, what, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// sendMessages serves POST /corps/{id}/messages.
func sendMessages(c *Corp, r *http.Request) (any, error) {
	q, err := read[struct {
		Count  *int         `json:"count"`
		Every  bool         `json:"every"`
		Drafts []Draft      `json:"drafts"`
		Raw    []rawMessage `json:"raw"`
	}](r)
	if err != nil {
		return nil, err
	}
	fields := 0
	for _, present := range []bool{q.Count != nil, q.Every, len(q.Drafts) > 0, len(q.Raw) > 0} {
		if present {
			fields++
		}
	}
	if fields != 1 {
		return nil, errors.New("body must have exactly one of count, every, drafts and raw")
	}
	var list []Sent
	switch {
	case q.Count != nil:
		if *q.Count > 100000 {
			return nil, errors.New("count above 100000")
		}
		list, err = c.Mixed(*q.Count)
	case q.Every:
		list, err = c.Every()
	case len(q.Raw) > 0:
		list, err = sendAll(q.Raw, "raw message", func(m rawMessage) (Sent, error) { return c.SendRaw(m.Text, m.RawOptions) })
	default:
		list, err = sendAll(q.Drafts, "draft", c.Send)
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Plain = nil
	}
	return struct {
		Messages []Sent `json:"messages"`
	}{list}, nil
}

// read reads the JSON body of a command. An empty body means {}.
func read[T any](r *http.Request) (T, error) {
	var v T
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return v, err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return v, nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, fmt.Errorf("body invalid: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if dec.More() {
		return v, errors.New("body continues after the JSON")
	}
	return v, nil
}

// number reads a parameter that is a number of 0 or more. An absent parameter
// means absent.
func number(r *http.Request, name string, absent uint64) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number of 0 or more", name, text)
	}
	return n, nil
}

// maxCommand is the largest size of a command. A draft with a large text must fit.
const maxCommand = 64 << 20

// Control serves WeCom's admin console, with JSON over HTTP, and the commands
// that cause faults. GET / lists the commands. A command that fails answers 400,
// or 404 for an unknown corp, with {"error":"the reason"}.
//
// The console shows secrets and requires no token. So it answers loopback
// addresses only, and refuses requests of web pages from other origins.
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		_, _ = io.WriteString(w, "Console of the simulated WeCom. Requests and answers are JSON.\n")
		for _, r := range routes {
			_, _ = fmt.Fprintf(w, "\n%s\n    %s\n", r.pattern, r.about)
		}
	})
	for _, route := range routes {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxCommand)
			v, err := route.serve(s, r)
			code := http.StatusOK
			if err != nil {
				code = http.StatusBadRequest
				if errors.As(err, new(missing)) {
					code = http.StatusNotFound
				}
				v = struct {
					Error string `json:"error"`
				}{err.Error()}
			}
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
			w.WriteHeader(code)
			_, _ = w.Write(append(encode(v), '\n'))
		})
	}
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) {
			http.Error(w, "host or caller is not a loopback address", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// loopback reports whether an address, with or without a port, is a loopback
// address or localhost. Other names do not count, even if they resolve to a
// loopback address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
