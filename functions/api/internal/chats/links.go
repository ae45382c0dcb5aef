package chats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// idsMost bounds the messages and the files of one request by ids, and idMost the
// characters of an id.
const (
	idsMost = 50
	idMost  = 4096
)

// linkLife is the time for which a link to a file works.
const linkLife = 5 * time.Minute

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

type linkedFileJSON struct {
	URL         string      `json:"url"`
	ExpiresAt   string      `json:"expires_at"`
	ContentType string      `json:"content_type"`
	FileName    string      `json:"file_name"`
	Size        int64       `json:"size"`
	MD5         string      `json:"md5"`
	SHA256      string      `json:"sha256"`
	State       media.State `json:"state"`
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

// linkTo makes a link to a file that a message names, or returns the problem that
// the file is not stored.
func (h *Handlers) linkTo(ctx context.Context, s shown, named message.File, known knownFiles, save bool) (linkedFileJSON, error) {
	id := media.ID(named.SDKFileID)
	row, ok := known.rows[id]
	if !ok || row.Stored == nil {
		return linkedFileJSON{}, notStored(row, s.name(), known.now)
	}
	// The row holds the name from the first message that named the file, perhaps in
	// a chat that the caller may not see. The link gets the name from this message.
	row.Name, row.Ext = named.Name, named.Ext
	link, err := h.Links.Link(ctx, row, linkLife, save)
	if err != nil {
		return linkedFileJSON{}, err
	}
	j := linkedFileJSON{
		URL: link, ExpiresAt: output.Moment(known.now.Add(linkLife)), Size: row.Stored.Size, MD5: row.Stored.MD5, SHA256: row.Stored.SHA256, State: row.State,
	}
	if row.State == media.Waiting { // the file is fetched again because the copy differs
		j.State = media.Mismatch
	}
	if j.ContentType, j.FileName, err = servedAs(link); err != nil {
		return linkedFileJSON{}, fmt.Errorf("read link to file %s: %w", id, err)
	}
	return j, nil
}

// servedAs reads from a link the content type and the name with which S3 will
// serve the file (GetObject, "Overriding response header values").
func servedAs(link string) (contentType, name string, err error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", "", err
	}
	q := u.Query()
	_, params, err := mime.ParseMediaType(q.Get("response-content-disposition"))
	return q.Get("response-content-type"), params["filename"], err
}

// notStored says why a file has no copy. An absent row is passed as the zero
// row.
func notStored(row media.File, message string, now time.Time) error {
	switch row.State {
	case media.Waiting:
		left := strconv.FormatFloat(max(*output.Hours(row.Deadline.Sub(now)), 0), 'f', -1, 64)
		return problem.New(problem.FileWaiting, problem.Args{"hours": left})
	case media.Expired:
		return problem.New(problem.FileExpired, problem.Args{"reason": row.Reason})
	case media.Failed:
		return problem.New(problem.FileFailed, problem.Args{"reason": row.Reason, "message": message})
	}
	return problem.New(problem.FileUnknown, problem.Args{"message": message})
}

// findAll reads messages by their ids, visits those that the caller may see, and
// records one reading for each of their conversations. gone says of every other id
// why its message is not there. A message that could not be read in time gets the
// problem Unavailable.
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
		if err := c.RecordReading(ctx, h.Readings, h.Now(), archive.Reading{Conversation: conv}); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// GetMessages reads several messages by their ids, each as a list shows it.
func (h *Handlers) GetMessages(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("ids")
	ids := c.Texts("ids", idsMost, idMost)
	omit := c.Texts("omit", 2, len("json"))
	if slices.ContainsFunc(omit, func(v string) bool { return v != "raw" && v != "json" }) {
		c.Reject("omit", problem.OneOf, problem.RemedySeveral, problem.Args{"values": "raw, json"})
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	var about mentions
	shownAs := make(map[string]json.RawMessage)
	size := 0
	gone, err := h.findAll(ctx, c, ids, readListed, func(id string, s shown) error {
		revocations, err := h.revocations(ctx, c, s.Conversation, []archive.Message{s.Message})
		if err != nil {
			return err
		}
		known, err := h.lookUp(ctx, c.CorpID, fileIDs(s.content.Files))
		if err != nil {
			return err
		}
		s.hides = hidden{seq: c.Caller.Limited, raw: slices.Contains(omit, "raw"), json: slices.Contains(omit, "json")}
		if s.revokes, err = h.revokedBy(ctx, c, s); err != nil {
			return err
		}
		b, err := showMessage(s, known, showRevocation(s.Message, revocations), nil)
		if err != nil {
			return err
		}
		if size += len(b); size > output.PageBytes && size > len(b) {
			size -= len(b)
			return nil
		}
		shownAs[id] = b
		about.add(s.Conversation, s.content.Fields)
		return nil
	})
	if err != nil {
		return output.Answer{}, err
	}
	type absent struct {
		ID      string           `json:"id"`
		Problem problem.Document `json:"problem"`
	}
	out := struct {
		Missing []absent    `json:"missing"`
		Names   names.Names `json:"names"`
	}{[]absent{}, h.named(ctx, c, about.people, about.rooms)}
	var messages []json.RawMessage
	for _, id := range ids {
		why := problem.New(problem.Unavailable, nil) // the answer has no room for it
		if p, ok := errors.AsType[*problem.Problem](gone[id]); ok {
			why = p
		}
		if b, ok := shownAs[id]; ok {
			messages = append(messages, b)
		} else {
			out.Missing = append(out.Missing, absent{id, why.In(c.Lang, c.ID)})
		}
	}
	return output.List("messages", messages, out)
}
