package kube_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/kube"
	"github.com/surgewall/surgewall/controllers/kube/kubetest"
	"github.com/surgewall/surgewall/internal/testleak"
)

var server kubetest.Shared

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// place is a namespace of one test, with the Role bound to the users.
type place struct {
	t         *testing.T
	namespace string
	admin     kubernetes.Interface
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t}
	p.namespace, p.admin = server.Get(t).Namespace(t)
	return p
}

func (p *place) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) deployment(name string, replicas *int32) {
	p.t.Helper()
	labels := map[string]string{"app": name}
	_, err := p.admin.AppsV1().Deployments(p.namespace).Create(p.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "edge", Image: "edge"}}},
			},
		},
	}, metav1.CreateOptions{})
	p.check(err)
}

func (p *place) policy(name string, data map[string]string) {
	p.t.Helper()
	_, err := p.admin.CoreV1().ConfigMaps(p.namespace).Create(p.t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{kube.PolicyLabel: "true"}}, Data: data,
	}, metav1.CreateOptions{})
	p.check(err)
}

func (p *place) edit(name string, data map[string]string) {
	p.t.Helper()
	configMap, err := p.admin.CoreV1().ConfigMaps(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
	p.check(err)
	configMap.Data = data
	_, err = p.admin.CoreV1().ConfigMaps(p.namespace).Update(p.t.Context(), configMap, metav1.UpdateOptions{})
	p.check(err)
}

// pod makes a pod, as a ReplicaSet and a kubelet would.
func (p *place) pod(name string, ready bool) {
	p.t.Helper()
	pod, err := p.admin.CoreV1().Pods(p.namespace).Create(p.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{kube.FleetLabel: "edge"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "edge", Image: "edge"}}},
	}, metav1.CreateOptions{})
	p.check(err)
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(pod.CreationTimestamp.Add(7 * time.Second)),
	}}
	_, err = p.admin.CoreV1().Pods(p.namespace).UpdateStatus(p.t.Context(), pod, metav1.UpdateOptions{})
	p.check(err)
}

func (p *place) scale(name string) (replicas int32) {
	p.t.Helper()
	s, err := p.admin.AppsV1().Deployments(p.namespace).GetScale(p.t.Context(), name, metav1.GetOptions{})
	p.check(err)
	return s.Spec.Replicas
}

