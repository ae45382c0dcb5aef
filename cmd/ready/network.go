package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

// checkEgress finds trusted addresses that are not public (WeCom sees public
// addresses only), a network that is not private, zones of another region or one
// zone twice, and a proxy whose port conflicts with the security group.
func checkEgress(e deploy.Block) error {
	var errs []error
	public := func(name, ip string) {
		if a, err := netip.ParseAddr(ip); err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
			errs = append(errs, fmt.Errorf("%s: %s is no public address; WeCom sees only public addresses", name, ip))
		}
	}
	if ips := e.Parameters["TrustedIps"]; ips != "" {
		for ip := range strings.SplitSeq(ips, ";") {
			public("TrustedIps", ip)
		}
	}
	for _, name := range []string{"AddressAllocationA", "AddressAllocationB"} {
		if _, ip, ok := strings.Cut(e.Parameters[name], "/"); ok {
			public(name, ip)
		}
	}
	if cidr := e.Parameters["VpcCidr"]; cidr != "" {
		if p, err := netip.ParsePrefix(cidr); err != nil || p != p.Masked() || !p.Addr().IsPrivate() {
			errs = append(errs, fmt.Errorf("VpcCidr: %s is no private network, such as 10.78.0.0/22", cidr))
		}
	}
	const name = "Zones"
	if zones := e.Parameters[name]; zones != "" {
		if a, b, _ := strings.Cut(zones, ","); a == b {
			errs = append(errs, fmt.Errorf("%s: %s is named twice: choose two zones of %s", name, a, e.Region))
		}
		for zone := range strings.SplitSeq(zones, ",") {
			if !strings.HasPrefix(zone, e.Region) {
				errs = append(errs, fmt.Errorf("%s: %s is no zone of %s", name, zone, e.Region))
			}
		}
	}
	if proxy := e.Parameters["WecomProxy"]; proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("WecomProxy: %w", err))...)
		}
		if _, err := netip.ParseAddrPort("127.0.0.1:" + u.Port()); err != nil {
			errs = append(errs, fmt.Errorf("WecomProxy: port %q is no port number", u.Port()))
		}
		// EC2 refuses a security group with the same rule twice.
		if u.Port() == "443" || u.Port() == "53" {
			errs = append(errs, fmt.Errorf("WecomProxy: move the proxy to another port than %s, which the security group opens for other traffic", u.Port()))
		}
	}
	return errors.Join(errs...)
}
