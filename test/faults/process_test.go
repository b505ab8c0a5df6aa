package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testport"
)

// process is one of the product's programs as a child.
type process struct {
	t          testing.TB
	cmd        *exec.Cmd
	url, admin string
	log        *lines
	done       chan struct{}
	ended      error
}

// launch starts a program on two free ports. It is killed with the test.
func launch(t testing.TB, name string, args ...string) *process {
	t.Helper()
	listen, admin := testport.Free(t), testport.Free(t)
	p := &process{t: t, url: "http://" + listen, admin: "http://" + admin, log: new(lines), done: make(chan struct{})}
	args = append([]string{"--listen", listen, "--admin-listen", admin}, args...)
	p.cmd = exec.Command(program(t, name), args...) //nolint:gosec // our own programs
	p.cmd.Env = []string{"HOME=" + t.TempDir(), "POD_NAMESPACE="}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// A test binary that is killed takes them along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.ended = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			said := p.log.String()
			t.Logf("%s said at last:\n%s", name, said[max(0, len(said)-3000):])
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

func (p *process) freeze() { p.signal(syscall.SIGSTOP) }

func (p *process) thaw() { p.signal(syscall.SIGCONT) }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// terminate asks it to end and waits until it has, without an error.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if p.ended != nil {
			p.t.Errorf("after SIGTERM it ended with %v", p.ended)
		}
	case <-time.After(40 * time.Second):
		p.t.Error("it runs on 40 s after SIGTERM")
	}
}

// resident is the memory that it holds, in bytes.
func (p *process) resident() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(fields[1])
			return kib << 10
		}
	}
	p.t.Fatal("no VmRSS")
	return 0
}

func (p *process) ready() bool {
	code, err := ask(p.admin+"/readyz", nil)
	return err == nil && code == http.StatusOK
}

// metric sums the samples of a metric whose labels contain all of these texts.
func (p *process) metric(name string, labels ...string) (sum float64) {
	response, err := http.Get(p.admin + "/metrics")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
samples:
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue samples
			}
		}
		fields := strings.Fields(line)
		v, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
		sum += v
	}
	return sum
}

// lines is a log that is written and read at the same time.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask reads JSON, or only the status code where there is no value to fill.
func ask(url string, into any) (int, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if into == nil {
		return response.StatusCode, nil
	}
	return response.StatusCode, json.NewDecoder(response.Body).Decode(into)
}

// eventually waits until a condition holds that somebody else brings about.
func eventually(t testing.TB, what string, limit time.Duration, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// throughout fails when a condition ends to hold within a time.
func throughout(t testing.TB, what string, length time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !holds() {
			t.Fatalf("no longer: %s", what)
		}
	}
}
