package httpcache

import (
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// shardCount spreads the lock of the look-up-or-open step; all variants of a
// primary key share a shard, so a purge takes one lock.
const shardCount = 64

// shard holds the fetches under way for its part of the keys. Its lock is held
// for map operations only, never over I/O. A hit does not take it.
type shard struct {
	mu          sync.Mutex
	flights     map[string]*flight   // those that take joiners, by variant key
	live        map[*flight]struct{} // all, whether or not they take joiners
	layouts     map[string]*layout   // of slices being fetched, by variant key
	uncacheable map[string]time.Time // keys whose response was for one request only, with expiry
	failures    map[string]*failure  // keys whose upstream failed
	guessed     map[string]int       // flights under way by a guess about their key's route
}

func (c *Cache) shard(primary string) *shard {
	return &c.shards[maphash.String(c.seed, primary)%shardCount]
}

// find returns what is stored for a request as purges left it, nil if nothing,
// and the variant key. signpost is the stored list of selecting fields, if there is one.
func (c *Cache) find(primary string, h http.Header) (obj *store.Object, key string, signpost *store.Object) {
	obj, _ = c.opt.Store.Get(primary)
	if obj == nil || !obj.Signpost() {
		return c.unpurged(obj), primary, nil
	}
	signpost = obj
	key = rfc9111.VariantKey(primary, signpost.Generation, signpost.Vary, h)
	obj, _ = c.opt.Store.Get(key)
	return c.unpurged(obj), key, signpost
}

// mark remembers key as uncacheable. The caller holds mu.
func (s *shard) mark(key string, until, now time.Time, limit int) {
	makeRoom(s.uncacheable, limit, now.Before)
	s.uncacheable[key] = until
}

// makeRoom forgets what expired in a full m, or else any one entry: a wrong
// guess costs one wait.
func makeRoom[V any](m map[string]V, limit int, valid func(V) bool) {
	if len(m) < limit {
		return
	}
	for k, v := range m {
		if delete(m, k); valid(v) {
			return
		}
	}
}

// marked reports whether key is remembered as uncacheable. The caller holds mu.
func (s *shard) marked(key string, now time.Time) bool {
	until, ok := s.uncacheable[key]
	if ok && !now.Before(until) {
		delete(s.uncacheable, key)
		return false
	}
	return ok
}

// detach keeps further requests from joining f. The caller holds mu.
func (s *shard) detach(f *flight) {
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
	}
}

// purge removes a primary key with all its variants and keeps the flights under
// way from being stored or joined: what they carry may be older than the purge.
func (c *Cache) purge(primary string) bool {
	s := c.shard(primary)
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.live {
		if f.primary == primary {
			f.purged = true
			s.detach(f)
		}
	}
	delete(s.failures, primary)
	for _, l := range s.layouts {
		if l.primary == primary {
			c.abandon(s, l)
		}
	}
	slices := c.opt.Store.Delete(manifestKey(primary))
	return c.opt.Store.Delete(primary) || slices
}
