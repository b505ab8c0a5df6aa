package httpcache

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/surgewall/surgewall/internal/framing"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// BenchmarkServe is a hit over a connection, with all that net/http and the
// kernel do for it, and with what the client's read costs.
func BenchmarkServe(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			c, err := New(Options{Name: "edge", Store: store.NewMemory(64 << 20), Upstream: roundTrip(func(*http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.Header().Set("Cache-Control", "max-age=3600")
				w.Header().Set("Content-Type", "video/mp4")
				w.Header().Set("Etag", `"x"`)
				w.Write(testorigin.Content(size))
				resp := w.Result()
				resp.ContentLength = int64(size)
				return resp, nil
			})})
			if err != nil {
				b.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s := &http.Server{Handler: c} //nolint:gosec // nobody else comes
			go s.Serve(framing.Listen(l, framing.Options{}))
			defer s.Close()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 128<<10)
			request := []byte("GET /video/segment-000001.m4s HTTP/1.1\r\nHost: cdn.example.com\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				for line := []byte(nil); len(line) != 2; {
					if line, err = r.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := r.Discard(size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
