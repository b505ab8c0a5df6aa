package httpcache

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// An expired object that everybody wants is validated once, and the 304's
// fields are everybody's.
func TestExpiredIsValidatedOnce(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(3000), make(chan struct{})
	r.origin.Handle("/v", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: body, ETag: `"1"`, Header: map[string]string{"Cache-Control": "max-age=60", "X-Turn": "first"}}
		if n > 1 {
			p.Hold, p.Header = hold, map[string]string{"Cache-Control": "max-age=60", "X-Turn": "second"}
		}
		return p
	})
	r.get("/v")
	r.awaitQuiet()
	r.advance(61 * time.Second)
	answers := r.start(50, func(int) answer { return r.get("/v") })
	r.awaitReaders("/v", 50)
	close(hold)
	all := answers()
	wantAll(t, all, 200, body)
	wantFetches(t, r, "/v", 2)
	if got := r.origin.Requests("/v")[1].Header.Get("If-None-Match"); got != `"1"` {
		t.Fatalf("If-None-Match %q", got)
	}
	for _, a := range all {
		if a.header.Get("X-Turn") != "second" {
			t.Fatalf("X-Turn %q after the 304", a.header.Get("X-Turn"))
		}
		wantStatus(t, a, "fwd=stale", "fwd-status=304")
	}
	wantStatus(t, r.get("/v"), "hit")
	wantFetches(t, r, "/v", 2)
	r.wantCount(StatusRevalidated, 1)
}

// A changed object replaces the stored one for all who wait.
func TestExpiredAndChanged(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/c", func(_ *http.Request, n int) testorigin.Response {
		return testorigin.Response{Body: []byte{byte('0' + n)}, ETag: `"` + string(rune('0'+n)) + `"`, Header: fresh}
	})
	r.get("/c")
	r.awaitQuiet()
	r.advance(time.Hour)
	wantAll(t, r.many(10, func(int) answer { return r.get("/c") }), 200, []byte("2"))
	wantFetches(t, r, "/c", 2)
}

// A 304 that names another entity than the stored one is not believed.
func TestForeign304IsNotBelieved(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/f", func(q *http.Request, n int) testorigin.Response {
		if q.Header.Get("If-None-Match") != "" {
			return testorigin.Response{Status: 304, Header: map[string]string{"Etag": `"other"`}, Chunked: true}
		}
		return testorigin.Response{Body: []byte{byte('0' + n)}, ETag: `"mine"`, Header: fresh}
	})
	r.get("/f")
	r.awaitQuiet()
	r.advance(time.Hour)
	wantAll(t, []answer{r.get("/f")}, 200, []byte("3"))
}

// Within stale-while-revalidate everybody is answered at once from the store,
// and one fetch in the background brings the new response.
func TestStaleWhileRevalidate(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Handle("/w", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: []byte{byte('0' + n)}, Header: map[string]string{"Cache-Control": "max-age=1, stale-while-revalidate=60"}}
		if n > 1 {
			p.Hold = hold
		}
		return p
	})
	r.get("/w")
	r.awaitQuiet()
	r.advance(2 * time.Second)
	all := r.many(50, func(int) answer { return r.get("/w") })
	wantAll(t, all, 200, []byte("1"))
	wantStatus(t, all[0], "hit", "ttl=-", "detail=stale-while-revalidate")
	r.origin.Await(t, "/w", 2)
	close(hold)
	r.awaitQuiet()
	wantAll(t, []answer{r.get("/w")}, 200, []byte("2"))
	wantFetches(t, r, "/w", 2)
}

