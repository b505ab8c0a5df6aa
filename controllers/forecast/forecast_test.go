package forecast

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var monday = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// live plays a load for some days, heard every 5 s, and returns the model.
func live(m *Model, from time.Time, days float64, load func(at time.Time) float64) {
	end := from.Add(time.Duration(days * 24 * float64(time.Hour)))
	for at := from; at.Before(end); at = at.Add(5 * time.Second) {
		x := load(at)
		m.Observe(at, x, 1.2*x)
	}
}

// evening is a load that triples within ten minutes at 20:00 every day and is back
// at 23:00, with noise and a size of its own each day.
func evening(seed uint64) func(time.Time) float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(at time.Time) float64 {
		day := at.Truncate(24 * time.Hour)
		size := 1 + 0.3*math.Sin(float64(day.Unix()))
		since := at.Sub(day.Add(20 * time.Hour)).Minutes()
		x := 1000.0
		if since >= 0 && since < 180 {
			x += 2000 * min(since/10, 1)
		}
		return max(0, size*x+20*r.NormFloat64())
	}
}

func TestADailyJumpIsForecastAndPromoted(t *testing.T) {
	var m Model
	live(&m, monday, 7, evening(1))
	if o := m.Outlook(); o.Promoted || m.Floor(0.05) != 0 {
		t.Errorf("promoted before a week was scored: %+v", o)
	}
	live(&m, monday.AddDate(0, 0, 7), 5, evening(1))
	day := monday.AddDate(0, 0, 12)
	live(&m, day, 19.96/24, evening(1)) // 19:57:36: the slot from 20:00 on was forecast at 19:55
	o := m.Outlook()
	if !o.Promoted || o.Skill < promoteSkill || o.By == Ramp {
		t.Errorf("not promoted: %+v", o)
	}
	now := evening(1)(day)
	if o.Demand < 1.3*now || o.Demand > 3.5*now || m.Floor(0.05) != o.Demand {
		t.Errorf("before the jump %.0f rps are forecast at a load of %.0f, floor %.0f", o.Demand, now, m.Floor(0.05))
	}
	if m.Floor(0) != 0 {
		t.Error("a budget of nothing buys something")
	}
}

// What has no shape gives no skill: the forecast then says what persistence says.
func TestARandomWalkIsNotPromoted(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 2))
		x := 1000.0
		var m Model
		live(&m, monday, 20, func(time.Time) float64 {
			x = max(100, x+4*r.NormFloat64())
			return x
		})
		if o := m.Outlook(); o.Promoted || o.Skill > promoteSkill || o.Skill < -0.1 {
			t.Errorf("seed %d: %+v", seed, o)
		}
	}
}

func TestASkillThatIsLostDemotes(t *testing.T) {
	var m Model
	live(&m, monday, 13, evening(1))
	if !m.Outlook().Promoted {
		t.Fatal("not promoted")
	}
	r := rand.New(rand.NewPCG(3, 3))
	jump, until := 1.0, monday
	live(&m, monday.AddDate(0, 0, 13), 14, func(at time.Time) float64 {
		if at.After(until) { // now and then, at no time of the day
			jump, until = 1+2*float64(r.IntN(2)), at.Add(time.Duration(1+r.IntN(300))*time.Minute)
		}
		return 1000 * jump
	})
	if o := m.Outlook(); o.Promoted {
		t.Errorf("still promoted: %+v", o)
	}
}

func TestAForecastThatCostsTooMuchIsNoFloor(t *testing.T) {
	m := Model{promoted: true}
	m.said[0] = saying{ok: true, forecast: 500}
	m.cost = cost{added: 6, kept: 100}
	if m.Floor(0.05) != 0 || m.Floor(0.07) != 500 {
		t.Errorf("floors %v and %v", m.Floor(0.05), m.Floor(0.07))
	}
}

// Silence is not a load of zero: what was not heard is neither learned nor scored.
func TestAHoleIsNotLearned(t *testing.T) {
	var whole, holed Model
	live(&whole, monday, 1, evening(1))
	live(&holed, monday, 1, evening(1))
	live(&holed, monday.Add(26*time.Hour), 0.001, evening(1))
	if whole.profile.day != holed.profile.day {
		t.Error("a hole of two hours changed the profile of the day")
	}
	if holed.said != ([Ahead]saying{}) {
		t.Error("what was said before a hole still counts")
	}
}

func TestDisorderAndNonsenseChangeNothing(t *testing.T) {
	var m Model
	live(&m, monday, 0.5, evening(1))
	before := fmt.Sprint(m) // a number that is none equals nothing but in words
	at := monday.Add(12*time.Hour - 5*time.Second)
	m.Observe(at, 1e9, 1) // the same instant
	m.Observe(at.Add(-time.Minute), 1e9, 1)
	for _, x := range []float64{math.NaN(), math.Inf(1), -1} {
		m.Observe(at.Add(time.Second), x, 1)
	}
	if fmt.Sprint(m) != before {
		t.Error("the model changed")
	}
}

func FuzzObserve(f *testing.F) {
	f.Add(int64(5), 1.0, 2.0)
	f.Add(int64(300), 0.0, 0.0)
	f.Add(int64(100000), 1e300, -1.0)
	f.Fuzz(func(t *testing.T, step int64, load, kept float64) {
		var m Model
		at := monday
		for i := range 200 {
			at = at.Add(time.Duration(step%100_000) * time.Second)
			m.Observe(at, load*float64(i%3), kept)
		}
		if o := m.Outlook(); o.Demand < 0 || math.IsNaN(o.Demand) || math.IsNaN(o.Skill) || o.Promoted {
			t.Fatalf("%+v", o)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	var m Model
	at := monday
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Second)
		m.Observe(at, 1000, 1200)
	}
}

// What was said before the wall clock was set back is about another time.
func TestAClockThatIsSetBackBeginsTheSlotsAnew(t *testing.T) {
	for _, back := range []time.Duration{time.Second, 20 * time.Minute, 30 * time.Hour} {
		var m Model
		steady := func(rate float64) func(time.Time) float64 { return func(time.Time) float64 { return rate } }
		live(&m, monday, 2.01, steady(1000))
		now := monday.Add(time.Duration(2.01*24*float64(time.Hour)) - back)
		live(&m, now, 0.02, steady(3000))
		if o := m.Outlook(); o.Demand < 2000 {
			t.Errorf("half an hour after a step back of %s to three times the load %.0f rps are expected", back, o.Demand)
		}
	}
}
