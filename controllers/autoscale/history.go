package autoscale

import "time"

// sample is one load that was heard.
type sample struct {
	at     int64   // see State.at
	rate   float64 // requests per second
	weight float64 // seconds that the rate was counted over
}

// history is the samples of the latest stretch of time, oldest first. It is a
// value: add returns a new one and leaves the old one alone, so that deciding
// twice from one state gives one answer. Its length is bounded however often it
// is fed.
type history struct {
	past   []sample // independent of each other: apart of each other
	middle []sample // the youngest of these, at most chunk, so that each second copies few
	latest []sample // younger than fresh, each of which may be the one that matters
}

const (
	fresh        = 2500 * time.Millisecond
	freshApart   = 100 * time.Millisecond
	apart        = 900 * time.Millisecond // reports of one second do not overlap then, though ticks tremble
	maxPoints    = 200
	chunk        = 8
	pointsWithin = (changeBase + changeWithin) * time.Second // of history that a change needs
)

func (h history) add(x sample, length time.Duration) history {
	past, middle, young := h.past, h.middle, h.latest
	for len(young) > 0 && x.at-young[0].at >= int64(fresh) {
		if old := young[0]; old.at-lastOf(middle, past) >= int64(apart) {
			middle = append(middle[:len(middle):len(middle)], old)
			if len(middle) == chunk {
				past, middle = join(past, middle), nil
			}
		}
		young = young[1:]
	}
	if n := len(young); n > 1 && x.at-young[n-2].at < int64(freshApart) {
		young = young[:n-1]
	}
	for len(past) > 0 && x.at-past[0].at > int64(length) {
		past = past[1:]
	}
	latest := make([]sample, len(young)+1)
	copy(latest, young)
	latest[len(young)] = x
	return history{past: past, middle: middle, latest: latest}
}

// join is a new list without room to spare: nobody appends to it.
func join(a, b []sample) []sample {
	out := make([]sample, len(a)+len(b))
	copy(out, a)
	copy(out[len(a):], b)
	return out
}

// lastOf is the time of the last sample of the first list that has one.
func lastOf(lists ...[]sample) int64 {
	for _, l := range lists {
		if n := len(l); n > 0 {
			return l[n-1].at
		}
	}
	return never
}

// newest is the time of the newest sample; there has to be one.
func (h history) newest() int64 { return h.latest[len(h.latest)-1].at }

func (h history) empty() bool { return len(h.latest) == 0 }

// point is a sample as the lines see it.
type point struct {
	t            float64 // seconds since the newest sample: 0 or less
	rate, weight float64
}

// points are the newest sample and those before it that do not overlap, newest
// first.
func (h history) points(into []point) []point {
	now := h.newest()
	last := now + int64(apart) // so that the newest is one of them
	for _, samples := range [...][]sample{h.latest, h.middle, h.past} {
		for j := len(samples) - 1; j >= 0; j-- {
			x := &samples[j]
			if last-x.at < int64(apart) {
				continue
			}
			if len(into) == cap(into) {
				return into
			}
			into = append(into, point{t: float64(x.at-now) / 1e9, rate: x.rate, weight: x.weight})
			last = x.at
		}
	}
	return into
}
