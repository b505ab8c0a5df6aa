package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	scaling "github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/edge"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/hack/bench/rig"
)

// What the ways through a broker and to an API server take on a machine that has time.
const (
	wireTakes  = 5 * time.Millisecond
	writeTakes = 10 * time.Millisecond
)

// virtualRuns plays each run by itself in virtual time: the same edges and the same
// controller, without a machine that is busy. What is left is the noise of the
// requests, and what the decisions make of it.
func (o options) virtualRuns(t *testing.T) (results []result) {
	for i := range o.runs * len(o.factors) {
		synctest.Test(t, func(t *testing.T) {
			x, err := o.virtualRun(t.Context(), o.factors[i%len(o.factors)], o.seed<<32+uint64(i), time.Duration(i)*37*time.Millisecond%time.Second)
			if err != nil {
				t.Error(err)
			}
			results = append(results, x)
		})
	}
	return results
}

// virtualRun is one run of a seed, whose step comes so long after the baseline.
func (o options) virtualRun(ctx context.Context, k float64, seed uint64, phase time.Duration) (x result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	c := &cluster{replicas: o.edges, pods: o.edges, changed: make(chan write, 1000)}
	w := &wire{messages: make(chan sent, 10_000)}
	var manager *scaling.Manager
	w.to = ingest.New(ingest.Options{Replica: "virtual", Members: c, Poke: func(name string) { manager.Poke(name) }, Logger: zerolog.Nop()})
	sender := ingest.NewSender("virtual", "boot-0001")
	manager = scaling.NewManager(scaling.Options{
		Namespace: "virtual", Scaler: c, Signals: w.to, Leadership: c, Recorder: c, Sender: sender, Logger: zerolog.Nop(),
	})
	manager.SetPolicy("edge", "1", map[string]string{
		"preset": o.preset, "min-replicas": "2", "max-replicas": "5000", "target-rps-per-edge": strconv.FormatFloat(o.target(), 'g', -1, 64),
	})
	running.Go(func() { w.run(ctx) })
	running.Go(func() { _ = ingest.Canary{Sender: sender, To: w}.Run(ctx) })
	running.Go(func() { _ = manager.Run(ctx) })

	f := &fleet{name: "edge", steps: make(chan float64), onsets: make(chan time.Time), stop: func() {}}
	var handlers []http.Handler
	for i := range o.edges {
		handlers = append(handlers, w.edge(ctx, &running, i, fmt.Sprintf("boot-%d-%d", seed, i)))
	}
	running.Go(func() { f.ask(ctx, handlers, o.rps, rand.New(rand.NewPCG(seed, 0))) }) //nolint:gosec // the same seed shall be the same run
	return o.step(ctx, f, k, o.baseline+phase, c.changed)
}

// edge is one that counts what it is asked for and reports it, until the context ends.
func (w *wire) edge(ctx context.Context, running *sync.WaitGroup, pod int, boot string) http.Handler {
	meter := edge.NewMeter()
	reporter := edge.NewReporter(edge.ReporterOptions{
		Fleet: "edge", Pod: rig.Pod("edge", pod), BootID: boot, Meter: meter, Publisher: w, Capacity: events.Capacity{CPU: 1}, Logger: zerolog.Nop(),
	})
	running.Go(func() { _ = reporter.Run(ctx) })
	reporter.SetState(events.LifeReady)
	return meter.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// wire is a bus that takes a while.
type wire struct {
	messages chan sent
	to       *ingest.Ingest
}

type sent struct {
	at time.Time
	m  events.Message
}

// Publish hands a message to the way.
func (w *wire) Publish(m events.Message) { w.messages <- sent{time.Now(), m} }

func (w *wire) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-w.messages:
			time.Sleep(wireTakes - time.Since(s.at))
			w.to.Handle(s.m)
		}
	}
}

// cluster has one Deployment, whose pods are those that report.
type cluster struct {
	mu       sync.Mutex
	replicas int // guarded by mu
	version  int // guarded by mu
	pods     int
	changed  chan write
}

var errVersion = errors.New("of another version")

// Deployment, Scale and SetScale are what a watch and the API server say.
func (c *cluster) Deployment(string) (autoscale.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return autoscale.Target{Spec: c.replicas, Ready: c.pods}, nil
}

func (c *cluster) Scale(context.Context, string) (replicas int, version string, err error) {
	time.Sleep(writeTakes / 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replicas, strconv.Itoa(c.version), nil
}

func (c *cluster) SetScale(_ context.Context, _, version string, replicas int) error {
	time.Sleep(writeTakes / 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != strconv.Itoa(c.version) {
		return errVersion
	}
	c.replicas, c.version = replicas, c.version+1
	c.changed <- write{time.Now(), replicas}
	return nil
}

func (c *cluster) Floor(context.Context, string) (replicas int, version string, err error) {
	return 0, "", errors.ErrUnsupported
}

func (c *cluster) SetFloor(context.Context, string, string, int) error { return errors.ErrUnsupported }

func (c *cluster) Pending(string) (pods int, why string) { return 0, "" }
func (c *cluster) StartTime(string) time.Duration        { return 4 * time.Second }

func (c *cluster) IsMember(string, string) (member, known bool) { return true, true }

func (c *cluster) Members(name string, each func(pod string, ready, leaving bool)) (known bool) {
	for i := range c.pods {
		each(rig.Pod(name, i), true, false)
	}
	return true
}

func (c *cluster) Leading() bool    { return true }
func (c *cluster) Leader() string   { return "virtual" }
func (c *cluster) Identity() string { return "virtual" }

func (c *cluster) OnDeployment(string, bool, string, string) {}
func (c *cluster) OnPolicy(string, bool, string, string)     {}
