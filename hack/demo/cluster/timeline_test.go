package cluster

import (
	"testing"
	"time"
)

func TestTimeline(t *testing.T) {
	var line Timeline
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	if line.Now() != (Scale{}) || line.Peak(at(0), at(99)) != 0 {
		t.Error("an empty timeline has something in it")
	}
	for _, s := range []Scale{{at(0), 2, 2}, {at(5), 2, 2}, {at(10), 6, 2}, {at(12), 6, 6}, {at(40), 2, 6}, {at(41), 2, 2}} {
		line.Add(s)
	}
	if n := len(line.All()); n != 5 {
		t.Errorf("%d changes; the one that changes nothing does not count", n)
	}
	if s, ok := line.First(at(9), func(s Scale) bool { return s.Spec > 2 }); !ok || s.At != at(10) {
		t.Errorf("first raise %v %v", s, ok)
	}
	if s, ok := line.First(at(9), func(s Scale) bool { return s.Ready >= 6 }); !ok || s.At != at(12) {
		t.Errorf("first capacity %v %v", s, ok)
	}
	if _, ok := line.First(at(0), func(s Scale) bool { return s.Spec > 6 }); ok {
		t.Error("found what never was")
	}
	for _, c := range []struct{ from, to, want int }{{0, 9, 2}, {20, 30, 6}, {39, 99, 6}, {50, 60, 2}} {
		if got := line.Peak(at(c.from), at(c.to)); got != c.want {
			t.Errorf("peak from %d to %d: %d, want %d", c.from, c.to, got, c.want)
		}
	}
	if line.Lowered(at(0), at(39)) || !line.Lowered(at(0), at(40)) {
		t.Error("the scale-in at 40 is not where it was")
	}
	if line.Now().Spec != 2 {
		t.Error("now is not the latest")
	}
}
