package chats

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

// filesMost bounds the files that the content of a message lists. No client of
// WeCom makes a message with more files.
const filesMost = 5000

// stateUnknown is the state of a file without a row: the archive never requested the
// file. A replay of its message requests it.
const stateUnknown media.State = "unknown"

// fileJSON is a file as its message describes it, with the copy in the archive.
type fileJSON struct {
	message.File
	Copy copyJSON `json:"copy"`
}

type copyJSON struct {
	State     media.State `json:"state"`
	Reason    *string     `json:"reason"`
	Size      *int64      `json:"size"`
	Type      *string     `json:"type"`
	HoursLeft *float64    `json:"hours_left"`
	LinkPath  *string     `json:"link_path"`
}

// knownFiles holds rows of files, by [media.ID]. They were read at the time now.
type knownFiles struct {
	rows map[string]media.File
	now  time.Time
}

// show shows the n-th file of a message.
func (k knownFiles) show(corp, messageID string, n int, named message.File) fileJSON {
	row, ok := k.rows[media.ID(named.SDKFileID)]
	if !ok {
		return fileJSON{named, copyJSON{State: stateUnknown}}
	}
	j := copyJSON{State: row.State, Reason: output.TextOrNull(row.Reason)}
	if row.State == media.Waiting {
		j.HoursLeft = output.Hours(row.Deadline.Sub(k.now))
	}
	if s := row.Stored; s != nil {
		path := "/v1/corps/" + corp + "/messages/" + messageID + "/files/" + strconv.Itoa(n)
		j.Size, j.Type, j.LinkPath = &s.Size, output.TextOrNull(string(s.Type)), &path
	}
	return fileJSON{named, j}
}

// fileIDs returns the ids of the files that the content of a message lists:
// none if the message has more than filesMost.
func fileIDs(files []message.File) []string {
	if len(files) > filesMost {
		return nil
	}
	ids := make([]string, len(files))
	for i, f := range files {
		ids[i] = media.ID(f.SDKFileID)
	}
	return ids
}

// lookUp reads the rows of files.
func (h *Handlers) lookUp(ctx context.Context, corp string, ids []string) (knownFiles, error) {
	k := knownFiles{now: h.Now()}
	if len(ids) == 0 {
		return k, nil
	}
	var err error
	k.rows, err = h.Files.Files(ctx, corp, ids)
	return k, err
}

// GetFile makes a link to a file of a message. It finds the file through the
// message, in the corp of the token, and only if the caller may see the message.
// A request cannot name a file directly.
func (h *Handlers) GetFile(ctx context.Context, c *session.Call) (output.Answer, error) {
	redirect, save := c.Only("redirect"), c.Only("download")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	n, err := strconv.Atoi(c.PathValue("n"))
	if err != nil || n < 0 || strconv.Itoa(n) != c.PathValue("n") {
		return output.Answer{}, problem.New(problem.NotFound, nil)
	}
	s, err := h.find(ctx, c, readAlone)
	if err != nil {
		return output.Answer{}, err
	}
	named, err := s.file(n)
	if err != nil {
		return output.Answer{}, err
	}
	known, err := h.lookUp(ctx, c.CorpID, []string{media.ID(named.SDKFileID)})
	if err != nil {
		return output.Answer{}, err
	}
	j, err := h.linkTo(ctx, s, named, known, save)
	if err != nil {
		return output.Answer{}, err
	}
	if redirect {
		return output.Answer{Status: http.StatusFound, Header: http.Header{"Location": {j.URL}}}, nil
	}
	return output.JSON(200, j)
}

// file returns the n-th file of a message. It returns a problem if the message has
// no such file, or is too long to be read for files.
func (s shown) file(n int) (message.File, error) {
	if len(s.bytes) > filesRead {
		return message.File{}, problem.New(problem.FileUnread, problem.Args{"size": strconv.Itoa(len(s.bytes))})
	}
	if n >= len(s.content.Files) {
		return message.File{}, problem.New(problem.NotFound, nil)
	}
	return s.content.Files[n], nil
}
