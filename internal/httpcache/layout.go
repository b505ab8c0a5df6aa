package httpcache

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// layout is one representation of a resource that is known by slices. Its
// generation is part of their keys: slices of another representation, which has
// another strong entity tag, can never be found in its place.
type layout struct {
	key        string // variant key of the resource
	primary    string
	generation uint64

	// Guarded by the shard's lock.
	manifest *store.Object // header and total length; nil until a first slice has arrived
	dead     bool          // purged, or no longer current: nothing of it is stored any more
	flights  int
}

// manifestKey is where the store has the header and the total length of a
// resource known by slices. A zero byte occurs in no URL, and the byte after it
// in no part of a variant key.
func manifestKey(key string) string { return key + "\x00\x02" }

// sliceKey is where the slice that ends before position end is, or the part of
// it that has been fetched: a slice is fetched from where it is wanted to its
// end, and what lies before, if that is wanted later, to where the first part
// began.
func sliceKey(key string, generation uint64, end int64) string {
	return manifestKey(key) + strconv.FormatUint(generation, 36) + "." + strconv.FormatInt(end, 36)
}

// tailKey is where the last n bytes are, as long as nobody knows where the
// content ends; 0 if they were more than the last slice.
func tailKey(key string, generation uint64, n int64) string {
	return manifestKey(key) + strconv.FormatUint(generation, 36) + "-" + strconv.FormatInt(n, 36)
}

// place finds what there is at offset of a layout's content: a stored part of
// its slice, a flight that brings one, or neither; and where the next flight
// for it would end. The caller holds s.mu.
func (c *Cache) place(s *shard, key string, generation uint64, offset int64) (o *store.Object, f *flight, end int64) {
	end = (offset/c.opt.SliceBytes + 1) * c.opt.SliceBytes
	for {
		k := sliceKey(key, generation, end)
		start := int64(-1)
		if o, _ = c.opt.Store.Get(k); o != nil {
			f, start = nil, o.Offset
		} else if f = s.flights[k]; f != nil && (!f.started() || f.head.kind == headSlice) {
			start = f.slice.from
		} else {
			f = nil
		}
		if start <= offset {
			return o, f, end
		}
		end = start
	}
}

// align is where a flight for offset begins: not at every byte, so that
// requests for about the same place share it.
func (c *Cache) align(offset int64) int64 { return offset - offset%c.alignment() }

func (c *Cache) alignment() int64 { return max(c.opt.SliceBytes/64, 1) }

// newManifest is a response to a whole GET, as the 206 of one slice tells of
// it, without its body; total is -1 if the 206 does not say.
func (f *flight) newManifest(h http.Header, v rfc9111.Verdict, total int64) *store.Object {
	r, l := newResponse(h, v, total), f.slice.lay
	return &store.Object{Key: manifestKey(l.key), Generation: l.generation, Meta: v.Stored, Fields: r.fields, CacheStatus: r.cacheStatus,
		Total: total, Born: f.born, Labels: f.labels}
}

// variantOf is the key of the resource that a manifest, or a slice that speaks
// for itself, is of.
func variantOf(man *store.Object) string {
	key, _, _ := strings.Cut(man.Key, "\x00\x02")
	return key
}

// combines reports whether the slices of a manifest belong together for
// certain (RFC 9111 section 3.4). Others are each a response of their own.
func combines(man *store.Object) bool { return man.Total >= 0 && rfc9111.StrongTag(man.Meta.ETag) }

// sameContent reports whether two manifests, or a manifest and a slice of one,
// are of one representation. The generation in their keys says so only of those
// that combine: what came before those under the same one may be of any.
func sameContent(a, b *store.Object) bool {
	return combines(a) && a.Meta.ETag == b.Meta.ETag && a.Total == b.Total
}

// manifest returns what is stored of a resource known by slices as purges left
// it, or nil. What they leave holds for the slices: they are reached by it alone.
func (c *Cache) manifest(key string) *store.Object {
	man, _ := c.opt.Store.Get(manifestKey(key))
	return c.unpurged(man)
}

// layout returns the one that slices of a resource are fetched for now: that
// of the stored manifest if there is one. The caller holds s.mu.
func (c *Cache) layout(s *shard, primary, key string, man *store.Object) *layout {
	l := s.layouts[key]
	if l != nil && l.manifest != nil && c.unpurged(l.manifest) == nil {
		c.abandon(s, l)
		l = nil
	}
	if l == nil || man != nil && l.generation != man.Generation {
		l = &layout{key: key, primary: primary, manifest: man}
		if man != nil {
			l.generation = man.Generation
		} else {
			l.generation = c.generation.Add(1)
		}
		s.layouts[key] = l
	}
	return l
}

// abandon makes a layout unreachable: what follows starts anew. The caller
// holds s.mu.
func (c *Cache) abandon(s *shard, l *layout) {
	l.dead = true
	if s.layouts[l.key] == l {
		delete(s.layouts, l.key)
	}
	if man := c.manifest(l.key); man != nil && man.Generation == l.generation {
		c.opt.Store.Delete(man.Key)
	}
}

// release is the end of a flight for one of l's slices. The caller holds s.mu.
func (s *shard) release(l *layout) {
	l.flights--
	s.sweep(l.key)
}

// sweep forgets a layout of which nothing is being fetched: the store has its
// manifest, or it is not to be kept. The caller holds s.mu.
func (s *shard) sweep(key string) {
	if l := s.layouts[key]; l != nil && l.flights == 0 {
		delete(s.layouts, key)
	}
}
