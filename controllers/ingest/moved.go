package ingest

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/events"
)

// Clients move between edges: connections end, edges come and go. The edge that
// gains says so at once, because its own count jumps; the one that loses says so
// when its second is over, and until then the same requests are in the sum
// twice. So jumps are believed only as far as they exceed what the edges that
// were not heard since could have lost. When the load of the fleet grows, its
// edges jump together, and few are left that could have lost as much.

const (
	// settled is the time after which all others have said what they have lost to a
	// gain; jumps that follow each other for longer begin anew.
	settled = time.Second
	// grown is by how many standard deviations the edges that did not jump must have
	// grown for nothing to be in doubt: a small rise makes few of many edges jump.
	grown = 2.0
)

// gain is a jump that an edge has told of.
type gain struct {
	since  time.Time // beginning of the window that showed it; zero: there is none
	before float64   // requests per second of the window before it
}

// jumped takes in the report of an edge that told of a rate before.
func (g gain) jumped(r *events.Rate, before, recently float64, now time.Time) gain {
	switch {
	case !r.Early:
		return gain{}
	case g.since.IsZero() || now.Sub(g.since) > settled:
		return gain{since: now.Add(-time.Duration(recently * float64(time.Second))), before: before}
	}
	return g
}

// moved is what the edges of one reading have gained, and could have lost.
type moved struct {
	since            time.Time // first of the gains; zero: there is none
	told             time.Time // of the last of them
	rps, variance    float64   // gained, in sum, by the whole windows,
	recent           float64   // and by their ends
	recentVar        float64
	inFlight, egress float64 // what came with the gains
	steady           []*edge // that have gained nothing lately
}

// add takes an edge in, with what it counts for in the sums.
func (m *moved) add(e *edge, now time.Time, rps, recent, inFlight, egress float64) {
	if e.gain.since.IsZero() || now.Sub(e.gain.since) > settled {
		m.steady = append(m.steady, e)
		return
	}
	if m.since.IsZero() || e.gain.since.Before(m.since) {
		m.since = e.gain.since
	}
	if e.heard.After(m.told) {
		m.told = e.heard
	}
	gained, ends := max(rps-e.gain.before, 0), max(recent-e.gain.before, 0)
	m.rps += gained
	m.variance += gained / e.window
	m.recent += ends
	m.recentVar += ends / e.lately
	// Bytes are those of the whole window, requests under way those at its end.
	if rps > 0 {
		m.egress += egress * gained / rps
	}
	if recent > 0 {
		m.inFlight += inFlight * ends / recent
	}
}

// doubt is how much of the gains may have come from the other edges.
func (m *moved) doubt(clamped func(float64) float64) (rps, recent float64) {
	if m.since.IsZero() {
		return 0, 0
	}
	var all, ends, whole, change, variance float64
	for _, e := range m.steady {
		if e.heard.After(m.since) {
			w, c, v := e.change(clamped)
			whole += w
			change += c
			variance += v
			began := e.heard.Add(-time.Duration(e.lately * float64(time.Second)))
			if c >= 0 || !began.Before(m.since) && e.heard.After(m.told) {
				continue // it has lost nothing, or has said all that it has
			}
		}
		all += clamped(e.rps)
		ends += clamped(e.recent)
	}
	if change > 0 {
		// Those that were heard have grown as well.
		part := max(0, 1-change/(grown*math.Sqrt(variance)))
		return part * min(m.rps, all), part * min(m.recent, ends)
	}
	// What they have lost is out of the sum already.
	return min(max(m.rps+min(whole, 0), 0), all), min(max(m.recent+change, 0), ends)
}
