package httpcache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/testleak"
	"github.com/surgewall/surgewall/internal/testorigin"
)

func TestMain(m *testing.M) { os.Exit(testleak.Main(m)) }

// rig is a cache on a real listener between real clients and a scripted origin.
type rig struct {
	t      testing.TB
	origin *testorigin.Origin
	cache  *Cache
	server *httptest.Server
	client *http.Client
	store  *store.Memory
	ahead  atomic.Int64 // how far the cache's clock is ahead

	mu       sync.Mutex
	outcomes []Outcome
}

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, origin: testorigin.New(t), store: store.NewMemory(64 << 20)}
	opt := Options{
		Name: "test", Store: r.store, MaxWaiters: 20_000,
		// The origin's clock keeps step with the cache's.
		Upstream: roundTrip(func(q *http.Request) (*http.Response, error) {
			resp, err := r.origin.Transport().RoundTrip(q)
			if err == nil {
				resp.Header.Set("Date", time.Now().Add(time.Duration(r.ahead.Load())).UTC().Format(http.TimeFormat))
			}
			return resp, err
		}),
		Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) },
		Observe: func(o Outcome) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.outcomes = append(r.outcomes, o)
		},
	}
	for _, f := range change {
		f(&opt)
	}
	var err error
	if r.cache, err = New(opt); err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(r.cache)
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2000}
	r.client = &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		r.cache.Close(ctx)
		r.server.CloseClientConnections()
		r.server.Close()
	})
	return r
}

// frozen stops the cache's clock: only advance moves it.
func frozen(r *rig) {
	start := time.Now()
	r.cache.opt.Now = func() time.Time { return start.Add(time.Duration(r.ahead.Load())) }
}

// advance moves the cache's clock.
func (r *rig) advance(d time.Duration) { r.ahead.Add(int64(d)) }

// answer is what a client got.
type answer struct {
	code   int
	header http.Header
	body   []byte
	err    error // of the request or of reading the body
	ttfb   time.Duration
	total  time.Duration
}

func (a answer) status() string { return a.header.Get("Cache-Status") }

// do sends one request; fields are name, value pairs.
func (r *rig) do(method, path string, fields ...string) answer {
	return r.doContext(r.t.Context(), method, path, nil, fields...)
}

func (r *rig) get(path string, fields ...string) answer { return r.do("GET", path, fields...) }

func (r *rig) doContext(ctx context.Context, method, path string, body io.Reader, fields ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, r.server.URL+path, body)
	if err != nil {
		r.t.Error(err)
		return answer{err: err}
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		} else {
			req.Header.Add(fields[i], fields[i+1])
		}
	}
	start := time.Now()
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{err: err, total: time.Since(start)}
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode, header: resp.Header, ttfb: time.Since(start)}
	a.body, a.err = io.ReadAll(resp.Body)
	a.total = time.Since(start)
	return a
}

// many sends n requests at once; request builds the i-th.
func (r *rig) many(n int, request func(i int) answer) []answer {
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = request(i) })
	}
	wg.Wait()
	return answers
}

// start is many in the background; the returned function waits for the answers.
func (r *rig) start(n int, request func(i int) answer) func() []answer {
	var answers []answer
	done := make(chan struct{})
	go func() {
		defer close(done)
		answers = r.many(n, request)
	}()
	return func() []answer { <-done; return answers }
}

// waiting is how many requests read from flights of a path, and how many
// flights there are.
func (r *rig) waiting(path string) (readers, flights int) {
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		s.mu.Lock()
		for f := range s.live {
			if f.url.path == path {
				f.mu.Lock()
				readers += len(f.readers)
				f.mu.Unlock()
				flights++
			}
		}
		s.mu.Unlock()
	}
	return readers, flights
}

// await blocks until a condition on the cache's inside holds.
func (r *rig) await(what string, condition func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (r *rig) awaitReaders(path string, n int) {
	r.t.Helper()
	r.await("readers of "+path, func() bool { got, _ := r.waiting(path); return got == n })
}

// awaitQuiet blocks until no flight is under way.
func (r *rig) awaitQuiet() {
	r.t.Helper()
	r.await("the end of all flights", func() bool {
		r.cache.mu.Lock()
		defer r.cache.mu.Unlock()
		return r.cache.flights == 0
	})
}

// purge is a hard purge, or what change makes of it.
func (r *rig) purge(scope PurgeScope, value string, change ...func(*PurgeRequest)) Purged {
	r.t.Helper()
	p := PurgeRequest{Scope: scope, Value: value}
	for _, f := range change {
		f(&p)
	}
	done, err := r.cache.Purge(p)
	if err != nil {
		r.t.Error(err)
	}
	return done
}

func soft(p *PurgeRequest)    { p.Mode = PurgeSoft }
func invalid(p *PurgeRequest) { p.Mode = PurgeInvalidate }
func on(host string) func(*PurgeRequest) {
	return func(p *PurgeRequest) { p.Host = host }
}

// count is how many finished requests had an outcome.
func (r *rig) count(s Status) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.outcomes {
		if o.Status == s {
			n++
		}
	}
	return n
}

// wantCount waits until n finished requests had an outcome: a request is
// counted after its client has the last byte.
func (r *rig) wantCount(status Status, n int) {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for r.count(status) < n && time.Now().Before(deadline) {
		time.Sleep(200 * time.Microsecond)
	}
	if got := r.count(status); got != n {
		r.t.Fatalf("%d requests ended as %v, want %d", got, status, n)
	}
}

// slowestHeader is the longest that a request of one outcome waited for its
// header, from the first to the last step within the cache.
func (r *rig) slowestHeader(s Status) (d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.outcomes {
		if o.Status == s {
			d = max(d, o.TTFB)
		}
	}
	return d
}

// wantAll checks that every answer is complete and as expected.
func wantAll(t testing.TB, answers []answer, code int, body []byte) {
	t.Helper()
	for i, a := range answers {
		if a.err != nil || a.code != code || !bytes.Equal(a.body, body) {
			t.Fatalf("answer %d of %d: code %d, %d bytes, error %v; want %d with %d bytes", i, len(answers), a.code, len(a.body), a.err, code, len(body))
		}
	}
}

func wantFetches(t testing.TB, r *rig, path string, n int) {
	t.Helper()
	if got := r.origin.Count(path); got != n {
		t.Fatalf("origin got %d requests for %s, want %d", got, path, n)
	}
}

func wantStatus(t testing.TB, a answer, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(a.status(), p) {
			t.Fatalf("Cache-Status %q: want %q in it", a.status(), p)
		}
	}
}

// slowest is the longest of the answers' total times.
func slowest(answers []answer) (d time.Duration) {
	for _, a := range answers {
		d = max(d, a.total)
	}
	return d
}

var fresh = map[string]string{"Cache-Control": "max-age=60"}
