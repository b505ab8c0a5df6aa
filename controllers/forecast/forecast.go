// Package forecast says what load a fleet will have some minutes from now, from
// the days and weeks before, and keeps the score of what it said.
//
// The package is pure: time is an argument. A forecast runs in the shadow until
// its score is good: against persistence, which says that the load stays what it
// is, and within a budget of pod-hours. A score that goes bad demotes it.
package forecast

import (
	"math"
	"time"
)

// Slot is the length of the stretches of time that are forecast.
const Slot = 5 * time.Minute

// Ahead is how many slots ahead a forecast is made: at the end of one slot for
// the one after the next, so that edges have a slot of time to start.
const Ahead = 2

const (
	slotsPerDay  = int(24 * time.Hour / Slot)
	slotsPerWeek = 7 * slotsPerDay

	// heardEnough is the part of a slot that has to be heard, or it is left out.
	heardEnough = 0.5
	// longestStep is the most time that one observation stands for.
	longestStep = 5 * time.Second
)

// Model is what is known of one fleet: about 10 KiB. The zero Model knows nothing
// and is ready for use. It is not safe for concurrent use.
type Model struct {
	profile profile
	methods [methods]scorer // of each method, for the choice among them
	trusts  [methods]trust
	issued  scorer // of what was said
	cost    cost

	slot     int64         // slots since 1970 of the one that is heard
	sum      float64       // of load times seconds in it
	seconds  float64       // heard of it
	last     time.Time     // latest observation
	before   [2]float64    // means of the latest whole slots, the newest first; NaN: not heard
	said     [Ahead]saying // for the slots from the one that is heard on
	promoted bool
}

// saying is what was said about one slot.
type saying struct {
	by          Method
	forecast    float64
	persistence float64
	changes     [methods]float64 // what each method said of it, in full; NaN: nothing
	trusted     [methods]float64 // the part of it that was believed
	ok          bool
}

// Observe takes in the load at one instant, and the demand that edges are kept
// for without the forecast, both in requests per second. Instants have to follow
// each other; what lies between two that are far apart was not heard.
func (m *Model) Observe(now time.Time, load, kept float64) {
	if math.IsNaN(load) || load < 0 || math.IsInf(load, 0) {
		return
	}
	slot := now.UnixNano() / int64(Slot)
	switch {
	case m.last.IsZero():
		m.slot, m.before = slot, [2]float64{math.NaN(), math.NaN()}
	case slot-m.slot > Ahead+2, slot-m.slot < -1:
		// A long gap, or the wall clock was set back: by more than the last second of a slot.
		m.slot, m.sum, m.seconds = slot, 0, 0
		m.before, m.said = [2]float64{math.NaN(), math.NaN()}, [Ahead]saying{}
	case !now.After(m.last):
		return
	}
	for m.slot < slot {
		m.close()
	}
	if step := now.Sub(m.last); !m.last.IsZero() && step > 0 && step <= longestStep {
		m.sum += load * step.Seconds()
		m.seconds += step.Seconds()
		demand, _ := m.demand()
		m.cost.add(max(0, demand-kept), kept, step)
	}
	m.last = now
}

// close ends the slot that is heard: it is compared with what was said about it,
// learned, and the slot after the next is forecast.
func (m *Model) close() {
	mean := math.NaN()
	if m.seconds >= heardEnough*Slot.Seconds() {
		mean = m.sum / m.seconds
	}
	if s := m.said[0]; s.ok && !math.IsNaN(mean) {
		m.issued.add(s.forecast, s.persistence, mean)
		for i := range m.methods {
			if !math.IsNaN(s.changes[i]) {
				m.methods[i].add(s.persistence+s.trusted[i], s.persistence, mean)
				m.trusts[i].add(s.changes[i], mean-s.persistence)
			}
		}
	}
	if !math.IsNaN(mean) {
		m.profile.learn(m.slot, mean)
	}
	m.before = [2]float64{mean, m.before[0]}
	copy(m.said[:], m.said[1:])
	m.said[Ahead-1] = m.say(m.slot + Ahead)
	m.slot++
	m.sum, m.seconds = 0, 0
	m.judge()
}

// say forecasts a slot from the one that has just ended.
func (m *Model) say(slot int64) (s saying) {
	now, before := m.before[0], m.before[1]
	if math.IsNaN(now) {
		return s
	}
	s.persistence = now
	for i := range s.changes {
		s.changes[i] = Method(i).change(&m.profile, slot, now, before)
		s.trusted[i] = m.trusts[i].value() * s.changes[i]
		if !math.IsNaN(s.changes[i]) && (!s.ok || m.methods[i].loss() < m.methods[s.by].loss()) {
			s.by, s.forecast, s.ok = Method(i), now+s.trusted[i], true
		}
	}
	return s
}

// demand is the most that is expected from now to the end of the next slot.
func (m *Model) demand() (float64, Method) {
	most, by := 0.0, Method(0)
	for _, s := range m.said {
		if s.ok && s.forecast > most {
			most, by = s.forecast, s.by
		}
	}
	return most, by
}

// Outlook is the forecast and its score.
type Outlook struct {
	Demand   float64       // most requests per second expected until the end of the next slot; 0: nothing is known
	By       Method        // what says so
	Promoted bool          // the score is good enough to act on
	Skill    float64       // 1 - mean error / mean error of persistence; 0 is as good, 1 perfect, below 0 worse
	Cost     float64       // edges that it would have added, as a part of those that ran
	Scored   time.Duration // time that the score covers
}

// Outlook is the forecast as of the latest observation.
func (m *Model) Outlook() Outlook {
	demand, by := m.demand()
	return Outlook{
		Demand: demand, By: by, Promoted: m.promoted,
		Skill: m.issued.skill(), Cost: m.cost.ratio(), Scored: time.Duration(m.issued.slots) * Slot,
	}
}
