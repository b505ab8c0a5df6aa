package autoscale

import (
	"math"
	"time"
)

// change is the likeliest rise within the last seconds: a step, or a ramp.
type change struct {
	rise
	ramp rise // the likeliest of those that go on
}

// rise is one explanation of the last seconds.
type rise struct {
	evidence float64 // log likelihood ratio against no change; 0 where nothing rises
	before   float64 // what the load would be now without it, in requests per second
	value    float64 // what it is
	slope    float64 // its growth, in requests per second per second
}

const (
	changeWithin = 15 // points that a change lies back at most
	changeBase   = 45 // seconds before it that the load is judged by
	changeNeeds  = 10 // points before it, at least
)

// detect looks for a rise by the generalised likelihood ratio (Siegmund and
// Venkatraman, "Using the generalized likelihood ratio statistic for sequential
// detection of a change-point", 1995): for each second in which the load may
// have changed it continues the line of the time before, and compares what came
// since with a step and with a ramp that begin there. The likeliest of all says
// how the load grows, far sooner than a line through the points since could.
func detect(points []point, dispersion float64) (best change) {
	if len(points) == 0 {
		return best
	}
	var base, after line
	end := 1 // the base is points[m:end]
	for m := 1; m <= changeWithin && len(points)-m >= changeNeeds; m++ {
		if m > 1 {
			base = base.remove(points[m-1])
		}
		after = after.add(points[m-1])
		start := points[m].t
		for ; end < len(points) && start-points[end].t < changeBase; end++ {
			base = base.add(points[end])
		}
		level, slope, doubt, slopeVariance := base.fit()
		if !beyond(slope, flat, dispersion, level+slope*start, slopeVariance) {
			level, doubt = base.mean()
			slope = 0
		}
		if slope < 0 {
			// Nobody knows how far a fall goes on: its end is no rise.
			level, slope = max(level+slope*start, 0), 0
		}
		// The noise of the level before and after, and not of each model's own, or
		// the one that spreads the rise over many points would win.
		noise := 2 * dispersion * (max(level+slope*start, 1) + points[0].rate) / 2
		s := after.beyond(level, slope, start)
		first := points[m-1]
		if e, jump := s.step(first.weight, first.rate-level-slope*first.t, doubt); e > noise*best.evidence {
			best.rise = rise{evidence: e / noise, before: level, value: level + jump, slope: slope}
		}
		if e, growth := s.ramp(doubt); m >= 3 && e > noise*best.ramp.evidence {
			best.ramp = rise{evidence: e / noise, before: level, value: level - growth*start, slope: slope + growth}
		}
	}
	if best.ramp.evidence > best.evidence {
		best.rise = best.ramp
	}
	return best
}

// excess is sums over the points since a possible change: of what they exceed
// the line before by, and of that times the seconds since.
type excess struct {
	y, ty      float64
	w, tw, ttw float64
}

// beyond is by how much the points exceed a line. All sums follow from those of
// the points, so that a change is sought at each second without a second loop.
func (l line) beyond(level, slope, start float64) excess {
	y, ty := l.y-level*l.w-slope*l.t, l.ty-level*l.t-slope*l.tt
	return excess{
		y: y, ty: ty - start*y,
		w: l.w, tw: l.t - start*l.w, ttw: l.tt - 2*start*l.t + start*start*l.w,
	}
}

// step is the squared size of the best step, in variances of one second, and
// its height. Doubt is the variance of the line before, which is an estimate
// too: the longer it is continued, the less an excess means. Weight and mixed
// are those of the first point after it.
func (r excess) step(weight, mixed, doubt float64) (squared, height float64) {
	if r.y <= 0 || r.ty <= 0 {
		return 0, 0
	}
	y, w, first := r.y, r.w, 0.0
	if w > weight {
		// The reports of the second in which the load changed mix before and after:
		// the first point lies anywhere between them. Otherwise steps look like ramps.
		y, w = y-weight*mixed, w-weight
		if y <= 0 {
			return 0, 0
		}
		first = min(max(mixed, 0), y/w)
	}
	return weight*first*first + y*y/(w+doubt*w*w), y / w
}

// ramp is the squared size of the best ramp, in variances of one second, and
// its growth in a second.
func (r excess) ramp(doubt float64) (squared, growth float64) {
	if r.y <= 0 || r.ty <= 0 {
		return 0, 0
	}
	return r.ty * r.ty / (r.ttw + doubt*r.tw*r.tw), r.ty / r.ttw
}

// evidenceThreshold is the evidence that noise alone reaches once per interval,
// on average. The chance that it exceeds h falls like exp(-h), and as many chances
// as a second has are measured: at steps and ramps of every second against a line
// of 45 points, four times a second, and on each report where the load seems to
// rise (controllers/simulate). Asked once a second, the interval is twice as long.
func evidenceThreshold(interval time.Duration) float64 {
	return max(math.Log(interval.Seconds()), 1)
}
