package autoscale

// line gathers points for a straight line by weighted least squares. Times are
// in seconds before the newest point, so that the line's value now is its
// intercept. The weight of a point is the seconds that it was counted over: the
// variance of a rate is that of a count of one second divided by it.
//
// The variances are in units of that of one second. With n points of weight 1
// they are those of the textbooks: (4n-2)/(n(n+1)) at the end and 12/(n(n²-1))
// of the slope.
//
// Its methods take a pointer: it is too large for registers, and copies of it were
// most of what a decision cost.
type line struct {
	n               int
	w, t, y, tt, ty float64
}

// add takes a point in.
func (l *line) add(p *point) {
	wt := p.weight * p.t
	l.n++
	l.w += p.weight
	l.t += wt
	l.y += p.weight * p.rate
	l.tt += wt * p.t
	l.ty += wt * p.rate
}

// addAll takes points in. The sums are in variables of their own, or each point would
// wait for the one before it to be in memory.
func (l *line) addAll(points []point) {
	w, t, y, tt, ty := l.w, l.t, l.y, l.tt, l.ty
	for i := range points {
		p := &points[i]
		wt := p.weight * p.t
		w += p.weight
		t += wt
		y += p.weight * p.rate
		tt += wt * p.t
		ty += wt * p.rate
	}
	l.n += len(points)
	l.w, l.t, l.y, l.tt, l.ty = w, t, y, tt, ty
}

// remove takes back what was added.
func (l *line) remove(p *point) {
	wt := p.weight * p.t
	l.n--
	l.w -= p.weight
	l.t -= wt
	l.y -= p.weight * p.rate
	l.tt -= wt * p.t
	l.ty -= wt * p.rate
}

// mean is the value of a line without slope.
func (l *line) mean() (value, variance float64) {
	if l.n == 0 || l.w <= 0 {
		return 0, 0
	}
	return l.y / l.w, 1 / l.w
}

// fit is the line's value at the time 0 and its slope. Below three points the
// slope is 0: two of them would take all of their noise for growth.
func (l *line) fit() (value, slope, valueVariance, slopeVariance float64) {
	det := l.w*l.tt - l.t*l.t
	if l.n < 3 || det <= 1e-9*l.w*l.tt {
		value, valueVariance = l.mean()
		return value, 0, valueVariance, 0
	}
	return (l.tt*l.y - l.t*l.ty) / det, (l.w*l.ty - l.t*l.y) / det, l.tt / det, l.w / det
}
