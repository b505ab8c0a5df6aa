// Package tier is what the binaries of the two caching tiers have in common: the names they go by, and the metrics of what they serve.
package tier

import (
	"sync/atomic"

	"github.com/surgewall/surgewall/internal/framing"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// statuses are the values of the label cache_status.
var statuses = [...]httpcache.Status{
	httpcache.StatusHit, httpcache.StatusMiss, httpcache.StatusStale, httpcache.StatusRevalidated,
	httpcache.StatusCollapsed, httpcache.StatusError, httpcache.StatusShed, httpcache.StatusBypass,
}

// classes are the values of the label code: none is a client that left before a response.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Metrics counts served requests for whoever asks for the metrics. It is safe for concurrent use.
type Metrics struct {
	requests [len(statuses)][len(classes)]atomic.Uint64
	refused  []atomic.Uint64 // by framing.Reason
	aborted  atomic.Uint64
	bytes    atomic.Uint64
	ttfb     telemetry.Histogram
}

// NewMetrics registers the metrics of a tier and of its store.
func NewMetrics(registry *telemetry.Registry, memory *store.Memory) *Metrics {
	m := &Metrics{refused: make([]atomic.Uint64, len(framing.Reasons())+1), ttfb: registry.Histogram("surgewall_time_to_first_byte_seconds", "From the arrival of a request to the head of its response.",
		.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)}
	registry.Register(telemetry.Func{
		Name: "surgewall_requests_total", Help: "Requests that ended, by what the cache did and by the class of the status code.",
		Kind: telemetry.Counter, Labels: []string{"cache_status", "code"}, Read: m.readRequests,
	})
	registry.Register(telemetry.Func{
		Name: "surgewall_requests_refused_total", Help: "Requests refused before any handler saw them, because of how they were framed.",
		Kind: telemetry.Counter, Labels: []string{"reason"}, Read: m.readRefused,
	})
	counter := func(name, help string, read func() uint64) {
		registry.Register(telemetry.Func{Name: name, Help: help, Kind: telemetry.Counter,
			Read: func(report func(float64, ...string)) { report(float64(read())) }})
	}
	counter("surgewall_response_bytes_total", "Bytes of bodies sent to clients.", m.bytes.Load)
	counter("surgewall_requests_aborted_total", "Responses whose body was cut: the upstream broke off, or the client left.", m.aborted.Load)
	registry.Register(telemetry.Func{
		Name: "surgewall_store_bytes", Help: "Weight of the stored responses, and its limit.", Kind: telemetry.Gauge, Labels: []string{"what"},
		Read: func(report func(float64, ...string)) {
			stats := memory.Stats()
			report(float64(stats.Bytes), "used")
			report(float64(stats.MaxBytes), "limit")
		},
	})
	return m
}

// Observe counts one finished request.
func (m *Metrics) Observe(o httpcache.Outcome) {
	class := 0
	if o.Code >= 100 && o.Code < 600 {
		class = o.Code / 100
	}
	for i, status := range statuses {
		if status == o.Status {
			m.requests[i][class].Add(1)
			break
		}
	}
	m.bytes.Add(uint64(max(o.BytesOut, 0)))
	if o.Aborted {
		m.aborted.Add(1)
	}
	if o.TTFB > 0 {
		m.ttfb.Observe(o.TTFB.Seconds())
	}
}

// Refuse counts one request that the guard on the connections has refused.
func (m *Metrics) Refuse(r framing.Reason) { m.refused[r].Add(1) }

func (m *Metrics) readRefused(report func(float64, ...string)) {
	for _, r := range framing.Reasons() {
		report(float64(m.refused[r].Load()), r.String())
	}
}

func (m *Metrics) readRequests(report func(float64, ...string)) {
	for i, status := range statuses {
		for j, class := range classes {
			// A pair that never was is left out, but each status has one, so that a rate of it exists from the start.
			if n := m.requests[i][j].Load(); n > 0 || class == "2xx" {
				report(float64(n), string(status), class)
			}
		}
	}
}