// described is what kubectl describe shows under Events.
func (p *place) described(kind, name string) []string {
	p.t.Helper()
	var uid string
	switch kind {
	case "ConfigMap":
		o, err := p.admin.CoreV1().ConfigMaps(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
		p.check(err)
		uid = string(o.UID)
	case "Deployment":
		o, err := p.admin.AppsV1().Deployments(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
		p.check(err)
		uid = string(o.UID)
	}
	list, err := p.admin.CoreV1().Events(p.namespace).List(p.t.Context(), metav1.ListOptions{
		FieldSelector: fmt.Sprintf("involvedObject.kind=%s,involvedObject.name=%s,involvedObject.uid=%s,involvedObject.namespace=%s", kind, name, uid, p.namespace),
	})
	p.check(err)
	var lines []string
	for _, e := range list.Items {
		lines = append(lines, e.Type+" "+e.Reason+" "+e.Message)
	}
	return lines
}

// patience is how long a test waits for what is going to happen: how quick it is on a machine that does something else as well is printed at most.
const patience = 2 * time.Minute

// received waits for what a handler of a watch sends.
func received[T any](t *testing.T, what string, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(patience):
		t.Fatalf("after %v still not told: %s", patience, what)
	}
	return got
}

// eventually waits for something that a watch or another process brings about.
func eventually(t *testing.T, what string, limit time.Duration, done func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !done() {
		if time.Since(start) > limit {
			t.Fatalf("after %v still not: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// start runs something until the returned stop, which waits for its end, or
// until the end of the test.
func start(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func ptr[T any](v T) *T { return &v }

func (p *place) cluster(user string, h kube.Handlers) *kube.Cluster {
	p.t.Helper()
	if h.Policy == nil {
		h.Policy = func(string, string, map[string]string) {}
	}
	if h.PolicyDeleted == nil {
		h.PolicyDeleted = func(string) {}
	}
	if h.Plans == nil {
		h.Plans = func(map[string]string) {}
	}
	if h.Deployment == nil {
		h.Deployment = func(string) {}
	}
	if h.Edited == nil {
		h.Edited = func(string, string) {}
	}
	if h.PodGone == nil {
		h.PodGone = func(string) {}
	}
	access, err := kube.Connect(server.Get(p.t).Kubeconfig(p.t, user, p.namespace), "", "test", zerolog.Nop())
	p.check(err)
	if access.Namespace != p.namespace {
		p.t.Fatalf("namespace %s, want the kubeconfig's %s", access.Namespace, p.namespace)
	}
	c, err := kube.New(access, user, "surgewall-plans", zerolog.Nop(), h)
	p.check(err)
	start(p.t, c.Run)
	eventually(p.t, "the watches have answered", patience, func() bool { return c.Ready() == nil })
	return c
}

func TestScaleIsReadAndWrittenWithItsVersion(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(3)))
	p.deployment("other", ptr(int32(3)))
	c := p.cluster("user-1", kube.Handlers{})
	ctx := t.Context()

	replicas, version, err := c.Scale(ctx, "surgewall-edge")
	if err != nil || replicas != 3 {
		t.Fatalf("%d replicas, %v", replicas, err)
	}
	p.check(c.SetScale(ctx, "surgewall-edge", version, 7))
	eventually(t, "the watch shows it", patience, func() bool {
		d, err := c.Deployment("surgewall-edge")
		return err == nil && d.Spec == 7
	})

	err = c.SetScale(ctx, "surgewall-edge", version, 9)
	var answer *kube.Error
	if !errors.As(err, &answer) || !answer.Conflict() || answer.NotFound() {
		t.Errorf("a write with an old version: %v, want a conflict", err)
	}
	if got := p.scale("surgewall-edge"); got != 7 {
		t.Errorf("%d replicas after the conflict", got)
	}

	_, err = c.Deployment("none")
	if !errors.As(err, &answer) || !answer.NotFound() {
		t.Errorf("a Deployment that does not exist: %v", err)
	}
	if _, _, err = c.Scale(ctx, "other"); !apierrors.IsForbidden(errors.Unwrap(err)) {
		t.Errorf("a Deployment that the Role does not list: %v, want forbidden", err)
	}
}

// TestADeploymentIsNotFoundBeforeItsPodsAreKnown gives a controller all but the pods: it must not decide on the edges that speak first.
func TestADeploymentIsNotFoundBeforeItsPodsAreKnown(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(3)))
	_, err := p.admin.RbacV1().Roles(p.namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "without-pods"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "watch"}},
		},
	}, metav1.CreateOptions{})
	p.check(err)
	_, err = p.admin.RbacV1().RoleBindings(p.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "without-pods"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "without-pods"},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: "user-3"}},
	}, metav1.CreateOptions{})
	p.check(err)
	access, err := kube.Connect(server.Get(t).Kubeconfig(t, "user-3", p.namespace), "", "test", zerolog.Nop())
	p.check(err)
	seen := make(chan string, 10)
	c, err := kube.New(access, "user-3", "surgewall-plans", zerolog.Nop(), kube.Handlers{Plans: func(map[string]string) {}, Edited: func(string, string) {}, Deployment: func(name string) { seen <- name }})
	p.check(err)
	start(t, c.Run)

	received(t, "the first list", seen)
	d, err := p.admin.AppsV1().Deployments(p.namespace).Get(t.Context(), "surgewall-edge", metav1.GetOptions{})
	p.check(err)
	d.Spec.Replicas = ptr(int32(5))
	_, err = p.admin.AppsV1().Deployments(p.namespace).Update(t.Context(), d, metav1.UpdateOptions{})
	p.check(err)
	received(t, "an event after it: the list is complete", seen)
	if d, err := c.Deployment("surgewall-edge"); err == nil {
		t.Errorf("%d replicas are asked for, with no pod known: want an error", d.Spec)
	}
}

func TestPodsAreMembers(t *testing.T) {
	p := newPlace(t)
	p.pod("edge-1", true)
	p.pod("edge-2", false)
	gone := make(chan string, 10)
	c := p.cluster("user-1", kube.Handlers{PodGone: func(fleet string) { gone <- fleet }})

	seen := map[string]bool{}
	if !c.Members("edge", func(pod string, ready, leaving bool) { seen[pod] = ready && !leaving }) {
		t.Fatal("the pods are not known")
	}
	if len(seen) != 2 || !seen["edge-1"] || seen["edge-2"] {
		t.Errorf("pods %v, want edge-1 Ready and edge-2 not", seen)
	}
	for pod, want := range map[string]bool{"edge-1": true, "stranger": false} {
		if member, known := c.IsMember("edge", pod); member != want || !known {
			t.Errorf("%s is a member: %v, known: %v", pod, member, known)
		}
	}
	if member, _ := c.IsMember("news", "edge-1"); member {
		t.Error("a pod is a member of another fleet")
	}
	if got := c.StartTime("edge"); got != 7*time.Second {
		t.Errorf("start time %v, want the 7 s between creation and readiness", got)
	}
	if got := c.StartTime("news"); got != 0 {
		t.Errorf("start time %v of a fleet without pods", got)
	}
	p.check(p.admin.CoreV1().Pods(p.namespace).Delete(t.Context(), "edge-1", metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(0))}))
	if fleet := received(t, "the end of a pod", gone); fleet != "edge" {
		t.Errorf("fleet %q", fleet)
	}
}

