package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
)

// recorded is a stack that records what it was asked for. moto has no
// termination protection.
type recorded struct {
	status types.StackStatus
	err    error // of DescribeStacks
	fail   error // of SetStackPolicy
	calls  []string
}

func (r *recorded) DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{{StackStatus: r.status}}}, r.err
}

func (r *recorded) UpdateTerminationProtection(_ context.Context, in *cloudformation.UpdateTerminationProtectionInput, _ ...func(*cloudformation.Options)) (*cloudformation.UpdateTerminationProtectionOutput, error) {
	r.calls = append(r.calls, *in.StackName+" termination "+map[bool]string{true: "refused", false: "allowed"}[*in.EnableTerminationProtection])
	return nil, nil
}

func (r *recorded) SetStackPolicy(_ context.Context, in *cloudformation.SetStackPolicyInput, _ ...func(*cloudformation.Options)) (*cloudformation.SetStackPolicyOutput, error) {
	r.calls = append(r.calls, *in.StackName+" "+*in.StackPolicyBody)
	return nil, r.fail
}

func TestProtect(t *testing.T) {
	gone := &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack with id a does not exist"}
	denied := errors.New("denied")
	both := []string{"a termination refused", "a P"}
	for _, c := range []struct {
		name, env string
		off       bool
		stack     recorded
		calls     []string
		says      string // part of the sentence or error
	}{
		{"prod", "prod", false, recorded{status: types.StackStatusCreateComplete}, both, "protected against deletion"},
		{"staging", "staging-ningxia", false, recorded{status: types.StackStatusUpdateComplete}, both, "protected"},
		{"dev stays free", "dev-global", false, recorded{}, nil, ""},
		{"off", "prod", true, recorded{status: types.StackStatusUpdateComplete}, []string{"a termination allowed", "a " + free}, "no longer protected"},
		{"change set not confirmed", "prod", false, recorded{status: types.StackStatusReviewInProgress}, nil, "not deployed"},
		{"no stack", "prod", false, recorded{err: gone}, nil, "not deployed"},
		{"no right to look", "prod", false, recorded{err: denied}, nil, "find the stack a: denied"},
		{"no right to set the policy", "prod", false, recorded{fail: denied}, both, "stack policy of a: denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, err := protect(t.Context(), &c.stack, deploy.Block{Name: c.env, Stack: "a"}, "P", c.off)
			if err != nil {
				said = err.Error()
			}
			if !slices.Equal(c.stack.calls, c.calls) || !strings.Contains(said, c.says) || (c.says == "") != (said == "") {
				t.Errorf("got %q and %q, want %q and %q", c.stack.calls, said, c.calls, c.says)
			}
		})
	}
}

// A stack that CloudFormation does not know is no error.
func TestStackThatDoesNotExist(t *testing.T) {
	said, err := protect(t.Context(), cloudformation.NewFromConfig(awstest.Config(t)), deploy.Block{Name: "prod", Stack: awstest.Name(t)}, "{}", false)
	if err != nil || !strings.Contains(said, "not deployed") {
		t.Errorf("got %q and %v, want a sentence that the stack is not deployed", said, err)
	}
}

// The policy denies the end of every resource that holds data, keys or the
// trusted addresses, and allows every other update.
func TestStackPolicy(t *testing.T) {
	b, err := os.ReadFile("../../stack-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Effect, Principal, Resource string
			Action                      any
			Condition                   struct {
				StringEquals struct{ ResourceType []string }
			}
		}
	}
	if err := json.Unmarshal(b, &policy); err != nil {
		t.Fatal(err)
	}
	if len(policy.Statement) != 2 || policy.Statement[0].Effect != "Allow" || policy.Statement[1].Effect != "Deny" {
		t.Fatalf("got %+v, want one statement that allows and one that denies", policy.Statement)
	}
	denies := policy.Statement[1]
	if got, want := denies.Action, []any{"Update:Replace", "Update:Delete"}; !reflect.DeepEqual(got, want) || denies.Principal != "*" || denies.Resource != "*" {
		t.Errorf("got a denial of %v to %s on %s, want %v to everybody on everything", got, denies.Principal, denies.Resource, want)
	}
	for _, kind := range []string{"AWS::DynamoDB::Table", "AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"} {
		if !slices.Contains(denies.Condition.StringEquals.ResourceType, kind) {
			t.Errorf("the policy does not protect %s", kind)
		}
	}
}
