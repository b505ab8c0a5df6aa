package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// server is a process that is measured.
type server struct {
	name  string
	url   string
	pprof string // of the profiler, empty for none
	cmd   *exec.Cmd
	said  *bytes.Buffer
	ended chan struct{}
}

// starters start the servers with a directory of their own.
var starters = map[string]func(ctx context.Context, o options, dir string, origin *origin) (*server, error){
	"nginx": startNginx, "varnish": startVarnish, "surgewall": startSurgewall, "net/http": startBare,
}

func startNginx(ctx context.Context, o options, dir string, origin *origin) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // or the worker could not write into the directory
	}
	// tcp_nopush stays off: on loopback it makes every response of more than a segment wait for a delayed acknowledgement.
	config := fmt.Sprintf(`%[1]s
daemon off;
worker_processes 1;
pid %[2]s/pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush off;
	keepalive_requests 100000000;
	proxy_cache_path %[2]s/cache levels=1:2 keys_zone=bench:10m max_size=256m inactive=1h;
	proxy_temp_path %[2]s/proxy;
	client_body_temp_path %[2]s/body;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	server {
		listen 127.0.0.1:%[3]d;
		location / {
			proxy_pass %[4]s;
			proxy_cache bench;
		}
	}
}
`, user, dir, port, origin.url)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return startServer(ctx, o, port, find("nginx"), "-p", dir, "-e", "stderr", "-c", file)
}

func startVarnish(ctx context.Context, o options, dir string, origin *origin) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startServer(ctx, o, port, find("varnishd"), "-F", "-j", "none", "-n", dir, "-a", fmt.Sprint("127.0.0.1:", port),
		"-b", strings.TrimPrefix(origin.url, "http://"), "-s", "malloc,256m", "-T", "none")
}

func startSurgewall(ctx context.Context, o options, dir string, origin *origin) (*server, error) {
	binary := os.Getenv("SURGEWALL_SHIELD") // built elsewhere
	if binary == "" {
		binary = filepath.Join(dir, "shield")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/surgewall/surgewall/cmd/shield")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	address := func(i int) string { return fmt.Sprint("127.0.0.1:", ports[i]) }
	args := append([]string{"--listen", address(0), "--admin-listen", address(1), "--pprof-listen", address(2), "--origin", origin.url,
		"--cache-size", "256MiB", "--log-level", "warn"}, strings.Fields(o.shieldFlags)...)
	s, err := startServer(ctx, o, ports[0], binary, args...)
	if s != nil {
		s.pprof = "http://" + address(2)
	}
	return s, err
}

func startBare(ctx context.Context, o options, _ string, _ *origin) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServer(ctx, o, port, self, "--bare", fmt.Sprint("127.0.0.1:", port))
}

// find also looks where Debian keeps daemons.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/usr/sbin", name)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// startServer starts a program on the servers' core and waits until it accepts connections.
func startServer(ctx context.Context, o options, port int, program string, args ...string) (*server, error) {
	s := &server{url: fmt.Sprint("http://127.0.0.1:", port), said: new(bytes.Buffer), ended: make(chan struct{})}
	s.cmd = exec.Command("taskset", append([]string{"-c", strconv.Itoa(o.serverCore), program}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: install it with hack/deps.sh bench", err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if conn, err := net.Dial("tcp", s.url[len("http://"):]); err == nil {
			conn.Close()
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("it ended: %s", s.said)
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			s.stop()
			return nil, errors.Join(errors.New("it does not listen"), ctx.Err())
		}
	}
}

// stop asks the process to end, and insists after a while.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(8 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// warm fills the cache and makes sure that what it serves is a hit and what the origin sent.
func (s *server) warm(ctx context.Context, origin *origin) error {
	for _, size := range sizes {
		for range 3 {
			origin.late.Store(0)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path(size.bytes), nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(body, content(size.bytes)) {
				return fmt.Errorf("%s: %s, %d bytes, %w", size.name, response.Status, len(body), err)
			}
			time.Sleep(50 * time.Millisecond) // the fill ends a moment after its response
		}
		if n := origin.late.Load(); n > 0 {
			return fmt.Errorf("%s: the third request in a row is no hit", size.name)
		}
	}
	return nil
}

// origin answers the caches' misses, and counts them.
type origin struct {
	url  string
	late atomic.Int64
}

func startOrigin() (*origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{url: "http://" + l.Addr().String()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.late.Add(1)
		serve(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	return o, nil
}

func serveBare(address string) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(serve)}
	return server.ListenAndServe()
}

func path(size int) string { return fmt.Sprintf("/segment-%d.m4s", size) }

var bodies = map[string][]byte{path(1 << 10): content(1 << 10), path(64 << 10): content(64 << 10)}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

func serve(w http.ResponseWriter, r *http.Request) {
	body, ok := bodies[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h["Cache-Control"] = []string{"public, max-age=3600"}
	h["Content-Type"] = []string{"video/iso.segment"}
	h["Etag"] = []string{`"1"`}
	h["Last-Modified"] = []string{"Mon, 01 Jan 2024 00:00:00 GMT"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body)
}
