package people

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom"
)

// Progress is how far the archive of a corp has come.
type Progress struct {
	Head      uint64 // highest seq in the journal
	Journaled int    // records in the journal
	Decoded   int    // messages in the view
	Pages     int    // rows of the ledger
	Pending   int    // rows of pages that are not decoded
	SetAside  int    // records set aside
	Lag       time.Duration
	Trouble   string // cause of the corp's trouble; empty without trouble
}

// A Watcher follows the progress of one corp. It reads a settled row of the
// ledger only once. A row is settled if its page is decoded and none of its
// records is set aside. Not safe for concurrent use.
type Watcher struct {
	API  *API
	Corp string

	from uint64   // every row with an After below from is settled and counted in done
	done Progress // counts of the rows before from
}

// ledgerPage is one answer of GET /ledger.
type ledgerPage struct {
	Rows []ledgerRow `json:"rows"`
	Next *string     `json:"next"`
}

type ledgerRow struct {
	After  uint64 `json:"after,string"`
	Last   uint64 `json:"last,string"`
	Count  int    `json:"count"`
	State  string `json:"state"`
	Result *struct {
		Stored   int            `json:"stored"`
		SetAside map[string]int `json:"set_aside"`
	} `json:"result"`
}

// add counts a row, and reports whether the row is settled.
func (p *Progress) add(row ledgerRow) (settled bool) {
	setAside := 0
	if row.Result != nil {
		p.Decoded += row.Result.Stored
		for _, n := range row.Result.SetAside {
			setAside += n
		}
	}
	p.Pages++
	p.Journaled += row.Count
	p.SetAside += setAside
	if row.State != "decoded" {
		p.Pending++
	}
	return row.State == "decoded" && setAside == 0
}

// Look reads the progress of this moment.
func (w *Watcher) Look(ctx context.Context) (Progress, error) {
	var status struct {
		Head struct {
			Seq uint64 `json:"seq,string"`
		} `json:"head"`
		Lag     *float64 `json:"lag_seconds"`
		Trouble *struct {
			Cause string `json:"cause"`
		} `json:"trouble"`
	}
	if err := w.API.Call(ctx, Service, http.MethodGet, w.Corp, "/status", nil, &status); err != nil {
		return Progress{}, err
	}
	now := w.done
	settled := true // all rows so far
	for from := w.from; ; {
		var page ledgerPage
		path := fmt.Sprintf("/ledger?order=asc&limit=200&from=%d", from)
		if err := w.API.Call(ctx, Service, http.MethodGet, w.Corp, path, nil, &page); err != nil {
			return Progress{}, err
		}
		for _, row := range page.Rows {
			if settled = now.add(row) && settled; settled {
				w.done, w.from = now, row.Last
			}
		}
		if page.Next == nil {
			break
		}
		next, err := strconv.ParseUint(*page.Next, 10, 64)
		if err != nil || next <= from {
			return Progress{}, fmt.Errorf("ledger continues at %q after %d", *page.Next, from)
		}
		from = next
	}
	now.Head = status.Head.Seq
	if status.Lag != nil {
		now.Lag = time.Duration(*status.Lag * float64(time.Second))
	}
	if status.Trouble != nil {
		now.Trouble = status.Trouble.Cause
	}
	return now, nil
}

// A Message is a message of the API with its bytes as decrypted.
type Message struct {
	ID           string    `json:"id"`
	Conversation string    `json:"conversation"`
	Seq          uint64    `json:"seq,string"`
	MsgID        string    `json:"msgid"`
	Time         time.Time `json:"time"`
	Raw          []byte    `json:"raw"`
}

