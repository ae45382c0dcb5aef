package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

// A Stack is a deployed stack, with the configuration of the SDK for its region.
type Stack struct {
	Config aws.Config
	Block  deploy.Block
}

// Open finds the credentials of the operator, as every AWS SDK does, for the stack
// of a block. It sends no request to the stack.
func Open(ctx context.Context, env deploy.Block) (Stack, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(env.Region))
	if err == nil {
		_, err = cfg.Credentials.Retrieve(ctx)
	}
	if err != nil {
		return Stack{}, SignIn(env, err)
	}
	return Stack{Config: cfg, Block: env}, nil
}

// SignIn says what to do about credentials that are absent or refused.
func SignIn(env deploy.Block, err error) error {
	return fmt.Errorf("AWS does not accept your credentials in %s: sign in (aws sso login), or set AWS_PROFILE: %w", env.Region, err)
}

// refusals are the codes of AWS for credentials that are unknown, wrong or over.
var refusals = []string{"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException"}

// Explained is an answer of CloudFormation with what to do, if the stack does not
// exist or AWS refuses the credentials. It is any other error as it is.
func Explained(env deploy.Block, err error) error {
	var answer smithy.APIError
	switch {
	case Missing(err):
		return fmt.Errorf("%s is not deployed in %s: deploy it first, or set AWS_PROFILE to the account that has it", env.Stack, env.Region)
	case errors.As(err, &answer) && slices.Contains(refusals, answer.ErrorCode()):
		return SignIn(env, err)
	}
	return err
}

// Missing reports whether the stack does not exist. CloudFormation answers a
// ValidationError that says so in words, as it does about a resource.
func Missing(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == "ValidationError" &&
		strings.HasPrefix(answer.ErrorMessage(), "Stack ") && strings.Contains(answer.ErrorMessage(), "does not exist")
}

// Resource returns the name that CloudFormation gave to a resource of the stack.
func (s Stack) Resource(ctx context.Context, logicalID string) (string, error) {
	out, err := cloudformation.NewFromConfig(s.Config).DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: &s.Block.Stack, LogicalResourceId: &logicalID})
	if err == nil && (out.StackResourceDetail == nil || aws.ToString(out.StackResourceDetail.PhysicalResourceId) == "") {
		err = errors.New("empty answer")
	}
	if err != nil {
		return "", fmt.Errorf("find %s of the stack %s: %w", logicalID, s.Block.Stack, Explained(s.Block, err))
	}
	return *out.StackResourceDetail.PhysicalResourceId, nil
}

// Resources returns the names of several resources, by logical id.
func (s Stack) Resources(ctx context.Context, logicalIDs ...string) (map[string]string, error) {
	names := make(map[string]string, len(logicalIDs))
	for _, id := range logicalIDs {
		name, err := s.Resource(ctx, id)
		if err != nil {
			return nil, err
		}
		names[id] = name
	}
	return names, nil
}

// Output returns the value of an output of the stack.
func (s Stack) Output(ctx context.Context, key string) (string, error) {
	out, err := cloudformation.NewFromConfig(s.Config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &s.Block.Stack})
	if err != nil {
		return "", fmt.Errorf("find the output %s of the stack %s: %w", key, s.Block.Stack, Explained(s.Block, err))
	}
	for _, stack := range out.Stacks {
		for _, o := range stack.Outputs {
			if aws.ToString(o.OutputKey) == key {
				return aws.ToString(o.OutputValue), nil
			}
		}
	}
	return "", fmt.Errorf("the stack %s has no output %s", s.Block.Stack, key)
}
