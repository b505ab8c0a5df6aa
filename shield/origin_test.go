package shield

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate is an origin whose responses wait until the test lets them go.
type gate struct {
	mu       sync.Mutex
	now, max int
	release  chan struct{} // one value a response header
}

func newGate() *gate { return &gate{release: make(chan struct{}, 1000)} }

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.now++
	g.max = max(g.max, g.now)
	g.mu.Unlock()
	select {
	case <-g.release:
	case <-r.Context().Done():
		g.mu.Lock()
		g.now--
		g.mu.Unlock()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: &gateBody{Reader: strings.NewReader("body"), g: g}, Request: r}, nil
}

// gateBody ends the fetch with its last byte or with Close, whichever is first.
type gateBody struct {
	io.Reader
	g    *gate
	once sync.Once
}

func (b *gateBody) end() {
	b.once.Do(func() {
		b.g.mu.Lock()
		defer b.g.mu.Unlock()
		b.g.now--
	})
}

func (b *gateBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

func (b *gateBody) Close() error {
	b.end()
	return nil
}

func base(t *testing.T, texts ...string) []*url.URL {
	t.Helper()
	var all []*url.URL
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return all
}

func fetch(ctx context.Context, o *Origin) (int, http.Header, error) {
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Body = nil
	response, err := o.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header, err
}

func TestNeverMoreFetchesAtTheOriginThanItBears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := NewOrigin(OriginOptions{URLs: base(t, "http://origin"), Transport: g, Concurrency: 3, QueueTimeout: 2 * time.Second})
		codes := make(chan int, 20)
		for range 20 {
			go func() {
				code, header, err := fetch(t.Context(), o)
				if err != nil {
					t.Error(err)
				}
				if code == 503 && (header.Get("Retry-After") != "1" || header.Get("Cache-Control") != "max-age=1") {
					t.Errorf("a refusal without advice: %v", header)
				}
				codes <- code
			}()
		}
		synctest.Wait()
		if o.InFlight() != 3 || o.Waiting() != 17 {
			t.Errorf("%d at the origin, %d waiting; want 3 and 17", o.InFlight(), o.Waiting())
		}
		for range 5 {
			g.release <- struct{}{}
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for range 3 {
			g.release <- struct{}{}
		}
		count := map[int]int{}
		for range 20 {
			count[<-codes]++
		}
		if count[200] != 8 || count[503] != 12 || o.Shed() != 12 || g.max != 3 {
			t.Errorf("answers %v, %d shed, at most %d at the origin; want 8 times 200, 12 times 503, at most 3", count, o.Shed(), g.max)
		}
		if o.InFlight() != 0 || o.Waiting() != 0 {
			t.Errorf("at the end %d at the origin, %d waiting", o.InFlight(), o.Waiting())
		}
	})
}

func TestATurnLastsUntilTheEndOfTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := NewOrigin(OriginOptions{URLs: base(t, "http://origin"), Transport: g, Concurrency: 1})
		for _, end := range []func(io.ReadCloser){
			func(b io.ReadCloser) { _, _ = io.Copy(io.Discard, b); b.Close() },
			func(b io.ReadCloser) { b.Close(); b.Close() },
		} {
			g.release <- struct{}{}
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			response, err := o.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if code, _, _ := fetch(t.Context(), o); code != 503 {
				t.Errorf("status %d while a body is being read, want 503", code)
			}
			end(response.Body)
			if o.InFlight() != 0 {
				t.Error("the turn was not given back")
			}
		}
	})
}

func TestAFetchThatNobodyWantsGivesItsTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOrigin(OriginOptions{URLs: base(t, "http://origin"), Transport: newGate(), Concurrency: 1, QueueTimeout: time.Hour})
		for range 2 { // one at the origin, one waiting
			ctx, leave := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { _, _, err := fetch(ctx, o); ended <- err }()
			go func() { time.Sleep(time.Second); leave() }()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		if o.InFlight() != 0 || o.Waiting() != 0 {
			t.Errorf("%d at the origin, %d waiting", o.InFlight(), o.Waiting())
		}
		if fetches, failed := o.Totals(); fetches != 0 || failed != 0 {
			t.Errorf("%d fetches and %d failures are counted; a client that leaves is no fault of the origin", fetches, failed)
		}
	})
}

// listener serves on a loopback address and tells what Host it saw.
func listener(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestTheHostAndWhereItGoes(t *testing.T) {
	server := listener(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://elsewhere.invalid/")
		w.Header().Set("X-Host", r.Host)
		w.WriteHeader(http.StatusFound)
	})
	transport := NewTransport(TransportOptions{ConnectTimeout: time.Second})
	defer transport.CloseIdleConnections()
	for _, keep := range []bool{true, false} {
		o := NewOrigin(OriginOptions{URLs: base(t, server.URL), KeepHost: keep, Transport: transport})
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/a?b", nil)
		r.Host, r.URL.Scheme, r.URL.Host = "video.example", "", ""
		response, err := o.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		want := map[bool]string{true: "video.example", false: base(t, server.URL)[0].Host}[keep]
		if response.StatusCode != http.StatusFound || response.Header.Get("X-Host") != want {
			t.Errorf("keep %v: status %d, Host %s; want 302 as it is, %s", keep, response.StatusCode, response.Header.Get("X-Host"), want)
		}
	}
}

func TestTheNextAddressWhenOneCannotBeConnectedTo(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	server := listener(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	transport := NewTransport(TransportOptions{ConnectTimeout: time.Second})
	defer transport.CloseIdleConnections()
	o := NewOrigin(OriginOptions{URLs: base(t, "http://"+gone.Addr().String(), server.URL), Transport: transport})
	for range 3 {
		response, err := o.RoundTrip(httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader("a form")))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != "a form" {
			t.Errorf("got %q", body)
		}
	}
	server.Close()
	transport.CloseIdleConnections()
	if _, _, err := fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), gone.Addr().String()) {
		t.Errorf("with both gone: %v", err)
	}
}
