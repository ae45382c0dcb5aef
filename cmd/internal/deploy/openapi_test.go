package deploy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// API Gateway refuses a document with a warning, and warns of what is invalid as
// OpenAPI 3.0: a path parameter without schema, an operation without responses.
func TestAPIDocumentIsValid(t *testing.T) {
	body := plain(stackOf(t, "prod").Translated.Resources["Api"].Properties["Body"])
	// AWS's own documents have no flows in the scheme of a JWT authorizer.
	schemes := object(object(object(body)["components"])["securitySchemes"])
	object(schemes["Jwt"])["flows"] = map[string]any{}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	operations := 0
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			operations++
			if operation.Responses.Len() == 0 {
				t.Errorf("%s %s: got no response", method, path)
			}
			for _, p := range operation.Parameters {
				if p.Value.Schema == nil {
					t.Errorf("%s %s: %s: got no schema", method, path, p.Value.Name)
				}
			}
		}
	}
	if operations < 11 {
		t.Errorf("operations: got %d, want at least 11", operations)
	}
}

// plain puts texts in the place of functions of the template.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return readable(v)
				}
			}
		}
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = plain(v[name])
		}
		return out
	}
	return v
}
