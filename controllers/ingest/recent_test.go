package ingest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/events"
)

// report is a window of a second whose last half had this rate.
func (d *desk) report(pod string, offered, recent uint64) {
	d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
		return events.EncodeRate(a, events.Rate{WindowMS: 1000, Offered: offered, RecentMS: 500, Recent: recent})
	}))
}

func TestTheEndsOfTheWindowsCountOnceTheLoadRises(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}})
	d.second()
	d.report("a", 1000, 500)
	d.report("b", 1000, 520)
	d.expect("steady", autoscale.Live, 2, 2, 2000)
	if w := d.in.Read("edge", Clamp{}).Window; math.Abs(w-1) > 1e-9 {
		t.Errorf("a window of %g s, want 1", w)
	}
	d.second()
	d.report("a", 1150, 650)
	d.report("b", 1150, 650)
	d.expect("half a second after a step to 1300 each", autoscale.Live, 2, 2, 2600)
	if w := d.in.Read("edge", Clamp{}).Window; math.Abs(w-0.5) > 1e-9 {
		t.Errorf("a window of %g s, want 0.5: half the requests are less sure", w)
	}
	d.second()
	d.report("a", 800, 200)
	d.report("b", 800, 200)
	d.expect("a fall is not hurried", autoscale.Live, 2, 2, 1600)
	if r := d.in.Read("edge", Clamp{RPS: 700}); r.Offered != 1400 {
		t.Errorf("%g rps with a clamp of 700", r.Offered)
	}
}

func TestNoiseThatPassesForARiseMovesTheMeanLittle(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}})
	random := rand.New(rand.NewPCG(1, 2))
	half := func() uint64 { return uint64(max(0, math.Round(1000+math.Sqrt(1000)*random.NormFloat64()))) }
	const n = 5000
	sum, lately := 0.0, 0
	for range n {
		d.second()
		first, recent := half(), half()
		d.report("a", first+recent, recent)
		r := d.in.Read("edge", Clamp{})
		sum += r.Offered
		if r.Window < 0.9 {
			lately++
		}
	}
	if lately > n/25 || math.Abs(sum/n-2000) > 2000*0.004 {
		t.Errorf("mean %.1f of 2000 rps, %d of %d readings from the ends of the windows alone", sum/n, lately, n)
	}
}

func TestARiseWithinAWindowIsUrgent(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}})
	d.second()
	d.report("a", 100, 50)
	d.now = d.now.Add(time.Second)
	d.report("a", 160, 110)
	if d.poke != 1 {
		t.Errorf("%d pokes after a window that ended at 220 rps, 100 before", d.poke)
	}
}