// A failing origin costs nobody an answer that stale-if-error still allows.
func TestStaleIfError(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Handle("/i", func(_ *http.Request, n int) testorigin.Response {
		if n > 1 {
			return testorigin.Response{Status: 503, Hold: hold}
		}
		return testorigin.Response{Body: []byte("good"), Header: map[string]string{"Cache-Control": "max-age=1, stale-if-error=60"}}
	})
	r.get("/i")
	r.awaitQuiet()
	r.advance(5 * time.Second)
	answers := r.start(50, func(int) answer { return r.get("/i") })
	r.awaitReaders("/i", 50)
	close(hold)
	all := answers()
	wantAll(t, all, 200, []byte("good"))
	wantStatus(t, all[0], "fwd=stale", "fwd-status=503", "detail=stale-if-error")
	wantFetches(t, r, "/i", 2)
	r.advance(time.Minute)
	if a := r.get("/i"); a.code != 503 {
		t.Fatalf("code %d after stale-if-error ended", a.code)
	}
}

// An upstream that is gone: what is stale serves for a while, unless the
// response forbids that.
func TestStaleIfUnreachable(t *testing.T) {
	var down atomic.Bool
	r := newRig(t, func(o *Options) {
		up := o.Upstream
		o.Upstream = roundTrip(func(q *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, errors.New("connection refused")
			}
			return up.RoundTrip(q)
		})
	})
	for path, cc := range map[string]string{"/a": "max-age=5", "/b": "max-age=5, must-revalidate", "/c": "s-maxage=5", "/d": "max-age=5, no-cache"} {
		r.origin.Serve(path, testorigin.Response{Body: []byte("x"), ETag: `"x"`, Header: map[string]string{"Cache-Control": cc}})
		r.get(path)
	}
	r.awaitQuiet()
	down.Store(true)
	r.advance(30 * time.Second)
	a := r.get("/a")
	wantAll(t, []answer{a}, 200, []byte("x"))
	wantStatus(t, a, "fwd=stale; ttl=-", "detail=unreachable")
	for _, path := range []string{"/b", "/c", "/d"} {
		if a := r.get(path); a.code != 502 {
			t.Errorf("%s: code %d", path, a.code)
		}
	}
	r.advance(time.Minute)
	if a := r.get("/a"); a.code != 502 {
		t.Errorf("code %d long after", a.code)
	}
}

// no-cache with a validator: each request is validated on its own, by a 304.
func TestNoCacheIsValidatedEachTime(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(1000)
	r.origin.Serve("/n", testorigin.Response{Body: body, ETag: `"n"`, Header: map[string]string{"Cache-Control": "no-cache"}})
	for range 3 {
		wantAll(t, []answer{r.get("/n")}, 200, body)
		r.awaitQuiet()
	}
	wantFetches(t, r, "/n", 3)
	for _, q := range r.origin.Requests("/n")[1:] {
		if q.Header.Get("If-None-Match") != `"n"` {
			t.Fatal("stored response was not validated")
		}
	}
}

// What has become private takes the place of what was public.
func TestBecomesPrivate(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/b", func(_ *http.Request, n int) testorigin.Response {
		cc := "max-age=1, stale-if-error=600, stale-while-revalidate=3"
		if n > 1 {
			cc = "private"
		}
		return testorigin.Response{Body: []byte{byte('0' + n)}, Header: map[string]string{"Cache-Control": cc}}
	})
	r.get("/b")
	r.awaitQuiet()
	r.advance(10 * time.Second)
	wantAll(t, []answer{r.get("/b")}, 200, []byte("2"))
	if r.store.Stats().Objects != 0 {
		t.Fatal("the public response is still stored")
	}
}

// A client's own validators are answered from the store and from a flight.
func TestClientConditional(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/e", testorigin.Response{Body: []byte("e"), ETag: `"e"`,
		Header: map[string]string{"Cache-Control": "max-age=60", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}})
	for name, fields := range map[string][]string{
		"cold":  {"If-None-Match", `"x", W/"e"`},
		"tag":   {"If-None-Match", `"e"`},
		"date":  {"If-Modified-Since", "Tue, 02 Jan 2024 00:00:00 GMT"},
		"any":   {"If-None-Match", "*"},
		"later": {"If-None-Match", `"e"`, "If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"},
	} {
		a := r.get("/e", fields...)
		if a.code != 304 || a.header.Get("Etag") != `"e"` || a.header.Get("Content-Type") != "" {
			t.Fatalf("%s: code %d, header %v", name, a.code, a.header)
		}
	}
	if a := r.get("/e", "If-None-Match", `"x"`); a.code != 200 {
		t.Fatalf("code %d for another tag", a.code)
	}
	wantFetches(t, r, "/e", 1)
	if got := r.origin.Requests("/e")[0].Header; got.Get("If-None-Match") != "" {
		t.Fatal("a client's validator reached the origin on a shared fetch")
	}
}

