package ingest

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/latency"
)

// serving takes in what a Ready edge says that it could do.
func (s *sum) serving(e *edge) {
	s.capacity.CPU += e.capacity.CPU
	s.capacity.Connections += min(e.capacity.Connections, math.MaxUint32)
	s.capacity.MaxRPS += e.capacity.MaxRPS
}

// capacities are bounded for the reader as they are on the bus.
func (s *sum) capacities() events.Capacity {
	c := s.capacity
	c.Connections = min(c.Connections, events.MaxCount)
	return c
}

// quantiles are what was found last: a scrape asks anew for each of its metrics.
type quantiles struct {
	at       time.Time
	clamp    float64
	p50, p99 time.Duration
}

const quantilesLast = time.Second

// Latency returns the times to first byte that half, and all but one of a hundred, of the requests of the latest reports kept; 0 where no
// Ready edge has served anything. The latencies of an edge count for no more requests than its load may be. It reads every sketch, which
// reports only bring along: it is for who asks, and not for each decision.
func (in *Ingest) Latency(name string, clamp float64) (p50, p99 time.Duration) {
	type part struct {
		sketch []byte
		limit  float64
	}
	var parts []part
	now := in.options.Now()
	in.mu.Lock()
	f := in.fleets[name]
	if f == nil {
		in.mu.Unlock()
		return 0, 0
	}
	if q := f.quantiles; q.clamp == clamp && !q.at.IsZero() && now.Sub(q.at) < quantilesLast && now.Sub(q.at) >= 0 {
		in.mu.Unlock()
		return q.p50, q.p99
	}
	take := func(pod string, ready, leaving bool) {
		e := f.edges[pod]
		if !ready || leaving || e == nil || !e.within(now, silentAfter) {
			return
		}
		limit := float64(min(e.ended, math.MaxUint32))
		if clamp > 0 {
			limit = min(limit, clamp*e.window)
		}
		parts = append(parts, part{e.latency, limit})
	}
	if in.options.Members == nil || !in.options.Members.Members(name, take) {
		parts = parts[:0]
		for pod, e := range f.edges {
			take(pod, true, e.draining)
		}
	}
	in.mu.Unlock()

	var merged latency.Merged
	for _, p := range parts {
		if sketch, err := latency.Decode(p.sketch); err == nil { // a bad one is none: the load counts all the same
			merged.Add(sketch, p.limit)
		}
	}
	p50, _ = merged.Quantile(.5)
	p99, _ = merged.Quantile(.99)

	in.mu.Lock()
	f.quantiles = quantiles{now, clamp, p50, p99}
	in.mu.Unlock()
	return p50, p99
}
