package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/testorigin"
	"github.com/surgewall/surgewall/internal/testport"
)

// TestAnEdgeBehindAnotherInstallationServes: two installations, each with its defaults, one behind the other.
func TestAnEdgeBehindAnotherInstallationServes(t *testing.T) {
	origin := testorigin.New(t)
	origin.Serve("/a", testorigin.Response{Body: []byte("content")})
	inner := startEdge(t, "--origin", origin.URL())
	outer := startEdge(t, "--origin", inner.url)
	if _, body, err := get(t.Context(), newClient(t), outer.url+"/a"); err != nil || string(body) != "content" {
		t.Fatalf("%q, %v", body, err)
	}
	ids := strings.Split(strings.Join(origin.Requests("/a")[0].Header["Cdn-Loop"], ","), ",")
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("the origin saw CDN-Loop %q", ids)
	}
}

// TestACircleIsRefused: of an edge that is its own origin, of two that are each other's, and of two that are told to have one identifier.
func TestACircleIsRefused(t *testing.T) {
	a, b := testport.Free(t), testport.Free(t)
	startEdge(t, "--listen", a, "--origin", "http://"+b)
	startEdge(t, "--listen", b, "--origin", "http://"+a)
	own := testport.Free(t)
	startEdge(t, "--listen", own, "--origin", "http://"+own)
	end := startEdge(t, "--origin", "http://127.0.0.1:1", "--cdn-id", "us")
	same := startEdge(t, "--origin", end.url, "--cdn-id", "us")
	client := newClient(t)
	for what, url := range map[string]string{"of two": "http://" + a, "of one": "http://" + own, "by name": same.url} {
		response, err := client.Get(url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusLoopDetected {
			t.Errorf("circle %s: %s", what, response.Status)
		}
	}
}
