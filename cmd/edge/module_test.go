package main

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
)

func TestTheGraphIsComplete(t *testing.T) {
	settings := config.NewEdge()
	settings.Origin = "http://127.0.0.1:8000"
	if err := fx.ValidateApp(boot.Options("edge", settings.Process, nil, io.Discard), module(settings)); err != nil {
		t.Fatal(err)
	}
}

// TestTheExamplesOfTheHelpAreRight checks each example line without starting anything.
func TestTheExamplesOfTheHelpAreRight(t *testing.T) {
	lines := strings.ReplaceAll(program().Example, "\\\n", " ")
	checked := 0
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		if len(args) == 0 || args[0] != "edge" || strings.Contains(line, "--config") {
			continue
		}
		var out, log strings.Builder
		if code := program().Run(t.Context(), append(args[1:], "--check"), func(string) (string, bool) { return "", false }, &out, &log); code != boot.ExitOK {
			t.Errorf("%s: exit %d: %s", line, code, log.String())
		}
		checked++
	}
	if checked != 3 {
		t.Errorf("%d examples were checked, want 3", checked)
	}
}
