package simulate

import (
	"math"
	"time"
)

// A Shape is the expected load of a synthetic trace, in requests per second, at
// a time since its start.
type Shape func(at time.Duration) float64

// Synthetic is a trace of this shape with the counting noise of the seed.
func Synthetic(name string, length time.Duration, seed uint64, shape Shape) Trace {
	n := newNoise(seed)
	t := Trace{Name: name, Start: epoch, Seconds: make([]Second, length/time.Second)}
	for i := range t.Seconds {
		t.Seconds[i].Requests = n.count(shape(time.Duration(i)*time.Second + time.Second/2))
	}
	return t
}

// Step is a load that is multiplied by k at once, and stays.
func Step(base, k float64, before, after time.Duration, seed uint64) Trace {
	t := Synthetic("step", before+after, seed, func(at time.Duration) float64 {
		if at < before {
			return base
		}
		return base * k
	})
	t.Onset = &Onset{After: before, Rate: base * k}
	return t
}

// Square is a load that changes between base and k × base, half a period each.
func Square(base, k float64, period, length time.Duration, seed uint64) Trace {
	return Synthetic("square", length, seed, func(at time.Duration) float64 {
		if at%period < period/2 {
			return base
		}
		return base * k
	})
}

// Ramp is a load that grows to k × base along a straight line, and stays.
func Ramp(base, k float64, before, rise, after time.Duration, seed uint64) Trace {
	t := Synthetic("ramp", before+rise+after, seed, func(at time.Duration) float64 {
		share := min(max(float64(at-before)/float64(rise), 0), 1)
		return base * (1 + (k-1)*share)
	})
	t.Onset = &Onset{After: before, Rate: base * k}
	return t
}

// Exodus is a load of which a fraction remains after everybody left along a
// straight line.
func Exodus(base, remains float64, before, leaving, after time.Duration, seed uint64) Trace {
	t := Ramp(base, remains, before, leaving, after, seed)
	t.Name = "exodus"
	return t
}

// Burst is a load that is k times its base for a while, and falls back.
func Burst(base, k float64, before, lasts, after time.Duration, seed uint64) Trace {
	t := Synthetic("burst", before+lasts+after, seed, func(at time.Duration) float64 {
		if at < before || at >= before+lasts {
			return base
		}
		return base * k
	})
	t.Onset = &Onset{After: before, Rate: base * k}
	return t
}

// Crawl is a steady load to which a scan adds k-1 times as much for a while, with
// requests for ever new keys.
func Crawl(base, k float64, before, lasts, after time.Duration, seed uint64) Trace {
	t := Burst(base, k, before, lasts, after, seed)
	t.Name = "scan"
	for i := int(before / time.Second); i < int((before+lasts)/time.Second); i++ {
		t.Seconds[i].Scan = 1 - 1/k
	}
	return t
}

// Day is a load that rises and falls once within the period, between base and
// peak.
func Day(base, peak float64, period, length time.Duration, seed uint64) Trace {
	return Synthetic("day", length, seed, func(at time.Duration) float64 {
		return base + (peak-base)*(1-math.Cos(2*math.Pi*float64(at)/float64(period)))/2
	})
}

// Silence is the trace with a hole in its reports: the requests go on arriving,
// and nothing is heard of them.
func (t Trace) Silence(after, length time.Duration) Trace {
	seconds := append([]Second(nil), t.Seconds...)
	first := min(int(after/time.Second), len(seconds))
	last := min(int((after+length)/time.Second), len(seconds))
	for i := first; i < last; i++ {
		seconds[i].Silent = true
	}
	t.Seconds = seconds
	return t
}