// ReadAll reads every message of a corp as the staff would read it: through the
// conversations of each member, customer and robot, and through the list of
// unplaced conversations. Lists leave out the bytes of large messages, so ReadAll
// fetches these bytes separately. It fails if the messages of a conversation are
// out of time order.
func ReadAll(ctx context.Context, api *API, corp *wecom.Corp) (map[string]Message, error) {
	details := corp.Details()
	lists := []string{"unplaced=true"}
	for _, s := range details.Staff {
		lists = append(lists, "member="+url.QueryEscape(s.UserID))
	}
	for _, c := range details.Customers {
		lists = append(lists, "external_contact="+url.QueryEscape(c.ExternalUserID))
	}
	for _, r := range details.Robots {
		lists = append(lists, "external_contact="+url.QueryEscape(r.ID))
	}
	read := map[string]bool{}
	messages := map[string]Message{}
	for _, list := range lists {
		conversations, err := Conversations(ctx, api, corp.ID(), list)
		if err != nil {
			return nil, err
		}
		for _, id := range conversations {
			if read[id] {
				continue
			}
			read[id] = true
			if err := readConversation(ctx, api, corp.ID(), id, messages); err != nil {
				return nil, err
			}
		}
	}
	return messages, nil
}

// Conversations lists the ids of a person's conversations, the most recently
// active first. whose is a query such as member=lin.hua.
func Conversations(ctx context.Context, api *API, corp, whose string) ([]string, error) {
	var ids []string
	err := pages(ctx, api, corp, "/conversations?limit=200&"+whose, func(page *conversationPage) error {
		for _, c := range page.Conversations {
			ids = append(ids, c.ID)
		}
		return nil
	})
	return ids, err
}

type conversationPage struct {
	Conversations []struct {
		ID string `json:"id"`
	} `json:"conversations"`
	Next *string `json:"next"`
}

func (p *conversationPage) next() *string { return p.Next }

type messagePage struct {
	Messages []Message `json:"messages"`
	Next     *string   `json:"next"`
}

func (p *messagePage) next() *string { return p.Next }

// readConversation adds the messages of a conversation to the map.
func readConversation(ctx context.Context, api *API, corp, id string, into map[string]Message) error {
	var last time.Time
	return pages(ctx, api, corp, "/conversations/"+url.PathEscape(id)+"/messages?order=asc&limit=200", func(page *messagePage) error {
		for _, m := range page.Messages {
			if m.Time.Before(last) {
				return fmt.Errorf("message %s out of time order in its conversation", m.MsgID)
			}
			if _, twice := into[m.MsgID]; twice && m.MsgID != "" {
				return fmt.Errorf("message %s listed twice", m.MsgID)
			}
			if m.Raw == nil {
				var err error
				if m.Raw, err = api.Bytes(ctx, Reader, corp, "/messages/"+url.PathEscape(m.ID)+"/raw"); err != nil {
					return fmt.Errorf("message %s: %w", m.MsgID, err)
				}
			}
			last = m.Time
			into[m.MsgID] = m
		}
		return nil
	})
}

// pages calls each with every page of a list.
func pages[P any, PP interface {
	*P
	next() *string
}](ctx context.Context, api *API, corp, path string, each func(PP) error) error {
	page := ""
	for {
		var p P
		if err := api.Call(ctx, Reader, http.MethodGet, corp, path+page, nil, &p); err != nil {
			return err
		}
		if err := each(&p); err != nil {
			return err
		}
		next := PP(&p).next()
		if next == nil {
			return nil
		}
		page = "&page=" + url.QueryEscape(*next)
	}
}

// Compare compares the messages that WeCom archived with the messages that were
// read. It reports missing messages, messages with other bytes, and messages
// that were never sent. It names at most 10 messages.
func Compare(sent []wecom.Sent, read map[string]Message) error {
	var errs []error
	wrong := func(format string, args ...any) {
		if len(errs) < 10 {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	known := map[string]bool{}
	for _, s := range sent {
		known[s.MsgID] = true
		if s.Spoilt || s.LeftOut != "" {
			continue
		}
		m, ok := read[s.MsgID]
		switch {
		case !ok:
			wrong("message %s (seq %d, %s) missing", s.MsgID, s.Seq, s.Kind)
		case !bytes.Equal(m.Raw, s.Plain):
			wrong("message %s (seq %d, %s) has other bytes", s.MsgID, s.Seq, s.Kind)
		}
	}
	for id, m := range read {
		if !known[id] {
			wrong("message %s (seq %d) never sent", id, m.Seq)
		}
	}
	return errors.Join(errs...)
}
