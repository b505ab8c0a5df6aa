package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	scaling "github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
)

// moves are the crowds that --moves plays: the sum of the load stays the same, or
// has come to a rest, and what recommends more edges than it needs is a mistake.
func moves() []crowd {
	const age = 30 * time.Second
	small := crowd{name: "steady", edges: 6, first: 6, rps: 400, target: 80, viewers: 96, age: age, lasts: 10 * time.Minute, runs: 1}
	large := crowd{name: "steady", edges: 20, first: 20, rps: 2000, target: 100, viewers: 480, age: age, lasts: 10 * time.Minute, runs: 1}
	var all []crowd
	for _, c := range []crowd{small, large} {
		few, quick, joins, rolling, rush := c, c, c, c, c
		few.name, few.viewers = "few viewers, a large part of the load each", c.edges*2/3
		quick.name, quick.age = "connections of 4 s", 4*time.Second
		joins.name, joins.first, joins.age, joins.lasts, joins.runs = "a third of the edges, then all", c.edges/3, 4*time.Second, time.Minute, 5
		rolling.name, rolling.age, rolling.every = "one edge after the other is replaced", 4*time.Second, 15*time.Second
		// What was before counts for a while: a step or a ramp that is over must not go on in the decisions.
		rush.first, rush.from, rush.starts, rush.settle, rush.age, rush.lasts, rush.runs = 2, c.rps/50, 4*time.Second, 5*time.Second, 4*time.Second, time.Minute, 5
		all = append(all, c, few, quick, joins, rolling)
		for _, seconds := range []int{0, 5, 10} {
			rush.name, rush.ramp = fmt.Sprintf("after ×50 in %d s, two edges, then all", seconds), time.Duration(seconds)*time.Second
			all = append(all, rush)
		}
	}
	return all
}

// calm is what the decisions made of a crowd.
type calm struct {
	need      int
	decisions int
	above     int // decisions that recommend more than one edge above the need,
	below     int // or less than it
	largest   int // recommendation
}

// play plays each run of a crowd in virtual time.
func (c crowd) play(t *testing.T, preset string, seed uint64) calm {
	x := calm{need: int(math.Ceil(c.rps/c.target - 1e-9))}
	for i := range c.runs {
		synctest.Test(t, func(t *testing.T) { c.run(t.Context(), preset, seed+uint64(i), &x) }) //nolint:gosec // not negative
	}
	return x
}

func (x *calm) take(recommended int) {
	x.decisions++
	x.largest = max(x.largest, recommended)
	switch {
	case recommended > x.need+1:
		x.above++
	case recommended < x.need:
		x.below++
	}
}

// run has the edges and the controller alone in virtual time, with a bus that
// takes a while. Nothing is written: the edges are those that the crowd says.
func (c crowd) run(ctx context.Context, preset string, seed uint64, x *calm) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	began := time.Now()
	pods := &roster{cluster: cluster{replicas: c.edges, pods: c.edges}, leaving: map[string]bool{}}
	w := &wire{messages: make(chan sent, 10_000)}
	var manager *scaling.Manager
	w.to = ingest.New(ingest.Options{Replica: "virtual", Members: pods, Poke: func(name string) { manager.Poke(name) }, Logger: zerolog.Nop()})
	sender := ingest.NewSender("virtual", "boot-0001")
	manager = scaling.NewManager(scaling.Options{
		Namespace: "virtual", Scaler: pods, Leadership: pods, Recorder: pods, Sender: sender, Logger: zerolog.Nop(),
		Signals: &watched{w.to, func() {
			if s := manager.Statuses()[0]; s.Decision != nil && time.Since(began) >= quiet+c.ramp+c.settle {
				x.take(s.Decision.Desired)
			}
		}},
	})
	manager.SetPolicy("edge", "1", map[string]string{
		"preset": preset, "mode": "observe", "min-replicas": "1", "max-replicas": "5000", "target-rps-per-edge": strconv.FormatFloat(c.target, 'g', -1, 64),
	})
	running.Go(func() { w.run(ctx) })
	running.Go(func() { _ = ingest.Canary{Sender: sender, To: w}.Run(ctx) })
	running.Go(func() { _ = manager.Run(ctx) })
	c.ask(began, seed, pods, func(n int) http.Handler { return w.edge(ctx, &running, n, fmt.Sprintf("boot-%08d-%08d", seed, n)) })
}

// watched is asked once for each decision, when the one before is made.
type watched struct {
	*ingest.Ingest
	decided func()
}

func (w *watched) Read(fleet string, clamp ingest.Clamp) ingest.Reading {
	w.decided()
	return w.Ingest.Read(fleet, clamp)
}

func (o options) moves(t *testing.T, out io.Writer) error {
	fmt.Fprintf(out, "Recommendations while the same load moves between edges, preset %s\n\n| edges | crowd | need | decisions | more than one above | below | largest |\n|---:|---|---:|---:|---:|---:|---:|\n", o.preset)
	for _, c := range moves() {
		x := c.play(t, o.preset, o.seed)
		part := func(n int) float64 { return 100 * float64(n) / float64(max(x.decisions, 1)) }
		if _, err := fmt.Fprintf(out, "| %d | %s | %d | %d | %.2f %% | %.2f %% | %d |\n", c.edges, c.name, x.need, x.decisions, part(x.above), part(x.below), x.largest); err != nil {
			return err
		}
	}
	return nil
}
