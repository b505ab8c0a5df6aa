package faults

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

func TestRow34ShieldLost(t *testing.T) {
	r := begin(t, 34)
	const clients = 20
	release := make(chan struct{})
	origin := testorigin.New(r)
	n := times(50, 5)
	for i := range n {
		// Only the first of each holds back what it sends: the shield that asked for it will be dead.
		origin.Handle(fmt.Sprint("/", i), func(_ *http.Request, n int) testorigin.Response {
			response := testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=3600"}, Body: []byte("content")}
			if n == 1 {
				response.Hold = release
			}
			return response
		})
	}
	defer close(release)
	var slowest time.Duration
	most := 0
	for i := range n {
		path := fmt.Sprint("/", i)
		shields := []*process{launch(r, "shield", "--origin", origin.URL()), launch(r, "shield", "--origin", origin.URL())}
		var edges []*process
		for range 2 {
			edges = append(edges, launch(r, "edge", "--shield", shields[0].url, "--shield", shields[1].url))
		}
		for _, p := range append(edges, shields...) {
			eventually(r, "edges and shields are ready", time.Minute, p.ready)
		}
		var asking sync.WaitGroup
		var bad atomic.Int64
		for c := range clients {
			asking.Go(func() {
				request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, edges[c%2].url+path, nil)
				if err != nil {
					r.Error(err)
					return
				}
				request.Host = "www.example.com" // one key
				response, err := (&http.Client{Timeout: 2 * time.Minute}).Do(request)
				if err != nil {
					bad.Add(1)
					return
				}
				defer response.Body.Close()
				if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || string(body) != "content" {
					bad.Add(1)
					r.Logf("%d, %v: %s; %s", response.StatusCode, err, strings.Join(response.Header["Cache-Status"], ", "), body)
				}
			})
		}
		origin.Await(r, path, 1)
		time.Sleep(200 * time.Millisecond) // so that most of the clients wait by then; who comes later asks the other shield
		var killed *process
		eventually(r, "the shield that fetches", time.Minute, func() bool {
			for _, s := range shields {
				if s.metric("surgewall_origin_in_flight") == 1 {
					killed = s
				}
			}
			return killed != nil
		})
		at := time.Now()
		killed.kill()
		asking.Wait()
		slowest = max(slowest, time.Since(at))
		if got := origin.Count(path); bad.Load() > 0 || got > 2 {
			for _, q := range origin.Requests(path) {
				r.Logf("%+v", q)
			}
			r.Errorf("%s: %d of %d clients got no good response, the origin was asked %d times", path, bad.Load(), clients, got)
		}
		most = max(most, origin.Count(path))
		for _, p := range append(edges, shields...) {
			p.kill()
		}
	}
	r.show("%d times a shield was killed with %d clients waiting for one fetch: each got the response by the other shield; the origin was asked %d times for a key at most (promised: 2)", n, clients, most)
	r.promise("the last client had it after the kill", slowest, 2*time.Second)
}
