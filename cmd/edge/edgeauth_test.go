package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/testorigin"
	"github.com/surgewall/surgewall/internal/testport"
)

// realShield builds the shield's binary and runs it until the test ends.
func realShield(t *testing.T, args ...string) (url, admin string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "shield")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../shield").CombinedOutput(); err != nil {
		t.Fatalf("build the shield: %v\n%s", err, out)
	}
	listen, adminListen := testport.Free(t), testport.Free(t)
	shield := exec.Command(binary, append([]string{"--listen", listen, "--admin-listen", adminListen, "--drain-delay", "0s"}, args...)...)
	var log strings.Builder
	shield.Stderr = &log
	if err := shield.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shield.Process.Signal(os.Interrupt)
		if err := shield.Wait(); err != nil {
			t.Errorf("the shield ended with %v:\n%s", err, &log)
		}
	})
	p := process{admin: "http://" + adminListen}
	for end := time.Now().Add(30 * time.Second); !p.ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the shield is not ready:\n%s", &log)
		}
	}
	return "http://" + listen, p.admin
}

// TestEdgeAndShieldKnowEachOther: two real processes, keys in files, and everything that a client could try. The keys are rotated while
// requests go on.
func TestEdgeAndShieldKnowEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary and waits for files to be read again")
	}
	origin := testorigin.New(t)
	origin.Serve("/a", testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=60"}, Body: []byte("a")})
	origin.Serve("/b", testorigin.Response{Header: map[string]string{"Cache-Control": "no-store"}, Body: []byte("b")})
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	dir := t.TempDir()
	edgeFile, shieldFile := filepath.Join(dir, "edge"), filepath.Join(dir, "shield")
	write := func(file string, keys ...string) {
		// As a mounted Secret changes: at once, by a rename.
		if err := os.WriteFile(file+".new", []byte(strings.Join(keys, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(edgeFile, one)
	write(shieldFile, one)
	shieldURL, shieldAdmin := realShield(t, "--origin", origin.URL(), "--edge-auth", "require", "--edge-auth-key-file", shieldFile)
	edge := startEdge(t, "--shield", shieldURL, "--edge-auth-key-file", edgeFile)
	client := newClient(t)
	ask := func(url string, fields ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response
	}
	forged := `"/edge/edge-1";created=` + fmt.Sprint(time.Now().Unix()) + `;mac=:` + strings.Repeat("A", 43) + `=:`

	if r := ask(edge.url + "/a"); r.StatusCode != 200 {
		t.Fatalf("through the edge: %d, %v", r.StatusCode, r.Header)
	}
	for _, fields := range [][]string{nil, {edgeauth.Field, forged}, {edgeauth.Field, ""}} {
		if r := ask(shieldURL+"/a", fields...); r.StatusCode != 403 || r.Header.Get("Cache-Status") != edgeauth.RefusedStatus {
			t.Errorf("past the edge with %q: %d, %v", fields, r.StatusCode, r.Header)
		}
	}
	if r := ask(edge.url+"/b", edgeauth.Field, forged, "Cache-Control", "no-cache", "Connection", edgeauth.Field); r.StatusCode != 200 {
		t.Errorf("a client with a forged proof: %d", r.StatusCode)
	}
	if r := ask(edge.url+"/a", "Cache-Control", "no-cache", "Range", "bytes=0-0"); r.StatusCode != 206 || origin.Count("/a") != 1 {
		t.Errorf("a reload by a client: %d after %d fetches", r.StatusCode, origin.Count("/a"))
	}
	for _, path := range []string{"/a", "/b"} {
		for _, seen := range origin.Requests(path) {
			if seen.Header.Get(edgeauth.Field) != "" || seen.Header.Get("Cache-Control") != "" {
				t.Errorf("the origin got %v", seen.Header)
			}
		}
	}

	// Rotation: the shields learn the new key, then the edges sign with it, then the shields forget the old one.
	rotated := func(admin, want string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !strings.Contains(metrics(t, client, admin), want); time.Sleep(50 * time.Millisecond) {
			if r := ask(edge.url + "/b"); r.StatusCode != 200 {
				t.Fatalf("while keys are rotated: %d", r.StatusCode)
			}
			if time.Now().After(end) {
				t.Fatalf("%s is not seen at %s", want, admin)
			}
		}
	}
	write(shieldFile, one, two)
	rotated(shieldAdmin, "surgewall_edge_auth_keys 2\n")
	write(edgeFile, two, one)
	rotated(edge.admin, "surgewall_edge_auth_keys 2\n")
	write(shieldFile, two)
	rotated(shieldAdmin, "surgewall_edge_auth_keys 1\n")
	if r := ask(edge.url + "/b"); r.StatusCode != 200 {
		t.Errorf("after the rotation: %d", r.StatusCode)
	}
	if text := metrics(t, client, shieldAdmin); !strings.Contains(text, `surgewall_edge_auth_requests_total{outcome="mismatch"} 1`+"\n") ||
		!strings.Contains(text, `surgewall_edge_auth_requests_total{outcome="missing"} 1`+"\n") {
		t.Errorf("the shield counts\n%s", grep(text, "edge_auth"))
	}
}

func metrics(t *testing.T, client *http.Client, admin string) string {
	t.Helper()
	_, body, err := get(context.Background(), client, admin+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func grep(text, word string) (found string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found += line
		}
	}
	return found
}
