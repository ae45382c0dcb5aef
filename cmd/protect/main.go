// Command protect guards the stack of a block. CloudFormation then
// refuses to delete the stack, and refuses an update that deletes or replaces a
// table, a bucket, a key, a NAT gateway or an address. `make deploy` runs it
// after each deployment. A stack of the stage dev stays free.
//
//	protect [-off] <block>
//
// With -off it takes both guards away, for a deletion that is meant. The next
// deployment sets them again. A crash between the two calls leaves one guard
// set; run the command again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/flags"
)

func main() { operator.Main("protect", run) }

func run(ctx context.Context, args []string, s operator.Streams) error {
	f := flag.NewFlagSet("protect", flag.ContinueOnError)
	off := f.Bool("off", false, "take the guards away")
	if err := flags.Parse(f, args); err != nil {
		return err
	}
	env, err := deploy.Named("samconfig.toml", f.Args())
	if err != nil {
		return err
	}
	policy, err := os.ReadFile("stack-policy.json")
	if err != nil {
		return err
	}
	stack, err := operator.Open(ctx, env)
	if err != nil {
		return err
	}
	said, err := protect(ctx, cloudformation.NewFromConfig(stack.Config), env, string(policy), *off)
	if said != "" {
		fmt.Fprintln(s.Out, said)
	}
	return err
}

// stacks are the calls of CloudFormation that protect makes.
type stacks interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
	UpdateTerminationProtection(context.Context, *cloudformation.UpdateTerminationProtectionInput, ...func(*cloudformation.Options)) (*cloudformation.UpdateTerminationProtectionOutput, error)
	SetStackPolicy(context.Context, *cloudformation.SetStackPolicyInput, ...func(*cloudformation.Options)) (*cloudformation.SetStackPolicyOutput, error)
}

// free is the policy of a stack without guard. CloudFormation cannot remove a
// policy, only replace it.
const free = `{"Statement":[{"Effect":"Allow","Action":"Update:*","Principal":"*","Resource":"*"}]}`

// protect sets both guards, or takes them away, and says what it did. A stack
// that was not made, because the operator did not confirm its first change set,
// has nothing to guard.
func protect(ctx context.Context, cfn stacks, env deploy.Block, policy string, off bool) (string, error) {
	if env.Stage() == "dev" && !off {
		return "", nil
	}
	found, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &env.Stack})
	if operator.Missing(err) {
		return fmt.Sprintf("%s is not deployed", env.Stack), nil
	}
	if err != nil {
		return "", fmt.Errorf("find the stack %s: %w", env.Stack, operator.Explained(env, err))
	}
	if len(found.Stacks) == 1 && found.Stacks[0].StackStatus == types.StackStatusReviewInProgress {
		return fmt.Sprintf("%s is not deployed", env.Stack), nil
	}
	if off {
		policy = free
	}
	if _, err := cfn.UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{StackName: &env.Stack, EnableTerminationProtection: aws.Bool(!off)}); err != nil {
		return "", fmt.Errorf("termination protection of %s: %w", env.Stack, err)
	}
	if _, err := cfn.SetStackPolicy(ctx, &cloudformation.SetStackPolicyInput{StackName: &env.Stack, StackPolicyBody: &policy}); err != nil {
		return "", fmt.Errorf("stack policy of %s: %w", env.Stack, err)
	}
	if off {
		return fmt.Sprintf("%s is no longer protected: CloudFormation may now delete it, its tables, keys and addresses", env.Stack), nil
	}
	return fmt.Sprintf("%s is protected against deletion, and its stores and addresses against replacement", env.Stack), nil
}
