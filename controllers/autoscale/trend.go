package autoscale

import (
	"math"
	"time"
)

// trend is the straight line that the load follows now: its value at the newest
// sample and its growth.
type trend struct {
	value    float64       // requests per second
	slope    float64       // requests per second per second; 0 where none is certain
	variance float64       // of the value, in variances of one second
	span     time.Duration // how far it reaches back
	points   int           // and how many points that is
	whole    bool          // all that there are within the window
}

const (
	agreement = 4.5 // standard errors by which two lines may differ and still tell of one trend
	parallel  = 3.0 // standard errors by which a line may grow more than a shorter one
	flat      = 2.5 // standard errors below which a slope is taken for none
	growing   = 13  // points below which growth is not believed: a step among them looks like it
)

// follow chooses how far back the load is a straight line, by Lepski's method
// ("On a problem of adaptive estimation in Gaussian white noise", 1990): lines
// through more and more of the latest points are fitted, and the longest one
// counts that agrees, at its end and in its growth, with all shorter ones within their noise. So
// a steady load is averaged over the whole window, and a change cuts off what
// was before it.
func follow(points []point, dispersion float64, window time.Duration) trend {
	var (
		shorter [16]end
		n       int
		all     line
		best    trend
	)
	within := len(points)
	for within > 0 && -points[within-1].t >= window.Seconds() {
		within--
	}
	for next, after := 1, 2; all.n < within; next, after = after, next+after { // Fibonacci: each span is 1.6 times the one before
		all.addAll(points[all.n:min(next, within)])
		value, slope, variance, slopeVariance := all.fit()
		for i := range shorter[:n] {
			s := &shorter[i]
			if beyond(value-s.value, agreement, dispersion, value, s.variance) {
				return best
			}
			// Where a ramp ends, the end of its line is within the noise of the level for long, and its growth is not.
			if all.n >= growing && slope > s.slope && slope-s.slope > parallel*s.slopeError(dispersion) {
				return best
			}
		}
		shorter[n] = end{all.n, value, variance, slope, slopeVariance}
		n++
		if !beyond(slope, flat, dispersion, value, slopeVariance) {
			// The mean is twice as sure as the end of a line.
			slope = 0
			value, variance = all.mean()
		}
		if all.n < growing && slope > 0 {
			continue
		}
		if slope > 0 {
			for i := range shorter[:n-1] {
				s := &shorter[i]
				slope = min(slope, max(s.slope+s.slopeError(dispersion)/2, 0))
			}
		}
		best = trend{
			value: max(value, 0), slope: slope, variance: variance, points: all.n, whole: all.n == within,
			span: time.Duration((1 - points[all.n-1].t) * float64(time.Second)).Round(100 * time.Millisecond),
		}
	}
	return best
}

// end is where a line through the latest points has got to.
type end struct {
	points                                int
	value, variance, slope, slopeVariance float64
}

// slopeError is the standard error of the slope: infinite for what is no line yet.
func (e *end) slopeError(dispersion float64) float64 {
	if e.points < 3 {
		return math.Inf(1)
	}
	return deviation(dispersion, e.value, e.slopeVariance)
}
