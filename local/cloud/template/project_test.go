package template_test

import (
	"os"
	"testing"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// Read understands the deployed template.
func TestReadDeployedTemplate(t *testing.T) {
	source, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Parameters = map[string]string{
		"TrustedIps": "127.0.0.1", "PublicUrl": "http://127.0.0.1:8080", "JwtIssuer": "http://127.0.0.1:8080",
	}
	s, err := template.Read(source, o)
	if err != nil {
		t.Fatal(err)
	}
	var routes, sources, schedules int
	for _, f := range s.Functions {
		routes, sources, schedules = routes+len(f.Routes), sources+len(f.Sources), schedules+len(f.Schedules)
		for name, v := range f.Environment {
			if v == "" && name != "WECOM_PROXY" && name != "DECODE_IDENTITY" {
				t.Errorf("%s: %s is empty", f.ID, name)
			}
		}
	}
	if routes == 0 || sources == 0 || schedules == 0 {
		t.Errorf("got %d routes, %d sources, %d schedules, want some of each", routes, sources, schedules)
	}
	if len(s.Queues) == 0 || len(s.Buckets) == 0 || len(s.Tables) == 0 || s.API.Issuer == "" {
		t.Errorf("got %d queues, %d buckets, %d tables, issuer %q, want some of each", len(s.Queues), len(s.Buckets), len(s.Tables), s.API.Issuer)
	}
}
