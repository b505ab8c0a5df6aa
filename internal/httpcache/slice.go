package httpcache

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// slice is what a flight for a part of a body knows besides.
type slice struct {
	lay *layout
	extent
	base *store.Object // the stale manifest that is being validated, or nil
	etag string        // the representation that it must be of; "" while any will do

	first, last, total int64 // as the upstream says; set before ready
}

// extent says what a flight for a slice asks for.
type extent struct {
	from, end int64 // end is not included, and may lie beyond the content's
	tail      int64 // the last bytes, that many, instead
}

// openSlice makes a flight for one slice. The caller holds sh.mu, and starts it.
func (c *Cache) openSlice(x *exchange, sh *shard, l *layout, key string, e extent, base *store.Object, vary []string) *flight {
	fwd := fwdURIMiss
	switch {
	case base != nil:
		fwd = fwdStale
	case l.manifest != nil:
		fwd = fwdPartial
	}
	f := c.open(x, sh, key, nil, fwd)
	if f == nil {
		return nil
	}
	f.slice, f.vary = &slice{lay: l, extent: e, base: base}, vary
	if base == nil && l.manifest != nil && combines(l.manifest) {
		f.slice.etag = l.manifest.Meta.ETag
	}
	l.flights++
	sh.live[f] = struct{}{}
	if f.forget = x.req.Authorization || x.req.Directives.NoStore; !f.forget {
		sh.flights[key] = f // else it may turn out to be of no use to others, in the middle of what they send
	}
	return f
}

// runSlice is run for a flight that fetches a slice.
func (f *flight) runSlice() {
	s := f.slice
	requested := f.c.opt.Now()
	resp, err := f.fetch(f.sliceRequest())
	received := f.c.opt.Now()
	if err != nil {
		if s.base == nil || !f.staleManifest(f.c.staleOn(err, &s.base.Meta, received), 0, err) {
			f.failed(err, received)
		}
		return
	}
	h := f.c.responseHeader(resp)
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent:
		f.sliceArrived(resp, h, requested, received)
		return
	case code == http.StatusNotModified && s.base != nil && rfc9111.Confirms(h, &s.base.Meta):
		f.confirmed(h, requested, received)
	case s.base != nil && rfc9111.IsServerError(code) && f.staleManifest(s.base.Meta.StaleOnError(received), code, nil):
	case s.etag != "" && (code == http.StatusOK || code == http.StatusRequestedRangeNotSatisfiable || code == http.StatusPreconditionFailed):
		f.changed()
	case code == http.StatusNotModified || code == http.StatusRequestedRangeNotSatisfiable:
		// An answer to this slice's range or condition, not to the clients' own.
		f.unusable(reasonRange)
	default:
		f.asWhole(resp, h, code, requested, received)
		return
	}
	resp.Body.Close()
}

// sliceRequest asks for the slice: of the known representation if there is one,
// and only if it has changed where a stale one is being validated.
func (f *flight) sliceRequest() *http.Request {
	s := f.slice
	r := f.request(false)
	r.Header = maps.Clone(r.Header)
	spec := "bytes=-" + strconv.FormatInt(s.tail, 10)
	if s.tail == 0 {
		spec = fmt.Sprintf("bytes=%d-%d", s.from, s.end-1)
	}
	r.Header["Range"] = []string{spec}
	switch {
	case s.base != nil:
		// Judged before Range (RFC 9110 section 13.2.2): a 304, or the new content's slice.
		rfc9111.SetConditional(r.Header, &s.base.Meta)
	case s.etag != "":
		r.Header["If-Range"] = []string{s.etag}
	}
	return r
}

