package httpcache

import (
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// sliceAhead is how many slices are fetched ahead of the one that is being
// sent: enough to hide a round trip, few enough that a client that leaves has
// not cost the upstream much.
const sliceAhead = 3

// piece is a slice of a body, stored or in flight with a place as its reader.
type piece struct {
	rfc9111.Span // of the content
	object       *store.Object
	flight       *flight
	reader       *reader
	again        bool // fetched once more after a failure
	borrowed     bool // somebody else holds object
}

// leave is the end of what Cache.piece began.
func (p *piece) leave() {
	if p.object != nil && !p.borrowed {
		p.object.Body.Release()
	}
	if p.flight != nil {
		p.flight.leave(p.reader)
	}
}

func (p *piece) covers(s rfc9111.Span) bool { return p.Offset <= s.Offset && s.End() <= p.End() }

// enterSlice is enter for a range that no flight for the whole is near to. It
// reports false where the whole is to be fetched. The caller holds sh.mu.
func (c *Cache) enterSlice(x *exchange, sh *shard, key string, rng rfc9111.Range, vary []string, now time.Time) (entry, bool) {
	if rng.Suffix() && rng.Last == 0 {
		return entry{pass: reasonRange}, true
	}
	defer sh.sweep(key) // it may be answered from the store, or join a flight of another layout
	man := c.manifest(key)
	if man != nil && combines(man) {
		offset, _, ok := rng.Resolve(man.Total)
		if !ok {
			offset = 0 // any slice will do to learn what is true now
		}
		want := extent{from: c.align(offset), end: (offset/c.opt.SliceBytes + 1) * c.opt.SliceBytes}
		switch u := rfc9111.Evaluate(x.site.Rules, &x.req, &man.Meta, now); u.Use {
		case rfc9111.UseFresh:
			return entry{manifest: man, reuse: u}, true
		case rfc9111.UseStale:
			c.refreshSlices(x, sh, key, want, man, vary)
			return entry{manifest: man, reuse: u}, true
		case rfc9111.UseNever:
			return entry{pass: reasonRange}, true
		}
		return c.joinSlice(x, sh, c.layout(sh, x.primary, key, man), man.Key, want, man, vary, now), true
	}
	l := sh.layouts[key]
	if man == nil && l != nil && l.manifest != nil && combines(l.manifest) {
		if m := c.unpurged(l.manifest); m != nil {
			if u := rfc9111.Evaluate(x.site.Rules, &x.req, &m.Meta, now); u.Use == rfc9111.UseFresh {
				return entry{manifest: m, reuse: u}, true
			}
		}
	}
	if man == nil && l == nil && rng.Last < 0 && !rng.Suffix() && rng.First <= c.opt.RangeJoinBytes {
		return entry{}, false // wants it all
	}
	l = c.layout(sh, x.primary, key, man)
	if rng.Suffix() {
		want := extent{tail: c.opt.SliceBytes}
		if rng.Last < want.tail {
			want.tail = min(c.align(rng.Last)+c.alignment(), want.tail)
		}
		return c.joinSlice(x, sh, l, tailKey(key, l.generation, want.tail), want, nil, vary, now), true
	}
	o, f, end := c.place(sh, key, l.generation, rng.First)
	want := extent{from: c.align(rng.First), end: end}
	if f != nil {
		want = f.slice.extent
	}
	if o = c.unpurged(o); o != nil && o.Fields != nil {
		if u := rfc9111.Evaluate(x.site.Rules, &x.req, &o.Meta, now); u.Use == rfc9111.UseFresh {
			return entry{manifest: o, reuse: u}, true
		}
	}
	return c.joinSlice(x, sh, l, sliceKey(key, l.generation, end), want, nil, vary, now), true
}

// joinSlice enters the flight for a slice, or opens it.
func (c *Cache) joinSlice(x *exchange, sh *shard, l *layout, key string, want extent, base *store.Object, vary []string, now time.Time) entry {
	f, opener := sh.flights[key], false
	if f != nil && !f.takes(x, now) {
		f = nil
	}
	if f == nil {
		if f, opener = c.openSlice(x, sh, l, key, want, base, vary), true; f == nil {
			return entry{shed: refusedClosed}
		}
		go f.run()
	}
	rd := f.join(opener)
	if rd == nil {
		return entry{shed: refusedWaiters}
	}
	return entry{flight: f, reader: rd}
}

// refreshSlices validates a manifest while stale slices are served.
func (c *Cache) refreshSlices(x *exchange, sh *shard, key string, want extent, man *store.Object, vary []string) {
	if x.req.Authorization || sh.flights[man.Key] != nil || c.background.Load() >= int64(c.opt.MaxBackground) {
		return
	}
	if f := c.openSlice(x, sh, c.layout(sh, x.primary, key, man), man.Key, want, man, vary); f != nil {
		c.background.Add(1)
		f.background = true
		go f.run()
	}
}

// wholeFromSlices finds a fresh manifest that can answer a request for the
// whole: all of its slices are stored, or the whole is too large to be.
func (c *Cache) wholeFromSlices(x *exchange, sh *shard, key string, now time.Time) (entry, bool) {
	man := c.manifest(key)
	if man == nil || !combines(man) {
		return entry{}, false
	}
	u := rfc9111.Evaluate(x.site.Rules, &x.req, &man.Meta, now)
	if u.Use != rfc9111.UseFresh {
		return entry{}, false
	}
	if man.Total <= c.opt.MaxObjectBytes {
		// Backwards: a part is found by its end.
		for at := man.Total; at > 0; {
			o, _, _ := c.place(sh, key, man.Generation, at-1)
			if o == nil {
				return entry{}, false
			}
			at = o.Offset
		}
	}
	return entry{manifest: man, reuse: u}, true
}

// piece returns the slice of a manifest's content at offset, holding what is
// stored, or joining a flight, or opening one where nobody has yet; false when
// that cannot be.
func (c *Cache) piece(x *exchange, man *store.Object, offset int64) (piece, bool) {
	key := variantOf(man)
	sh := c.shard(x.primary)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	o, f, end := c.place(sh, key, man.Generation, offset)
	if o == nil {
		if t, _ := c.opt.Store.Get(tailKey(key, man.Generation, 0)); t != nil && t.Offset <= offset {
			o = t
		}
	}
	if o != nil && !sameContent(o, man) {
		o = nil
	}
	if f != nil && f.started() && !sameContent(f.head.object, man) {
		f = nil
	}
	if o != nil && o.Body.Hold() {
		return piece{Span: rfc9111.Span{Offset: o.Offset, Length: o.Body.Size()}, object: o}, true
	}
	want := extent{from: c.align(offset), end: end}
	if f != nil {
		want = f.slice.extent
	}
	p := piece{Span: rfc9111.Span{Offset: want.from, Length: min(want.end, man.Total) - want.from}}
	opener := f == nil
	if opener {
		l := sh.layouts[key]
		if l == nil || l.generation != man.Generation {
			// For this response only, unless it is the stored one's.
			l = &layout{key: key, primary: x.primary, generation: man.Generation, manifest: man}
			if now := c.manifest(key); now == nil || now.Generation != man.Generation {
				l.dead = true
			} else {
				sh.layouts[key] = l
			}
		}
		if f = c.openSlice(x, sh, l, sliceKey(key, man.Generation, end), want, nil, nil); f == nil {
			return p, false
		}
		if s, _ := c.opt.Store.Get(x.primary); s != nil && s.Signpost() {
			f.vary = s.Vary
		}
		go f.run()
	}
	p.flight, p.reader = f, f.join(opener)
	return p, p.reader != nil
}
