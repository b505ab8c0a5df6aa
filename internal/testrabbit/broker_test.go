package testrabbit

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testport"
)

// A test binary that dies runs no cleanup; its broker must not outlive it. The server here is any program that would run on.
func TestGuardEndsWhatIsLeft(t *testing.T) {
	installed(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(server, []byte("#!/bin/sh\nsleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ports, err := testport.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(server, ports[0], dir, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if err := p.lifeline.Close(); err != nil { // what the kernel does when this process ends
		t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("the server lives on")
	}
	if err := p.guard.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data is still there: %v", err)
	}
}

// One broker's life: it serves, is killed, comes back on its data, and leaves nothing behind.
func TestBrokerLives(t *testing.T) {
	start := time.Now()
	b := create(t)
	defer b.Stop()
	t.Logf("up after %v", time.Since(start))
	vhost := b.VHost(t)
	b.Declare(t, vhost)
	b.User(t, vhost, events.FleetRole(), "edge", "secret")
	if out := b.Ctl(t, "list_exchanges", "-p", vhost, "name"); !strings.Contains(out, events.ExchangeTelemetry) {
		t.Fatalf("exchanges: %s", out)
	}
	if out := b.Ctl(t, "list_topic_permissions", "-p", vhost); !strings.Contains(out, `{username}\.[a-z0-9-]+`) {
		t.Fatalf("topic permissions: %s", out)
	}

	b.Kill()
	if b.answers() {
		t.Fatal("a killed broker answers")
	}
	start = time.Now()
	b.Restart(t)
	t.Logf("up again after %v", time.Since(start))
	if out := b.Ctl(t, "list_users"); !strings.Contains(out, "edge") {
		t.Fatalf("users after the crash: %s", out)
	}

	group, dir := b.run.group, b.dir
	b.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatalf("the data is still there: %v", err)
	}
	if l, err := net.Listen("tcp", b.Addr()); err != nil {
		t.Fatalf("process group %d still holds the port: %v", group, err)
	} else {
		l.Close()
	}
}
