package simulate

import (
	"fmt"
	"time"
)

// A Trace is the load of one fleet, second by second.
type Trace struct {
	Name    string
	Start   time.Time
	Seconds []Second

	// Onset is when the change that the trace is about happens; nil where it is
	// about none. It is what reaction times are counted from.
	Onset *Onset
}

// Second is what arrives at the edges within one second.
type Second struct {
	// Requests that arrive, served or not.
	Requests float64

	// Silent means that no report of this second ever reaches the controller:
	// the requests are there, but nobody hears of them.
	Silent bool

	// Scan is the part of Requests, 0 to 1, that ask for keys which nobody asked
	// for before. They load pods like any other; a scaler that knows misses can
	// tell them apart.
	Scan float64
}

// Onset is the start of a lasting change of the load.
type Onset struct {
	After time.Duration // since the start of the trace
	Rate  float64       // requests per second that the change leads to
}

// Duration is the length of the trace.
func (t Trace) Duration() time.Duration { return time.Duration(len(t.Seconds)) * time.Second }

// Peak is the largest number of requests within one second.
func (t Trace) Peak() float64 {
	peak := 0.0
	for _, s := range t.Seconds {
		peak = max(peak, s.Requests)
	}
	return peak
}

// Between is the part of the trace from one time, included, to another,
// excluded. A zero time is the start or the end of the trace. It is an error
// when nothing is left.
func (t Trace) Between(from, to time.Time) (Trace, error) {
	first, last := 0, len(t.Seconds)
	if !from.IsZero() {
		first = max(first, int(from.Sub(t.Start)/time.Second))
	}
	if !to.IsZero() {
		last = min(last, int(to.Sub(t.Start)/time.Second))
	}
	if first >= last {
		return Trace{}, fmt.Errorf("nothing of the trace, which covers %s to %s, lies between %s and %s",
			stamp(t.Start), stamp(t.Start.Add(t.Duration())), stamp(from), stamp(to))
	}
	cut := Trace{Name: t.Name, Start: t.Start.Add(time.Duration(first) * time.Second), Seconds: t.Seconds[first:last]}
	if t.Onset != nil && t.Onset.After >= time.Duration(first)*time.Second {
		cut.Onset = &Onset{After: t.Onset.After - time.Duration(first)*time.Second, Rate: t.Onset.Rate}
	}
	return cut, nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "its edge"
	}
	return t.UTC().Format(time.DateTime)
}
