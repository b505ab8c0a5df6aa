package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Install puts the origin and the chart on the cluster and waits until all of it is ready. Pods whose image has changed are replaced.
func (c *Cluster) Install(ctx context.Context, images Digests) error {
	if err := c.namespace(ctx); err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(c.Root, "hack", "demo", "origin.yaml"))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(manifest), "surgewall.io/image: dev", "surgewall.io/image: "+strconv.Quote(images["demo-origin"]))
	if _, err := output(ctx, c.Root, c.env, strings.NewReader(text), c.tool("kubectl"), "--namespace", Namespace, "apply", "-f", "-"); err != nil {
		return err
	}
	chart := filepath.Join(c.Root, "charts", "surgewall")
	args := []string{"upgrade", "--install", Release, chart, "--namespace", Namespace, "--wait", "--timeout", "300s",
		"--values", filepath.Join(chart, "ci", "kind-values.yaml"), "--values", filepath.Join(c.Root, "hack", "demo", "values.yaml")}
	for part, image := range map[string]string{"fleetDefaults": "surgewall", "shield": "surgewall", "controller": "surgewall", "broker.bundled": "rabbitmq"} {
		args = append(args, "--set-string", part+`.podAnnotations.surgewall\.io/image=`+images[image])
	}
	if text, err := output(ctx, c.Root, c.env, nil, c.tool("helm"), args...); err != nil {
		return errors.Join(fmt.Errorf("install the chart: %w\n%s", err, strings.TrimSpace(text)), c.diagnosis(ctx))
	}
	if _, err := c.Kubectl(ctx, "rollout", "status", "deployment,statefulset", "--timeout", "300s"); err != nil {
		return errors.Join(err, c.diagnosis(ctx))
	}
	return nil
}

// namespace makes the namespace, held to the restricted pod security standard.
func (c *Cluster) namespace(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
		"pod-security.kubernetes.io/warn":    "restricted",
	}}}
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Uninstall takes the chart and the origin away.
func (c *Cluster) Uninstall(ctx context.Context) error {
	_, err := output(ctx, c.Root, c.env, nil, c.tool("helm"), "uninstall", Release, "--namespace", Namespace, "--ignore-not-found", "--wait")
	return errors.Join(err, c.Kube.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{}))
}

// Ready waits until the controller sees every edge, is in command of the fleet, and edge and origin answer.
func (c *Cluster) Ready(ctx context.Context, limit time.Duration) error {
	last := ""
	err := Await(ctx, "a live fleet", limit, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		if _, err := c.Origin.Stats(ctx); err != nil {
			return false, err
		}
		f, err := c.Controller.Fleet(ctx, Fleet)
		if err != nil {
			return false, err
		}
		last = fmt.Sprintf("mode %s, leader %q, signal %s with %d of %d edges, %d of %d replicas ready", f.Mode, f.Leader, f.Signal.State, f.Signal.Live, f.Signal.Known, f.Replicas.Ready, f.Replicas.Spec)
		return f.Mode == "direct" && f.Leader != "" && f.Signal.State == "LIVE" && f.Replicas.Ready == f.Replicas.Spec && f.Replicas.Spec > 0, nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%w (%s)", err, last), c.diagnosis(context.WithoutCancel(ctx)))
	}
	return nil
}

// Progress says in one line how many pods are ready, and which are not.
func (c *Cluster) Progress(ctx context.Context) string {
	pods, err := c.Pods(ctx, "")
	if err != nil {
		return err.Error()
	}
	var waiting []string
	for _, p := range pods {
		if !IsReady(p) && p.DeletionTimestamp == nil {
			waiting = append(waiting, p.Name)
		}
	}
	return fmt.Sprintf("%d of %d pods ready; waiting for %s", len(pods)-len(waiting), len(pods), strings.Join(waiting, ", "))
}

// IsReady tells whether a pod gets requests.
func IsReady(p corev1.Pod) bool {
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// diagnosis is what to look at first when pods are not as they should be.
func (c *Cluster) diagnosis(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	pods, _ := c.Kubectl(ctx, "get", "pods", "-o", "wide")
	events, _ := c.Kubectl(ctx, "get", "events", "--sort-by=.lastTimestamp", "--field-selector=type=Warning")
	return fmt.Errorf("pods:\n%s\nwarnings:\n%s", strings.TrimSpace(pods), tail(events, 15))
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}
