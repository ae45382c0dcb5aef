package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

// checkEgress finds trusted addresses that WeCom cannot see, and a proxy whose
// port conflicts with the security group.
func checkEgress(e deploy.Environment) error {
	var errs []error
	if ips := e.Parameters["TrustedIps"]; ips != "" {
		for ip := range strings.SplitSeq(ips, ";") {
			a, err := netip.ParseAddr(ip)
			if err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
				errs = append(errs, fmt.Errorf("TrustedIps: %s is no public address; WeCom sees only public addresses", ip))
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
