package operator_test

import (
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

// Every command says the same about a stack that does not exist.
func TestStackThatDoesNotExist(t *testing.T) {
	const want = "is not deployed in cn-north-1: deploy it first"
	stack := operator.Stack{Config: awstest.Config(t), Block: deploy.Block{Stack: awstest.Name(t), Region: "cn-north-1"}}
	if _, err := stack.Resources(t.Context(), "CorpsTable"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
	if _, err := stack.Output(t.Context(), "ApiUrl"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestExplained(t *testing.T) {
	for name, c := range map[string]struct{ code, message, want string }{
		"no stack":            {"ValidationError", "Stack with id archive does not exist", "archive is not deployed"},
		"no stack, resources": {"ValidationError", "Stack 'archive' does not exist", "archive is not deployed"},
		"no resource":         {"ValidationError", "Resource CorpsTable does not exist for stack archive", "Resource CorpsTable does not exist"},
		"token is over":       {"ExpiredToken", "The security token included in the request is expired", "sign in (aws sso login)"},
		"unknown key":         {"InvalidClientTokenId", "The security token included in the request is invalid", "sign in (aws sso login)"},
		"no permission":       {"AccessDenied", "User is not authorized", "User is not authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			err := operator.Explained(deploy.Block{Stack: "archive"}, &smithy.GenericAPIError{Code: c.code, Message: c.message})
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "sign in") != strings.Contains(c.want, "sign in") {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// Without credentials each command says what to do, before it asks for the stack.
func TestOpenWithoutCredentials(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	_, err := operator.Open(t.Context(), deploy.Block{Region: "us-east-1"})
	if want := "credentials in us-east-1: sign in (aws sso login), or set AWS_PROFILE"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}
