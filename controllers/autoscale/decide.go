// Package autoscale decides how many edges a fleet needs, from its policy, its
// load and what was seen before, and says why in one line.
//
// The package is pure: time is an argument, the state is a value, and the same
// arguments always give the same decision. The load is taken as a straight line
// over the longest time for which it is one, and extended over the start time
// of a pod; a test for a rise that has only just begun overtakes it when much is
// at stake. Two properties hold for every input: fewer edges are asked for only
// on a LIVE signal, and a change never leads outside min-replicas and
// max-replicas.
package autoscale

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// Decide takes the load into the state and decides. Neither argument is
// changed; a second call with the state that it returned and the same time
// gives the same decision.
func Decide(p policy.Policy, l Load, s State, now time.Time) (Decision, State) {
	d := s.Weigh(&p, &l, now)
	d.Explain(&p)
	return d, s
}

// Weigh decides as Decide does, on a state of which nobody needs what it was, and
// without the reason: for who decides far more often than anybody asks why.
// Explain adds it.
func (s *State) Weigh(p *policy.Policy, l *Load, now time.Time) Decision {
	s.take(p, l, now)
	return s.settle(p, l, now)
}

// Explain writes the reason of a decision that was made under this policy.
func (d *Decision) Explain(p *policy.Policy) { d.Reason = reason(p, d) }

// take takes the load in.
func (s *State) take(p *policy.Policy, l *Load, now time.Time) {
	s.turnBack(now)
	if len(s.specs) == 0 || (s.blind && l.Signal != Blind) || l.SpecReplicas > s.asked {
		// What runs is taken as needed until one scale-down-hold and one stable-window were watched: a
		// controller that was just started, or could not see, knows no better, and
		// whoever asked for more than it did may.
		s.kept = s.kept.add(peak{at: s.at(now), value: float64(l.SpecReplicas) * p.TargetRPSPerEdge}, warmUp(p))
	}
	s.blind = l.Signal == Blind
	s.specs = s.specs.add(s.at(now), l.SpecReplicas)
	s.observe(p, l, now)
}

// settle decides by what was taken in.
func (s *State) settle(p *policy.Policy, l *Load, now time.Time) Decision {
	in, path := s.estimate(p, l)
	at := s.at(now)
	if l.Signal != Blind {
		s.held = s.held.add(at, in.Demand, p.ScaleDownHold)
	}
	s.kept = s.kept.since(at, warmUp(p))
	held, kept := s.held.largest(at, p.ScaleDownHold), s.kept.largest(at, warmUp(p))
	warming := kept.value > held.value
	if warming {
		held = kept
	}
	in.HeldDemand, in.HeldAge = max(held.value, in.Demand), time.Duration(at-held.at)

	d := Decision{At: now, From: l.SpecReplicas, Path: path, Inputs: in}
	finishing := s.finishing(&d, at)
	d.limit(p, warming, finishing, s.specs, at)
	if in.Alarmed && d.To > d.From && !finishing {
		s.rose = at
	}
	s.asked = max(d.To, l.SpecReplicas)
	return d
}

// finishing reports whether a write on the spike path is so fresh that it is still
// being made whole: for an audience alone, because the share of a scan is known
// no better in its first moments than the load.
func (s *State) finishing(d *Decision, at int64) bool {
	since := time.Duration(at - s.rose)
	return since >= 0 && since < finishWithin && (d.Inputs.Cause == CauseAudience || d.Inputs.Cause == CauseNone)
}

// warmUp is how long what runs is taken as needed: without a whole window behind
// it a mean is a guess, however short the hold is.
func warmUp(p *policy.Policy) time.Duration { return max(p.ScaleDownHold, p.StableWindow) }

const (
	// stale is the age of what is known, and of what is decided, on top of the
	// start time of a pod: a report of one second, and the time to the next.
	stale = time.Second

	// growthCap bounds an extrapolation to this many times what was measured.
	growthCap = 2.0

	// certain is how many points a trend rests on before it is believed as it is.
	certain = 10
)

