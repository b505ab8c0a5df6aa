package forecast

// profile is the mean load of each slot of the day and of the week, and how busy
// the present is beside it.
type profile struct {
	day    [slotsPerDay]float32
	week   [slotsPerWeek]float32
	levels [2]float64 // of Daily and Weekly; 0: not known
}

const (
	dayGain   = 0.25 // of the newest day: about a week is remembered
	weekGain  = 0.5  // of the newest week
	levelGain = 0.3  // of the newest slot: a quarter of an hour is remembered
	ratioCap  = 3.0  // a forecast differs from the load by this factor at most
	leastRPS  = 0.1  // a slot below it has no shape
)

// ofWeek is the slot of the week, from Thursday, the first day of 1970.
func ofWeek(slot int64) int {
	return int(((slot % int64(slotsPerWeek)) + int64(slotsPerWeek)) % int64(slotsPerWeek))
}

func ofDay(slot int64) int { return ofWeek(slot) % slotsPerDay }

func (p *profile) learn(slot int64, mean float64) {
	mean = max(mean, 1e-3) // 0 is a slot that was never heard
	for i, old := range [2]*float32{&p.day[ofDay(slot)], &p.week[ofWeek(slot)]} {
		switch level := mean / float64(*old); {
		case *old < leastRPS:
			p.levels[i] = 0
		case p.levels[i] == 0:
			p.levels[i] = level
		default:
			p.levels[i] += levelGain * (level - p.levels[i])
		}
	}
	blend(&p.day[ofDay(slot)], mean, dayGain)
	blend(&p.week[ofWeek(slot)], mean, weekGain)
}

func blend(old *float32, mean, gain float64) {
	if *old == 0 {
		*old = float32(mean)
		return
	}
	*old += float32(gain * (mean - float64(*old)))
}
