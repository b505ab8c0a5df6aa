package httpcache

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// BenchmarkJoin is 20 clients at once that join a body of which 80 of 320 KiB are
// there, and 20 that get it from the store, in turn: the median over the
// rounds of the slowest one's first byte. Their ratio says what joining costs.
func BenchmarkJoin(b *testing.B) {
	const clients, size = 20, 320 << 10
	r := newRig(b)
	body := testorigin.Content(size)
	r.origin.Handle("/warm", func(*http.Request, int) testorigin.Response { return testorigin.Response{Body: body, Header: fresh} })
	r.many(clients, func(int) answer { return r.get("/warm") })
	var joined, hit []time.Duration
	slowestByte := func(answers []answer) (d time.Duration) {
		wantAll(b, answers, 200, body)
		for _, a := range answers {
			d = max(d, a.ttfb)
		}
		return d
	}
	for i := 0; b.Loop(); i++ {
		path, gate := fmt.Sprint("/", i), make(chan struct{})
		r.origin.Serve(path, testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Piece: size / 4, Gate: gate})
		first := r.start(1, func(int) answer { return r.get(path) })
		r.await("a quarter", func() bool { return written(r, path) == size/4 })
		answers := r.start(clients, func(int) answer { return r.get(path) })
		r.await("all readers at the end", func() bool { return caughtUp(r, path) == clients+1 })
		close(gate)
		joined = append(joined, slowestByte(answers()))
		first()
		r.awaitQuiet()
		hit = append(hit, slowestByte(r.many(clients, func(int) answer { return r.get(path) })))
	}
	slices.Sort(joined)
	slices.Sort(hit)
	b.ReportMetric(float64(joined[len(joined)/2].Microseconds()), "join-µs")
	b.ReportMetric(float64(hit[len(hit)/2].Microseconds()), "hit-µs")
	b.ReportMetric(float64(joined[len(joined)/2])/float64(hit[len(hit)/2]), "ratio")
}

// caughtUp is how many readers of a path have sent all that is there.
func caughtUp(r *rig, path string) (n int) {
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		for f := range s.live {
			if f.url.path != path || !f.started() || f.body == nil {
				continue
			}
			f.mu.Lock()
			for rd := range f.readers {
				if rd.pos.Load() == f.body.size.Load() {
					n++
				}
			}
			f.mu.Unlock()
		}
		s.mu.Unlock()
	}
	return n
}

// BenchmarkShareLarge is 10 clients that read one body of 8 MiB while it is
// fetched, and 10 that get it from the store, in turn: medians of the slowest.
func BenchmarkShareLarge(b *testing.B) {
	const clients = 10
	r := newRig(b)
	body := testorigin.Content(8 << 20)
	var cold, hit []time.Duration
	for i := 0; b.Loop(); i++ {
		path, hold := fmt.Sprint("/", i), make(chan struct{})
		r.origin.Serve(path, testorigin.Response{Body: body, Header: fresh, Hold: hold})
		answers := r.start(clients, func(int) answer { return r.get(path) })
		r.awaitReaders(path, clients)
		start := time.Now()
		close(hold)
		wantAll(b, answers(), 200, body)
		cold = append(cold, time.Since(start))
		r.awaitQuiet()
		start = time.Now()
		wantAll(b, r.many(clients, func(int) answer { return r.get(path) }), 200, body)
		hit = append(hit, time.Since(start))
	}
	slices.Sort(cold)
	slices.Sort(hit)
	b.ReportMetric(float64(cold[len(cold)/2].Microseconds()), "cold-µs")
	b.ReportMetric(float64(hit[len(hit)/2].Microseconds()), "hit-µs")
	b.ReportMetric(float64(cold[len(cold)/2])/float64(hit[len(hit)/2]), "ratio")
}