// estimate is the demand by the time that a new edge serves.
func (s *State) estimate(p *policy.Policy, l *Load) (Inputs, Path) {
	t, c := s.trend, s.change
	in := Inputs{
		Load: *l, Level: t.value, Span: t.span, Slope: t.slope, Dispersion: max(s.dispersion, 1),
		Base: c.before, Fast: t.value,
		Evidence: c.evidence, Threshold: evidenceThreshold(p.SpikeFalseAlarmInterval),
	}
	in.Lead = l.lead()
	if l.Signal != Blind {
		in.Metric, in.Counted = s.metric, s.counted
		in.Cause, in.Scan, in.Lost = s.verdict.cause, s.verdict.scan, s.verdict.lost
	}
	in.Alarmed = c.evidence >= in.Threshold
	ahead := (in.Lead + stale).Seconds()
	in.Demand = min(t.value+max(t.slope, 0)*ahead, growthCap*t.value)
	if t.whole && t.points < certain && t.span < p.StableWindow {
		// The first seconds are a guess: two standard errors less keep their noise
		// from buying an edge for the length of a hold.
		in.Demand = max(0, in.Demand-2*deviation(in.Dispersion, t.value, t.variance))
	}
	in.Now = t.value
	if in.Alarmed {
		// A detected rise is what the load is now, before the line lets go of what was.
		in.Now = max(in.Now, c.value)
		in.Demand = max(in.Demand, in.Now)
	}
	path := PathStable
	if in.Alarmed && need(p, in.Demand, in.Dispersion) > float64(l.SpecReplicas) {
		path = PathShift
	}
	if c.evidence == 0 {
		return in, path
	}
	r := c.rise
	demand := r.ahead(ahead, s.counted)
	if c.ramp.evidence >= max(in.Threshold, c.evidence-eitherWay) {
		// Their evidences differ by the log of the odds: the likelier a step is, the less of the ramp's growth counts.
		ramp := c.ramp
		ramp.slope /= 1 + math.Exp(c.evidence-c.ramp.evidence)
		if ramp.ahead(ahead, s.counted) > demand {
			r, demand = ramp, ramp.ahead(ahead, s.counted)
		}
	}
	in.Ratio = max(r.value, s.counted) / max(r.before, 1)
	stake := need(p, demand, in.Dispersion) / float64(max(l.SpecReplicas, 1))
	if demand > in.Demand && stake >= p.SpikeRatio && c.evidence >= in.Threshold-stakeGain*min((stake-p.SpikeRatio)/stakeSpan, 1) {
		in.Demand, in.Fast, in.Base, in.Slope, in.Alarmed, path = demand, r.value, r.before, r.slope, true, PathSpike
	}
	return in, path
}

// eitherWay is the evidence by which a step may be likelier than a ramp and the
// ramp is still prepared for: in the first seconds of a small fleet nobody can
// tell them apart, and too few edges cost more than too many.
const eitherWay = 2.0

// ahead is the load after some seconds, if the rise goes on.
func (r rise) ahead(seconds, now float64) float64 {
	return min(r.value+r.slope*seconds, growthCap*max(r.value, now))
}

// A spike of which more is to be lost is believed on less evidence: at its best
// less by stakeGain, from stakeSpan above spike-ratio on.
const (
	stakeGain = 2.0
	stakeSpan = 0.6
)

// surplus is how many standard deviations of a second's load fit under the
// capacity of the edges.
const surplus = 3.5

// need is how many edges a demand asks for, in parts of edges: at the target,
// and such that a busy second stays within what they can serve. The latter
// counts where edges are few requests each.
func need(p *policy.Policy, demand, dispersion float64) float64 {
	busy := demand + surplus*deviation(dispersion, demand, 1)
	if demand <= 0 {
		busy = 0
	}
	return max(demand/p.TargetRPSPerEdge, busy/p.EdgeCapacity())
}

// edges is the need in whole edges. A division is forgiven a billionth, or 300
// rps at 0.1 each would need one edge too many.
func edges(need float64) int {
	n := math.Ceil(need - 1e-9)
	return int(min(max(n, 0), math.MaxInt32))
}
