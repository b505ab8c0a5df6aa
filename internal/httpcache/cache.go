// Package httpcache answers HTTP requests from a shared cache and turns the
// misses of many clients for one object into one fetch that all of them read.
package httpcache

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Cache is the shared caching engine of both tiers. It is safe for concurrent use.
type Cache struct {
	opt        Options
	everywhere Site // where opt.Site says nothing else
	seed       maphash.Seed
	shards     [shardCount]shard
	generation atomic.Uint64 // of signposts; random start, so that none repeats what a store kept
	background atomic.Int64  // flights for nobody, under way
	bypass     atomic.Bool
	purges     *epochs
	routes     *routes
	chunks     *chunkPool
	releases   chan struct{} // one for each released waiter that fetches

	base   context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	flights int
	closed  bool
	idle    chan struct{} // closed when closed and no flight is left
}

// New returns a Cache ready to serve, or an error that names the wrong option.
func New(o Options) (*Cache, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache{opt: o, everywhere: Site{Rules: o.Rules, IgnoreQuery: o.IgnoreQuery}, seed: maphash.MakeSeed(), purges: newEpochs(o.PurgeRecords), routes: newRoutes(o.UncacheableKeys),
		chunks:   newChunkPool(o.Store),
		releases: make(chan struct{}, o.MaxReleased), idle: make(chan struct{})}
	c.generation.Store(rand.Uint64() | 1)
	c.base, c.cancel = context.WithCancelCause(context.Background())
	for i := range c.shards {
		c.shards[i].flights = make(map[string]*flight)
		c.shards[i].layouts = make(map[string]*layout)
		c.shards[i].live = make(map[*flight]struct{})
		c.shards[i].uncacheable = make(map[string]time.Time)
		c.shards[i].failures = make(map[string]*failure)
		c.shards[i].guessed = make(map[string]int)
	}
	return c, nil
}

// ServeHTTP answers one request. It aborts the response by panicking with
// http.ErrAbortHandler when the body breaks off upstream.
func (c *Cache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Not on the stack: see follow.
	x := exchanges.Get().(*exchange)
	x.c, x.w, x.r, x.start = c, w, r, c.opt.Now()
	x.out.Method = r.Method
	defer x.end()
	x.serve()
	if x.flight != nil {
		x.follow()
	}
}

// Bypass forwards every request as if nothing were stored, for its client alone, or
// ends that. It is for when nobody knows what was purged: nothing is collapsed.
func (c *Cache) Bypass(on bool) { c.bypass.Store(on) }

// Close refuses further requests and waits until no fetch is under way. When
// ctx ends first it cancels what is left, waits for that to stop, and returns
// ctx's error.
func (c *Cache) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		if c.flights == 0 {
			close(c.idle)
		}
	}
	c.mu.Unlock()
	select {
	case <-c.idle:
		c.cancel(errClosed)
		return nil
	case <-ctx.Done():
		c.cancel(errClosed)
		<-c.idle
		return fmt.Errorf("closing the cache: %w", ctx.Err())
	}
}

// begin counts a flight; false when the cache is closed.
func (c *Cache) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.flights++
	return true
}

// ended is the end of what begin started.
func (c *Cache) ended(f *flight) {
	f.sh.mu.Lock()
	f.sh.detach(f)
	delete(f.sh.live, f)
	if f.guess != "" {
		f.sh.guessed[f.guess]--
		if f.sh.guessed[f.guess] == 0 {
			delete(f.sh.guessed, f.guess)
		}
	}
	if f.slice != nil {
		f.sh.release(f.slice.lay)
	}
	f.sh.mu.Unlock()
	f.mu.Lock()
	if f.ended = true; len(f.readers) == 0 {
		f.letGo()
	}
	f.mu.Unlock()
	if f.background {
		c.background.Add(-1)
	}
	c.passed()
	// A body that was handed over still needs the context; its taker cancels.
	if !f.started() || f.head.kind != headHandover {
		f.cancel(nil)
	}
}
