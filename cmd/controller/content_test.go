package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testorigin"
	"github.com/surgewall/surgewall/internal/testport"
)

// programs builds the programs that a test of the whole needs beside the controller.
func programs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../edge", "../shield", "../surgectl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	return dir
}

// run starts a program that serves, and waits until it is ready.
func (s *stage) run(bin, name string, args ...string) (url string) {
	s.Helper()
	listen, admin := testport.Free(s.T), testport.Free(s.T)
	log := new(lines)
	cmd := exec.Command(filepath.Join(bin, name), append([]string{"--listen", listen, "--admin-listen", admin, "--drain-delay", "0s"}, args...)...)
	cmd.Stdout, cmd.Stderr = io.Discard, log
	s.check(cmd.Start())
	s.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s.Failed() {
			s.Logf("%s:\n%s", name, log)
		}
	})
	s.eventually(name+" is ready", time.Minute, func() bool {
		code, err := ask("http://"+admin+"/readyz", nil)
		return err == nil && code == http.StatusOK
	})
	return "http://" + listen
}

// TestAPurgeFromTheCommandLineReachesTheEdges starts every program as it is, on a real broker and a real API server: surgectl makes a token, the
// controller takes it from its file, and what is purged and prefetched shows at the origin.
func TestAPurgeFromTheCommandLineReachesTheEdges(t *testing.T) {
	s := newStage(t, "edge")
	s.fleet("edge", 1, nil)
	s.broker.User(t, s.vhost, events.ShieldRole(), "shield", "secret")
	s.broker.Setup(t, s.vhost)
	bin := programs(t)
	origin := testorigin.New(t)
	for _, path := range []string{"/news", "/sports", "/next"} {
		origin.Serve(path, testorigin.Response{Header: map[string]string{"Cache-Control": "max-age=3600"}, Body: []byte("content of " + path)})
	}
	tokens, token := filepath.Join(t.TempDir(), "tokens"), filepath.Join(t.TempDir(), "token")
	s.check(os.WriteFile(tokens, []byte("nobody sha256:"+strings.Repeat("0", 64)+" all\n"), 0o600))
	c := s.process("c-1", "user-1", "--content-token-file", tokens)
	shield := s.run(bin, "shield", "--origin", origin.URL(), "--pod", "shield-0", "--amqp-url", s.broker.URL("shield", "secret", s.vhost))
	edge := s.run(bin, "edge", "--shield", shield, "--pod", "edge-0", "--amqp-url", s.broker.URL("edge", "secret", s.vhost))
	s.eventually("the controller answers", 2*time.Minute, func() bool { return s.status(c.api, "edge").Leader == "c-1" })

	surgectl := func(args ...string) (out, errs string, err error) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "surgectl"), args...)
		cmd.Env = append(os.Environ(), "SURGEWALL_CONTROLLER="+c.api, "SURGEWALL_TOKEN_FILE="+token)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err = cmd.Run()
		return stdout.String(), stderr.String(), err
	}
	text, line, err := surgectl("token", "cms", "host:www.example.com")
	s.check(err)
	s.check(os.WriteFile(token, []byte(text), 0o600))
	const news = "http://www.example.com/news"
	if out, errs, err := surgectl("purge", news); err == nil || !strings.Contains(errs, "the controller wants another token") {
		t.Errorf("with a token that is not in the file (%v): %s%s", err, out, errs)
	}
	// The line for the file takes effect without a restart.
	s.check(os.WriteFile(tokens, []byte(line), 0o600))
	s.eventually("the new token is taken", 2*time.Minute, func() bool {
		_, _, err := surgectl("purge", news, "--dry-run")
		return err == nil
	})
	if out, errs, err := surgectl("purge", "--all"); err == nil || !strings.Contains(errs, "may not purge everything") {
		t.Errorf("more than the token may (%v): %s%s", err, out, errs)
	}

	see := func(path string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, edge+path, nil)
		s.check(err)
		request.Host = "www.example.com"
		response, err := http.DefaultClient.Do(request)
		s.check(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		s.check(err)
		if string(body) != "content of "+path {
			t.Errorf("%s is %s %q", path, response.Status, body)
		}
		return response.Header.Get("Cache-Status")
	}
	for range 3 {
		see("/news")
		see("/sports")
	}
	out, errs, err := surgectl("purge", news, "--id", "release-1", "--wait", "--timeout", "2m")
	if err != nil || !strings.Contains(out, "release-1: Complete, 2 of 2 replicas") {
		t.Fatalf("purge (%v): %s%s", err, out, errs)
	}
	t.Logf("purge:\n%s", out)
	if out, errs, err = surgectl("purges", "release-1"); err != nil || !strings.Contains(out, "by cms, Complete") || !strings.Contains(out, "shield-0") || !strings.Contains(out, "edge-0") {
		t.Errorf("progress (%v): %s%s", err, out, errs)
	}
	for range 3 {
		see("/sports")
		if status := see("/news"); origin.Count("/news") != 2 {
			t.Errorf("%d fetches of what was purged once, %s", origin.Count("/news"), status)
		}
	}
	if n := origin.Count("/sports"); n != 1 {
		t.Errorf("%d fetches of what was not purged", n)
	}
	if out, errs, err = surgectl("purge", news, "--id", "release-1"); err != nil || !strings.Contains(out, "release-1 was published before") {
		t.Errorf("the same id again (%v): %s%s", err, out, errs)
	}

	if out, errs, err = surgectl("prefetch", "http://www.example.com/next"); err != nil || !strings.Contains(out, "1 URLs queued") {
		t.Fatalf("prefetch (%v): %s%s", err, out, errs)
	}
	s.eventually("the shield fetches it", time.Minute, func() bool { return origin.Count("/next") == 1 })
	see("/next")
	if n := origin.Count("/next"); n != 1 {
		t.Errorf("%d fetches of what was prefetched", n)
	}
	if out, errs, err = surgectl("dead", "list"); err == nil {
		t.Errorf("a token for one host sees dead letters: %s", fmt.Sprint(out, errs))
	}
}
