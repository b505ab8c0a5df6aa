package httpcache

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// flight is one fetch on behalf of any number of requests. It has a context of
// its own: every request, the one that opened it included, is only a reader,
// and none of them can slow or end it for the others.
type flight struct {
	c       *Cache
	sh      *shard
	site    *Site
	primary string
	key     string // variant key; guarded by sh.mu once the flight is open
	vary    []string
	url     target
	req     rfc9111.Request
	header  http.Header   // as forwarded, without what validates base
	base    *store.Object // the stored response that is being validated, or nil
	born    uint64        // number of the last purge before the fetch
	labels  []uint64      // set before ready
	fwd     forwardReason
	opened  time.Time
	// held is a request that the origin is meant to hold.
	held bool
	// alone is a flight for its opener only; background one for nobody.
	alone, background bool
	// guess is the key of a flight that is alone by a guess about its route.
	guess string
	// forget is a flight whose request, not whose response, keeps it alone, or may:
	// its outcome says nothing about the key.
	forget  bool
	purged  bool     // guarded by sh.mu
	failure *failure // what sh remembers of it; guarded by sh.mu

	slice    *slice // what of the body is fetched; nil for all of it
	unsliced bool   // the upstream takes no ranges: a far range, too, waits for its turn; guarded by sh.mu

	ctx    context.Context
	cancel context.CancelCauseFunc

	ready   chan struct{} // closed when head is set
	interim chan interim  // for the opener, before ready
	head    head
	body    *chunks // set before ready where head.kind is headStream

	store    bool        // the body goes to the store when complete; written under sh.mu
	transit  atomic.Bool // the body passes through a window; nobody can join
	progress chan struct{}
	movable  bool // a part of the body can be fetched apart; set before ready
	resumed  bool
	trailer  http.Header // of the upstream's body; set before the body is complete

	mu      sync.Mutex // taken after sh.mu
	readers map[*reader]struct{}
	given   io.Closer    // upstream body handed over and not yet taken
	crowd   atomic.Int64 // of readers, for who does not hold mu
	joined  bool         // by somebody who did not open it
	pinned  store.Body   // of base, until the flight has ended and nobody reads
	ended   bool
	over    bool
	left    [][]byte // chunks to recycle when the last reader has left
}

// reader is one request's place in a flight.
type reader struct {
	opener bool
	stuck  bool // nobody waits for it any more; guarded by the flight's mu
	pos    atomic.Int64
}

// headKind says how a flight's response reaches its readers.
type headKind int

const (
	headStream   headKind = iota // header now, body from the chunks
	headObject                   // a stored response: validated, or stale on error
	headHandover                 // for the opener only, straight from the upstream
	headFailed                   // no response
	headSlice                    // header of the whole now, one slice of the body from the chunks
	headAgain                    // look again: it was of another representation, or the whole is on its way
	headUnusable                 // each to fetch its own range
)

// head is what a flight knows once the upstream answered. Immutable after ready.
type head struct {
	kind     headKind
	response response
	verdict  rfc9111.Verdict
	upstream int           // status code of the upstream, 0 for none
	object   *store.Object // headObject; the manifest of headSlice
	stale    bool          // headObject served because the upstream failed
	resp     *http.Response
	code     int  // headFailed: what to answer
	whole    bool // headAgain: by the flight for the whole
	err      error
}

var (
	errNobody  = errors.New("nobody waits for the response any more")
	errTimeout = errors.New("upstream sent no response header in time")
	errStalled = errors.New("upstream stalled within the body")
	errPanic   = errors.New("fetch panicked")
	errClosed  = errors.New("the cache is closed")
)

// run fetches, decides who may share, and fills.
func (f *flight) run() {
	defer f.end()
	if f.slice != nil {
		f.runSlice()
		return
	}
	requested := f.c.opt.Now()
	resp, err := f.fetch(f.request(true))
	if err == nil && f.base != nil && resp.StatusCode == http.StatusNotModified && !rfc9111.Confirms(resp.Header, &f.base.Meta) {
		// Section 4.3.4: it confirms some other response than the stored one.
		resp.Body.Close()
		requested = f.c.opt.Now()
		resp, err = f.fetch(f.request(false))
	}
	received := f.c.opt.Now()
	if err != nil {
		f.failed(err, received)
		return
	}
	h := f.c.responseHeader(resp)
	if f.base != nil && resp.StatusCode == http.StatusNotModified {
		resp.Body.Close()
		f.validated(h, requested, received)
		return
	}
	v := rfc9111.Assess(f.site.Rules, f.req, resp.StatusCode, h, requested, received)
	if f.base != nil && !f.held && rfc9111.IsServerError(resp.StatusCode) && f.base.Meta.StaleOnError(received) {
		resp.Body.Close()
		f.publish(head{kind: headObject, object: f.base, response: responseOf(f.base), stale: true, upstream: resp.StatusCode,
			verdict: shareStale(f.base)})
		return
	}
	f.stream(resp, h, v)
}

