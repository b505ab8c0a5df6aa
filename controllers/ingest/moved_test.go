package ingest

import (
	"math"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/events"
)

// jump is an early window of an eighth of a second with this rate.
func (d *desk) jump(pod string, rps uint64) {
	d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
		return events.EncodeRate(a, events.Rate{WindowMS: 125, Offered: rps / 8, Early: true})
	}))
}

func (d *desk) pass(t time.Duration) { d.now = d.now.Add(t) }

func fourEdges(t *testing.T) *desk {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}, "c": {ready: true}, "e": {ready: true}})
	d.second("a", "b", "c", "e")
	return d
}

func TestALoadThatMovesIsNotCountedTwice(t *testing.T) {
	d := fourEdges(t)
	d.pass(300 * time.Millisecond)
	d.jump("a", 200)
	d.expect("b's clients came to a, and b has said nothing yet", autoscale.Live, 4, 4, 400)
	d.pass(125 * time.Millisecond)
	d.jump("a", 200)
	d.expect("the same, told again", autoscale.Live, 4, 4, 400)
	d.pass(125 * time.Millisecond)
	d.rate("c", 100)
	d.expect("c has lost nothing", autoscale.Live, 4, 4, 400)
	d.rate("b", 0)
	d.expect("b has lost it all, and it is counted once", autoscale.Live, 4, 4, 400)
	d.rate("e", 100)
	d.expect("everybody was heard", autoscale.Live, 4, 4, 400)
}

func TestAJumpOfOneEdgeCountsOnceTheOthersAreHeard(t *testing.T) {
	d := fourEdges(t)
	d.pass(300 * time.Millisecond)
	d.jump("a", 1000)
	d.expect("more than the others had counts at once", autoscale.Live, 4, 4, 1000)
	for i, want := range []float64{1100, 1200, 1300} {
		d.pass(200 * time.Millisecond)
		d.rate([]string{"b", "c", "e"}[i], 100)
		d.expect("one more has lost nothing", autoscale.Live, 4, 4, want)
	}
}

func TestEdgesThatJumpTogetherAreARise(t *testing.T) {
	d := fourEdges(t)
	d.pass(300 * time.Millisecond)
	for i, want := range []float64{400, 400, 600, 800} {
		d.jump([]string{"a", "b", "c", "e"}[i], 200)
		d.expect("one more has jumped", autoscale.Live, 4, 4, want)
	}
}

func TestAJumpAmongEdgesThatGrowIsInNoDoubt(t *testing.T) {
	d := fourEdges(t)
	d.pass(300 * time.Millisecond)
	d.jump("a", 160)
	d.pass(300 * time.Millisecond)
	d.rate("b", 130)
	d.rate("c", 130)
	// Two deviations of two edges are 43 rps; they have grown by 60.
	d.expect("the others have grown as well", autoscale.Live, 4, 4, 520)
}

func TestWhatMovesTakesItsRequestsAndBytesAlong(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}})
	d.second()
	tell := func(pod string, window int64, rps uint64, early bool) {
		d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
			n := rps * uint64(window) / 1000
			return events.EncodeRate(a, events.Rate{WindowMS: window, Offered: n, BytesOut: n * 125_000, InFlight: rps / 10, Early: early})
		}))
	}
	tell("a", 1000, 200, false)
	tell("b", 1000, 200, false)
	d.pass(300 * time.Millisecond)
	tell("a", 250, 400, true)
	r := d.in.Read("edge", Clamp{})
	if math.Abs(r.Offered-400) > 1e-9 || math.Abs(r.Heard-400) > 1e-9 || math.Abs(r.InFlight-40) > 1e-9 || math.Abs(r.Egress-400) > 1e-9 {
		t.Errorf("%.0f rps, %.0f of them heard, %.1f under way, %.0f Mbit/s: want 400, 400, 40 and 400", r.Offered, r.Heard, r.InFlight, r.Egress)
	}
}
