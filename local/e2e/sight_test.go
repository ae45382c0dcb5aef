package e2e_test

import (
	"encoding/base64"
	"net/url"
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// A text has the place of the attribute, the secret or the object that it is in. It
// is elsewhere in each other part of a request, however it is encoded there.
func TestPlaceOfAText(t *testing.T) {
	t.Parallel()
	c := &cloud.Cloud{Stack: &template.Stack{
		Tables:  map[string]string{"MessagesTable": "messages", "MediaTable": "media"},
		Buckets: []template.Bucket{{Name: "journal"}, {Name: "objects"}},
	}}
	const text = "+text/of some people &"
	b64, form := base64.StdEncoding.EncodeToString([]byte(text)), url.Values{"Message": {"a notice " + text}}.Encode()
	for name, tt := range map[string]struct {
		s    sight
		want string
	}{
		"message":              {sight{service: "dynamodb", uri: "/", body: []byte(`{"RequestItems":{"messages":[{"PutRequest":{"Item":{"raw":{"B":"` + b64 + `"}}}}]}}`)}, "message"},
		"another table":        {sight{service: "dynamodb", uri: "/", body: []byte(`{"RequestItems":{"messages":[],"ledger":[{"PutRequest":{"Item":{"raw":{"B":"` + b64 + `"}}}}]}}`)}, elsewhere},
		"another attribute":    {sight{service: "dynamodb", uri: "/", body: []byte(`{"TableName":"messages","Item":{"raw":{"B":""},"detail":{"S":"` + text + `"}}}`)}, elsewhere},
		"attribute of a map":   {sight{service: "dynamodb", uri: "/", body: []byte(`{"TableName":"messages","Item":{"m":{"M":{"x":{"L":[{"S":"` + text + `"}]}}}}}`)}, elsewhere},
		"file name":            {sight{service: "dynamodb", uri: "/", body: []byte(`{"Statements":[{"Statement":"INSERT INTO \"media\" VALUE {'md5': ?, 'name': ?}","Parameters":[{"S":""},{"S":"` + text + `"}]}]}`)}, "file name"},
		"another parameter":    {sight{service: "dynamodb", uri: "/", body: []byte(`{"Statements":[{"Statement":"INSERT INTO \"media\" VALUE {'md5': ?, 'name': ?}","Parameters":[{"S":"` + text + `"},{"S":""}]}]}`)}, elsewhere},
		"secret":               {sight{service: "secretsmanager", uri: "/", body: []byte(`{"SecretId":"stack/ww1/app","SecretString":"` + text + `"}`)}, "secret app"},
		"tag of a secret":      {sight{service: "secretsmanager", uri: "/", body: []byte(`{"Name":"stack/ww1/key/1","SecretString":"","Tags":[{"Key":"x","Value":"` + text + `"}]}`)}, elsewhere},
		"large message":        {sight{service: "s3", uri: "/journal/ww1/messages/0?x-id=PutObject", body: []byte(text)}, "large message"},
		"page":                 {sight{service: "s3", uri: "/journal/ww1/pages/0", body: []byte(text)}, elsewhere},
		"file":                 {sight{service: "s3", uri: "/objects/ww1/files/0", body: []byte(text)}, "file"},
		"metadata":             {sight{service: "s3", uri: "/objects/ww1/files/0", header: map[string][]string{"X-Amz-Meta-A": {text}}}, elsewhere},
		"query":                {sight{service: "s3", uri: "/objects/ww1/files/0?a=" + url.QueryEscape(text)}, elsewhere},
		"notice":               {sight{service: "sns", uri: "/", body: []byte(form)}, elsewhere},
		"request in a queue":   {sight{service: "sqs", uri: "/", body: []byte(`{"MessageBody":"{\"a\":\"` + text + `\"}"}`)}, elsewhere},
		"announcement":         {sight{service: "events", uri: "/", body: []byte(`{"Entries":[{"Detail":"{\"a\":\"` + text + `\"}"}]}`)}, elsewhere},
		"body of another form": {sight{service: "sqs", uri: "/", body: []byte("{" + text)}, elsewhere},
	} {
		var places []string
		f := newFinder([]planted{plant("text", "", text)})
		for _, fragment := range tt.s.fragments(c) {
			if len(f.in(fragment.text)) > 0 {
				places = append(places, fragment.place)
			}
		}
		if !slices.Equal(places, []string{tt.want}) {
			t.Errorf("%s: got the text at %q, want at %q", name, places, tt.want)
		}
	}
}
