// Package shield is the tier in front of the origins: it turns the misses of all edges into one fetch per object, and never has more
// fetches at an origin than that origin bears.
package shield

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// tierName is what this tier is called in Cache-Status and Via.
const tierName = "shield"

// Options say how a Shield behaves.
type Options struct {
	// Sites are what is served. Required, at least one; requests for hosts of none of them are refused with 421.
	Sites []SiteOptions
	// PrivateRanges are addresses that count as private besides the usual ranges: those of pods and services, where they look public.
	PrivateRanges []netip.Prefix
	// Resolver looks up the names of origins. Default: the system's.
	Resolver *net.Resolver
	// Store keeps the responses of all sites. Required.
	Store store.Store
	// Observe is called once per finished request, on the request's goroutine; it must not block. Optional.
	Observe func(httpcache.Outcome)
	// Authenticate says which edge of this installation sent a request, if one did. It is called once per request, on its goroutine. With it
	// the Cache-Control of edges counts in full (rfc9111.Rules.HonourRequest), and of others what counts without it. Nil: no edge is known,
	// everybody is alike.
	Authenticate func(*http.Request) (edge string, ok bool)
	// EdgesOnly refuses with 403 whoever is none of them.
	EdgesOnly bool
	// Greet gets each request of an edge first, and of everybody where nobody is authenticated. It may add to the response's header, or answer
	// itself and return true. Optional.
	Greet func(w http.ResponseWriter, r *http.Request) (answered bool)
	// SliceBytes, MaxWaiters and StripSurrogate are for the engine; see httpcache.Options.
	SliceBytes     int64
	MaxWaiters     int
	StripSurrogate bool
	// CDNID is the identifier in CDN-Loop; see httpcache.Options.ID. Default: shield.
	CDNID  string
	Logger zerolog.Logger
}

// Shield serves edges, and clients where there are no edges. It is safe for concurrent use.
type Shield struct {
	o     Options
	sites atomic.Pointer[siteSet]
	cache *httpcache.Cache

	reloading sync.Mutex
}

// New returns a Shield ready to serve, or an error that names the wrong option.
func New(o Options) (*Shield, error) {
	if o.EdgesOnly && o.Authenticate == nil {
		return nil, errors.New("make the shield: EdgesOnly without Authenticate would refuse every request")
	}
	if o.Observe == nil {
		o.Observe = func(httpcache.Outcome) {}
	}
	s := &Shield{o: o}
	set, err := o.newSet(o.Sites, nil)
	if err != nil {
		return nil, fmt.Errorf("make the shield: %w", err)
	}
	s.sites.Store(set)
	s.cache, err = httpcache.New(httpcache.Options{
		Name: tierName, ID: o.CDNID, Upstream: origins{s}, Store: o.Store, Logger: o.Logger, Observe: o.Observe, Site: s.rules,
		SliceBytes: o.SliceBytes, MaxWaiters: o.MaxWaiters, StripSurrogate: o.StripSurrogate,
	})
	if err != nil {
		return nil, fmt.Errorf("make the shield's cache: %w", err)
	}
	return s, nil
}

// Sites returns the sites in the order in which they were given. Reload changes what it returns from then on.
func (s *Shield) Sites() []*Site { return s.sites.Load().all }

// ServeHTTP answers one request.
func (s *Shield) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// By what was received, not by what it is normalized to below.
	edge, no := s.admit(r)
	if no == nil && s.o.Greet != nil && (edge != "" || s.o.Authenticate == nil) && s.o.Greet(w, r) {
		return
	}
	host := ""
	if no == nil {
		host, no = s.route(r)
	}
	if no != nil {
		s.refuse(w, r, no)
		return
	}
	if host != r.Host {
		// A copy: who called may still look at its own. The origin then sees the host that is in the key, and no other spelling of it.
		routed := *r
		routed.Host = host
		r = &routed
	}
	s.cache.ServeHTTP(w, r)
}

// Bypass forwards every request as if nothing were stored; see httpcache.Cache.Bypass.
func (s *Shield) Bypass(on bool) { s.cache.Bypass(on) }

// Purge makes stored responses unusable or stale; see httpcache.Cache.Purge.
func (s *Shield) Purge(p httpcache.PurgeRequest) (httpcache.Purged, error) { return s.cache.Purge(p) }

// Close waits until no fetch is under way, or the context ends; see httpcache.Cache.Close. Idle connections to origins are closed.
func (s *Shield) Close(ctx context.Context) error {
	defer func() {
		for _, site := range s.Sites() {
			site.transport.CloseIdleConnections()
			site.held.CloseIdleConnections()
		}
	}()
	return s.cache.Close(ctx)
}

// rules returns what the site of a host changes of the caching rules.
func (s *Shield) rules(host string) *httpcache.Site {
	if site := s.sites.Load().table.find(host); site != nil {
		return &site.rules
	}
	return nil
}
