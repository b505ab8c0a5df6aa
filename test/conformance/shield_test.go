package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is the shield's binary, made once for all tests.
var built struct {
	sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binary is SURGEWALL_SHIELD where that is set: the same cases for a shield that was built elsewhere.
func binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SURGEWALL_SHIELD"); path != "" {
		return path
	}
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "surgewall-conformance-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "shield")
		build := exec.Command("go", "build", "-o", built.path, "../../cmd/shield")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatalf("build the shield: %v", built.err)
	}
	return built.path
}

// shield is a process of its own, as an operator would start it.
type shield struct {
	t       testing.TB
	process *os.Process
	url     string // of the content
	admin   string // of health and metrics
	ended   chan struct{}
}

// startShield returns when the shield serves. It ends with the test.
func startShield(t testing.TB, origin string, flags ...string) *shield {
	t.Helper()
	args := append([]string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--drain-delay", "0s", "--origin", origin}, flags...)
	cmd := exec.Command(binary(t), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &shield{t: t, process: cmd.Process, ended: make(chan struct{})}
	serving, said := make(chan struct{}), new(strings.Builder)
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Setting, Address, Level string }
			if json.Unmarshal(lines.Bytes(), &line) != nil || line.Level == "error" || line.Level == "fatal" {
				fmt.Fprintln(said, lines.Text())
			}
			switch line.Setting {
			case "admin-listen":
				s.admin = "http://" + line.Address
			case "listen":
				s.url = "http://" + line.Address
			}
			if s.url != "" && s.admin != "" {
				select {
				case <-serving:
				default:
					close(serving)
				}
			}
		}
		io.Copy(io.Discard, stderr)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		s.kill()
		if said.Len() > 0 {
			t.Errorf("the shield said:\n%s", said)
		}
	})
	select {
	case <-serving:
	case <-s.ended:
		t.Fatalf("the shield ended before it served:\n%s", said)
	case <-time.After(20 * time.Second):
		t.Fatal("the shield does not serve within 20 s")
	}
	return s
}

// kill ends the process at once, as a lost node would.
func (s *shield) kill() {
	if err := s.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("kill the shield: %v", err)
	}
	<-s.ended
}

// memory is one value of /proc/PID/status in bytes: VmRSS is what the process has now, VmHWM what it had at most.
func (s *shield) memory(what string) int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			return kib << 10
		}
	}
	s.t.Fatalf("/proc has no %s", what)
	return 0
}

// unmapped is the memory of the process that is in files of memory: its container pays for it, but it is not in VmRSS, since it is not mapped.
func (s *shield) unmapped() int64 {
	s.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.process.Pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var sum int64
	for _, f := range files {
		name := filepath.Join(dir, f.Name())
		if to, err := os.Readlink(name); err != nil || !strings.HasPrefix(to, "/memfd:") {
			continue // a connection, or one that has gone
		}
		info, err := os.Stat(name)
		if err != nil {
			s.t.Fatal(err)
		}
		sum += info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return sum
}

// metric is the value of one series, written as in the exposition format.
func (s *shield) metric(series string) float64 {
	s.t.Helper()
	response, err := http.Get(s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			return value
		}
	}
	s.t.Fatalf("no metric %s in %s: %.200s", series, response.Status, text)
	return 0
}
