package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
)

func prefetch(t *testing.T, url string) events.Message {
	t.Helper()
	m, err := events.EncodeContent(events.Attributes{Source: "/controller/c-0", BootID: "0123456789abcdef", Seq: 1}, "p",
		events.Content{Action: events.ContentPrefetch, Scope: events.ScopeURL, Values: []string{url}, Principal: "test"})
	if err != nil {
		t.Fatal(err)
	}
	m.UserID = "controller"
	return m
}

// Each answer of a shield has its verdict, and each URL goes to one of the shields, whoever takes the work.
func TestPrefetchWork(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]map[string]bool{} // by path, the shields that were asked
	code := http.StatusOK
	shield := func(name string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if seen[r.RequestURI] == nil {
				seen[r.RequestURI] = map[string]bool{}
			}
			seen[r.RequestURI][name] = true
			if r.Host != "www.example.com" {
				t.Errorf("Host %q", r.Host)
			}
			w.WriteHeader(code)
		}))
	}
	a, b := shield("a"), shield("b")
	defer a.Close()
	defer b.Close()
	members := []string{a.Listener.Addr().String(), b.Listener.Addr().String()}
	p := &prefetcher{members: func() []string { return members }, client: &http.Client{Transport: new(http.Transport)}, pause: time.Millisecond, logger: zerolog.Nop()}
	for answer, want := range map[int]rabbitmq.Verdict{
		200: rabbitmq.WorkDone, 301: rabbitmq.WorkDone, 404: rabbitmq.WorkHopeless, 421: rabbitmq.WorkHopeless,
		429: rabbitmq.WorkFailed, 502: rabbitmq.WorkFailed, 503: rabbitmq.WorkFailed,
	} {
		mu.Lock()
		code = answer
		mu.Unlock()
		if got := p.work(t.Context(), prefetch(t, "https://www.example.com/x?y")); got != want {
			t.Errorf("%d: verdict %d, want %d", answer, got, want)
		}
	}
	mu.Lock()
	code = 200
	mu.Unlock()
	asked := map[string]int{}
	for n := range 40 {
		path := "/" + string(rune('a'+n%26)) + string(rune('a'+n/26))
		for range 2 {
			p.work(t.Context(), prefetch(t, "http://www.example.com"+path))
		}
		mu.Lock()
		if len(seen[path]) != 1 {
			t.Errorf("%s was asked of %v", path, seen[path])
		}
		for name := range seen[path] {
			asked[name]++
		}
		mu.Unlock()
	}
	if asked["a"] == 0 || asked["b"] == 0 {
		t.Errorf("asked %v", asked)
	}
	members = nil
	if got := p.work(t.Context(), prefetch(t, "http://www.example.com/")); got != rabbitmq.WorkFailed {
		t.Errorf("without a shield: %d", got)
	}
	if got := p.work(t.Context(), events.Message{}); got != rabbitmq.WorkHopeless {
		t.Errorf("no prefetch at all: %d", got)
	}
	p.client.CloseIdleConnections()
}

// A shield that listens at one address only is not at home at any other.
func TestAShieldReachesItself(t *testing.T) {
	for _, test := range []struct {
		ip   net.IP
		want string
	}{
		{nil, "127.0.0.1:8081"}, {net.IPv4zero, "127.0.0.1:8081"}, {net.IPv6unspecified, "127.0.0.1:8081"},
		{net.IPv4(10, 0, 0, 5), "10.0.0.5:8081"}, {net.ParseIP("2001:db8::1"), "[2001:db8::1]:8081"},
	} {
		if got := reach(&net.TCPAddr{IP: test.ip, Port: 8081}); got != test.want {
			t.Errorf("listening at %v: %s, want %s", test.ip, got, test.want)
		}
	}
}
