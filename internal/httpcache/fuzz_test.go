package httpcache

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// FuzzRequest feeds the front door whatever net/http lets through: each
// request is answered once, with a status of its own, and never a crash.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b=1&CMCD=x", "example.com", "Range", "bytes=0-1", "Cache-Control", "max-age=1")
	f.Add("HEAD", "/%2e%2e/", "A:80", "If-None-Match", `W/"x", *`, "Vary", "*")
	f.Add("POST", "http://x/", "[::1]", "Connection", "Cdn-Loop, Host", "Location", "//evil/")
	f.Add("GET", "/", "h", "If-Range", `"a"`, "Content-Range", "bytes 0-0/1")
	f.Fuzz(func(t *testing.T, method, uri, host, name, value, respName, respValue string) {
		r, err := http.NewRequest(method, uri, nil)
		if err != nil {
			t.Skip()
		}
		r.RequestURI, r.Host = uri, host
		r.Header.Set(name, value)
		body := []byte("0123456789")
		c, err := New(Options{Name: "f", Store: store.NewMemory(1 << 20), HeaderTimeout: time.Second,
			Upstream: roundTrip(func(q *http.Request) (*http.Response, error) {
				if q.URL.Host != "" || len(q.Header["Connection"]) > 0 || len(q.Header["Cdn-Loop"]) == 0 {
					t.Errorf("upstream got %s %v", q.URL, q.Header)
				}
				h := http.Header{"Cache-Control": {"max-age=60"}}
				h.Set(respName, respValue)
				if q.Method == http.MethodHead {
					body = nil
				}
				return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}, nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second may be a hit
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			if w.Code < 200 || w.Code > 599 || len(w.Header()["Cache-Status"]) == 0 {
				t.Fatalf("code %d, header %v", w.Code, w.Header())
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
