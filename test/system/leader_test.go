package system

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// TestStandbyTakesOver kills the leading controller in the calm, and lets the spike come right after.
func TestStandbyTakesOver(t *testing.T) {
	c := calm(t)
	ctx := t.Context()
	old, err := leaderView(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := c.Pods(ctx, "app.kubernetes.io/component=controller")
	if err != nil {
		t.Fatal(err)
	}
	leader := ""
	for _, p := range pods {
		if strings.HasPrefix(old.leader, p.Name) {
			leader = p.Name
		}
	}
	if leader == "" {
		t.Fatalf("no pod of %d is the leader %q", len(pods), old.leader)
	}
	x := send(t, c, load.Shape{Base: 40, Factor: 8, Jump: 8, Lead: 6 * time.Second, Hold: asLongAsNeeded})
	sleep(t, 3*time.Second)
	if err := c.KillPod(ctx, leader); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	err = cluster.Await(ctx, "another leader", patience, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		return err == nil && f.IsLeader && f.Leader != old.leader, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("another leader %v after the old one was killed", time.Since(killed).Round(100*time.Millisecond))
	written := x.until("a scale-up by the new leader", patience, func(s cluster.Scale) bool { return s.Spec > x.before })
	t.Logf("scale-up %v after the onset, %v after the leader's death", written.Sub(x.Onset).Round(100*time.Millisecond), written.Sub(killed).Round(100*time.Millisecond))
	if x.line.Lowered(killed, written) {
		t.Errorf("the change of leaders scaled the fleet in: %+v", x.line.All())
	}
	x.until("4 Ready edges", patience, func(s cluster.Scale) bool { return s.Ready >= 4 })
	x.End = time.Now()
	x.end()
}
