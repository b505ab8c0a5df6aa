package load

import (
	"context"
	"fmt"
	"net"
	"net/url"
)

// CheckLoopback refuses every target that is not on this machine's loopback interface: a load generator without this check is a weapon
// with a typing error as its trigger.
func CheckLoopback(ctx context.Context, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if u.Scheme != "http" || u.Hostname() == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return fmt.Errorf("target %q: want http://<loopback address>[:port]", target)
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, u.Hostname())
	if err != nil {
		return fmt.Errorf("target %q: look up the host: %w", target, err)
	}
	for _, a := range addresses {
		if !a.IP.IsLoopback() {
			return fmt.Errorf("target %q: %s is not a loopback address; load goes only to this machine (127.0.0.0/8 or ::1)", target, a.IP)
		}
	}
	return nil
}

// dialLoopback connects only to loopback addresses: the name may resolve differently when it is dialled than when it was checked.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	for _, a := range addresses {
		if !a.IP.IsLoopback() {
			return nil, fmt.Errorf("dial %s: %s is not a loopback address", address, a.IP)
		}
	}
	for _, a := range addresses {
		conn, dialErr := dialer.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
	}
	return nil, err
}
