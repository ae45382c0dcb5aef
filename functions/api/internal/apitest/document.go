package apitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
)

// Document is openapi.yaml.
var Document = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder) // the console's page
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile("../../openapi.yaml")
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context)
})

// conforms fails the test if a successful request or any answer differs from
// openapi.yaml. A path or method that is absent there must be answered with a
// problem.
func conforms(t *testing.T, e gateway.Event, body []byte, resp Response) {
	t.Helper()
	doc, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	method := e.RequestContext.HTTP.Method
	path, params := match(doc, e.RawPath)
	item := doc.Paths.Value(path)
	if path == "" || item.GetOperation(method) == nil {
		schema := doc.Components.Schemas["Problem"].Value
		var v any
		if err := json.Unmarshal(resp.Body, &v); err != nil || schema.VisitJSON(v, openapi3.EnableJSONSchema2020()) != nil || resp.Status != 404 && resp.Status != 405 {
			t.Errorf("%s %s is in no route, and answered %d %s", method, e.RawPath, resp.Status, resp.Body)
		}
		return
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://archive.example.com"+e.RawPath+"?"+e.RawQueryString, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range e.Headers {
		r.Header.Set(name, v)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true, MultiError: true,
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Options: options,
		Route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
	}
	if resp.Status < 300 && (len(body) == 0 || json.Valid(body)) { // a lenient route reads more than JSON
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s: the request is not as documented, but answered %d: %v", method, e.RawPath, resp.Status, err)
		}
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.Status, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(resp.Body)), Options: options,
	}); err != nil {
		t.Errorf("%s %s: answer %d is not as documented: %v", method, e.RawPath, resp.Status, err)
	}
}

// match finds the documented path that fits a path, and its parameters.
func match(doc *openapi3.T, path string) (string, map[string]string) {
	segments := strings.Split(path, "/")
	for pattern := range doc.Paths.Map() {
		parts := strings.Split(pattern, "/")
		params, ok := make(map[string]string), len(parts) == len(segments)
		for i := 0; ok && i < len(parts); i++ {
			if name, isParam := strings.CutPrefix(parts[i], "{"); isParam {
				params[strings.TrimSuffix(name, "}")] = segments[i]
				ok = segments[i] != ""
			} else {
				ok = parts[i] == segments[i]
			}
		}
		if ok {
			return pattern, params
		}
	}
	return "", nil
}
