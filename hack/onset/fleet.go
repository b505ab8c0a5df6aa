package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/surgewall/surgewall/edge"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/hack/bench/rig"
)

// target is the requests per second per edge that the policy aims at: before the
// step, every edge has as many.
func (o options) target() float64 { return o.rps / float64(o.edges) }

// batch makes the fleets of some runs, lets the controller learn their load, and
// steps one after the other.
func (o options) batch(ctx context.Context, r *rig.Rig, c *rig.Controller, first int) ([]result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched, err := watch(ctx, r)
	if err != nil {
		return nil, err
	}
	n := min(o.fleets, o.runs*len(o.factors)-first)
	names, fleets := map[string]bool{}, make([]*fleet, n)
	for i := range n {
		names[fmt.Sprintf("fleet-%d", first+i)] = true
	}
	r.Users(slices.Collect(maps.Keys(names))...)
	var group errgroup.Group
	group.SetLimit(4)
	for i := range n {
		name := fmt.Sprintf("fleet-%d", first+i)
		group.Go(func() (err error) {
			if err = r.Fleet(ctx, name, o.edges, map[string]string{
				"preset": o.preset, "min-replicas": "2", "max-replicas": "5000", "target-rps-per-edge": strconv.FormatFloat(o.target(), 'g', -1, 64),
			}); err == nil {
				fleets[i], err = o.newFleet(r, name)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, f := range fleets {
		defer f.stop()
	}
	live, done := context.WithTimeout(ctx, time.Minute)
	err = c.Live(live, names)
	done()
	if err != nil {
		return nil, err
	}
	results := make([]result, n)
	group = errgroup.Group{}
	for i, f := range fleets {
		// Steps come at any time within the second of a report.
		at := o.baseline + time.Duration((float64(i)+rand.Float64())*float64(o.apart))
		group.Go(func() (err error) {
			results[i], err = o.step(ctx, f, o.factors[(first+i)%len(o.factors)], at, watched(f.name))
			return err
		})
	}
	return results, group.Wait()
}

// write is one change of the replicas of a Deployment, when it was heard of.
type write struct {
	at       time.Time
	replicas int
}

// watch hears of every accepted scale write. The function returns the channel of
// one Deployment, and must be called before its first write that matters.
func watch(ctx context.Context, r *rig.Rig) (func(name string) <-chan write, error) {
	w, err := r.Client.AppsV1().Deployments(r.Namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watch the Deployments: %w", err)
	}
	var mu sync.Mutex
	channels := map[string]chan write{}
	channel := func(name string) chan write {
		mu.Lock()
		defer mu.Unlock()
		if channels[name] == nil {
			channels[name] = make(chan write, 1000)
		}
		return channels[name]
	}
	go func() {
		defer w.Stop()
		for event := range w.ResultChan() {
			if d, ok := event.Object.(*appsv1.Deployment); ok {
				channel(d.Name) <- write{time.Now(), int(*d.Spec.Replicas)}
			}
		}
	}()
	return func(name string) <-chan write { return channel(name) }, nil
}

// step waits until it is time, multiplies the load, and waits for the writes.
func (o options) step(ctx context.Context, f *fleet, k float64, after time.Duration, writes <-chan write) (result, error) {
	x := result{K: k, Before: o.edges, Need: int(math.Ceil(k*o.rps/o.target() - 1e-9)), First: -1, Reached: -1}
	timer := time.NewTimer(after)
	defer timer.Stop()
	for onset := (time.Time{}); ; {
		select {
		case <-ctx.Done():
			return x, ctx.Err()
		case <-timer.C:
			if !onset.IsZero() {
				f.stop()
				return x, nil
			}
			onset = f.step(k)
			timer.Reset(o.wait)
		case w := <-writes:
			if onset.IsZero() || w.at.Before(onset) {
				if w.replicas != x.Before {
					x.Early++
				}
				x.Before, x.Replicas = w.replicas, w.replicas
				continue
			}
			x.Replicas = w.replicas
			since := w.at.Sub(onset).Seconds()
			if x.First < 0 && w.replicas > x.Before {
				x.First = since
			}
			if x.Reached < 0 && float64(w.replicas) >= 0.9*float64(x.Need) {
				x.Reached = since
				// What else comes says how well it was sized, and costs the others processor time.
				timer.Reset(2 * time.Second)
			}
		}
	}
}

// fleet is some edges and those who ask them.
type fleet struct {
	name   string
	steps  chan float64
	onsets chan time.Time
	stop   func()
}

func (o options) newFleet(r *rig.Rig, name string) (*fleet, error) {
	f := &fleet{name: name, steps: make(chan float64), onsets: make(chan time.Time)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var closers []func()
	f.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		for _, c := range closers {
			c()
		}
	})
	var handlers []http.Handler
	for i := range o.edges {
		meter := edge.NewMeter()
		publisher, closer, err := r.Publisher(name)
		if err != nil {
			f.stop()
			return nil, err
		}
		closers = append(closers, closer)
		reporter := edge.NewReporter(edge.ReporterOptions{
			Fleet: name, Pod: rig.Pod(name, i), BootID: fmt.Sprintf("boot-%08x", rand.Uint32()), Meter: meter, Publisher: publisher,
			Capacity: events.Capacity{CPU: 1}, Logger: zerolog.Nop(),
		})
		running.Go(func() { _ = reporter.Run(ctx) })
		reporter.SetState(events.LifeReady)
		handlers = append(handlers, meter.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	}
	running.Go(func() { f.ask(ctx, handlers, o.rps, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))) }) //nolint:gosec // no secret
	return f, nil
}

// step multiplies the load, and returns when that was.
func (f *fleet) step(k float64) time.Time {
	f.steps <- k
	return <-f.onsets
}

// ask lets requests arrive: independent of each other, each at a random edge.
// Those of a time in which the machine stood still are left out: all at once
// they would be a spike of every fleet, which no edge of others takes part in.
func (f *fleet) ask(ctx context.Context, edges []http.Handler, rps float64, random *rand.Rand) {
	const beat = 2 * time.Millisecond
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	next := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-f.steps:
			rps *= k
			next = time.Now() // nothing of the time before is still to come
			f.onsets <- next
		case <-ticker.C:
			now := time.Now()
			if oldest := now.Add(-50 * beat); next.Before(oldest) {
				next = oldest
			}
			for next.Before(now) {
				next = next.Add(time.Duration(random.ExpFloat64() / rps * float64(time.Second)))
				edges[random.IntN(len(edges))].ServeHTTP(nil, nil)
			}
		}
	}
}

func bar(n, most int) string { return strings.Repeat("#", n*40/max(most, 1)) }
