package simulate

import (
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/forecast"
	"github.com/surgewall/surgewall/controllers/policy"
)

// partialFor is how long a signal that stopped counts as partial; then the
// scaler is blind. It stands for what ingest does with the reports of edges.
const partialFor = 3 * time.Second

// Production is the autoscaler of the controller, autoscale.Decide, under a
// policy. With Options.Reports it hears the edges as the controller does.
type Production struct {
	// OnDecision, when set, gets every decision, also those that change nothing;
	// only those that change something have a reason.
	OnDecision func(autoscale.Decision)

	policy policy.Policy
	state  autoscale.State
	past   forecast.Model // followed where the policy asks for it
	heard  time.Time      // last fresh observation
	rate   float64        // its load
}

// NewProduction returns the autoscaler of a controller that has just started
// with this policy. Policies in observe mode are followed like those in direct
// mode: the point of simulating is to see what would be.
func NewProduction(p policy.Policy) *Production { return &Production{policy: p} }

// Tick decides.
func (s *Production) Tick(now time.Time, o Observation) int {
	ended := o.Offered
	if o.ended > 0 {
		ended = o.ended
	}
	load := autoscale.Load{
		Signal: autoscale.Live, Offered: o.Offered, Window: o.Window,
		Ended: ended, Misses: ended * o.Distinct, Distinct: ended * o.Distinct,
		SpecReplicas: o.Replicas, ReadyReplicas: o.Ready, Lead: o.PodStart,
	}
	switch {
	case o.Fresh:
		s.heard, s.rate = now, o.Offered
	case !s.heard.IsZero() && now.Sub(s.heard) <= partialFor:
		load.Signal, load.Offered = autoscale.Partial, s.rate
	default:
		load.Signal, load.Offered = autoscale.Blind, 0
	}
	forecasts := s.policy.Forecast == policy.ForecastAuto && o.Fresh
	if demand := s.past.Floor(s.policy.ForecastBudget); forecasts && demand > 0 {
		load.Floor = autoscale.Floor{Path: autoscale.PathForecast, Name: s.past.Outlook().By.String(), Demand: demand}
	}
	d := s.state.Weigh(&s.policy, &load, now)
	if forecasts {
		s.past.Observe(now, d.Inputs.Counted, d.Inputs.HeldDemand)
	}
	if s.OnDecision != nil {
		if d.To != d.From {
			d.Explain(&s.policy)
		}
		s.OnDecision(d)
	}
	return d.To
}

// OptionsFor are the options of the fleet that the policy describes, with pods
// of this capacity.
func OptionsFor(p policy.Policy, capacity float64) Options {
	return Options{Reports: true, Capacity: capacity, Target: p.TargetRPSPerEdge, Min: p.MinReplicas, Max: p.MaxReplicas}
}
