// Package queue adds to moto's imitation of SQS what the functions need beyond
// it. A [Front] remembers deduplication ids. A [Source] is Lambda's poller, which
// turns messages into events.
package queue

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"sync"
	"time"
)

// remember is how long SQS keeps a deduplication id. SQS keeps the id even if
// the message was deleted: "Amazon SQS continues to keep track of the message
// deduplication ID even after the message is received and deleted".
const remember = 5 * time.Minute

// bodyLimit is far above SQS's own limit for a batch (1 MiB), so that the JSON
// around the messages fits too.
const bodyLimit = 8 << 20

// A Front passes SQS requests on to moto. If a send uses a deduplication id of
// the last 5 minutes, the Front answers the send itself. As SQS does, it answers
// with success and the id of the first message. The Front is needed because moto
// forgets an id when the message is deleted.
//
// A Front understands SQS's JSON protocol, which every current SDK speaks. It
// handles ids that the sender chose and leaves content-based deduplication to
// moto. Safe for concurrent use.
type Front struct {
	proxy *httputil.ReverseProxy
	now   func() time.Time
	log   *slog.Logger

	// mu is held while a send is passed on, so that only the first of two
	// concurrent sends with the same id reaches moto.
	mu     sync.Mutex
	queues map[string]*memory
}

// A memory holds what the front remembers about one queue.
type memory struct {
	byID     map[string]sent
	order    []string      // ids, oldest first
	arrivals chan struct{} // gets a value after a send
}

// sent is moto's answer to the first send with an id.
type sent struct {
	at             time.Time
	MessageID      string
	SequenceNumber string
}

// NewFront makes a front that passes requests on to moto's endpoint.
func NewFront(moto *url.URL, now func() time.Time, log *slog.Logger) *Front {
	return &Front{
		proxy: &httputil.ReverseProxy{
			// The Host header stays, because moto makes queue URLs from it.
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host = moto.Scheme, moto.Host
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		},
		now: now, log: log, queues: map[string]*memory{},
	}
}

// Arrivals returns a channel that gets a value soon after messages were sent to
// the named queue. The channel holds one value: sends between two reads of the
// channel share a value. Each queue has one channel.
func (f *Front) Arrivals(queue string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queue(queue).arrivals
}

