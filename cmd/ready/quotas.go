package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
)

// makesNetwork reports whether the stack makes its own network.
func (o *online) makesNetwork() bool { return o.parameters["TrustedIps"] == "" }

// addresses compares the Elastic IPs that the deployment makes with the number that
// the account's quota leaves.
func (o *online) addresses(ctx context.Context) error {
	if !o.makesNetwork() {
		return nil
	}
	makes := 0
	if o.parameters["AddressAllocationA"] == "" {
		makes++
	}
	if o.parameters["NatZones"] != "one" && o.parameters["AddressAllocationB"] == "" {
		makes++
	}
	has, err := o.resourcesOf(ctx, "AWS::EC2::EIP")
	if err != nil {
		return err
	}
	client := ec2.NewFromConfig(o.config)
	const attribute = "vpc-max-elastic-ips"
	limits, err := client.DescribeAccountAttributes(ctx, &ec2.DescribeAccountAttributesInput{AttributeNames: []ec2types.AccountAttributeName{attribute}})
	if err != nil {
		return fmt.Errorf("quota of Elastic IPs: %w", err)
	}
	most := -1
	for _, a := range limits.AccountAttributes {
		if aws.ToString(a.AttributeName) == attribute && len(a.AttributeValues) == 1 {
			if most, err = strconv.Atoi(aws.ToString(a.AttributeValues[0].AttributeValue)); err != nil {
				return fmt.Errorf("quota of Elastic IPs: %w", err)
			}
		}
	}
	used, err := client.DescribeAddresses(ctx, &ec2.DescribeAddressesInput{})
	if err != nil {
		return fmt.Errorf("list the Elastic IPs of the account: %w", err)
	}
	if err := o.allocations(used.Addresses); err != nil {
		return err
	}
	if want := makes - has; most >= 0 && want > most-len(used.Addresses) {
		return fmt.Errorf("the account has %d of %d Elastic IPs in %s, and the deployment makes %d: release those that no one needs, or ask for a higher quota (Service Quotas, EC2-VPC Elastic IPs)", len(used.Addresses), most, o.env.Region, want)
	}
	return nil
}

// allocations finds addresses of your own that do not exist, that have another IP,
// or, before the first deployment, that are in use.
func (o *online) allocations(there []ec2types.Address) error {
	var errs []error
	for _, name := range []string{"AddressAllocationA", "AddressAllocationB"} {
		id, ip, given := strings.Cut(o.parameters[name], "/")
		if !given {
			continue
		}
		n := slices.IndexFunc(there, func(a ec2types.Address) bool { return aws.ToString(a.AllocationId) == id })
		switch {
		case n < 0:
			errs = append(errs, fmt.Errorf("%s: the account has no %s in %s: look for it with aws ec2 describe-addresses", name, id, o.env.Region))
		case aws.ToString(there[n].PublicIp) != ip:
			errs = append(errs, fmt.Errorf("%s: the address of %s is %s, not %s: companies would enter an address that is not yours", name, id, aws.ToString(there[n].PublicIp), ip))
		case o.first && aws.ToString(there[n].AssociationId) != "":
			errs = append(errs, fmt.Errorf("%s: %s serves something else in %s: disassociate it, or choose another", name, id, o.env.Region))
		}
	}
	return errors.Join(errs...)
}

// zones finds zones that the region does not have or does not offer to this
// account.
func (o *online) zones(ctx context.Context) error {
	wanted := o.parameters["Zones"]
	if wanted == "" || !o.makesNetwork() {
		return nil
	}
	out, err := ec2.NewFromConfig(o.config).DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
	if err != nil {
		return fmt.Errorf("zones of %s: %w", o.env.Region, err)
	}
	var names []string
	for _, z := range out.AvailabilityZones {
		if z.State == ec2types.AvailabilityZoneStateAvailable {
			names = append(names, aws.ToString(z.ZoneName))
		}
	}
	for zone := range strings.SplitSeq(wanted, ",") {
		if !slices.Contains(names, zone) {
			return fmt.Errorf("%s: %s has %s, not %s: choose two of these", "Zones", o.env.Region, strings.Join(names, ", "), zone)
		}
	}
	return nil
}

