package edge

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/latency"
)

// Totals are what an edge has counted since its process began.
type Totals struct {
	Offered  uint64 // requests that arrived
	Status   events.StatusCounts
	BytesOut uint64 // of bodies, to clients
	BytesIn  uint64 // of bodies, from upstreams
}

// Sub returns what was counted since the earlier totals.
func (t Totals) Sub(earlier Totals) Totals {
	t.Offered -= earlier.Offered
	t.BytesOut -= earlier.BytesOut
	t.BytesIn -= earlier.BytesIn
	t.Status.Hit -= earlier.Status.Hit
	t.Status.Miss -= earlier.Status.Miss
	t.Status.Stale -= earlier.Status.Stale
	t.Status.Revalidated -= earlier.Status.Revalidated
	t.Status.Collapsed -= earlier.Status.Collapsed
	t.Status.Error -= earlier.Status.Error
	t.Status.Shed -= earlier.Status.Shed
	t.Status.Bypass -= earlier.Status.Bypass
	return t
}

// Meter counts what an edge is asked for. It has no clock: who reads it knows when. It is safe for concurrent use and never waits.
type Meter struct {
	shards   [16]shard
	inFlight atomic.Int64
	peak     atomic.Int64
	keys     keys
	ttfb     latency.Counts
}

// shard holds counters that one request writes together. The padding keeps two shards off one cache line, over which two processors would
// otherwise take turns.
type shard struct {
	offered, bytesOut, bytesIn atomic.Uint64
	status                     [8]atomic.Uint64
	_                          [128 - 11*8]byte
}

// statuses gives each cache status its place in shard.status.
var statuses = [...]httpcache.Status{
	httpcache.StatusHit, httpcache.StatusMiss, httpcache.StatusStale, httpcache.StatusRevalidated,
	httpcache.StatusCollapsed, httpcache.StatusError, httpcache.StatusShed, httpcache.StatusBypass,
}

// NewMeter returns a Meter at zero.
func NewMeter() *Meter {
	m := &Meter{}
	m.keys.reset()
	return m
}

// shard picks one at random, which is as good as one per processor and needs none of the runtime's insides.
func (m *Meter) shard() *shard { return &m.shards[rand.Uint32()%uint32(len(m.shards))] }

// Handler counts requests as they arrive: what waits is offered load as well, and the first sign of a spike.
func (m *Meter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.shard().offered.Add(1)
		now := m.inFlight.Add(1)
		for peak := m.peak.Load(); now > peak && !m.peak.CompareAndSwap(peak, now); {
			peak = m.peak.Load()
		}
		defer m.inFlight.Add(-1)
		next.ServeHTTP(w, r)
	})
}

// Observe counts a finished request.
func (m *Meter) Observe(o httpcache.Outcome) {
	s := m.shard()
	s.bytesOut.Add(uint64(max(o.BytesOut, 0)))
	for i, status := range statuses {
		if status == o.Status {
			s.status[i].Add(1)
			break
		}
	}
	if o.TTFB > 0 {
		m.ttfb.Observe(o.TTFB)
	}
	if o.Key != "" {
		m.keys.observe(o.Key, o.Status)
	}
}

func (m *Meter) received(n int) { m.shard().bytesIn.Add(uint64(max(n, 0))) }

// Totals returns the sum of what was counted so far.
func (m *Meter) Totals() Totals {
	var t Totals
	var status [len(statuses)]uint64
	for i := range m.shards {
		s := &m.shards[i]
		t.Offered += s.offered.Load()
		t.BytesOut += s.bytesOut.Load()
		t.BytesIn += s.bytesIn.Load()
		for j := range status {
			status[j] += s.status[j].Load()
		}
	}
	t.Status = events.StatusCounts{
		Hit: status[0], Miss: status[1], Stale: status[2], Revalidated: status[3],
		Collapsed: status[4], Error: status[5], Shed: status[6], Bypass: status[7],
	}
	return t
}

// Offered returns the requests that arrived so far; it is what changes first.
func (m *Meter) Offered() uint64 {
	var sum uint64
	for i := range m.shards {
		sum += m.shards[i].offered.Load()
	}
	return sum
}

// InFlight returns how many requests are under way.
func (m *Meter) InFlight() int64 { return m.inFlight.Load() }

// takePeak returns the most requests that were under way at once since the last call.
func (m *Meter) takePeak() int64 {
	now := m.inFlight.Load()
	return max(now, m.peak.Swap(now))
}
