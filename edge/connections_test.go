package edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// serve runs a server with ageing connections, over HTTP/1.1 and unencrypted HTTP/2.
func serve(t *testing.T, maxAge time.Duration) (url string, opened chan struct{}) {
	t.Helper()
	opened = make(chan struct{}, 1000)
	connections := NewConnections(maxAge)
	server := httptest.NewUnstartedServer(connections.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("served"))
	})))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ConnContext = connections.Context
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, opened
}

func client(t *testing.T, h2c bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!h2c)
	transport.Protocols.SetUnencryptedHTTP2(h2c)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestConnectionsThatAreOldAreClosedAfterAResponse(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		for _, c := range []struct {
			maxAge time.Duration
			want   func(connections int) bool
			say    string
		}{
			{0, func(n int) bool { return n == 1 }, "one for ever"},
			{time.Hour, func(n int) bool { return n == 1 }, "one while young"},
			{time.Nanosecond, func(n int) bool { return n >= 15 }, "one a request"},
		} {
			url, opened := serve(t, c.maxAge)
			client := client(t, h2c)
			for range 20 {
				response, err := client.Get(url)
				if err != nil {
					t.Fatalf("h2c %v, age %s: %v", h2c, c.maxAge, err)
				}
				if want := map[bool]int{false: 1, true: 2}[h2c]; response.ProtoMajor != want {
					t.Fatalf("HTTP/%d, want HTTP/%d", response.ProtoMajor, want)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
			}
			if n := len(opened); !c.want(n) {
				t.Errorf("h2c %v, age %s: %d connections for 20 requests, want %s", h2c, c.maxAge, n, c.say)
			}
		}
	}
}

// TestConnectionsOfOneMomentDoNotEndInOneMoment opens a thousand connections at once and looks when each is asked to leave.
func TestConnectionsOfOneMomentDoNotEndInOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		connections := NewConnections(30 * time.Second)
		contexts := make([]context.Context, n)
		for i := range contexts {
			contexts[i] = connections.Context(t.Context(), nil)
		}
		handler := connections.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		left := make([]int, 50) // by second
		for second := range left {
			for i, ctx := range contexts {
				if ctx == nil {
					continue
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
				if w.Header().Get("Connection") == "close" {
					left[second]++
					contexts[i] = nil
				}
			}
			time.Sleep(time.Second)
		}
		sum, total := 0, 0
		for second, count := range left {
			total += count
			sum += second * count
			if count > n/15 {
				t.Errorf("%d of %d leave in second %d", count, n, second)
			}
			if count > 0 && (second < 15 || second > 46) {
				t.Errorf("%d leave in second %d, outside 15 to 46", count, second)
			}
		}
		if mean := float64(sum) / n; total != n || mean < 28 || mean > 33 {
			t.Errorf("%d left, after %.1f s on average", total, mean)
		}
	})
}
