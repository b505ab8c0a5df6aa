package autoscale

import (
	"slices"
	"time"
)

// specs remembers the replicas that were asked for within one stepPeriod, and
// the ones before it that were still in force when it began.
type specs []spec

type spec struct {
	at       time.Time
	replicas int
}

// stepPeriod is the time over which scale-up-max-step and scale-down-max-step
// are counted.
const stepPeriod = 30 * time.Second

// downPause is the time between two scale-ins: a mean that sinks for a minute
// would otherwise take one edge a second.
const downPause = 10 * time.Second

func (s specs) add(now time.Time, replicas int) specs {
	out := s
	for len(out) > 1 && now.Sub(out[1].at) >= stepPeriod {
		out = out[1:]
	}
	if n := len(out); n > 0 && out[n-1].replicas == replicas {
		return out
	}
	if n := len(out); n > buckets {
		out = out[n-buckets:]
	}
	return append(slices.Clone(out), spec{now, replicas})
}

// reduced reports whether edges were taken away after t.
func (s specs) reduced(t time.Time) bool {
	for i := 1; i < len(s); i++ {
		if s[i].replicas < s[i-1].replicas && s[i].at.After(t) {
			return true
		}
	}
	return false
}

func (s specs) bounds() (low, high int) {
	byReplicas := func(a, b spec) int { return a.replicas - b.replicas }
	return slices.MinFunc(s, byReplicas).replicas, slices.MaxFunc(s, byReplicas).replicas
}
