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

// Progress is how far the archive of a corp is.
type Progress struct {
	Head      uint64 // highest seq in the journal
	Journaled int    // records in the journal
	Decoded   int    // of these, messages in the view
	Pages     int    // rows of the chain
	Pending   int    // rows whose view is not written
	SetAside  int    // records set aside
	Lag       time.Duration
	Trouble   string // cause, empty if all is well
}

// A Watcher follows the progress of one corp. It reads decoded rows of the
// chain once. Not safe for concurrent use.
type Watcher struct {
	API  *API
	Corp string

	from uint64   // rows asked after less are in done
	done Progress // of those rows
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
	settled := true // no row so far is pending
	for from := w.from; ; {
		var page struct {
			Rows []struct {
				After  uint64 `json:"after,string"`
				Last   uint64 `json:"last,string"`
				Count  int    `json:"count"`
				State  string `json:"state"`
				Result *struct {
					Stored   int            `json:"stored"`
					SetAside map[string]int `json:"set_aside"`
				} `json:"result"`
			} `json:"rows"`
			Next *string `json:"next"`
		}
		path := fmt.Sprintf("/ledger?order=asc&limit=200&from=%d", from)
		if err := w.API.Call(ctx, Service, http.MethodGet, w.Corp, path, nil, &page); err != nil {
			return Progress{}, err
		}
		for _, row := range page.Rows {
			now.Pages++
			now.Journaled += row.Count
			waiting := 0
			if row.Result != nil {
				now.Decoded += row.Result.Stored
				for _, n := range row.Result.SetAside {
					waiting += n
				}
			}
			now.SetAside += waiting
			if row.State != "decoded" {
				now.Pending++
			}
			if settled = settled && row.State == "decoded" && waiting == 0; settled {
				w.done, w.from = now, row.Last
			}
		}
		if page.Next == nil {
			break
		}
		next, err := strconv.ParseUint(*page.Next, 10, 64)
		if err != nil || next <= from {
			return Progress{}, fmt.Errorf("the ledger goes on at %q after %d", *page.Next, from)
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

// Message is a message as the API shows it, with its bytes as decrypted.
type Message struct {
	ID           string    `json:"id"`
	Conversation string    `json:"conversation"`
	Seq          uint64    `json:"seq,string"`
	MsgID        string    `json:"msgid"`
	Time         time.Time `json:"time"`
	Raw          []byte    `json:"raw"`
}

// ReadAll reads every message of a corp as its staff would: through the
// conversations of each member, customer and robot, and what is unplaced; of
// large messages, which lists show without their bytes, the bytes too. It fails
// if a conversation's messages are not in order of time.
func ReadAll(ctx context.Context, api *API, corp *wecom.Corp) (map[string]Message, error) {
	view := corp.View()
	lists := []string{"unplaced=true"}
	for _, s := range view.Staff {
		lists = append(lists, "member="+url.QueryEscape(s.UserID))
	}
	for _, c := range view.Customers {
		lists = append(lists, "external_contact="+url.QueryEscape(c.ExternalUserID))
	}
	for _, r := range view.Robots {
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

// Conversations lists the ids of somebody's conversations, newest activity
// first. whose is as in a query, such as member=lin.hua.
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

func readConversation(ctx context.Context, api *API, corp, id string, into map[string]Message) error {
	var last time.Time
	return pages(ctx, api, corp, "/conversations/"+url.PathEscape(id)+"/messages?order=asc&limit=200", func(page *messagePage) error {
		for _, m := range page.Messages {
			if m.Time.Before(last) {
				return fmt.Errorf("message %s is out of order in its conversation", m.MsgID)
			}
			if _, twice := into[m.MsgID]; twice && m.MsgID != "" {
				return fmt.Errorf("message %s is shown twice", m.MsgID)
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

// pages reads all pages of a list.
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

// Compare reports what differs between what WeCom archived and what was read:
// messages that are missing, other bytes, or messages that nobody sent. It
// names at most 10 of them.
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
			wrong("message %s (seq %d, %s) cannot be read", s.MsgID, s.Seq, s.Kind)
		case !bytes.Equal(m.Raw, s.Plain):
			wrong("message %s (seq %d, %s) has other bytes", s.MsgID, s.Seq, s.Kind)
		}
	}
	for id, m := range read {
		if !known[id] {
			wrong("message %s (seq %d) was never sent", id, m.Seq)
		}
	}
	return errors.Join(errs...)
}
