package httpcache

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// The origin breaks off and the body has no validator: every client sees a
// broken response, none a short one that looks whole, and nothing is stored.
func TestCutBodyIsNeverACleanEnd(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		r := newRig(t)
		body := testorigin.Content(100 << 10)
		r.origin.Serve("/cut", testorigin.Response{Body: body, Header: fresh, CutAt: 30 << 10, Chunked: chunked})
		for i, a := range r.many(20, func(int) answer { return r.get("/cut") }) {
			if a.err == nil {
				t.Fatalf("client %d: %d of %d bytes and no error", i, len(a.body), len(body))
			}
		}
		r.awaitQuiet()
		if r.store.Stats().Objects != 0 {
			t.Fatal("a part was stored")
		}
		before := r.origin.Count("/cut")
		r.origin.Serve("/cut", testorigin.Response{Body: body, Header: fresh})
		wantAll(t, []answer{r.get("/cut")}, 200, body)
		wantFetches(t, r, "/cut", before+1)
	}
}

// RFC 9112 section 8: without length or coding, the end of the connection is
// the end of the content, and it is complete.
func TestContentThatEndsWithTheConnection(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\nbody")
	}))
	defer origin.Close()
	r := newRig(t, func(o *Options) {
		o.Upstream = roundTrip(func(q *http.Request) (*http.Response, error) {
			q = q.Clone(q.Context())
			q.URL.Scheme, q.URL.Host = "http", origin.Listener.Addr().String()
			return http.DefaultTransport.RoundTrip(q)
		})
	})
	wantAll(t, []answer{r.get("/")}, 200, []byte("body"))
	r.awaitQuiet()
	a := r.get("/")
	wantAll(t, []answer{a}, 200, []byte("body"))
	wantStatus(t, a, "hit")
	if a.header.Get("Content-Length") != "4" {
		t.Errorf("header %v", a.header)
	}
}

// With a strong validator the rest is fetched once more, and no client notices.
func TestCutBodyIsResumed(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(200<<10), make(chan struct{})
	r.origin.Handle("/res", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: body, ETag: `"v"`, Ranges: true, Header: fresh, Hold: hold}
		if n == 1 {
			p.CutAt = 70_000
		}
		return p
	})
	answers := r.start(20, func(int) answer { return r.get("/res") })
	r.awaitReaders("/res", 20)
	close(hold)
	wantAll(t, answers(), 200, body)
	wantFetches(t, r, "/res", 2)
	q := r.origin.Requests("/res")[1].Header
	if q.Get("Range") != "bytes=70000-" || q.Get("If-Range") != `"v"` {
		t.Fatalf("resumed with Range %q, If-Range %q", q.Get("Range"), q.Get("If-Range"))
	}
	r.awaitQuiet()
	wantStatus(t, r.get("/res"), "hit")
}

// The object changed between the cut and the resumption: the parts are not mixed.
func TestCutBodyIsNotMixedWithANewerOne(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(200 << 10)
	r.origin.Handle("/mix", func(_ *http.Request, n int) testorigin.Response {
		p := testorigin.Response{Body: body, ETag: `"1"`, Ranges: true, Header: fresh, CutAt: 70_000}
		if n > 1 {
			p = testorigin.Response{Body: bytes.ToUpper(body), ETag: `"2"`, Ranges: true, Header: fresh}
		}
		return p
	})
	if a := r.get("/mix"); a.err == nil {
		t.Fatalf("%d bytes and no error", len(a.body))
	}
	r.awaitQuiet()
	if r.store.Stats().Objects != 0 {
		t.Fatal("a mix was stored")
	}
}

// One client does not read. The others have the whole body meanwhile.
func TestSlowReaderSlowsNobody(t *testing.T) {
	r := newRig(t)
	body, hold := testorigin.Content(8<<20), make(chan struct{})
	r.origin.Serve("/slow", testorigin.Response{Body: body, Header: fresh, Hold: hold})
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: "+r.server.Listener.Addr().String()+"\r\n\r\n")
	r.awaitReaders("/slow", 1)
	answers := r.start(10, func(int) answer { return r.get("/slow") })
	r.awaitReaders("/slow", 11)
	close(hold)
	all := answers()
	wantAll(t, all, 200, body)
	wantFetches(t, r, "/slow", 1)
	t.Logf("8 MiB to 10 clients beside one that does not read: slowest %v", slowest(all))
}

