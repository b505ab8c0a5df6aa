package system

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/demo/rush"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// patience is how long a test waits for what a cluster on a busy machine does sooner or later: pods that start, a fleet that shrinks, a policy that
// is taken. What takes how long is logged.
const patience = 3 * time.Minute

// asLongAsNeeded is the hold of a rush that the test ends when it has seen enough: a crowd that went home by the clock would make a slow machine's fleet
// shrink, and rightly so.
const asLongAsNeeded = 10 * time.Minute

// calmPolicy makes minutes into seconds, so that a test can wait for a scale-in.
func calmPolicy() map[string]string {
	return map[string]string{
		"mode": "direct", "preset": "rapid", "target-rps-per-edge": "80", "min-replicas": "2", "max-replicas": "6",
		"stable-window": "6s", "scale-down-hold": "8s", "scale-down-max-step": "100%", "tolerance": "0.05",
	}
}

var bring = sync.OnceValues(func() (*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 18*time.Minute)
	defer cancel()
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	if err := cluster.Deps(ctx, root, os.Stderr); err != nil {
		return nil, err
	}
	if err := cluster.Build(ctx, root, os.Stderr); err != nil {
		return nil, err
	}
	c, err := cluster.Up(ctx, root, os.Stderr)
	if err != nil {
		return nil, err
	}
	images, err := c.Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Install(ctx, images); err != nil {
		return nil, err
	}
	return c, c.Ready(ctx, patience)
})

// calm returns the cluster with Surgewall on it: policy as in calmPolicy, the fleet at its minimum, nothing counted at the origin.
func calm(t *testing.T) *cluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("the system test takes minutes: not with -short")
	}
	if os.Getenv("SURGEWALL_SYSTEM") != "1" {
		const missing = "the system test changes this machine (packages, Docker daemon, kind cluster), so it has to be asked for: make test-system, or SURGEWALL_SYSTEM=1"
		if os.Getenv("SURGEWALL_REQUIRE_ALL") == "1" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	c, err := bring()
	if err != nil {
		t.Fatalf("bring up the cluster: %v", err)
	}
	ctx, maxAge := t.Context(), 3600 // longer than any crowd stays
	if err := c.SetPolicy(ctx, calmPolicy()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(ctx, patience); err != nil {
		t.Fatal(err)
	}
	err = cluster.Await(ctx, "the fleet at its minimum", patience, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
		f, err := c.Controller.Fleet(ctx, cluster.Fleet)
		return err == nil && f.Replicas.Spec == 2 && f.Replicas.Ready == 2 && f.Signal.State == "LIVE", err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Who has yet to find its place in the log distrusts what it has stored then, and the crowd to come would see that.
	err = cluster.Await(ctx, "every edge and every shield to follow the content log", patience, 500*time.Millisecond, func(ctx context.Context) (bool, error) {
		edges, shields, err := c.Followers(ctx)
		if err == nil && !allFollow(edges, shields) {
			err = fmt.Errorf("edges %+v, shields %+v", edges, shields)
		}
		return err == nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Origin.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Origin.Control(ctx, api.OriginControl{MaxAgeS: &maxAge}); err != nil {
		t.Fatal(err)
	}
	return c
}

func allFollow(tiers ...[]cluster.Followed) bool {
	for _, replicas := range tiers {
		if len(replicas) == 0 || slices.ContainsFunc(replicas, func(f cluster.Followed) bool { return !f.Live }) {
			return false
		}
	}
	return true
}

// crowd is traffic on its way, with what a watch sees of the fleet meanwhile.
type crowd struct {
	*rush.Run
	t      *testing.T
	c      *cluster.Cluster
	tag    string
	line   *cluster.Timeline
	before int // replicas when it started
	// validations is how often a shield had to ask the origin whether what it has stored is still good, because updates may have been missed.
	validations uint64
	enough      context.CancelFunc
	wait        func() (load.Result, error)
}

// send starts a crowd of this shape, half of whose rush asks for one new object.
func send(t *testing.T, c *cluster.Cluster, shape load.Shape) *crowd {
	t.Helper()
	line, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x := &crowd{t: t, c: c, line: line, before: line.Now().Spec, tag: fmt.Sprintf("s%d", time.Now().UnixNano())}
	ctx, cancel := context.WithCancel(t.Context())
	x.enough = cancel
	var wait func() (load.Result, error)
	x.Run, wait, err = rush.Start(ctx, rush.Plan{
		Targets: []string{cluster.EdgeURL}, Origin: c.Origin, Controller: c.Controller, Fleet: cluster.Fleet, Shape: shape, ViralShare: 0.5, Tag: x.tag,
		OnLine: func(l rush.Line) { t.Log(l) },
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	x.wait = sync.OnceValues(wait)
	// A test that fails half way must not leave a crowd behind that logs to it.
	t.Cleanup(func() {
		cancel()
		x.wait()
	})
	return x
}

// until waits for a moment of the story, so long at most.
func (x *crowd) until(what string, limit time.Duration, met func(cluster.Scale) bool) time.Time {
	x.t.Helper()
	if err := cluster.Await(x.t.Context(), what, limit, 100*time.Millisecond, func(context.Context) (bool, error) { return met(x.line.Now()), nil }); err != nil {
		x.t.Errorf("%v (replicas %+v)", err, x.line.All())
	}
	return time.Now()
}

// end stops the crowd, if it has not ended, and holds it to what every crowd is promised: no failed request, one fetch per object.
func (x *crowd) end() load.Result {
	x.t.Helper()
	x.enough()
	result, err := x.wait()
	if err != nil {
		x.t.Fatal(err)
	}
	origin, err := rush.OriginPart(x.t.Context(), x.c.Origin, x.tag)
	if err != nil {
		x.t.Fatal(err)
	}
	if x.validations > 0 {
		x.t.Logf("with %d validations at most of each object: %d fetches per lifetime at most, %d of the viral object", x.validations, origin.MaxPerLifetime, origin.ViralFetches)
		for _, n := range []*uint64{&origin.MaxPerLifetime, &origin.ViralFetches} {
			if *n > 1 {
				*n = max(*n, 1+x.validations) - x.validations
			}
		}
	}
	r := receipt.Receipt{Load: result, Origin: origin}
	r.Judge()
	for _, text := range r.Broken {
		x.t.Error(text)
	}
	for _, text := range result.Examples {
		x.t.Log(text)
	}
	x.t.Logf("%d requests, %d failed, %d resent, peak %.0f/s, p99 %v, %d origin fetches", result.Completed, result.Failed, result.Resent, result.PeakRPS, result.P99, origin.Fetches)
	return result
}

func sleep(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal("the test was ended")
	case <-time.After(d):
	}
}
