package forecast

import "math"

// Method is a way to say what comes.
type Method int

// The methods.
const (
	Daily  Method = iota // as at this time of the days before, at the level of today
	Weekly               // as at this time of the weeks before, at the level of this one
	Ramp                 // as it has just grown
	methods
)

// String is the name of the method.
func (m Method) String() string { return [...]string{"daily", "weekly", "ramp"}[m] }

// change is by how much the method says that the load of a slot, Ahead of the one
// whose mean is now, differs from it; NaN where it has nothing to go by.
func (m Method) change(p *profile, slot int64, now, before float64) float64 {
	x := Ahead * (now - before)
	switch m {
	case Daily:
		x = p.levels[Daily]*float64(p.day[ofDay(slot)]) - now
	case Weekly:
		x = p.levels[Weekly]*float64(p.week[ofWeek(slot)]) - now
	}
	if x <= -now { // a slot that was never heard, or noise
		return math.NaN()
	}
	return min(max(x, now/ratioCap-now), now*ratioCap-now)
}

// trust is the part of what a method says that came true: the slope of the real
// changes over those that it said, by least squares with a memory. A method that
// knows nothing is trusted not at all, and then says what persistence says.
type trust struct{ xx, xy float64 }

func (t *trust) add(said, came float64) {
	keep := decay(Slot)
	t.xx = keep*t.xx + said*said
	t.xy = keep*t.xy + said*came
}

func (t trust) value() float64 {
	if t.xx <= 0 {
		return 0
	}
	return min(max(t.xy/t.xx, 0), 1)
}
