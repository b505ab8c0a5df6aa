package fleet

import (
	"maps"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/plan"
	"github.com/surgewall/surgewall/controllers/policy"
)

// ahead is what is known about the load before it comes: the calendar of the
// policy and the plans. Its fleet guards it.
type ahead struct {
	kept     plan.Document
	calendar policy.Calendar
	windows  []policy.Window // of the calendar

	coming []occurrence // that may matter before until
	until  time.Time

	// bases are the loads that this replica saw when ramps began. The leader has
	// them kept; what is kept beats them.
	bases map[string]float64
}

type occurrence struct {
	policy.Occurrence
	path autoscale.Path
	key  string
}

// comingFor is how long a list of occurrences holds: schedules are searched once
// a minute, not once a second.
const comingFor = time.Minute

func (a *ahead) setPlans(d plan.Document) { a.kept, a.until = d, time.Time{} }

func (a *ahead) find(calendar policy.Calendar, now time.Time, lead time.Duration) {
	if a.calendar != calendar || a.windows == nil && calendar != "" {
		a.calendar, a.windows, a.until = calendar, calendar.Windows(), time.Time{}
	}
	if now.Before(a.until) {
		return
	}
	a.coming, a.until = nil, now.Add(comingFor)
	to := a.until.Add(lead)
	for _, p := range a.kept.Plans {
		if o := p.Occurrence(); o.End.After(now) && o.Begin().Before(to) {
			a.coming = append(a.coming, occurrence{o, autoscale.PathPlan, plan.Key("plan", o.Name, o.Start)})
		}
	}
	for _, w := range a.windows {
		for _, o := range w.Between(now, to) {
			a.coming = append(a.coming, occurrence{o, autoscale.PathCalendar, plan.Key("calendar", o.Name, o.Start)})
		}
	}
	bases := map[string]float64{}
	for _, o := range a.coming {
		if base, ok := a.bases[o.key]; ok {
			bases[o.key] = base
		}
	}
	a.bases = bases
}

// base is the load that the factor of an occurrence multiplies.
func (a *ahead) base(key string) (rps float64, known bool) {
	if rps, known = a.kept.Bases[key]; !known {
		rps, known = a.bases[key]
	}
	return rps, known
}

// floor is the largest need that is known beforehand. Level is the load now; it
// becomes the base of a ramp that begins, where it is positive.
func (a *ahead) floor(p policy.Policy, now time.Time, lead time.Duration, level float64) (best autoscale.Floor) {
	a.find(p.Calendar, now, lead)
	largest := 0.0
	for _, o := range a.coming {
		share := o.Share(now, lead)
		if share == 0 {
			continue
		}
		base, known := a.base(o.key)
		if !known && o.Factor > 0 && level > 0 {
			a.bases[o.key], base = level, level
		}
		f := autoscale.Floor{Path: o.path, Name: o.Name, Replicas: o.Replicas(share), Demand: o.Demand(share, base)}
		if edges := max(float64(f.Replicas), f.Demand/p.TargetRPSPerEdge); edges > largest {
			best, largest = f, edges
		}
	}
	return best
}

// unkept are the bases that a restart would forget.
func (a *ahead) unkept() map[string]float64 {
	out := map[string]float64{}
	maps.Copy(out, a.bases)
	for key := range a.kept.Bases {
		delete(out, key)
	}
	return out
}
