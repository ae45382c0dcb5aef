package chats

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/pattern"
)

// GetMessageBytes returns the bytes of a message as decrypted (law 4). The headers
// make a browser save the bytes instead of rendering them: they may be hostile HTML.
func (h *Handlers) GetMessageBytes(ctx context.Context, c *session.Call) (output.Answer, error) {
	s, err := h.find(ctx, c, readFields)
	if err != nil {
		return output.Answer{}, err
	}
	sum := sha256.Sum256(s.bytes)
	ans := output.Answer{Status: 200, ContentType: "application/octet-stream", Body: s.bytes, Header: http.Header{
		"Etag":                {`"` + hex.EncodeToString(sum[:]) + `"`},
		"Accept-Ranges":       {"bytes"},
		"Content-Disposition": {`attachment; filename="message-` + strconv.FormatInt(s.Time.UnixMilli(), 10) + `.json"`},
	}}
	size := len(s.bytes)
	first, last, requested := byteRange(c.Header.Get("Range"), size)
	switch {
	case requested && first >= size:
		p := problem.New(problem.RangeNotSatisfiable, problem.Args{"size": strconv.Itoa(size)})
		p.Header = http.Header{"Content-Range": {"bytes */" + strconv.Itoa(size)}}
		return output.Answer{}, p
	case requested:
		last = min(last, first+gateway.MaxBody-1)
		ans.Status, ans.Body = 206, s.bytes[first:last+1]
		ans.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	case size > gateway.MaxBody:
		return output.Answer{}, problem.New(problem.MessageTooLarge, problem.Args{"size": strconv.Itoa(size), "ranges": ranges(size)})
	}
	return ans, nil
}

var rangeForm = pattern.New(`^bytes=([0-9]{0,18})-([0-9]{0,18})$`)

// byteRange reads a Range header with one range (RFC 9110, 14.2). requested is
// false for an absent or malformed header and for an unsupported kind of range;
// the RFC allows a server to ignore these. If first is at or above size, the range
// begins after the end.
func byteRange(header string, size int) (first, last int, requested bool) {
	m := rangeForm().FindStringSubmatch(strings.TrimSpace(header))
	if m == nil || m[1] == "" && m[2] == "" {
		return 0, 0, false
	}
	if m[1] == "" { // the last n bytes
		n, _ := strconv.Atoi(m[2])
		if n == 0 {
			return size, 0, true
		}
		return max(size-n, 0), size - 1, true
	}
	first, _ = strconv.Atoi(m[1])
	last = size - 1
	if m[2] != "" {
		end, _ := strconv.Atoi(m[2])
		if end < first {
			return 0, 0, false
		}
		last = min(last, end)
	}
	return first, last, true
}

// ranges lists the ranges in which a message can be fetched.
func ranges(size int) string {
	var parts []string
	for first := 0; first < size; first += gateway.MaxBody {
		parts = append(parts, fmt.Sprintf("bytes=%d-%d", first, min(first+gateway.MaxBody, size)-1))
	}
	return strings.Join(parts, ", ")
}
