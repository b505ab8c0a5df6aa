// Package testorigin is an HTTP origin whose answers a test scripts, request
// by request, and which counts what it was asked.
package testorigin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Origin listens on a loopback port. It is safe for concurrent use.
type Origin struct {
	server    *httptest.Server
	transport *http.Transport

	mu       sync.Mutex
	scripts  map[string]Script
	requests []Request
	counts   map[string]int
	inFlight map[string]int
	peak     map[string]int
	sent     map[string]int64
	arrived  chan struct{} // closed and replaced at each arrival
}

// A Script answers the n-th request (from 1) for one path. Scripts run
// concurrently; r must not be kept.
type Script func(r *http.Request, n int) Response

// Request is one request as the origin saw it.
type Request struct {
	Method, Host, Path, Query string
	Header                    http.Header
}

// New starts an origin that ends with the test. Paths without a script get 404
// with no-store.
func New(t testing.TB) *Origin {
	t.Helper()
	o := &Origin{
		scripts: make(map[string]Script), counts: make(map[string]int),
		inFlight: make(map[string]int), sent: make(map[string]int64), peak: make(map[string]int), arrived: make(chan struct{}),
	}
	o.server = httptest.NewServer(http.HandlerFunc(o.serve))
	o.transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(func() {
		o.transport.CloseIdleConnections()
		o.server.CloseClientConnections()
		o.server.Close()
	})
	return o
}

// URL is the origin's base URL, without a slash at the end.
func (o *Origin) URL() string { return o.server.URL }

// Handle sets the script of a path.
func (o *Origin) Handle(path string, s Script) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scripts[path] = s
}

// Serve sets one response for all requests of a path.
func (o *Origin) Serve(path string, r Response) {
	o.Handle(path, func(*http.Request, int) Response { return r })
}

// Count is how many requests a path got.
func (o *Origin) Count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts[path]
}

// Peak is how many requests of a path were answered at once, at most.
func (o *Origin) Peak(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.peak[path]
}

// Sent is how many body bytes went out for a path, before any framing.
func (o *Origin) Sent(path string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent[path]
}

// counting counts what a script's response writes.
type counting struct {
	http.ResponseWriter
	o    *Origin
	path string
}

func (c counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	c.o.sent[c.path] += int64(n)
	return n, err
}

// Requests returns the requests of a path in order of arrival.
func (o *Origin) Requests(path string) []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.requests), func(r Request) bool { return r.Path != path })
}

// Await blocks until a path got n requests or the test's context ends.
func (o *Origin) Await(t testing.TB, path string, n int) {
	t.Helper()
	for {
		o.mu.Lock()
		got, arrived := o.counts[path], o.arrived
		o.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-arrived:
		case <-t.Context().Done():
			t.Fatalf("origin got %d of %d requests for %s", got, n, path)
		}
	}
}

// Transport returns a RoundTripper that sends every request to this origin,
// whatever its Host.
func (o *Origin) Transport() http.RoundTripper {
	base, _ := url.Parse(o.server.URL)
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = base.Scheme, base.Host
		return o.transport.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (o *Origin) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	o.mu.Lock()
	script := o.scripts[path]
	o.counts[path]++
	n := o.counts[path]
	o.inFlight[path]++
	o.peak[path] = max(o.peak[path], o.inFlight[path])
	o.requests = append(o.requests, Request{
		Method: r.Method, Host: r.Host, Path: path, Query: r.URL.RawQuery, Header: r.Header.Clone(),
	})
	close(o.arrived)
	o.arrived = make(chan struct{})
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.inFlight[path]--
		o.mu.Unlock()
	}()
	if script == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "no script for "+strings.TrimSpace(path), http.StatusNotFound)
		return
	}
	script(r, n).write(counting{w, o, path}, r)
}
