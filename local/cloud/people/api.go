// Package people does by program what people do by hand with the archive. The
// admin of a company sets the archive up in WeCom's console and in ours. A
// reader reads every chat.
//
// The package reaches our console over HTTP only, as described in
// functions/api/openapi.yaml. WeCom is the simulated WeCom.
package people

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The roles of tokens.
const (
	Admin   = "admin"
	Reader  = "reader"
	Auditor = "auditor"
	Service = "service"
)

// An API calls our HTTP API. Each call uses a token of the role that the caller
// names. Safe for concurrent use.
type API struct {
	Base string // URL without a path
	// Token returns a token for a corp and a role.
	Token  func(corp, role string) (string, error)
	Client *http.Client
}

// A Problem is an error answer.
type Problem struct {
	Status int    `json:"-"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Field  string `json:"field"`
		Remedy string `json:"remedy"`
	} `json:"errors"`
	// Message is set if the gateway refused the request before the function
	// received it.
	Message string `json:"message"`
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("status %d %s: %s", p.Status, http.StatusText(p.Status), p.Title+p.Message+" "+p.Detail)
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s: %s", e.Field, e.Remedy)
	}
	return text
}

// Call sends a request to a path below the corp, such as /setup. It sends in as
// JSON unless in is nil, and decodes the answer into out unless out is nil. Any
// status except 2xx is a [*Problem].
func (a *API) Call(ctx context.Context, role, method, corp, path string, in, out any) error {
	header := http.Header{}
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		header.Set("Content-Type", "application/json")
	}
	_, raw, err := a.send(ctx, role, method, corp, path, header, body)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Bytes fetches the bytes at a path below the corp, in as many parts as the
// server requires.
func (a *API) Bytes(ctx context.Context, role, corp, path string) ([]byte, error) {
	var all []byte
	for {
		header := http.Header{"Range": {fmt.Sprintf("bytes=%d-", len(all))}}
		got, part, err := a.send(ctx, role, http.MethodGet, corp, path, header, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		_, size, _ := strings.Cut(got.Get("Content-Range"), "/")
		if total, err := strconv.Atoi(size); err != nil || len(part) == 0 || len(all) > total {
			return nil, fmt.Errorf("%s: Content-Range %q after %d bytes", path, got.Get("Content-Range"), len(all))
		} else if len(all) == total {
			return all, nil
		}
	}
}

func (a *API) send(ctx context.Context, role, method, corp, path string, header http.Header, body []byte) (http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.Base+"/v1/corps/"+url.PathEscape(corp)+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	token, err := a.Token(corp, role)
	if err != nil {
		return nil, nil, err
	}
	r.Header = header
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept-Language", "en")
	resp, err := a.Client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		p := &Problem{}
		_ = json.Unmarshal(raw, p) // without JSON, the status is the whole problem
		p.Status = resp.StatusCode
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, p)
	}
	return resp.Header, raw, nil
}