// sliceArrived judges a 206 and streams its body. What only its opener may have
// continues the response that it has begun, if it is of the same content.
func (f *flight) sliceArrived(resp *http.Response, h http.Header, requested, received time.Time) {
	s := f.slice
	var ok bool
	s.first, s.last, s.total, ok = rfc9111.ContentRange(h)
	size := s.last - s.first + 1
	if !ok || !s.asked() || resp.ContentLength >= 0 && resp.ContentLength != size {
		resp.Body.Close()
		if s.etag != "" {
			f.changed()
			return
		}
		f.unusable(reasonRange)
		return
	}
	delete(h, "Content-Range")
	delete(h, "Content-Length")
	if s.total == size && s.etag == "" {
		resp.ContentLength = size // all of it: a whole response (RFC 9110 section 15.3.7.3)
		f.asWhole(resp, h, http.StatusOK, requested, received)
		return
	}
	v := rfc9111.Assess(f.site.Rules, f.req, http.StatusOK, h, requested, received)
	if v.Share == rfc9111.ShareNone && (!f.forget || s.etag == "") {
		resp.Body.Close()
		f.unusable(v.Reason)
		return
	}
	if !f.settleSlice(h, v) {
		resp.Body.Close()
		f.changed()
		return
	}
	f.idle()
	f.fill(resp)
}

// asked reports whether the upstream sent the slice that it was asked for: all
// of it, or up to the end.
func (s *slice) asked() bool {
	size := s.last - s.first + 1
	if s.tail > 0 {
		return s.total >= 0 && s.last == s.total-1 && (size == s.tail || s.first == 0)
	}
	return s.first == s.from && s.last < s.end && (s.last == s.end-1 || s.last == s.total-1 || s.total < 0)
}

// settleSlice decides what the response is in its layout and shows it to the
// readers. It reports false when it is of another representation.
func (f *flight) settleSlice(h http.Header, v rfc9111.Verdict) bool {
	s := f.slice
	f.labels = labels(f.url.host, h)
	f.sh.mu.Lock()
	if s.base != nil && (!combines(s.base) || v.Stored.ETag != s.base.Meta.ETag || s.total != s.base.Total) {
		// The content has changed since: a new layout, of which this is the first slice.
		f.c.abandon(f.sh, s.lay)
		f.sh.release(s.lay)
		s.lay = f.c.layout(f.sh, f.primary, s.lay.key, nil)
		s.lay.flights++
	}
	man := f.newManifest(h, v, s.total)
	old := s.lay.manifest
	if old != nil && combines(old) && (!combines(man) || old.Meta.ETag != man.Meta.ETag || old.Total != man.Total) {
		f.sh.mu.Unlock()
		return false
	}
	v.Store = v.Store && v.Share == rfc9111.ShareFresh && s.total >= 0 && !s.lay.dead && !f.discarded()
	if fields := forwardable(v.Vary); len(rfc9111.MergeVary(f.vary, fields)) > len(f.vary) {
		// The layout is not where requests will look from now on: they select by
		// fields that its key does not have.
		v.Store = false
		key, vary := f.key, f.vary
		f.key = s.lay.key
		f.signpost(v.Vary)
		f.key, f.vary = key, vary
		f.c.abandon(f.sh, s.lay)
	}
	if old == nil || s.base != nil || !combines(old) {
		s.lay.manifest = man
		if v.Store {
			f.c.opt.Store.Put(man)
		}
	} else {
		man = old // one header for all
	}
	f.store = v.Store
	joinable := v.Store && f.sh.flights[f.key] == f
	f.sh.detach(f)
	f.key = f.sliceKey() // it may have been found by the manifest's
	if joinable && f.sh.flights[f.key] == nil {
		f.sh.flights[f.key] = f
	}
	if !f.forget {
		delete(f.sh.uncacheable, s.lay.key)
	}
	f.sh.mu.Unlock()
	f.movable = rfc9111.StrongTag(v.Stored.ETag)
	f.body = newChunks(s.last-s.first+1, f.c.chunks)
	f.head = head{kind: headSlice, response: responseOf(man), verdict: v, upstream: http.StatusPartialContent, object: man}
	close(f.ready)
	return true
}

// sliceKey is the key of the slice, once its place is known. The caller holds
// sh.mu.
func (f *flight) sliceKey() string {
	s := f.slice
	if size := f.c.opt.SliceBytes; s.tail > 0 {
		s.from, s.end = s.first, (s.last/size+1)*size
		if s.first < s.end-size {
			return tailKey(s.lay.key, s.lay.generation, 0)
		}
	}
	return sliceKey(s.lay.key, s.lay.generation, s.end)
}

