package httpcache

import (
	"net/http"
	"sync"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// maxRounds bounds how often a request may find that the flight it waited for
// was for another variant; then it goes alone.
const maxRounds = 3

// exchange is one request on its way through the cache.
type exchange struct {
	c       *Cache
	w       http.ResponseWriter
	r       *http.Request
	start   time.Time
	site    *Site
	target  target
	primary string
	req     rfc9111.Request
	head    bool
	held    bool   // the origin is meant to hold it
	purge   uint64 // number of the last purge before the look-up
	out     Outcome

	pinned store.Body // of the stored response that answers
	flight *flight    // whose body follows the header that was sent
	reader *reader
	body   plan

	collapse collapse
	detail   rfc9111.Reason
	breaks   int          // bodies that broke off before anything of them was sent
	known    rfc9111.Span // of a content of unknown length: what certainly exists
	whole    bool         // the upstream takes no ranges
	inOrder  bool         // the content passes by once, from its start to its end
}

// exchanges are those that have ended: no flight nor anything else keeps one
// beyond its request.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// end reports the outcome, also of a response that was aborted by a panic, and
// gives x back.
func (x *exchange) end() {
	x.observe()
	x.pinned.Release()
	*x = exchange{}
	exchanges.Put(x)
}

// observe reports the outcome, also of a response that was aborted by a panic.
func (x *exchange) observe() {
	x.out.Key = x.primary
	x.out.Duration = x.c.opt.Now().Sub(x.start)
	switch x.out.Status {
	case StatusMiss, StatusCollapsed, StatusBypass:
		if x.out.Code >= 500 {
			x.out.Status = StatusError
		}
	}
	x.c.opt.Observe(x.out)
}

func (x *exchange) serve() {
	if no := x.c.refuse(x.r); no != nil {
		x.shed(no)
		return
	}
	var ok bool
	if x.target, x.site, ok = x.c.targetOf(x.r); !ok {
		x.shed(&refusal{http.StatusBadRequest, "host", "Host is no host name", 0})
		return
	}
	x.primary = x.target.key()
	switch {
	case x.r.Method != http.MethodGet && x.r.Method != http.MethodHead:
		x.pass(fwdMethod, "")
	case x.c.bypass.Load():
		x.pass(fwdBypass, reasonUntrusted)
	case rfc9111.HasPrecondition(x.r.Header):
		// Only the origin can judge these (RFC 9111 section 4.3.2).
		x.pass(fwdBypass, reasonPrecondition)
	default:
		x.head = x.r.Method == http.MethodHead
		x.held = rfc9111.BlockingReload(x.target.query)
		x.req = rfc9111.ParseRequest(x.r.Header)
		x.cached()
	}
}

// cached answers a GET or HEAD.
func (x *exchange) cached() {
	// The fast path: no lock, nothing built.
	if obj, _, _ := x.c.find(x.primary, x.r.Header); obj != nil {
		u := rfc9111.Evaluate(x.site.Rules, &x.req, &obj.Meta, x.start)
		switch {
		case u.Use != rfc9111.UseFresh && (u.Use != rfc9111.UseStale || x.held) || !x.hold(obj):
		case u.Use == rfc9111.UseFresh:
			x.hit(obj, u, "")
			return
		default:
			detail := reasonMaxStale
			if -u.TTL < obj.Meta.StaleWhileRevalidate {
				detail = reasonSWR
				x.c.refresh(x, obj)
			}
			x.hit(obj, u, detail)
			return
		}
	}
	if x.req.Directives.OnlyIfCached { // section 5.2.1.7
		x.shed(&refusal{http.StatusGatewayTimeout, "only-if-cached", "not in cache", 0})
		return
	}
	alone := false
	for round := 1; ; round++ {
		e, again := x.c.enter(x, alone || round > maxRounds), readDone
		switch {
		case e.failed != 0:
			x.repeat(e)
		case e.object != nil && !x.hold(e.object):
			again = readAgain // evicted this moment
		case e.stale != "":
			if e.probe {
				x.c.refresh(x, e.object)
			}
			x.hit(e.object, e.reuse, e.stale)
		case e.object != nil:
			x.hit(e.object, e.reuse, x.detail)
		case e.shed != nil:
			x.shed(e.shed)
		case e.manifest != nil:
			again = x.slicedHit(e.manifest, e.reuse)
		case e.pass != "":
			x.pass(fwdURIMiss, e.pass)
		default:
			again = x.read(e.flight, e.reader)
		}
		if again == readDone {
			return
		}
		if again == readAlone && !alone {
			if !x.awaitTurn() {
				return
			}
			turns := x.c.releases // not x, which would go to the heap with it, on hits too
			defer func() { <-turns }()
			alone = true
		}
	}
}

// awaitTurn waits until a request that was released may fetch; false when it
// was answered otherwise, or its client left.
func (x *exchange) awaitTurn() bool {
	select {
	case x.c.releases <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(x.waitLimit())
	defer timer.Stop()
	select {
	case x.c.releases <- struct{}{}:
		return true
	case <-timer.C:
		x.shed(refusedReleased)
	case <-x.r.Context().Done():
		x.out.Status, x.out.Aborted = StatusCollapsed, true
	}
	return false
}

// hold keeps a stored body readable until x ends; false when it was evicted
// after its look-up.
func (x *exchange) hold(o *store.Object) bool {
	if !o.Body.Hold() {
		return false
	}
	x.pinned.Release()
	x.pinned = o.Body
	return true
}

// hit answers from the store. x holds the object.
func (x *exchange) hit(o *store.Object, u rfc9111.Reuse, detail rfc9111.Reason) {
	x.out.Status = StatusHit
	if u.TTL <= 0 {
		x.out.Status = StatusStale
	}
	rsp := responseOf(o)
	p := x.begin(&rsp, cacheStatus{hit: true, ttl: u.TTL, hasTTL: true, detail: detail}, u.Age, true)
	x.object(o, p)
}

// object writes the planned part of a stored body.
func (x *exchange) object(o *store.Object, p plan) {
	x.send(p, func(offset, length int64) bool {
		n, err := o.Body.WriteRange(x.w, offset, length)
		x.out.BytesOut += n
		x.out.Aborted = err != nil
		return err == nil
	})
}

// readResult says what comes after waiting for a flight.
type readResult int

const (
	readDone  readResult = iota
	readAgain            // look up again: the flight was for another variant
	readAlone            // fetch without waiting: the response was for one request only
)

// read answers from a flight, waiting for its header first.
func (x *exchange) read(f *flight, rd *reader) readResult {
	defer func() {
		if x.flight == nil {
			f.leave(rd)
		}
	}()
	if !x.await(f, rd) {
		return readDone
	}
	h := &f.head
	switch h.kind {
	case headAgain:
		x.whole = x.whole || h.whole
		return readAgain
	case headUnusable:
		x.pass(f.fwd, h.verdict.Reason)
		return readDone
	}
	if !rd.opener {
		if f.superseded(x.purge) {
			x.collapse, x.detail = released, reasonPurge
			return readAgain
		}
		if ok, reason := h.verdict.SharesWith(x.req); !ok {
			x.collapse, x.detail = released, reason
			return readAlone
		}
		if h.kind != headFailed && !rfc9111.VaryMatch(forwardable(h.verdict.Vary), f.header, x.r.Header) {
			x.collapse, x.detail = released, rfc9111.ReasonVary
			return readAgain
		}
		x.collapse = collapsed
	}
	st := cacheStatus{fwd: f.fwd, fwdStatus: h.upstream, collapse: x.collapse, detail: x.detail}
	if h.kind == headFailed {
		x.fail(h, st)
		return readDone
	}
	now := x.c.opt.Now()
	m := &h.response.meta
	age := m.Age(now)
	if h.verdict.Share == rfc9111.ShareFresh || h.kind == headObject {
		st.ttl, st.hasTTL = m.Lifetime-age, true
	}
	st.stored = h.verdict.Store
	if !rd.opener {
		x.out.Status = StatusCollapsed
	} else {
		x.out.Status = StatusMiss
		if f.alone && h.verdict.Share == rfc9111.ShareNone {
			x.out.Status = StatusBypass
		}
		if x.detail == "" {
			st.detail = h.verdict.Reason
		}
	}
	switch h.kind {
	case headObject:
		if h.stale {
			st.detail, st.stored = reasonSIE, false
			if u := declined(h.err); u != nil {
				st.detail = u.Reason
			} else if h.upstream == 0 {
				st.detail = reasonUnreachable
			}
			x.out.Status = StatusStale
		} else if rd.opener {
			x.out.Status = StatusRevalidated
		}
		if f.slice != nil {
			return x.sliced(h.object, piece{}, st, age)
		}
		x.object(h.object, x.begin(&h.response, st, age, true))
	case headSlice:
		s := f.slice
		have := piece{Span: rfc9111.Span{Offset: s.first, Length: s.last - s.first + 1}, flight: f, reader: rd}
		return x.sliced(h.object, have, st, age)
	case headHandover:
		x.inOrder = true
		x.handover(f, x.begin(&h.response, st, age, h.response.hasAge))
	default:
		rsp := h.response
		if came, again := x.firstByte(f, &rsp); !came {
			if again == readDone {
				x.out.Status = StatusError
			}
			return again
		}
		p := x.begin(&rsp, st, age, h.response.hasAge || age >= time.Second)
		x.flight, x.reader, x.body = f, rd, p
		if f.alone {
			x.follow() // within the bound on released requests
		}
	}
	return readDone
}

// await blocks until the flight's head is known; false when the client left
// or waited long enough.
func (x *exchange) await(f *flight, rd *reader) bool {
	if f.started() {
		x.hints(f, rd)
		return true
	}
	var late <-chan time.Time
	var interims <-chan interim
	if rd.opener {
		interims = f.interim
	} else {
		timer := time.NewTimer(x.waitLimit())
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case i := <-interims:
			sendInterim(x.w, x.r, i)
		case <-f.ready:
			x.hints(f, rd)
			return true
		case <-x.r.Context().Done():
			x.out.Status, x.out.Aborted = StatusCollapsed, true
			if rd.opener {
				x.out.Status = StatusMiss
			}
			return false
		case <-late:
			x.refuseWith(&refusal{http.StatusGatewayTimeout, string(reasonTimeout), "upstream is slow", time.Second},
				cacheStatus{fwd: f.fwd, collapse: collapsed})
			x.out.Status = StatusError
			return false
		}
	}
}

// waitLimit is how long the request waits for others.
func (x *exchange) waitLimit() time.Duration {
	if x.held {
		return x.c.heldTimeout(x.site)
	}
	return x.c.opt.WaitLimit
}

// header sends the response header.
func (x *exchange) header(code int) {
	x.out.Code = code
	x.out.TTFB = x.c.opt.Now().Sub(x.start)
	x.w.WriteHeader(code)
}
