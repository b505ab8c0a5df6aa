package load

import (
	"math"
	"testing"
	"time"
)

func mustCurve(t *testing.T, s ...Segment) Curve {
	t.Helper()
	c, err := NewCurve(s...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCurveAtIsTheInverseOfCount(t *testing.T) {
	c := mustCurve(t,
		Segment{10 * time.Second, 60, 60},
		Segment{20 * time.Second, 60, 600},
		Segment{5 * time.Second, 600, 600},
		Segment{2 * time.Second, 600, 0},
		Segment{3 * time.Second, 0, 0}, // silence
		Segment{4 * time.Second, 0, 50},
	)
	if want := uint64(600 + 6600 + 3000 + 600 + 100); c.Total() != want {
		t.Fatalf("total %d, want %d", c.Total(), want)
	}
	last := time.Duration(-1)
	for n := range c.Total() {
		at := c.At(n)
		if at < last {
			t.Fatalf("request %d at %v, before its predecessor at %v", n, at, last)
		}
		if got := c.Count(at); math.Abs(got-float64(n)) > 1e-3 {
			t.Fatalf("Count(At(%d)) = %v", n, got)
		}
		last = at
	}
	if c.At(c.Total()+5) != c.Length() {
		t.Errorf("beyond the total: %v, want the end %v", c.At(c.Total()+5), c.Length())
	}
}

func TestCurveRate(t *testing.T) {
	c := mustCurve(t, Segment{10 * time.Second, 60, 60}, Segment{0, 1e6, 1e6}, Segment{20 * time.Second, 60, 600})
	for at, want := range map[time.Duration]float64{-1: 0, 0: 60, 9 * time.Second: 60, 20 * time.Second: 330, 30 * time.Second: 0} {
		if got := c.Rate(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("rate at %v: %v, want %v", at, got, want)
		}
	}
	if c.Peak() != 600 {
		t.Errorf("peak %v: a segment without length has no rate", c.Peak())
	}
}

func TestCurveRefusesNonsense(t *testing.T) {
	for _, s := range []Segment{{time.Second, -1, 1}, {time.Second, 1, math.NaN()}, {time.Second, math.Inf(1), 1}, {-1, 1, 1}} {
		if _, err := NewCurve(s); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

func TestPacerStopsAndNeverWaitsBackwards(t *testing.T) {
	p := Pacer{mustCurve(t, Segment{time.Second, 10, 10})}
	if wait, stop := p.Pace(0, 5); wait != 500*time.Millisecond || stop {
		t.Errorf("request 5 of 10/s: wait %v, stop %v", wait, stop)
	}
	if wait, stop := p.Pace(900*time.Millisecond, 5); wait != 0 || stop {
		t.Errorf("late: wait %v, stop %v; want to send at once", wait, stop)
	}
	if _, stop := p.Pace(0, 10); !stop {
		t.Error("does not stop after the last request")
	}
}

func FuzzCurveAt(f *testing.F) {
	f.Add(10.0, 100.0, 5.0, uint64(40))
	f.Add(0.0, 0.1, 60.0, uint64(2))
	f.Add(600.0, 0.0, 1.0, uint64(299))
	f.Fuzz(func(t *testing.T, from, to, seconds float64, n uint64) {
		if !(from >= 0 && from < 1e5 && to >= 0 && to < 1e5 && seconds > 0.001 && seconds < 3600) {
			t.Skip()
		}
		c := mustCurve(t, Segment{time.Duration(seconds * float64(time.Second)), from, to})
		if at := c.At(n); at < 0 || at > c.Length()+time.Microsecond {
			t.Fatalf("request %d at %v of %v", n, at, c.Length())
		}
	})
}
