package httpcache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// A crowd asks for an object that nobody has asked for before: the origin sees
// one request, everybody gets the body.
func TestColdObjectIsFetchedOnce(t *testing.T) {
	for _, n := range []int{50, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := newRig(t)
			body, hold := testorigin.Content(32<<10), make(chan struct{})
			r.origin.Serve("/a", testorigin.Response{Body: body, Header: fresh, Hold: hold})
			answers := r.start(n, func(int) answer { return r.get("/a") })
			r.awaitReaders("/a", n)
			close(hold)
			wantAll(t, answers(), 200, body)
			wantFetches(t, r, "/a", 1)
			r.awaitQuiet()
			a := r.get("/a")
			wantAll(t, []answer{a}, 200, body)
			wantStatus(t, a, "test; hit; ttl=")
			wantFetches(t, r, "/a", 1)
			r.wantCount(StatusMiss, 1)
			r.wantCount(StatusCollapsed, n-1)
		})
	}
}

// Those who come while a body streams get what is there at once, and the rest
// with everybody else; with and without Content-Length.
func TestJoinersStreamWhileItFills(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			r := newRig(t)
			body, gate := testorigin.Content(200<<10), make(chan struct{})
			r.origin.Serve("/s", testorigin.Response{Body: body, Header: fresh, Piece: 20 << 10, Gate: gate, Chunked: chunked})
			first := r.start(1, func(int) answer { return r.get("/s") })
			r.await("the first piece", func() bool { return written(r, "/s") >= 20<<10 })
			// The gate is shut: what joiners get now can only be what is there.
			begun := make(chan time.Duration, 20)
			joined := r.start(20, func(int) answer {
				start := time.Now()
				req, _ := http.NewRequestWithContext(t.Context(), "GET", r.server.URL+"/s", nil)
				resp, err := r.client.Do(req)
				if err != nil {
					return answer{err: err}
				}
				defer resp.Body.Close()
				head := make([]byte, 20<<10)
				_, err = readFull(resp, head)
				begun <- time.Since(start)
				var rest bytes.Buffer
				if err == nil {
					_, err = rest.ReadFrom(resp.Body)
				}
				return answer{code: resp.StatusCode, header: resp.Header, body: append(head, rest.Bytes()...), err: err}
			})
			var late time.Duration
			for range 20 {
				late = max(late, <-begun)
			}
			t.Logf("20 joiners: slowest had the first 20 KiB after %v", late)
			close(gate)
			answers := append(joined(), first()...)
			wantAll(t, answers, 200, body)
			wantFetches(t, r, "/s", 1)
			wantStatus(t, answers[0], "fwd=uri-miss", "fwd-status=200", "collapsed")
		})
	}
}

func readFull(resp *http.Response, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = resp.Body.Read(p[n:])
		n += m
	}
	return n, err
}

// written is how far the flight of a path has come.
func written(r *rig, path string) (n int64) {
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		for f := range s.live {
			if f.url.path == path && f.started() && f.body != nil {
				n = max(n, f.body.size.Load())
			}
		}
		s.mu.Unlock()
	}
	return n
}

// A response for one user only goes to that user. All who waited are released
// at once, and the next crowd does not wait at all.
func TestUncacheableReleasesAllAtOnce(t *testing.T) {
	for name, header := range map[string]map[string]string{
		"no-store":    {"Cache-Control": "no-store"},
		"private":     {"Cache-Control": "private, max-age=60"},
		"no-cache":    {"Cache-Control": "no-cache"},
		"set-cookie":  {"Cache-Control": "max-age=60", "Set-Cookie": "id=1"},
		"vary-star":   {"Cache-Control": "max-age=60", "Vary": "*"},
		"no-lifetime": {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			const n, delay = 50, 100 * time.Millisecond
			r.origin.Handle("/u", func(q *http.Request, i int) testorigin.Response {
				return testorigin.Response{Body: []byte(q.Header.Get("User")), Header: header, Delay: delay}
			})
			burst := func() []answer {
				answers := r.many(n, func(i int) answer { return r.get("/u", "User", fmt.Sprint(i)) })
				for i, a := range answers {
					if a.err != nil || string(a.body) != fmt.Sprint(i) {
						t.Fatalf("user %d got %q, error %v", i, a.body, a.err)
					}
				}
				return answers
			}
			first := burst()
			wantFetches(t, r, "/u", n)
			second := burst()
			wantFetches(t, r, "/u", 2*n)
			t.Logf("origin takes %v; first burst %v, second %v", delay, slowest(first), slowest(second))
			if readers, flights := r.waiting("/u"); readers+flights > 0 {
				r.awaitQuiet()
			}
			if s := r.store.Stats(); s.Objects != 0 {
				t.Fatalf("%d objects stored", s.Objects)
			}
			// Released waiters say so; the second burst never waited.
			released := 0
			for _, a := range first {
				if strings.Contains(a.status(), "collapsed=?0; detail=") {
					released++
				}
			}
			if released == 0 {
				t.Fatal("no waiter of the first burst was released")
			}
			for _, a := range second {
				if strings.Contains(a.status(), "collapsed") {
					t.Fatalf("second burst waited: %q", a.status())
				}
			}
		})
	}
}

