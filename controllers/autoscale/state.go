package autoscale

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

const (
	longGap     = 5 * time.Second // without a sample: what was before says nothing about now
	partialWait = 5 * time.Second // a fleet that never becomes LIVE is followed after this
)

// State is what the autoscaler remembers of one fleet. The zero State is that of
// a controller that has just started. It is a value: Decide returns a new one.
type State struct {
	began      time.Time // what everything after it is timed from
	epoch      int64     // the same in nanoseconds since 1970
	heard      time.Time // first sample that was not BLIND
	recent     history
	dispersion float64
	trend      trend  // of the newest sample and those before it
	change     change // the same

	ordinary ordinary // signs before the present cause
	verdict  verdict  // of the newest sample
	metric   Metric   // the same
	counted  float64  // the same: its rate

	held  hold
	kept  maxWindow // capacity that ran when nothing better was known
	specs specs
	rose  int64 // first write of a spike that is being followed, or never
	blind bool  // the decision before was made blind
	asked int   // replicas after the decision before; more of them are somebody else's wish
}

// at is a time as the state keeps it: nanoseconds since 1970, a third of the size of
// a time.Time and far quicker to compare. It is counted from the beginning, so that a
// step of the wall clock does not count where times come with a monotonic one.
func (s *State) at(now time.Time) int64 { return s.epoch + int64(now.Sub(s.began)) }

// never is before every time, and as far from it as a difference can hold.
const never = math.MinInt64 / 2

// turnBack begins anew where the clock was set back and times have only that of
// the wall: until it was there again, nothing would be newer than what is known.
func (s *State) turnBack(now time.Time) {
	if !s.recent.empty() && s.at(now)-s.recent.newest() < -int64(longGap) {
		*s = State{}
	}
	if s.began.IsZero() {
		s.began, s.epoch, s.rose = now, now.UnixNano(), never
		s.held.last, s.held.low.at = never, never
	}
}

// observe takes one load into the state.
func (s *State) observe(p *policy.Policy, l *Load, now time.Time) {
	if l.Signal == Blind || math.IsNaN(l.Offered) || l.Offered < 0 {
		return
	}
	if s.heard.IsZero() {
		s.heard = now
	}
	var elapsed time.Duration
	if s.recent.empty() {
		// While the edges are heard for the first time one after the other, their
		// sum rises like a spike.
		if l.Signal != Live && now.Sub(s.heard) < partialWait {
			return
		}
		s.dispersion = 1
	} else {
		elapsed = time.Duration(s.at(now) - s.recent.newest())
		if elapsed <= 0 {
			return
		}
		if elapsed > longGap {
			s.recent = history{}
		}
	}
	seen := signs(l, s.ordinary.vitals)
	s.verdict = classify(p, l, seen, s.ordinary, max(s.dispersion, 1))
	s.ordinary = s.ordinary.learn(seen, s.verdict.cause, now, min(elapsed, longGap))
	x := sample{at: s.at(now), weight: l.window()}
	s.metric, x.rate = busiest(p, l, s.verdict.rate, s.verdict.slow)
	if l.Signal == Partial && s.verdict.cause != CauseEdgeLoss {
		x.rate = max(x.rate, s.trend.value) // what is silent must not pull the load down
	}
	s.counted = x.rate
	s.recent = s.recent.add(x, max(p.StableWindow, pointsWithin))

	var buffer [maxPoints]point
	points := s.recent.points(buffer[:0])
	// The noise is that of the time before: a sample must not be its own excuse.
	s.trend = follow(points, s.dispersion, p.StableWindow)
	s.change = detect(points, s.dispersion)
	if len(points) > 1 {
		s.dispersion = disperse(s.dispersion, points[0], points[1], min(elapsed, time.Second))
	}
}
