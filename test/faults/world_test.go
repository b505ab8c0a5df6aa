package faults

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/kube/kubetest"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// password is that of every user. It is a word of its own, so that logs can be searched for it.
const password = "sesame-4711"

// world is one namespace and one virtual host, with users that may do what those of an installation may.
type world struct {
	*row
	broker    *testrabbit.Broker
	vhost     string
	server    *kubetest.Server
	namespace string
	admin     kubernetes.Interface
	passwords string // a directory with a file for each user
}

func newWorld(r *row, fleets ...string) *world {
	r.Helper()
	w := &world{row: r, server: shared.api.Get(r), passwords: r.TempDir()}
	if r.how&own != 0 {
		w.broker = testrabbit.Start(r)
	} else {
		w.broker = shared.broker.Get(r)
	}
	users := map[string]events.Role{"controller": events.ControllerRole()}
	for _, name := range fleets {
		users[name] = events.FleetRole()
	}
	w.vhost = w.broker.Prepared(r, password, users)
	for name := range users {
		w.setPassword(name, password)
	}
	w.namespace, w.admin = w.server.Namespace(r, fleets...)
	return w
}

// setPassword is what a user's processes read from now on.
func (w *world) setPassword(user, password string) {
	w.Helper()
	w.check(os.WriteFile(filepath.Join(w.passwords, user), []byte(password), 0o600))
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// quickly is a policy whose times suit a test.
func quickly(extra map[string]string) map[string]string {
	data := map[string]string{
		"target-rps-per-edge": "100", "min-replicas": "1", "max-replicas": "50", "stable-window": "5s", "scale-down-hold": "3s", "scale-down-max-step": "100%",
	}
	maps.Copy(data, extra)
	return data
}

// fleet makes the Deployment, the Ready pods and the policy of a fleet.
func (w *world) fleet(name string, pods int, data map[string]string) {
	w.Helper()
	replicas := int32(pods) //nolint:gosec // a handful
	labels := map[string]string{"surgewall.io/fleet": name}
	containers := []corev1.Container{{Name: "edge", Image: "edge"}}
	_, err := w.admin.AppsV1().Deployments(w.namespace).Create(w.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: containers}},
		},
	}, metav1.CreateOptions{})
	w.check(err)
	for i := range pods {
		w.pod(name, i, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	}
	w.setPolicy(name, data)
}

// pod makes a pod of a fleet with one condition; one that is Ready was so four seconds after it was made.
func (w *world) pod(fleetName string, i int, state corev1.PodCondition) {
	w.Helper()
	pods := w.admin.CoreV1().Pods(w.namespace)
	pod, err := pods.Create(w.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(fleetName, i), Labels: map[string]string{"surgewall.io/fleet": fleetName}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "edge", Image: "edge"}}},
	}, metav1.CreateOptions{})
	w.check(err)
	state.LastTransitionTime = metav1.NewTime(pod.CreationTimestamp.Add(4 * time.Second))
	pod.Status.Phase, pod.Status.Conditions = corev1.PodPending, []corev1.PodCondition{state}
	if state.Type == corev1.PodReady {
		pod.Status.Phase = corev1.PodRunning
	}
	_, err = pods.UpdateStatus(w.Context(), pod, metav1.UpdateOptions{})
	w.check(err)
}

func podName(fleetName string, i int) string { return fmt.Sprintf("%s-%d", fleetName, i) }

// setPolicy makes or edits the policy of a fleet.
func (w *world) setPolicy(name string, data map[string]string) {
	w.Helper()
	maps := w.admin.CoreV1().ConfigMaps(w.namespace)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"surgewall.io/policy": "true"}}, Data: data}
	if _, err := maps.Update(w.Context(), object, metav1.UpdateOptions{}); err == nil {
		return
	}
	_, err := maps.Create(w.Context(), object, metav1.CreateOptions{})
	w.check(err)
}

// replicas is what the API server has.
func (w *world) replicas(name string) int {
	w.Helper()
	return int(w.scale(name).Spec.Replicas)
}

func (w *world) scale(name string) *autoscalingv1.Scale {
	w.Helper()
	scale, err := w.admin.AppsV1().Deployments(w.namespace).GetScale(w.Context(), name, metav1.GetOptions{})
	w.check(err)
	return scale
}