// loads is a Signals whose load the test sets.
type loads struct {
	mu  sync.Mutex
	rps float64
}

func (l *loads) Read(string, ingest.Clamp) ingest.Reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ingest.Reading{Signal: autoscale.Live, Known: 1, Live: 1, Offered: l.rps, Window: 1}
}

func (l *loads) Latency(string, float64) (p50, p99 time.Duration) { return 0, 0 }

func (l *loads) set(rps float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rps = rps
}

// controller is one replica of the controller, with everything but the bus.
type controller struct {
	*fleet.Manager
	lease *kube.Lease
	load  *loads
	stop  func() // in order: the fleets before the Lease
}

// knows waits until the model has watched the load for long enough to tell a rise from its noise.
func (c *controller) knows(t *testing.T) {
	t.Helper()
	eventually(t, "the level is known", patience, func() bool {
		s, _ := c.Status("edge")
		return s.Decision != nil && s.Decision.Inputs != nil && s.Decision.Inputs.SpanSeconds >= 4
	})
}

func (p *place) controller(user string) *controller {
	p.t.Helper()
	access, err := kube.Connect(server.Get(p.t).Kubeconfig(p.t, user, p.namespace), "", "test", zerolog.Nop())
	p.check(err)
	lease, err := kube.NewLease(access, "surgewall-controller", user, zerolog.Nop())
	p.check(err)
	c := &controller{lease: lease, load: &loads{rps: 350}}
	cluster, err := kube.New(access, user, "surgewall-plans", zerolog.Nop(), kube.Handlers{
		Plans:         func(texts map[string]string) { c.SetPlans(texts) },
		Policy:        func(f, rv string, data map[string]string) { c.SetPolicy(f, rv, data) },
		PolicyDeleted: func(f string) { c.DeletePolicy(f) },
		Deployment:    func(name string) { c.PokeTarget(name) },
		Edited:        func(name, by string) { c.Edited(name, by) },
		PodGone:       func(f string) { c.Poke(f) },
	})
	p.check(err)
	c.Manager = fleet.NewManager(fleet.Options{
		Namespace: access.Namespace, Scaler: cluster, Signals: c.load, Leadership: lease, Recorder: cluster, Plans: cluster,
		Sender: ingest.NewSender(user, "boot-0001"), Logger: zerolog.Nop(),
	})
	stopCluster, stopLease := start(p.t, cluster.Run), start(p.t, lease.Run)
	stopFleets := start(p.t, c.Run)
	c.stop = func() {
		stopFleets()
		stopLease()
		stopCluster()
	}
	return c
}

func TestAStepIsWrittenAndExplainedOnTheDeployment(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", nil) // no replicas, as the chart renders it
	p.policy("edge", map[string]string{"target-deployment": "surgewall-edge", "min-replicas": "4"})
	c := p.controller("user-1")
	eventually(t, "lifted to min-replicas", patience, func() bool { return p.scale("surgewall-edge") == 4 })
	c.knows(t)

	c.load.set(1500)
	c.Poke("edge")
	took := eventually(t, "raised to 15 at least", patience, func() bool { return p.scale("surgewall-edge") >= 15 })
	t.Logf("jump of the load to accepted scale write, without the bus: %v", took)
	eventually(t, "explained on the Deployment", patience, func() bool {
		return slices.ContainsFunc(p.described("Deployment", "surgewall-edge"), func(line string) bool {
			return strings.HasPrefix(line, "Normal SuccessfulRescale New size: ") && strings.Contains(line, " (was 4); reason: ") && strings.Contains(line, "1500 rps ")
		})
	})
}

