// Package cluster brings Surgewall up on the kind cluster of this machine and watches it there, for the demo and the system test.
package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/surgewall/surgewall/hack/demo/api"
)

// Addresses and names that the kind configuration, the chart's values for it and the origin's manifest agree on.
const (
	EdgeURL       = "http://127.0.0.1:30080"
	OriginURL     = "http://127.0.0.1:30081"
	ControllerURL = "http://127.0.0.1:30082"

	Namespace = "surgewall"
	Release   = "surgewall"
	Fleet     = "edge"
)

// Cluster is the kind cluster with Surgewall on it. Its methods are safe for concurrent use.
type Cluster struct {
	Root       string // of the repository
	Out        io.Writer
	Kube       kubernetes.Interface
	Origin     api.Origin
	Controller api.Controller

	env []string // for kubectl, helm and the scripts
}

// Root finds the repository from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && bytes.HasPrefix(text, []byte("module github.com/surgewall/surgewall\n")) {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", fmt.Errorf("the working directory is not inside the repository of Surgewall")
	}
}

// Deps installs the Debian packages that the cluster needs, where they are missing.
func Deps(ctx context.Context, root string, out io.Writer) error {
	return run(ctx, root, os.Environ(), out, "hack/deps.sh", "cluster")
}

// Up starts the cluster, or finds it running, and connects to it.
func Up(ctx context.Context, root string, out io.Writer) (*Cluster, error) {
	if err := run(ctx, root, os.Environ(), out, "hack/kind/up"); err != nil {
		return nil, err
	}
	return Connect(ctx, root, out)
}

// Connect takes the cluster that is running.
func Connect(ctx context.Context, root string, out io.Writer) (*Cluster, error) {
	// The script quotes for a shell, so a shell reads it.
	text, err := output(ctx, root, os.Environ(), nil, "bash", "-c", `settings=$(hack/kind/env) && eval "$settings" && env -0`)
	if err != nil {
		return nil, fmt.Errorf("ask for the cluster's settings: %w", err)
	}
	c := &Cluster{Root: root, Out: out, Origin: OriginURL, Controller: ControllerURL}
	kubeconfig := ""
	scan := bufio.NewScanner(strings.NewReader(text))
	scan.Buffer(nil, 1<<20)
	scan.Split(splitAtZero)
	for scan.Scan() {
		c.env = append(c.env, scan.Text())
		if path, ok := strings.CutPrefix(scan.Text(), "KUBECONFIG="); ok {
			kubeconfig = path
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	if c.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return c, nil
}

func splitAtZero(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// Down deletes the cluster and stops what was started for it.
func (c *Cluster) Down(ctx context.Context) error {
	return run(ctx, c.Root, c.env, c.Out, "hack/kind/down")
}

// Kubectl runs kubectl in Surgewall's namespace and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return output(ctx, c.Root, c.env, nil, c.tool("kubectl"), append([]string{"--namespace", Namespace}, args...)...)
}

// tool finds a program on the cluster's PATH, which is not this process's.
func (c *Cluster) tool(name string) string {
	for _, setting := range slices.Backward(c.env) {
		path, ok := strings.CutPrefix(setting, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return file
			}
		}
	}
	return name
}

// Await asks again and again until check answers true, or for so long. The error says what was waited for and what check said last.
func Await(ctx context.Context, what string, limit, every time.Duration, check func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	for {
		done, err := check(ctx)
		if done && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("wait for %s: not after %v: %w", what, time.Since(start).Round(time.Second), err)
		case <-time.After(every):
		}
	}
}
