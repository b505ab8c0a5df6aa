package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/demo/rush"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// targetRPS and lowerRPS are the policy's target before and after the edit in mid-run.
const (
	targetRPS = 100
	lowerRPS  = 80
)

// kindShape is a kick-off, compressed: ×5 at once, as a push notification brings it, and ×10 within 20 s. Two cores take 600 requests a
// second together with the cluster that they are for. The calm after it ends some seconds after the scale-in: how long that may take at most is here.
var kindShape = load.Shape{
	Base: 60, Factor: 10, Jump: 5, Lead: 12 * time.Second, Ramp: 20 * time.Second, Hold: 14 * time.Second, Fall: 4 * time.Second, Calm: patience,
}

// patience is how long the demo waits for what a cluster on a busy machine does sooner or later; the receipt says how long it took.
const patience = 3 * time.Minute

// policy makes minutes into seconds, so that a scale-in can be waited for, and does not pass over a sixth edge that five could do without:
// one sees each of so few.
var policy = map[string]string{
	"mode": "direct", "preset": "rapid", "target-rps-per-edge": fmt.Sprint(targetRPS), "min-replicas": "2", "max-replicas": "8",
	"stable-window": "6s", "scale-down-hold": "8s", "scale-down-max-step": "100%", "tolerance": "0.05",
}

