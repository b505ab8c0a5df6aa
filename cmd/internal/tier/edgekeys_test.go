package tier_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx/fxtest"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// lines is a log that several goroutines write.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestKeysAreRotatedInPlace goes through the steps of a rotation, and through what can go wrong with the file.
func TestKeysAreRotatedInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := strings.Repeat("1", 32), strings.Repeat("2", 32)
		dir := t.TempDir()
		edgeFile, shieldFile := filepath.Join(dir, "edge"), filepath.Join(dir, "shield")
		write := func(file, text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(edgeFile, one)
		write(shieldFile, one)
		var log lines
		logger := zerolog.New(&log)
		lifecycle := fxtest.NewLifecycle(t)
		runners := boot.NewRunners(lifecycle, nobody{}, logger)
		edges, shields := telemetry.NewRegistry("edge", "test"), telemetry.NewRegistry("shield", "test")
		edgeKeys, err := tier.NewKeys(edgeFile, runners, edges, logger)
		if err != nil {
			t.Fatal(err)
		}
		shieldKeys, err := tier.NewKeys(shieldFile, runners, shields, logger)
		if err != nil {
			t.Fatal(err)
		}
		sign, authenticate := edgeKeys.Signer("sports", "edge-1"), shieldKeys.Authenticator(time.Minute, shields)
		lifecycle.RequireStart()
		defer lifecycle.RequireStop()
		known := func() bool {
			r := httptest.NewRequest("GET", "/a?b", nil)
			r.Header.Set(edgeauth.Field, sign(r))
			edge, ok := authenticate(r)
			if ok && edge != "/sports/edge-1" {
				t.Errorf("the edge is taken for %s", edge)
			}
			return ok
		}
		for _, step := range []struct {
			edge, shield string
			want         bool
		}{
			{one, one, true}, {one, one + "\n" + two, true}, {two + "\n" + one, one + "\n" + two, true}, {two, two, true},
			{"", "too short", true}, {two, "", true}, {one, two, false}, {one, two + "\n" + one + "\n", true},
		} {
			write(edgeFile, step.edge)
			write(shieldFile, step.shield)
			time.Sleep(6 * time.Second)
			synctest.Wait()
			if known() != step.want {
				t.Errorf("with %q at the edge and %q at the shield: known %v", step.edge, step.shield, !step.want)
			}
		}
		if err := os.Remove(shieldFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if !known() {
			t.Error("without the file the keys before it are gone")
		}
		if strings.Contains(log.String(), one) || strings.Contains(log.String(), two) || strings.Contains(log.String(), "too short") {
			t.Errorf("a key is in the log:\n%s", &log)
		}
		if n := strings.Count(log.String(), "cannot be read"); n != 3 {
			t.Errorf("%d warnings, want one for each time that a file went bad:\n%s", n, &log)
		}
		w := httptest.NewRecorder()
		shields.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for _, want := range []string{
			`surgewall_edge_auth_keys 2`, `surgewall_edge_auth_requests_total{outcome="authenticated"} 8`,
			`surgewall_edge_auth_requests_total{outcome="mismatch"} 1`, `surgewall_edge_auth_requests_total{outcome="missing"} 0`,
		} {
			if !strings.Contains(w.Body.String(), want+"\n") {
				t.Errorf("%s is missing", want)
			}
		}
	})
}

func TestAFileWithoutKeysIsRefused(t *testing.T) {
	lifecycle := fxtest.NewLifecycle(t)
	runners := boot.NewRunners(lifecycle, nobody{}, zerolog.Nop())
	file := filepath.Join(t.TempDir(), "keys")
	registry := telemetry.NewRegistry("edge", "test")
	if _, err := tier.NewKeys(file, runners, registry, zerolog.Nop()); err == nil || !strings.HasPrefix(err.Error(), "--edge-auth-key-file: ") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte("short-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tier.NewKeys(file, runners, registry, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "12 bytes") || strings.Contains(err.Error(), "short-secret") {
		t.Errorf("a short key: %v", err)
	}
	none, err := tier.NewKeys("", runners, registry, zerolog.Nop())
	if none != nil || err != nil || none.Signer("edge", "a") != nil || none.Authenticator(time.Minute, registry) != nil {
		t.Errorf("no file at all: %v, %v", none, err)
	}
}
