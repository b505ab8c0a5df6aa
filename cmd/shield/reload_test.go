package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/shield"
)

// TestAChangedFileIsTakenAndABadOneRefused follows a file through the hands of an operator.
func TestAChangedFileIsTakenAndABadOneRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sites.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	site := func(name, more string) string {
		return "  " + name + ":\n    host: " + name + ".example\n    origin: http://origin." + name + ".example\n" + more
	}
	start := "origin-concurrency: 7\nsites:\n" + site("a", "")
	write(start)
	settings := config.NewShield()
	flags := pflag.NewFlagSet("shield", pflag.ContinueOnError)
	settings.Bind(flags)
	if _, err := config.Load(flags, file, []byte(start), func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	first, err := sites(settings)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shield.New(shield.Options{Sites: first, Store: store.NewMemory(1 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	var log strings.Builder
	r := &reloader{settings: settings, shield: s, logger: zerolog.New(&log)}
	served := func() string {
		var hosts []string
		for _, host := range []string{"a.example", "b.example", "c.example"} {
			w, q := httptest.NewRecorder(), httptest.NewRequest(http.MethodConnect, "/", nil)
			q.Method, q.Host = "TRACE", host // refused by the engine, but only where there is a site
			s.ServeHTTP(w, q)
			if w.Code != http.StatusMisdirectedRequest {
				hosts = append(hosts, host[:1])
			}
		}
		return strings.Join(hosts, "")
	}
	for i, step := range []struct {
		change    func()
		want, log string
	}{
		{func() {}, "a", ""},
		{func() { write("sites:\n" + site("a", "") + site("b", "")) }, "ab", "sites taken"},
		{func() { write("sites:\n" + site("a", "    origin-concurrency: 0\n") + site("c", "")) }, "ab", `sites refused, they stay as they were`},
		{func() { write("sites: {}\n") }, "ab", "at least one site"},
		{func() { write("") }, "ab", "at least one site"},
		{func() { write("sites:\n" + site("a", "") + "listne: x\n") }, "ab", `did you mean`},
		{func() { write("sites: [") }, "ab", "refused"},
		{func() { _ = os.Remove(file) }, "ab", "no such file"},
		{func() { write("sites:\n" + site("c", "")) }, "c", "sites taken"},
		{func() { write("# as before\nsites:\n" + site("c", "")) }, "c", ""},
	} {
		log.Reset()
		step.change()
		for range 4 {
			r.look()
		}
		if got := served(); got != step.want {
			t.Errorf("step %d: hosts of %q are served, want %q", i, got, step.want)
		}
		if n := strings.Count(log.String(), "\n"); step.log == "" && n != 0 || step.log != "" && (n != 1 || !strings.Contains(log.String(), step.log)) {
			t.Errorf("step %d: log %q, want one line with %q", i, &log, step.log)
		}
	}
	if r.taken.Load() != 2 || r.refused.Load() != 6 {
		t.Errorf("%d taken, %d refused; want 2 and 6", r.taken.Load(), r.refused.Load())
	}
	// A file that is being written is not read half.
	write("sites:\n" + site("a", ""))
	r.look()
	write("sites:\n" + site("a", "") + site("b", ""))
	r.look()
	if got := served(); got != "c" {
		t.Errorf("%q are served while the file changes, want c", got)
	}
	r.look()
	if got := served(); got != "ab" {
		t.Errorf("%q are served, want ab", got)
	}
}