// A key that was uncacheable is collapsed again as soon as a response allows it.
// Those released go to the upstream a bounded number at a time.
func TestReleasedAreBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxReleased = 3 })
	r.origin.Serve("/r", testorigin.Response{Body: []byte("r"), Header: map[string]string{"Cache-Control": "private"}, Delay: 5 * time.Millisecond})
	wantAll(t, r.many(30, func(int) answer { return r.get("/r") }), 200, []byte("r"))
	wantFetches(t, r, "/r", 30)
	// Known by now: nobody waits, and it is the upstream that bounds them.
	wantAll(t, r.many(30, func(int) answer { return r.get("/r") }), 200, []byte("r"))

	r = newRig(t, func(o *Options) { o.MaxReleased, o.WaitLimit = 1, 50*time.Millisecond })
	first, hold := make(chan struct{}), make(chan struct{})
	r.origin.Handle("/h", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: []byte("h"), Header: map[string]string{"Cache-Control": "private"}, Hold: hold}
		if n == 1 {
			p.Hold = first
		}
		return p
	})
	answers := r.start(3, func(int) answer { return r.get("/h") })
	r.awaitReaders("/h", 3)
	close(first)
	r.origin.Await(t, "/h", 2)
	time.AfterFunc(200*time.Millisecond, func() { close(hold) })
	refused := 0
	for _, a := range answers() {
		if a.code == 503 {
			refused++
			wantStatus(t, a, "detail=released")
		}
	}
	if refused != 1 {
		t.Errorf("%d refused", refused)
	}
}

func TestUncacheableIsForgottenWhenSharingIsAllowed(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/x", func(_ *http.Request, n int) testorigin.Response {
		if n == 1 {
			return testorigin.Response{Header: map[string]string{"Cache-Control": "private"}}
		}
		return testorigin.Response{Header: fresh}
	})
	r.get("/x")
	r.get("/x")
	r.awaitQuiet()
	wantStatus(t, r.get("/x"), "hit")
	wantFetches(t, r, "/x", 2)
}

// Credentials never wait for, nor get, what others fetched, unless the
// response says that it is for everybody.
func TestAuthorization(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/me", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: []byte(q.Header.Get("Authorization")), Header: fresh, Delay: 50 * time.Millisecond}
	})
	answers := r.many(20, func(i int) answer { return r.get("/me", "Authorization", fmt.Sprint("Bearer ", i)) })
	for i, a := range answers {
		if string(a.body) != fmt.Sprint("Bearer ", i) {
			t.Fatalf("user %d got %q", i, a.body)
		}
	}
	wantFetches(t, r, "/me", 20)
	t.Logf("origin takes 50ms; slowest of 20 users %v", slowest(answers))
	if a := r.get("/me"); len(a.body) != 0 {
		t.Fatalf("a request without credentials got %q", a.body)
	}

	r.origin.Serve("/all", testorigin.Response{Body: []byte("x"), Header: map[string]string{"Cache-Control": "max-age=60, public"}})
	r.get("/all", "Authorization", "Bearer 1")
	r.awaitQuiet()
	wantStatus(t, r.get("/all", "Authorization", "Bearer 2"), "hit")
	wantFetches(t, r, "/all", 1)
}

