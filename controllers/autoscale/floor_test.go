package autoscale

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestAFloorRaisesBeforeTheLoadDoes(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "40"})
	for _, tc := range []struct {
		name   string
		signal Signal
		spec   int
		floor  Floor
		to     int
		reason string
	}{
		{"replicas", Live, 4, Floor{Path: PathPlan, Name: "derby", Replicas: 25}, 25, "plan: derby asks for 25 edges; now 276 rps needs 3 edges at 100 rps"},
		{"demand", Live, 4, Floor{Path: PathPlan, Name: "derby", Demand: 1500}, 15, "plan: derby asks for 15 edges, for 1500 rps; now"},
		{"above max-replicas", Live, 4, Floor{Path: PathCalendar, Name: "evening", Replicas: 90}, 40, "calendar: evening asks for 90 edges; now 276 rps needs 3 edges at 100 rps; limited by max-replicas 40"},
		{"one edge more is no noise", Live, 20, Floor{Path: PathPlan, Name: "derby", Replicas: 21}, 21, "plan: derby"},
		{"without a signal", Blind, 4, Floor{Path: PathPlan, Name: "derby", Replicas: 9}, 9, "plan: derby asks for 9 edges"},
		{"below the load", Live, 4, Floor{Path: PathPlan, Name: "derby", Replicas: 3}, 4, "hold: what runs is kept"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, s := Decide(p, Load{Signal: Live, Offered: 300, SpecReplicas: tc.spec}, State{}, start)
			d, _ := Decide(p, Load{Signal: tc.signal, Offered: 300, SpecReplicas: tc.spec, Floor: tc.floor}, s, start.Add(time.Second))
			if d.To != tc.to || !strings.HasPrefix(d.Reason, tc.reason) {
				t.Errorf("%d -> %d (%s), want %d (%s)", d.From, d.To, d.Reason, tc.to, tc.reason)
			}
		})
	}
}

func TestAFloorHoldsUntilItEnds(t *testing.T) {
	p := parse(t, map[string]string{"scale-down-hold": "10s", "stable-window": "5s", "scale-down-max-step": "100%"})
	f := newFleet(t, p, 4, 12, step(0, 300, 300))
	floor := Floor{Path: PathPlan, Name: "derby", Replicas: 12}
	var s State
	for i := range 90 {
		if i == 60 {
			floor = Floor{}
		}
		var d Decision
		d, s = Decide(p, Load{Signal: Live, Offered: 300, SpecReplicas: f.spec, Floor: floor}, s, start.Add(time.Duration(i)*time.Second))
		f.spec = d.To
		if i < 60 && d.To != 12 {
			t.Fatalf("after %d s: %d edges: %s", i, d.To, d.Reason)
		}
	}
	if f.spec != 3 {
		t.Errorf("%d edges when it is over, want 3", f.spec)
	}
}

// A larger floor never asks for fewer edges, and none leads outside the bounds or removes an edge without a signal.
func TestPropertiesOfFloors(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 11))
		p := somePolicy(t, r)
		s, now, spec := past(r, p)
		now = now.Add(time.Second)
		l := Load{Signal: []Signal{Live, Partial, Blind}[r.IntN(3)], Offered: r.Float64() * 5000, SpecReplicas: spec}
		l.Floor = Floor{Path: PathPlan, Name: "x", Replicas: r.IntN(50), Demand: r.Float64() * 5000 * float64(r.IntN(2))}
		d, _ := Decide(p, l, s, now)
		switch {
		case d.To != d.From && (d.To < p.MinReplicas || d.To > p.MaxReplicas):
			t.Fatalf("seed %d: %d is outside %d and %d: %s", seed, d.To, p.MinReplicas, p.MaxReplicas, d.Reason)
		case d.To < d.From && l.Signal != Live:
			t.Fatalf("seed %d: scale-in on %s: %s", seed, l.Signal, d.Reason)
		}
		more := l
		more.Floor.Replicas += r.IntN(20)
		if higher, _ := Decide(p, more, s, now); higher.To < d.To {
			t.Fatalf("seed %d: floor %+v asks for %d edges, %+v for %d\n%s\n%s", seed, l.Floor, d.To, more.Floor, higher.To, d.Reason, higher.Reason)
		}
	}
}

func TestAFreshStartKeepsWhatRunsForAWindow(t *testing.T) {
	p := parse(t, map[string]string{"scale-down-hold": "0s", "stable-window": "30s", "scale-down-max-step": "100%"})
	spec, first := 10, time.Duration(0)
	var s State
	for i := range 120 {
		now := start.Add(time.Duration(i) * 500 * time.Millisecond)
		var d Decision
		d, s = Decide(p, Load{Signal: Live, Offered: 300, SpecReplicas: spec}, s, now)
		if d.To < spec && first == 0 {
			first = now.Sub(start)
		}
		spec = d.To
	}
	if first < 30*time.Second || first > 32*time.Second {
		t.Errorf("first scale-in after %v, want a window of 30s", first)
	}
}
