package autoscale

import (
	"slices"
	"testing"
	"time"
)

// TestARolloutRemovesNoEdge: what it does to the load is no reason to have fewer of them, and everything else goes on.
func TestARolloutRemovesNoEdge(t *testing.T) {
	quick := map[string]string{"scale-down-hold": "0s", "stable-window": "5s", "scale-down-max-step": "100%"}
	last := func(l Load, change map[string]string) Decision {
		data := map[string]string{}
		for _, d := range []map[string]string{quick, change} {
			for k, v := range d {
				data[k] = v
			}
		}
		var d Decision
		var s State
		for i := range 30 {
			d, s = Decide(parse(t, data), l, s, start.Add(time.Duration(i)*time.Second))
		}
		return d
	}
	for _, tc := range []struct {
		name    string
		data    map[string]string
		load    Load
		to      int
		path    Path
		limited bool
	}{
		{"no rollout", nil, Load{Signal: Live, Offered: 290, SpecReplicas: 9}, 3, PathStable, false},
		{"rollout", nil, Load{Signal: Live, Offered: 290, SpecReplicas: 9, Rollout: true}, 9, PathFreeze, true},
		{"more edges", nil, Load{Signal: Live, Offered: 1290, SpecReplicas: 9, Rollout: true}, 13, PathStable, false},
		{"pin", map[string]string{"hold-replicas": "4"}, Load{Signal: Live, Offered: 290, SpecReplicas: 9, Rollout: true}, 4, PathPin, false},
		{"above the ceiling", map[string]string{"max-replicas": "7"}, Load{Signal: Live, Offered: 290, SpecReplicas: 9, Rollout: true}, 7, PathBounds, true},
	} {
		d := last(tc.load, tc.data)
		if d.To != tc.to || d.Path != tc.path || slices.Contains(d.Limits, LimitRollout) != tc.limited {
			t.Errorf("%s: to %d by %s %v, want %d by %s: %s", tc.name, d.To, d.Path, d.Limits, tc.to, tc.path, d.Reason)
		}
	}
	const want = "freeze: a rollout is under way: no edge is removed until its pods have replaced the older ones"
	if d := last(Load{Signal: Live, Offered: 290, SpecReplicas: 9, Rollout: true}, nil); d.Reason != want {
		t.Errorf("reason %q", d.Reason)
	}
}
