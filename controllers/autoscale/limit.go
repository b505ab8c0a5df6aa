package autoscale

import (
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// limit turns the demand of a decision into replicas, one rule after the other.
// Policies and decisions are large: their copies would cost more than the rules.
func (d *Decision) limit(p *policy.Policy, warming, finishing bool, history specs, at int64) {
	spec := d.From
	bound := func(n int) int { return min(max(n, p.MinReplicas), p.MaxReplicas) }

	need := edges(d.Inputs.need(p, d.Inputs.Demand))
	if floor := d.Inputs.Floor.edges(p, d.Inputs.Dispersion); floor > need {
		need, d.Path = floor, d.Inputs.Floor.Path
	}
	d.Desired = bound(need)
	switch {
	case need < d.Desired:
		d.Limits = append(d.Limits, LimitMin)
	case need > d.Desired:
		d.Limits = append(d.Limits, LimitMax)
	}
	d.To = d.Desired
	if spec == 0 {
		// Zero is how people switch a fleet off; the minimum is one.
		d.To, d.Path, d.Limits = spec, PathFreeze, []Limit{LimitScaledToZero}
		return
	}
	outside := spec != bound(spec)
	pin, pinned := p.Held(d.At)

	low, high := history.bounds()
	switch {
	case pinned:
		d.Desired, d.To, d.Path, d.Limits = pin, pin, PathPin, nil
	case d.To > spec:
		d.limitUp(p, low, finishing)
	case d.To < spec:
		d.limitDown(p, warming, high, history.reduced(at-int64(downPause)))
	}
	if outside && !pinned && (d.To == p.MinReplicas || d.To == p.MaxReplicas) {
		d.Path = PathBounds
	}
	d.freeze(p)
}

// finishTolerance is the part of the tolerance that counts while the first write
// on a spike is being finished: what it asked for was a guess from the spike's first
// moments, and no size that anybody chose to rest at.
const (
	finishTolerance = 0.25
	finishWithin    = 3 * time.Second
)

func (d *Decision) limitUp(p *policy.Policy, low int, finishing bool) {
	spec := d.From
	floor, need := &d.Inputs.Floor, d.Inputs.need(p, d.Inputs.Demand)
	planned := floor.Path != PathForecast && floor.edges(p, d.Inputs.Dispersion) > spec // a number that was ordered has no noise to tolerate
	if floor.Path == PathForecast {
		need = max(need, d.Inputs.need(p, floor.Demand))
	}
	unfinished := finishing && d.Inputs.need(p, d.Inputs.Now) > float64(spec)*(1+finishTolerance*p.Tolerance)
	if !planned && !unfinished && spec >= p.MinReplicas && need <= float64(spec)*(1+p.Tolerance) {
		d.To = spec
		d.Limits = append(d.Limits, LimitTolerance)
		return
	}
	// The way up to min-replicas is no step: a new Deployment starts with one.
	low = max(low, p.MinReplicas)
	most := max(low+p.ScaleUpMaxStep.Of(low), spec)
	if d.To > most {
		d.To = most
		d.Limits = append(d.Limits, LimitStepUp)
	}
}

// downTolerance is the part of the tolerance that counts when edges are removed,
// where the hold calms as well, of the fleet and of some edges more: the fewer
// there are, the more one of them is, and the more the load of each trembles.
const (
	downTolerance = 0.37
	downEdges     = 3.0
)

func (d *Decision) limitDown(p *policy.Policy, warming bool, high int, reduced bool) {
	spec, held := d.From, d.Inputs.need(p, d.Inputs.HeldDemand)
	ceiling := min(spec, p.MaxReplicas) // above max-replicas nothing holds
	if keep := min(edges(held), ceiling); keep > d.To {
		d.To, d.Path = keep, PathHold
		if warming {
			d.Limits = append(d.Limits, LimitWarmUp)
		} else {
			d.Limits = append(d.Limits, LimitHold)
		}
	}
	if d.To < ceiling && held >= float64(ceiling)-p.Tolerance*(downTolerance*float64(ceiling)+downEdges) {
		d.To = ceiling
		d.Limits = append(d.Limits, LimitTolerance)
	}
	least, limit := min(high-p.ScaleDownMaxStep.Of(high), ceiling), LimitStepDown
	if reduced {
		least, limit = ceiling, LimitStepPause
	}
	if d.To < least {
		d.To = least
		d.Limits = append(d.Limits, limit)
	}
}

// freeze stops what must not happen now, whatever the load says.
func (d *Decision) freeze(p *policy.Policy) {
	stop := func(by Limit) {
		d.To, d.Path = d.From, PathFreeze
		d.Limits = append(d.Limits, by)
	}
	up, down := d.To > d.From, d.To < d.From
	switch {
	case p.Pause == policy.PauseAll, up && p.Pause == policy.PauseScaleUp, down && p.Pause == policy.PauseScaleDown:
		stop(LimitPause)
	case d.Inputs.Signal == Blind && d.From < p.MinReplicas:
		// min-replicas is an order of the operator, not a reaction to load: it
		// holds without a broker too.
		d.To, d.Path, d.Limits = p.MinReplicas, PathBounds, append(d.Limits, LimitSignalBlind)
	case d.Inputs.Signal == Blind && up && d.Inputs.Floor.edges(p, d.Inputs.Dispersion) > d.From:
		// So is a floor; the load that was last heard raises nothing beyond it.
		d.To, d.Path = min(d.To, d.Inputs.Floor.edges(p, d.Inputs.Dispersion)), d.Inputs.Floor.Path
	case d.Inputs.Signal == Blind:
		stop(LimitSignalBlind)
	case d.Inputs.Signal != Live && down:
		stop(LimitSignalPartial)
	case d.Inputs.Rollout && down && d.Path != PathPin:
		// What the operator orders holds; that the load needs fewer waits.
		if stop(LimitRollout); d.From > p.MaxReplicas {
			d.To, d.Path = p.MaxReplicas, PathBounds
		}
	}
}