// Ranges come out of the store and out of a body in flight.
func TestRanges(t *testing.T) {
	r := newRig(t)
	body, gate := testorigin.Content(300<<10), make(chan struct{})
	r.origin.Serve("/r", testorigin.Response{Body: body, ETag: `"r"`, Header: fresh, Piece: 100 << 10, Gate: gate})
	first := r.start(1, func(int) answer { return r.get("/r") })
	r.await("the first piece", func() bool { return written(r, "/r") >= 100<<10 })
	a := r.get("/r", "Range", "bytes=1000-1999") // the gate is still shut
	wantAll(t, []answer{a}, 206, body[1000:2000])
	wantStatus(t, a, "collapsed")
	close(gate)
	wantAll(t, first(), 200, body)
	r.awaitQuiet()
	for _, c := range []struct {
		spec, ifRange string
		code          int
		want          []byte
		contentRange  string
	}{
		{"bytes=0-0", "", 206, body[:1], "bytes 0-0/307200"},
		{"bytes=65530-65545", "", 206, body[65530:65546], "bytes 65530-65545/307200"},
		{"bytes=307000-", `"r"`, 206, body[307000:], "bytes 307000-307199/307200"},
		{"bytes=-10", "", 206, body[307190:], "bytes 307190-307199/307200"},
		{"bytes=0-9", `"other"`, 200, body, ""},
		{"bytes=0-9", `W/"r"`, 200, body, ""},
		{"bytes=0-1,5-6", "", 206, body[:7], "bytes 0-6/307200"}, // as one: the gap is less than a part's header
		{"bytes=0-1,400000-", "", 206, body[:2], "bytes 0-1/307200"},
		{"bytes=300000-, 0-299990", "", 206, body, "bytes 0-307199/307200"},
		{"bytes=400000-,500000-", "", 416, nil, "bytes */307200"},
		{"lines=1-2", "", 200, body, ""},
		{"bytes=400000-", "", 416, nil, "bytes */307200"},
	} {
		fields := []string{"Range", c.spec}
		if c.ifRange != "" {
			fields = append(fields, "If-Range", c.ifRange)
		}
		a := r.get("/r", fields...)
		if a.code != c.code || a.err != nil || string(a.body) != string(c.want) || a.header.Get("Content-Range") != c.contentRange {
			t.Errorf("%s %s: code %d, %d bytes, Content-Range %q, error %v", c.spec, c.ifRange, a.code, len(a.body), a.header.Get("Content-Range"), a.err)
		}
	}
	wantFetches(t, r, "/r", 1)
}

// Every POST reaches the origin, and one that succeeds invalidates its target.
func TestUnsafeMethods(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/d", func(q *http.Request, n int) testorigin.Response {
		if q.Method == "POST" {
			return testorigin.Response{Body: []byte("posted")}
		}
		return testorigin.Response{Body: []byte{byte('0' + n)}, Header: fresh}
	})
	r.get("/d")
	r.awaitQuiet()
	a := r.doContext(t.Context(), "POST", "/d", strings.NewReader("x"))
	wantAll(t, []answer{a}, 200, []byte("posted"))
	wantStatus(t, a, "test; fwd=method; fwd-status=200")
	wantAll(t, []answer{r.get("/d")}, 200, []byte("3"))
	before := r.origin.Count("/d")
	r.many(10, func(int) answer { return r.doContext(t.Context(), "POST", "/d", strings.NewReader("x")) })
	wantFetches(t, r, "/d", before+10)
}

