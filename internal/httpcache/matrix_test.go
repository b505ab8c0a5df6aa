package httpcache

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// The cases in which request collapsing goes wrong elsewhere, with an origin
// that takes its time. Counts are checked; times are printed beside the best
// that the origin's own delay allows, since they depend on the machine.
func TestMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of real time")
	}
	const ms = time.Millisecond
	cc := func(v string) map[string]string { return map[string]string{"Cache-Control": v} }
	warm := func(after time.Duration) func(*rig) {
		return func(r *rig) { r.get("/m"); r.awaitQuiet(); r.advance(after) }
	}
	type row struct {
		name    string
		clients int
		script  testorigin.Script
		before  func(*rig)
		ask     func(*rig, int) answer
		fetches int // by the clients' burst
		code    int
		floor   time.Duration
	}
	always := func(p testorigin.Response) testorigin.Script {
		return func(*http.Request, int) testorigin.Response { return p }
	}
	later := func(first, then testorigin.Response) testorigin.Script {
		return func(_ *http.Request, n int) testorigin.Response {
			if n == 1 {
				return first
			}
			return then
		}
	}
	plain := func(r *rig, _ int) answer { return r.get("/m") }
	body := testorigin.Content(10 << 10)
	swr, sie := cc("max-age=1, stale-while-revalidate=60"), cc("max-age=1, stale-if-error=60")
	rows := []row{
		{"1 cold", 50, always(testorigin.Response{Body: body, Header: fresh, Delay: 300 * ms}), nil, plain, 1, 200, 300 * ms},
		{"1 cold", 1000, always(testorigin.Response{Body: body, Header: fresh, Delay: 300 * ms}), nil, plain, 1, 200, 300 * ms},
		{"4 no-store, first burst", 50, always(testorigin.Response{Body: body, Header: cc("no-store"), Delay: 200 * ms}), nil, plain, 50, 200, 400 * ms},
		{"4 no-store, first burst", 1000, always(testorigin.Response{Body: body, Header: cc("no-store"), Delay: 200 * ms}), nil, plain, 1000, 200, 400 * ms},
		{"5 no-store, second burst", 50, always(testorigin.Response{Body: body, Header: cc("no-store"), Delay: 200 * ms}), warm(0), plain, 50, 200, 200 * ms},
		{"5 no-store, second burst", 1000, always(testorigin.Response{Body: body, Header: cc("no-store"), Delay: 200 * ms}), warm(0), plain, 1000, 200, 200 * ms},
		{"6 private", 50, always(testorigin.Response{Body: body, Header: cc("private, max-age=60"), Delay: 200 * ms}), nil, plain, 50, 200, 400 * ms},
		{"7 max-age=0", 50, always(testorigin.Response{Body: body, Header: cc("max-age=0"), Delay: 200 * ms}), nil, plain, 1, 200, 200 * ms},
		{"8 Set-Cookie", 20, always(testorigin.Response{Body: body, Header: map[string]string{"Cache-Control": "max-age=60", "Set-Cookie": "a=b"}, Delay: 200 * ms}), nil, plain, 20, 200, 400 * ms},
		{"9 Authorization", 20, always(testorigin.Response{Body: body, Header: fresh, Delay: 200 * ms}), nil,
			func(r *rig, i int) answer { return r.get("/m", "Authorization", fmt.Sprint("Bearer ", i)) }, 20, 200, 200 * ms},
		{"10 503", 50, always(testorigin.Response{Status: 503, Delay: 200 * ms}), nil, plain, 1, 503, 200 * ms},
		{"10 503", 1000, always(testorigin.Response{Status: 503, Delay: 200 * ms}), nil, plain, 1, 503, 200 * ms},
		{"11 cut at 30 %, strong validator", 20, later(
			testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true, CutAt: 3 << 10, Delay: 200 * ms},
			testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true}), nil, plain, 2, 200, 200 * ms},
		{"18 20 same ranges", 20, always(testorigin.Response{Body: body, Header: fresh, Ranges: true, Delay: 100 * ms}), nil,
			func(r *rig, _ int) answer { return r.get("/m", "Range", "bytes=5000-5999") }, 1, 206, 100 * ms},
		{"21 HEAD and GET", 40, always(testorigin.Response{Body: body, Header: fresh, Delay: 300 * ms}), nil,
			func(r *rig, i int) answer { return r.do([]string{"GET", "HEAD"}[i%2], "/m") }, 1, 200, 300 * ms},
		{"22 Vary, unknown", 40, always(testorigin.Response{Body: body, Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "X-V"}, Delay: 300 * ms}), nil,
			func(r *rig, i int) answer { return r.get("/m", "X-V", fmt.Sprint(i%2)) }, 2, 200, 600 * ms},
		{"22 Vary, known", 40, always(testorigin.Response{Body: body, Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "X-V"}, Delay: 300 * ms}), warm(0),
			func(r *rig, i int) answer { return r.get("/m", "X-V", fmt.Sprint(i%2)) }, 2, 200, 300 * ms},
		{"23 expired with ETag", 50, always(testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Delay: 200 * ms}), warm(61 * time.Second), plain, 1, 200, 200 * ms},
		{"23 expired with ETag", 1000, always(testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Delay: 200 * ms}), warm(61 * time.Second), plain, 1, 200, 200 * ms},
		{"24 stale-while-revalidate", 50, later(testorigin.Response{Body: body, Header: swr}, testorigin.Response{Body: body, Header: swr, Delay: 200 * ms}), warm(2 * time.Second), plain, 1, 200, 0},
		{"25 stale-if-error", 50, later(testorigin.Response{Body: body, Header: sie}, testorigin.Response{Status: 503, Delay: 200 * ms}), warm(2 * time.Second), plain, 1, 200, 200 * ms},
		{"25 stale-if-error, known to fail", 50, later(testorigin.Response{Body: body, Header: sie}, testorigin.Response{Status: 503, Delay: 200 * ms}),
			func(r *rig) { warm(2 * time.Second)(r); r.get("/m"); r.awaitQuiet(); r.advance(time.Second) }, plain, 1, 200, 0},
		{"26 fresh, clients send no-cache", 50, always(testorigin.Response{Body: body, Header: fresh}), warm(0),
			func(r *rig, _ int) answer { return r.get("/m", "Cache-Control", "no-cache") }, 0, 200, 0},
		{"28 POST", 10, always(testorigin.Response{Body: body}), nil, func(r *rig, _ int) answer { return r.do("POST", "/m") }, 10, 200, 0},
	}
	for _, c := range rows {
		t.Run(fmt.Sprintf("%s x%d", c.name, c.clients), func(t *testing.T) {
			r := newRig(t)
			r.origin.Handle("/m", c.script)
			if c.before != nil {
				c.before(r)
			}
			before := r.origin.Count("/m")
			answers := r.many(c.clients, func(i int) answer { return c.ask(r, i) })
			r.awaitQuiet()
			fetches := r.origin.Count("/m") - before
			for i, a := range answers {
				if a.err != nil || a.code != c.code {
					t.Fatalf("client %d: code %d, error %v", i, a.code, a.err)
				}
			}
			// What answers only those who wait is fetched again for clients that a busy
			// machine sends later than that.
			late := 0
			if c.floor > 0 && !strings.Contains(answers[0].status(), "stored") && c.fetches == 1 {
				late = int(slowest(answers)/c.floor) - 1
			}
			if fetches < c.fetches || fetches > c.fetches+late {
				t.Errorf("%d fetches, want %d", fetches, c.fetches)
			}
			t.Logf("%-34s x%-4d fetches %4d  slowest %4d ms  floor %3d ms", c.name, c.clients, fetches, slowest(answers).Milliseconds(), c.floor.Milliseconds())
		})
	}
}

