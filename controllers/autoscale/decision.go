package autoscale

import (
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// Path names what determined a decision.
type Path string

// The paths. The first three are estimates of the load, and raise, as the next
// three do ahead of it; the others say why there are more or fewer edges than that.
const (
	PathStable   Path = "stable"   // the line that the load follows
	PathShift    Path = "shift"    // the same, after a detected rise that does not reach spike-ratio
	PathSpike    Path = "spike"    // detected rise above spike-ratio, from its first seconds
	PathPlan     Path = "plan"     // a planned event needs more than the load
	PathCalendar Path = "calendar" // a window of the calendar does
	PathForecast Path = "forecast" // the forecast does
	PathBounds   Path = "bounds"   // the replicas were outside min-replicas and max-replicas
	PathPin      Path = "pin"      // hold-replicas
	PathHold     Path = "hold"     // a higher need within scale-down-hold
	PathFreeze   Path = "freeze"   // the signal, a pause, or a Deployment scaled to zero
)

// Limit names a rule that changed or stopped a decision.
type Limit string

// The limits, in the order in which they are applied.
const (
	LimitMin           Limit = "min-replicas"
	LimitMax           Limit = "max-replicas"
	LimitTolerance     Limit = "tolerance"
	LimitStepUp        Limit = "scale-up-max-step"
	LimitHold          Limit = "scale-down-hold"
	LimitWarmUp        Limit = "warm-up" // scale-down-hold since the start, or since the signal came back
	LimitStepDown      Limit = "scale-down-max-step"
	LimitStepPause     Limit = "scale-down-pause" // between two scale-ins
	LimitSignalPartial Limit = "signal-partial"
	LimitSignalBlind   Limit = "signal-blind"
	LimitPause         Limit = "pause"
	LimitRollout       Limit = "rollout"        // pods of an older template are replaced
	LimitScaledToZero  Limit = "scaled-to-zero" // somebody switched the fleet off
)

// Decision is what should run, and why. It is a value: nothing has happened yet.
type Decision struct {
	At      time.Time
	From    int // replicas that the Deployment asks for
	To      int // replicas that it should ask for; equal to From: nothing to do
	Desired int // replicas that the load needs, within min-replicas and max-replicas
	Path    Path
	Limits  []Limit
	Reason  string // one line for a human
	Inputs  Inputs

	// Counterfactuals say what other thresholds would have decided. Decide leaves
	// them empty; see Counterfactuals.
	Counterfactuals []Counterfactual
}

// Inputs is everything that the decision was made from. Rates are in requests
// per second.
type Inputs struct {
	Load
	Metric     Metric        // that needs the most edges
	Cause      Cause         // why the fleet is busier than it was
	Scan       float64       // part of Offered that is a scan's and buys no edges
	Lost       int           // edges that fell silent and whose clients went to others
	Counted    float64       // the load that edges are bought for, by Metric, after what Cause takes off
	Level      float64       // the load now, without its noise
	Span       time.Duration // time over which the load is one straight line
	Dispersion float64       // variance of the load from second to second, in means
	Slope      float64       // growth that is certain, in requests per second per second
	Base       float64       // what the load would be without the rise; 0 when there is none
	Ratio      float64       // of what it is to Base
	Evidence   float64       // for a rise within the last seconds: log likelihood ratio, and
	Threshold  float64       // the evidence that makes it an alarm
	Alarmed    bool          // a rise is detected
	Fast       float64       // the load that Demand was extended from
	Now        float64       // the load now, in whole: Level, or where a rise has got to
	Demand     float64       // the estimate, by the time that a new edge serves
	HeldDemand float64       // Demand that edges are kept for
	HeldAge    time.Duration // how long ago that was
}

// need is the edges that a demand asks for, beside those that serve nobody.
func (in *Inputs) need(p *policy.Policy, demand float64) float64 {
	return need(p, demand, in.Dispersion) + float64(in.Lost)
}
