package edge

import (
	"math"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/latency"
)

// TestAReportTellsLatencyAndWhatWasServedWell: every response is in exactly one window, and the best rate stays known.
func TestAReportTellsLatencyAndWhatWasServedWell(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		for range 300 {
			s.meter.Observe(httpcache.Outcome{Status: httpcache.StatusHit, TTFB: 4 * time.Millisecond})
		}
		s.meter.Observe(httpcache.Outcome{Status: httpcache.StatusShed})
		s.load(2, 10*time.Second)
		s.load(1, 5*time.Second)
		total, best := 0.0, 0.0
		for _, rate := range rates(s.take()) {
			sketch, err := latency.Decode(rate.Latency)
			if err != nil {
				t.Fatal(err)
			}
			if (len(rate.Latency) == 0) != (sketch.Total() == 0) {
				t.Errorf("%d bytes for %v latencies", len(rate.Latency), sketch.Total())
			}
			total += sketch.Total()
			if rate.Capacity.MaxRPS < best || rate.Capacity.CPU != 2 {
				t.Errorf("capacity %+v after %v", rate.Capacity, best)
			}
			best = rate.Capacity.MaxRPS
		}
		if total != 300 || math.Abs(best-200) > 20 {
			t.Errorf("%v latencies of 300; served %v well, want 200", total, best)
		}
	})
}

func TestServedWell(t *testing.T) {
	for _, c := range []struct {
		rate events.Rate
		want float64
	}{
		{events.Rate{WindowMS: 1000}, 0},
		{events.Rate{WindowMS: 1000, Offered: 100, Status: events.StatusCounts{Hit: 99, Error: 1}}, 100},
		{events.Rate{WindowMS: 2000, Offered: 100, Status: events.StatusCounts{Hit: 100}}, 50},
		{events.Rate{WindowMS: 1000, Offered: 100, Status: events.StatusCounts{Hit: 98, Shed: 2}}, 0},
		{events.Rate{WindowMS: 1000, Offered: 100, Status: events.StatusCounts{Hit: 80}}, 0},              // the rest waits
		{events.Rate{WindowMS: 1000, Offered: 10, Status: events.StatusCounts{Hit: 80}}, 10},              // what waited before
		{events.Rate{WindowMS: 250, Offered: 100, Status: events.StatusCounts{Hit: 100}, Early: true}, 0}, // says too little
	} {
		if got := servedWell(&c.rate); got != c.want {
			t.Errorf("%+v: %v, want %v", c.rate, got, c.want)
		}
	}
}

// BenchmarkObserve is what counting costs each request.
func BenchmarkObserve(b *testing.B) {
	m := NewMeter()
	o := httpcache.Outcome{Status: httpcache.StatusHit, BytesOut: 1024}
	for name, ttfb := range map[string]time.Duration{"without latency": 0, "with latency": 300 * time.Microsecond} {
		b.Run(name, func(b *testing.B) {
			o.TTFB = ttfb
			b.ReportAllocs()
			for b.Loop() {
				m.Observe(o)
			}
		})
	}
}
