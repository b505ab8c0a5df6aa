package edge

import (
	"math/rand/v2"
	"testing"
)

// poisson draws the count of independent arrivals with this mean.
func poisson(random *rand.Rand, mean float64) uint64 {
	var n uint64
	for t := random.ExpFloat64(); t < mean; t += random.ExpFloat64() {
		n++
	}
	return n
}

// repeat tells the cadence of n ticks with this count and returns how many windows ended in order and by a jump.
func repeat(c *cadence, n int, count func() uint64) (ends, jumps int) {
	for range n {
		switch c.tick(count(), 1) {
		case endOfWindow:
			ends++
		case jump:
			jumps++
		}
	}
	return ends, jumps
}

func constant(n uint64) func() uint64 { return func() uint64 { return n } }

func TestAWindowIsEightTicks(t *testing.T) {
	for _, load := range []uint64{0, 1, 7} {
		var c cadence
		if ends, jumps := repeat(&c, 80, constant(load)); ends != 10 || jumps != 0 {
			t.Errorf("load %d: %d windows and %d jumps in 10 s, want 10 and 0", load, ends, jumps)
		}
	}
}

func TestAJumpEndsTheWindowWithTheTickThatShowsIt(t *testing.T) {
	for _, k := range []struct{ before, after, ticks uint64 }{{0, 8, 2}, {4, 30, 1}, {25, 50, 2}, {25, 1200, 1}, {250, 400, 2}, {2500, 25000, 1}} {
		var c cadence
		repeat(&c, 42, constant(k.before))
		for i := range k.ticks {
			want := carryOn
			if i+1 == k.ticks {
				want = jump
			}
			if got := c.tick(k.after, 1); got != want {
				t.Errorf("from %d to %d a tick: verdict %d of tick %d, want a jump with tick %d", k.before, k.after, got, i+1, k.ticks)
			}
		}
		if c.recent != 1 {
			t.Errorf("from %d to %d a tick: the last tick shows it, and %d are reported", k.before, k.after, c.recent)
		}
		// The window begins anew with the jump: its regular end would be eight ticks on.
		if c.elapsed != 0 {
			t.Errorf("%d ticks of the window have passed at its beginning", c.elapsed)
		}
	}
}

func TestWhatWasCountedLateIsNoJump(t *testing.T) {
	for _, late := range []float64{1.5, 2, 4, 8} {
		var c cadence
		repeat(&c, 42, constant(100))
		// Nothing was counted for so long, then all of it at once, in a tick on time.
		if c.tick(5, late) == jump || c.tick(uint64(100*late)+95, 1) == jump {
			t.Errorf("a processor that was busy for %g ticks is taken for a jump", late)
		}
	}
}

func TestAJumpIsReportedTickByTickUntilItIsTheNewNormal(t *testing.T) {
	var c cadence
	repeat(&c, 40, constant(100))
	_, jumps := repeat(&c, 20, constant(1000))
	if jumps != 1+alertTicks {
		t.Errorf("%d early windows in the 2.5 s after a tenfold jump", jumps)
	}
	if ends, jumps := repeat(&c, 80, constant(1000)); jumps != 0 || ends != 10 {
		t.Errorf("in the 10 s after them: %d windows, %d jumps", ends, jumps)
	}
}

func TestASmallRiseAndAFallAreNoJumps(t *testing.T) {
	var c cadence
	repeat(&c, 40, constant(1000))
	for _, load := range []uint64{1450, 1000, 10, 0} {
		if got := c.tick(load, 1); got == jump {
			t.Errorf("%d after 1000 is taken for a jump", load)
		}
	}
}

func TestNoiseIsRarelyAJump(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, mean := range []float64{0.5, 2, 5, 10, 50, 500} {
		var c cadence
		_, jumps := repeat(&c, 8*3600, func() uint64 { return poisson(random, mean) })
		// An hour of steady Poisson arrivals. An early window costs a message and decides nothing, so one tick in a hundred is fine.
		if jumps > 288 {
			t.Errorf("%g requests a tick: %d jumps in an hour", mean, jumps)
		}
	}
}

func TestTheFirstTickOfAProcessIsNoJump(t *testing.T) {
	var c cadence
	if got := c.tick(5000, 1); got != carryOn {
		t.Errorf("verdict %d", got)
	}
}
