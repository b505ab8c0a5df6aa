package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/internal/testorigin"
)

// TestPurgeNeedsAToken: without a token's file there is nothing to call, with one only who has the token may.
func TestPurgeNeedsAToken(t *testing.T) {
	origin := testorigin.New(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	purge := func(edge *process, token string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, edge.admin+"/purge", strings.NewReader(`{"scope":"all"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode, response.Header.Get("WWW-Authenticate")
	}
	closed, open := startEdge(t, "--origin", origin.URL()), startEdge(t, "--origin", origin.URL(), "--purge-token-file", file)
	if code, _ := purge(closed, "secret"); code != http.StatusNotFound {
		t.Errorf("without a file: status %d", code)
	}
	for _, token := range []string{"", "guess"} {
		if code, challenge := purge(open, token); code != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("token %q: status %d, WWW-Authenticate %q", token, code, challenge)
		}
	}
	if code, _ := purge(open, "secret"); code != http.StatusOK {
		t.Errorf("with the token: status %d", code)
	}
	open.stop()
	<-open.ended
	for _, outcome := range []string{"unauthorized", "purged"} {
		if !strings.Contains(open.log.String(), `"outcome":"`+outcome+`"`) {
			t.Errorf("no line of a call that was %s in the log:\n%s", outcome, open.log)
		}
	}
	if strings.Contains(open.log.String(), "secret") || strings.Contains(open.log.String(), "guess") {
		t.Error("a token is in the log")
	}
}

func TestAnEmptyTokenStopsTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	args := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--origin", "http://127.0.0.1:1", "--purge-token-file", file}
	if code := program().Run(t.Context(), args, func(string) (string, bool) { return "", false }, io.Discard, &log); code != boot.ExitFailure || !strings.Contains(log.String(), "is empty") {
		t.Errorf("exit %d: %s", code, &log)
	}
}
