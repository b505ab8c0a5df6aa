package latency

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

func TestTheBinsCoverTheScale(t *testing.T) {
	if got := fixed.mapping.Index(Most.Seconds()) - fixed.first + 1; got != bins {
		t.Errorf("from %v to %v there are %d bins", Least, Most, got)
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 1: 0, Least: 0, Most: bins - 1, time.Hour: bins - 1} {
		if got := fixed.bin(d.Seconds()); got != want {
			t.Errorf("%v is in bin %d, want %d", d, got, want)
		}
	}
	if fixed.bin(math.NaN()) != 0 || fixed.bin(math.Inf(1)) != bins-1 {
		t.Error("what is no duration is in no bin")
	}
}

// TestTheQuantilesOfAFleet compares what 20 edges say together with all the durations themselves.
func TestTheQuantilesOfAFleet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var merged Merged
	for edge := range 20 {
		var c Counts
		for range 5000 {
			// Most are hits, and the misses of some edges are slow.
			d := time.Duration(float64(time.Millisecond) * math.Exp(random.NormFloat64()/2))
			if random.Float64() < 0.02 {
				d += time.Duration(edge) * 30 * time.Millisecond
			}
			c.Observe(d)
			all = append(all, d)
		}
		b := c.Take()
		s, err := Decode(b)
		if err != nil || s.Total() != 5000 {
			t.Fatalf("%d bytes: %v durations, %v", len(b), s.Total(), err)
		}
		merged.Add(s, math.Inf(1))
		if c.Take() != nil {
			t.Error("what was taken is taken again")
		}
	}
	slices.Sort(all)
	for _, q := range []float64{0, .5, .9, .99, .999, 1} {
		want := all[min(int(math.Ceil(q*float64(len(all)))), len(all))-min(1, int(math.Ceil(q*float64(len(all)))))]
		got, ok := merged.Quantile(q)
		if error := math.Abs(float64(got)/float64(want) - 1); !ok || error > Accuracy*1.01 {
			t.Errorf("p%g is %v, want %v within %v %%", 100*q, got, want, 100*Accuracy)
		}
	}
	if _, ok := new(Merged).Quantile(.5); ok {
		t.Error("nothing has a median")
	}
}

func TestNobodyCountsMoreThanItWasAsked(t *testing.T) {
	var honest, liar Counts
	for range 1000 {
		honest.Observe(time.Millisecond)
	}
	sketch := ddsketch.NewDDSketch(fixed.mapping, store.NewDenseStore(), store.NewDenseStore())
	_ = sketch.AddWithCount(60, 1e15)
	var b []byte
	sketch.Encode(&b, false)
	a, err := Decode(honest.Take())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	var m Merged
	m.Add(a, 1000)
	m.Add(l, 5)
	if p99, _ := m.Quantile(.99); p99 > 2*time.Millisecond {
		t.Errorf("p99 is %v", p99)
	}
	if liar.Take() != nil {
		t.Error("nothing is something")
	}
}

func TestTheLargestSketchFits(t *testing.T) {
	var c Counts
	for i := range bins {
		c.shards[i%4].bins[i].Store(1<<50 - 12345)
	}
	b := c.Take()
	if len(b) > 8<<10 {
		t.Errorf("%d bytes, the event takes 8192", len(b))
	}
	if s, err := Decode(b); err != nil || len(s.bins) != bins {
		t.Errorf("%d bins, %v", len(s.bins), err)
	}
}

func TestNothingIsLostBetweenTwoTakes(t *testing.T) {
	var c Counts
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 10_000 {
				c.Observe(time.Duration(i) * time.Microsecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	total := 0.0
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		s, err := Decode(c.Take())
		if err != nil {
			t.Fatal(err)
		}
		total += s.Total()
	}
	if total != 40_000 {
		t.Errorf("%v of 40000 durations", total)
	}
}

func FuzzDecode(f *testing.F) {
	var c Counts
	c.Observe(time.Millisecond)
	c.Observe(time.Second)
	f.Add(c.Take())
	f.Add([]byte{})
	f.Add([]byte{0xff})
	for _, value := range []float64{-3, 0, 1e-300, 1e300} {
		sketch := ddsketch.NewDDSketch(fixed.mapping, store.NewSparseStore(), store.NewSparseStore())
		_ = sketch.AddWithCount(value, 1e18)
		var b []byte
		sketch.Encode(&b, false)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		if len(s.bins) > bins || !(s.total >= 0) || math.IsInf(s.total, 1) {
			t.Fatalf("%d bins, %v durations", len(s.bins), s.total)
		}
		var m Merged
		m.Add(s, 1000)
		if d, ok := m.Quantile(.99); ok != (s.total > 0) || d < 0 || d > Most*11/10 {
			t.Fatalf("p99 is %v, %v", d, ok)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	var c Counts
	b.ReportAllocs()
	d := 100 * time.Microsecond
	for b.Loop() {
		d += 977
		if d > time.Second {
			d = 0
		}
		c.Observe(d)
	}
}
