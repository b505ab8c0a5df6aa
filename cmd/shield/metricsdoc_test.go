package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/cmd/internal/metricstest"
)

func TestMetricsAreDocumented(t *testing.T) {
	dir := t.TempDir()
	key, sites := filepath.Join(dir, "keys"), filepath.Join(dir, "shield.yaml")
	for path, text := range map[string]string{key: strings.Repeat("k", 48) + "\n", sites: "sites: {www: {host: www.example.com, origin: 'https://origin.example.com'}}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	metricstest.Check(t, program(), "--config", sites, "--edge-auth-key-file", key, "--amqp-url", "amqp://shield:secret@127.0.0.1:1/")
}
