package httpcache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// While an origin fails, it is asked once per back-off, and the back-off
// grows; those between get its last answer at once and are told when to come
// back. One success ends it.
func TestFailureIsRepeatedThenProbed(t *testing.T) {
	r := newRig(t)
	frozen(r)
	var up atomic.Bool
	r.origin.Handle("/e", func(_ *http.Request, n int) testorigin.Response {
		if up.Load() {
			return testorigin.Response{Body: []byte("fine")}
		}
		return testorigin.Response{Status: 500, Body: []byte("sorry " + strconv.Itoa(n)), Header: map[string]string{"X-Reason": "db"}}
	})
	r.get("/e") // once, for one client: that may be chance
	r.awaitQuiet()
	fetches := 1
	backoff := 100 * time.Millisecond
	for range 8 {
		fetches++
		body := []byte("sorry " + strconv.Itoa(fetches))
		wantAll(t, []answer{r.get("/e")}, 500, body)
		r.awaitQuiet()
		r.advance(backoff/2 - 20*time.Millisecond)
		again := r.many(5, func(int) answer { return r.get("/e") })
		wantAll(t, again, 500, body)
		wantStatus(t, again[0], "test; hit; detail=backoff")
		if after := again[0].header.Get("Retry-After"); after != "1" && after != "2" || again[0].header.Get("X-Reason") != "db" {
			t.Errorf("header %v", again[0].header)
		}
		wantFetches(t, r, "/e", fetches)
		r.advance(backoff)
		backoff = min(2*backoff, 2*time.Second)
	}
	up.Store(true)
	for range 3 {
		wantAll(t, []answer{r.get("/e")}, 200, []byte("fine"))
	}
	wantFetches(t, r, "/e", fetches+3) // it states no lifetime
	up.Store(false)
	for range 2 {
		r.get("/e")
		r.awaitQuiet()
	}
	r.advance(100 * time.Millisecond)
	up.Store(true)
	wantAll(t, []answer{r.get("/e")}, 200, []byte("fine"))
}

// One client's failure is another's only where their requests are alike.
func TestFailureOfAnotherRequest(t *testing.T) {
	r := newRig(t)
	frozen(r)
	r.origin.Handle("/v", func(q *http.Request, _ int) testorigin.Response {
		if q.Header.Get("X-V") == "bad" {
			return testorigin.Response{Status: 503, Header: map[string]string{"Vary": "X-V"}}
		}
		return testorigin.Response{Body: []byte("fine")}
	})
	for range 3 {
		r.get("/v", "X-V", "bad")
		r.awaitQuiet()
	}
	wantFetches(t, r, "/v", 2)
	if a := r.get("/v", "X-V", "good"); a.code != 200 {
		t.Errorf("another variant: %d %q", a.code, a.status())
	}
	r.origin.Handle("/a", func(q *http.Request, _ int) testorigin.Response {
		if q.Header.Get("Authorization") == "" {
			return testorigin.Response{Status: 500}
		}
		return testorigin.Response{Body: []byte("fine")}
	})
	for range 3 {
		r.get("/a")
		r.awaitQuiet()
	}
	if a := r.get("/a", "Authorization", "Bearer x"); a.code != 200 {
		t.Errorf("with credentials: %d %q", a.code, a.status())
	}
	r.get("/a")
	r.awaitQuiet()
	if a := r.get("/a"); a.code != 500 {
		t.Errorf("what worked with credentials says nothing for others: %d", a.code)
	}
	r.origin.Serve("/p", testorigin.Response{Status: 503})
	for range 3 {
		r.get("/p")
		r.awaitQuiet()
	}
	wantFetches(t, r, "/p", 2)
	r.origin.Serve("/p", testorigin.Response{Body: []byte("fine"), Header: fresh})
	r.purge(PurgeURL, r.server.URL+"/p")
	if a := r.get("/p"); a.code != 200 {
		t.Errorf("after a purge: %d", a.code)
	}
}

// Nobody waits for an origin that is known to fail where something stale may
// be served, while it is probed in the background.
func TestStaleAtOnceWhileFailing(t *testing.T) {
	r := newRig(t, func(o *Options) {
		up := o.Upstream
		o.Upstream = roundTrip(func(q *http.Request) (*http.Response, error) {
			if q.URL.Path == "/u" && q.Header.Get("If-None-Match") != "" {
				return nil, errors.New("connection refused")
			}
			return up.RoundTrip(q)
		})
	})
	frozen(r)
	hold := make(chan struct{})
	r.origin.Handle("/s", func(_ *http.Request, n int) testorigin.Response {
		switch n {
		case 1:
			return testorigin.Response{Body: []byte("good"), Header: map[string]string{"Cache-Control": "max-age=1, stale-if-error=60"}}
		case 2:
			return testorigin.Response{Status: 503}
		}
		return testorigin.Response{Status: 503, Hold: hold}
	})
	r.origin.Serve("/u", testorigin.Response{Body: []byte("good"), ETag: `"1"`, Header: map[string]string{"Cache-Control": "max-age=1"}})
	for _, c := range [][2]string{{"/s", "stale-if-error"}, {"/u", "unreachable"}} {
		path, detail := c[0], c[1]
		r.get(path)
		r.awaitQuiet()
		r.advance(2 * time.Second)
		r.get(path) // waits, and learns
		r.awaitQuiet()
		for range 2 {
			a := r.many(50, func(int) answer { return r.get(path) })
			wantAll(t, a, 200, []byte("good"))
			wantStatus(t, a[0], "test; hit; ttl=-", "detail="+detail)
			t.Logf("%s: slowest of 50 while known to fail %v", path, slowest(a))
			r.advance(time.Second) // a probe is due, and hangs
		}
		if path == "/s" {
			r.origin.Await(t, "/s", 3)
			close(hold)
		}
	}
	if n := r.origin.Count("/s"); n != 3 {
		t.Errorf("%d fetches", n)
	}
}

// Who purges wants to see what is there now, not a failure from before, whether
// the purge comes after it or while it is on its way.
func TestPurgeForgetsAFailure(t *testing.T) {
	for name, purge := range map[string]PurgeRequest{
		"url": {Scope: PurgeURL, Value: "http://example.com/e"}, "prefix": {Scope: PurgePrefix, Value: "http://example.com/"}, "all": {Scope: PurgeEverything},
	} {
		for _, during := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", during the fetch: ", during), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t)
					defer b.cache.Close(t.Context())
					old := []*client{b.start("GET", "/e"), b.start("GET", "/e")}
					failing := b.next(0)
					do := func() {
						if _, err := b.cache.Purge(purge); err != nil {
							t.Fatal(err)
						}
					}
					if during {
						do()
					}
					failing.answer(503, http.Header{}, 3).send([]byte("old"), io.EOF)
					for _, c := range old {
						if body, done, _ := c.result(); !done || c.code != 503 || string(body) != "old" {
							t.Errorf("who waited: %d %q", c.code, body)
						}
					}
					if !during {
						again := b.start("GET", "/e")
						if _, done, _ := again.result(); !done || again.code != 503 || b.next(0) != nil {
							t.Errorf("within the back-off: %d", again.code)
						}
						do()
					}
					late := b.start("GET", "/e")
					call := b.next(0)
					if call == nil {
						t.Fatalf("the failure was repeated: %d %q", late.code, late.status())
					}
					call.answer(200, http.Header{}, 3).send([]byte("new"), io.EOF)
					if body, _, _ := late.result(); string(body) != "new" {
						t.Errorf("%d %q", late.code, body)
					}
				})
			})
		}
	}
}
