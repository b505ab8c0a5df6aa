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

// tell is a window with an end, and with what the requests cost.
func (d *desk) tell(pod string, r events.Rate) {
	d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) { return events.EncodeRate(a, r) }))
}

func TestOneEdgeThatJumpsForEverHidesNothing(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}, "x": {ready: true}})
	for range 10 {
		d.second()
		for _, pod := range []string{"a", "b"} {
			d.tell(pod, events.Rate{WindowMS: 1000, Offered: 100, BytesOut: 12_500_000, InFlight: 10})
		}
		for range 3 {
			d.pass(200 * time.Millisecond)
			d.tell("x", events.Rate{WindowMS: 200})
			d.pass(50 * time.Millisecond)
			d.tell("x", events.Rate{WindowMS: 50, Offered: 10, Early: true})
			d.expect("as much as the others have", autoscale.Live, 3, 3, 200)
			r := d.in.Read("edge", Clamp{})
			if math.Abs(r.InFlight-20) > 1e-9 || math.Abs(r.Egress-200) > 1e-9 || math.Abs(r.Window-1) > 1e-9 {
				t.Errorf("%.1f under way, %.0f Mbit/s, a window of %.2f s: want 20, 200 and 1", r.InFlight, r.Egress, r.Window)
			}
		}
	}
}

func TestEdgesThatDoubleCountWholeThoughOthersAreSilent(t *testing.T) {
	heard := []string{"a", "b", "c", "e"}
	api := pods{}
	for _, name := range append([]string{"p", "q", "r", "s"}, heard...) {
		api[name] = pod{ready: true}
	}
	d := newDesk(t, api)
	d.second("a", "b", "c", "e", "p", "q", "r", "s")
	for range 4 {
		d.second(heard...)
	}
	d.expect("four are silent", autoscale.Partial, 8, 4, 800)
	d.pass(125 * time.Millisecond)
	for _, name := range heard {
		d.jump(name, 200)
	}
	d.expect("the clients of the silent ones may have come", autoscale.Partial, 8, 4, 800)
	d.pass(925 * time.Millisecond)
	d.expect("1.05 s after the onset, before anybody's next second is over", autoscale.Partial, 8, 4, 1200)
}

func TestAnEdgeThatHasSaidAllIsInNoDoubt(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}})
	d.second("a", "b")
	d.pass(300 * time.Millisecond)
	d.jump("a", 200)
	d.expect("b has said nothing yet", autoscale.Live, 2, 2, 200)
	b := events.Rate{WindowMS: 500, Offered: 50, RecentMS: 400, Recent: 39} // 100 rps, 97.5 in the end
	d.pass(200 * time.Millisecond)
	d.tell("b", b)
	d.expect("the end of b's window began before the jump", autoscale.Live, 2, 2, 200)
	d.pass(500 * time.Millisecond)
	d.tell("b", b)
	d.expect("b has said all that it has lost", autoscale.Live, 2, 2, 300)
}

func TestWhatALiarSaysThatItLostIsClamped(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}, "c": {ready: true}, "e": {ready: true}, "g": {ready: true}, "x": {ready: true}})
	d.second("a", "b", "c", "e", "g")
	d.rate("x", 1_000_000)
	d.pass(300 * time.Millisecond)
	for _, name := range []string{"a", "b", "c", "e"} {
		d.jump(name, 200)
	}
	d.rate("x", 0)
	// The clamp leaves gains of 200 rps, of which x accounts for 150 and g, with 100, may for the rest.
	if r := d.in.Read("edge", Clamp{RPS: 150}); math.Abs(r.Offered-650) > 1e-9 {
		t.Errorf("%.1f rps, want 650", r.Offered)
	}
}
