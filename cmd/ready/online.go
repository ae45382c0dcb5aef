package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/cmd/internal/operator"
)

// online asks AWS and the issuer whether a deployment of env would succeed. It only
// reads. Each question is asked on its own, so that an operator without one right
// still gets the other answers.
type online struct {
	env        deploy.Block
	parameters map[string]string // every parameter of the deployment
	config     aws.Config
	client     *http.Client

	// The answers of identity and stack, which run first.
	account string
	first   bool              // there is no stack yet
	now     map[string]string // parameters of the stack; empty if there is none yet

	preview bool     // the deployment is shown, and not made
	notes   []string // what an operator should know, although the deployment works
}

// check returns every reason why AWS or the issuer would refuse the deployment,
// each with what to do.
func (o *online) check(ctx context.Context) error {
	if err := o.identity(ctx); err != nil {
		return err // no other question can be answered
	}
	if err := o.stack(ctx); err != nil {
		return err // nothing can be deployed, whatever the other answers are
	}
	var errs []error
	for _, ask := range []func(context.Context) error{o.certificate, o.domain, o.addresses, o.vpcs, o.zones, o.subnets, o.concurrency, o.trail, o.issuer} {
		errs = append(errs, ask(ctx))
	}
	return errors.Join(errs...)
}

func (o *online) note(format string, args ...any) {
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
}

// identity compares the account of the credentials with the region's partition
// and with the accounts that parameters name.
func (o *online) identity(ctx context.Context) error {
	who, err := sts.NewFromConfig(o.config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return operator.SignIn(o.env, err)
	}
	me, err := arn.Parse(aws.ToString(who.Arn))
	if err != nil {
		return err
	}
	if me.Partition != o.env.Partition() {
		return fmt.Errorf("your credentials belong to the partition %s, and %s is in %s: use an account of that partition", me.Partition, o.env.Region, o.env.Partition())
	}
	o.account = aws.ToString(who.Account)
	var errs []error
	for _, name := range []string{"CertificateArn", "BreakGlassRole", "PermissionsBoundary"} {
		// A policy that AWS manages belongs to the account "aws".
		if named, err := arn.Parse(o.parameters[name]); err == nil && named.AccountID != o.account && named.AccountID != "aws" {
			errs = append(errs, fmt.Errorf("%s belongs to the account %s, and your credentials belong to %s: set the ARN, or AWS_PROFILE, of the right account", name, named.AccountID, o.account))
		}
	}
	return errors.Join(errs...)
}

