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
	type end struct{ value, variance, slope, slopeError float64 }
	var (
		shorter [16]end
		n       int
		all     line
		best    trend
	)
	next, after := 1, 2 // Fibonacci: each span is 1.6 times the one before
	for i, p := range points {
		if -p.t >= window.Seconds() {
			break
		}
		all = all.add(p)
		last := i+1 == len(points) || -points[i+1].t >= window.Seconds()
		if i+1 != next && !last {
			continue
		}
		if i+1 == next {
			next, after = after, next+after
		}
		value, slope, variance, slopeVariance := all.fit()
		for _, s := range shorter[:n] {
			if beyond(value-s.value, agreement, dispersion, value, s.variance) {
				return best
			}
			// Where a ramp ends, the end of its line is within the noise of the level for long, and its growth is not.
			if all.n >= growing && slope-s.slope > parallel*s.slopeError {
				return best
			}
		}
		slopeError := math.Inf(1)
		if all.n >= 3 {
			slopeError = deviation(dispersion, value, slopeVariance)
		}
		shorter[n] = end{value, variance, slope, slopeError}
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
			for _, s := range shorter[:n-1] {
				slope = min(slope, max(s.slope+s.slopeError/2, 0))
			}
		}
		best = trend{
			value: max(value, 0), slope: slope, variance: variance, points: all.n, whole: last,
			span: time.Duration((1 - p.t) * float64(time.Second)).Round(100 * time.Millisecond),
		}
	}
	return best
}
