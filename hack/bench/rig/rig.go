// Package rig is what the measuring tools of the autoscaler share: a private
// RabbitMQ, a real API server, and the controller's own program between them, as
// a process of its own.
package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/kube/kubetest"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// Main runs a tool below a *testing.T, which the broker and the API server of
// the tests want, and ends the process. testing.Main is the only way to one
// outside go test; it parses os.Args and prints PASS, neither of which is for the
// caller. An error is printed after the tool's name.
func Main(name string, tool func(t *testing.T, out io.Writer) error) {
	out := os.Stdout
	os.Args = os.Args[:1]
	os.Stdout, _ = os.Open(os.DevNull)
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: name,
		F: func(t *testing.T) {
			var failed error
			defer func() {
				// What the parts say when they are missing would go to where PASS goes.
				if failed == nil && (t.Skipped() || t.Failed()) {
					fmt.Fprintf(os.Stderr, "%s: cannot be measured here: it needs RabbitMQ (hack/deps.sh test) and an API server (hack/kubernetes/build server)\n", name)
				}
				if failed != nil || t.Skipped() {
					t.Fail()
				}
			}()
			if err := tool(t, out); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
				failed = err
			}
		},
	}}, nil, nil)
}

// Rig is a running broker, API server and namespace. It lives as long as the
// test that it was made for.
type Rig struct {
	Namespace string
	Client    kubernetes.Interface

	t      testing.TB
	server *kubetest.Server
	broker *testrabbit.Broker
	vhost  string
	dir    string
}

// New starts broker and API server.
func New(t testing.TB) (*Rig, error) {
	r := &Rig{t: t, dir: t.TempDir(), broker: testrabbit.Start(t)}
	var err error
	if r.server, err = kubetest.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(r.server.Stop)
	r.vhost = r.broker.VHost(t)
	r.broker.Declare(t, r.vhost)
	r.broker.User(t, r.vhost, events.ControllerRole(), "controller", "secret")

	config := r.server.Config(kubetest.Admin)
	config.QPS, config.Burst = 2000, 2000
	if r.Client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	ctx := t.Context()
	ns, err := r.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make a namespace: %w", err)
	}
	r.Namespace = ns.Name
	// What it may do is tested elsewhere; here it is the administrator of its namespace.
	_, err = r.Client.RbacV1().RoleBindings(r.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "controller"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: "user-1"}},
	}, metav1.CreateOptions{})
	return r, err
}

// Controller is a running controller process.
type Controller struct {
	API, Admin string // URLs
	PID        int
}

// Controller builds cmd/controller and runs it with these further arguments; env
// is added to its environment. Its log goes to a file, of the rig's own when the
// name is empty.
func (r *Rig) Controller(logFile string, env []string, args ...string) (*Controller, error) {
	binary := filepath.Join(r.dir, "controller")
	// As it is shipped, or its pages would be others.
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/surgewall/surgewall/cmd/controller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the controller: %w\n%s", err, text)
	}
	ports, err := free(2)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, append([]string{
		"--listen", ports[0], "--admin-listen", ports[1], "--replica", "bench",
		"--kubeconfig", r.server.Kubeconfig(r.t, "user-1", r.Namespace), "--amqp-url", r.broker.URL("controller", "secret", r.vhost),
	}, args...)...) //nolint:gosec // built above
	if logFile == "" {
		logFile = filepath.Join(r.dir, "controller.log")
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the controller: %w", err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	c := &Controller{API: "http://" + ports[0], Admin: "http://" + ports[1], PID: cmd.Process.Pid}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err = c.Get("/v1/fleets", new(fleet.FleetList)); err == nil {
			return c, nil
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("the controller does not answer: %w\n%s", err, tail(text))
		}
	}
}

func tail(text []byte) []byte { return text[max(0, len(text)-2000):] }

// Get reads JSON from the controller's API.
func (c *Controller) Get(path string, into any) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(c.API + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

// Live waits until all of these many fleets are LIVE.
func (c *Controller) Live(ctx context.Context, names map[string]bool) error {
	for {
		var list fleet.FleetList
		live, why := 0, ""
		err := c.Get("/v1/fleets", &list)
		for _, s := range list.Fleets {
			switch {
			case !names[s.Fleet]:
			case s.Signal.State == "LIVE":
				live++
			default:
				why = fmt.Sprintf("%s is %s: %d of %d edges heard", s.Fleet, s.Signal.State, s.Signal.Live, s.Signal.Known)
			}
		}
		if live == len(names) {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				why = err.Error()
			}
			return fmt.Errorf("%d of %d fleets are LIVE; %s", live, len(names), why)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// Pod is the name of one edge of a fleet.
func Pod(fleet string, i int) string { return fmt.Sprintf("%s-%d", fleet, i) }

// Fleet makes the Deployment, its Ready pods and the policy of a fleet. The pods
// took four seconds to start.
func (r *Rig) Fleet(ctx context.Context, name string, pods int, data map[string]string) error {
	replicas, labels := int32(pods), map[string]string{"surgewall.io/fleet": name}
	containers := []corev1.Container{{Name: "edge", Image: "edge"}}
	_, err := r.Client.AppsV1().Deployments(r.Namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: containers}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make the Deployment %s: %w", name, err)
	}
	group, podCtx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range pods {
		group.Go(func() error {
			pod, err := r.Client.CoreV1().Pods(r.Namespace).Create(podCtx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: Pod(name, i), Labels: labels}, Spec: corev1.PodSpec{Containers: containers},
			}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			pod.Status.Phase = corev1.PodRunning
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(pod.CreationTimestamp.Add(4 * time.Second))}}
			_, err = r.Client.CoreV1().Pods(r.Namespace).UpdateStatus(podCtx, pod, metav1.UpdateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("make the pods of %s: %w", name, err)
	}
	_, err = r.Client.CoreV1().ConfigMaps(r.Namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"surgewall.io/policy": "true"}}, Data: data,
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make the policy of %s: %w", name, err)
	}
	return nil
}

// Users makes the users of fleets: who speaks for one is checked.
func (r *Rig) Users(fleets ...string) {
	r.broker.Users(r.t, r.vhost, events.FleetRole(), "secret", fleets...)
}

// Publisher is a connection of its own to the broker as the user of a fleet,
// closed by the function.
func (r *Rig) Publisher(fleet string) (*rabbitmq.Publisher, func(), error) {
	p, err := rabbitmq.NewPublisher(rabbitmq.Options{URL: r.broker.URL(fleet, "secret", r.vhost), Name: fleet, Logger: zerolog.Nop()})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	return p, func() { cancel(); running.Wait() }, nil
}

// free are addresses of the loopback that nobody listens on.
func free(n int) (out []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// CPU is the processor time that a process has used.
func CPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, fmt.Errorf("read the processor time of %d: %w", pid, err)
	}
	return time.Duration(user+system) * (time.Second / 100), nil // USER_HZ is 100 on every Linux
}

// Memory is what a process has in memory, in bytes.
type Memory struct {
	Now, Most int64 // resident now, and the most that ever was
	File      int64 // part of Now that is pages of files, its own program's: the kernel may take them back
}

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &m.Now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &m.Most)
		_, _ = fmt.Sscanf(line, "RssFile: %d kB", &m.File)
	}
	return Memory{m.Now << 10, m.Most << 10, m.File << 10}, nil
}
