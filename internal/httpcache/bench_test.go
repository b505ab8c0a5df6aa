package httpcache

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// sink is a ResponseWriter that keeps its header map, as a server's pooled one
// would: what is measured is the cache's own work.
type sink struct {
	header http.Header
	code   int
	bytes  int
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(code int) {
	s.code = code
}
func (s *sink) Write(p []byte) (int, error) { s.bytes += len(p); return len(p), nil }

// newHit returns a function that answers one request from the store.
func newHit(t testing.TB, size int) func() {
	c, err := New(Options{Name: "edge", StripSurrogate: true, Store: store.NewMemory(64 << 20), Upstream: roundTrip(func(q *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		for _, h := range [][2]string{{"Cache-Control", "max-age=3600"}, {"Content-Type", "video/mp4"}, {"Etag", `"x"`}, {"Server", "s"}, {"Surrogate-Key", "all site-1 show-7 season-2 video"},
			{"Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"}, {"Cache-Status", "shield; hit; ttl=1"}} {
			w.Header().Set(h[0], h[1])
		}
		w.Write(testorigin.Content(size))
		resp := w.Result()
		resp.ContentLength = int64(size)
		return resp, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/video/segment-000001.m4s?x=1", nil)
	r.Host = "cdn.example.com"
	w := &sink{header: http.Header{}}
	c.ServeHTTP(w, r)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	hit := func() {
		clear(w.header)
		c.ServeHTTP(w, r)
	}
	if hit(); w.code != 200 || len(w.header["Age"]) == 0 {
		t.Fatalf("code %d, header %v", w.code, w.header)
	}
	return hit
}

// BenchmarkHit is the cache's own cost of a fresh answer, without net/http's.
func BenchmarkHit(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			hit := newHit(b, size)
			b.ReportAllocs()
			for b.Loop() {
				hit()
			}
		})
	}
}

// A hit allocates the key, Cache-Status and the place of both per-request
// values; with them the hit path has room for nothing that grows unseen.
func TestHitAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(1000, newHit(t, 1<<10)); n > 3 {
		t.Errorf("%v allocations per hit, want at most 4", n)
	}
}

// BenchmarkJoiners is what the server holds in memory for each of 5,000
// requests on a flight whose body streams: goroutines, buffers, header, place as
// a reader. The clients, who have got the first half of the body and wait for
// the rest, are another process.
func BenchmarkJoiners(b *testing.B) {
	const n = 5000
	r := newRig(b)
	var heap, stack uint64
	for b.Loop() {
		heap, stack = joinerMemory(r, n)
	}
	b.ReportMetric(float64(heap)/n/1024, "heap-KiB/joiner")
	b.ReportMetric(float64(stack)/n/1024, "stack-KiB/joiner")
	b.ReportMetric(float64(heap+stack)/n/1024, "KiB/joiner")
}

// A crowd on one flight costs no more than MaxWaiters' comment says.
func TestJoinerMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 5,000 connections")
	}
	if raceDetector {
		t.Skip("the race detector's stacks are larger")
	}
	const n = 5000
	heap, stack := joinerMemory(newRig(t), n)
	each := float64(heap+stack) / n / 1024
	t.Logf("%.1f KiB for each of %d joiners: %.1f heap, %.1f stack", each, n, float64(heap)/n/1024, float64(stack)/n/1024)
	if each > 30 {
		t.Errorf("%.1f KiB for each joiner, want at most 30", each)
	}
}

func joinerMemory(r *rig, n int) (heap, stack uint64) {
	gate := make(chan struct{})
	r.origin.Serve("/j", testorigin.Response{Body: testorigin.Content(128 << 10), Header: fresh, Piece: 64 << 10, Gate: gate})
	memory := func() (heap, stack uint64) {
		// A stack is halved once per cycle, and starts as large as others were.
		for range 4 {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse, m.StackInuse
	}
	r.purge(PurgeURL, r.server.URL+"/j")
	heap0, stack0 := memory()
	finish := crowd(r.t, r.server.Listener.Addr().String(), "/j", n, 64<<10)
	r.awaitReaders("/j", n)
	heap, stack = memory()
	gate <- struct{}{}
	finish()
	r.awaitQuiet()
	return heap - heap0, stack - stack0
}

// crowd lets n clients in another process ask for a path at once; it returns
// when each has part bytes of the body. finish waits until they have the rest.
func crowd(t testing.TB, addr, path string, n, part int) (finish func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrowd$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("SURGEWALL_CROWD=%s %s %d %d", addr, path, n, part))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	wait := func(want string) {
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("the crowd ended before %q", want)
	}
	wait("waiting")
	return func() {
		wait("done")
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrowd is the other process of crowd.
func TestCrowd(t *testing.T) {
	spec := os.Getenv("SURGEWALL_CROWD")
	if spec == "" {
		t.Skip("only as the other process of a benchmark")
	}
	var addr, path string
	var n, part int
	if _, err := fmt.Sscan(spec, &addr, &path, &n, &part); err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, n)
	readers := make([]*bufio.Reader, n)
	for i := range conns {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, addr)
		conns[i], readers[i] = conn, bufio.NewReaderSize(conn, 1024)
	}
	for _, r := range readers {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
		}
		if _, err := io.CopyN(io.Discard, r, int64(part)); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("waiting")
	for i, r := range readers {
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		conns[i].Close()
	}
	fmt.Println("done")
}
