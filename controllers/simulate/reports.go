package simulate

import (
	"math"
	"math/rand/v2"
)

// parts is into how many a second is divided where the scaler hears reports: as
// many as the edge has ticks. Edges report once a second, an eighth of them at the
// end of each eighth.
const parts = 8

// recentParts is the end of a window that an edge reports on its own.
const recentParts = 4

// rising is by how many standard deviations the ends of the windows must exceed
// the whole windows for the load to be taken from them alone, as in controllers/ingest.
const rising = 2.0

// reports is what the edges say of a trace: each of the whole second that ended
// for it last, and of the end of that second.
//
// Within a second requests come at any time and to any edge. The flushes of edges
// whose own count jumps are left out, so large steps are heard later than they are.
type reports struct {
	trace  Trace
	random *rand.Rand

	cells         [parts][parts]float64                   // of the second that is played: by part and by group of edges
	scan          float64                                 // part of it that is one
	past          [parts][parts]struct{ n, scan float64 } // the latest parts of seconds, a ring
	next          int                                     // part since the start of the trace
	whole, recent [parts]float64                          // latest report of each group
	distinct      [parts]float64
	heard         int // groups that reported since the signal came back, at most parts
}

func newReports(t Trace) *reports {
	return &reports{trace: t, random: rand.New(rand.NewPCG(0x5ec0, 0x4d5))} //nolint:gosec // no secret: the same trace shall give the same reports
}

// advance passes time up to a part of a second, which has ended then.
func (r *reports) advance(part int) {
	for ; r.next < part; r.next++ {
		second := r.next / parts
		if second >= len(r.trace.Seconds) {
			return
		}
		in, p := &r.trace.Seconds[second], r.next%parts
		if p == 0 {
			r.divide(in.Requests)
			r.scan = in.Scan
		}
		for g, n := range r.cells[p] {
			r.past[p][g].n, r.past[p][g].scan = n, n*r.scan
		}
		if in.Silent {
			r.heard = 0
			continue
		}
		r.report(p)
	}
}

// report is that of the group whose windows end with this part.
func (r *reports) report(g int) {
	r.whole[g], r.recent[g], r.distinct[g] = 0, 0, 0
	for back := range parts {
		x := &r.past[(g-back+parts)%parts][g]
		r.whole[g] += x.n
		r.distinct[g] += x.scan
		if back < recentParts {
			r.recent[g] += x.n * parts / recentParts
		}
	}
	r.heard = min(r.heard+1, parts)
}

// divide spreads the requests of a second over its parts and the groups.
func (r *reports) divide(requests float64) {
	const cells = parts * parts
	mean := requests / cells
	if mean > 10 {
		deviation, sum := math.Sqrt(mean), 0.0
		for p := range r.cells {
			for g := range r.cells[p] {
				n := max(mean+deviation*r.random.NormFloat64(), 0)
				r.cells[p][g] = n
				sum += n
			}
		}
		for p := range r.cells {
			for g := range r.cells[p] {
				r.cells[p][g] *= requests / sum
			}
		}
		return
	}
	whole := math.Floor(requests)
	for p := range r.cells {
		for g := range r.cells[p] {
			r.cells[p][g] = (requests - whole) / cells
		}
	}
	bits, left := uint64(0), 0
	for range int(whole) {
		if left == 0 {
			bits, left = r.random.Uint64(), 10
		}
		r.cells[bits%parts][bits/parts%parts]++
		bits, left = bits>>6, left-1
	}
}

// observation is what is known now, as controllers/ingest sums it up.
func (r *reports) observation() (o Observation) {
	if r.heard < parts {
		return o
	}
	var whole, recent, distinct float64
	for g := range parts {
		whole += r.whole[g]
		recent += r.recent[g]
		distinct += r.distinct[g]
	}
	o = Observation{Offered: whole, Window: 1, Distinct: distinct / max(whole, 1), Fresh: true}
	const window = float64(recentParts) / parts
	if recent-whole > rising*math.Sqrt(whole*(1/window-1)) {
		o.Offered, o.Window, o.rising, o.ended = recent, window, true, whole
	}
	return o
}
