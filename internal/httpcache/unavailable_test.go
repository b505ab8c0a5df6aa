package httpcache

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// declining is a rig whose upstream declines once it is told to.
func declining(t *testing.T) (*rig, *atomic.Pointer[Unavailable]) {
	var no atomic.Pointer[Unavailable]
	r := newRig(t, func(o *Options) {
		next := o.Upstream
		o.Upstream = roundTrip(func(q *http.Request) (*http.Response, error) {
			if u := no.Load(); u != nil {
				return nil, u
			}
			return next.RoundTrip(q)
		})
	})
	frozen(r)
	return r, &no
}

// An upstream that declines is not asked in vain: what is stored answers where
// it may, everybody else is told when to come back, and the first request
// after that is sent.
func TestUpstreamDeclines(t *testing.T) {
	r, no := declining(t)
	r.origin.Serve("/sie", testorigin.Response{Body: []byte("sie"), Header: map[string]string{"Cache-Control": "max-age=1, stale-if-error=60"}})
	r.origin.Serve("/plain", testorigin.Response{Body: []byte("plain"), Header: map[string]string{"Cache-Control": "max-age=1"}})
	r.origin.Serve("/strict", testorigin.Response{Body: []byte("strict"), Header: map[string]string{"Cache-Control": "max-age=1, must-revalidate"}})
	r.origin.Serve("/cold", testorigin.Response{Body: []byte("cold"), Header: map[string]string{"Cache-Control": "max-age=60"}})
	for _, path := range []string{"/sie", "/plain", "/strict"} {
		r.get(path)
	}
	r.awaitQuiet()
	r.advance(3 * time.Second)
	refusal := "test; fwd=stale; detail=breaker"
	for _, c := range []struct {
		path         string
		disconnected bool
		code         int
		status       string
	}{
		{"/sie", false, 200, refusal}, {"/sie", true, 200, refusal},
		// RFC 9111 section 4.2.4: without permission only for who is disconnected.
		{"/plain", false, 503, refusal}, {"/plain", true, 200, refusal},
		{"/strict", false, 503, refusal}, {"/strict", true, 503, refusal},
		{"/cold", true, 503, "test; fwd=uri-miss; detail=breaker"},
	} {
		no.Store(&Unavailable{Reason: "breaker", RetryAfter: 2500 * time.Millisecond, Disconnected: c.disconnected})
		for range 3 { // the last as the first: nothing is remembered of the resource
			a := r.get(c.path)
			status := c.status
			if c.code == 200 {
				status = "test; fwd=stale; ttl=-2; detail=breaker"
			}
			if a.code != c.code || a.status() != status && a.status() != "test; hit; ttl=-2; detail=breaker" {
				t.Errorf("%s, disconnected %v: %d %q, want %d %q", c.path, c.disconnected, a.code, a.status(), c.code, status)
			}
			if after := a.header.Get("Retry-After"); c.code == 503 && after != "3" {
				t.Errorf("%s: Retry-After %q, want 3", c.path, after)
			}
			r.awaitQuiet()
		}
	}
	if a := r.do(http.MethodPost, "/cold"); a.code != 503 || a.status() != "test; fwd=method; detail=breaker" || a.header.Get("Retry-After") != "3" {
		t.Errorf("POST: %d %q %v", a.code, a.status(), a.header)
	}
	no.Store(nil)
	for path, body := range map[string]string{"/sie": "sie", "/plain": "plain", "/strict": "strict", "/cold": "cold"} {
		wantAll(t, []answer{r.get(path)}, 200, []byte(body))
	}
}

// So it is for the slices of a body.
func TestUpstreamDeclinesASlice(t *testing.T) {
	r, no := declining(t)
	body := testorigin.Content(4 << 20)
	r.origin.Serve("/s", testorigin.Response{Body: body, ETag: `"1"`, Ranges: true, Header: map[string]string{"Cache-Control": "max-age=1, stale-if-error=60"}})
	wantAll(t, []answer{r.get("/s", "Range", "bytes=3145728-3145827")}, 206, body[3145728:3145828])
	r.awaitQuiet()
	r.advance(3 * time.Second)
	no.Store(&Unavailable{Reason: "breaker"})
	a := r.get("/s", "Range", "bytes=3145728-3145827")
	wantAll(t, []answer{a}, 206, body[3145728:3145828])
	a = r.get("/s", "Range", "bytes=2097152-2097251")
	if a.code != 503 || a.header.Get("Retry-After") != "1" {
		t.Errorf("a slice that is not stored: %d %q", a.code, a.status())
	}
}
