package ingest

import (
	"slices"
	"time"
)

const (
	// hotFor is how long a hot window counts as what led to a decision. Evidence
	// of a small rise takes seconds to gather.
	hotFor = 10 * time.Second
	// maxHot is how many of them a fleet remembers: a spike shows at all edges at
	// once, and a few say it.
	maxHot = 16
)

// hotWindow is the trace context of a report that a jump of the load cut short.
type hotWindow struct {
	trace string
	heard time.Time
}

// heat takes a hot window in. The oldest stay: the first of a spike is what
// everything after it is measured from.
func (f *fleet) heat(trace string, now time.Time) {
	f.cool(now)
	if len(f.hot) < maxHot {
		f.hot = append(f.hot, hotWindow{trace, now})
	}
}

func (f *fleet) cool(now time.Time) {
	f.hot = slices.DeleteFunc(f.hot, func(h hotWindow) bool { return now.Sub(h.heard) > hotFor })
}

// traces are the contexts of the hot windows lately, the first one first.
func (f *fleet) traces(now time.Time) []string {
	f.cool(now)
	if len(f.hot) == 0 {
		return nil
	}
	out := make([]string, len(f.hot))
	for i, h := range f.hot {
		out[i] = h.trace
	}
	return out
}
