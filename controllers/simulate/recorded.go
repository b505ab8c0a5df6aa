package simulate

import (
	"errors"
	"math"
	"time"
)

// Recorded is a trace of rates that were heard, one for each second from start.
// NaN is a second of which nothing was heard: it is silent, and its load is
// interpolated. Unknown seconds at both ends are left out; it is an error when
// nothing is left.
func Recorded(start time.Time, rates []float64) (Trace, error) {
	first, last := 0, len(rates)
	for first < last && math.IsNaN(rates[first]) {
		first++
	}
	for last > first && math.IsNaN(rates[last-1]) {
		last--
	}
	if first == last {
		return Trace{}, errors.New("nothing was heard in this time")
	}
	t := Trace{Start: start.Add(time.Duration(first) * time.Second), Seconds: make([]Second, last-first)}
	known := 0 // latest second that was heard
	for i, rate := range rates[first:last] {
		if math.IsNaN(rate) {
			continue
		}
		t.Seconds[i].Requests = rate
		from := t.Seconds[known].Requests
		for j := known + 1; j < i; j++ {
			t.Seconds[j] = Second{Requests: from + (rate-from)*float64(j-known)/float64(i-known), Silent: true}
		}
		known = i
	}
	return t, nil
}
