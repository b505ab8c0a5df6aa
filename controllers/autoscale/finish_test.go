package autoscale

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The first moments of a rise show a part of it. The rest, though it is within
// the tolerance, is bought too, and for some seconds only: then what runs is a
// size to rest at.
func TestWhatTheFirstWriteOfASpikeLeftOutIsBought(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "1000"})
	for _, tc := range []struct {
		after    time.Duration // of the first write
		distinct float64       // part of the requests that ask for new keys
		finished bool
	}{
		{250 * time.Millisecond, 0, true},
		{finishWithin - 250*time.Millisecond, 0, true},
		{finishWithin + 250*time.Millisecond, 0, false},
		{250 * time.Millisecond, 0.9, false},
	} {
		r := rand.New(rand.NewPCG(7, 8))
		var s State
		var d Decision
		spec, now := 20, start
		hear := func(rate float64, distinct float64) {
			d, s = Decide(p, Load{Signal: Live, Offered: rate, Ended: rate, Misses: rate * distinct, Distinct: rate * distinct, SpecReplicas: spec}, s, now)
			spec = d.To
		}
		for range 90 {
			hear(poisson(r, 2000), 0)
			now = now.Add(time.Second)
		}
		hear(4000, 0)
		if spec != 40 {
			t.Fatalf("%d edges for 4000 rps: %s", spec, d.Reason)
		}
		now = now.Add(tc.after)
		hear(4600, tc.distinct)
		if finished := spec >= 44; finished != tc.finished {
			t.Errorf("%s later %d edges for 4600 rps, %g of them for new keys: %s", tc.after, spec, tc.distinct, d.Reason)
		}
	}
}
