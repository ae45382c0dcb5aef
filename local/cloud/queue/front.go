// Package queue is what stands between SQS as moto imitates it and SQS as
// functions know it: the memory of deduplication ids ([Front]), and Lambda's
// poller, which turns messages into events ([Source]).
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

// remember is how long SQS knows a deduplication id, whatever became of its
// message: "Amazon SQS continues to keep track of the message deduplication
// ID even after the message is received and deleted".
const remember = 5 * time.Minute

// bodyLimit is over SQS's own limit for a batch (1 MiB), JSON included.
const bodyLimit = 8 << 20

// A Front passes SQS requests on to moto, and answers sends whose
// deduplication id was used in the last 5 minutes itself, as SQS does: with
// success, and with the id of the first message. moto forgets an id with its
// message. It knows SQS's JSON protocol, which every current SDK speaks, and
// ids that a sender gives; content-based deduplication is left to moto.
//
// Safe for concurrent use.
type Front struct {
	proxy *httputil.ReverseProxy
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex // held while a send is passed on: two with one id are one
	queues map[string]*memory
}

// memory is what the front knows of one queue.
type memory struct {
	byID  map[string]sent
	order []string      // ids, oldest first
	bell  chan struct{} // rung after a send
}

// sent is the answer to the send that was passed on.
type sent struct {
	at             time.Time
	MessageID      string
	SequenceNumber string
}

// NewFront makes a front before moto's endpoint.
func NewFront(moto *url.URL, now func() time.Time, log *slog.Logger) *Front {
	return &Front{
		proxy: &httputil.ReverseProxy{
			// The Host stays: moto makes queue URLs of it.
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host = moto.Scheme, moto.Host
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		},
		now: now, log: log, queues: map[string]*memory{},
	}
}

// Bell rings (gets a value) some time after messages were sent to the named
// queue; rings while nobody listens are one. There is one bell per queue.
func (f *Front) Bell(queue string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queue(queue).bell
}

// queue needs mu.
func (f *Front) queue(name string) *memory {
	m, ok := f.queues[name]
	if !ok {
		m = &memory{byID: map[string]sent{}, bell: make(chan struct{}, 1)}
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
		f.pass(w, r, body) // moto knows the error for it
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
	case q.bell <- struct{}{}:
	default:
	}
}

// entry is a SendMessage request, and an entry of a batch.
type entry struct {
	ID              string `json:"Id"`
	MessageBody     string
	DeduplicationID string `json:"MessageDeduplicationId"`
}

// result is the answer to an entry; ID is set in batches.
type result struct {
	ID             string `json:"Id,omitempty"`
	MessageID      string `json:"MessageId"`
	MD5            string `json:"MD5OfMessageBody"`
	SequenceNumber string `json:"SequenceNumber,omitempty"`
}

func (f *Front) send(w http.ResponseWriter, r *http.Request, q *memory, body []byte) {
	var e entry
	if err := json.Unmarshal(body, &e); err != nil {
		f.pass(w, r, body)
		return
	}
	if first, known := q.byID[e.DeduplicationID]; known {
		f.log.Info("queue swallowed a duplicate", "dedup", e.DeduplicationID)
		answer(w, first.again(e))
		return
	}
	status, header, got := f.ask(r, body)
	var done result
	if status == http.StatusOK && json.Unmarshal(got, &done) == nil {
		q.add(e.DeduplicationID, sent{at: f.now(), MessageID: done.MessageID, SequenceNumber: done.SequenceNumber})
	}
	copyAnswer(w, status, header, got)
}

// sendBatch passes on the entries that are new. If none is, moto is not asked.
func (f *Front) sendBatch(w http.ResponseWriter, r *http.Request, q *memory, body []byte, raw []json.RawMessage) {
	var swallowed []result
	var fresh []json.RawMessage
	ids := map[string]string{}    // deduplication ids of the fresh, by entry id
	twins := map[string][]entry{} // entries whose id is in this batch already, by that id
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
			f.log.Info("queue swallowed a duplicate", "dedup", e.DeduplicationID)
			swallowed = append(swallowed, first.again(e))
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
		status, header, answered := f.ask(r, changed)
		if status != http.StatusOK || json.Unmarshal(answered, &got) != nil {
			copyAnswer(w, status, header, answered)
			return
		}
		for _, done := range got.Successful {
			first := sent{at: f.now(), MessageID: done.MessageID, SequenceNumber: done.SequenceNumber}
			q.add(ids[done.ID], first)
			for _, twin := range twins[ids[done.ID]] {
				swallowed = append(swallowed, first.again(twin))
			}
		}
	}
	got.Successful = append(got.Successful, swallowed...)
	answer(w, got)
}

func (q *memory) add(id string, s sent) {
	if id != "" {
		q.byID[id] = s
		q.order = append(q.order, id)
	}
}

// forget drops what was sent before the given time.
func (q *memory) forget(before time.Time) {
	for len(q.order) > 0 && q.byID[q.order[0]].at.Before(before) {
		delete(q.byID, q.order[0])
		q.order = q.order[1:]
	}
}

// again is the answer to a duplicate. The digest is of what was sent now: SDKs
// compare it.
func (s sent) again(e entry) result {
	sum := md5.Sum([]byte(e.MessageBody))
	return result{ID: e.ID, MessageID: s.MessageID, MD5: hex.EncodeToString(sum[:]), SequenceNumber: s.SequenceNumber}
}

// ask passes r on with another body and returns the answer.
func (f *Front) ask(r *http.Request, body []byte) (int, http.Header, []byte) {
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	f.pass(rec, r, body)
	return rec.status, rec.header, rec.body.Bytes()
}

func (f *Front) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	f.proxy.ServeHTTP(w, r)
}

// recorder keeps an answer.
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
