package hack

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testport"
)

// TestEachProgramAloneDoesWhatTheReadmeSays runs the commands of that part of README.md as they are written there, with free ports for those
// of the text; the controller, which the text leaves a gap in, only checks its settings.
func TestEachProgramAloneDoesWhatTheReadmeSays(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the programs: not with -short")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/edge", "./cmd/shield", "./cmd/controller", "./cmd/surgectl")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var fetches atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprint(w, "hello")
	}))
	defer origin.Close()
	at := map[string]string{"127.0.0.1:8000": origin.Listener.Addr().String(), "127.0.0.1:8080": testport.Free(t), "127.0.0.1:8081": testport.Free(t)}
	ran := map[string]bool{}
	for line := range strings.Lines(block(t, "## Each program alone", "sh")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		for written, here := range at {
			line = strings.ReplaceAll(line, written, here)
		}
		args := strings.Fields(strings.ReplaceAll(line, "amqp://…", "amqp://127.0.0.1/"))
		name := filepath.Base(args[0])
		ran[name] = true
		cmd := exec.Command(filepath.Join(bin, name), args[1:]...)
		cmd.Dir = ".."
		switch name {
		case "controller":
			cmd.Args = append(cmd.Args, "--check")
			fallthrough
		case "surgectl":
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		default:
			var log strings.Builder
			cmd.Stdout, cmd.Stderr = &log, &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				if t.Failed() {
					t.Logf("%s\n%s", line, log.String())
				}
			}()
		}
	}
	for _, name := range []string{"edge", "shield", "controller", "surgectl"} {
		if !ran[name] {
			t.Errorf("the README does not run %s alone", name)
		}
	}
	// Shield and edge start at the same time.
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := get("http://" + at["127.0.0.1:8080"] + "/")
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	before := fetches.Load()
	for range 3 {
		if err := get("http://" + at["127.0.0.1:8080"] + "/"); err != nil {
			t.Error(err)
		}
	}
	if got := fetches.Load(); before != 1 || got != 1 {
		t.Errorf("%d and then %d fetches at the origin, want one", before, got)
	}
}

// block is the first block of code of a kind below a heading of README.md.
func block(t *testing.T, heading, kind string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+heading+"\n")
	_, after, begins := strings.Cut(after, "\n```"+kind+"\n")
	code, _, ends := strings.Cut(after, "\n```\n")
	if !found || !begins || !ends {
		t.Fatalf("README.md has no block of %s below %q", kind, heading)
	}
	return code
}

func get(url string) error {
	response, err := http.Get(url) //nolint:gosec,noctx // of our own programs
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(text) != "hello") {
		err = fmt.Errorf("%s: %s %q", url, response.Status, text)
	}
	return err
}