func TestAPolicyEditIsTakenAtOnceAndABadOneIsExplained(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(4)))
	good := map[string]string{"target-deployment": "surgewall-edge", "target-rps-per-edge": "100"}
	p.policy("edge", good)
	c := p.controller("user-1")
	eventually(t, "leading", patience, c.lease.Leading)
	c.knows(t)

	edited := map[string]string{"target-deployment": "surgewall-edge", "target-rps-per-edge": "40"}
	p.edit("edge", edited)
	took := eventually(t, "more edges for a lower target", patience, func() bool { return p.scale("surgewall-edge") > 4 })
	t.Logf("edit of the ConfigMap to accepted scale write: %v", took)

	for _, bad := range []struct{ key, value, want string }{
		{"max-replicas", "banana", `max-replicas: "banana" is not a whole number; allowed: 1 to 5000 replicas`},
		{"min-replicas", "30", `min-replicas: "30" is more than max-replicas; allowed: 1 to max-replicas (20)`},
		{"max-replica", "9", `max-replica: "9" belongs to no known key; did you mean "max-replicas"?; allowed: the known keys`},
	} {
		data := map[string]string{bad.key: bad.value}
		for k, v := range edited {
			data[k] = v
		}
		p.edit("edge", data)
		want := "Warning PolicyRejected refused, the policy before stays in force: " + bad.want
		eventually(t, "describe shows "+want, patience, func() bool { return slices.Contains(p.described("ConfigMap", "edge"), want) })
		s, _ := c.Status("edge")
		if s.Policy.Values["target-rps-per-edge"] != "40" || s.Policy.Values["max-replicas"] != "20" {
			t.Errorf("a refused edit changed the policy: %v", s.Policy.Values)
		}
	}
	p.edit("edge", good)
	want := `Normal PolicyAccepted in force: target-rps-per-edge: "40" -> "100"`
	eventually(t, "describe shows "+want, patience, func() bool { return slices.Contains(p.described("ConfigMap", "edge"), want) })

	p.check(p.admin.CoreV1().ConfigMaps(p.namespace).Delete(t.Context(), "edge", metav1.DeleteOptions{}))
	eventually(t, "the deletion is seen", patience, func() bool {
		s, _ := c.Status("edge")
		return strings.Contains(s.Policy.Error, "deleted") && s.Policy.Values["target-rps-per-edge"] == "100"
	})
}

func TestTheLeaseIsHandedOver(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(4)))
	p.policy("edge", map[string]string{"target-deployment": "surgewall-edge"})
	first := p.controller("user-1")
	eventually(t, "the first leads", patience, first.lease.Leading)
	second := p.controller("user-2")
	eventually(t, "the second sees the first", patience, func() bool { return second.lease.Leader() == "user-1" })
	first.knows(t)
	second.knows(t)
	if second.lease.Leading() {
		t.Fatal("two leaders")
	}

	second.load.set(1500) // only the standby sees the spike: nothing may be written
	time.Sleep(1500 * time.Millisecond)
	if got := p.scale("surgewall-edge"); got != 4 {
		t.Fatalf("a standby wrote %d replicas", got)
	}
	first.stop()
	took := eventually(t, "the standby leads and writes", patience, func() bool { return p.scale("surgewall-edge") >= 15 })
	t.Logf("orderly stop of the leader to the standby's write: %v, wanted at most 3 s", took)
	if first.lease.Leading() {
		t.Error("the first still leads")
	}
}

func TestAnAPIServerThatHangsCostsTheLeadershipAndNothingElse(t *testing.T) {
	p := newPlace(t)
	p.deployment("surgewall-edge", ptr(int32(4)))
	p.policy("edge", map[string]string{"target-deployment": "surgewall-edge"})
	c := p.controller("user-1")
	eventually(t, "leading", patience, c.lease.Leading)
	c.knows(t)
	p.check(server.Get(t).Pause())
	paused := true
	defer func() {
		if paused {
			_ = server.Get(t).Resume()
		}
	}()
	c.load.set(1500)
	eventually(t, "it leads no more", patience, func() bool { return !c.lease.Leading() })
	p.check(server.Get(t).Resume())
	paused = false
	eventually(t, "the current decision is written", patience, func() bool { return p.scale("surgewall-edge") >= 15 })
}

func TestNoGoroutineStaysBehind(t *testing.T) {
	p := newPlace(t)
	ignore := goleak.IgnoreCurrent()
	c := p.controller("user-1")
	eventually(t, "leading", patience, c.lease.Leading)
	c.stop()
	err := testleak.Find(ignore, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"), goleak.IgnoreAnyFunction("net/http/internal/http2.(*ClientConn).readLoop"))
	if err != nil {
		t.Error(err)
	}
}
