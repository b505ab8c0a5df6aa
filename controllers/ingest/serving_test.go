package ingest

import (
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/latency"
)

func sketch(n int, d time.Duration) []byte {
	var c latency.Counts
	for range n {
		c.Observe(d)
	}
	return c.Take()
}

func about(got, want time.Duration) bool {
	return float64(got) > 0.95*float64(want) && float64(got) < 1.05*float64(want)
}

// TestTheLatenciesOfAFleetAreMerged: a slow edge of two is half of the requests, whatever the other one's p99 is.
func TestTheLatenciesOfAFleetAreMerged(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}, "c": {ready: true}, "d": {}})
	d.second("a", "b", "c", "d")
	latency := func(clamp float64) (p50, p99 time.Duration) {
		d.now = d.now.Add(quantilesLast)
		return d.in.Latency("edge", clamp)
	}
	p50, p99 := latency(0)
	if r := d.in.Read("edge", Clamp{}); p50 != 0 || p99 != 0 || r.Capacity != (events.Capacity{}) {
		t.Errorf("nobody said anything: %+v", r)
	}
	tell := func(pod string, ended uint64, l []byte) {
		d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
			return events.EncodeRate(a, events.Rate{
				WindowMS: 1000, Offered: ended, Status: events.StatusCounts{Hit: ended}, Latency: l, Capacity: events.Capacity{CPU: 2, Connections: 1000, MaxRPS: 300},
			})
		}))
	}
	tell("a", 90, sketch(90, time.Millisecond))
	tell("b", 10, sketch(10, time.Second))
	tell("c", 5, []byte("no sketch at all"))
	tell("d", 500, sketch(500, time.Minute)) // is not Ready: nobody waited for it
	r := d.in.Read("edge", Clamp{})
	p50, p99 = latency(0)
	if !about(p50, time.Millisecond) || !about(p99, time.Second) || r.Capacity != (events.Capacity{CPU: 6, Connections: 3000, MaxRPS: 900}) {
		t.Errorf("p50 %v, p99 %v, %+v", p50, p99, r.Capacity)
	}
	if r.Offered != 605 || len(r.Dropped) != 0 {
		t.Errorf("the load is %v, dropped %v", r.Offered, r.Dropped)
	}
	tell("b", 1, sketch(100_000, time.Minute)) // claims more than it was asked for
	if same, _ := d.in.Latency("edge", 0); same != p50 {
		t.Errorf("asked again at once, p50 is %v", same)
	}
	if p50, p99 := latency(0); !about(p50, time.Millisecond) || p99 < 30*time.Second {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	tell("a", 90, sketch(90, time.Millisecond))
	tell("b", 1<<40, sketch(100_000, time.Minute))
	p50, p99 = d.in.Latency("edge", 50) // another clamp is another question
	if r := d.in.Read("edge", Clamp{RPS: 50}); !about(p50, time.Millisecond) && !about(p50, time.Minute) || r.Offered != 3*50+5 {
		t.Errorf("each edge is held to 50 requests: p50 %v, p99 %v, load %v", p50, p99, r.Offered)
	}
	if p50, p99 := d.in.Latency("nobody", 0); p50 != 0 || p99 != 0 {
		t.Errorf("nobody's p50 is %v, p99 %v", p50, p99)
	}
	d.now = d.now.Add(silentAfter)
	if p50, p99 := latency(0); p50 != 0 || p99 != 0 {
		t.Errorf("of silent edges p50 is %v, p99 %v", p50, p99)
	}
}

func FuzzHandleRate(f *testing.F) {
	f.Add([]byte(`{"window_ms":1000,"offered":5,"status":{"hit":5},"latency":"AQID","capacity":{"cpu":4096,"connections":1125899906842624,"max_rps":1e9}}`))
	f.Add([]byte(`{"window_ms":1,"offered":0}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in := New(Options{Replica: "c-1"})
		m, err := events.EncodeRate(events.Attributes{Source: "/edge/a", BootID: "boot-0001", Seq: 1}, events.Rate{WindowMS: 1000})
		if err != nil {
			t.Fatal(err)
		}
		m.Body = body
		in.Handle(m)
		r := in.Read("edge", Clamp{RPS: 100})
		p50, p99 := in.Latency("edge", 100)
		if p50 < 0 || p99 < p50 || p99 > 3*time.Minute || r.Capacity.CPU < 0 || r.Capacity.MaxRPS < 0 || !(r.Offered >= 0 && r.Offered <= 100) {
			t.Fatalf("%+v", r)
		}
	})
}
