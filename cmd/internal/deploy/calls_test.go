package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// A call is a request of a function to AWS, in the terms of IAM.
type call struct {
	role, action, resource string
	keys                   []string // partition keys of a write or query of DynamoDB, or keys of tags
}

// calls collects the calls of functions in a running cloud.
type calls struct {
	stack *template.Stack
	mu    sync.Mutex
	seen  map[string]call
	errs  []string
}

// observe records a request. cloud.Options takes it as Observe.
func (c *calls) observe(function string, r *http.Request, body []byte) {
	found, err := c.read(r, body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.errs = append(c.errs, fmt.Sprintf("%s: %v", function, err))
	}
	for _, f := range found {
		f.role = strings.TrimSuffix(function, "Function")
		c.seen[fmt.Sprint(f)] = f
	}
}

// read lists the actions and resources of a request. It names resources by their
// logical ids, as the table of roles does.
func (c *calls) read(r *http.Request, body []byte) ([]call, error) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case strings.HasPrefix(service, "DynamoDB_"):
		return c.dynamoDB(operation, body)
	case service == "secretsmanager":
		var in struct {
			SecretId, Name string
			Tags           []struct{ Key string }
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		// AWS ends the ARN of a secret with a dash and six letters.
		on := "secretsmanager:secret:" + in.SecretId + in.Name + "-AbCdEf"
		found := []call{{action: "secretsmanager:" + operation, resource: on}}
		if len(in.Tags) > 0 {
			tags := call{action: "secretsmanager:TagResource", resource: on}
			for _, tag := range in.Tags {
				tags.keys = append(tags.keys, tag.Key)
			}
			found = append(found, tags)
		}
		return found, nil
	case service == "AmazonSQS":
		var in struct{ QueueUrl string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		for _, q := range c.stack.Queues {
			if q.Name == path.Base(in.QueueUrl) {
				return []call{{action: "sqs:" + strings.TrimSuffix(operation, "Batch"), resource: q.ID}}, nil
			}
		}
		return nil, fmt.Errorf("SQS: %s of an unknown queue: %s", operation, in.QueueUrl)
	case service == "AWSEvents":
		var in struct {
			Entries []struct{ EventBusName string }
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		var found []call
		for id, name := range c.stack.Buses {
			if slices.ContainsFunc(in.Entries, func(e struct{ EventBusName string }) bool { return e.EventBusName == name }) {
				found = append(found, call{action: "events:" + operation, resource: id})
			}
		}
		return found, nil
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		arn := form.Get("TopicArn")
		for id, name := range c.stack.Topics {
			if strings.HasSuffix(arn, ":"+name) {
				return []call{{action: "sns:" + form.Get("Action"), resource: id}}, nil
			}
		}
		return nil, fmt.Errorf("%s of an unknown topic: %s", form.Get("Action"), arn)
	}
	return c.s3(r)
}

func (c *calls) table(name string) string {
	for id, n := range c.stack.Tables {
		if n == name {
			return id
		}
	}
	return "unknown table " + name
}

type attributeValue struct{ S string }

func (c *calls) dynamoDB(operation string, body []byte) ([]call, error) {
	type write struct {
		TableName string
		Item      map[string]attributeValue
		Key       map[string]attributeValue
	}
	var in struct {
		write
		IndexName                 string
		KeyConditionExpression    string
		ExpressionAttributeValues map[string]attributeValue
		RequestItems              map[string]json.RawMessage
		TransactItems             []map[string]write
		Statements                []struct{ Statement string }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	one := func(action string, w write) call {
		f := call{action: "dynamodb:" + action, resource: c.table(w.TableName)}
		for _, key := range []map[string]attributeValue{w.Item, w.Key} {
			if pk, ok := key["pk"]; ok {
				f.keys = append(f.keys, pk.S)
			}
		}
		return f
	}
	switch operation {
	case "TransactWriteItems":
		var all []call
		for _, item := range in.TransactItems {
			for kind, w := range item {
				action := map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}[kind]
				all = append(all, one(action, w))
			}
		}
		return all, nil
	case "BatchExecuteStatement":
		var all []call
		for _, s := range in.Statements {
			words := strings.SplitN(s.Statement, `"`, 3) // INSERT INTO "table" …
			if len(words) != 3 || words[0] != "INSERT INTO " {
				return nil, fmt.Errorf("unknown statement: %s", s.Statement)
			}
			all = append(all, call{action: "dynamodb:PartiQLInsert", resource: c.table(words[1])})
		}
		return all, nil
	case "BatchGetItem", "BatchWriteItem":
		var all []call
		for table := range in.RequestItems {
			all = append(all, call{action: "dynamodb:" + operation, resource: c.table(table)})
		}
		return all, nil
	}
	f := one(operation, in.write)
	if in.IndexName != "" {
		f.resource += "/index/" + in.IndexName
	}
	if m := regexp.MustCompile(`\bpk = (:\w+)`).FindStringSubmatch(in.KeyConditionExpression); m != nil {
		f.keys = append(f.keys, in.ExpressionAttributeValues[m[1]].S)
	}
	return []call{f}, nil
}

func (c *calls) s3(r *http.Request) ([]call, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	id := ""
	for _, b := range c.stack.Buckets {
		if b.Name == bucket {
			id = b.ID
		}
	}
	if id == "" {
		return nil, fmt.Errorf("unknown request: %s %s", r.Method, r.URL.Path)
	}
	upload := r.URL.Query().Has("uploadId")
	action := map[string]string{"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject", "DELETE": "s3:DeleteObject"}[r.Method]
	switch {
	case upload && r.Method == http.MethodDelete:
		action = "s3:AbortMultipartUpload"
	case upload && r.Method == http.MethodGet:
		action = "s3:ListMultipartUploadParts"
	case key == "":
		action = "s3:ListBucket"
	}
	resource := id
	if key != "" {
		resource += "/" + key
	}
	return []call{{action: action, resource: resource}}, nil
}

// granted reports whether a grant of the role allows the call. It decides like
// IAM for the conditions that the template uses.
func (f call) granted(all []grant, stack string) bool {
	for _, g := range all {
		if g.role != f.role || g.effect != "Allow" || g.action != f.action {
			continue
		}
		on := strings.ReplaceAll(g.resource, "${AWS::StackName}", stack)
		if !like(on, f.resource) {
			continue
		}
		if !f.meets(g.when) {
			continue
		}
		return true
	}
	return false
}

// meets reports whether the call fits the condition of a grant. It knows
// conditions on all keys of a call. With Null the call needs at least one key.
func (f call) meets(when string) bool {
	if !strings.HasPrefix(when, "ForAllValues:String") {
		return true
	}
	when, null, _ := strings.Cut(strings.TrimPrefix(when, "ForAllValues:String"), " Null ")
	kind, values, _ := strings.Cut(when, " ")
	name, list, _ := strings.Cut(values, " ")
	if name != "dynamodb:LeadingKeys" && name != "aws:TagKeys" || null != "" && len(f.keys) == 0 {
		return false
	}
	return !slices.ContainsFunc(f.keys, func(v string) bool { return !meets(kind, strings.Split(list, ","), v) })
}

// meets reports whether a value of a request fits a condition of that kind:
// Equals, Like or NotLike.
func meets(kind string, patterns []string, value string) bool {
	found := slices.ContainsFunc(patterns, func(p string) bool { return p == value || kind != "Equals" && like(p, value) })
	return found != (kind == "NotLike")
}

// like matches s as IAM's StringLike does.
func like(pattern, s string) bool {
	return regexp.MustCompile("^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$").MatchString(s)
}

// check fails the test for every call that the roles do not grant. AWS would
// refuse such a call.
func (c *calls) check(t *testing.T, all []grant, stack string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.errs {
		t.Error(err)
	}
	roles := map[string]bool{}
	for _, f := range c.seen {
		roles[f.role] = true
		if !f.granted(all, stack) {
			t.Errorf("%s: got call %s on %s (keys %v) without a grant of its role", f.role, f.action, f.resource, f.keys)
		}
	}
	if len(roles) < 4 || len(c.seen) < 30 {
		t.Errorf("got %d calls of %d functions, want at least 30 of 4", len(c.seen), len(roles))
	}
}

func TestGranted(t *testing.T) {
	all := []grant{
		{"Api", "Allow", "dynamodb:PutItem", "LedgerTable", "ForAllValues:StringLike dynamodb:LeadingKeys *#jobs"},
		{"Media", "Allow", "dynamodb:PutItem", "LedgerTable", "ForAllValues:StringEquals dynamodb:LeadingKeys @address"},
		{"Media", "Allow", "dynamodb:DeleteItem", "LedgerTable", "ForAllValues:StringEquals dynamodb:Attributes pk"},
		{"Dispatch", "Allow", "dynamodb:Query", "MessagesTable", "ForAllValues:StringLike dynamodb:LeadingKeys *#u"},
		{"Decode", "Allow", "dynamodb:PutItem", "LedgerTable", "ForAllValues:StringNotLike dynamodb:LeadingKeys *#chain"},
		{"Inspect", "Allow", "dynamodb:PutItem", "LedgerTable", "ForAllValues:StringLike dynamodb:LeadingKeys @address,*#wanted Null dynamodb:LeadingKeys false"},
		{"Api", "Allow", "secretsmanager:TagResource", "secretsmanager:secret:${AWS::StackName}/*/key/*", "ForAllValues:StringEquals aws:TagKeys corp,stack Null aws:TagKeys false"},
		{"Pull", "Allow", "s3:PutObject", "JournalBucket/*/pages/*", ""},
		{"Pull", "Deny", "s3:GetObject", "JournalBucket/*/pages/*", ""},
		{"Decode", "Allow", "secretsmanager:GetSecretValue", "secretsmanager:secret:${AWS::StackName}/*/key/*", ""},
		{"Pull", "Allow", "secretsmanager:GetSecretValue", "secretsmanager:secret:${AWS::StackName}/*/archive-??????", ""},
	}
	for name, c := range map[string]struct {
		call call
		want bool
	}{
		"job":          {call{"Api", "dynamodb:PutItem", "LedgerTable", []string{"ww1#jobs"}}, true},
		"row or head":  {call{"Api", "dynamodb:PutItem", "LedgerTable", []string{"ww1"}}, false},
		"key":          {call{"Dispatch", "dynamodb:Query", "MessagesTable", []string{"ww1#u"}}, true},
		"other key":    {call{"Dispatch", "dynamodb:Query", "MessagesTable", []string{"ww1#c#room"}}, false},
		"exact key":    {call{"Media", "dynamodb:PutItem", "LedgerTable", []string{"@address"}}, true},
		"no exact key": {call{"Media", "dynamodb:PutItem", "LedgerTable", []string{"@address2"}}, false},
		"not excluded": {call{"Decode", "dynamodb:PutItem", "LedgerTable", []string{"ww1"}}, true},
		"excluded":     {call{"Decode", "dynamodb:PutItem", "LedgerTable", []string{"ww1", "ww1#chain"}}, false},
		"not read":     {call{"Media", "dynamodb:DeleteItem", "LedgerTable", []string{"@address"}}, false},
		"last key":     {call{"Inspect", "dynamodb:PutItem", "LedgerTable", []string{"ww1#wanted"}}, true},
		"without key":  {call{"Inspect", "dynamodb:PutItem", "LedgerTable", nil}, false},
		"tags":         {call{"Api", "secretsmanager:TagResource", "secretsmanager:secret:st/ww1/key/k-AbCdEf", []string{"stack", "corp"}}, true},
		"other tag":    {call{"Api", "secretsmanager:TagResource", "secretsmanager:secret:st/ww1/key/k-AbCdEf", []string{"stack", "owner"}}, false},
		"object":       {call{"Pull", "s3:PutObject", "JournalBucket/ww1/pages/1-2", nil}, true},
		"other object": {call{"Pull", "s3:PutObject", "JournalBucket/ww1/messages/1", nil}, false},
		"denied":       {call{"Pull", "s3:GetObject", "JournalBucket/ww1/pages/1-2", nil}, false},
		"other role":   {call{"Api", "s3:PutObject", "JournalBucket/ww1/pages/1-2", nil}, false},
		"secret":       {call{"Decode", "secretsmanager:GetSecretValue", "secretsmanager:secret:st/ww1/key/k-AbCdEf", nil}, true},
		"six letters":  {call{"Pull", "secretsmanager:GetSecretValue", "secretsmanager:secret:st/ww1/archive-AbCdEf", nil}, true},
		"longer name":  {call{"Pull", "secretsmanager:GetSecretValue", "secretsmanager:secret:st/ww1/archive-other-AbCdEf", nil}, false},
		"other stack":  {call{"Decode", "secretsmanager:GetSecretValue", "secretsmanager:secret:other/ww1/key/k-AbCdEf", nil}, false},
	} {
		if got := c.call.granted(all, "st"); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}
