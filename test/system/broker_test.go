package system

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// TestBrokerDiesInTheSpike: without telemetry the fleet stays as it is, and viewers notice nothing.
func TestBrokerDiesInTheSpike(t *testing.T) {
	c := calm(t)
	x := send(t, c, load.Shape{Base: 40, Factor: 8, Jump: 5, Lead: 4 * time.Second, Ramp: 4 * time.Second, Hold: 60 * time.Second, Fall: 2 * time.Second, Calm: 5 * time.Second})
	sleep(t, time.Until(x.Onset))
	x.until("a scale-up", 20*time.Second, func(s cluster.Scale) bool { return s.Spec > x.before })
	x.until("4 Ready edges", 30*time.Second, func(s cluster.Scale) bool { return s.Ready >= 4 })

	brokers, err := c.Pods(t.Context(), "statefulset.kubernetes.io/pod-name="+cluster.Release+"-rabbitmq-0")
	if err != nil || len(brokers) != 1 {
		t.Fatalf("the broker's pod: %d of them, %v", len(brokers), err)
	}
	if err := c.KillPod(t.Context(), brokers[0].Name); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	x.logLost = true // the one broker has no volume
	noticed := false
	ready := awaitPod(t, c, brokers[0], time.Minute, func() {
		if f, err := c.Controller.Fleet(t.Context(), cluster.Fleet); err == nil && f.Signal.State != "LIVE" {
			noticed = true
		}
	})
	t.Logf("broker Ready again %v after it was killed", ready.Sub(killed).Round(100*time.Millisecond))
	if !noticed && ready.Sub(killed) > 8*time.Second {
		t.Error("the controller called the signal LIVE all through an outage")
	}
	err = cluster.Await(t.Context(), "telemetry from every edge", 30*time.Second, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		return err == nil && f.Signal.State == "LIVE" && f.Signal.Live == f.Signal.Known && f.Load.OfferedRPS > 100, err
	})
	if err != nil {
		t.Error(err)
	}
	back := time.Now()
	t.Logf("telemetry back %v after the broker", back.Sub(ready).Round(100*time.Millisecond))
	if took := back.Sub(ready); took > 5*time.Second {
		t.Errorf("telemetry took %v to come back, promised within 5s", took)
	}
	if x.line.Lowered(killed, back) {
		t.Errorf("the fleet was scaled in for want of data: %+v", x.line.All())
	}
	sleep(t, 2*time.Second)
	x.End = time.Now()
	x.end()
}

// awaitPod waits until another pod of the same name is Ready, and looks every 100 ms meanwhile.
func awaitPod(t *testing.T, c *cluster.Cluster, old corev1.Pod, limit time.Duration, look func()) time.Time {
	t.Helper()
	err := cluster.Await(t.Context(), "another "+old.Name, limit, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		look()
		pods, err := c.Pods(ctx, "statefulset.kubernetes.io/pod-name="+old.Name)
		if err != nil || len(pods) != 1 || pods[0].UID == old.UID {
			return false, err
		}
		return cluster.IsReady(pods[0]), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Now()
}