// Rows in which clients come and go while a body of two seconds streams.
func TestMatrixStreaming(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of real time")
	}
	body := testorigin.Content(320 << 10)
	slow := testorigin.Response{Body: body, Header: fresh, Piece: 16 << 10, Pace: 100 * time.Millisecond}
	for _, chunked := range []bool{false, true} {
		r := newRig(t)
		slow.Chunked = chunked
		r.origin.Serve("/m", slow)
		ctx, leave := context.WithCancel(t.Context())
		start := time.Now()
		first := r.start(1, func(int) answer { return r.doContext(ctx, "GET", "/m", nil) })
		r.await("a quarter of the body", func() bool { return written(r, "/m") >= 80<<10 })
		time.AfterFunc(100*time.Millisecond, leave) // row 13: the first one goes
		ranged := r.start(1, func(int) answer { return r.get("/m", "Range", "bytes=1000-1999") })
		var ttfb time.Duration
		joined := r.many(20, func(int) answer { return r.get("/m") })
		first()
		for _, a := range joined {
			ttfb = max(ttfb, a.ttfb)
		}
		wantAll(t, joined, 200, body)
		wantFetches(t, r, "/m", 1)
		a := ranged()[0]
		total := fmt.Sprint(len(body))
		if chunked { // its length is not known yet
			total = "*"
		}
		if a.code != 206 || a.err != nil || a.header.Get("Content-Range") != "bytes 1000-1999/"+total {
			t.Errorf("range: code %d, Content-Range %q, error %v", a.code, a.header.Get("Content-Range"), a.err)
		}
		// The same clients again, from the store: what the machine adds.
		r.awaitQuiet()
		own := r.slowestHeader(StatusCollapsed)
		var plain time.Duration
		for _, a := range r.many(20, func(int) answer { return r.get("/m") }) {
			plain = max(plain, a.ttfb)
		}
		t.Logf("rows 2, 3, 13, 20 chunked=%v: joiners' first byte at most %v (within the cache %v; as hits %v), range %v, all done %v after the start",
			chunked, ttfb, own, plain, a.ttfb, time.Since(start))
	}

	r := newRig(t)
	big := testorigin.Content(8 << 20)
	r.origin.Serve("/m", testorigin.Response{Body: big, Header: fresh, Delay: 20 * time.Millisecond})
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /m HTTP/1.1\r\nHost: "+r.server.Listener.Addr().String()+"\r\n\r\n")
	r.awaitReaders("/m", 1)
	answers := r.many(10, func(int) answer { return r.get("/m") })
	wantAll(t, answers, 200, big)
	wantFetches(t, r, "/m", 1)
	r.awaitQuiet()
	hits := r.many(10, func(int) answer { return r.get("/m") })
	t.Logf("row 16: 10 clients beside one that does not read, 8 MiB each: slowest %v (as hits %v)", slowest(answers), slowest(hits))
}

