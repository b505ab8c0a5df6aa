package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// raw sends bytes as they are and returns all that comes back until the connection ends or is silent for a while.
func (r *rig) raw(text string) string {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.shield.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	var all strings.Builder
	in, patience := bufio.NewReader(conn), 3*time.Second // a busy machine takes its time for the first byte
	for ; ; patience = 300 * ms {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		b, err := in.ReadByte()
		if err != nil {
			return all.String()
		}
		all.WriteByte(b)
	}
}

// TestRequestSmuggling: a request whose end two readers could see in two places is refused, and with it the rest of its connection. What it
// carries reaches no origin.
func TestRequestSmuggling(t *testing.T) {
	slow(t)
	r := newRig(t)
	r.origin.Serve("/smuggled", testorigin.Response{Body: []byte("smuggled"), Header: fresh})
	for _, path := range []string{"/", "/x"} {
		r.origin.Serve(path, testorigin.Response{Body: []byte("fine"), Header: fresh})
	}
	const inner = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	refused := 0
	for name, head := range map[string]string{
		"CL.TE":                   "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"TE.CL":                   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + inner,
		"TE.TE":                   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"TE with a tab":           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + inner,
		"TE before a colon":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
		"two lengths":             "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\n" + inner,
		"a list of lengths":       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 35\r\n\r\n" + inner,
		"a length with a sign":    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n" + inner,
		"a folded line":           "GET /x HTTP/1.1\r\nHost: h\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n" + inner,
		"bare LF":                 "GET /x HTTP/1.1\nHost: h\n\n" + inner,
		"bare CR":                 "GET /x HTTP/1.1\r\nHost: h\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n" + inner,
		"LF in a chunk's size":    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n" + inner,
		"a chunk of another size": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\nxy\r\n0\r\n\r\n" + inner,
		"a body on GET":           "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 35\r\n\r\n" + inner,
		"two hosts":               "GET /x HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n" + inner,
		"NUL":                     "GET /x HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n" + inner,
		"a space in the target":   "GET /x y HTTP/1.1\r\nHost: h\r\n\r\n" + inner,
		"chunked in HTTP/1.0":     "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
	} {
		got := r.raw(head)
		if strings.Contains(got, "smuggled") || strings.Count(got, "HTTP/1.1 ") > 1 {
			t.Errorf("%s: the inner request was answered:\n%s", name, got)
		}
		switch code, _, _ := strings.Cut(strings.TrimPrefix(got, "HTTP/1.1 "), " "); code {
		case "400", "501":
			refused++
		case "200":
			// An origin may answer before it has read a body: what is wrong with a chunk then ends the connection.
			if !strings.Contains(name, "chunk's size") && !strings.Contains(name, "chunk of") {
				t.Errorf("%s was answered", name)
			}
		default:
			t.Errorf("%s: %.60q", name, got)
		}
	}
	if n := r.origin.Count("/smuggled"); n != 0 {
		t.Errorf("%d smuggled requests reached the origin", n)
	}
	t.Logf("%d requests refused", refused)
}

// TestWhatIsNoPathIsRefused, and does not count as anything else.
func TestWhatIsNoPathIsRefused(t *testing.T) {
	slow(t)
	r := newRig(t)
	for request, code := range map[string]int{
		"OPTIONS * HTTP/1.1":                      400,
		"GET * HTTP/1.1":                          400,
		"GET http://other.example/x HTTP/1.1":     400,
		"CONNECT other.example:443 HTTP/1.1":      405,
		"TRACE /x HTTP/1.1":                       405,
		"GET other.example/x HTTP/1.1":            400,
		"GET /x HTTP/2.0":                         505,
		"PRI * HTTP/2.0":                          400,
		"GET /x#fragment HTTP/1.1":                0, // a byte like any other
		"GET /%0d%0aSet-Cookie:%20id=1 HTTP/1.1":  0,
		"GET //other.example/%2e%2e/x?y HTTP/1.1": 0,
	} {
		got := r.raw(request + "\r\nHost: h.example\r\nConnection: close\r\n\r\n")
		head, _, _ := strings.Cut(got, "\r\n\r\n")
		if strings.Contains(strings.ToLower(head), "\nset-cookie:") {
			t.Errorf("%s: split:\n%s", request, head)
		}
		if code != 0 && !strings.HasPrefix(got, fmt.Sprint("HTTP/1.1 ", code, " ")) {
			t.Errorf("%s: %.80q, want %d", request, got, code)
		}
	}
	for _, path := range []string{"/x", "/"} {
		if n := r.origin.Count(path); n != 0 {
			t.Errorf("%d requests for %s reached the origin", n, path)
		}
	}
}

// TestResponseSplitting: what a client sends comes back in no field, and what the origin sends is no field that it did not send.
func TestResponseSplitting(t *testing.T) {
	slow(t)
	r := newRig(t)
	r.origin.Handle("/moved", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Status: http.StatusFound, Header: map[string]string{"Location": "/to?" + q.URL.RawQuery, "Cache-Control": "max-age=60"}}
	})
	const query = "a=%0d%0aSet-Cookie:%20id=1%0d%0a%0d%0aHTTP/1.1%20200%20OK"
	for range 2 {
		got := r.raw("GET /moved?" + query + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if strings.Count(got, "HTTP/1.1 ") != 1 || strings.Contains(got, "\nSet-Cookie") || !strings.Contains(got, "Location: /to?"+query+"\r\n") {
			t.Errorf("%s", got)
		}
	}
}
