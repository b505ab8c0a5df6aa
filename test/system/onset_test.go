package system

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// TestOnsetToWrite measures the time from a spike to the accepted write of the scale, over and over; SURGEWALL_ONSETS says how often (3). It
// asserts only that each spike was answered: times on a shared machine are for reading, not for failing.
func TestOnsetToWrite(t *testing.T) {
	runs := 3
	if n, err := strconv.Atoi(os.Getenv("SURGEWALL_ONSETS")); err == nil && n > 0 && n <= 30 {
		runs = n
	}
	var took []time.Duration
	for range runs {
		c := calm(t)
		x := send(t, c, load.Shape{Base: 40, Factor: 6, Jump: 6, Lead: 6 * time.Second, Hold: asLongAsNeeded})
		sleep(t, time.Until(x.Onset))
		x.until("a scale-up", patience, func(s cluster.Scale) bool { return s.Spec > x.before })
		if s, ok := x.line.First(x.Onset, func(s cluster.Scale) bool { return s.Spec > x.before }); ok {
			took = append(took, s.At.Sub(x.Onset))
		}
		x.End = time.Now()
		x.end()
	}
	slices.Sort(took)
	if len(took) > 0 {
		t.Logf("onset to accepted scale write, %d spikes: median %v, %v to %v", len(took), took[len(took)/2].Round(time.Millisecond),
			took[0].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
}

func waitReady(t *testing.T, line *cluster.Timeline, n int) {
	t.Helper()
	x := &crowd{t: t, line: line}
	x.until(strconv.Itoa(n)+" Ready edges", patience, func(s cluster.Scale) bool { return s.Spec == n && s.Ready == n })
}
