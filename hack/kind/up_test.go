// Package kind tests the cluster's scripts as far as that takes no container engine; the rest is hack/kind/test.
package kind

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program writes a shell script of this name.
func program(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
}

// place puts actors in the places of docker, kind, helm and kubectl, and returns the environment in which the scripts find them.
func place(t *testing.T, docker, kind string) []string {
	t.Helper()
	cache, bin := t.TempDir(), t.TempDir()
	// The scripts build what is not in their cache under the hash of its sources.
	hashes, err := exec.Command("bash", "-euc", `. ../tools/lib.sh
		(cd ../tools && hash_of build go.mod go.sum lint/go.mod lint/go.sum)
		(cd ../kubernetes && hash_of build go.mod go.sum ./*/main.go)`).Output()
	if err != nil {
		t.Fatalf("hashes of the tools: %v", err)
	}
	names := strings.Fields(string(hashes))
	tools, kubernetes := filepath.Join(cache, "tools-"+names[0]), filepath.Join(cache, "kubernetes-"+names[1])
	program(t, bin, "docker", docker)
	program(t, tools, "kind", kind)
	program(t, tools, "helm", "exit 0")
	program(t, kubernetes, "kubectl", "exit 0")
	program(t, kubernetes, ".node", "")
	return append(os.Environ(), "SURGEWALL_CACHE="+cache, "SURGEWALL_CLUSTER=actors", "DOCKER_HOST=", "PATH="+bin+":"+os.Getenv("PATH"))
}

// TestAClusterThatCannotBeMadeIsNotUp lets kind fail after it has made the nodes, which it keeps to be looked at.
func TestAClusterThatCannotBeMadeIsNotUp(t *testing.T) {
	up := exec.Command("./up")
	up.Env = place(t, `case "$1 $2" in
		"inspect -f") echo "172.18.0.2 actors" ;;
		esac`, `case "$1 $2" in
		"create cluster") echo "kubeadm init failed" >&2; exit 1 ;;
		esac`)
	out, err := up.CombinedOutput()
	if err == nil || strings.Contains(string(out), "is up") || !strings.Contains(string(out), "kubeadm init failed") {
		t.Errorf("up ends with %v:\n%s", err, out)
	}
}

// TestDownTakesEverythingAway runs what make clean-demo runs, on a cache in which everything was made and the user keeps a file.
func TestDownTakesEverythingAway(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	env := append(place(t, `echo "$@" >>"$LOG"
		case "$1 $2" in
		"ps -aq") echo node ;;
		"network ls") echo net ;;
		esac`, "exit 1"), "LOG="+log, "SURGEWALL_RUN="+filepath.Join(t.TempDir(), "none"))
	cache := ""
	for _, v := range env {
		if dir, ok := strings.CutPrefix(v, "SURGEWALL_CACHE="); ok {
			cache = dir
		}
	}
	// All that scripts and programs under hack/ keep, by the names that they give it.
	for _, name := range []string{"mine", "loaded/a.tar", "node-image-1.tar", "node-root-1.tar", "rabbitmq-1.tar.gz", "rabbitmq-4-1/x", "cache-tests-1/x", "docker/x", "kind/actors.kubeconfig"} {
		program(t, filepath.Dir(filepath.Join(cache, name)), filepath.Base(name), "")
	}
	left := func() string {
		entries, err := os.ReadDir(cache)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	for _, args := range [][]string{nil, {"--all"}} {
		down := exec.Command("./down", args...)
		down.Env = env
		if out, err := down.CombinedOutput(); err != nil {
			t.Fatalf("down %v: %v\n%s", args, err, out)
		}
		asked, err := os.ReadFile(log)
		if err != nil || !strings.Contains(string(asked), "rm -f -v node") || !strings.Contains(string(asked), "network rm net") {
			t.Errorf("down %v asked docker for (%v):\n%s", args, err, asked)
		}
		switch names := left(); {
		case args == nil && !strings.Contains(names, "rabbitmq-1.tar.gz"):
			t.Errorf("down alone keeps what takes long to make; left: %s", names)
		case args != nil && names != "mine":
			t.Errorf("down --all leaves %s; want the user's own file and nothing else", names)
		}
	}
}

// rules are those of a Docker daemon of the machine, and of the private one.
const rules = `*$2
:FORWARD DROP [0:0]
:DOCKER - [0:0]
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -o surgewall0 -j DOCKER
COMMIT`

// cleanUp cleans up after the private daemon, whose rules are made of the above, and returns what was asked of iptables.
func cleanUp(t *testing.T, otherDaemon string) string {
	t.Helper()
	cache, bin, log := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "log")
	program(t, bin, "iptables-save", "cat <<END\n"+rules+"\nEND")
	program(t, bin, "iptables", `echo "$@" >>"$LOG"`)
	script := exec.Command("bash", "-euo", "pipefail", "-c", `. ./lib.sh; . ./daemon.sh
		private=$SURGEWALL_CACHE/private
		mkdir -p "$before"
		echo ':FORWARD ACCEPT [0:0]' >"$before/rules"
		: >"$before/settings"
		sweep() { :; }
		other_daemon() { `+otherDaemon+`; }
		clean_up`)
	script.Env = append(os.Environ(), "SURGEWALL_CACHE="+cache, "LOG="+log, "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("clean up: %v\n%s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRulesOfAnotherDaemonStay starts the machine's own Docker after the private one: its rules were not there before, and are not ours.
func TestRulesOfAnotherDaemonStay(t *testing.T) {
	want := "-t filter -D FORWARD -o surgewall0 -j DOCKER\n-t nat -D FORWARD -o surgewall0 -j DOCKER\n"
	if got := cleanUp(t, "true"); got != want {
		t.Errorf("with another daemon:\n%swant\n%s", got, want)
	}
	got := cleanUp(t, "false")
	for _, part := range []string{"-D FORWARD -o docker0 -j DOCKER", "-X DOCKER", "-P FORWARD ACCEPT"} {
		if !strings.Contains(got, part) {
			t.Errorf("alone, %q is not asked for:\n%s", part, got)
		}
	}
}
