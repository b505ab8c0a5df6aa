package httpcache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

func TestRouteOf(t *testing.T) {
	for key, want := range map[string]string{
		"http://h/":                   "",
		"http://h/cart":               "",
		"http://h/cart?id=1":          "http://h/cart",
		"http://h/api/1":              "http://h/api/",
		"http://h/api/users/1":        "http://h/api/users/",
		"http://h/api/users/1/orders": "http://h/api/users/",
		"http://h/a/b/c/d?x":          "http://h/a/b/c/d",
		"http://h//":                  "http://h//",
		"h/api/1":                     "",
		"":                            "",
	} {
		if got, ok := routeOf(key); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v; want %q", key, got, ok, want)
		}
	}
}

// Three keys of a route that answer for one request only: the first burst on a
// fourth does not wait.
func TestRouteIsLearned(t *testing.T) {
	r := newRig(t)
	for i := range 9 {
		p := testorigin.Response{Body: []byte("x"), Header: map[string]string{"Cache-Control": "private"}}
		if i == 8 {
			p.Header = fresh
		}
		r.origin.Serve(fmt.Sprint("/api/", i), p)
	}
	burst := func(i int) (waited int) {
		t.Helper()
		hold := make(chan struct{})
		path := fmt.Sprint("/api/", i)
		p := testorigin.Response{Body: []byte("x"), Header: map[string]string{"Cache-Control": "private"}, Hold: hold}
		if i == 8 {
			p.Header = fresh
		}
		r.origin.Serve(path, p)
		answers := r.start(20, func(int) answer { return r.get(path) })
		r.awaitReaders(path, 20)
		close(hold)
		for _, a := range answers() {
			if a.code != 200 || a.err != nil {
				t.Fatalf("code %d, error %v", a.code, a.err)
			}
			if strings.Contains(a.status(), "collapsed") {
				waited++
			}
		}
		r.awaitQuiet()
		return waited
	}
	if n := burst(0); n != 19 {
		t.Errorf("%d waited on an unknown route", n)
	}
	for range 5 { // one key proves nothing by being asked for often
		r.get("/api/0")
	}
	if n := burst(1); n != 19 {
		t.Errorf("%d waited after one key", n)
	}
	r.get("/api/2")
	r.awaitQuiet()
	if n := burst(3); n != 0 {
		t.Errorf("%d waited on a known route", n)
	}
	// A guess that was wrong is taken back, and more is needed for the next.
	if n := burst(8); n != 0 {
		t.Errorf("%d waited on a known route", n)
	}
	wantStatus(t, r.get("/api/8"), "hit")
	for i := 4; i < 7; i++ {
		r.get(fmt.Sprint("/api/", i))
	}
	r.awaitQuiet()
	if n := burst(7); n != 19 {
		t.Errorf("%d waited after a wrong guess", n)
	}
	// What is stored, or was, is known better than its route.
	r.cache.routes.m["http://"+strings.TrimPrefix(r.server.URL, "http://")+"/api/"].refuted = 0
	for i := range 4 {
		r.cache.routes.learn(fmt.Sprint(r.server.URL, "/api/x", i), false, r.cache.opt.Now(), time.Minute)
	}
	r.advance(61 * time.Second)
	for i := range 4 {
		r.cache.routes.learn(fmt.Sprint(r.server.URL, "/api/y", i), false, r.cache.opt.Now(), time.Minute)
	}
	if n := burst(8); n != 19 {
		t.Errorf("%d waited for what was stored before", n)
	}
}

// A wrong guess costs the origin a bounded number of fetches.
func TestGuessIsBounded(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		r.cache.routes.learn(fmt.Sprint(r.server.URL, "/api/", i), false, r.cache.opt.Now(), time.Minute)
	}
	hold := make(chan struct{})
	r.origin.Serve("/api/new", testorigin.Response{Body: []byte("x"), Header: fresh, Hold: hold})
	answers := r.start(4*guessedAtOnce, func(int) answer { return r.get("/api/new") })
	r.awaitReaders("/api/new", 4*guessedAtOnce)
	close(hold)
	wantAll(t, answers(), 200, []byte("x"))
	wantFetches(t, r, "/api/new", guessedAtOnce+1)
	r.awaitQuiet()
	for i := range r.cache.shards {
		if n := len(r.cache.shards[i].guessed); n != 0 {
			t.Errorf("%d guesses left over", n)
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	r := newRoutes(10)
	now := time.Now()
	for i := range 100 {
		for j := range 3 {
			r.learn(fmt.Sprintf("http://h/r%d/%d", i, j), false, now, time.Minute)
		}
	}
	if len(r.m) > 10 || !r.uncacheable("http://h/r99/x", now) || r.uncacheable("http://h/r99/x", now.Add(2*time.Minute)) {
		t.Errorf("%d routes, last known %v", len(r.m), r.uncacheable("http://h/r99/x", now))
	}
}
