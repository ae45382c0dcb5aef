package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

// message is a request in a queue.
type message struct {
	queue     *queue
	group     string
	body      []byte
	sentAt    time.Time
	visibleAt time.Time
	receives  int
	running   bool // a process works on it
}

// queue is a FIFO queue of SQS with a function behind it.
type queue struct {
	name       string
	port       *port
	visibility time.Duration
	kept       time.Duration
	timeout    time.Duration // of the function
	few        bool          // it holds few requests of a group
	complain   func(format string, args ...any)
	messages   []*message
	running    map[string]int // processes by group
}

// of counts the messages of a group.
func (q *queue) of(group string) (n int) {
	for _, m := range q.messages {
		if m.group == group {
			n++
		}
	}
	return n
}

// maxReceives is how often a message is delivered before SQS moves it to the dead
// letters (template.yaml).
const maxReceives = 5

// fewRequests bounds the requests of one work in a queue. Without faults there are
// two, and up to seven of the timer; each answer that is lost may add one.
const fewRequests = 40

// send puts requests into a queue, each with a call of its own: after an error any
// of them may be there.
func send[R any](ctx context.Context, q *queue, group func(R) (corp, group string), reqs []R) error {
	for i, r := range reqs {
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		corp, g := group(r)
		c := archivetest.Call{Name: q.name + ".Send", Corp: corp, Writes: true}
		if err := q.port.call(ctx, c, func() {
			now := time.Now()
			if n := q.of(g); q.few && n >= fewRequests {
				q.complain("%s holds %d requests of %s and takes another", q.name, n, g)
			}
			q.messages = append(q.messages, &message{queue: q, group: g, body: body, sentAt: now, visibleAt: now})
		}); err != nil {
			return fmt.Errorf("send request %d of %d: %w", i+1, len(reqs), err)
		}
	}
	return nil
}

// Depth implements [watch.QueueDepth].
func (q *queue) Depth(ctx context.Context) (n int, err error) {
	err = q.port.call(ctx, archivetest.Call{Name: q.name + ".Depth"}, func() {
		for _, m := range q.messages {
			if !m.visibleAt.After(time.Now()) {
				n++
			}
		}
	})
	return n, err
}

// deliverable lists the messages that may be delivered now: the first of each
// group that no process works on.
func (q *queue) deliverable(now time.Time) (due []*message) {
	seen := make(map[string]bool)
	for _, m := range q.messages {
		if seen[m.group] {
			continue
		}
		seen[m.group] = true
		if !m.visibleAt.After(now) && q.running[m.group] == 0 {
			due = append(due, m)
		}
	}
	return due
}

// expire drops what the queue no longer keeps.
func (q *queue) expire(now time.Time) {
	for _, m := range append([]*message(nil), q.messages...) {
		if !m.running && (now.Sub(m.sentAt) >= q.kept || m.receives >= maxReceives && !m.visibleAt.After(now)) {
			q.remove(m)
		}
	}
}

// next is when the first hidden message becomes visible.
func (q *queue) next(now time.Time) (at time.Time) {
	for _, m := range q.messages {
		if m.visibleAt.After(now) && (at.IsZero() || m.visibleAt.Before(at)) {
			at = m.visibleAt
		}
	}
	return at
}

func (q *queue) remove(m *message) {
	for i, x := range q.messages {
		if x == m {
			q.messages = append(q.messages[:i], q.messages[i+1:]...)
			return
		}
	}
}
