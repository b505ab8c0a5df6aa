// Package edge is the tier that clients talk to: it answers from a shared cache, forwards what it lacks to the shield that ranks
// first for the key, and reports once a second what it was asked for.
package edge

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// Options say how an Edge behaves.
type Options struct {
	// Upstream gets what the cache cannot answer. Required; see NewUpstream.
	Upstream http.RoundTripper
	// Store keeps responses. Required.
	Store store.Store
	// Meter counts what is served. Required; see NewMeter.
	Meter *Meter
	// Connections age client connections. Required; see NewConnections.
	Connections *Connections
	// Observe is called once per finished request beside the meter, on the request's goroutine; it must not block. Optional.
	Observe func(httpcache.Outcome)
	// ResponseHeaderTimeout is how long a fetch waits for the head of a response, over all attempts. Zero is the engine's default.
	ResponseHeaderTimeout time.Duration
	// SliceBytes and MaxWaiters are for the engine; see httpcache.Options.
	SliceBytes int64
	MaxWaiters int
	// HeldTimeout is the same for what an origin is meant to hold; see httpcache.Options.HeldTimeout.
	HeldTimeout time.Duration
	// Rules are what the sites change of the caching rules, IgnoreQuery the query parameters that do not change their responses.
	Rules       rfc9111.Rules
	IgnoreQuery []string
	// HonourClients lets the Cache-Control of clients count in full (rfc9111.Rules.HonourRequest), here and at the shields: a client that
	// reloads then reaches the origin. Default: only no-store and only-if-cached count.
	HonourClients bool
	// CDNID is the identifier in CDN-Loop; see httpcache.Options.ID. Default: edge.
	CDNID  string
	Logger zerolog.Logger
}

// Edge serves clients. It is safe for concurrent use.
type Edge struct {
	cache   *httpcache.Cache
	handler http.Handler
}

// New returns an Edge ready to serve, or an error that names the wrong option.
func New(o Options) (*Edge, error) {
	o.Rules.HonourRequest = o.HonourClients
	cache, err := httpcache.New(httpcache.Options{
		Name: "edge", ID: o.CDNID, Upstream: o.Upstream, Store: o.Store, Logger: o.Logger, HeaderTimeout: o.ResponseHeaderTimeout,
		HeldTimeout: o.HeldTimeout, SliceBytes: o.SliceBytes, MaxWaiters: o.MaxWaiters,
		Rules: o.Rules, IgnoreQuery: o.IgnoreQuery, StripSurrogate: true,
		Observe: func(outcome httpcache.Outcome) {
			o.Meter.Observe(outcome)
			if o.Observe != nil {
				o.Observe(outcome)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the edge's cache: %w", err)
	}
	var inner http.Handler = cache
	if !o.HonourClients {
		inner = ordinary(cache)
	}
	return &Edge{cache: cache, handler: o.Meter.Handler(o.Connections.Handler(inner))}, nil
}

// ordinary takes out of requests what clients may not ask for. The engine ignores it, but forwards it where it passes a request on for one
// client alone, and a shield that takes the edge at its word would send it to the origin.
func ordinary(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			rfc9111.OrdinaryRequest(r.Header)
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP answers one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handler.ServeHTTP(w, r) }

// Bypass forwards every request as if nothing were stored; see httpcache.Cache.Bypass.
func (e *Edge) Bypass(on bool) { e.cache.Bypass(on) }

// Purge makes stored responses unusable or stale; see httpcache.Cache.Purge.
func (e *Edge) Purge(p httpcache.PurgeRequest) (httpcache.Purged, error) { return e.cache.Purge(p) }

// Close waits until no fetch is under way, or the context ends; see httpcache.Cache.Close.
func (e *Edge) Close(ctx context.Context) error { return e.cache.Close(ctx) }