// setReplicas is somebody else's write.
func (w *world) setReplicas(name string, n int) {
	w.Helper()
	for range 20 {
		scale := w.scale(name)
		scale.Spec.Replicas = int32(n) //nolint:gosec // a handful
		if _, err := w.admin.AppsV1().Deployments(w.namespace).UpdateScale(w.Context(), name, scale, metav1.UpdateOptions{}); err == nil {
			return
		}
	}
	w.Fatal("the scale cannot be written")
}

// holder is who holds the Lease.
func (w *world) holder() string {
	leases, err := w.admin.CoordinationV1().Leases(w.namespace).List(w.Context(), metav1.ListOptions{})
	w.check(err)
	for _, l := range leases.Items {
		if l.Spec.HolderIdentity != nil {
			return *l.Spec.HolderIdentity
		}
	}
	return ""
}

var _ coordinationv1.Lease // what holder lists

// controller is one replica with its own paths to the broker and to the API server.
type controller struct {
	*process
	w    *world
	name string
	link *link
	api  *apiProxy
}

// controller starts a replica.
func (w *world) controller(name string) *controller {
	w.Helper()
	c := &controller{w: w, name: name, link: newLink(w, w.broker.Addr()), api: newAPIProxy(w, w.server)}
	host, port := c.link.hostPort()
	c.process = launch(w, "controller", "--kubeconfig", w.kubeconfig(c.api.server.URL), "--replica", name,
		"--amqp-host", host, "--amqp-port", strconv.Itoa(port), "--amqp-vhost", w.vhost,
		"--amqp-username", "controller", "--amqp-password-file", filepath.Join(w.passwords, "controller"))
	return c
}

func (w *world) kubeconfig(server string) string {
	w.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: server}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: "user-1-token"}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: w.namespace}
	c.CurrentContext = "test"
	path := filepath.Join(w.TempDir(), "kubeconfig")
	w.check(clientcmd.WriteToFile(*c, path))
	return path
}

func (c *controller) status(name string) (status fleet.Status) {
	_, _ = ask(c.url+"/v1/fleets/"+name, &status) // nothing while it is not up
	return status
}

func (c *controller) signal(name string) string { return c.status(name).Signal.State }

func (c *controller) live(name string, limit time.Duration) time.Duration {
	c.t.Helper()
	return eventually(c.t, c.name+" says that "+name+" is LIVE", limit, func() bool { return c.signal(name) == "LIVE" })
}

// leads waits until it holds the Lease and is LIVE.
func (c *controller) leads(name string) {
	c.t.Helper()
	c.live(name, 2*time.Minute)
	eventually(c.t, c.name+" leads", 2*time.Minute, func() bool { return c.status(name).IsLeader })
}

// knows waits until it decides on this load, and has seen enough of it to tell a rise from it.
func (c *controller) knows(name string, rps float64) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%s knows the %.0f rps of %s", c.name, rps, name), 2*time.Minute, func() bool {
		d := c.status(name).Decision
		return d != nil && d.Inputs != nil && math.Abs(d.Inputs.Level-rps) < 0.05*rps && d.Inputs.SpanSeconds >= 3
	})
}

// edge starts a real edge in front of an origin, on its own path to the broker.
func (w *world) edge(fleetName string, i int, origin string) (*process, *link) {
	w.Helper()
	l := newLink(w, w.broker.Addr())
	host, port := l.hostPort()
	// Whoever asks whether it is ready has to hear of its end within the drain delay, with five other rows on the same two cores.
	p := launch(w, "edge", "--origin", origin, "--fleet", fleetName, "--pod", podName(fleetName, i), "--drain-delay", "3s",
		"--amqp-host", host, "--amqp-port", strconv.Itoa(port), "--amqp-vhost", w.vhost,
		"--amqp-username", fleetName, "--amqp-password-file", filepath.Join(w.passwords, fleetName))
	eventually(w, "the edge is ready", 2*time.Minute, p.ready)
	return p, l
}

// condition is the reason of a condition, and whether it holds.
func condition(s fleet.Status, name string) (holds bool, reason string) {
	for _, c := range s.Conditions {
		if strings.EqualFold(c.Type, name) {
			return c.Status == "True", c.Reason
		}
	}
	return false, ""
}