// request builds the upstream's request.
func (f *flight) request(conditional bool) *http.Request {
	h := f.header
	if conditional && f.base != nil {
		h = maps.Clone(h)
		rfc9111.SetConditional(h, &f.base.Meta)
	}
	return (&http.Request{
		Method: http.MethodGet, URL: f.url.upstreamURL(), Host: f.url.host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(withInterim(f.ctx, f.offer))
}

// fetch sends a request, with a bound on the wait for the header only.
func (f *flight) fetch(r *http.Request) (*http.Response, error) {
	limit := f.c.headerTimeout(f.site)
	if f.held {
		limit = f.c.heldTimeout(f.site)
	}
	timer := time.AfterFunc(limit, func() { f.cancel(errTimeout) })
	resp, err := f.c.opt.Upstream.RoundTrip(r)
	if !timer.Stop() && err == nil {
		resp.Body.Close()
		err = errTimeout
	}
	return resp, err
}

// failed answers for an upstream that gave no response.
func (f *flight) failed(err error, now time.Time) {
	if cause := context.Cause(f.ctx); cause != nil {
		err = cause
	}
	if f.base != nil && !f.held && !errors.Is(err, errNobody) && !errors.Is(err, errClosed) && f.c.staleOn(err, &f.base.Meta, now) {
		f.publish(head{kind: headObject, object: f.base, response: responseOf(f.base), stale: true, verdict: shareStale(f.base), err: err})
		return
	}
	f.c.opt.Logger.Debug().Err(err).Str("key", f.primary).Msg("upstream gave no response")
	f.publish(head{kind: headFailed, code: failureCode(err), err: err, verdict: rfc9111.Verdict{Share: rfc9111.ShareError}})
}

// failureCode is the status that tells a client of an upstream's failure.
func failureCode(err error) int {
	if declined(err) != nil {
		return http.StatusServiceUnavailable
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, errTimeout) || errors.As(err, &timeout) && timeout.Timeout() {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// shareStale lets everybody who waits have a stored response that is served
// because validating it failed.
func shareStale(o *store.Object) rfc9111.Verdict {
	return rfc9111.Verdict{Share: rfc9111.ShareError, Stored: o.Meta}
}

// validated answers with the stored response, its header updated by a 304.
func (f *flight) validated(h http.Header, requested, received time.Time) {
	merged := rfc9111.Update(headerOf(f.base), h)
	v := rfc9111.Assess(f.site.Rules, f.req, f.base.Meta.Status, merged, requested, received)
	f.labels = labels(f.url.host, merged)
	o := newObject(f.key, merged, v, f.base.Body)
	o.Born, o.Labels = f.born, f.labels
	f.keep(v.Store)
	f.publish(head{kind: headObject, object: o, response: responseOf(o), verdict: v, upstream: http.StatusNotModified})
}

// stream answers with the upstream's response while its body arrives.
func (f *flight) stream(resp *http.Response, h http.Header, v rfc9111.Verdict) {
	f.labels = labels(f.url.host, h)
	f.keep(v.Store && resp.ContentLength <= f.c.opt.MaxObjectBytes)
	hd := head{kind: headStream, verdict: v, upstream: resp.StatusCode, response: newResponse(h, v, resp.ContentLength)}
	f.movable = splittable(&hd.response)
	if resp.ContentLength > f.c.opt.MaxObjectBytes && !f.movable {
		// Readers of a body that is not kept drift apart; none could be helped.
		hd.verdict.Share, hd.verdict.Store, hd.verdict.Reason = rfc9111.ShareNone, false, reasonTooLarge
	}
	if hd.verdict.Share == rfc9111.ShareNone && !f.store {
		hd.kind, hd.resp = headHandover, resp
		f.mu.Lock()
		f.given = resp.Body
		f.mu.Unlock()
		f.publish(hd)
		f.settle() // the opener may have left before the body was there to be closed
		return
	}
	f.body = newChunks(resp.ContentLength, f.c.chunks)
	f.transit.Store(resp.ContentLength > f.c.opt.MaxObjectBytes)
	f.publish(hd)
	f.idle() // readers may have left before there was a response to judge
	f.fill(resp)
}

func (f *flight) keep(store bool) {
	f.sh.mu.Lock()
	f.store = store
	f.sh.mu.Unlock()
}

// end closes the flight's books. An upstream that panics fails this fetch, not
// the process, and leaves nobody waiting.
func (f *flight) end() {
	if p := recover(); p != nil {
		f.c.opt.Logger.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("key", f.primary).Msg("fetch panicked")
		if !f.started() {
			f.failed(errPanic, f.c.opt.Now())
		} else if f.body != nil {
			f.crash(errPanic)
		}
	}
	f.c.ended(f)
}

// publish decides under the shard's lock what the key becomes, and then shows
// the head to the readers. A request that looks the key up sees either the
// flight with its waiters or what came of it.
func (f *flight) publish(h head) {
	now := f.c.opt.Now()
	f.sh.mu.Lock()
	share := h.verdict.Share
	switch {
	case h.kind != headFailed && share != rfc9111.ShareError:
		delete(f.sh.failures, f.key)
	case !f.forget && !f.purged && !errors.Is(h.err, errNobody) && !errors.Is(h.err, errClosed) && declined(h.err) == nil:
		f.sh.failed(f, &h, now)
	}
	switch {
	case f.forget || h.kind == headFailed || rfc9111.IsServerError(h.upstream):
	case share == rfc9111.ShareNone:
		if h.upstream < http.StatusMultipleChoices { // anybody can ask for what is not there
			f.c.routes.learn(f.primary, false, now, f.c.opt.UncacheableMemory)
		}
		f.sh.mark(f.key, now.Add(f.c.opt.UncacheableMemory), now, f.c.opt.UncacheableKeys/shardCount+1)
	case share != rfc9111.ShareError:
		f.c.routes.learn(f.primary, true, now, f.c.opt.UncacheableMemory)
		delete(f.sh.uncacheable, f.key)
	}
	if f.store {
		f.signpost(h.verdict.Vary)
	} else if f.base != nil && !f.forget && h.upstream != 0 && share != rfc9111.ShareError {
		// What took the stored response's place may not be stored: nor may the
		// old one be served on as stale.
		f.c.opt.Store.Delete(f.key)
	}
	if share != rfc9111.ShareFresh && f.failure == nil || f.transit.Load() || h.kind != headStream {
		f.sh.detach(f)
	}
	if f.store && h.kind == headObject && !f.discarded() {
		h.object.Key = f.key
		f.c.opt.Store.Put(h.object)
	}
	f.sh.mu.Unlock()
	f.head = h
	close(f.ready)
}

// signpost makes later requests look the key up by the fields in vary, and
// moves the flight to its variant key. The caller holds sh.mu.
func (f *flight) signpost(vary []string) {
	fields := forwardable(vary)
	if f.purged || len(fields) == 0 && f.vary == nil {
		return
	}
	generation := uint64(0)
	if s, _ := f.c.opt.Store.Get(f.primary); s != nil && s.Signpost() {
		union := rfc9111.MergeVary(s.Vary, fields)
		if len(union) == len(s.Vary) {
			fields, generation = s.Vary, s.Generation
		} else {
			fields = union // variants under the shorter list are unreachable from now on
		}
	}
	if len(fields) == 0 {
		fields = f.vary
	}
	if generation == 0 {
		generation = f.c.generation.Add(1)
		f.c.opt.Store.Put(&store.Object{Key: f.primary, Vary: fields, Generation: generation})
	}
	key := rfc9111.VariantKey(f.primary, generation, fields, f.header)
	if key == f.key {
		return
	}
	joinable := f.sh.flights[f.key] == f
	f.sh.detach(f)
	f.key, f.vary = key, fields
	if joinable && f.sh.flights[key] == nil {
		f.sh.flights[key] = f
	}
}

// forwardable leaves out the fields that the upstream never sees.
func forwardable(vary []string) []string {
	var out []string
	for _, name := range vary {
		if !neverForwarded(name) {
			out = append(out, name)
		}
	}
	return out
}