// A purge while the object is on its way: those who wait get it, nobody after
// them does, not even before the fetch has ended.
func TestPurgeDuringFlight(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Handle("/g", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: []byte{byte('0' + n)}, Header: fresh}
		if n == 1 {
			p.Hold = hold
		}
		return p
	})
	old := r.start(5, func(int) answer { return r.get("/g") })
	r.awaitReaders("/g", 5)
	r.origin.Await(t, "/g", 1)
	r.purge(PurgeURL, r.server.URL+"/g")
	wantAll(t, []answer{r.get("/g")}, 200, []byte("2"))
	close(hold)
	wantAll(t, old(), 200, []byte("1"))
	r.awaitQuiet()
	wantAll(t, []answer{r.get("/g")}, 200, []byte("2"))
	wantFetches(t, r, "/g", 2)
}

// Lifetimes below a second count.
func TestSubSecondFreshness(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/s", testorigin.Response{Body: []byte("s"), Header: map[string]string{"Surgewall-Cache-Control": "max-age=0.5"}})
	r.get("/s")
	r.awaitQuiet()
	r.advance(300 * time.Millisecond)
	wantStatus(t, r.get("/s"), "hit")
	r.advance(300 * time.Millisecond)
	wantStatus(t, r.get("/s"), "fwd=stale")
	wantFetches(t, r, "/s", 2)
}

// Age grows while an object is stored; the upstream's Cache-Status comes first.
func TestAgeAndCacheStatusOfTwoTiers(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/a", testorigin.Response{Body: []byte("a"), Header: map[string]string{
		"Cache-Control": "max-age=600", "Age": "100", "Cache-Status": "shield; hit; ttl=500", "Via": "1.1 shield", "Connection": "X-Hop", "X-Hop": "1"}})
	if a := r.get("/a"); a.status() != "shield; hit; ttl=500, test; fwd=uri-miss; fwd-status=200; ttl=499; stored" &&
		a.status() != "shield; hit; ttl=500, test; fwd=uri-miss; fwd-status=200; ttl=500; stored" {
		t.Fatalf("Cache-Status %q", a.status())
	}
	r.awaitQuiet()
	r.advance(50 * time.Second)
	a := r.get("/a")
	if a.header.Get("Age") != "150" || !strings.HasPrefix(a.status(), "shield; hit; ttl=500, test; hit; ttl=4") {
		t.Fatalf("Age %q, Cache-Status %q", a.header.Get("Age"), a.status())
	}
	if via := strings.Join(a.header["Via"], ", "); via != "1.1 shield, 1.1 test" {
		t.Fatalf("Via %q", via)
	}
	if a.header.Get("X-Hop") != "" {
		t.Fatal("a hop-by-hop field was stored")
	}
}

func TestOnlyIfCached(t *testing.T) {
	r := newRig(t)
	if a := r.get("/x", "Cache-Control", "only-if-cached"); a.code != 504 {
		t.Fatalf("code %d", a.code)
	}
	wantFetches(t, r, "/x", 0)
}

// By default a reload does not reach the origin; where it is honoured a crowd's
// reloads are one request.
func TestRequestNoCache(t *testing.T) {
	for _, honour := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.Rules.HonourRequest = honour })
		r.origin.Serve("/n", testorigin.Response{Body: []byte("n"), ETag: `"n"`, Header: fresh})
		r.get("/n")
		r.awaitQuiet()
		hold := make(chan struct{})
		r.origin.Serve("/n", testorigin.Response{Body: []byte("n"), ETag: `"n"`, Header: fresh, Hold: hold})
		answers := r.start(50, func(int) answer { return r.get("/n", "Cache-Control", "no-cache") })
		if honour {
			r.awaitReaders("/n", 50)
		}
		close(hold)
		wantAll(t, answers(), 200, []byte("n"))
		want := 1
		if honour {
			want = 2
		}
		wantFetches(t, r, "/n", want)
	}
}
