// Package hack tests the scripts of this directory as far as that changes nothing on the machine.
package hack

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cache asks the scripts' library, from a working directory, where things are cached, and what a program that it starts elsewhere hears.
func cache(t *testing.T, dir, setting string) (string, error) {
	t.Helper()
	library, err := filepath.Abs("tools/lib.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", `. "$0"; echo "$surgewall_cache"; cd /; bash -c '. "$0"; echo "$surgewall_cache"' "$0"`, library)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SURGEWALL_CACHE="+setting)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func TestTheCacheIsOneDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{"c": dir + "/c", "./a/../c d": dir + "/c d", "../c": filepath.Dir(dir) + "/c", "/var/x/": "/var/x"} {
		got, err := cache(t, dir, setting)
		if err != nil || got != want+"\n"+want+"\n" {
			t.Errorf("%s: %v, %q; want %s twice", setting, err, got, want)
		}
	}
	for _, setting := range []string{"/", "//", "/tmp/..", strings.Repeat("../", 40)} {
		if got, err := cache(t, dir, setting); err == nil || !strings.Contains(got, "the root directory: want a directory of its own") {
			t.Errorf("%s: %v, %s", setting, err, got)
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip("no home directory: ", err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	if got, err := cache(t, dir, ""); err != nil || !strings.HasPrefix(got, home) {
		t.Errorf("by default: %v, %s", err, got)
	}
}

// TestAStepSaysWhereItIs runs steps as every script does: a long one says how long it takes, a failed one shows why.
func TestAStepSaysWhereItIs(t *testing.T) {
	step := func(command string) (string, error) {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", `. tools/lib.sh; step "making it" bash -c "$0"`, command)
		cmd.Env = append(os.Environ(), "SURGEWALL_CACHE="+t.TempDir())
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	long := regexp.MustCompile(`^  making it … \d+ s\n(  making it … \d+ s\n)*  making it: \d+ s\n$`)
	if text, err := step("echo chatter; sleep 3"); err != nil || !long.MatchString(text) {
		t.Errorf("of a long step (%v): %q", err, text)
	}
	if text, err := step("seq 100; exit 3"); err == nil || !strings.Contains(text, "making it: failed after") || !strings.Contains(text, "    100\n") || strings.Contains(text, "    60\n") {
		t.Errorf("of a failed step (%v): %q; want the end of what it said", err, text)
	}
}

// TestDockerFromElsewhereIsTaken asks, as a user who may install nothing, what a machine with another Docker and nothing else lacks.
func TestDockerFromElsewhereIsTaken(t *testing.T) {
	bin := t.TempDir()
	for name, text := range map[string]string{"dpkg-query": "exit 0", "dockerd": "exit 0", "id": "echo 1000"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	for purpose, want := range map[string]string{"cluster": "iproute2", "all": "varnish"} {
		cmd := exec.Command("./deps.sh", purpose)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SURGEWALL_CACHE="+t.TempDir())
		text, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "docker.io") {
			t.Errorf("%s: %v\n%s", purpose, err, text)
		}
	}
}
