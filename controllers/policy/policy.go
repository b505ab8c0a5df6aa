// Package policy turns the flat keys of a fleet's ConfigMap into thresholds, or
// refuses the whole of it with every reason.
//
// The package is pure: no clock, no log, no Kubernetes type. A policy is a
// value; two policies compare with ==.
package policy

import "time"

// Mode says what the controller does with its decisions.
type Mode string

// The modes. Observe decides, publishes and explains, and writes nothing.
// Direct writes the Deployment's scale. Floor writes minReplicas of the
// HorizontalPodAutoscaler that scales the Deployment, which follows it upwards at
// once and goes on to decide by its own metrics above it.
const (
	Observe Mode = "observe"
	Direct  Mode = "direct"
	Floor   Mode = "floor"
)

// Pause stops changes in one or both directions while decisions go on.
type Pause string

// The values of the key "pause".
const (
	PauseNone      Pause = "false"
	PauseAll       Pause = "true"
	PauseScaleDown Pause = "scale-down"
	PauseScaleUp   Pause = "scale-up"
)

// Forecast says what is done with the forecast of the load.
type Forecast string

// The values of the key "forecast". Shadow forecasts and keeps the score, Auto
// also keeps edges for what is forecast while the score is good.
const (
	ForecastOff    Forecast = "off"
	ForecastShadow Forecast = "shadow"
	ForecastAuto   Forecast = "auto"
)

// Policy holds the thresholds of one fleet. The meaning, unit, range and
// default of each field are those of its key in Keys.
type Policy struct {
	TargetDeployment        string
	Mode                    Mode
	Preset                  Preset
	TargetRPSPerEdge        float64
	TargetInFlightPerEdge   float64
	TargetMbpsPerEdge       float64
	CapacityRPSPerEdge      float64
	MaxRPSPerEdge           float64
	MinReplicas             int
	MaxReplicas             int
	SpikeRatio              float64
	SpikeFalseAlarmInterval time.Duration
	StableWindow            time.Duration
	ScaleUpMaxStep          Step
	ScaleDownMaxStep        Step
	ScaleDownHold           time.Duration
	Tolerance               float64
	Calendar                Calendar
	Forecast                Forecast
	ForecastBudget          float64
	Pause                   Pause
	HoldReplicas            int
	HoldUntil               time.Time
}

// clampFactor is how many times its target one edge may claim when
// max-rps-per-edge is not set: more than any step worth following in one write
// (a spike of ×48 on an edge at its target), less than a hostile edge wants.
const clampFactor = 50

// EdgeClamp is the most requests per second that one edge may contribute to the
// fleet's load: MaxRPSPerEdge, or 50 times the target where that is 0.
func (p Policy) EdgeClamp() float64 {
	if p.MaxRPSPerEdge > 0 {
		return p.MaxRPSPerEdge
	}
	return clampFactor * p.TargetRPSPerEdge
}

// usualUse is the part of its capacity that an edge is taken to be busy with at
// its target, when capacity-rps-per-edge is not set.
const usualUse = 0.7

// EdgeCapacity is the most requests per second that one edge serves within its
// objective: CapacityRPSPerEdge, or the target divided by 0.7 where that is 0.
func (p Policy) EdgeCapacity() float64 {
	if p.CapacityRPSPerEdge > 0 {
		return p.CapacityRPSPerEdge
	}
	return p.TargetRPSPerEdge / usualUse
}

// Held reports the replicas that an operator has pinned at this time.
func (p Policy) Held(now time.Time) (replicas int, ok bool) {
	if p.HoldReplicas == 0 || (!p.HoldUntil.IsZero() && !now.Before(p.HoldUntil)) {
		return 0, false
	}
	return p.HoldReplicas, true
}

// Default is the policy of a ConfigMap without any key.
func Default(fleet string) Policy {
	p, errs := parse(fleet, nil)
	if len(errs) > 0 {
		panic("policy: the defaults do not parse: " + errs.Error())
	}
	return p
}

// Safe is the policy of a fleet whose ConfigMap was bad when the controller
// started: the defaults, in observe mode. It decides, and writes nothing.
func Safe(fleet string) Policy {
	p := Default(fleet)
	p.Mode = Observe
	return p
}
