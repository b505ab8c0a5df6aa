package httpcache

import (
	"context"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// entry is where a request that the store could not answer at first goes.
type entry struct {
	object     *store.Object // stored meanwhile
	manifest   *store.Object // of slices, some or all of them stored
	reuse      rfc9111.Reuse
	flight     *flight // joined or opened, with reader
	reader     *reader
	stale      rfc9111.Reason // why object may answer, stale, with reuse
	probe      bool           // and it is time to ask the upstream again
	failed     int            // status code of a failure a moment ago, with object where it had a body
	retryAfter time.Duration
	pass       rfc9111.Reason // on its own, with its range
	shed       *refusal
}

// enter is the look-up and what follows from it as one step: under the
// shard's lock a request finds a stored response, or a flight to join, or opens
// the flight that others will find. alone keeps it from waiting for others.
func (c *Cache) enter(x *exchange, alone bool) entry {
	sh := c.shard(x.primary)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := c.opt.Now()
	x.purge = c.purges.last.Load() // before the look-up: a purge in between makes the fetch old, not its base new
	obj, key, signpost := c.find(x.primary, x.r.Header)
	fwd := fwdURIMiss
	if signpost != nil {
		fwd = fwdVaryMiss
	}
	last := c.failing(sh, x.primary, key, now)
	if obj != nil {
		u := rfc9111.Evaluate(x.site.Rules, &x.req, &obj.Meta, now)
		if u.Use == rfc9111.UseFresh {
			return entry{object: obj, reuse: u}
		}
		switch {
		case u.Use == rfc9111.UseNever:
			obj = nil // neither validated nor served on error for this request
			fwd = fwdRequest
		case u.Request:
			fwd = fwdRequest
		default:
			fwd = fwdStale
			if last != nil && !x.held {
				if why, ok := last.allows(c, obj, now); ok {
					return entry{object: obj, reuse: u, stale: why, probe: !now.Before(last.until)}
				}
			}
		}
	}
	byRequest := x.req.Directives.NoStore
	f := sh.flights[key]
	if f != nil && !f.takes(x, now) {
		f = nil
	}
	if x.req.Authorization && f == nil {
		byRequest = true
	}
	marked := sh.marked(key, now)
	guess := f == nil && obj == nil && signpost == nil && !alone && !byRequest && !marked && !x.head &&
		len(x.r.Header["Range"]) == 0 && sh.guessed[key] < guessedAtOnce && sh.flights[key] == nil && c.routes.uncacheable(x.primary, now)
	single := alone || byRequest || marked || guess
	if single {
		f = nil
	}
	var vary []string
	if signpost != nil {
		vary = signpost.Vary
	}
	switch rng, ranged := x.singleRange(); {
	case f != nil && (!ranged || x.whole || f.near(rng)):
	case ranged && single:
		if man := c.manifest(key); man != nil && combines(man) && !alone && !marked {
			if u := rfc9111.Evaluate(x.site.Rules, &x.req, &man.Meta, now); u.Use == rfc9111.UseFresh {
				return entry{manifest: man, reuse: u}
			}
		}
		return entry{pass: reasonRange}
	case obj != nil, x.whole: // validated, or fetched, as a whole
	case ranged && c.opt.MaxObjectBytes < c.opt.SliceBytes:
		if f != nil || rng.Suffix() || rng.First > c.opt.RangeJoinBytes {
			return entry{pass: reasonRange}
		}
	case ranged:
		if e, ok := c.enterSlice(x, sh, key, rng, vary, now); ok {
			return e
		}
	case !single:
		if e, ok := c.wholeFromSlices(x, sh, key, now); ok {
			return e
		}
	}
	if f == nil && last != nil && !byRequest && last.answers(x, now) {
		return entry{object: last.object, failed: last.code, retryAfter: last.until.Sub(now)}
	}
	if f == nil {
		if marked && x.head {
			return entry{pass: reasonHead}
		}
		f = c.open(x, sh, key, obj, fwd)
		if f == nil {
			return entry{shed: refusedClosed}
		}
		f.alone, f.forget, f.vary = single, byRequest, vary
		if guess {
			f.guess = key
			sh.guessed[key]++
		}
		rd := f.join(true)
		sh.live[f] = struct{}{}
		if !f.alone {
			sh.flights[key] = f
		}
		go f.run()
		return entry{flight: f, reader: rd}
	}
	rd := f.join(false)
	if rd == nil {
		return entry{shed: refusedWaiters}
	}
	return entry{flight: f, reader: rd}
}

// open makes a flight for a request. The caller holds sh.mu, completes it and
// starts it.
func (c *Cache) open(x *exchange, sh *shard, key string, base *store.Object, fwd forwardReason) *flight {
	if !c.begin() {
		return nil
	}
	if base != nil && !base.Body.Hold() {
		base = nil // evicted this moment: there is nothing left to validate
	}
	f := &flight{
		c: c, sh: sh, site: x.site, primary: x.primary, key: key, url: x.target, req: x.req, header: c.forwardHeader(x.r, x.site, true),
		base: base, born: x.purge, fwd: fwd, held: x.held, opened: c.opt.Now(), ready: make(chan struct{}), interim: make(chan interim, 4), progress: make(chan struct{}, 1),
		readers: make(map[*reader]struct{}, 1),
	}
	if base != nil {
		f.pinned, f.labels = base.Body, base.Labels // in case it answers
	}
	if !x.site.Rules.HonourRequest {
		// They were not forwarded either; no-store alone speaks to any cache.
		f.req.Directives = rfc9111.Directives{NoStore: x.req.Directives.NoStore}
	}
	f.ctx, f.cancel = context.WithCancelCause(c.base)
	return f
}

// refresh validates a stale response while it is served, unless that is under
// way already or too much else is.
func (c *Cache) refresh(x *exchange, stale *store.Object) {
	if x.req.Directives.NoStore || x.req.Authorization {
		return // the fetch could not be stored; the next request will do it
	}
	if c.background.Add(1) > int64(c.opt.MaxBackground) {
		c.background.Add(-1)
		return
	}
	sh := c.shard(x.primary)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	x.purge = c.purges.last.Load()
	obj, key, signpost := c.find(x.primary, x.r.Header)
	if obj == nil || obj.Born != stale.Born || obj.Meta.ResponseTime != stale.Meta.ResponseTime || sh.flights[key] != nil && c.opt.Now().Sub(sh.flights[key].opened) < c.opt.FlightAge {
		c.background.Add(-1)
		return
	}
	f := c.open(x, sh, key, obj, fwdStale)
	if f == nil {
		c.background.Add(-1)
		return
	}
	f.background = true
	if signpost != nil {
		f.vary = signpost.Vary
	}
	sh.live[f] = struct{}{}
	sh.flights[key] = f
	go f.run()
}

const (
	reasonRange        rfc9111.Reason = "range"
	reasonTooLarge     rfc9111.Reason = "too-large"
	reasonHead         rfc9111.Reason = "head"
	reasonPrecondition rfc9111.Reason = "precondition"
	reasonPurge        rfc9111.Reason = "purge"
	reasonUntrusted    rfc9111.Reason = "untrusted"
	reasonSWR          rfc9111.Reason = "stale-while-revalidate"
	reasonSIE          rfc9111.Reason = "stale-if-error"
	reasonUnreachable  rfc9111.Reason = "unreachable"
	reasonMaxStale     rfc9111.Reason = "max-stale"
	reasonBackoff      rfc9111.Reason = "backoff"
	reasonUpstream     rfc9111.Reason = "upstream"
	reasonTimeout      rfc9111.Reason = "timeout"
)

var (
	refusedClosed   = &refusal{503, "closing", "shutting down", time.Second}
	refusedReleased = &refusal{503, "released", "too many requests for resources that cannot be shared", time.Second}
	refusedWaiters  = &refusal{503, "waiters", "too many requests wait for this resource", time.Second}
)
