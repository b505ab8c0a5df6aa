package forecast

import (
	"math"
	"time"
)

const (
	memory = 7 * 24 * time.Hour // that a score goes back, in the manner of an exponential mean

	// promoteAfter is how long a forecast is scored before it may be used.
	promoteAfter = 7 * 24 * time.Hour
	// promoteSkill and demoteSkill lie apart, so that a forecast about as good as
	// persistence does not come and go.
	promoteSkill = 0.15
	demoteSkill  = 0.05
)

// decay is what remains of a score after a time.
func decay(d time.Duration) float64 { return math.Exp(-d.Seconds() / memory.Seconds()) }

// scorer compares the absolute errors of a forecast with those of persistence,
// slot by slot.
type scorer struct {
	errors, naive float64
	weight        float64
	slots         int
}

func (s *scorer) add(forecast, persistence, actual float64) {
	keep := decay(Slot)
	s.errors = keep*s.errors + math.Abs(forecast-actual)
	s.naive = keep*s.naive + math.Abs(persistence-actual)
	s.weight = keep*s.weight + 1
	s.slots++
}

// skill is the part of the error of persistence that the forecast avoids.
func (s scorer) skill() float64 {
	if s.naive <= 0 {
		return 0
	}
	return 1 - s.errors/s.naive
}

// loss orders methods: the error beside that of persistence over the same slots,
// of one that was never scored as bad as persistence.
func (s scorer) loss() float64 {
	if s.naive <= 0 {
		return 1
	}
	return s.errors / s.naive
}

// cost is the edges that a forecast adds to those that are kept without it, both
// in requests per second, times seconds.
type cost struct{ added, kept float64 }

func (c *cost) add(added, kept float64, step time.Duration) {
	keep := decay(step)
	c.added = keep*c.added + added*step.Seconds()
	c.kept = keep*c.kept + kept*step.Seconds()
}

func (c cost) ratio() float64 {
	if c.kept <= 0 {
		return 0
	}
	return c.added / c.kept
}

// judge promotes or demotes by skill. The budget is the policy's; see Floor.
func (m *Model) judge() {
	skill, scored := m.issued.skill(), time.Duration(m.issued.slots)*Slot
	switch {
	case m.promoted && skill < demoteSkill:
		m.promoted = false
	case scored >= promoteAfter && skill >= promoteSkill:
		m.promoted = true
	}
}

// Floor is the demand to keep edges for, in requests per second; 0 while the
// forecast is not promoted, or would cost more than the budget: the part of the
// edges that run anyhow, such as 0.05.
func (m *Model) Floor(budget float64) float64 {
	if !m.promoted || m.cost.ratio() > budget {
		return 0
	}
	demand, _ := m.demand()
	return demand
}
