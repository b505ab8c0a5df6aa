package autoscale

import "time"

// A demand is remembered for the whole of scale-down-hold, but after a part of
// it only up to a margin above what came since: a spike that is over is given
// back soon, and a load that wavers keeps what its waves differ by.
const (
	holdFully  = 0.2         // part of scale-down-hold,
	holdAtOnce = time.Minute // but no less than this of a short one: who asks for seconds means them
	holdMargin = 1.2

	// A demand that came back so often, each time for edges that the margin had
	// given up, will come again.
	returns      = 3
	returnsApart = 0.25 // of scale-down-hold: closer together they are one
	returnsWaned = 5    // times scale-down-hold without one: the wave is over
	sameDemand   = 0.8
)

// hold remembers the demand of the time of scale-down-hold.
type hold struct {
	demand   maxWindow
	low      peak  // least that edges were kept for since the largest demand
	returned int   // how often a demand came back after it, and
	last     int64 // when it did
}

// add takes in the demand of now.
func (h hold) add(now int64, demand float64, length time.Duration) hold {
	long, kept := h.margin(now, length)
	if long.at > h.low.at || kept.value <= h.low.value {
		h.low = peak{at: now, value: kept.value}
	}
	if h.low.value > 0 && h.low.value < sameDemand*demand && demand*sameDemand <= long.value && long.at < h.low.at {
		switch since := time.Duration(now - h.last).Seconds(); {
		case since > returnsWaned*length.Seconds():
			h.returned = 1
		case since > returnsApart*length.Seconds():
			h.returned++
		}
		h.last = now
	}
	h.demand = h.demand.since(now, length).add(peak{at: now, value: demand}, length)
	return h
}

// largest is the demand to keep edges for.
func (h *hold) largest(now int64, length time.Duration) peak {
	all, kept := h.margin(now, length)
	if h.returned >= returns && now-h.last < int64(returnsWaned*length) {
		return all
	}
	return kept
}

// margin is the largest demand, and as much of it as the margin leaves.
func (h *hold) margin(now int64, length time.Duration) (all, kept peak) {
	fully := min(length, max(holdAtOnce, time.Duration(holdFully*float64(length))))
	all, kept = h.demand.largest(now, length), h.demand.largest(now, fully)
	if value := min(all.value, holdMargin*kept.value); value > kept.value {
		return all, peak{at: all.at, value: value}
	}
	return all, kept
}