// prepare brings everything up.
func (d *demo) prepare(ctx context.Context) (*cluster.Cluster, error) {
	if err := d.phase("deps", "Debian packages that the cluster needs", func() error { return cluster.Deps(ctx, d.root, d.out) }); err != nil {
		return nil, err
	}
	if err := d.phase("images", "container images, without Docker", func() error {
		return errors.Join(cluster.Build(ctx, d.root, d.out), cluster.BuildSurgectl(ctx, d.root, d.out))
	}); err != nil {
		return nil, err
	}
	var c *cluster.Cluster
	err := d.phase("cluster", "Kubernetes in Docker, two nodes", func() (err error) {
		c, err = cluster.Up(ctx, d.root, d.out)
		return err
	})
	if err != nil {
		return nil, err
	}
	var images cluster.Digests
	if err := d.phase("load", "images to the nodes", func() (err error) {
		images, err = c.Load(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	return c, d.phase("install", "origin, RabbitMQ, shield, edges, controller", func() error {
		if err := d.noting(func() string { return c.Progress(ctx) }, func() error { return c.Install(ctx, images) }); err != nil {
			return err
		}
		if err := c.Ready(ctx, patience); err != nil {
			return err
		}
		if err := c.AwaitFollowers(ctx, patience); err != nil {
			return err
		}
		if err := c.SetPolicy(ctx, policy); err != nil {
			return err
		}
		// A run before this one may have left more edges than the calm needs.
		return cluster.Await(ctx, "the fleet at its minimum", patience, 250*time.Millisecond, func(ctx context.Context) (bool, error) {
			f, err := c.Controller.Fleet(ctx, cluster.Fleet)
			return err == nil && f.Replicas.Spec == 2 && f.Replicas.Ready == 2, err
		})
	})
}

func (d *demo) runKind(ctx context.Context) (receipt.Receipt, error) {
	r := receipt.Receipt{Where: "kind"}
	c, err := d.prepare(ctx)
	if err != nil {
		return r, err
	}
	if !d.keep {
		defer c.Down(context.WithoutCancel(ctx))
	} else {
		defer d.say("the cluster stays up: eval \"$(hack/kind/env)\" for kubectl; make clean-demo takes everything away")
	}
	err = d.phase("crowd", fmt.Sprintf("calm, x%.0f in %.0f s with half of it for one new object, calm", kindShape.Factor, kindShape.Ramp.Seconds()), func() error {
		return d.crowd(ctx, c, &r)
	})
	if err != nil {
		return r, err
	}
	return r, d.phase("operate", "an object is purged everywhere, and the fleet says why it has its size", func() error { return d.operate(ctx, c, &r) })
}

// crowd sends the crowd and fills the receipt.
func (d *demo) crowd(ctx context.Context, c *cluster.Cluster, r *receipt.Receipt) error {
	shape := kindShape
	if d.quick {
		shape.Lead, shape.Ramp, shape.Hold = 6*time.Second, 10*time.Second, 10*time.Second
	}
	maxAge := 600 // longer than the crowd stays
	if err := errors.Join(c.Origin.Reset(ctx), c.Origin.Control(ctx, api.OriginControl{MaxAgeS: &maxAge})); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	line, err := c.Watch(watching)
	if err != nil {
		return err
	}
	before, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	edges, err := c.Edges(ctx)
	if err != nil {
		return err
	}
	pods := newPodWatch(c)
	for _, e := range edges {
		pods.old = append(pods.old, e.Name)
	}

	sending, enough := context.WithCancel(ctx)
	defer enough()
	tag := fmt.Sprintf("r%d", time.Now().Unix())
	run, wait, err := rush.Start(sending, rush.Plan{
		Targets: []string{cluster.EdgeURL}, Origin: c.Origin, Controller: c.Controller, Fleet: cluster.Fleet, Shape: shape, ViralShare: 0.5, Tag: tag,
		OnLine: func(l rush.Line) { fmt.Fprintln(d.out, l) },
	})
	if err != nil {
		return err
	}
	var beside sync.WaitGroup
	beside.Go(func() { pods.run(watching) })
	beside.Go(func() { r.Policy = d.edit(watching, c, run.Onset.Add(shape.Ramp+shape.Hold/4)) })
	beside.Go(func() {
		// A few seconds more of calm after the scale-in show that nobody was cut off by it.
		if scaledIn(watching, line, run.End.Add(shape.Fall), line.Now().Spec) {
			pause(watching, 4*time.Second)
			enough()
		}
	})
	r.Load, err = wait()
	stop()
	beside.Wait()
	if err != nil {
		return err
	}
	r.PerPod = pods.list()
	r.Scaling = scaling(line, run, shape)
	if after, err := c.Leader(ctx); err == nil {
		r.Events = eventsBetween(before, after)
	} else {
		r.Events = &receipt.Events{Unknown: err.Error()}
	}
	r.Origin, err = rush.OriginPart(ctx, c.Origin, tag)
	return err
}

// eventsBetween is what became of the telemetry between two answers of the leader. Every replica counts for itself, from its own start.
func eventsBetween(before, after api.Fleet) *receipt.Events {
	if before.Leader != after.Leader {
		return &receipt.Events{Unknown: fmt.Sprintf("the leader changed from %s to %s", before.Leader, after.Leader)}
	}
	e := &receipt.Events{Lost: after.Signal.Lost - before.Signal.Lost, Dropped: map[string]uint64{}}
	restarted := after.Signal.Lost < before.Signal.Lost
	for reason, n := range before.Signal.Dropped {
		restarted = restarted || after.Signal.Dropped[reason] < n
	}
	if restarted {
		return &receipt.Events{Unknown: fmt.Sprintf("the leader %s was started again", after.Leader)}
	}
	for reason, n := range after.Signal.Dropped {
		if n > before.Signal.Dropped[reason] {
			e.Dropped[reason] = n - before.Signal.Dropped[reason]
		}
	}
	return e
}

// edit lowers the policy's target when the time has come, as an operator would, and waits until the controller has it in force.
func (d *demo) edit(ctx context.Context, c *cluster.Cluster, at time.Time) *receipt.PolicyEdit {
	e := &receipt.PolicyEdit{Key: "target-rps-per-edge", From: fmt.Sprint(targetRPS), To: fmt.Sprint(lowerRPS), Took: -1}
	if !pause(ctx, time.Until(at)) {
		return e
	}
	d.say("kubectl patch configmap %s --type merge -p '{\"data\":{\"%s\":\"%s\"}}'", cluster.Fleet, e.Key, e.To)
	version, err := c.Patch(ctx, map[string]*string{e.Key: &e.To})
	if err != nil {
		d.say("the edit failed: %v", err)
		return e
	}
	e.ResourceVersion = version
	accepted := time.Now()
	if err := c.AwaitPolicy(ctx, version, 30*time.Second); err != nil {
		d.say("%v", err)
		return e
	}
	e.Took = load.Duration(time.Since(accepted))
	d.say("the running controller has %s = %s in force (resource version %s), %v after the API server accepted it", e.Key, e.To, version, e.Took)
	return e
}

// scaledIn waits until no more replicas are wanted and there than before the spike.
func scaledIn(ctx context.Context, line *cluster.Timeline, from time.Time, before int) bool {
	if !pause(ctx, time.Until(from)) {
		return false
	}
	for pause(ctx, 250*time.Millisecond) {
		if now := line.Now(); now.Spec <= before && now.Ready <= before {
			return true
		}
	}
	return false
}

// scaling reads the story of the replicas out of the timeline.
func scaling(line *cluster.Timeline, run *rush.Run, shape load.Shape) *receipt.Scaling {
	all := line.All()
	s := &receipt.Scaling{Before: all[0].Spec, After: line.Now().Spec, OnsetToWrite: -1, OnsetToReady: -1, ScaleIn: -1, Rush: load.Duration(run.End.Sub(run.Onset))}
	for _, one := range all {
		if !one.At.After(run.Onset) {
			s.Before = one.Spec
		}
	}
	s.Peak = line.Peak(run.Onset, run.End.Add(shape.Fall))
	if w, ok := line.First(run.Onset, func(x cluster.Scale) bool { return x.Spec > s.Before }); ok {
		s.OnsetToWrite = load.Duration(w.At.Sub(run.Onset))
	}
	if w, ok := line.First(run.End, func(x cluster.Scale) bool { return x.Spec <= s.Before }); ok && s.Peak > s.Before {
		s.ScaleIn = load.Duration(w.At.Sub(run.End))
	}
	capacity(s, all, run, shape)
	return s
}

// capacity compares, step by step through the rush, the edges that the offered rate needs with those that were Ready. The target is the one
// from before the edit.
func capacity(s *receipt.Scaling, all []cluster.Scale, run *rush.Run, shape load.Shape) {
	curve, err := load.Profile{Shape: shape}.Curve()
	if err != nil {
		return // a shape that has been driven is a good one
	}
	const step = 20 * time.Millisecond
	for at := run.Onset; at.Before(run.End); at = at.Add(step) {
		need := int(math.Ceil(curve.Rate(shape.Lead+at.Sub(run.Onset)) / targetRPS))
		ready := 0
		for _, one := range all {
			if !one.At.After(at) {
				ready = one.Ready
			}
		}
		s.Needed, s.PeakReady = max(s.Needed, need), max(s.PeakReady, ready)
		switch {
		case ready < need:
			s.Short += load.Duration(step)
		case s.OnsetToReady < 0:
			s.OnsetToReady = load.Duration(at.Sub(run.Onset))
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// podWatch remembers how many requests each edge has answered, also of those that are gone.
type podWatch struct {
	c        *cluster.Cluster
	old      []string
	start    map[string]uint64
	requests map[string]uint64
	order    []string
	ready    map[string]time.Time // when it was first seen Ready
	last     map[string]time.Time // when it was last seen Ready, and in service
}

func newPodWatch(c *cluster.Cluster) *podWatch {
	return &podWatch{c: c, start: map[string]uint64{}, requests: map[string]uint64{}, ready: map[string]time.Time{}, last: map[string]time.Time{}}
}

func (w *podWatch) run(ctx context.Context) {
	for {
		w.look(ctx)
		if !pause(ctx, 2*time.Second) {
			return
		}
	}
}

func (w *podWatch) look(ctx context.Context) {
	edges, err := w.c.Edges(ctx)
	if err != nil {
		return
	}
	for _, e := range edges {
		if e.Status.PodIP == "" {
			continue
		}
		if cluster.IsReady(e) && e.DeletionTimestamp == nil {
			w.last[e.Name] = time.Now()
			if w.ready[e.Name].IsZero() {
				w.ready[e.Name] = time.Now()
			}
		}
		n, err := w.c.Requests(ctx, e.Name)
		if err != nil {
			continue // not started yet, or gone: what it had answered at the look before stays
		}
		if _, known := w.requests[e.Name]; !known {
			w.order = append(w.order, e.Name)
			if slices.Contains(w.old, e.Name) {
				w.start[e.Name] = n
			}
		}
		w.requests[e.Name] = n
	}
}

func (w *podWatch) list() []receipt.Pod {
	var pods []receipt.Pod
	for _, name := range w.order {
		pods = append(pods, receipt.Pod{Name: name, Requests: w.requests[name] - w.start[name], New: !slices.Contains(w.old, name), Served: load.Duration(w.last[name].Sub(w.ready[name]))})
	}
	return pods
}
