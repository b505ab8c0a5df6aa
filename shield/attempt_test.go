package shield

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// breaking accepts requests and resets each connection where the response should begin.
func breaking(t *testing.T) (url string, seen *atomic.Int64) {
	t.Helper()
	seen = new(atomic.Int64)
	server := listener(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	return server.URL, seen
}

func several(t *testing.T, urls ...string) *Origin {
	t.Helper()
	return impatient(t, 10*time.Second, urls...)
}

// impatient waits for the head of a response no longer than limit.
func impatient(t *testing.T, limit time.Duration, urls ...string) *Origin {
	t.Helper()
	transport := NewTransport(TransportOptions{ConnectTimeout: 10 * time.Second, ResponseHeaderTimeout: limit})
	t.Cleanup(transport.CloseIdleConnections)
	return NewOrigin(OriginOptions{URLs: base(t, urls...), Transport: transport, Concurrency: 4})
}

func send(t *testing.T, o *Origin, method string, body io.Reader) (int, string, error) {
	t.Helper()
	response, err := o.RoundTrip(httptest.NewRequestWithContext(t.Context(), method, "/", body))
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// TestABrokenConnectionIsRepeatedOnce: before the head of a response nobody knows whether the request was acted on, so only what may be
// repeated is, once, at the next address.
func TestABrokenConnectionIsRepeatedOnce(t *testing.T) {
	first, n1 := breaking(t)
	second, n2 := breaking(t)
	fine := listener(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) })

	o := several(t, first, fine.URL)
	if code, text, err := send(t, o, "GET", nil); code != 200 || text != "GET" || n1.Load() != 1 || o.Failovers() != 1 {
		t.Errorf("GET: %d %q, %v; %d requests at the first address", code, text, err, n1.Load())
	}
	if _, _, err := send(t, o, "GET", nil); err != nil || n1.Load() != 1 {
		t.Errorf("the address that answered last is not asked first: %v, %d", err, n1.Load())
	}
	n1.Store(0)
	o = several(t, first, fine.URL)
	if _, _, err := send(t, o, "POST", strings.NewReader("order")); err == nil || n1.Load() != 1 || o.Failovers() != 0 {
		t.Errorf("POST: error %v, %d requests at the first address, %d failovers", err, n1.Load(), o.Failovers())
	}
	n1.Store(0)
	o = several(t, first, second, fine.URL)
	if _, _, err := send(t, o, "GET", nil); err == nil || n1.Load() != 1 || n2.Load() != 1 {
		t.Errorf("two broken addresses: error %v, %d and %d requests, want one each and no third attempt", err, n1.Load(), n2.Load())
	}
	n1.Store(0)
	o = several(t, first)
	if _, _, err := send(t, o, "GET", nil); err == nil || n1.Load() != 1 {
		t.Errorf("one address: error %v, %d requests, want one", err, n1.Load())
	}
	if o.InFlight() != 0 {
		t.Errorf("%d turns were not given back", o.InFlight())
	}
}

// TestASlowOriginIsNotAskedTwice: the next address has the same server behind it.
func TestASlowOriginIsNotAskedTwice(t *testing.T) {
	release := make(chan struct{})
	slow := listener(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	var asked atomic.Int64
	fine := listener(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	defer close(release)
	o := impatient(t, 100*time.Millisecond, slow.URL, fine.URL)
	if _, _, err := send(t, o, "GET", nil); err == nil || asked.Load() != 0 {
		t.Errorf("error %v, %d requests at the second address", err, asked.Load())
	}
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, leave) // or, on a slow machine, the limit passes first
	if _, err := o.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", "/", nil)); err == nil || asked.Load() != 0 {
		t.Errorf("after everybody left: error %v, %d requests at the second address", err, asked.Load())
	}
}

// TestNothingWasSentWhereTLSFails: an address that does not speak TLS has seen no byte of the request, so any method may go on.
func TestNothingWasSentWhereTLSFails(t *testing.T) {
	plain := listener(t, func(http.ResponseWriter, *http.Request) { t.Error("a request in the clear") })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(secure.Close)
	transport := NewTransport(TransportOptions{ConnectTimeout: time.Second, ServerName: "example.com"})
	transport.TLSClientConfig.RootCAs = secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(transport.CloseIdleConnections)
	o := NewOrigin(OriginOptions{URLs: base(t, "https"+strings.TrimPrefix(plain.URL, "http"), secure.URL), Transport: transport})
	if code, text, err := send(t, o, "POST", strings.NewReader("order")); code != 200 || text != "order" {
		t.Errorf("%d %q, %v", code, text, err)
	}
}
