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
	tokens, kubeconfig := filepath.Join(dir, "tokens"), filepath.Join(dir, "kubeconfig")
	for path, text := range map[string]string{
		tokens:     "ops sha256:" + strings.Repeat("0", 64) + " all\n",
		kubeconfig: "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	metricstest.Check(t, program(), "--kubeconfig", kubeconfig, "--content-token-file", tokens, "--amqp-url", "amqp://controller:secret@127.0.0.1:1/")
}
