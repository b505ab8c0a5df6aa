package autoscale

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// What was seen in a cluster: a quiet fleet, a ramp of some seconds, then exactly the
// same load for a minute, and pods that take 26 s. The ramp went on in the decisions
// for fifteen seconds after its end, and its bend passed for a step half a minute later.
func TestARampThatHasEndedBuysNoMoreEdges(t *testing.T) {
	p := parse(t, map[string]string{"target-rps-per-edge": "80", "max-replicas": "5000"})
	for _, ramp := range []float64{0, 5, 10} {
		above, largest := 0, 0
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 3))
			rate := func(s float64) float64 {
				if s < 60 {
					return 7.5
				}
				return min(7.5+392.5*(s-60)/(ramp+1e-9), 400)
			}
			var s State
			for i := range 140 {
				at := float64(i)
				var d Decision
				d, s = Decide(p, Load{Signal: Live, Offered: poisson(random, rate(at)), SpecReplicas: 6, Lead: 26 * time.Second}, s, start.Add(time.Duration(i)*time.Second))
				since := at - 60 - ramp
				if since >= 5 && d.Desired > 6 {
					above++
				}
				if since >= 8 {
					largest = max(largest, d.Desired)
				}
			}
		}
		if above > 20*4 || largest > 9 {
			t.Errorf("after a ramp of %.0f s: of 20 minutes %d s ask for more than the 5 edges that are needed and one, and from 8 s on up to %d edges", ramp, above, largest)
		}
	}
}

// A ramp that goes on is extended.
func TestARampThatGoesOnIsExtended(t *testing.T) {
	p := parse(t, map[string]string{"target-rps-per-edge": "80", "max-replicas": "5000"})
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 4))
		var s State
		for i := range 85 {
			rate := 400 + 40*max(0, float64(i)-60)
			var d Decision
			d, s = Decide(p, Load{Signal: Live, Offered: poisson(random, rate), SpecReplicas: 6, Lead: 9 * time.Second}, s, start.Add(time.Duration(i)*time.Second))
			// Ten seconds on: the start of a pod, and one for what is known. A dip of its noise buys no edge less.
			if want := rate + 400; i >= 72 && d.Inputs.HeldDemand < 0.8*want {
				t.Errorf("seed %d: %d s into a ramp %.0f rps are held, want about %.0f: %s", seed, i-60, d.Inputs.HeldDemand, want, d.Reason)
			}
		}
	}
}

// Within a second of a step nobody can tell it from a ramp, and the less likely one
// must not decide alone.
func TestTheOddsOfARampShrinkItsGrowth(t *testing.T) {
	p := parse(t, map[string]string{"target-rps-per-edge": "100", "max-replicas": "5000"})
	var most []float64
	for seed := range uint64(50) {
		f := newFleet(t, p, 20, 20, step(60, 2000, 2600))
		f.random = rand.New(rand.NewPCG(seed, 5))
		f.run(0, 70)
		most = append(most, float64(f.spec))
	}
	sum, largest := 0.0, 0.0
	for _, n := range most {
		sum, largest = sum+n, math.Max(largest, n)
	}
	if mean := sum / float64(len(most)); mean > 31 || largest > 50 {
		t.Errorf("a step from 20 to 26 edges' load asks for %.1f edges on average, at most for %.0f", mean, largest)
	}
}
