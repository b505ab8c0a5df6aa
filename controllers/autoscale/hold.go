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
	low      peak      // least that edges were kept for since the largest demand
	returned int       // how often a demand came back after it, and
	last     time.Time // when it did
}

// add takes in the demand of now.
func (h hold) add(now time.Time, demand float64, length time.Duration) hold {
	long, kept := h.demand.largest(now, length), h.margin(now, length)
	if long.at.After(h.low.at) || kept.value <= h.low.value {
		h.low = peak{at: now, value: kept.value}
	}
	if h.low.value > 0 && h.low.value < sameDemand*demand && demand*sameDemand <= long.value && long.at.Before(h.low.at) {
		switch since := now.Sub(h.last).Seconds(); {
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
func (h hold) largest(now time.Time, length time.Duration) peak {
	if h.returned >= returns && now.Sub(h.last) < returnsWaned*length {
		return h.demand.largest(now, length)
	}
	return h.margin(now, length)
}

func (h hold) margin(now time.Time, length time.Duration) peak {
	fully := min(length, max(holdAtOnce, time.Duration(holdFully*float64(length))))
	long, short := h.demand.largest(now, length), h.demand.largest(now, fully)
	long.value = min(long.value, holdMargin*short.value)
	if long.value > short.value {
		return long
	}
	return short
}
