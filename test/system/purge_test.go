package system

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/object"
)

// TestAPurgeReachesEveryReplica: a purge that is asked for at the controllers' Service is applied by every edge and shield, and costs the origin
// one fetch. Who has no token is refused.
func TestAPurgeReachesEveryReplica(t *testing.T) {
	c := calm(t)
	ctx := t.Context()
	token, err := c.ContentToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	path := object.Path(fmt.Sprintf("purged-%d", time.Now().UnixNano()), 2<<10)
	url := "http://" + object.Host + path
	fetched := func(want uint64) {
		t.Helper()
		status, err := c.Ask(ctx, path, 30)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.Origin.Fetches(ctx, path); n != want || err != nil {
			t.Errorf("%d origin fetches (%v), want %d; the last answer has Cache-Status: %s", n, err, want, status)
		}
	}
	fetched(1)
	if _, err := c.Controller.Purge(ctx, "no-token", url); err == nil {
		t.Error("a purge without a token that the controller knows is taken")
	}
	fetched(1)
	from := time.Now()
	var u api.Update
	// Either controller may answer, and one that has just started may have no session with the broker yet.
	if err := cluster.Await(ctx, "a purge to be taken", patience, 500*time.Millisecond, func(ctx context.Context) (done bool, err error) {
		u, err = c.Controller.Purge(ctx, token, url)
		return err == nil, err
	}); err != nil {
		t.Fatal(err)
	}
	// What died in a test before this one counts for a minute: nobody knows whether it serves.
	err = cluster.Await(ctx, "the purge on every replica", 3*time.Minute, 100*time.Millisecond, func(ctx context.Context) (done bool, err error) {
		var now api.Update
		if now, err = c.Controller.Update(ctx, token, u.ID); err == nil { // the other controller may hear of it a moment later
			u = now
		}
		return u.State == "Complete", err
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, u)
	}
	roles := map[string]int{}
	for _, p := range u.Progress {
		if p.State != "applied" {
			t.Errorf("%s %s is %s, and the purge complete", p.Role, p.Pod, p.State)
		}
		roles[p.Role]++
	}
	if roles["edge"] < 2 || roles["shield"] < 2 {
		t.Errorf("applied by %v, want two edges and two shields at least", roles)
	}
	t.Logf("applied by %d replicas %v after %v", u.Applied, roles, time.Since(from).Round(time.Millisecond))
	fetched(2)
}
