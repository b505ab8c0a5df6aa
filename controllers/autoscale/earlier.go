package autoscale

// earlier is what the load was before a possible change.
type earlier struct {
	start        float64 // time of the change
	level, slope float64 // of a line: its value at the time 0
	doubt        float64 // the variance of that, in variances of one second,
	variance     float64 // and of the value at the start
	noise        float64 // twice the variance of one second
}

func (e *earlier) at(t float64) float64 { return e.level + e.slope*t }

// before is the line of the points until a possible change, or their mean where
// it is flat.
func (l *line) before(start, dispersion, now float64) earlier {
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

// rampNeeds is how many points tell a ramp from a step, at least.
const rampNeeds = 3

// rises are the best step and the best ramp that the n points after the change
// make of what was before it; without evidence where there is none, or too few
// points for a ramp.
func (e *earlier) rises(after *line, first *point, n int) (step, ramp rise) {
	y, ty := after.excess(e.level, e.slope, e.start)
	if y <= 0 || ty <= 0 {
		return rise{}, rise{}
	}
	squared, jump := asStep(y, after.w, first.weight, first.rate-e.at(first.t), e.doubt)
	step = rise{evidence: squared / e.noise, before: e.level, value: e.level + jump, slope: e.slope}
	if n < rampNeeds {
		return step, rise{}
	}
	// The best ramp, by the same measures as the step.
	tw, ttw := after.spread(e.start)
	growth := ty / ttw
	return step, rise{
		evidence: ty * ty / (ttw + e.doubt*tw*tw) / e.noise,
		before:   e.level, value: e.level - growth*e.start, slope: e.slope + growth, age: -e.start,
	}
}

// excess is sums over the points since a possible change: of what they exceed
// the line before by, and of that times the seconds since. All sums follow from
// those of the points, so that a change is sought at each second without a second
// loop.
func (l *line) excess(level, slope, start float64) (y, ty float64) {
	y, ty = l.y-level*l.w-slope*l.t, l.ty-level*l.t-slope*l.tt
	return y, ty - start*y
}

// spread is sums over the same points of the seconds since the change, and of
// their squares.
func (l *line) spread(start float64) (tw, ttw float64) {
	return l.t - start*l.w, l.tt - 2*start*l.t + start*start*l.w
}

// asStep is the squared size of the best step, in variances of one second, and
// its height. Doubt is the variance of the line before, which is an estimate
// too: the longer it is continued, the less an excess means. Y and w are the sums of
// the points, weight and mixed are those of the first one.
func asStep(y, w, weight, mixed, doubt float64) (squared, height float64) {
	first := 0.0
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
