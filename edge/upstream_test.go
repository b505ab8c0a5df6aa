package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/attempt"
	"github.com/surgewall/surgewall/internal/rendezvous"
)

var shields = []string{"10.0.0.1:8081", "10.0.0.2:8081", "10.0.0.3:8081"}

func ranked(url string) (names []string) {
	for _, m := range rendezvous.Rank(url, rendezvous.Equal(shields...)) {
		names = append(names, m.Name)
	}
	return names
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// network is a Transport whose members fail as the test says, and which remembers who was asked.
type network struct {
	mu    sync.Mutex
	fails map[string]error
	asked []string
	sent  []string // bodies
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, r.URL.Host)
	err := n.fails[r.URL.Host]
	if r.Body != nil {
		if !attempt.NotConnected(err) {
			body, _ := io.ReadAll(r.Body)
			n.sent = append(n.sent, string(body))
		}
		_ = r.Body.Close() // a transport closes the body in any case
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("served by " + r.URL.Host)), Request: r}, nil
}

func (n *network) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = nil
	return asked
}

func upstream(n *network) *Upstream {
	return NewUpstream(UpstreamOptions{Members: func() []string { return shields }, Transport: n, Meter: NewMeter()})
}

func request(method, path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.Host = "video.example"
	r.URL.Scheme, r.URL.Host = "", ""
	if body == nil {
		r.Body = nil
	}
	return r
}

func TestEveryEdgeAsksTheSameShieldForAnObject(t *testing.T) {
	owners := map[string]int{}
	for i := range 100 {
		path := fmt.Sprintf("/segment-%d.m4s?v=1", i)
		for _, method := range []string{"GET", "HEAD"} {
			n := &network{}
			response, err := upstream(n).RoundTrip(request(method, path, nil))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := n.asked, ranked("video.example" + path)[:1]; !slices.Equal(got, want) {
				t.Fatalf("%s %s: asked %v, want %v", method, path, got, want)
			}
			if response.Request.Host != "video.example" || response.Request.URL.Scheme != "http" || response.Request.URL.RequestURI() != path {
				t.Fatalf("forwarded as %s %v", response.Request.Host, response.Request.URL)
			}
			owners[n.asked[0]]++
		}
	}
	if len(owners) != 3 {
		t.Errorf("owners %v", owners)
	}
}

func TestTheNextInRankIsAskedOnlyWhenNothingWasSent(t *testing.T) {
	rank := ranked("video.example/a")
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		say    string
		method string
		body   string
		fails  []error // of the members in rank order
		asked  int
		fine   bool
	}{
		{"all is well", "GET", "", nil, 1, true},
		{"the owner refuses", "GET", "", []error{refused}, 2, true},
		{"two refuse", "GET", "", []error{refused, refused}, 3, true},
		{"all refuse", "GET", "", []error{refused, refused, refused}, 3, false},
		{"the owner refuses a POST", "POST", "form", []error{refused}, 2, true},
		{"two refuse a POST", "POST", "form", []error{refused, refused}, 3, true},
		{"the owner is killed", "GET", "", []error{reset}, 2, true},
		{"the owner is killed, the connection just ends", "HEAD", "", []error{io.EOF}, 2, true},
		{"two are killed: one retry, no more", "GET", "", []error{reset, reset}, 2, false},
		{"one refuses, one is killed", "GET", "", []error{refused, reset}, 3, true},
		{"the owner is killed by a POST", "POST", "form", []error{reset}, 1, false},
		{"the owner is killed by a DELETE", "DELETE", "", []error{reset}, 1, false},
		{"the owner is killed by a GET with a body", "GET", "query", []error{reset}, 1, false},
		{"the owner is slow", "GET", "", []error{errors.New("net/http: timeout awaiting response headers")}, 1, false},
	} {
		t.Run(c.say, func(t *testing.T) {
			n := &network{fails: map[string]error{}}
			for i, err := range c.fails {
				n.fails[rank[i]] = err
			}
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			u := upstream(n)
			response, err := u.RoundTrip(request(c.method, "/a", body))
			if (err == nil) != c.fine {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(n.asked, rank[:c.asked]) {
				t.Errorf("asked %v of %v, want the first %d", n.asked, rank, c.asked)
			}
			if c.body != "" && !slices.Equal(n.sent, []string{c.body}) {
				t.Errorf("bodies sent: %q, want %q once", n.sent, c.body)
			}
			if u.Failovers() != uint64(c.asked-1) {
				t.Errorf("%d failovers counted", u.Failovers())
			}
			if err == nil {
				content, _ := io.ReadAll(response.Body)
				if u.o.Meter.Totals().BytesIn != uint64(len(content)) {
					t.Errorf("%d bytes counted of %d", u.o.Meter.Totals().BytesIn, len(content))
				}
			}
		})
	}
}

func TestAMemberThatRefusedIsTriedByOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rank := ranked("video.example/a")
		n := &network{fails: map[string]error{rank[0]: refused}}
		u := upstream(n)
		ask := func() []string {
			if _, err := u.RoundTrip(request("GET", "/a", nil)); err != nil {
				t.Fatal(err)
			}
			return n.take()
		}
		expect := func(say string, got, want []string) {
			if !slices.Equal(got, want) {
				t.Errorf("%s: asked %v, want %v", say, got, want)
			}
		}
		expect("first", ask(), rank[:2])
		expect("right after", ask(), rank[1:2])
		time.Sleep(2500 * time.Millisecond)
		expect("later, a probe", ask(), rank[:2])
		expect("after the probe", ask(), rank[1:2])
		delete(n.fails, rank[0])
		time.Sleep(2500 * time.Millisecond)
		expect("back, a probe", ask(), rank[:1])
		expect("after that", ask(), rank[:1])
	})
}

func TestWithoutAnyMember(t *testing.T) {
	u := NewUpstream(UpstreamOptions{Members: func() []string { return nil }, Transport: &network{}})
	if _, err := u.RoundTrip(request("POST", "/", strings.NewReader("x"))); !errors.Is(err, ErrNoMembers) {
		t.Errorf("error %v", err)
	}
}

func TestAClientThatLeftIsNotTriedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := &network{fails: map[string]error{ranked("video.example/a")[0]: refused}}
	if _, err := upstream(n).RoundTrip(request("GET", "/a", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) || len(n.asked) != 1 {
		t.Errorf("error %v after asking %v", err, n.asked)
	}
}

// TestWhatARealTransportSaysIsUnderstood makes the errors that the decisions rest on with real connections.
func TestWhatARealTransportSaysIsUnderstood(t *testing.T) {
	patient := NewTransport(TransportOptions{ConnectTimeout: 10 * time.Second, ResponseHeaderTimeout: 10 * time.Second})
	defer patient.CloseIdleConnections()
	impatient := NewTransport(TransportOptions{ConnectTimeout: 10 * time.Second, ResponseHeaderTimeout: 100 * time.Millisecond})
	defer impatient.CloseIdleConnections()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behaviour := make(chan func(net.Conn), 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			(<-behaviour)(conn)
		}
	}()
	head := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }
	do := func(transport *http.Transport, method string, act func(net.Conn)) error {
		if act != nil {
			behaviour <- act
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+listener.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(r)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	for _, c := range []struct {
		say               string
		transport         *http.Transport
		act               func(net.Conn)
		connected, broken bool
	}{
		{"closed before the head", patient, func(c net.Conn) { head(c); c.Close() }, true, true},
		{"reset before the head", patient, func(c net.Conn) { head(c); _ = c.(*net.TCPConn).SetLinger(0); c.Close() }, true, true},
		{"closed within the head", patient, func(c net.Conn) { head(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"); c.Close() }, true, true},
		{"no head at all", impatient, func(c net.Conn) { head(c); t.Cleanup(func() { c.Close() }) }, true, false},
		{"no HTTP", patient, func(c net.Conn) { head(c); _, _ = io.WriteString(c, "SSH-2.0\r\n\r\n"); c.Close() }, true, false},
	} {
		err := do(c.transport, "GET", c.act)
		if err == nil || attempt.NotConnected(err) == c.connected || attempt.BrokeBeforeResponse(err) != c.broken {
			t.Errorf("%s: %v: connected %v, broken %v", c.say, err, !attempt.NotConnected(err), attempt.BrokeBeforeResponse(err))
		}
	}
	listener.Close()
	if err := do(patient, "GET", nil); !attempt.NotConnected(err) {
		t.Errorf("nobody listens: %v is not taken for a connection that was not made", err)
	}
}

// TestOnlyWhoWouldAskItFirstProbesASuspect: requests for other members' keys rank the suspect behind, and must not use up its probe.
func TestOnlyWhoWouldAskItFirstProbesASuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rank := ranked("video.example/a")
		var others []string // paths of which another member is the owner
		for i := range 30 {
			if path := fmt.Sprintf("/other/%d", i); ranked("video.example" + path)[0] != rank[0] {
				others = append(others, path)
			}
		}
		n := &network{fails: map[string]error{rank[0]: refused}}
		u := upstream(n)
		ask := func(path string) []string {
			if _, err := u.RoundTrip(request("GET", path, nil)); err != nil {
				t.Fatal(err)
			}
			return n.take()
		}
		ask("/a")
		delete(n.fails, rank[0])
		time.Sleep(2500 * time.Millisecond)
		for _, path := range others {
			if got := ask(path); slices.Contains(got, rank[0]) {
				t.Fatalf("%s asked %v", path, got)
			}
		}
		if got := ask("/a"); !slices.Equal(got, rank[:1]) {
			t.Errorf("after %d requests for others: asked %v, want the member that is back, %s", len(others), got, rank[0])
		}
	})
}

func TestAHostHasNoCase(t *testing.T) {
	for i := range 20 {
		n := &network{}
		r := request("GET", fmt.Sprintf("/%d", i), nil)
		r.Host = "Video.EXAMPLE"
		if _, err := upstream(n).RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if want := ranked("video.example" + r.URL.Path)[0]; n.asked[0] != want {
			t.Errorf("%s asked %v, want %s as for the host in lower case", r.URL.Path, n.asked, want)
		}
	}
}
