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
	var base, after line
	end := 1 // the base is points[m:end]
	for m := 1; m <= changeWithin && len(points)-m >= changeNeeds; m++ {
		first := &points[m-1]
		if m > 1 {
			base.remove(first)
		}
		after.add(first)
		start, known := points[m].t, end
		for end < len(points) && start-points[end].t < changeBase {
			end++
		}
		if known < end {
			base.addAll(points[known:end])
		}
		whole := base.before(start, dispersion, points[0].rate)
		step, ramp := whole.rises(&after, first, m)
		if step.evidence > max(best.evidence, 1) || ramp.evidence > max(best.ramp.evidence, 1) {
			// A time before that is no straight line, such as a ramp that has ended, reads as growth that goes on, and as a step
			// on top of it. A rise has to be one after its end too; that is asked last, and not below the least evidence of which anything
			// follows (evidenceThreshold), because rises are rare.
			var late line
			late.addAll(points[m : m+changeNeeds])
			if l := late.before(start, dispersion, points[0].rate); beyond(whole.at(start)-l.at(start), bent, dispersion, l.at(start), l.variance) {
				l.level += max(l.slope-whole.slope, 0) * start
				l.slope = min(l.slope, whole.slope)
				lateStep, lateRamp := l.rises(&after, first, m)
				step, ramp = least(step, lateStep), least(ramp, lateRamp)
			}
		}
		if step.evidence > best.evidence {
			best.rise = step
		}
		if ramp.evidence > best.ramp.evidence {
			best.ramp = ramp
		}
	}
	if best.ramp.evidence > 1 {
		best.ramp = best.ramp.continued(points, dispersion)
	}
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
	for i := range points {
		if i == 8 || -points[i].t > r.age {
			break
		}
		latest.add(&points[i])
		if n := i + 1; n == 3 || n == 5 || n == 8 {
			value, slope, variance, slopeVariance := latest.fit()
			r.slope = min(r.slope, max(slope+deviation(dispersion, value, slopeVariance)/2, 0))
			r.value = min(r.value, value+deviation(dispersion, value, variance))
		}
	}
	return r
}

// evidenceThreshold is the evidence that noise alone reaches once per interval,
// on average. The chance that it exceeds h falls like exp(-h), and as many chances
// as a second has are measured: at steps and ramps of every second against a line
// of 45 points, four times a second, and on each report where the load seems to
// rise (controllers/simulate). Asked once a second, the interval is twice as long.
func evidenceThreshold(interval time.Duration) float64 {
	return max(math.Log(interval.Seconds()), 1)
}
