package autoscale

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// Cause is why the fleet is busier than it was.
type Cause string

// The causes. Only an audience and the loss of edges buy replicas.
const (
	CauseNone       Cause = ""            // it is not
	CauseAudience   Cause = "audience"    // more requests for what is stored, or will be
	CauseScan       Cause = "scan"        // requests for ever new keys, which no edge has stored
	CauseSlowOrigin Cause = "slow-origin" // requests stay longer, and are not more
	CauseEdgeLoss   Cause = "edge-loss"   // fewer edges get the same requests
)

// vitals are the signs by which causes are told apart, of one instant or of the
// time before it.
type vitals struct {
	offered   float64 // requests per second
	distinct  float64 // different missing keys, as a part of the ended requests
	residence float64 // mean time that a request is under way, in seconds (Little's law)
	perEdge   float64 // requests per second that one edge hears
}

// ordinary is what the signs were before the present cause began. It is learned
// while there is none, so that a cause does not become the rule by lasting.
type ordinary struct {
	vitals
	known bool
	since time.Time // the present cause began; zero: there is none
	cause Cause
}

const (
	ordinaryMemory = time.Minute
	// causeLasts is how long a scan or a slow origin is held to be one. What lasts
	// longer is how the fleet is used now: a verdict that is wrong must not starve
	// an audience for ever.
	causeLasts = 30 * time.Minute

	scanShare   = 0.3  // part of the growth that new keys explain, at least,
	scanMisses  = 0.5  // and of the misses that are new keys
	slack       = 0.05 // of the ordinary load: within it nothing is said of causes
	slower      = 2.0  // times the ordinary residence
	saturated   = 0.9  // of the capacity, from which requests wait for the edges themselves
	significant = 4.0  // standard deviations
)

// verdict is what a cause makes of the load.
type verdict struct {
	cause Cause
	rate  float64 // requests per second that edges are bought for
	scan  float64 // of the offered ones, those of a scan, which do not count
	slow  bool    // requests wait for the origin: in-flight says nothing about edges
	lost  int     // edges that are asked for and serve nobody
}

// classify tells causes apart by what is seen now and what was ordinary.
func classify(p *policy.Policy, l *Load, now vitals, before ordinary, dispersion float64) verdict {
	v := verdict{rate: l.Offered}
	if !before.known {
		return v
	}
	noise := significant*math.Sqrt(dispersion*max(before.offered, now.offered, 1)/l.window()) + slack*before.offered
	growth := l.Offered - before.offered

	// Clients of edges that fell silent are heard at the others, while the last
	// word of the silent ones still counts: the same requests twice.
	if lost := l.Known - l.Live; lost > 0 && l.Live > 0 && l.Heard > 0 {
		moved := before.perEdge * float64(lost) / float64(l.Live)
		if now.perEdge > before.perEdge+moved/2 && l.Heard <= before.offered+noise {
			v.cause, v.lost = CauseEdgeLoss, lost
			v.rate = min(l.Offered, max(l.Heard, before.offered))
			return v
		}
	}
	// Every request of a scan is a key that nobody asked for before. What exceeds
	// the noise is taken off, but never below what was there before it. The noise
	// shrinks it to nothing at its size, and leaves what is far larger alone.
	share := max(1-before.distinct, 0.1)
	fresh := l.Offered * (now.distinct - before.distinct) / share
	if grown := l.Ended - before.offered; grown > 0 {
		// The ends of windows show a rise that the windows, and the keys in them,
		// know a part of: what explains that part explains the rest.
		part := min((l.Distinct-before.distinct*l.Ended)/share/grown, 1)
		fresh = max(fresh, part*growth)
	}
	if fresh > noise && fresh >= scanShare*growth && l.Distinct >= scanMisses*l.Misses {
		v.rate = max(l.Offered-(fresh-noise*noise/fresh), min(l.Offered, before.offered))
		if v.scan = l.Offered - v.rate; v.scan > 0 {
			v.cause = CauseScan
			return v
		}
	}
	full := l.Offered >= saturated*p.EdgeCapacity()*float64(max(l.ReadyReplicas, 1))
	waiting := l.InFlight - before.residence*l.Offered
	v.slow = before.residence > 0 && now.residence > slower*before.residence && !full &&
		waiting > significant*math.Sqrt(l.InFlight)
	switch {
	case growth > noise:
		v.cause = CauseAudience
	case v.slow:
		v.cause = CauseSlowOrigin
	}
	return v
}

// signs are the vitals of a load. What it does not say is taken as it was.
func signs(l *Load, before vitals) vitals {
	v := before
	v.offered = l.Offered
	if l.Ended > 0 {
		v.distinct = min(l.Distinct/l.Ended, 1)
	}
	if l.Offered > 0 {
		v.residence = l.InFlight / l.Offered
	}
	if l.Live > 0 {
		v.perEdge = l.Heard / float64(l.Live)
	}
	return v
}

// learn takes the signs of now into what is ordinary.
func (o ordinary) learn(v vitals, cause Cause, now time.Time, elapsed time.Duration) ordinary {
	if !o.known {
		return ordinary{vitals: v, known: true}
	}
	if cause != o.cause {
		o.cause, o.since = cause, now
	}
	lasting := cause == CauseScan || cause == CauseSlowOrigin || cause == CauseEdgeLoss
	if lasting && now.Sub(o.since) < causeLasts {
		return o
	}
	gain := 1 - math.Exp(-elapsed.Seconds()/ordinaryMemory.Seconds())
	for _, x := range [...]struct {
		old *float64
		new float64
	}{{&o.offered, v.offered}, {&o.distinct, v.distinct}, {&o.residence, v.residence}, {&o.perEdge, v.perEdge}} {
		*x.old += gain * (x.new - *x.old)
	}
	return o
}
