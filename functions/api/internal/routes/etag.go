package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
)

// tag gives an answer the tag of its content, and empties an answer that the
// caller has already (RFC 9110, 13.1.2). The tag is weak: the same answer may come
// compressed, and with page tokens that are random.
func tag(h http.Header, ans output.Answer, has string) output.Answer {
	if ans.Status != http.StatusOK {
		return ans
	}
	content := ans.Tagged
	if content == nil {
		content = ans.Body
	}
	sum := sha256.Sum256(content)
	etag := `W/"` + hex.EncodeToString(sum[:16]) + `"`
	h.Set("Etag", etag)
	if output.Matches(has, etag) {
		return output.Answer{Status: http.StatusNotModified, Header: ans.Header}
	}
	return ans
}
