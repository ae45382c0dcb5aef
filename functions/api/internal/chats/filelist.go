package chats

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// listedMost bounds the waiting files, and the files with a problem, that are read
// for one answer.
const listedMost = 2000

// waitingFiles lists files that wait, the earliest deadline first. whole is false
// if there are more than listedMost.
func (h *Handlers) waitingFiles(ctx context.Context, corp string) (files []media.File, whole bool, err error) {
	// The next try of a file is never further away than [archive.Retention], so
	// every waiting file is due by then.
	due := h.Now().Add(archive.Retention)
	var ids []string
	for lane := range media.Lanes {
		some, err := h.Files.DueFiles(ctx, corp, lane, due, listedMost+1)
		if err != nil {
			return nil, false, err
		}
		ids = append(ids, some...)
	}
	rows, err := h.Files.Files(ctx, corp, ids)
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		files = append(files, row)
	}
	slices.SortFunc(files, compareFiles)
	whole = len(files) <= listedMost
	return files[:min(len(files), listedMost)], whole, nil
}

// problemFiles lists files with a problem, the latest deadline first. whole is
// false if there are more than listedMost.
func (h *Handlers) problemFiles(ctx context.Context, corp string) (files []media.File, whole bool, err error) {
	files, err = h.Files.FileProblems(ctx, corp, listedMost+1)
	return files[:min(len(files), listedMost)], len(files) <= listedMost, err
}

// compareFiles sorts by deadline, the earliest first.
func compareFiles(x, y media.File) int {
	return cmp.Or(x.Deadline.Compare(y.Deadline), cmp.Compare(x.ID, y.ID))
}

// filePlace is a place in a list of files.
type filePlace struct {
	Milli int64  `json:"t"`
	ID    string `json:"f"`
}

type listedFileJSON struct {
	MessageID *string     `json:"message_id"`
	Parties   []string    `json:"parties"`
	Room      *string     `json:"room"`
	MsgID     string      `json:"msgid"`
	Seq       string      `json:"seq"`
	Time      string      `json:"time"`
	Kind      string      `json:"kind"`
	Size      int64       `json:"size"`
	State     media.State `json:"state"`
	Reason    *string     `json:"reason"`
	Tries     int         `json:"tries"`
	Deadline  string      `json:"deadline"`
	HoursLeft *float64    `json:"hours_left"`
}

// ListFiles lists files that are absent or differ from their messages. It leaves
// out the names that chats give the files, because admins may not read chats.
func (h *Handlers) ListFiles(ctx context.Context, c *session.Call) (output.Answer, error) {
	state := fileState(c)
	var at filePlace
	continued := c.Page(&at)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	compare, list := compareFiles, h.waitingFiles
	if state != media.Waiting {
		compare, list = func(x, y media.File) int { return compareFiles(y, x) }, h.problemFiles
	}
	files, whole, err := list(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	after := media.File{ID: at.ID, Deadline: time.UnixMilli(at.Milli)}
	files = slices.DeleteFunc(files, func(f media.File) bool {
		// A list may be older than the rows, so the state in the row decides.
		return f.State != state || continued && compare(f, after) <= 0
	})
	out := struct {
		Files []listedFileJSON `json:"files"`
		Whole bool             `json:"whole"`
		Names names.Names      `json:"names"`
		Next  *string          `json:"next"`
	}{Files: []listedFileJSON{}, Whole: whole}
	var people, rooms []string
	for i, f := range files {
		if i == limit {
			last := files[i-1]
			if out.Next, err = c.SealPage(filePlace{Milli: last.Deadline.UnixMilli(), ID: last.ID}); err != nil {
				return output.Answer{}, err
			}
			break
		}
		j, err := showListed(f, h.Now())
		if err != nil {
			return output.Answer{}, err
		}
		out.Files, people = append(out.Files, j), append(people, j.Parties...)
		if j.Room != nil {
			rooms = append(rooms, *j.Room)
		}
	}
	out.Names = h.named(ctx, c, archive.Distinct(people), archive.Distinct(rooms))
	return output.JSON(200, out)
}

// fileState reads the state of a list of files.
func fileState(c *session.Call) media.State {
	states := []media.State{media.Waiting, media.Failed, media.Mismatch, media.Expired}
	state := media.State(c.Query.Get("state"))
	switch {
	case slices.Contains(states, state):
	case c.Query.Has("state"):
		var values []string
		for _, s := range states {
			values = append(values, string(s))
		}
		c.Reject("state", problem.OneOf, problem.RemedyOneOf, problem.Args{"values": strings.Join(values, ", ")})
	default:
		c.Reject("state", problem.Required, problem.RemedyRequired, nil)
	}
	return state
}

func showListed(f media.File, now time.Time) (listedFileJSON, error) {
	j := listedFileJSON{
		Parties: []string{}, MsgID: f.From.MsgID, Seq: output.Decimal(f.From.Seq), Time: output.Moment(f.From.Time), Kind: f.Kind, Size: f.Size,
		State: f.State, Reason: output.TextOrNull(f.Reason), Tries: f.Tries, Deadline: output.Moment(f.Deadline),
	}
	if f.State == media.Waiting {
		j.HoursLeft = output.Hours(f.Deadline.Sub(now))
	}
	if f.From.Conversation == "" { // the name of the conversation was too long to store
		return j, nil
	}
	if j.Room = output.TextOrNull(f.From.Conversation.Room()); f.From.Conversation.Kind() != "room" {
		j.Parties = append(j.Parties, f.From.Conversation.Parties()...)
	}
	id, err := messageID(archive.Message{Corp: f.Corp, Conversation: f.From.Conversation, Time: f.From.Time, MsgID: f.From.MsgID, Seq: f.From.Seq})
	j.MessageID = &id
	return j, err
}
