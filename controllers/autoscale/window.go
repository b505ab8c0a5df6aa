package autoscale

import (
	"slices"
	"time"
)

// maxWindow is the maximum over the latest stretch of time. Peaks of one slot of
// time merge into the larger one. It is a value: each update returns a new one and
// leaves the old one alone, so that deciding twice from one state gives one
// answer; within a slot it copies nothing. Its length is bounded.
type maxWindow struct {
	// closed are the peaks of the slots before the present one. They fall from the
	// oldest to the newest: a smaller value before a larger one can never be the
	// maximum again.
	closed []peak
	open   peak
}

type peak struct {
	at    time.Time // when the last value came that it stands for
	value float64   // requests per second
}

const buckets = 64

func (w maxWindow) add(p peak, length time.Duration) maxWindow {
	// Slots are aligned to the clock: measured from the peak before, each merge
	// would move the next one's slot along and a peak would never leave.
	slot := int64(max(time.Second, length/buckets))
	switch {
	case w.open.at.IsZero():
		w.open = p
	case w.open.at.UnixNano()/slot == p.at.UnixNano()/slot:
		w.open = peak{at: p.at, value: max(w.open.value, p.value)}
	default:
		keep := len(w.closed)
		for keep > 0 && w.closed[keep-1].value <= w.open.value {
			keep--
		}
		w.closed = append(slices.Clip(w.closed[:keep]), w.open)
		w.open = p
	}
	return w
}

// since drops what is as old as length.
func (w maxWindow) since(now time.Time, length time.Duration) maxWindow {
	for len(w.closed) > 0 && now.Sub(w.closed[0].at) >= length {
		w.closed = w.closed[1:]
	}
	return w
}

// largest is the maximum of what is younger than length.
func (w maxWindow) largest(now time.Time, length time.Duration) peak {
	most := peak{at: now}
	if i := slices.IndexFunc(w.closed, func(p peak) bool { return now.Sub(p.at) < length }); i >= 0 {
		most = w.closed[i]
	}
	if !w.open.at.IsZero() && now.Sub(w.open.at) < length && w.open.value >= most.value {
		return w.open
	}
	return most
}