// sliceObject is the complete slice for the store. Where slices do not combine
// each has its own header. The caller holds sh.mu.
func (f *flight) sliceObject(body store.Body) *store.Object {
	s := f.slice
	o := &store.Object{Key: f.sliceKey(), Generation: s.lay.generation, Body: body, Offset: s.first, Total: s.total,
		Born: f.born, Labels: f.labels}
	man := f.head.object
	if combines(man) {
		o.Meta.ETag = man.Meta.ETag // says to what it belongs
	} else {
		o.Meta, o.Fields, o.CacheStatus = man.Meta, man.Fields, man.CacheStatus
	}
	if f.c.manifest(s.lay.key) == nil {
		f.c.opt.Store.Put(s.lay.manifest) // it was evicted meanwhile
	}
	return o
}

// confirmed updates a stale manifest by a 304, and with it all slices (RFC 9111
// section 4.3.4).
func (f *flight) confirmed(h http.Header, requested, received time.Time) {
	s := f.slice
	merged := rfc9111.Update(headerOf(s.base), h)
	v := rfc9111.Assess(f.site.Rules, f.req, http.StatusOK, merged, requested, received)
	f.labels = labels(f.url.host, merged)
	man := f.newManifest(merged, v, s.base.Total)
	f.sh.mu.Lock()
	f.sh.detach(f)
	if v.Share == rfc9111.ShareFresh && v.Store && !s.lay.dead && !f.discarded() {
		s.lay.manifest = man
		f.c.opt.Store.Put(man)
	} else {
		v.Store = false
		f.c.abandon(f.sh, s.lay)
	}
	f.sh.mu.Unlock()
	f.head = head{kind: headObject, object: man, response: responseOf(man), verdict: v, upstream: http.StatusNotModified}
	close(f.ready)
}

// staleManifest serves on what could not be validated, if that is allowed.
func (f *flight) staleManifest(allowed bool, upstream int, err error) bool {
	if !allowed {
		return false
	}
	f.show(head{kind: headObject, object: f.slice.base, response: responseOf(f.slice.base), stale: true, upstream: upstream, verdict: shareStale(f.slice.base), err: err})
	return true
}

// changed ends a layout whose representation is no longer the upstream's.
// Readers that have sent nothing look again; others break off.
func (f *flight) changed() {
	f.sh.mu.Lock()
	f.c.abandon(f.sh, f.slice.lay)
	f.sh.mu.Unlock()
	f.show(head{kind: headAgain})
}

// unusable lets each reader fetch its own range: what came is not for others,
// or not what was asked for.
func (f *flight) unusable(reason rfc9111.Reason) {
	now := f.c.opt.Now()
	f.sh.mu.Lock()
	if reason != reasonRange && !f.forget {
		f.sh.mark(f.slice.lay.key, now.Add(f.c.opt.UncacheableMemory), now, f.c.opt.UncacheableKeys/shardCount+1)
	}
	f.sh.mu.Unlock()
	f.show(head{kind: headUnusable, verdict: rfc9111.Verdict{Reason: reason}})
}

func (f *flight) show(h head) {
	f.sh.mu.Lock()
	f.sh.detach(f)
	f.sh.mu.Unlock()
	f.head = h
	close(f.ready)
}

// asWhole goes on as a flight for the whole resource: the upstream takes no
// ranges, or this was all of it, or no content at all.
func (f *flight) asWhole(resp *http.Response, h http.Header, status int, requested, received time.Time) {
	f.sh.mu.Lock()
	f.sh.detach(f)
	l := f.slice.lay
	if status == http.StatusOK {
		f.c.abandon(f.sh, l)
	}
	f.key = l.key
	other := f.sh.flights[f.key]
	if other == nil {
		if !f.purged { // since it was opened: what it carries is for those who wait already
			f.sh.flights[f.key] = f
		}
	} else if resp.StatusCode == http.StatusOK {
		other.unsliced = true
	}
	f.unsliced = true
	f.sh.mu.Unlock()
	if other != nil && resp.StatusCode == http.StatusOK {
		resp.Body.Close() // it is being fetched already
		f.show(head{kind: headAgain, whole: true})
		return
	}
	f.sh.mu.Lock()
	f.sh.release(l)
	f.slice = nil
	f.sh.mu.Unlock()
	f.stream(resp, h, rfc9111.Assess(f.site.Rules, f.req, status, h, requested, received))
}
