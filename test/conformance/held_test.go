package conformance

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// TestBlockingPlaylistReloads: players of Low-Latency HLS ask for a playlist before it exists, all at once, and the origin holds them. It holds
// one request for each part, for longer than other requests may take and beside them, and everybody has the playlist with the part.
func TestBlockingPlaylistReloads(t *testing.T) {
	slow(t)
	r := newRig(t, "--response-header-timeout", "200ms", "--origin-concurrency", "1", "--origin-queue-timeout", "0s", "--held-timeout", "5s")
	const players, part = 200, time.Second
	r.connect(players)
	r.origin.Handle("/live.m3u8", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: fmt.Append(nil, "#EXTM3U ", q.URL.RawQuery), Header: fresh, Delay: part}
	})
	r.origin.Serve("/part.mp4", testorigin.Response{Body: []byte("part"), Header: cc("no-store")})
	answers := r.later(0, players, func(i int) answer { return r.get(fmt.Sprint("/live.m3u8?_HLS_msn=273&_HLS_part=", i%2)) })
	r.origin.Await(t, "/live.m3u8", 2)
	if held := r.shield.metric("surgewall_origin_held"); held != 2 {
		t.Errorf("%v requests are held, want 2", held)
	}
	want(t, []answer{r.get("/part.mp4")}, http.StatusOK, []byte("part"))
	got := answers()
	for i, a := range got {
		want(t, []answer{a}, http.StatusOK, fmt.Append(nil, "#EXTM3U _HLS_msn=273&_HLS_part=", i%2))
	}
	report(t, fmt.Sprintf("LL-HLS: %d players wait for 2 parts", players), result{fetches: r.origin.Count("/live.m3u8"), took: slowest(got)}, 2, 2, part+100*ms)

	// Beyond its own time a held request ends like any other.
	r.origin.Serve("/never.m3u8", testorigin.Response{Hold: make(chan struct{})})
	if a := r.get("/never.m3u8?_HLS_msn=274"); a.code != http.StatusGatewayTimeout || a.took < 4*time.Second {
		t.Errorf("never: %d after %v", a.code, a.took)
	}
	if a := r.get("/never.m3u8"); a.code != http.StatusGatewayTimeout || a.took > 3*time.Second {
		t.Errorf("an ordinary request: %d after %v", a.code, a.took)
	}
}
