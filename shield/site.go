package shield

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// SiteOptions say where the resources of some hosts come from, and how they are cached.
type SiteOptions struct {
	// Name is what events, metrics and the log call the site: DNS labels with dots between. Required, different for each site.
	Name string
	// Hosts are the hosts of the site: www.example.org, or *.example.org for all below example.org, with a port where it is neither 80
	// nor 443. None means every host; then it is the only site.
	Hosts []string

	// Origins are the addresses of the site's origin server: scheme and host each, all of one scheme. Required, at least one.
	Origins []*url.URL
	// Trusted connects wherever the names of Origins lead. Otherwise each address is judged when it is connected to: public ones are
	// allowed; Private adds private ones, and loopback ones where Origins name localhost or a loopback address.
	Trusted, Private bool
	// KeepHost sends the client's Host to the origin; otherwise the one of the first of Origins is sent.
	KeepHost bool

	// Concurrency and QueueTimeout bound the fetches at the site's origin: see OriginOptions.
	Concurrency, HeldConcurrency int
	QueueTimeout                 time.Duration
	// Breaker is the share of failing fetches, in percent, from which the origin counts as down: see OriginOptions.
	Breaker int
	// ConnectTimeout is for one address, ResponseHeaderTimeout from the request to the head of its response. Zero is no limit of its own.
	// HeldTimeout takes the place of ResponseHeaderTimeout where the origin is meant to hold a request; zero is the engine's default.
	ConnectTimeout, ResponseHeaderTimeout, HeldTimeout time.Duration

	// Rules are what the site changes of the caching rules, IgnoreQuery the query parameters that do not change its responses.
	Rules       rfc9111.Rules
	IgnoreQuery []string
}

// Site is one site of a Shield. It is safe for concurrent use.
type Site struct {
	options   SiteOptions
	name      string
	rules     httpcache.Site
	origin    *Origin
	guard     *guard // nil where every address is allowed
	transport *http.Transport
	held      *http.Transport // for what the origin is meant to hold: connections of its own, so that nothing else waits for one
}

// Name is what events and metrics call the site.
func (s *Site) Name() string { return s.name }

// Origin is where the site's misses go.
func (s *Site) Origin() *Origin { return s.origin }

// Refused returns how many times the origin's name led to an address that must not be connected to.
func (s *Site) Refused() uint64 {
	if s.guard == nil {
		return 0
	}
	return s.guard.refused.Load()
}

// newSite returns a site with an origin of its own, so that no other site waits where this one's origin is slow.
func (o *Options) newSite(site SiteOptions) (*Site, error) {
	if len(site.Origins) == 0 {
		return nil, errors.New("no address of the origin server is given")
	}
	s := &Site{options: site, name: site.Name, rules: httpcache.Site{
		Rules: site.Rules, IgnoreQuery: site.IgnoreQuery,
		// A little more than the origin's own transport takes, which says more of what went wrong.
		HeaderTimeout: site.headerTimeout(site.ResponseHeaderTimeout), HeldTimeout: site.headerTimeout(site.HeldTimeout),
	}}
	s.rules.Rules.HonourRequest = site.Rules.HonourRequest || o.Authenticate != nil
	transport := TransportOptions{
		ServerName: site.Origins[0].Hostname(), ConnectTimeout: site.ConnectTimeout, ResponseHeaderTimeout: site.ResponseHeaderTimeout, Resolver: o.Resolver,
	}
	if !site.Trusted {
		s.guard = &guard{site: site.Name, private: site.Private, more: o.PrivateRanges, logger: o.Logger}
		transport.Control = s.guard.control
	}
	for _, u := range site.Origins {
		if u.Scheme != site.Origins[0].Scheme || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("origin %s: want http:// or https:// with a host, the same for all addresses", u.Redacted())
		}
		if err := s.declare(u); err != nil {
			return nil, fmt.Errorf("origin %s: %w", u.Redacted(), err)
		}
	}
	s.transport = NewTransport(transport)
	transport.ResponseHeaderTimeout = site.HeldTimeout
	s.held = NewTransport(transport)
	s.origin = NewOrigin(OriginOptions{
		URLs: site.Origins, KeepHost: site.KeepHost, Transport: s.transport, Concurrency: site.Concurrency, QueueTimeout: site.QueueTimeout,
		HeldTransport: s.held, HeldConcurrency: site.HeldConcurrency,
		Breaker: site.Breaker, Logger: o.Logger.With().Str("site", site.Name).Logger(),
	})
	return s, nil
}

// declare allows what the origin's URL itself says, and refuses a URL that could never be connected to: better at the start than at each miss.
func (s *Site) declare(u *url.URL) error {
	if s.guard == nil {
		return nil
	}
	if s.guard.private && namesLoopback(u.Hostname()) {
		s.guard.loopback = true
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		return s.guard.judge(address)
	}
	return nil
}

// headerTimeout is how long a fetch waits for the head of a response: for its turn, for the addresses that cannot be connected to, and
// for the origin, which has the time limit to answer. Zero is the engine's default.
func (s *SiteOptions) headerTimeout(limit time.Duration) time.Duration {
	if limit == 0 {
		return 0
	}
	return s.QueueTimeout + time.Duration(len(s.Origins))*s.ConnectTimeout + limit
}
