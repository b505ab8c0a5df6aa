package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/testleak"
	"github.com/surgewall/surgewall/internal/testorigin"
	"github.com/surgewall/surgewall/internal/testport"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

func TestMain(m *testing.M) { os.Exit(testleak.Main(m)) }

// startShield runs a shield as its binary would, and returns its URL when it serves.
func startShield(t *testing.T, args ...string) string {
	t.Helper()
	listen, admin := testport.Free(t), testport.Free(t)
	args = append([]string{"--listen", listen, "--admin-listen", admin, "--drain-delay", "0s"}, args...)
	ctx, stop := context.WithCancel(context.Background())
	var log strings.Builder
	ended := make(chan int)
	go func() {
		ended <- program().Run(ctx, args, func(string) (string, bool) { return "", false }, io.Discard, &log)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != boot.ExitOK {
			t.Errorf("the shield ended with %d:\n%s", code, &log)
		}
	})
	for {
		if conn, err := net.Dial("tcp", listen); err == nil {
			conn.Close()
			return "http://" + listen
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func get(t *testing.T, client *http.Client, url, host string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s: status %d, %v", url, response.StatusCode, err)
	}
	return string(body)
}

// TestAShieldAloneIsACachingProxyForEveryHost needs no file, no broker and no edge.
func TestAShieldAloneIsACachingProxyForEveryHost(t *testing.T) {
	origin := testorigin.New(t)
	origin.Handle("/a", func(r *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60"}, Body: []byte("for " + r.Host)}
	})
	url := startShield(t, "--origin", origin.URL())
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, host := range []string{"a.example", "b.example"} {
		for range 3 {
			if body := get(t, client, url+"/a", host); body != "for "+host {
				t.Errorf("%s got what is %q", host, body)
			}
		}
	}
	if n := origin.Count("/a"); n != 2 {
		t.Errorf("%d fetches for 6 requests of 2 sites", n)
	}
}

// TestSitesOfAFile starts the program with a file of two sites, the way an operator would.
func TestSitesOfAFile(t *testing.T) {
	www, shop := testorigin.New(t), testorigin.New(t)
	for name, origin := range map[string]*testorigin.Origin{"www": www, "shop": shop} {
		origin.Handle("/a", func(r *http.Request, _ int) testorigin.Response {
			return testorigin.Response{Header: map[string]string{"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, Body: []byte(name + " for " + r.Host)}
		})
	}
	file := filepath.Join(t.TempDir(), "shield.yaml")
	text := "sites:\n  www:\n    host: ['*.example.org', www.example.org]\n    origin: " + www.URL() + "\n    private: true\n    heuristic-freshness: true\n" +
		"  shop:\n    host: shop.example.org\n    origin: " + shop.URL() + "\n    private: true\n    origin-host-header: origin\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := testport.Free(t)
	at := startShield(t, "--config", file, "--admin-listen", admin)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 3 {
		for host, want := range map[string]string{
			"www.example.org": "www for www.example.org", "a.b.example.org": "www for a.b.example.org",
			"shop.example.org": "shop for " + strings.TrimPrefix(shop.URL(), "http://"),
		} {
			if body := get(t, client, at+"/a", host); body != want {
				t.Errorf("%s got %q, want %q", host, body, want)
			}
		}
	}
	if a, b := www.Count("/a"), shop.Count("/a"); a != 2 || b != 3 {
		t.Errorf("%d and %d fetches; want 2 of the site with heuristics and 3 of the other", a, b)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "elsewhere.example"
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a host of no site got %d, want 421", response.StatusCode)
	}
	metrics := get(t, client, "http://"+admin+"/metrics", admin)
	for _, line := range []string{
		`surgewall_origin_fetches_total{outcome="fine",site="shop"} 3`, `surgewall_origin_in_flight{site="www"} 0`,
		`surgewall_origin_addresses_refused_total{site="www"} 0`, `surgewall_requests_total{cache_status="shed",code="4xx"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("%q is missing in the metrics", line)
		}
	}
}

// TestAFileThatCannotBeServedIsExplained wants exit code and words for what only the start can find out, and for what the file says.
func TestAFileThatCannotBeServedIsExplained(t *testing.T) {
	for text, want := range map[string]struct {
		code int
		says []string
	}{
		"sites:\n  www:\n    host: www.example.org\n    origin: http://10.0.0.1\n":                     {boot.ExitFailure, []string{"site www", "http://10.0.0.1", "private: true"}},
		"sites:\n  www:\n    hots: www.example.org\n    origin: http://a\n":                            {boot.ExitUsage, []string{":3: sites.www: unknown key", `did you mean "host"?`}},
		"sites:\n  www:\n    host: www.example.org:80\n    origin: http://a\n    default-ttl: 9999h\n": {boot.ExitUsage, []string{":3: sites.www: host:", ":5: sites.www: default-ttl:", "0s to 8760h"}},
	} {
		file := filepath.Join(t.TempDir(), "shield.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		code := program().Run(ctx, []string{"--config", file, "--listen", testport.Free(t), "--admin-listen", testport.Free(t)},
			func(string) (string, bool) { return "", false }, io.Discard, &log)
		stop()
		if code != want.code {
			t.Errorf("%q: exit %d, want %d", text, code, want.code)
		}
		for _, words := range want.says {
			if !strings.Contains(log.String(), words) {
				t.Errorf("%q: the log lacks %s:\n%s", text, words, &log)
			}
		}
	}
}

// TestHowTheOriginLooksIsHeardThroughARealBroker uses the permissions of the shields' own user.
func TestHowTheOriginLooksIsHeardThroughARealBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a RabbitMQ of its own: run without -short")
	}
	broker := testrabbit.Start(t)
	vhost := broker.VHost(t)
	broker.Declare(t, vhost)
	broker.User(t, vhost, events.ShieldRole(), "shield", "secret")

	var mu sync.Mutex
	var fetches uint64
	var refused error
	hear := func(m events.Message) {
		e, err := events.Decode(m)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			refused = err
		} else if origin, ok := e.Body.(*events.Origin); ok && origin.State == events.OriginHealthy && origin.Site == "127.0.0.1" {
			fetches += origin.Fetches
		}
	}
	consumer, err := rabbitmq.NewConsumer(rabbitmq.Options{URL: broker.GuestURL(vhost)}, events.ControllerQueue(), hear)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = consumer.Run(ctx) })
	defer group.Wait()
	defer stop()
	for consumer.State() != rabbitmq.StateUp {
		time.Sleep(5 * time.Millisecond)
	}

	origin := testorigin.New(t)
	origin.Serve("/a", testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60"}, Body: []byte("content")})
	url := startShield(t, "--origin", origin.URL(), "--pod", "shield-0", "--amqp-url", broker.URL("shield", "secret", vhost))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get(t, client, url+"/a", "a.example")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		got, err := fetches, refused
		mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if got == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("heard of %d fetches, want 1", got)
		}
	}
}

// TestPurgeOnTheAdminListener: operators with the token purge, where clients cannot.
func TestPurgeOnTheAdminListener(t *testing.T) {
	origin, admin := testorigin.New(t), testport.Free(t)
	origin.Serve("/a", testorigin.Response{Body: []byte("a"), Header: map[string]string{"Cache-Control": "max-age=60", "Surrogate-Key": "t"}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := startShield(t, "--origin", origin.URL(), "--admin-listen", admin, "--purge-token-file", file)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	purge := func(base, token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/purge", strings.NewReader(`{"scope":"tag","value":"t"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for range 2 {
		get(t, client, url+"/a", "a.example")
	}
	if code := purge("http://"+admin, "guess"); code != http.StatusUnauthorized {
		t.Errorf("purge by a stranger: status %d", code)
	}
	get(t, client, url+"/a", "a.example")
	if got := origin.Count("/a"); got != 1 {
		t.Fatalf("%d fetches before the purge, want 1", got)
	}
	if code := purge("http://"+admin, "secret"); code != http.StatusOK {
		t.Errorf("purge: status %d", code)
	}
	get(t, client, url+"/a", "a.example")
	if got := origin.Count("/a"); got != 2 {
		t.Errorf("%d fetches after the purge, want 2", got)
	}
	if purge(url, "secret"); origin.Count("/purge") != 1 {
		t.Error("a POST to the content listener was not forwarded as any other")
	}
}
