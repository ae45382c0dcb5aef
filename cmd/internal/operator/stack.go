package operator

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

// A Stack is a deployed stack, with the configuration of the SDK for its region.
type Stack struct {
	Config aws.Config
	Name   string
}

// Open finds the credentials of the operator, as every AWS SDK does, for the
// stack of a block. It sends no request.
func Open(ctx context.Context, env deploy.Block) (Stack, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(env.Region))
	return Stack{Config: cfg, Name: env.Stack}, err
}

// Resource returns the name that CloudFormation gave to a resource of the stack.
func (s Stack) Resource(ctx context.Context, logicalID string) (string, error) {
	out, err := cloudformation.NewFromConfig(s.Config).DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: &s.Name, LogicalResourceId: &logicalID})
	if err == nil && (out.StackResourceDetail == nil || aws.ToString(out.StackResourceDetail.PhysicalResourceId) == "") {
		err = errors.New("empty answer")
	}
	if err != nil {
		return "", fmt.Errorf("find %s of the stack %s: %w", logicalID, s.Name, err)
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
	out, err := cloudformation.NewFromConfig(s.Config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &s.Name})
	if err != nil {
		return "", fmt.Errorf("find the output %s of the stack %s: %w", key, s.Name, err)
	}
	for _, stack := range out.Stacks {
		for _, o := range stack.Outputs {
			if aws.ToString(o.OutputKey) == key {
				return aws.ToString(o.OutputValue), nil
			}
		}
	}
	return "", fmt.Errorf("the stack %s has no output %s", s.Name, key)
}
