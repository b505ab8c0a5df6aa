// Package metricstest holds docs/metrics.md to what the programs register.
package metricstest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// Dir is the variable that names the directory to write the sections of the document to, in place of comparing them: hack/gendocs sets it.
const Dir = "SURGEWALL_METRICS_DIR"

// Check compares the section of the program in docs/metrics.md with what it registers when everything that it can do is switched on by args.
// The program is put together and not started.
func Check(t *testing.T, p boot.Program, args ...string) {
	t.Helper()
	var metrics []telemetry.Metric
	module, enough := p.Module, errors.New("enough seen")
	p.Module = func() fx.Option {
		return fx.Options(module(), fx.Invoke(func(registry *telemetry.Registry) error {
			metrics = registry.Metrics()
			return enough
		}))
	}
	var log strings.Builder
	if code := p.Run(t.Context(), args, func(string) (string, bool) { return "", false }, io.Discard, &log); len(metrics) == 0 {
		t.Fatalf("exit %d: %s", code, log.String())
	}
	text := section(p.Name, metrics)
	if dir := os.Getenv(Dir); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, p.Name+".md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(document)+"\n## ", text+"\n## ") {
		t.Errorf("docs/metrics.md is out of step (run make generate); want\n%s", text)
	}
}

func section(name string, metrics []telemetry.Metric) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n", name)
	for _, m := range metrics {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	return b.String()
}
