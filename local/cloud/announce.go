package cloud

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// announcedMost is how many announcements a bus keeps.
const announcedMost = 200

// An Announcement is an event that the functions put on an event bus, as a rule of
// the bus would deliver it.
type Announcement struct {
	ID         string          `json:"id"`
	Bus        string          `json:"bus"`
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

// A bus stands in front of moto's EventBridge, and keeps the newest events that
// moto accepted. The local cloud has no rules that would send the events to an
// SCRM: the page /scrm shows what the bus keeps. Safe for concurrent use.
type bus struct {
	proxy *httputil.ReverseProxy
	now   func() time.Time
	mu    sync.Mutex
	kept  []Announcement // the oldest first
}

func newBus(moto *url.URL, now func() time.Time) *bus {
	return &bus{now: now, proxy: &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(moto) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
}

// ServeHTTP passes a request on to moto.
func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &copied{ResponseWriter: w}
	b.proxy.ServeHTTP(answer, r)
	if r.Header.Get("X-Amz-Target") == "AWSEvents.PutEvents" {
		b.keep(body, answer.body.Bytes())
	}
}

// copied keeps a copy of an answer's body.
type copied struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (c *copied) Write(p []byte) (int, error) {
	c.body.Write(p)
	return c.ResponseWriter.Write(p)
}

// keep keeps the entries of a request that its answer has an id for.
func (b *bus) keep(request, answer []byte) {
	var in struct {
		Entries []struct{ EventBusName, Source, DetailType, Detail string }
	}
	var out struct{ Entries []struct{ EventId string } }
	if json.Unmarshal(request, &in) != nil || json.Unmarshal(answer, &out) != nil || len(in.Entries) != len(out.Entries) {
		return // moto has refused the request
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range in.Entries {
		if id := out.Entries[i].EventId; id != "" {
			b.kept = append(b.kept, Announcement{id, e.EventBusName, e.Source, e.DetailType, b.now().UTC(), json.RawMessage(e.Detail)})
		}
	}
	b.kept = slices.Delete(b.kept, 0, max(0, len(b.kept)-announcedMost))
}

// newest lists what is kept, the newest first.
func (b *bus) newest() []Announcement {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := append([]Announcement{}, b.kept...)
	slices.Reverse(list)
	return list
}

// Announcements lists the newest announcements, the newest first.
func (c *Cloud) Announcements() []Announcement { return c.bus.newest() }