// A body too large for the store is shared through a window: memory stays
// bounded although the origin sends as fast as it can.
func TestTooLargeToStoreIsSharedThroughAWindow(t *testing.T) {
	for name, p := range map[string]testorigin.Response{
		"known size, strong tag":      {ETag: `"b"`, Ranges: true},
		"unknown size, strong tag":    {ETag: `"b"`, Ranges: true, Chunked: true},
		"unknown size, no entity tag": {Chunked: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.MaxObjectBytes, o.WindowBytes = 1<<20, 256<<10 })
			body, hold := testorigin.Content(6<<20), make(chan struct{})
			first := p
			first.Body, first.Header, first.Hold = body, fresh, hold
			r.origin.Serve("/big", first)
			answers := r.start(5, func(int) answer { return r.get("/big") })
			r.awaitReaders("/big", 5)
			close(hold)
			done := make(chan []answer)
			go func() { done <- answers() }()
			var all []answer
			var peak int64
			for all == nil {
				select {
				case all = <-done:
				case <-time.After(time.Millisecond):
					peak = max(peak, heldBy(r, "/big"))
				}
			}
			wantAll(t, all, 200, body)
			// Each reader that the fastest outran fetched the rest once.
			if n := r.origin.Count("/big"); n > 5 || p.ETag == "" && n != 1 {
				t.Errorf("%d fetches for 5 clients", n)
			}
			// Before the size is known to be too much, as much as may be stored is kept.
			if limit := int64(1<<20 + (lagWindows+1)*256<<10 + 2*chunkSize); peak > limit {
				t.Errorf("held %d bytes of a 6 MiB body, want at most %d", peak, limit)
			}
			r.awaitQuiet()
			if r.store.Stats().Objects != 0 {
				t.Fatal("stored although too large")
			}
		})
	}
}

// Too large to be kept and nothing to tell its parts by: one fetch per client,
// at the client's pace.
func TestTooLargeWithoutEntityTagIsNotShared(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxObjectBytes = 1 << 20 })
	body := testorigin.Content(3 << 20)
	r.origin.Serve("/big", testorigin.Response{Body: body, Header: fresh})
	all := r.many(5, func(int) answer { return r.get("/big") })
	wantAll(t, all, 200, body)
	wantFetches(t, r, "/big", 5)
}

// A reader that falls behind the window holds up nobody, and still gets
// everything: it fetches the rest itself once it reads again.
func TestReaderBehindTheWindowCatchesUp(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxObjectBytes, o.WindowBytes = 1<<20, 64<<10 })
	body, hold := testorigin.Content(24<<20), make(chan struct{})
	r.origin.Serve("/w", testorigin.Response{Body: body, ETag: `"w"`, Ranges: true, Header: fresh, Hold: hold})
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /w HTTP/1.1\r\nHost: "+r.server.Listener.Addr().String()+"\r\n\r\n")
	r.awaitReaders("/w", 1)
	reader := r.start(1, func(int) answer { return r.get("/w") })
	r.awaitReaders("/w", 2)
	close(hold)
	wantAll(t, reader(), 200, body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("the client that slept got %d bytes, error %v", len(got), err)
	}
	if n := r.origin.Count("/w"); n < 2 || n > 3 {
		t.Fatalf("%d fetches", n)
	}
}

func heldBy(r *rig, path string) (n int64) {
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		for f := range s.live {
			if f.url.path == path && f.started() && f.body != nil {
				n += f.body.held()
			}
		}
		s.mu.Unlock()
	}
	return n
}

// Of 200 clients that join over a while half leave early: the others have it all.
func TestJoinersComeAndGo(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(1 << 20)
	r.origin.Serve("/go", testorigin.Response{Body: body, Header: fresh, Piece: 64 << 10, Pace: 20 * time.Millisecond})
	answers := r.many(200, func(i int) answer {
		time.Sleep(time.Duration(i) * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if i%2 == 0 {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		return r.doContext(ctx, "GET", "/go", nil)
	})
	for i, a := range answers {
		if i%2 == 1 {
			wantAll(t, []answer{a}, 200, body)
		}
	}
	wantFetches(t, r, "/go", 1)
}

// Close lets a fetch come to its end; when time runs out it ends it.
func TestClose(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.origin.Serve("/c", testorigin.Response{Body: []byte("c"), Header: fresh, Hold: hold})
	answers := r.start(3, func(int) answer { return r.get("/c") })
	r.awaitReaders("/c", 3)
	closed := make(chan error)
	go func() { closed <- r.cache.Close(t.Context()) }()
	r.await("the cache to close", func() bool { r.cache.mu.Lock(); defer r.cache.mu.Unlock(); return r.cache.closed })
	if a := r.get("/other"); a.code != 503 {
		t.Fatalf("code %d after Close", a.code)
	}
	close(hold)
	wantAll(t, answers(), 200, []byte("c"))
	if err := <-closed; err != nil {
		t.Fatal(err)
	}

	r = newRig(t)
	r.origin.Serve("/h", testorigin.Response{Hold: make(chan struct{})})
	stuck := r.start(1, func(int) answer { return r.get("/h") })
	r.awaitReaders("/h", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.cache.Close(ctx); err == nil {
		t.Fatal("Close said that a stuck fetch had ended")
	}
	if a := stuck()[0]; a.code != 502 {
		t.Fatalf("code %d", a.code)
	}
}
