package main

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// reactive is the bound for everything that only reacts: it sees each second the
// moment it ends, believes it, and remembers the largest for a while.
type reactive struct {
	target float64
	hold   []float64 // ring of the needs within the hold
	next   int
}

func newReactive(target float64, hold time.Duration) *reactive {
	return &reactive{target: target, hold: make([]float64, hold/time.Second)}
}

// Tick is the largest need within the hold.
func (r *reactive) Tick(_ time.Time, o simulate.Observation) int {
	r.hold[r.next%len(r.hold)] = o.Offered
	r.next++
	most := 0.0
	for _, v := range r.hold {
		most = max(most, v)
	}
	return int(math.Ceil(most / r.target))
}

// oracle knows the load of the coming seconds. Nobody can be better by reacting.
type oracle struct {
	target float64
	trace  simulate.Trace
	ahead  int
	hold   *reactive
	next   int
}

func newOracle(target float64, t simulate.Trace, ahead, hold time.Duration) *oracle {
	return &oracle{target: target, trace: t, ahead: int(ahead / time.Second), hold: newReactive(target, hold)}
}

// Tick is the largest need of the coming seconds and of the hold.
func (r *oracle) Tick(now time.Time, _ simulate.Observation) int {
	r.next++
	most := 0.0
	for _, s := range r.trace.Seconds[min(r.next, len(r.trace.Seconds)):min(r.next+r.ahead, len(r.trace.Seconds))] {
		most = max(most, s.Requests)
	}
	return r.hold.Tick(now, simulate.Observation{Offered: most})
}