// resourcesOf counts the resources of a type that the stack has already.
func (o *online) resourcesOf(ctx context.Context, kind string) (n int, err error) {
	if o.first {
		return 0, nil
	}
	pages := cloudformation.NewListStackResourcesPaginator(cloudformation.NewFromConfig(o.config), &cloudformation.ListStackResourcesInput{StackName: &o.env.Stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, fmt.Errorf("resources of the stack %s: %w", o.env.Stack, err)
		}
		for _, r := range page.StackResourceSummaries {
			if aws.ToString(r.ResourceType) == kind {
				n++
			}
		}
	}
	return n, nil
}

// vpcQuota is the code of "VPCs per Region" in Service Quotas.
const vpcQuota = "L-F678F1CE"

// vpcs compares the network that a first deployment makes with the quota.
func (o *online) vpcs(ctx context.Context) error {
	if !o.makesNetwork() || !o.first {
		return nil
	}
	quota, err := servicequotas.NewFromConfig(o.config).GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String("vpc"), QuotaCode: aws.String(vpcQuota)})
	if err != nil {
		return fmt.Errorf("quota of VPCs: %w", err)
	}
	used := 0
	pages := ec2.NewDescribeVpcsPaginator(ec2.NewFromConfig(o.config), &ec2.DescribeVpcsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("VPCs of the account: %w", err)
		}
		used += len(page.Vpcs)
	}
	if most := int(aws.ToFloat64(quota.Quota.Value)); used >= most {
		return fmt.Errorf("the account has %d of %d VPCs in %s, and the deployment makes one: delete one, ask for a higher quota (Service Quotas, VPCs per Region), or set VpcId, SubnetIds and TrustedIps", used, most, o.env.Region)
	}
	return nil
}

// subnets finds subnets of an own network that do not exist or lie in another VPC.
func (o *online) subnets(ctx context.Context) error {
	vpc := o.parameters["VpcId"]
	if vpc == "" {
		return nil
	}
	out, err := ec2.NewFromConfig(o.config).DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: strings.Split(o.parameters["SubnetIds"], ",")})
	if err != nil {
		return fmt.Errorf("SubnetIds: enter private subnets of %s in %s: %w", vpc, o.env.Region, err)
	}
	var errs []error
	for _, s := range out.Subnets {
		if got := aws.ToString(s.VpcId); got != vpc {
			errs = append(errs, fmt.Errorf("SubnetIds: %s lies in %s, and VpcId is %s: enter subnets of that VPC", aws.ToString(s.SubnetId), got, vpc))
		}
	}
	return errors.Join(errs...)
}

const (
	// unreserved is how much of Lambda's concurrency AWS keeps unreserved.
	unreserved = 100
	// usual is what the queues of a stack with a backlog use at once.
	usual = 60
)

// concurrency compares the reserved runs with the limit of the account.
func (o *online) concurrency(ctx context.Context) error {
	out, err := lambda.NewFromConfig(o.config).GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil || out.AccountLimit == nil {
		return errors.Join(errors.New("the concurrency of Lambda is unknown"), err)
	}
	limit := int(out.AccountLimit.ConcurrentExecutions)
	wanted := reserved(o.parameters)
	// The unreserved runs leave out what this stack has reserved, and it may reserve
	// that again.
	free := int(aws.ToInt32(out.AccountLimit.UnreservedConcurrentExecutions)) + reserved(o.now)
	if wanted > 0 && wanted > free-unreserved {
		return fmt.Errorf("the deployment reserves %d concurrent Lambda runs, and of the account's %d only %d may be reserved: ask for a higher quota (Service Quotas, Lambda, Concurrent executions), or set ReserveConcurrency=false", wanted, limit, max(free-unreserved, 0))
	}
	if alarmed, err := strconv.Atoi(o.parameters["AccountConcurrency"]); err == nil && alarmed != limit {
		o.note("the account allows %d concurrent Lambda runs, and the alarm Concurrency compares with %d: set AccountConcurrency=%d", limit, alarmed, limit)
	}
	if limit < usual {
		o.note("the account allows %d concurrent Lambda runs; a backlog uses about %d, and until then some alarms ring: ask for 1000 (Service Quotas, Lambda, Concurrent executions)", limit, usual)
	}
	return nil
}