// Rows of ranges of an object of 10 MiB that takes 1.9 s.
func TestMatrixRanges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of real time")
	}
	const size = 10 << 20
	body := testorigin.Content(size)
	for _, stream := range []bool{false, true} {
		r := newRig(t)
		p := testorigin.Response{Body: body, ETag: `"1"`, Ranges: true, Header: fresh, Piece: size / 20, Pace: 100 * time.Millisecond}
		r.origin.Serve("/m", p)
		var first func() []answer
		if stream { // beside a client that has the whole coming
			first = r.start(1, func(int) answer { return r.get("/m") })
			r.await("the first piece", func() bool { return written(r, "/m") > 0 })
		}
		a := r.get("/m", "Range", "bytes=-102400")
		wantAll(t, []answer{a}, 206, body[size-102400:])
		n := r.origin.Count("/m")
		r.await("the slice", func() bool { _, flights := r.waiting("/m"); return flights <= 1 })
		again := r.get("/m", "Range", "bytes=-102400")
		wantAll(t, []answer{again}, 206, body[size-102400:])
		wantFetches(t, r, "/m", n)
		t.Logf("row 19 beside the whole=%v: last 100 KB first byte %v (bar 10 ms), again %v and no fetch", stream, a.ttfb, again.ttfb)
		if stream {
			wantAll(t, first(), 200, body)
		}
	}
	r := newRig(t)
	r.origin.Serve("/m", testorigin.Response{Body: body, ETag: `"1"`, Ranges: true, Header: fresh, Delay: 100 * time.Millisecond})
	answers := r.many(20, func(i int) answer {
		return r.get("/m", "Range", fmt.Sprintf("bytes=%d-%d", i*size/20, (i+1)*size/20-1))
	})
	for i, a := range answers {
		wantAll(t, []answer{a}, 206, body[i*size/20:(i+1)*size/20])
	}
	r.await("the origin's count", func() bool { return r.origin.Sent("/m") >= size })
	if n := r.origin.Sent("/m"); n != size {
		t.Errorf("origin sent %d bytes of %d", n, size)
	}
	t.Logf("row 17: 20 ranges, %d fetches, %.2f times the bytes (bar 1), slowest %v (bar 120 ms)", r.origin.Count("/m"), float64(r.origin.Sent("/m"))/size, slowest(answers))
}