// max-age=0 may answer those who wait anyway, once; a cookie ends that.
func TestStaleOnArrivalIsSharedWithWaitersOnly(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Serve("/z", testorigin.Response{Body: []byte("z"), Header: map[string]string{"Cache-Control": "max-age=0"}, Hold: hold})
	answers := r.start(50, func(int) answer { return r.get("/z") })
	r.awaitReaders("/z", 50)
	close(hold)
	wantAll(t, answers(), 200, []byte("z"))
	wantFetches(t, r, "/z", 1)
	r.get("/z")
	wantFetches(t, r, "/z", 2)

	hold = make(chan struct{})
	r.origin.Serve("/c", testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=0"}, Hold: hold})
	answers = r.start(5, func(i int) answer { return r.get("/c", "Cookie", fmt.Sprint("id=", i)) })
	r.awaitReaders("/c", 5)
	close(hold)
	answers()
	wantFetches(t, r, "/c", 5)
}

// An overloaded origin is asked once for all who wait; its error is not kept.
func TestServerErrorIsSharedNotStored(t *testing.T) {
	r := newRig(t)
	frozen(r)
	hold := make(chan struct{})
	r.origin.Handle("/e", func(_ *http.Request, n int) testorigin.Response {
		if n == 1 {
			return testorigin.Response{Status: 503, Body: []byte("busy"), Hold: hold}
		}
		return testorigin.Response{Body: []byte("fine"), Header: fresh}
	})
	answers := r.start(50, func(int) answer { return r.get("/e") })
	r.awaitReaders("/e", 50)
	close(hold)
	wantAll(t, answers(), 503, []byte("busy"))
	r.wantCount(StatusError, 50)
	wantAll(t, []answer{r.get("/e")}, 503, []byte("busy")) // a moment later
	wantFetches(t, r, "/e", 1)
	r.advance(time.Second)
	wantAll(t, []answer{r.get("/e")}, 200, []byte("fine"))
}

// An upstream that cannot be reached is a 502 for all who wait, from one attempt.
func TestUnreachableUpstream(t *testing.T) {
	hold := make(chan struct{})
	attempts := 0
	r := newRig(t, func(o *Options) {
		o.Upstream = roundTrip(func(q *http.Request) (*http.Response, error) {
			attempts++
			<-hold
			return nil, fmt.Errorf("connection refused")
		})
	})
	answers := r.start(20, func(int) answer { return r.get("/") })
	r.awaitReaders("/", 20)
	close(hold)
	for _, a := range answers() {
		if a.code != http.StatusBadGateway {
			t.Fatalf("code %d, error %v", a.code, a.err)
		}
		wantStatus(t, a, "test; fwd=uri-miss", "detail=upstream")
	}
	if attempts != 1 {
		t.Fatalf("%d attempts", attempts)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A fetch that panics fails its waiters, not the process.
func TestUpstreamPanics(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Upstream = roundTrip(func(*http.Request) (*http.Response, error) { panic("bug") })
	})
	if a := r.get("/"); a.code != http.StatusBadGateway {
		t.Fatalf("code %d, error %v", a.code, a.err)
	}
}

// The first client leaves, before the header or within the body: nobody else
// notices.
func TestFirstClientLeaves(t *testing.T) {
	for _, when := range []string{"before the header", "within the body"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t)
			body, hold, gate := testorigin.Content(100<<10), make(chan struct{}), make(chan struct{})
			r.origin.Serve("/l", testorigin.Response{Body: body, Header: fresh, Hold: hold, Piece: 10 << 10, Gate: gate})
			ctx, leave := context.WithCancel(t.Context())
			first := r.start(1, func(int) answer { return r.doContext(ctx, "GET", "/l", nil) })
			r.awaitReaders("/l", 1)
			others := r.start(20, func(int) answer { return r.get("/l") })
			r.awaitReaders("/l", 21)
			if when == "within the body" {
				close(hold)
				r.await("the first piece", func() bool { return written(r, "/l") > 0 })
			}
			leave()
			first()
			r.awaitReaders("/l", 20)
			if when == "before the header" {
				close(hold)
			}
			close(gate)
			wantAll(t, others(), 200, body)
			wantFetches(t, r, "/l", 1)
		})
	}
}

// The only client leaves: the fetch is finished for the next one.
func TestOnlyClientLeavesFillGoesOn(t *testing.T) {
	r := newRig(t)
	body, gate := testorigin.Content(100<<10), make(chan struct{})
	r.origin.Serve("/o", testorigin.Response{Body: body, Header: fresh, Piece: 10 << 10, Gate: gate})
	ctx, leave := context.WithCancel(t.Context())
	first := r.start(1, func(int) answer { return r.doContext(ctx, "GET", "/o", nil) })
	r.await("the first piece", func() bool { return written(r, "/o") > 0 })
	leave()
	first()
	r.awaitReaders("/o", 0)
	close(gate)
	r.awaitQuiet()
	wantStatus(t, r.get("/o"), "hit")
	wantFetches(t, r, "/o", 1)
}

// Nobody wants what cannot be stored: the origin is let go.
func TestOnlyClientLeavesUnstorableFetchEnds(t *testing.T) {
	r := newRig(t)
	body, gate := testorigin.Content(100<<10), make(chan struct{})
	r.origin.Serve("/p", testorigin.Response{Body: body, Header: map[string]string{"Cache-Control": "no-store"}, Piece: 10 << 10, Gate: gate})
	ctx, leave := context.WithCancel(t.Context())
	first := r.start(1, func(int) answer { return r.doContext(ctx, "GET", "/p", nil) })
	r.origin.Await(t, "/p", 1)
	leave()
	first()
	r.awaitQuiet() // the gate stays shut: only a cancelled fetch ends
}