// queue finds or makes the memory of a queue. The caller holds mu.
func (f *Front) queue(name string) *memory {
	m, ok := f.queues[name]
	if !ok {
		m = &memory{byID: map[string]sent{}, arrivals: make(chan struct{}, 1)}
		f.queues[name] = m
	}
	return m
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.Header.Get("X-Amz-Target")
	if target != "AmazonSQS.SendMessage" && target != "AmazonSQS.SendMessageBatch" {
		f.proxy.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	var request struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []json.RawMessage
	}
	if err := json.Unmarshal(body, &request); err != nil {
		f.pass(w, r, body) // moto answers with the right error
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queue(path.Base(request.QueueURL))
	q.forget(f.now().Add(-remember))
	if target == "AmazonSQS.SendMessage" {
		f.send(w, r, q, body)
	} else {
		f.sendBatch(w, r, q, body, request.Entries)
	}
	select {
	case q.arrivals <- struct{}{}:
	default:
	}
}

// entry is a SendMessage request or one entry of a batch.
type entry struct {
	ID              string `json:"Id"`
	MessageBody     string
	DeduplicationID string `json:"MessageDeduplicationId"`
}

// result is the answer to an entry. ID is set in batches only.
type result struct {
	ID             string `json:"Id,omitempty"`
	MessageID      string `json:"MessageId"`
	MD5            string `json:"MD5OfMessageBody"`
	SequenceNumber string `json:"SequenceNumber,omitempty"`
}

// send passes a send on, or answers a duplicate.
func (f *Front) send(w http.ResponseWriter, r *http.Request, q *memory, body []byte) {
	var e entry
	if err := json.Unmarshal(body, &e); err != nil {
		f.pass(w, r, body)
		return
	}
	if first, known := q.byID[e.DeduplicationID]; known {
		f.log.Info("duplicate message dropped", "dedup", e.DeduplicationID)
		answer(w, first.repeat(e))
		return
	}
	status, header, got := f.fetch(r, body)
	var done result
	if status == http.StatusOK && json.Unmarshal(got, &done) == nil {
		q.add(e.DeduplicationID, sent{at: f.now(), MessageID: done.MessageID, SequenceNumber: done.SequenceNumber})
	}
	copyAnswer(w, status, header, got)
}

// sendBatch passes the new entries of a batch on, and answers the duplicates.
// A batch of duplicates does not reach moto.
func (f *Front) sendBatch(w http.ResponseWriter, r *http.Request, q *memory, body []byte, raw []json.RawMessage) {
	var dropped []result
	var fresh []json.RawMessage
	ids := map[string]string{}    // deduplication ids of the new entries, by entry id
	twins := map[string][]entry{} // later entries with an id of this batch, by that id
	seen := map[string]bool{}
	for _, item := range raw {
		var e entry
		if err := json.Unmarshal(item, &e); err != nil {
			f.pass(w, r, body)
			return
		}
		first, known := q.byID[e.DeduplicationID]
		switch {
		case known:
			f.log.Info("duplicate message dropped", "dedup", e.DeduplicationID)
			dropped = append(dropped, first.repeat(e))
		case e.DeduplicationID != "" && seen[e.DeduplicationID]:
			twins[e.DeduplicationID] = append(twins[e.DeduplicationID], e)
		default:
			seen[e.DeduplicationID] = true
			fresh = append(fresh, item)
			ids[e.ID] = e.DeduplicationID
		}
	}
	var got struct {
		Successful []result
		Failed     []json.RawMessage `json:",omitempty"`
	}
	if len(fresh) > 0 {
		var whole map[string]any
		if err := json.Unmarshal(body, &whole); err != nil {
			f.pass(w, r, body)
			return
		}
		whole["Entries"] = fresh
		changed, err := json.Marshal(whole)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		status, header, answered := f.fetch(r, changed)
		if status != http.StatusOK || json.Unmarshal(answered, &got) != nil {
			copyAnswer(w, status, header, answered)
			return
		}
		for _, done := range got.Successful {
			first := sent{at: f.now(), MessageID: done.MessageID, SequenceNumber: done.SequenceNumber}
			q.add(ids[done.ID], first)
			for _, twin := range twins[ids[done.ID]] {
				dropped = append(dropped, first.repeat(twin))
			}
		}
	}
	got.Successful = append(got.Successful, dropped...)
	answer(w, got)
}

// add remembers the answer to a send. An empty id is not remembered.
func (q *memory) add(id string, s sent) {
	if id != "" {
		q.byID[id] = s
		q.order = append(q.order, id)
	}
}

// forget drops the ids of sends before the given time.
func (q *memory) forget(before time.Time) {
	for len(q.order) > 0 && q.byID[q.order[0]].at.Before(before) {
		delete(q.byID, q.order[0])
		q.order = q.order[1:]
	}
}

// repeat is the answer to a duplicate. The digest is of the duplicate's own
// body, because SDKs compare the digest with the body that they sent.
func (s sent) repeat(e entry) result {
	sum := md5.Sum([]byte(e.MessageBody))
	return result{ID: e.ID, MessageID: s.MessageID, MD5: hex.EncodeToString(sum[:]), SequenceNumber: s.SequenceNumber}
}

// fetch passes r on with another body and returns moto's answer.
func (f *Front) fetch(r *http.Request, body []byte) (int, http.Header, []byte) {
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	f.pass(rec, r, body)
	return rec.status, rec.header, rec.body.Bytes()
}

// pass passes r on with another body. moto's answer goes to w.
func (f *Front) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	f.proxy.ServeHTTP(w, r)
}

// A recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func copyAnswer(w http.ResponseWriter, status int, header http.Header, body []byte) {
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(v)
}
