package system

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// TestNodeDies takes away the node on which half of the edges and one controller run. What is silent is not idle: no scale-in, and when the
// node is back the fleet is whole without anybody's hand.
func TestNodeDies(t *testing.T) {
	c := calm(t)
	ctx := t.Context()
	line, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	spread(t, c)
	// A test before this one has killed one of them.
	err = cluster.Await(ctx, "the controllers on two nodes", patience, 500*time.Millisecond, func(ctx context.Context) (bool, error) {
		controllers, err := c.Pods(ctx, "app.kubernetes.io/component=controller")
		if err == nil && (len(controllers) != 2 || controllers[0].Spec.NodeName == controllers[1].Spec.NodeName) {
			err = errors.New(places(controllers))
		}
		return err == nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if err := c.KillNode(ctx, cluster.Worker); err != nil {
		t.Fatal(err)
	}
	back := false
	t.Cleanup(func() {
		if back {
			return
		}
		ctx := context.WithoutCancel(ctx)
		if err := errors.Join(c.StartNode(ctx, cluster.Worker), c.Ready(ctx, patience)); err != nil {
			t.Errorf("the node for those who come after: %v", err)
		}
	})
	// Half of the connections still go to the controller that is gone, until its node is called NotReady.
	err = cluster.Await(ctx, "a leader that misses edges", patience, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		return err == nil && f.IsLeader && f.Signal.State != "LIVE", err
	})
	if err != nil {
		pods, _ := c.Pods(ctx, "app.kubernetes.io/part-of=surgewall")
		t.Fatalf("%v; pods: %s", err, places(pods))
	}
	t.Logf("a leader misses edges %v after the node was killed", time.Since(killed).Round(100*time.Millisecond))
	sleep(t, 10*time.Second)

	started := time.Now()
	if err := c.StartNode(ctx, cluster.Worker); err != nil {
		t.Fatal(err)
	}
	back = true
	if err := c.Ready(ctx, patience); err != nil {
		t.Fatal(err)
	}
	err = cluster.Await(ctx, "telemetry from every edge", patience, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		return err == nil && f.Signal.State == "LIVE" && f.Signal.Live == f.Signal.Known && f.Replicas.Ready >= 2, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("LIVE again %v after the node was started", time.Since(started).Round(100*time.Millisecond))
	if line.Lowered(killed, time.Now()) {
		t.Errorf("the fleet was scaled in for want of data: %+v", line.All())
	}
	x := send(t, c, load.Shape{Base: 40, Factor: 1.2, Lead: 4 * time.Second, Hold: 6 * time.Second, Calm: time.Second})
	sleep(t, time.Until(x.Onset)+4*time.Second)
	x.End = time.Now()
	x.end()
}

// spread waits until the edges are on both nodes. What a scale-in leaves may be on one of them: then one edge moves. An edge that is being deleted
// is none: nobody misses it.
func spread(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	err := cluster.Await(t.Context(), "edges on both nodes", patience, time.Second, func(ctx context.Context) (bool, error) {
		edges, err := c.Edges(ctx)
		if err != nil {
			return false, err
		}
		edges = slices.DeleteFunc(edges, func(e corev1.Pod) bool { return e.DeletionTimestamp != nil })
		on := map[string]int{}
		for _, e := range edges {
			if !slices.ContainsFunc(e.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }) {
				return false, nil
			}
			on[e.Spec.NodeName]++
		}
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		if err != nil || len(edges) != 2 || f.Signal.State != "LIVE" || f.Signal.Live != 2 || f.Replicas.Ready != 2 {
			return false, err
		}
		if len(on) == 2 {
			return true, nil
		}
		return false, c.KillPod(ctx, edges[0].Name)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// places is which pod is on which node, in which phase.
func places(pods []corev1.Pod) string {
	all := make([]string, 0, len(pods))
	for _, p := range pods {
		all = append(all, fmt.Sprintf("%s on %s (%s)", p.Name, p.Spec.NodeName, p.Status.Phase))
	}
	return strings.Join(all, ", ")
}