// HEAD and GET for one cold object are one fetch.
func TestHeadJoinsGet(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(5000), make(chan struct{})
	r.origin.Serve("/h", testorigin.Response{Body: body, Header: fresh, Hold: hold})
	answers := r.start(40, func(i int) answer { return r.do([]string{"GET", "HEAD"}[i%2], "/h") })
	r.awaitReaders("/h", 40)
	close(hold)
	for i, a := range answers() {
		want := body
		if i%2 == 1 {
			want = []byte{}
		}
		wantAll(t, []answer{a}, 200, want)
		if got := a.header.Get("Content-Length"); got != "5000" {
			t.Fatalf("Content-Length %q", got)
		}
	}
	wantFetches(t, r, "/h", 1)
	wantStatus(t, r.do("HEAD", "/h"), "hit")
}

// Two variants, twenty clients each: two fetches, although the first flight
// could not know that there are two.
func TestVary(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Handle("/v", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: []byte(q.Header.Get("Accept-Language")), Hold: hold,
			Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "Accept-Language"}}
	})
	ask := func(i int) answer { return r.get("/v", "Accept-Language", []string{"de", "fr"}[i%2]) }
	answers := r.start(40, ask)
	r.awaitReaders("/v", 40)
	close(hold)
	check := func(answers []answer) {
		for i, a := range answers {
			wantAll(t, []answer{a}, 200, []byte([]string{"de", "fr"}[i%2]))
		}
	}
	check(answers())
	wantFetches(t, r, "/v", 2)
	r.awaitQuiet()
	check(r.many(4, ask))
	wantFetches(t, r, "/v", 2)

	// Once Vary is known, a third and fourth variant do not wait for each other.
	hold2 := make(chan struct{})
	r.origin.Handle("/v", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: []byte(q.Header.Get("Accept-Language")), Hold: hold2,
			Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "Accept-Language"}}
	})
	more := r.start(40, func(i int) answer { return r.get("/v", "Accept-Language", []string{"it", "es"}[i%2]) })
	r.awaitReaders("/v", 40)
	if _, flights := r.waiting("/v"); flights != 2 {
		t.Fatalf("%d flights for two known variants", flights)
	}
	close(hold2)
	more()
	wantFetches(t, r, "/v", 4)
	if p := r.purge(PurgeURL, r.server.URL+"/v"); !p.Found {
		t.Fatal("purge found nothing")
	}
	check(r.many(2, ask))
	wantFetches(t, r, "/v", 6)
}

// The queue for one key is bounded; those beyond it are told to come back.
func TestWaitersAreCapped(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxWaiters = 10 })
	hold := make(chan struct{})
	r.origin.Serve("/q", testorigin.Response{Body: []byte("q"), Header: fresh, Hold: hold})
	answers := r.start(10, func(int) answer { return r.get("/q") })
	r.awaitReaders("/q", 10)
	a := r.get("/q")
	if a.code != 503 || a.header.Get("Retry-After") != "1" {
		t.Fatalf("code %d, Retry-After %q", a.code, a.header.Get("Retry-After"))
	}
	wantStatus(t, a, "detail=waiters")
	close(hold)
	wantAll(t, answers(), 200, []byte("q"))
	r.wantCount(StatusShed, 1)
}

// An origin that hangs: waiters are answered after their limit, the opener
// after the header timeout, and an old flight does not hold up a newer request.
func TestOriginHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, func(o *Options) {
			o.WaitLimit, o.FlightAge, o.HeaderTimeout = 50*time.Millisecond, time.Minute, 3*time.Minute
		})
		defer b.cache.Close(t.Context())
		opener := b.start("GET", "/hang")
		var waiters []*client
		for range 5 {
			waiters = append(waiters, b.start("GET", "/hang"))
		}
		time.Sleep(51 * time.Millisecond)
		for _, c := range waiters {
			if _, done, _ := c.result(); !done || c.code != 504 || c.sent.Get("Retry-After") == "" {
				t.Fatalf("waiter: code %d, %v", c.code, c.sent)
			}
		}
		hangs := b.next(0)
		if hangs == nil || b.next(0) != nil {
			t.Fatal("want one fetch")
		}
		time.Sleep(time.Minute)
		late := b.start("GET", "/hang")
		b.next(0).answer(200, http.Header{"Cache-Control": {"max-age=60"}}, 2).send([]byte("ok"), io.EOF)
		if body, done, _ := late.result(); !done || late.code != 200 || string(body) != "ok" {
			t.Errorf("who came later: code %d, %q", late.code, body)
		}
		time.Sleep(3 * time.Minute)
		if _, done, _ := opener.result(); !done || opener.code != 504 {
			t.Errorf("opener: code %d, done %v", opener.code, done)
		}
	})
}
