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
	begun  bool // there is an open one
}

type peak struct {
	at    int64   // when the last value came that it stands for
	value float64 // requests per second
}

const buckets = 64

func (w maxWindow) add(p peak, length time.Duration) maxWindow {
	// Slots are aligned to the clock: measured from the peak before, each merge
	// would move the next one's slot along and a peak would never leave.
	slot := int64(max(time.Second, length/buckets))
	switch {
	case !w.begun:
		w.open, w.begun = p, true
	case w.open.at/slot == p.at/slot:
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
func (w maxWindow) since(now int64, length time.Duration) maxWindow {
	for len(w.closed) > 0 && now-w.closed[0].at >= int64(length) {
		w.closed = w.closed[1:]
	}
	return w
}

// largest is the maximum of what is younger than length.
func (w *maxWindow) largest(now int64, length time.Duration) peak {
	most := peak{at: now}
	for i := range w.closed {
		if p := &w.closed[i]; now-p.at < int64(length) {
			most = *p
			break
		}
	}
	if w.begun && now-w.open.at < int64(length) && w.open.value >= most.value {
		return w.open
	}
	return most
}
