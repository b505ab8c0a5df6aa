package system

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// TestSpike is the story that Surgewall is for: edges come with the crowd and go after it, the origin does not notice, nobody is cut off.
func TestSpike(t *testing.T) {
	c := calm(t)
	old, err := c.Edges(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x := send(t, c, load.Shape{Base: 40, Factor: 10, Jump: 5, Lead: 4 * time.Second, Ramp: 8 * time.Second, Hold: asLongAsNeeded})
	sleep(t, time.Until(x.Onset))
	written := x.until("a scale-up", patience, func(s cluster.Scale) bool { return s.Spec > x.before })
	ready := x.until("5 Ready edges for 400 requests a second at 80 each", patience, func(s cluster.Scale) bool { return s.Ready >= 5 })
	t.Logf("onset to write %v, to 5 Ready edges %v", written.Sub(x.Onset).Round(time.Millisecond), ready.Sub(x.Onset).Round(time.Millisecond))

	// Connections are closed after some seconds, so new edges get their share of a crowd that is there already.
	sleep(t, 15*time.Second)
	x.End = time.Now()
	edges, err := c.Edges(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pods []receipt.Pod
	for _, e := range edges {
		if served(e) < 10*time.Second {
			continue // there for a moment, or on its way out
		}
		var n uint64
		err := cluster.Await(t.Context(), "the requests of "+e.Name, 30*time.Second, time.Second, func(ctx context.Context) (bool, error) {
			var err error
			n, err = c.Requests(ctx, e.Name)
			return err == nil, err
		})
		if err != nil {
			t.Error(err)
			continue
		}
		isNew := !slices.ContainsFunc(old, func(o corev1.Pod) bool { return o.Name == e.Name })
		t.Logf("edge %s (new: %v) answered %d", e.Name, isNew, n)
		pods = append(pods, receipt.Pod{Name: e.Name, Requests: n, New: isNew, Served: load.Duration(served(e))})
	}
	broken, note := receipt.NewEdges(pods, load.Duration(x.End.Sub(written)))
	if broken != "" {
		t.Error(broken)
	}
	if note != "" {
		t.Log(note)
	}

	// Who stays when the rush is over must not notice that edges go.
	rest := send(t, c, load.Shape{Base: 40, Factor: 1, Lead: time.Second, Hold: asLongAsNeeded})
	sleep(t, 2*time.Second)
	x.end()
	ended := time.Now()
	in := rest.until("the scale-in", patience, func(s cluster.Scale) bool { return s.Spec <= x.before && s.Ready <= x.before })
	t.Logf("end of rush to scaled in %v", in.Sub(ended).Round(time.Millisecond))
	sleep(t, 5*time.Second) // of calm for the edges that are draining
	rest.End = time.Now()
	rest.end()
}

// TestScaleInCutsNobodyOff takes most of the fleet away under steady load.
func TestScaleInCutsNobodyOff(t *testing.T) {
	c := calm(t)
	policy := calmPolicy()
	policy["min-replicas"] = "6"
	if err := c.SetPolicy(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	line, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitReady(t, line, 6)
	x := send(t, c, load.Shape{Base: 140, Factor: 1, Lead: 3 * time.Second, Hold: asLongAsNeeded})
	sleep(t, 8*time.Second) // so that every edge holds connections
	if err := c.SetPolicy(t.Context(), calmPolicy()); err != nil {
		t.Fatal(err)
	}
	x.until("the scale-in", patience, func(s cluster.Scale) bool { return s.Spec == 2 && s.Ready == 2 })
	sleep(t, 6*time.Second)
	x.End = time.Now() // the rest of the crowd is not needed
	x.end()
}

// served is for how long a pod has been Ready and wanted; 0 when it is not.
func served(p corev1.Pod) time.Duration {
	if p.DeletionTimestamp != nil || !cluster.IsReady(p) {
		return 0
	}
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return time.Since(condition.LastTransitionTime.Time)
		}
	}
	return 0
}
