package httpcache

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// failure is what a shard remembers of a key whose upstream failed: until a
// back-off has passed, later requests get the same answer without a fetch. It
// is guarded by the shard's lock.
type failure struct {
	until   time.Time
	backoff time.Duration
	code    int
	reached bool          // the upstream answered, with a 5xx
	object  *store.Object // its answer, once complete and if small; nil: one of our own
	vary    []string
	header  http.Header // of the request, for vary
	born    uint64      // number of the last purge before the fetch that failed
}

const (
	// firstBackoff is of the order of an origin's latency: clients that come
	// just after the failure should not all ask again.
	firstBackoff = 100 * time.Millisecond
	// maxFailureBody bounds what a remembered answer costs.
	maxFailureBody = 64 << 10
	// failureForgotten is how long after its back-off a failure still counts:
	// the next one then waits longer, and stale responses are served at once.
	failureForgotten = 10 * time.Second
)

// failed remembers that the upstream failed for f's key. The caller holds sh.mu.
func (s *shard) failed(f *flight, h *head, now time.Time) {
	limit := f.c.opt.ErrorBackoff
	if limit < 0 {
		return
	}
	// A single failure that one client saw is no reason to keep the next from
	// the upstream (RFC 9111 section 4.2.2); one that others waited for is.
	var backoff time.Duration
	if f.shared() {
		backoff = min(firstBackoff, limit)
	}
	if last := s.failures[f.key]; last != nil && now.Before(last.until.Add(failureForgotten)) {
		backoff = min(max(firstBackoff, 2*last.backoff), limit)
	} else if last == nil {
		makeRoom(s.failures, f.c.opt.UncacheableKeys/shardCount+1, func(l *failure) bool { return now.Before(l.until.Add(failureForgotten)) })
	}
	// The jitter keeps many keys of one origin from asking again all at once.
	wait := backoff*3/4 + rand.N(backoff/4+1)
	f.failure = &failure{until: now.Add(wait), backoff: backoff, code: h.code, reached: h.upstream != 0, vary: forwardable(h.verdict.Vary), header: f.header, born: f.born}
	switch {
	case h.upstream != 0:
		f.failure.code = h.upstream
	case h.code == 0: // a stale response answered, which may be gone by the next request
		f.failure.code = failureCode(h.err)
	}
	s.failures[f.key] = f.failure
}

// failing returns what is known of a key whose upstream failed not long ago,
// or nil. A hard purge since says that it may be otherwise now. The caller holds s.mu.
func (c *Cache) failing(s *shard, primary, key string, now time.Time) *failure {
	l := s.failures[key]
	if l == nil {
		return nil
	}
	over := !now.Before(l.until.Add(failureForgotten))
	if !over && c.purges.last.Load() != l.born {
		level, _ := c.purges.judge(subject{key: primary}, l.born)
		over = level == levelGone
	}
	if over {
		delete(s.failures, key)
		return nil
	}
	return l
}

// shared reports whether anybody but the opener ever waited for f.
func (f *flight) shared() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joined
}

// answers reports whether a request gets the failure's answer instead of a
// fetch: credentials may make a difference upstream, and so may fields in Vary.
func (l *failure) answers(x *exchange, now time.Time) bool {
	return now.Before(l.until) && !x.req.Authorization && rfc9111.VaryMatch(l.vary, l.header, x.r.Header)
}

// allows reports whether the failure is one that lets o be served stale, and
// which.
func (l *failure) allows(c *Cache, o *store.Object, now time.Time) (rfc9111.Reason, bool) {
	switch {
	case o.Meta.StaleOnError(now):
		return reasonSIE, true
	case !l.reached && o.Meta.StaleWhenDisconnected(now, c.opt.StaleIfUnreachable):
		return reasonUnreachable, true
	}
	return "", false
}

// rememberBody keeps the complete answer of a flight that failed. The caller
// holds sh.mu.
func (f *flight) rememberBody(chunks [][]byte) {
	size := f.body.size.Load()
	if f.failure == nil || size > maxFailureBody {
		return
	}
	// A copy: the chunks go back to their pool.
	body := make([]byte, 0, size)
	for _, c := range chunks {
		body = append(body, c...)
	}
	f.failure.object = &store.Object{Meta: f.head.verdict.Stored, CacheStatus: f.head.response.cacheStatus,
		Body: store.NewBody(body), Fields: withLength(f.head.response.fields, size)}
}

// retryAfter is a duration in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// repeat answers as the upstream did a moment ago.
func (x *exchange) repeat(e entry) {
	x.out.Status = StatusError
	after := max(e.retryAfter, time.Second)
	if e.object == nil {
		x.refuseWith(&refusal{e.failed, string(reasonBackoff), "upstream failed a moment ago", after}, cacheStatus{})
		x.out.Status = StatusError
		return
	}
	// Where the upstream sent one, that replaces it.
	x.w.Header()["Retry-After"] = []string{retryAfter(after)}
	rsp := responseOf(e.object)
	x.object(e.object, x.begin(&rsp, cacheStatus{hit: true, detail: reasonBackoff}, rsp.meta.Age(x.c.opt.Now()), true))
}
