package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/cmd/internal/metricstest"
)

func TestMetricsAreDocumented(t *testing.T) {
	key := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 48)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	metricstest.Check(t, program(), "--shield-dns", "shields.invalid:8081", "--edge-auth-key-file", key, "--amqp-url", "amqp://edge:secret@127.0.0.1:1/")
}
