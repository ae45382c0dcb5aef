package chats

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

// idsMost bounds the messages and the files of one request by ids, and idMost the
// characters of an id.
const (
	idsMost = 50
	idMost  = 4096
)

// IDsBytes bounds the body of a request by ids.
const IDsBytes = 256 << 10

// wantedLink is a file of a request for links.
type wantedLink struct {
	message string
	n       int
}

// linkOrProblem is a link, or why there is none.
type linkOrProblem struct {
	Message string            `json:"message"`
	N       int               `json:"n"`
	Link    *linkedFileJSON   `json:"link"`
	Problem *problem.Document `json:"problem"`
}

// MakeLinks makes links to several files of messages, as GetFile makes one.
func (h *Handlers) MakeLinks(ctx context.Context, c *session.Call) (output.Answer, error) {
	var wanted []wantedLink
	var ids []string
	c.Required("files")
	for i, entry := range c.Entries("files", idsMost, []string{"message", "n"}) {
		entry.Required("message")
		entry.Required("n")
		id, _ := entry.Text("message", 1, idMost)
		wanted, ids = append(wanted, wantedLink{id, entry.Index("n")}), append(ids, id)
		c.Adopt("files", i, entry)
	}
	save := c.Flag("download")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	files := make(map[wantedLink]message.File)
	owners := make(map[string]shown) // without bytes and content
	missing := make(map[wantedLink]error)
	gone, err := h.findAll(ctx, c, ids, readAlone, func(id string, s shown) error {
		for _, w := range wanted {
			if w.message == id {
				files[w], missing[w] = s.file(w.n)
			}
		}
		s.Raw, s.bytes, s.content = nil, nil, message.Content{}
		owners[id] = s
		return nil
	})
	if err != nil {
		return output.Answer{}, err
	}
	var named []string
	for _, f := range files {
		named = append(named, media.ID(f.SDKFileID))
	}
	known, err := h.lookUp(ctx, c.CorpID, archive.Distinct(named))
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Links []linkOrProblem `json:"links"`
	}{Links: []linkOrProblem{}}
	for _, w := range wanted {
		var link linkedFileJSON
		err := cmp.Or(gone[w.message], missing[w])
		if err == nil {
			link, err = h.linkTo(ctx, owners[w.message], files[w], known, save)
		}
		entry := linkOrProblem{Message: w.message, N: w.n}
		if p, refused := errors.AsType[*problem.Problem](err); refused {
			why := p.In(c.Lang, c.ID)
			entry.Problem = &why
		} else if err != nil {
			return output.Answer{}, err
		} else {
			entry.Link = &link
		}
		out.Links = append(out.Links, entry)
	}
	return output.JSON(200, out)
}

// findAll reads messages by their ids, visits those that the caller may see, and
// records one reading for each of their conversations. gone says of every other id
// why its message is not there. A message that comes too late has the problem that
// says so.
func (h *Handlers) findAll(ctx context.Context, c *session.Call, ids []string, d depth, visit func(id string, s shown) error) (gone map[string]error, _ error) {
	ids = archive.Distinct(ids)
	stored := make([]archive.Message, len(ids))
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, id := range ids {
		g.Go(func() error {
			var p place
			if opaque.Message(c.CorpID).Open(id, &p) != nil {
				return nil
			}
			m, err := h.Messages.Message(groupCtx, c.CorpID, p.Conversation, p.read())
			if errors.Is(err, archive.ErrNotFound) {
				return nil
			}
			stored[i] = m
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	gone = make(map[string]error)
	var conversations []archive.ConversationID
	for i, id := range ids {
		switch {
		case stored[i].Corp == "":
			gone[id] = problem.New(problem.NotFound, nil)
			continue
		case len(conversations) > 0 && session.Ending(ctx):
			gone[id] = problem.New(problem.Unavailable, nil)
			continue
		}
		// One message at a time: several long ones would exceed the memory of the
		// function.
		s, err := h.read(ctx, stored[i], d)
		if err != nil {
			return nil, err
		}
		if !c.Caller.Sees(s.content.Fields) {
			gone[id] = problem.New(problem.NotFound, nil)
			continue
		}
		s.hides.seq = c.Caller.Limited
		if err := visit(id, s); err != nil {
			return nil, err
		}
		conversations = append(conversations, s.Conversation)
	}
	slices.Sort(conversations)
	for _, conv := range slices.Compact(conversations) {
		if err := c.RecordReading(ctx, h.Readings, h.Now(), conv, ""); err != nil {
			return nil, err
		}
	}
	return gone, nil
}
