package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// BenchmarkStoredMemory fills a shield beyond its --cache-size and sets that beside the memory that the process then has: 10^6 small
// objects are offered, and 1,000 large ones. The bar is 1.15.
//
// SURGEWALL_BENCH_OBJECTS changes how many small objects are offered; the cache's size follows.
func BenchmarkStoredMemory(b *testing.B) {
	small := 1_000_000
	if text := os.Getenv("SURGEWALL_BENCH_OBJECTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1000 || n > 10_000_000 {
			b.Fatalf("SURGEWALL_BENCH_OBJECTS=%s: want a number from 1,000 to 10,000,000", text)
		}
		small = n
	}
	for _, c := range []struct {
		name        string
		objects     int
		least, most int // bytes of a body
		cacheMiB    int
	}{
		{"small", small, 256, 1024, max(small/1000, 1)}, // about 1.5 KiB each with header and bookkeeping
		{"large", 1000, 1 << 20, 3 << 20, 1024},
	} {
		b.Run(c.name, func(b *testing.B) {
			origin := objects(c.least, c.most)
			defer origin.Close()
			for b.Loop() {
				s := startShield(b, origin.URL, "--cache-size", fmt.Sprint(c.cacheMiB, "MiB"), "--origin-concurrency", "256")
				empty := s.memory("VmRSS")
				began := time.Now()
				fetchAll(b, s, c.objects)
				took := time.Since(began)
				// The limit is a promise about every moment, so nothing is collected first.
				unmapped := s.unmapped()
				filled, most := s.memory("VmRSS")+unmapped, s.memory("VmHWM")+unmapped
				used := s.metric(`surgewall_store_bytes{what="used"}`)
				limit := float64(c.cacheMiB) * (1 << 20)
				b.ReportMetric(used/limit, "full")
				b.ReportMetric(float64(filled)/limit, "RSS/limit")
				b.ReportMetric(float64(most)/limit, "peak/limit")
				b.ReportMetric(float64(c.objects)/took.Seconds(), "objects/s")
				b.ReportMetric(0, "ns/op")
				b.Logf("%d objects of %d to %d bytes through --cache-size %d MiB: the store says %.0f MiB; the process has %d MiB, %d of them in files of memory, had %d MiB at most, began with %d MiB; heap in use %.0f MiB, allocated %.0f MiB",
					c.objects, c.least, c.most, c.cacheMiB, used/(1<<20), filled>>20, unmapped>>20, most>>20, empty>>20,
					s.metric("go_memstats_heap_inuse_bytes")/(1<<20), s.metric("go_memstats_alloc_bytes")/(1<<20))
				s.kill()
			}
		})
	}
}

// objects is an origin with one object per path, of a size that follows from the path.
func objects(least, most int) *httptest.Server {
	content, seed := testorigin.Content(most), maphash.MakeSeed()
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := least + int(maphash.String(seed, r.URL.Path)%uint64(most-least+1))
		h := w.Header()
		h["Cache-Control"] = []string{"public, max-age=86400"}
		h["Content-Type"] = []string{"application/json; charset=utf-8"}
		h["Etag"] = []string{`"` + r.URL.Path[len("/objects/"):] + `"`}
		h["Last-Modified"] = []string{"Mon, 01 Jan 2024 00:00:00 GMT"}
		h["Content-Length"] = []string{strconv.Itoa(size)}
		_, _ = w.Write(content[:size])
	}))
}

// fetchAll asks for n objects once each, over 16 connections.
func fetchAll(b *testing.B, s *shield, n int) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, 16)
	for range cap(failed) {
		group.Go(func() { failed <- fetchEach(strings.TrimPrefix(s.url, "http://"), n, &next) })
	}
	group.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func fetchEach(address string, n int, next *atomic.Int64) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		i := next.Add(1)
		if i > int64(n) {
			return nil
		}
		if _, err := fmt.Fprintf(conn, "GET /objects/%08d.json HTTP/1.1\r\nHost: site.example\r\n\r\n", i); err != nil {
			return err
		}
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
		if _, err = io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("object %d: %s, %w", i, response.Status, errors.Join(err))
		}
	}
}

// BenchmarkJoiners is what 5,000 clients of one body that is still being fetched cost a shield: memory each (bar 30 KiB), the time until
// each has what there is of the body, and until a further piece has reached all of them.
func BenchmarkJoiners(b *testing.B) {
	const joiners, piece = 5000, 4 << 10
	for b.Loop() {
		r := newRig(b)
		gate := make(chan struct{})
		r.origin.Serve("/live", testorigin.Response{Body: testorigin.Content(4 * piece), Header: fresh, Piece: piece, Gate: gate})
		first := r.dial("/live")
		skip(b, bufio.NewReader(first), piece)
		before := r.shield.memory("VmRSS")

		readers := make([]*bufio.Reader, joiners)
		waited := make([]time.Duration, joiners)
		for i := range readers {
			began := time.Now()
			readers[i] = bufio.NewReaderSize(r.dial("/live"), 8<<10)
			skip(b, readers[i], piece)
			waited[i] = time.Since(began)
		}
		each := (r.shield.memory("VmRSS") - before) / joiners
		slices.Sort(waited)

		began := time.Now()
		gate <- struct{}{}
		var group sync.WaitGroup
		for _, reader := range readers {
			group.Go(func() {
				if _, err := reader.Discard(piece); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		reached := time.Since(began)
		if n := r.origin.Count("/live"); n != 1 {
			b.Errorf("%d fetches for %d clients", n, joiners+1)
		}
		b.ReportMetric(float64(each)/1024, "KiB/joiner")
		b.ReportMetric(float64(waited[joiners*99/100].Microseconds())/1000, "ms-first-byte-p99")
		b.ReportMetric(float64(reached.Microseconds())/1000, "ms-piece-to-all")
		b.ReportMetric(0, "ns/op")
		b.Logf("%d joiners: %d KiB each (bar 30); connection, request and first byte one after the other: median %v, p99 %v; a piece of %d KiB reaches all in %v",
			joiners, each>>10, waited[joiners/2], waited[joiners*99/100], piece>>10, reached.Round(ms))
		r.shield.kill()
	}
}

// skip reads the header of a response and n bytes of its body.
func skip(b *testing.B, r *bufio.Reader, n int) {
	b.Helper()
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == 2 {
			break
		}
	}
	if _, err := r.Discard(n); err != nil {
		b.Fatal(err)
	}
}
