package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/testleak"
	"github.com/surgewall/surgewall/internal/testorigin"
	"github.com/surgewall/surgewall/internal/testport"
	"github.com/surgewall/surgewall/shield"
)

func TestMain(m *testing.M) { os.Exit(testleak.Main(m)) }

// theShield is a shield tier of one in front of an origin, on a listener that a test can kill.
func theShield(t *testing.T, origin *testorigin.Origin) *httptest.Server {
	t.Helper()
	u, err := url.Parse(origin.URL())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shield.New(shield.Options{Store: store.NewMemory(64 << 20), Sites: []shield.SiteOptions{
		{Name: "origin", Origins: []*url.URL{u}, Trusted: true, KeepHost: true, ConnectTimeout: 20 * time.Second, QueueTimeout: time.Second},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// process is an edge that runs as its binary would.
type process struct {
	url, admin string
	stop       context.CancelFunc
	ended      chan struct{}
	code       int
	log        *strings.Builder
}

// startEdge runs an edge until the test ends, and returns when it is ready.
func startEdge(t *testing.T, args ...string) *process {
	t.Helper()
	listen, admin := testport.Free(t), testport.Free(t)
	ctx, stop := context.WithCancel(context.Background())
	p := &process{url: "http://" + listen, admin: "http://" + admin, stop: stop, ended: make(chan struct{}), log: new(strings.Builder)}
	// The machine of a test may be so busy that a connection takes seconds; that is not what these stories are about.
	args = append([]string{"--listen", listen, "--admin-listen", admin, "--drain-delay", "0s", "--connect-timeout", "20s"}, args...)
	go func() {
		defer close(p.ended)
		p.code = program().Run(ctx, args, func(string) (string, bool) { return "", false }, io.Discard, p.log)
	}()
	t.Cleanup(func() {
		stop()
		<-p.ended
		if p.code != boot.ExitOK {
			t.Errorf("the edge ended with %d:\n%s", p.code, p.log)
		}
	})
	for !p.ready() {
		select {
		case <-p.ended:
			t.Fatalf("the edge ended with %d:\n%s", p.code, p.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return p
}

// ready asks as a balancer does.
func (p *process) ready() bool {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	response, err := client.Get(p.admin + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// get fetches a whole response for a site.
func get(ctx context.Context, client *http.Client, url string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Host = "video.example"
	response, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return response, body, err
}

var cacheable = map[string]string{"Cache-Control": "max-age=60"}

// TestOneFetchPerObjectOverAllEdges lets many clients of three edges ask for cold objects at the same time.
func TestOneFetchPerObjectOverAllEdges(t *testing.T) {
	origin := testorigin.New(t)
	const objects, clients = 20, 5
	content := testorigin.Content(20_000)
	for i := range objects {
		origin.Serve(fmt.Sprintf("/%d", i), testorigin.Response{Header: cacheable, Body: content, Delay: 20 * time.Millisecond})
	}
	shields := []string{"--shield", theShield(t, origin).URL, "--shield", theShield(t, origin).URL}
	var edges []*process
	for range 3 {
		edges = append(edges, startEdge(t, shields...))
	}
	client := newClient(t)
	var group sync.WaitGroup
	for i := range objects {
		for range clients {
			for _, edge := range edges {
				group.Go(func() {
					response, body, err := get(t.Context(), client, fmt.Sprintf("%s/%d", edge.url, i))
					if err != nil || !slices.Equal(body, content) {
						t.Errorf("object %d: %d bytes, %v", i, len(body), err)
						return
					}
					// Both tiers say what they did, the one nearest the origin first (RFC 9211).
					if status := strings.Join(response.Header.Values("Cache-Status"), ", "); !strings.Contains(status, "edge") {
						t.Errorf("Cache-Status %q", status)
					}
				})
			}
		}
	}
	group.Wait()
	for i := range objects {
		if n := origin.Count(fmt.Sprintf("/%d", i)); n != 1 {
			t.Errorf("object %d was fetched %d times for %d requests", i, n, clients*len(edges))
		}
	}
	response, _, err := get(t.Context(), client, edges[0].url+"/0")
	if err != nil {
		t.Fatal(err)
	}
	status := strings.Join(response.Header.Values("Cache-Status"), ", ")
	if nearest, client, ok := strings.Cut(status, ","); !ok || !strings.HasPrefix(nearest, "shield") || !strings.Contains(client, "edge; hit") {
		t.Errorf("Cache-Status of a hit is %q", status)
	}
}

// TestAShieldIsKilledAndNobodyNotices kills one of two shields while it waits for the origin on behalf of many clients.
func TestAShieldIsKilledAndNobodyNotices(t *testing.T) {
	origin := testorigin.New(t)
	const objects, clients = 40, 4
	killed := make(chan struct{})
	path := func(phase string, i int) string { return fmt.Sprintf("/%s/%d", phase, i) }
	for i := range objects {
		response := testorigin.Response{Header: cacheable, Body: []byte("content")}
		origin.Serve(path("before", i), response)
		origin.Serve(path("after", i), response)
		response.Hold = killed
		origin.Serve(path("during", i), response)
	}
	victim, survivor := theShield(t, origin), theShield(t, origin)
	edge := startEdge(t, "--shield", victim.URL, "--shield", survivor.URL)
	client := newClient(t)
	var group sync.WaitGroup
	ask := func(phase string) {
		for i := range objects {
			for range clients {
				group.Go(func() {
					if _, body, err := get(t.Context(), client, edge.url+path(phase, i)); err != nil || string(body) != "content" {
						t.Errorf("object %d %s the kill: %q, %v", i, phase, body, err)
					}
				})
			}
		}
	}
	ask("before")
	group.Wait()
	ask("during")
	for i := range objects {
		origin.Await(t, path("during", i), 1)
	}
	victim.Listener.Close()
	victim.CloseClientConnections()
	close(killed)
	group.Wait()
	ask("after")
	group.Wait()
	again := 0
	for i := range objects {
		for phase, most := range map[string]int{"before": 1, "during": 2, "after": 1} {
			if n := origin.Count(path(phase, i)); n < 1 || n > most {
				t.Errorf("object %d %s the kill was fetched %d times, want at most %d", i, phase, n, most)
			}
		}
		again += origin.Count(path("during", i)) - 1
	}
	if again == 0 {
		t.Error("nothing was under way at the victim: the kill went unnoticed by accident")
	}
}

// TestAnEdgeLeavesWithoutAFailedRequest stops one of two edges under load; the clients ask, as a balancer does, who is ready.
func TestAnEdgeLeavesWithoutAFailedRequest(t *testing.T) {
	origin := testorigin.New(t)
	origin.Serve("/fast", testorigin.Response{Header: cacheable, Body: []byte("content")})
	origin.Serve("/slow", testorigin.Response{Header: map[string]string{"Cache-Control": "no-store"}, Body: []byte("content"), Delay: 300 * time.Millisecond})
	shield := theShield(t, origin).URL
	leaving := startEdge(t, "--shield", shield, "--drain-delay", "3s")
	staying := startEdge(t, "--shield", shield)
	var target atomic.Pointer[process]
	target.Store(leaving)
	stopBalancer, balancerEnded := make(chan struct{}), make(chan struct{})
	go func() { // looks every 200 ms, and so is late by up to that; a busy machine adds to it
		defer close(balancerEnded)
		for {
			select {
			case <-stopBalancer:
				return
			case <-time.After(200 * time.Millisecond):
				if !leaving.ready() {
					target.Store(staying)
				}
			}
		}
	}()
	var served, failed atomic.Int64
	load, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range 8 {
		client := newClient(t) // connections of its own, as different people have
		path := "/fast"
		if i%4 == 0 {
			path = "/slow"
		}
		group.Go(func() {
			for load.Err() == nil {
				if _, _, err := get(load, client, target.Load().url+path); err == nil {
					served.Add(1)
				} else if !errors.Is(err, context.Canceled) {
					failed.Add(1)
					t.Logf("request failed: %v", err)
				}
			}
		})
	}
	for served.Load() < 200 {
		time.Sleep(10 * time.Millisecond)
	}
	leaving.stop()
	<-leaving.ended
	before := served.Load()
	for served.Load() < before+200 {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	group.Wait()
	close(stopBalancer)
	<-balancerEnded
	if failed.Load() != 0 {
		t.Errorf("%d requests failed, %d were served", failed.Load(), served.Load())
	}
	if leaving.code != boot.ExitOK {
		t.Errorf("the edge left with %d:\n%s", leaving.code, leaving.log)
	}
}

// TestAnEdgeAloneIsACachingProxyForEveryHost needs no file, no broker and no shield; a broker that is not there changes nothing.
func TestAnEdgeAloneIsACachingProxyForEveryHost(t *testing.T) {
	origin := testorigin.New(t)
	origin.Serve("/a", testorigin.Response{Header: cacheable, Body: []byte("content")})
	nobody := testport.Free(t)
	for _, more := range [][]string{nil, {"--amqp-url", "amqp://edge:secret@" + nobody + "/"}} {
		before := origin.Count("/a")
		edge := startEdge(t, append(more, "--origin", origin.URL())...)
		client := newClient(t)
		for range 3 {
			if _, body, err := get(t.Context(), client, edge.url+"/a"); err != nil || string(body) != "content" {
				t.Errorf("%q, %v", body, err)
			}
		}
		if n := origin.Count("/a") - before; n != 1 {
			t.Errorf("%d fetches for 3 requests", n)
		}
		requests := origin.Requests("/a")
		if host := requests[len(requests)-1].Host; host != "video.example" {
			t.Errorf("the origin saw Host %s", host)
		}
		_, metrics, err := get(t.Context(), client, edge.admin+"/metrics")
		for _, line := range []string{`surgewall_requests_total{cache_status="hit",code="2xx"} 2`, "surgewall_requests_offered_total 3", "surgewall_upstream_bytes_total 7"} {
			if err != nil || !strings.Contains(string(metrics), line) {
				t.Errorf("metrics lack %s (%v)", line, err)
			}
		}
		edge.stop()
		<-edge.ended
		if strings.Contains(edge.log.String(), "secret") {
			t.Errorf("the log holds the password:\n%s", edge.log)
		}
	}
}
