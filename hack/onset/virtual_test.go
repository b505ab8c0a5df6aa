package main

import (
	"testing"
	"time"
)

// In virtual time nothing but the decisions makes a write late: those that never
// come to nine tenths of the need, because what is missing is within the tolerance,
// and those that take the reports of a second for a ramp.
func TestOnsetsInVirtualTime(t *testing.T) {
	o := options{factors: []float64{1.3, 2, 5, 48}, runs: 10, edges: 20, rps: 2000, baseline: 75 * time.Second, wait: 20 * time.Second, preset: "balanced"}
	if testing.Short() {
		o.runs = 2
	}
	late := map[float64]int{}
	for _, x := range o.virtualRuns(t) {
		median, most := wanted(x.K)
		switch {
		case x.missing():
			t.Errorf("a step of %g never led to 90 %% of the %d edges that it needs: %d", x.K, x.Need, x.Replicas)
		case x.Reached > most+0.5: // one run in a thousand is later than wanted, by its noise
			t.Errorf("a step of %g was written after %.2f s", x.K, x.Reached)
		case x.Reached > median:
			late[x.K]++
		}
		if x.Early > 0 {
			t.Errorf("%d writes before a step of %g", x.Early, x.K)
		}
	}
	for k, n := range late {
		if n > o.runs*7/10 && n > 2 {
			t.Errorf("%d of %d runs at %g were later than the median that is wanted", n, o.runs, k)
		}
	}
}
