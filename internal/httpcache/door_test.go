package httpcache

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// raw sends bytes and returns the response.
func (r *rig) raw(request string) *http.Response {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatalf("%q: %v", request, err)
	}
	return resp
}

func TestFrontDoor(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		request string
		code    int
	}{
		"CONNECT":       {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405},
		"TRACE":         {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		"absolute-form": {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"asterisk-form": {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0}, // net/http answers it itself
		"body on GET":   {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400},
		"chunked GET":   {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		"loop":          {"GET / HTTP/1.1\r\nHost: a\r\nCDN-Loop: other, test; v=1\r\n\r\n", 508},
		"bad host":      {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400},
	} {
		resp := r.raw(c.request)
		if c.code != 0 && resp.StatusCode != c.code {
			t.Errorf("%s: code %d, want %d", name, resp.StatusCode, c.code)
		}
		if c.code != 0 && !strings.HasPrefix(resp.Header.Get("Cache-Status"), "test; detail=") {
			t.Errorf("%s: Cache-Status %q", name, resp.Header.Get("Cache-Status"))
		}
	}
	if n := r.origin.Count("/"); n != 0 {
		t.Fatalf("%d refused requests reached the origin", n)
	}
}

// What is in no key does not reach the origin; what every hop adds does.
func TestForwardedRequest(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/f", testorigin.Response{Header: fresh})
	r.get("/f?b=2&CMCD=bl%3D1&a=1&_HLS_msn=7", "Host", "Example.com:80",
		"X-Forwarded-Host", "evil", "X-Original-URL", "/admin", "Forwarded", "for=1", "CMCD-Session", "sid=1",
		"Connection", "X-Own, Keep-Alive", "X-Own", "1", "Upgrade", "websocket",
		"CDN-Loop", "other", "Via", "1.0 before", "Cache-Control", "no-cache", "X-Kept", "yes")
	q := r.origin.Requests("/f")[0]
	if q.Query != "b=2&a=1&_HLS_msn=7" || q.Host != "example.com" {
		t.Errorf("query %q, host %q", q.Query, q.Host)
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Original-Url", "Forwarded", "Cmcd-Session", "X-Own", "Upgrade", "Cache-Control", "X-Forwarded-For"} {
		if v, ok := q.Header[name]; ok {
			t.Errorf("origin got %s: %q", name, v)
		}
	}
	for name, want := range map[string]string{"Via": "1.0 before, 1.1 test", "Cdn-Loop": "other, test", "X-Kept": "yes"} {
		if got := strings.Join(q.Header[name], ", "); got != want {
			t.Errorf("origin got %s: %q, want %q", name, got, want)
		}
	}
	r.awaitQuiet()
	wantStatus(t, r.get("/f?CMCD=other&b=2&a=1&_HLS_msn=7", "Host", "example.com"), "hit")
	wantStatus(t, r.get("/f?b=2&a=1&_HLS_msn=8", "Host", "example.com"), "uri-miss")
	wantStatus(t, r.get("/f?b=2&a=1&_HLS_msn=7", "Host", "example.org"), "uri-miss")
}

func TestIgnoredQuery(t *testing.T) {
	r := newRig(t, func(o *Options) { o.IgnoreQuery = []string{"utm_source"} })
	r.origin.Serve("/i", testorigin.Response{Header: fresh})
	r.get("/i?utm_source=a&x=1")
	r.awaitQuiet()
	wantStatus(t, r.get("/i?x=1&utm_source=b"), "hit")
}

// Early hints reach the client that the fetch was made for, and are in no
// stored response.
func TestInterimResponses(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/hints", testorigin.Response{Body: []byte("x"), Interim: 103, Header: map[string]string{"Cache-Control": "max-age=60", "Link": "</a.css>; rel=preload"}})
	ask := func(method string) (codes []int, a answer) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if h.Get("Link") == "" {
				t.Error("the hint lost its field")
			}
			codes = append(codes, code)
			return nil
		}})
		return codes, r.doContext(ctx, method, "/hints", nil)
	}
	for i, method := range []string{"GET", "GET", "POST"} {
		codes, a := ask(method)
		r.awaitQuiet()
		if want := i != 1; a.code != 200 || (len(codes) == 1 && codes[0] == 103) != want {
			t.Errorf("%s %d: interim %v, code %d", method, i, codes, a.code)
		}
	}
}

// HTTP/2 clients share flights as others do; a cut resets their stream only.
func TestHTTP2(t *testing.T) {
	r := newRig(t)
	s := httptest.NewUnstartedServer(r.cache)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	defer s.CloseClientConnections()
	plain, client := r.server, r.client
	r.server, r.client = s, s.Client()
	defer func() { r.server, r.client = plain, client }()
	body, hold := testorigin.Content(300<<10), make(chan struct{})
	r.origin.Serve("/ok", testorigin.Response{Body: body, Header: fresh, Hold: hold})
	r.origin.Serve("/cut", testorigin.Response{Body: body, Header: fresh, Hold: hold, CutAt: 100 << 10})
	whole := r.start(20, func(int) answer { return r.get("/ok") })
	broken := r.start(20, func(int) answer { return r.get("/cut") })
	r.awaitReaders("/ok", 20)
	r.awaitReaders("/cut", 20)
	close(hold)
	wantAll(t, whole(), 200, body)
	for _, a := range broken() {
		if a.err == nil {
			t.Fatalf("%d of %d bytes and a clean end", len(a.body), len(body))
		}
	}
	wantFetches(t, r, "/ok", 1)
	// Those of whom the cut came before their first byte ask again, once, together with whoever comes while that lasts.
	if n := r.origin.Count("/cut"); n > 2*20 {
		t.Fatalf("%d fetches", n)
	}
}

// The path is keyed and forwarded byte for byte.
func TestRawPath(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/a/b", testorigin.Response{Header: fresh})
	r.get("/a%2Fb")
	r.awaitQuiet()
	wantStatus(t, r.get("/a%2Fb"), "hit")
	wantStatus(t, r.get("/a/b"), "uri-miss")
	wantStatus(t, r.get("/a%2fb"), "uri-miss")
}

func TestOptionsNameTheWrongField(t *testing.T) {
	ok := Options{Name: "x", Upstream: http.DefaultTransport, Store: newRig(t).store}
	for want, change := range map[string]func(*Options){
		"Name":        func(o *Options) { o.Name = "two words" },
		"ID":          func(o *Options) { o.ID = "a,b" },
		"Upstream":    func(o *Options) { o.Upstream = nil },
		"Store":       func(o *Options) { o.Store = nil },
		"MaxWaiters":  func(o *Options) { o.MaxWaiters = -1 },
		"WaitLimit":   func(o *Options) { o.WaitLimit = -1 },
		"WindowBytes": func(o *Options) { o.WindowBytes = 1 },
	} {
		o := ok
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
	if _, err := New(ok); err != nil {
		t.Fatal(err)
	}
}

func FuzzCountLoops(f *testing.F) {
	f.Add("a, b; v=1", "b")
	f.Add(",,;", "x")
	f.Fuzz(func(t *testing.T, line, id string) {
		if n := countLoops([]string{line}, id); n < 0 || n > len(line)+1 {
			t.Fatalf("%d entries in %q", n, line)
		}
		if id != "" && !strings.ContainsAny(id, ",; \t") {
			if countLoops([]string{line + ", " + id}, id) != countLoops([]string{line}, id)+1 {
				t.Fatalf("own entry not counted after %q", line)
			}
		}
	})
}