// reserved is how many runs a deployment with these parameters reserves.
func reserved(parameters map[string]string) (runs int) {
	if parameters["ReserveConcurrency"] == "false" {
		return 0
	}
	for _, name := range []string{"ApiConcurrency", "PullConcurrency", "DecodeConcurrency", "MediaConcurrency"} {
		if n, err := strconv.Atoi(parameters[name]); err == nil { // check has refused other values
			runs += n
		}
	}
	return runs
}

// mostTrails is how many trails AWS allows in a region. A trail of all regions counts
// in each.
const mostTrails = 5

// trail finds an account without a trail of management events: in it, no mail would
// report the deletion of a store. It finds one that may have no further trail, and
// notes one in which AWS would charge for a second.
func (o *online) trail(ctx context.Context) error {
	client := cloudtrail.NewFromConfig(o.config)
	found, err := client.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{})
	if err != nil {
		return fmt.Errorf("trails of the account: %w", err)
	}
	var others []string
	var unsure error
	has := false
	for _, t := range found.TrailList {
		name := aws.ToString(t.Name)
		if name == o.env.Stack {
			has = true // the stack's own
			continue
		}
		if ok, err := reports(ctx, client, aws.ToString(t.TrailARN)); err != nil {
			unsure = fmt.Errorf("%s: %w", name, err)
		} else if ok {
			others = append(others, name)
		}
	}
	switch create := o.parameters["Trail"] == "create"; {
	case create && !has && len(found.TrailList) >= mostTrails:
		return fmt.Errorf("the account has %d trails in %s, and AWS allows %d: set Trail=existing if one of them reports management events, or delete one", len(found.TrailList), o.env.Region, mostTrails)
	case create && len(others) > 0:
		first := ""
		if has && o.env.Stage() != "dev" {
			first = fmt.Sprintf("run make unprotect ENV=%s and ", o.env.Name)
		}
		o.note("the trail %s reports management events already, and AWS charges for a second: %sset Trail=existing", others[0], first)
	case !create && len(others) == 0 && unsure != nil:
		o.note("the account's trail cannot be read (%v): ask its owner whether it reports management events in %s", unsure, o.env.Region)
	case !create && len(others) == 0:
		return fmt.Errorf("no trail reports the management events of %s, so no mail would tell of a deleted key: set Trail=create in place of Trail=existing", o.env.Region)
	}
	return nil
}

// reports tells whether a trail is logging and records the management events of
// calls that write.
func reports(ctx context.Context, client *cloudtrail.Client, trail string) (bool, error) {
	status, err := client.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: &trail})
	if err != nil || !aws.ToBool(status.IsLogging) {
		return false, err
	}
	selected, err := client.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: &trail})
	if err != nil {
		return false, err
	}
	for _, s := range selected.EventSelectors {
		if aws.ToBool(s.IncludeManagementEvents) && s.ReadWriteType != trailtypes.ReadWriteTypeReadOnly {
			return true, nil
		}
	}
	for _, s := range selected.AdvancedEventSelectors {
		if slices.ContainsFunc(s.FieldSelectors, func(f trailtypes.AdvancedFieldSelector) bool {
			return aws.ToString(f.Field) == "eventCategory" && slices.Contains(f.Equals, "Management")
		}) && !slices.ContainsFunc(s.FieldSelectors, func(f trailtypes.AdvancedFieldSelector) bool {
			return aws.ToString(f.Field) == "readOnly" && slices.Contains(f.Equals, "true")
		}) {
			return true, nil
		}
	}
	return false, nil
}
