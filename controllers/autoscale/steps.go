package autoscale

import (
	"slices"
	"time"
)

// specs remembers the replicas that were asked for within one stepPeriod, and
// the ones before it that were still in force when it began.
type specs []spec

type spec struct {
	at       int64
	replicas int
}

// stepPeriod is the time over which scale-up-max-step and scale-down-max-step
// are counted.
const stepPeriod = 30 * time.Second

// downPause is the time between two scale-ins: a mean that sinks for a minute
// would otherwise take one edge a second.
const downPause = 10 * time.Second

func (s specs) add(now int64, replicas int) specs {
	out := s
	for len(out) > 1 && now-out[1].at >= int64(stepPeriod) {
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
func (s specs) reduced(t int64) bool {
	for i := 1; i < len(s); i++ {
		if s[i].replicas < s[i-1].replicas && s[i].at > t {
			return true
		}
	}
	return false
}

func (s specs) bounds() (low, high int) {
	low, high = s[0].replicas, s[0].replicas
	for _, x := range s[1:] {
		low, high = min(low, x.replicas), max(high, x.replicas)
	}
	return low, high
}
