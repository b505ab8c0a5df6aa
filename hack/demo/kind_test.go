package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/demo/rush"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// line is a timeline of replicas as a watch would have seen it: seconds after the start, wanted, ready.
func line(start time.Time, scales ...[3]int) *cluster.Timeline {
	l := &cluster.Timeline{}
	for _, s := range scales {
		l.Add(cluster.Scale{At: start.Add(time.Duration(s[0]) * time.Second), Spec: s[1], Ready: s[2]})
	}
	return l
}

func TestScalingStory(t *testing.T) {
	start := time.Unix(1000, 0)
	run := &rush.Run{Onset: start.Add(12 * time.Second), End: start.Add(46 * time.Second)}
	s := scaling(line(start, [3]int{0, 2, 2}, [3]int{13, 6, 2}, [3]int{16, 6, 6}, [3]int{38, 8, 8}, [3]int{60, 2, 8}, [3]int{65, 2, 2}), run, kindShape)
	if s.Before != 2 || s.Peak != 8 || s.After != 2 || s.Needed != 6 || s.PeakReady != 8 {
		t.Errorf("replicas %+v", s)
	}
	for name, c := range map[string]struct{ got, want load.Duration }{
		"onset to write": {s.OnsetToWrite, load.Duration(time.Second)},
		"onset to ready": {s.OnsetToReady, load.Duration(4 * time.Second)}, // 3 edges are needed from the onset on
		"short of edges": {s.Short, load.Duration(4 * time.Second)},
		"rush":           {s.Rush, load.Duration(34 * time.Second)},
		"scale-in":       {s.ScaleIn, load.Duration(14 * time.Second)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	s = scaling(line(start, [3]int{0, 2, 2}), run, kindShape)
	if s.Peak != 2 || s.OnsetToWrite >= 0 || s.OnsetToReady >= 0 || s.ScaleIn >= 0 || s.Short != load.Duration(34*time.Second) {
		t.Errorf("a fleet that never moved: %+v", s)
	}
}

func TestEventsBetweenTwoAnswers(t *testing.T) {
	answer := func(leader string, lost uint64, stale uint64) (f api.Fleet) {
		f.Leader, f.IsLeader, f.Signal.Lost, f.Signal.Dropped = leader, true, lost, map[string]uint64{"stale": stale, "clamped": 4}
		return f
	}
	e := eventsBetween(answer("a", 40, 1), answer("a", 42, 3))
	if want := (receipt.Events{Lost: 2, Dropped: map[string]uint64{"stale": 2}}); !reflect.DeepEqual(*e, want) {
		t.Errorf("got %+v, want %+v", *e, want)
	}
	for want, after := range map[string]api.Fleet{"the leader changed from a to b": answer("b", 50, 9), "the leader a was started again": answer("a", 3, 9)} {
		if e := eventsBetween(answer("a", 40, 1), after); e.Unknown != want || e.Lost != 0 {
			t.Errorf("got %+v, want %s", *e, want)
		}
	}
	if e := eventsBetween(answer("a", 40, 5), answer("a", 40, 2)); e.Unknown == "" {
		t.Errorf("a counter that fell: %+v", *e)
	}
}
