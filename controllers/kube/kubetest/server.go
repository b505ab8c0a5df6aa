// Package kubetest starts a real Kubernetes API server, with etcd and RBAC and
// without anything that would run a pod, for the tests of one package.
//
// The programs come from hack/kubernetes/build, which compiles them from their
// Go modules, or from the directory that SURGEWALL_K8S_BIN names. Where they were
// never built, tests are skipped with the command that builds them, and fail
// instead when SURGEWALL_REQUIRE_ALL=1.
package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/surgewall/surgewall/internal/testport"
)

// Server is a running API server. Stop ends it.
type Server struct {
	URL string
	dir string
	ca  []byte

	processes []*process
}

type process struct {
	*exec.Cmd
	log  bytes.Buffer
	done chan struct{} // closed at its end
}

// Admin is the user who may do everything. Other users are "user-1" to "user-3";
// what they may do is for the test to grant.
const Admin = "admin"

const users = "admin-token,admin,admin,system:masters\nuser-1-token,user-1,user-1\nuser-2-token,user-2,user-2\nuser-3-token,user-3,user-3\n"

// ErrNotBuilt says that the programs are missing, and how to get them.
var ErrNotBuilt = errors.New("kube-apiserver and etcd are not built: run hack/kubernetes/build server")

// Shared is one API server for all tests of a package. It starts when the first
// test asks for it. The zero value is ready:
//
//	var server kubetest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests, stops the server and returns the exit code.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	s.Stop()
	return code
}

// Get returns the server. It skips the test with -short, or where the programs
// were never built, and fails it instead when SURGEWALL_REQUIRE_ALL=1.
func (s *Shared) Get(t testing.TB) *Server {
	t.Helper()
	required := os.Getenv("SURGEWALL_REQUIRE_ALL") == "1"
	if testing.Short() && !required {
		t.Skip("skipped with -short: needs a Kubernetes API server")
	}
	s.once.Do(func() { s.server, s.err = Start() })
	switch {
	case s.err == nil:
	case errors.Is(s.err, ErrNotBuilt) && !required:
		t.Skip("SKIPPED, NOT TESTED: " + s.err.Error())
	default:
		t.Fatal(s.err)
	}
	return s.server
}

// Stop stops the server, if it was started.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.Stop()
	}
}

// Start starts etcd and the API server on free ports of the loopback, and waits
// until it answers.
func Start() (_ *Server, err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kubetest-")
	if err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	s := &Server{dir: dir}
	defer func() {
		if err != nil {
			err = fmt.Errorf("kubetest: %w\n%s", err, s.tails())
			s.Stop()
		}
	}()
	keys, err := newKeys(dir)
	if err != nil {
		return nil, err
	}
	s.ca = keys.ca
	if err := os.WriteFile(s.path("users.csv"), []byte(users), 0o600); err != nil {
		return nil, err
	}
	ports, err := testport.Take(3)
	if err != nil {
		return nil, err
	}
	etcd, peer := fmt.Sprint("http://127.0.0.1:", ports[0]), fmt.Sprint("http://127.0.0.1:", ports[1])
	s.URL = fmt.Sprint("https://127.0.0.1:", ports[2])
	if err := s.run(bin, "etcd", "--data-dir", s.path("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return nil, err
	}
	if err := s.run(bin, "kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(ports[2]),
		"--tls-cert-file", keys.cert, "--tls-private-key-file", keys.key, "--cert-dir", dir,
		"--token-auth-file", s.path("users.csv"), "--authorization-mode", "RBAC", "--anonymous-auth=false",
		"--service-account-issuer", "https://kubetest.invalid", "--service-account-key-file", keys.key,
		"--service-account-signing-key-file", keys.key, "--service-cluster-ip-range", "10.0.0.0/24",
		// Nothing makes service accounts here, and a pod would wait for one.
		"--disable-admission-plugins", "ServiceAccount", "--profiling=false"); err != nil {
		return nil, err
	}
	return s, s.wait(60 * time.Second)
}

// programs finds the directory with etcd and kube-apiserver. Only where every
// test is required are they built: that takes minutes.
func programs() (string, error) {
	if bin := os.Getenv("SURGEWALL_K8S_BIN"); bin != "" {
		return bin, complete(bin)
	}
	if os.Getenv("SURGEWALL_REQUIRE_ALL") == "1" {
		_, here, _, _ := runtime.Caller(0)
		cmd := exec.Command(filepath.Join(filepath.Dir(here), "../../../hack/kubernetes/build"), "server") //nolint:gosec // a script of this repository
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNotBuilt, err)
		}
		bin := strings.TrimSpace(string(out))
		return bin, complete(bin)
	}
	cache := os.Getenv("SURGEWALL_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", ErrNotBuilt
		}
		cache = filepath.Join(user, "surgewall")
	}
	var newest string
	var built time.Time
	marks, _ := filepath.Glob(filepath.Join(cache, "kubernetes-*", ".server")) // the build leaves it last
	for _, mark := range marks {
		if info, err := os.Stat(mark); err == nil && info.ModTime().After(built) {
			newest, built = filepath.Dir(mark), info.ModTime()
		}
	}
	if newest == "" {
		return "", ErrNotBuilt
	}
	return newest, complete(newest)
}

func complete(bin string) error {
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return ErrNotBuilt
		}
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) run(bin, name string, args ...string) error {
	p := &process{
		Cmd:  exec.Command(filepath.Join(bin, name), args...), //nolint:gosec // built from this repository
		done: make(chan struct{}),
	}
	p.Stdout, p.Stderr = &p.log, &p.log
	// A test that is killed takes them along.
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.Wait()
		close(p.done)
	}()
	s.processes = append(s.processes, p)
	return nil
}

func (s *Server) wait(limit time.Duration) error {
	client, err := rest.HTTPClientFor(s.Config(Admin))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v", limit)
		case <-s.processes[0].done:
			return errors.New("etcd ended")
		case <-s.processes[1].done:
			return errors.New("kube-apiserver ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Config is the access of a user.
func (s *Server) Config(user string) *rest.Config {
	return &rest.Config{
		Host: s.URL, BearerToken: user + "-token", TLSClientConfig: rest.TLSClientConfig{CAData: s.ca},
		QPS: 200, Burst: 400,
	}
}

// Kubeconfig writes a kubeconfig of a user for a namespace, and returns its path.
func (s *Server) Kubeconfig(t testing.TB, user, namespace string) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: s.ca}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: user + "-token"}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: namespace}
	c.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Pause stops the API server from answering; Resume lets it go on. Connections
// stay open meanwhile, as with a network that swallows packets.
func (s *Server) Pause() error { return s.processes[1].Process.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() error { return s.processes[1].Process.Signal(syscall.SIGCONT) }

// Stop ends the processes, the API server first, and removes their files.
func (s *Server) Stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].end()
	}
	_ = os.RemoveAll(s.dir)
}

func (p *process) end() {
	_ = p.Process.Kill()
	<-p.done
}

// tails is the end of each program's log, for an error. It ends the programs
// first: they write to what it reads.
func (s *Server) tails() string {
	var b strings.Builder
	for _, p := range s.processes {
		p.end()
		text := p.log.String()
		fmt.Fprintf(&b, "--- %s\n%s", filepath.Base(p.Path), text[max(0, len(text)-4000):])
	}
	return b.String()
}
