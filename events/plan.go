package events

import (
	"errors"
	"fmt"
	"time"
)

// TypePlan is the CloudEvents type of Plan.
const TypePlan = "io.surgewall.plan.v1"

// The bounds of a planned event.
const (
	MaxPlanFor    = 7 * 24 * 60 * 60 // seconds
	MinPlanFor    = 60
	MaxPlanRamp   = 24 * 60 * 60
	MinPlanFactor = 1.01
	MaxPlanFactor = 100
	MaxPlanFloor  = 5000 // edges
	MaxPlanNote   = 256  // bytes
)

// PlanAction says what a Plan asks for.
type PlanAction string

// The actions. An add whose name exists replaces the plan, so that a sender may repeat itself.
const (
	PlanAdd    PlanAction = "add"
	PlanRemove PlanAction = "remove"
)

// Plan announces an event that will bring load to a fleet, or takes it back. The controller that leads keeps it.
type Plan struct {
	Action PlanAction `json:"action"`
	Fleet  string     `json:"fleet"`
	// Name is unique within the fleet: a DNS label. An action "remove" needs no more than it.
	Name string `json:"name"`
	// At is when the event begins, with the edges that it needs Ready; RampS is how many seconds before it edges are added
	// evenly, ForS how many seconds after it they are kept.
	At    time.Time `json:"at,omitzero"`
	RampS int64     `json:"ramp_s,omitempty"`
	ForS  int64     `json:"for_s,omitempty"`
	// Factor multiplies the load of when the ramp begins; Floor is a number of edges. One of the two is given.
	Factor float64 `json:"factor,omitempty"`
	Floor  int     `json:"floor,omitempty"`
	// Note is for people.
	Note string `json:"note,omitempty"`
}

func (*Plan) eventType() string { return TypePlan }

func (p *Plan) address(Sender) (exchange, key string) { return ExchangePlan, "plan." + p.Fleet }

func (p *Plan) validate() error {
	if err := all(CheckFleet(p.Fleet), checkLabel("name", p.Name, MaxFleet), text("note", p.Note, MaxPlanNote)); err != nil {
		return err
	}
	switch p.Action {
	case PlanRemove:
		return nil
	case PlanAdd:
	default:
		return fmt.Errorf("action %q: add and remove are allowed", clip(string(p.Action)))
	}
	switch {
	case p.At.IsZero():
		return errors.New("at is missing")
	case p.At.Year() < 2000 || p.At.Year() > 2999:
		return fmt.Errorf("at %s: the years 2000 to 2999 are allowed", p.At.Format(time.RFC3339))
	case (p.Factor == 0) == (p.Floor == 0):
		return errors.New("not exactly one of factor and floor is given")
	case p.Floor == 0 && !(p.Factor >= MinPlanFactor && p.Factor <= MaxPlanFactor):
		return fmt.Errorf("factor %v: %v to %v are allowed", p.Factor, MinPlanFactor, MaxPlanFactor)
	}
	return all(within("for_s", p.ForS, MinPlanFor, MaxPlanFor), within("ramp_s", p.RampS, 0, MaxPlanRamp), within("floor", p.Floor, 0, MaxPlanFloor))
}
