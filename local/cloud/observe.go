package cloud

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
)

// observe lets Options.Observe see a function's requests to AWS. It changes the
// endpoints in the function's environment to proxies.
func (c *Cloud) observe(function string, env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, "AWS_ENDPOINT_URL_") {
			continue
		}
		service, err := url.Parse(env[name])
		if err != nil {
			return err
		}
		l, err := c.listen("")
		if err != nil {
			return err
		}
		proxy := &httputil.ReverseProxy{
			Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(service) },
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		}
		c.serve("requests of "+function, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			c.options.Observe(function, r, body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			proxy.ServeHTTP(w, r)
		}))
		env[name] = "http://" + l.Addr().String()
	}
	return nil
}
