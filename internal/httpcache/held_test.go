package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// impatient is a rig that waits for nothing but what an origin is meant to hold.
func impatient(t *testing.T, held time.Duration) *rig {
	return newRig(t, func(o *Options) {
		o.WaitLimit, o.HeaderTimeout, o.FlightAge, o.HeldTimeout = 20*time.Millisecond, 30*time.Millisecond, 10*time.Millisecond, held
	})
}

// All clients that wait for one part of a live stream share one request that
// the origin holds, however long that takes by the measure of other requests.
func TestHeldRequestsAreOneAtTheOrigin(t *testing.T) {
	r := impatient(t, time.Minute)
	hold := make(chan struct{})
	playlist := func(n int) string { return fmt.Sprint("/live.m3u8?_HLS_msn=273&_HLS_part=", n) }
	r.origin.Handle("/live.m3u8", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Hold: hold, Body: []byte(q.URL.RawQuery), Header: map[string]string{"Cache-Control": "max-age=1"}}
	})
	first := r.start(30, func(i int) answer { return r.get(playlist(i % 2)) })
	r.awaitReaders("/live.m3u8", 30)
	time.Sleep(50 * time.Millisecond) // beyond each of the ordinary limits
	late := r.start(10, func(int) answer { return r.get(playlist(1)) })
	r.awaitReaders("/live.m3u8", 40)
	close(hold)
	for i, a := range append(first(), late()...) {
		part := i % 2
		if i >= 30 {
			part = 1
		}
		wantAll(t, []answer{a}, 200, fmt.Appendf(nil, "_HLS_msn=273&_HLS_part=%d", part))
	}
	wantFetches(t, r, "/live.m3u8", 2)
}

func TestHeldRequestTimesOutByItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(o *Options) {
			o.WaitLimit, o.HeaderTimeout, o.FlightAge, o.HeldTimeout = 20*time.Millisecond, 30*time.Millisecond, 10*time.Millisecond, 300*time.Millisecond
		})
		defer b.cache.Close(t.Context())
		var held []*client
		for range 5 {
			held = append(held, b.start("GET", "/live.m3u8?_HLS_msn=1"))
		}
		ordinary := b.start("GET", "/live.m3u8")
		ended := func(c *client) bool {
			_, done, _ := c.result()
			return done && c.code == http.StatusGatewayTimeout
		}
		time.Sleep(31 * time.Millisecond)
		if !ended(ordinary) {
			t.Errorf("an ordinary request: code %d", ordinary.code)
		}
		time.Sleep(260 * time.Millisecond)
		for i, c := range held {
			if _, done, _ := c.result(); done {
				t.Errorf("client %d: code %d, %q before the limit", i, c.code, c.status())
			}
		}
		time.Sleep(10 * time.Millisecond)
		for i, c := range held {
			if !ended(c) {
				t.Errorf("client %d: code %d, %q after the limit", i, c.code, c.status())
			}
		}
	})
}

// Who waits for news of a live stream is not helped by what was stored before:
// whatever a response allows, it is validated, or the failure told.
func TestHeldRequestIsNeverAnsweredStale(t *testing.T) {
	r := newRig(t)
	frozen(r)
	permissive := map[string]string{"Cache-Control": "max-age=1, stale-while-revalidate=600, stale-if-error=600"}
	r.origin.Handle("/live.m3u8", func(_ *http.Request, n int) testorigin.Response {
		if n == 3 || n == 6 {
			return testorigin.Response{Status: http.StatusServiceUnavailable}
		}
		return testorigin.Response{Body: fmt.Append(nil, "version ", n), ETag: fmt.Sprintf(`"%d"`, n), Header: permissive}
	})
	const held = "/live.m3u8?_HLS_msn=7"
	ask := func(path string, code int, body string) {
		t.Helper()
		a := r.get(path)
		if a.code != code || body != "" && string(a.body) != body {
			t.Errorf("%s: %d %q %q, want %d %q", path, a.code, a.body, a.status(), code, body)
		}
		r.awaitQuiet()
	}
	ask(held, 200, "version 1")
	ask(held, 200, "version 1")
	r.advance(2 * time.Second)
	ask(held, 200, "version 2")
	r.advance(2 * time.Second)
	ask(held, 503, "")
	ask("/live.m3u8", 200, "version 4")
	r.advance(2 * time.Second)
	ask("/live.m3u8", 200, "version 4") // stale while it is validated, as it may be
}

// A held request is given up with its last client: it takes a place at the
// origin that others may need. An ordinary one is finished for the next client.
func TestHeldRequestIsGivenUpWithItsLastClient(t *testing.T) {
	r := newRig(t)
	gone := make(chan string, 2)
	r.cache.opt.Upstream = roundTrip(func(q *http.Request) (*http.Response, error) {
		<-q.Context().Done()
		gone <- q.URL.RawQuery
		return nil, q.Context().Err()
	})
	leave := func(path, query string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wait := r.start(1, func(int) answer { return r.doContext(ctx, "GET", path+query, nil) })
		r.awaitReaders(path, 1)
		cancel()
		wait()
	}
	leave("/ordinary.m3u8", "?other=1")
	leave("/live.m3u8", "?_HLS_msn=1")
	select {
	case query := <-gone:
		if query != "_HLS_msn=1" {
			t.Errorf("%q was given up", query)
		}
	case <-time.After(time.Minute):
		t.Error("the held request goes on for nobody")
	}
}
