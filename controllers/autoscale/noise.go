package autoscale

import (
	"math"
	"time"
)

// noiseMemory is how long the dispersion remembers.
const noiseMemory = 2 * time.Minute

// dispersion updates how many times more the load varies from second to second
// than independent requests would: the variance over the mean, 1 for a Poisson
// process, and never below.
//
// It is learned from differences of neighbours (Rice, "Bandwidth choice for
// nonparametric regression", 1984), which a trend does not inflate. One
// difference moves it by at most nine variances: a spike must not count as
// noise, or the next one would not stand out.
func disperse(before float64, newest, previous point, elapsed time.Duration) float64 {
	mean := max((newest.rate+previous.rate)/2, 1)
	diff := newest.rate - previous.rate
	raw := diff * diff / (mean * (1/newest.weight + 1/previous.weight))
	gain := 1 - math.Exp(-elapsed.Seconds()/noiseMemory.Seconds())
	return max(1, before+gain*(min(raw, 9*before)-before))
}

// deviation is the standard deviation of an estimate of this level whose
// variance is this many times that of one second.
func deviation(dispersion, level, variance float64) float64 {
	return math.Sqrt(dispersion * max(level, 1) * variance)
}

// beyond reports whether a difference is more than so many of these deviations.
// Squares are compared: lines are, some dozens of times in each decision.
func beyond(difference, deviations, dispersion, level, variance float64) bool {
	return difference*difference > deviations*deviations*dispersion*max(level, 1)*variance
}
