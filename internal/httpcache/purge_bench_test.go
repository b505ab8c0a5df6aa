package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// BenchmarkPurge is one purge by tag with 100,000 responses stored that have
// it. visible-µs is from the call to the first request that finds its response
// purged; look-ns is what the first look at an unconcerned response after a
// purge costs more than a plain hit.
func BenchmarkPurge(b *testing.B) {
	c, err := New(Options{Name: "edge", Store: store.NewMemory(256 << 20), Upstream: roundTrip(func(q *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, ContentLength: 1, Body: io.NopCloser(strings.NewReader("x")), Header: http.Header{
			"Cache-Control": {"max-age=3600"}, "Surrogate-Key": {"all site-1 article-" + strings.TrimPrefix(q.URL.Path, "/") + " author-7"}}}, nil
	})})
	if err != nil {
		b.Fatal(err)
	}
	w := &sink{header: http.Header{}}
	get := func(r *http.Request) string {
		clear(w.header)
		c.ServeHTTP(w, r)
		return w.header.Get("Cache-Status")
	}
	fill := func() {
		for i := range 100_000 {
			r := httptest.NewRequest("GET", fmt.Sprint("/", i), nil)
			c.ServeHTTP(w, r)
		}
	}
	fill()
	r := httptest.NewRequest("GET", "/77777", nil)
	for get(r); !strings.Contains(get(r), "hit"); {
	}
	var visible, look, plain time.Duration
	b.ResetTimer()
	for b.Loop() {
		if _, err := c.Purge(PurgeRequest{Scope: PurgeTag, Value: "unconcerned"}); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		get(r)
		look += time.Since(start)
		start = time.Now()
		get(r)
		plain += time.Since(start)
	}
	b.StopTimer()
	start := time.Now()
	if _, err := c.Purge(PurgeRequest{Scope: PurgeTag, Value: "all"}); err != nil {
		b.Fatal(err)
	}
	s := get(r)
	visible = time.Since(start)
	if !strings.Contains(s, "fwd=uri-miss") {
		b.Fatalf("Cache-Status %q", s)
	}
	b.ReportMetric(float64(visible.Microseconds()), "visible-µs")
	b.ReportMetric(float64((look-plain).Nanoseconds())/float64(b.N), "look-ns")
	if err := c.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
