package shield

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// reach says from where an address can be reached, and thereby who else than the world may answer there.
type reach string

const (
	reachPublic   reach = "public"
	reachPrivate  reach = "private"  // a network of one's own, a cluster's pods and services among it
	reachLoopback reach = "loopback" // this very machine or pod: admin listeners, sidecars
	reachNowhere  reach = "reserved" // link-local with the cloud's metadata service, multicast, unspecified: never an origin server
)

// reserved are ranges that no origin server has, from the IANA special-purpose registries. 6to4 and Teredo wrap an IPv4 address that
// some relay would unwrap behind our back.
var reserved = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"::/96", "::ffff:0:0:0/96", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20", "fe80::/9", "ff00::/8",
	// Metadata services of clouds that are elsewhere: Alibaba, Azure, AWS, Google.
	"100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128",
)

// private are ranges of networks of one's own: RFC 1918, RFC 6598 (carrier-grade NAT, which several clouds give to pods), RFC 2544,
// RFC 4193, and the local-use prefix of NAT64 (RFC 8215).
var private = prefixes("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "64:ff9b:1::/48", "fc00::/7")

// nat64 is the well-known prefix of NAT64 (RFC 6052): in an IPv6 cluster each IPv4 address comes in it, harmless or not.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range list {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// reachOf judges an address; more are the ranges that count as private besides the usual ones.
func reachOf(address netip.Addr, more []netip.Prefix) reach {
	address = address.Unmap().WithZone("") // ::ffff:127.0.0.1 connects to 127.0.0.1
	if nat64.Contains(address) {
		wide := address.As16()
		address = netip.AddrFrom4([4]byte(wide[12:]))
	}
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(address) })
	}
	switch {
	case address.IsLoopback():
		return reachLoopback
	case !address.IsValid() || in(reserved):
		return reachNowhere
	case in(private) || in(more):
		return reachPrivate
	}
	return reachPublic
}

// guard keeps a site from connecting to where its operator did not mean it to: a name that resolves to something else than it did when it
// was written down is in the hands of whoever runs its zone. It is asked with the address that is about to be connected to, not
// with an earlier answer of the resolver. It is safe for concurrent use.
type guard struct {
	site              string
	private, loopback bool // what else than public addresses is meant
	more              []netip.Prefix
	logger            zerolog.Logger

	refused atomic.Uint64
	quiet   atomic.Int64 // Unix time in nanoseconds until which refusals are not logged
}

// logEvery is the least time between two log lines about refused addresses of one site: each miss would write one.
const logEvery = 10 * time.Second

// control is a net.Dialer's Control: it runs after the name was resolved and before the connection is made.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("judge the address %q: %w", address, err)
	}
	err = g.judge(at.Addr())
	if err != nil {
		g.refused.Add(1)
		if now, quiet := time.Now().UnixNano(), g.quiet.Load(); now >= quiet && g.quiet.CompareAndSwap(quiet, now+int64(logEvery)) {
			g.logger.Warn().Err(err).Str("site", g.site).Str("address", address).Uint64("refused", g.refused.Load()).Msg("address of the origin refused")
		}
	}
	return err
}

// judge returns why the address must not be connected to, nil if it may.
func (g *guard) judge(address netip.Addr) error {
	switch at := reachOf(address, g.more); {
	case at == reachPublic, at == reachPrivate && g.private, at == reachLoopback && g.loopback:
		return nil
	case at == reachPrivate:
		return fmt.Errorf("%s is a private address, and the site does not say private: true", address)
	case at == reachLoopback:
		return fmt.Errorf("%s is a loopback address, and the site does not say private: true with localhost or a loopback address in its origin", address)
	}
	return fmt.Errorf("%s is a reserved address, which no origin server has", address)
}

// namesLoopback reports whether the host of an origin's URL says itself that this machine is meant.
func namesLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
