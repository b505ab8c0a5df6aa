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
	age      float64 // seconds since a ramp began
}

const (
	changeWithin = 15 // points that a change lies back at most
	changeBase   = 45 // seconds before it that the load is judged by
	changeNeeds  = 10 // points before it, at least
	bent         = 3  // standard errors by which the end of the time before may leave its line
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
	var base, late, after line
	end := 1 // the base is points[m:end], and the end of it points[m:m+changeNeeds]
	for _, p := range points[1:min(changeNeeds, len(points))] {
		late = late.add(p)
	}
	for m := 1; m <= changeWithin && len(points)-m >= changeNeeds; m++ {
		if m > 1 {
			base, late = base.remove(points[m-1]), late.remove(points[m-1])
		}
		after, late = after.add(points[m-1]), late.add(points[m+changeNeeds-1])
		start := points[m].t
		for ; end < len(points) && start-points[end].t < changeBase; end++ {
			base = base.add(points[end])
		}
		first, now := points[m-1], points[0].rate
		whole := base.before(start, dispersion, now)
		step, ramp := whole.step(after, first), whole.ramp(after)
		if step.evidence > best.evidence || m >= 3 && ramp.evidence > best.ramp.evidence {
			// A time before that is no straight line, such as a ramp that has ended, reads as growth that goes on, and as a step
			// on top of it. A rise has to be one after its end too; that is asked last, because rises are rare.
			if l := late.before(start, dispersion, now); beyond(whole.at(start)-l.at(start), bent, dispersion, l.at(start), l.variance) {
				l.level += max(l.slope-whole.slope, 0) * start
				l.slope = min(l.slope, whole.slope)
				step, ramp = least(step, l.step(after, first)), least(ramp, l.ramp(after))
			}
		}
		if step.evidence > best.evidence {
			best.rise = step
		}
		if m >= 3 && ramp.evidence > best.ramp.evidence {
			best.ramp = ramp
		}
	}
	best.ramp = best.ramp.continued(points, dispersion)
	if best.ramp.evidence > best.evidence {
		best.rise = best.ramp
	}
	return best
}

func least(a, b rise) rise {
	if a.evidence < b.evidence {
		return a
	}
	return b
}

// continued is a ramp as far as its latest points go on with it: one that has
// ended must not be extended, and the load is no longer on its line. What they
// allow beyond their own growth is half a standard error: they are few, and an
// extrapolation multiplies their noise.
func (r rise) continued(points []point, dispersion float64) rise {
	var latest line
	for i, p := range points {
		if i == 8 || -p.t > r.age {
			break
		}
		latest = latest.add(p)
		if n := i + 1; n == 3 || n == 5 || n == 8 {
			value, slope, variance, slopeVariance := latest.fit()
			r.slope = min(r.slope, max(slope+deviation(dispersion, value, slopeVariance)/2, 0))
			r.value = min(r.value, value+deviation(dispersion, value, variance))
		}
	}
	return r
}

// earlier is what the load was before a possible change.
type earlier struct {
	start        float64 // time of the change
	level, slope float64 // of a line: its value at the time 0
	doubt        float64 // the variance of that, in variances of one second,
	variance     float64 // and of the value at the start
	noise        float64 // twice the variance of one second
}

func (e earlier) at(t float64) float64 { return e.level + e.slope*t }

// before is the line of the points until a possible change, or their mean where
// it is flat.
func (l line) before(start, dispersion, now float64) earlier {
	e := earlier{start: start}
	var slopeVariance float64
	e.level, e.slope, e.doubt, slopeVariance = l.fit()
	if beyond(e.slope, flat, dispersion, e.at(start), slopeVariance) {
		e.variance = e.doubt - slopeVariance*start*(2*l.t/l.w-start)
	} else {
		e.level, e.doubt = l.mean()
		e.slope, e.variance = 0, e.doubt
	}
	if e.slope < 0 {
		// Nobody knows how far a fall goes on: its end is no rise.
		e.level, e.slope = max(e.at(start), 0), 0
	}
	// The noise of the level before and after, and not of each model's own, or
	// the one that spreads the rise over many points would win.
	e.noise = 2 * dispersion * (max(e.at(start), 1) + now) / 2
	return e
}

func (e earlier) step(after line, first point) rise {
	squared, jump := after.beyond(e.level, e.slope, e.start).step(first.weight, first.rate-e.at(first.t), e.doubt)
	return rise{evidence: squared / e.noise, before: e.level, value: e.level + jump, slope: e.slope}
}

func (e earlier) ramp(after line) rise {
	squared, growth := after.beyond(e.level, e.slope, e.start).ramp(e.doubt)
	return rise{evidence: squared / e.noise, before: e.level, value: e.level - growth*e.start, slope: e.slope + growth, age: -e.start}
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