// code is the error code of AWS in err, or empty.
func code(err error) string {
	if answer := smithy.APIError(nil); errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// stack reports a stack that no deployment can change. It sets first if there is no
// stack yet.
func (o *online) stack(ctx context.Context) error {
	found, err := cloudformation.NewFromConfig(o.config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &o.env.Stack})
	if operator.Missing(err) {
		o.first = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the stack %s: %w", o.env.Stack, operator.Explained(o.env, err))
	}
	switch status := found.Stacks[0].StackStatus; {
	case status == cfntypes.StackStatusReviewInProgress:
		o.first = true
	case status == cfntypes.StackStatusRollbackComplete, status == cfntypes.StackStatusRollbackFailed:
		return fmt.Errorf("the first deployment of %s failed, and CloudFormation changes no stack in %s: delete it (aws cloudformation delete-stack --region %s --stack-name %s), see docs/deploying.md", o.env.Stack, status, o.env.Region, o.env.Stack)
	case status == cfntypes.StackStatusDeleteFailed:
		return fmt.Errorf("a deletion of %s failed: delete it again (aws cloudformation delete-stack --region %s --stack-name %s)", o.env.Stack, o.env.Region, o.env.Stack)
	case status == cfntypes.StackStatusUpdateRollbackFailed:
		return fmt.Errorf("the last deployment of %s failed, and so did its rollback: continue it (aws cloudformation continue-update-rollback --region %s --stack-name %s)", o.env.Stack, o.env.Region, o.env.Stack)
	case strings.HasSuffix(string(status), "_IN_PROGRESS"):
		return fmt.Errorf("%s is in %s: wait until that operation ends", o.env.Stack, status)
	}
	if o.first {
		return nil // the parameters are those of a change set that no one executed
	}
	o.now = make(map[string]string)
	for _, p := range found.Stacks[0].Parameters {
		o.now[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	return errors.Join(o.guarded(aws.ToBool(found.Stacks[0].EnableTerminationProtection)), o.fixed())
}

// guarded refuses each change that removes or replaces what stack-policy.json
// protects: CloudFormation would refuse it half-way, and roll the deployment back. In a
// preview, and in a stack that is not protected, it notes the change. make deploy and make unprotect
// set both guards together, so termination protection tells of the policy too.
func (o *online) guarded(protected bool) error {
	if o.env.Stage() == "dev" {
		return nil // make deploy protects no such stack
	}
	changes := func(name string) bool { is, has := o.now[name]; return has && is != o.parameters[name] }
	makes, zones := o.now["TrustedIps"] == "", o.now["NatZones"]
	var errs []error
	for _, c := range []struct {
		name    string
		removes bool
	}{
		{"TrustedIps", makes},
		{"NatZones", makes && zones != "one" && o.parameters["NatZones"] != "two"},
		{"AddressAllocationA", makes},
		{"AddressAllocationB", makes && (zones == "two" || zones == "announce-two" && o.now["AddressAllocationB"] == "")},
		{"Trail", o.now["Trail"] == "create"},
	} {
		switch {
		case !changes(c.name) || !c.removes:
		case protected && !o.preview:
			errs = append(errs, fmt.Errorf("the change of %s removes or replaces what the stack policy protects: run make unprotect ENV=%s first", c.name, o.env.Name))
		case protected:
			o.note("the change of %s removes or replaces what the stack policy protects: run make unprotect ENV=%s before make deploy", c.name, o.env.Name)
		default:
			o.note("the change of %s removes or replaces what the stack policy protected before make unprotect", c.name)
		}
	}
	return errors.Join(errs...)
}

// fixed refuses another value of a parameter that a stack cannot change. With
// another Keys the roles would lose the right to the keys that the stack's secrets
// and files are under: nothing would be pulled, decoded or shown. With another
// VpcCidr or Zones, CloudFormation would make new NAT gateways or subnets beside the
// old ones, whose addresses are taken: the deployment would fail half-way.
func (o *online) fixed() error {
	names, see := []string{"Keys"}, map[string]string{"Keys": "docs/upgrades.md, One key or four"}
	if o.makesNetwork() && o.now["TrustedIps"] == "" {
		names = append(names, "VpcCidr", "Zones")
	}
	var errs []error
	for _, name := range names {
		if is, has := o.now[name]; has && is != o.parameters[name] {
			errs = append(errs, fmt.Errorf("%s is %q in the stack %s, and a stack cannot change it to %q: set %s=%s (%s)", name, is, o.env.Stack, o.parameters[name],
				name, cmp.Or(is, `""`), cmp.Or(see[name], "docs/deploying.md, What is created")))
		}
	}
	return errors.Join(errs...)
}

// certificate finds a certificate that is not issued, or is for another name.
// API Gateway would refuse it after the stores exist.
func (o *online) certificate(ctx context.Context) error {
	name, domain := o.parameters["CertificateArn"], o.parameters["DomainName"]
	if name == "" {
		return nil
	}
	out, err := acm.NewFromConfig(o.config).DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: &name})
	switch {
	case code(err) == "ResourceNotFoundException":
		return fmt.Errorf("CertificateArn: ACM has no %s in %s: request a certificate for %s there", name, o.env.Region, domain)
	case err != nil:
		return fmt.Errorf("CertificateArn: %w", err)
	}
	c := out.Certificate
	if c.Status != acmtypes.CertificateStatusIssued {
		return fmt.Errorf("CertificateArn: the certificate is %s, not ISSUED: enter the DNS records that ACM shows for it, and wait", c.Status)
	}
	names := append([]string{aws.ToString(c.DomainName)}, c.SubjectAlternativeNames...)
	for _, name := range names {
		if covers(name, domain) {
			return nil
		}
	}
	return fmt.Errorf("CertificateArn: the certificate is for %s, not for %s: request one for that name", strings.Join(names, ", "), domain)
}

// domain finds a name that another custom domain of the account has. API Gateway would
// refuse it after the stores exist.
func (o *online) domain(ctx context.Context) error {
	name := o.parameters["DomainName"]
	if name == "" || o.now["DomainName"] == name {
		return nil
	}
	_, err := apigatewayv2.NewFromConfig(o.config).GetDomainName(ctx, &apigatewayv2.GetDomainNameInput{DomainName: &name})
	switch {
	case code(err) == "NotFoundException":
		return nil
	case err != nil:
		return fmt.Errorf("DomainName: %w", err)
	}
	return fmt.Errorf("DomainName: the account has the custom domain %s in %s already: deploy the stack that has it without DomainName, or delete it (aws apigatewayv2 delete-domain-name --region %s --domain-name %s)", name, o.env.Region, o.env.Region, name)
}

// covers reports whether a name of a certificate is for the domain.
func covers(name, domain string) bool {
	return (&x509.Certificate{DNSNames: []string{name}}).VerifyHostname(domain) == nil
}
