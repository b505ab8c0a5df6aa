package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// twoSeconds is a body that takes 1.9 s: 20 pieces, one each tenth of a second.
func twoSeconds(size int) testorigin.Response {
	return testorigin.Response{Body: testorigin.Content(size), Header: fresh, ETag: `"1"`, Piece: size / 20, Pace: 100 * ms}
}

// TestMatrixTimelines is the cases in which clients come and go while a response is on its way.
func TestMatrixTimelines(t *testing.T) {
	slow(t)
	shared := newRig(t)
	row := func(name string, play func(t *testing.T, r *rig, path string)) {
		t.Run(name, func(t *testing.T) {
			r := *shared
			r.t = t
			r.connect(60)
			play(t, &r, fmt.Sprintf("/timeline/%d", time.Now().UnixNano()))
			r.quiet()
		})
	}

	for _, chunked := range []bool{false, true} {
		name := map[bool]string{false: "2 join a body of 2 s", true: "3 join a body of 2 s, no length"}[chunked]
		row(name, func(t *testing.T, r *rig, path string) {
			p := twoSeconds(320 << 10)
			p.Chunked = chunked
			// Once before, for the memory and the connections that clients and shield have to get from the system first.
			r.origin.Serve(path+"/before", testorigin.Response{Body: p.Body, Header: fresh, Piece: len(p.Body) / 2, Pace: 200 * ms})
			want(t, r.many(21, func(int) answer { return r.get(path + "/before") }), 200, p.Body)
			r.origin.Serve(path, p)
			first := r.later(0, 1, func(int) answer { return r.get(path) })
			joined := r.later(500*ms, 20, func(int) answer { return r.get(path) })()
			leader := first()
			want(t, append(joined, leader...), 200, p.Body)
			var behind time.Duration
			for _, a := range joined {
				behind = max(behind, a.began.Add(a.took).Sub(leader[0].began.Add(leader[0].took)))
			}
			report(t, name+": joiners' first byte", result{fetches: r.origin.Count(path), took: slowestFirstByte(joined),
				note: asHits(slowestFirstByte(r.many(20, func(int) answer { return r.get(path) })))}, 1, 1, 5*ms)
			report(t, name+": end after the first one's", result{fetches: 1, took: behind}, 1, 1, 5*ms)
		})
	}

	row("11 cut at 30 %, no validator", func(t *testing.T, r *rig, path string) {
		body := testorigin.Content(10 << 10)
		r.origin.Handle(path, firstThen(testorigin.Response{Body: body, Header: fresh, CutAt: 3 << 10, Delay: 200 * ms},
			testorigin.Response{Body: body, Header: fresh}))
		answers := r.many(20, func(int) answer { return r.get(path) })
		for i, a := range answers {
			if a.err == nil && len(a.body) < len(body) {
				t.Errorf("client %d got %d of %d bytes and a clean end", i, len(a.body), len(body))
			}
		}
		report(t, "11 cut at 30 %, no validator x20", result{fetches: r.origin.Count(path), took: slowest(answers)}, 1, 2, 210*ms)
		before := r.origin.Count(path)
		next := r.get(path)
		want(t, []answer{next}, 200, body)
		report(t, "12 the next request", result{fetches: r.origin.Count(path) - before, took: next.took}, 0, 1, 10*ms)
	})

	row("10 again", func(t *testing.T, r *rig, path string) {
		r.origin.Serve(path, testorigin.Response{Status: 503, Delay: 200 * ms})
		for i := range 3 {
			before := r.origin.Count(path)
			answers := r.many(50, func(int) answer { return r.get(path) })
			report(t, fmt.Sprintf("10 503, burst %d", i+1), result{fetches: r.origin.Count(path) - before, took: slowest(answers)}, 0, 2, 210*ms)
		}
	})

	row("13 the first one leaves in mid-body", func(t *testing.T, r *rig, path string) {
		p := twoSeconds(320 << 10)
		r.origin.Serve(path, p)
		ctx, leave := context.WithTimeout(t.Context(), 600*ms)
		defer leave()
		first := r.later(0, 1, func(int) answer { return r.ask(ctx, "GET", path) })
		joined := r.later(300*ms, 20, func(int) answer { return r.get(path) })()
		if first()[0].err == nil {
			t.Error("the first client did not leave")
		}
		want(t, joined, 200, p.Body)
		report(t, "13 first leaves in mid-body: 20 others", result{fetches: r.origin.Count(path), took: slowest(joined)}, 1, 1, 1620*ms)
	})

	row("14 the first one leaves before the header", func(t *testing.T, r *rig, path string) {
		p := testorigin.Response{Body: testorigin.Content(10 << 10), Header: fresh, Delay: time.Second}
		r.origin.Serve(path, p)
		ctx, leave := context.WithTimeout(t.Context(), 500*ms)
		defer leave()
		first := r.later(0, 1, func(int) answer { return r.ask(ctx, "GET", path) })
		joined := r.later(100*ms, 20, func(int) answer { return r.get(path) })()
		first()
		want(t, joined, 200, p.Body)
		report(t, "14 first leaves before the header: 20 others", result{fetches: r.origin.Count(path), took: slowest(joined)}, 1, 1, 910*ms)
	})

	row("15 the only one leaves", func(t *testing.T, r *rig, path string) {
		p := twoSeconds(320 << 10)
		r.origin.Serve(path, p)
		ctx, leave := context.WithTimeout(t.Context(), 600*ms)
		defer leave()
		r.ask(ctx, "GET", path)
		r.quiet()
		next := r.get(path)
		want(t, []answer{next}, 200, p.Body)
		report(t, "15 only client leaves: the next request", result{fetches: r.origin.Count(path), took: next.took}, 1, 1, 10*ms)
	})

	row("16 the first one reads slowly", func(t *testing.T, r *rig, path string) {
		body := testorigin.Content(8 << 20)
		r.origin.Serve(path, testorigin.Response{Body: body, Header: fresh, Delay: 20 * ms})
		// Once without the slow one, for the memory that clients and shield have to get from the system first.
		r.origin.Serve(path+"/before", testorigin.Response{Body: body, Header: fresh})
		want(t, r.many(10, func(int) answer { return r.get(path + "/before") }), 200, body)
		conn := r.dial(path)
		stop := make(chan struct{})
		defer close(stop)
		go func() { // 64 KiB a second
			for piece := make([]byte, 6400); ; time.Sleep(100 * ms) {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := io.ReadFull(conn, piece); err != nil {
					return
				}
			}
		}()
		r.origin.Await(t, path, 1)
		answers := r.many(10, func(int) answer { return r.get(path) })
		want(t, answers, 200, body)
		hits := r.many(10, func(int) answer { return r.get(path) })
		report(t, "16 one reads 64 KiB/s: 10 others, 8 MiB", result{fetches: r.origin.Count(path), took: slowest(answers),
			note: asHits(slowest(hits))}, 1, 1, 40*ms)
		conn.Close()
	})

	row("17 20 different ranges of a cold object", func(t *testing.T, r *rig, path string) {
		body := testorigin.Content(10 << 20)
		r.origin.Serve(path, testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true, Delay: 100 * ms})
		ranges := func(i int) answer {
			return r.get(path, "Range", fmt.Sprintf("bytes=%d-%d", i<<19, (i+1)<<19-1))
		}
		answers := r.many(20, ranges)
		for i, a := range answers {
			if a.err != nil || a.code != 206 || !bytes.Equal(a.body, body[i<<19:(i+1)<<19]) {
				t.Errorf("range %d: code %d, %d bytes, error %v, Cache-Status %q", i, a.code, len(a.body), a.err, a.header.Get("Cache-Status"))
			}
		}
		r.quiet()
		asked := asked(r, path, len(body))
		report(t, "17 20 ranges of 512 KiB, cold 10 MiB", result{fetches: r.origin.Count(path), took: slowest(answers),
			note: fmt.Sprintf("%.2f times its bytes (bar 1.00) %s", float64(asked)/float64(len(body)), asHits(slowest(r.many(20, ranges))))}, 1, 20, 120*ms)
		if asked > len(body)*105/100 {
			t.Errorf("%d bytes were asked of the origin for an object of %d", asked, len(body))
		}
	})

	row("19 the end of a cold object", func(t *testing.T, r *rig, path string) {
		p := twoSeconds(10 << 20)
		p.Ranges = true
		r.origin.Serve(path, p)
		last := func() answer { return r.get(path, "Range", fmt.Sprintf("bytes=%d-", len(p.Body)-100_000)) }
		a := last()
		want(t, []answer{a}, 206, p.Body[len(p.Body)-100_000:])
		report(t, "19 last 100 KB of a cold 10 MiB: first byte", result{fetches: r.origin.Count(path), took: a.ttfb}, 1, 2, 10*ms)
		r.quiet()
		before := r.origin.Count(path)
		a = last()
		want(t, []answer{a}, 206, p.Body[len(p.Body)-100_000:])
		report(t, "19 the same again: from the cache", result{fetches: r.origin.Count(path) - before, took: a.ttfb}, 0, 0, 10*ms)
	})

	row("20 a range of what is there", func(t *testing.T, r *rig, path string) {
		p := twoSeconds(3 << 20)
		p.Ranges = true
		r.origin.Serve(path, p)
		first := r.later(0, 1, func(int) answer { return r.get(path) })
		ranged := r.later(1200*ms, 1, func(int) answer { return r.get(path, "Range", "bytes=0-999999") })()
		want(t, ranged, 206, p.Body[:1_000_000])
		want(t, first(), 200, p.Body)
		report(t, "20 the first third, 1.2 s into 2 s: first byte", result{fetches: r.origin.Count(path), took: ranged[0].ttfb}, 1, 1, 5*ms)
	})

	row("27 joiners come and go", func(t *testing.T, r *rig, path string) {
		p := twoSeconds(320 << 10)
		r.origin.Serve(path, p)
		first := r.later(0, 1, func(int) answer { return r.get(path) })
		time.Sleep(50 * ms)
		answers := r.many(200, func(i int) answer {
			time.Sleep(time.Duration(i) * 5 * ms)
			ctx, leave := t.Context(), func() {}
			if i%2 == 1 {
				ctx, leave = context.WithTimeout(ctx, 150*ms)
			}
			defer leave()
			return r.ask(ctx, "GET", path)
		})
		var stayed []answer
		for i := 0; i < len(answers); i += 2 {
			stayed = append(stayed, answers[i])
		}
		want(t, append(stayed, first()...), 200, p.Body)
		report(t, "27 200 join over 1 s, half leave: first byte", result{fetches: r.origin.Count(path), took: slowestFirstByte(stayed)}, 1, 1, 10*ms)
	})
}

// asHits is what the same clients take when all they want is stored: the part of a time that is the machine's and the clients' own.
func asHits(d time.Duration) string {
	return fmt.Sprintf("(as hits: %.1f ms)", float64(d.Microseconds())/1000)
}

// dial sends a request on a connection whose answer nobody reads yet, with little room in the kernel.
func (r *rig) dial(path string) *net.TCPConn {
	r.t.Helper()
	address := strings.TrimPrefix(r.shield.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetReadBuffer(16 << 10); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	return tcp
}

// asked is how many body bytes the requests for an object of that size were for.
func asked(r *rig, path string, size int) (n int) {
	for _, q := range r.origin.Requests(path) {
		n += lengthOf(q.Header, size)
	}
	return n
}

func lengthOf(h http.Header, size int) int {
	first, last, ok := strings.Cut(strings.TrimPrefix(h.Get("Range"), "bytes="), "-")
	if !ok {
		return size
	}
	end, err := strconv.Atoi(last)
	if err != nil || end >= size {
		end = size - 1
	}
	begin, err := strconv.Atoi(first)
	if err != nil {
		return min(end, size) // the last so many bytes
	}
	return max(end-begin+1, 0)
}
