package load

import (
	"fmt"
	"math"
	"time"
)

// Segment is a stretch of time in which the rate goes from one value to another in a straight line.
type Segment struct {
	For      time.Duration // length; 0 makes a step
	From, To float64       // requests per second
}

// Curve is a request rate over time: segments one after another. The zero value sends nothing. It is immutable and safe for concurrent use.
type Curve struct {
	segments []Segment
	starts   []time.Duration // when each segment starts
	counts   []float64       // requests sent before each segment
	length   time.Duration
	total    float64
}

// NewCurve joins segments. Rates are finite and not negative, lengths not negative.
func NewCurve(segments ...Segment) (Curve, error) {
	var c Curve
	for i, s := range segments {
		for _, r := range []float64{s.From, s.To} {
			if math.IsNaN(r) || math.IsInf(r, 0) || r < 0 {
				return Curve{}, fmt.Errorf("segment %d: rate %v: want a finite number of requests per second, 0 or more", i, r)
			}
		}
		if s.For < 0 {
			return Curve{}, fmt.Errorf("segment %d: length %v: want 0 or more", i, s.For)
		}
		if s.For == 0 {
			continue
		}
		c.segments = append(c.segments, s)
		c.starts = append(c.starts, c.length)
		c.counts = append(c.counts, c.total)
		c.length += s.For
		c.total += (s.From + s.To) / 2 * s.For.Seconds()
	}
	return c, nil
}

// Length is how long the curve lasts.
func (c Curve) Length() time.Duration { return c.length }

// Total is how many requests the whole curve sends.
func (c Curve) Total() uint64 { return uint64(c.total + 1e-6) }

// Peak is the highest rate of the curve.
func (c Curve) Peak() float64 {
	peak := 0.0
	for _, s := range c.segments {
		peak = max(peak, s.From, s.To)
	}
	return peak
}

// Rate is the rate at time t, in requests per second; 0 outside the curve.
func (c Curve) Rate(t time.Duration) float64 {
	for i, s := range c.segments {
		if into := t - c.starts[i]; into >= 0 && into < s.For {
			return s.From + (s.To-s.From)*into.Seconds()/s.For.Seconds()
		}
	}
	return 0
}

// Count is how many requests the curve has sent by time t, with fractions.
func (c Curve) Count(t time.Duration) float64 {
	for i, s := range c.segments {
		if into := t - c.starts[i]; into < s.For {
			x := max(into, 0).Seconds()
			return c.counts[i] + s.From*x + (s.To-s.From)/s.For.Seconds()/2*x*x
		}
	}
	return c.total
}

// At is when request n (the first is 0) is meant to be sent: the inverse of Count. Beyond the total it is the end of the curve.
func (c Curve) At(n uint64) time.Duration {
	want := float64(n)
	for i, s := range c.segments {
		if within := (s.From + s.To) / 2 * s.For.Seconds(); want < c.counts[i]+within {
			m := want - c.counts[i]
			slope := (s.To - s.From) / s.For.Seconds()
			// The textbook root (-b+√…)/a cancels to nothing where the slope is small, and divides by zero on a flat segment.
			root := math.Sqrt(max(s.From*s.From+2*slope*m, 0))
			if m <= 0 || s.From+root == 0 {
				return c.starts[i]
			}
			return c.starts[i] + time.Duration(2*m/(s.From+root)*float64(time.Second))
		}
	}
	return c.length
}

// Pacer drives a vegeta attack along a curve: open-loop, so a slow answer never delays the next request.
type Pacer struct{ Curve Curve }

// Pace implements vegeta.Pacer: how long to wait before request number hits.
func (p Pacer) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if hits >= p.Curve.Total() {
		return 0, true
	}
	return max(p.Curve.At(hits)-elapsed, 0), false
}

// Rate implements vegeta.Pacer.
func (p Pacer) Rate(elapsed time.Duration) float64 { return p.Curve.Rate(elapsed) }
