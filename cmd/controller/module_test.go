package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
)

func TestTheGraphIsComplete(t *testing.T) {
	settings := config.NewController()
	if err := fx.ValidateApp(boot.Options("controller", settings.Process, nil, io.Discard), module(settings)); err != nil {
		t.Fatal(err)
	}
}

// TestTheExamplesOfTheHelpAreRight checks each example line without starting anything.
func TestTheExamplesOfTheHelpAreRight(t *testing.T) {
	lines := strings.ReplaceAll(program().Example, "\\\n", " ")
	checked := 0
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		if len(args) == 0 || args[0] != "controller" || strings.Contains(line, "--config ") {
			continue
		}
		var out, log strings.Builder
		if code := program().Run(t.Context(), append(args[1:], "--check"), func(string) (string, bool) { return "", false }, &out, &log); code != boot.ExitOK {
			t.Errorf("%s: exit %d: %s", line, code, log.String())
		}
		checked++
	}
	if checked != 2 {
		t.Errorf("%d examples were checked, want 2", checked)
	}
}

func TestWithoutAClusterItSaysWhatToGive(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, tc := range []struct{ kubeconfig, want string }{
		{"", "--kubeconfig: not inside a cluster and no kubeconfig given"},
		{filepath.Join(t.TempDir(), "none"), "read the kubeconfig"},
	} {
		var out, log strings.Builder
		args := []string{"--admin-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--kubeconfig", tc.kubeconfig}
		code := program().Run(t.Context(), args, func(string) (string, bool) { return "", false }, &out, &log)
		if code != boot.ExitFailure || !strings.Contains(log.String(), tc.want) {
			t.Errorf("exit %d, want %q in:\n%s", code, tc.want, log.String())
		}
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		os.Exit(program().Main())
	}
	os.Exit(bench.Main(m))
}
