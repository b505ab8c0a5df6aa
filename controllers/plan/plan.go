// Package plan holds planned events: what is expected, when, and how much of it,
// in the form that people write, that the HTTP API takes and that is kept.
//
// The package is pure: a document of plans is a value, and changing it gives
// another one.
package plan

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// Plan is one planned event of a fleet.
type Plan struct {
	Name string    `json:"name"`           // a DNS label, unique within the fleet
	At   time.Time `json:"at"`             // the beginning: by then the edges are Ready
	Ramp Duration  `json:"ramp,omitempty"` // before At, over which they are added evenly
	For  Duration  `json:"for"`            // after At, for which they are kept
	// Factor multiplies the load of when the ramp begins; Floor is a number of
	// edges. One of the two is given.
	Factor float64 `json:"factor,omitempty"`
	Floor  int     `json:"floor,omitempty"`
	Note   string  `json:"note,omitempty"` // for people
	By     string  `json:"by,omitempty"`   // who planned it: "http", or the broker's user
}

// Duration is a time.Duration that is written as "1h30m".
type Duration time.Duration

// String is the short form, without zero units.
func (d Duration) String() string { return policy.FormatDuration(time.Duration(d)) }

// MarshalText writes the short form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s, 10m or 2h", clip(string(text)))
	}
	*d = Duration(v)
	return nil
}

const maxAhead = 366 * 24 * time.Hour

// Check says what is wrong with a plan that is to be kept at this time: the
// first problem, with the field, its value and what is allowed.
func (p Plan) Check(now time.Time) error {
	switch ramp, length := time.Duration(p.Ramp), time.Duration(p.For); {
	case !isName(p.Name):
		return fmt.Errorf("name %q: lower-case letters, digits and inner '-', 1 to %d characters, are allowed", clip(p.Name), events.MaxFleet)
	case p.At.IsZero():
		return errors.New("at is missing: a time such as 2026-06-14T20:55:00Z")
	case length < events.MinPlanFor*time.Second || length > events.MaxPlanFor*time.Second || length%time.Second != 0:
		return fmt.Errorf("for %v: 1m to 168h in whole seconds are allowed", p.For)
	case ramp < 0 || ramp > events.MaxPlanRamp*time.Second || ramp%time.Second != 0:
		return fmt.Errorf("ramp %v: 0s to 24h in whole seconds are allowed", p.Ramp)
	case (p.Factor == 0) == (p.Floor == 0):
		return errors.New("exactly one of factor and floor is to be given")
	case p.Floor == 0 && !(p.Factor >= events.MinPlanFactor && p.Factor <= events.MaxPlanFactor):
		return fmt.Errorf("factor %v: %v to %v are allowed", p.Factor, events.MinPlanFactor, events.MaxPlanFactor)
	case p.Floor < 0 || p.Floor > events.MaxPlanFloor:
		return fmt.Errorf("floor %d: 1 to %d edges are allowed", p.Floor, events.MaxPlanFloor)
	case len(p.Note) > events.MaxPlanNote || events.CleanText(p.Note, events.MaxPlanNote) != p.Note:
		return fmt.Errorf("note: at most %d bytes of printable UTF-8 are allowed", events.MaxPlanNote)
	case !p.At.Add(length).After(now):
		return fmt.Errorf("at %s for %v: is over since %s", p.At.Format(time.RFC3339), p.For, p.At.Add(length).Format(time.RFC3339))
	case p.At.Sub(now) > maxAhead:
		return fmt.Errorf("at %s: at most a year ahead is allowed", p.At.Format(time.RFC3339))
	}
	return nil
}

func isName(s string) bool {
	return s != "" && !strings.Contains(s, ".") && events.CheckFleet(s) == nil
}

// Occurrence is the stretch of time that the plan is about.
func (p Plan) Occurrence() policy.Occurrence {
	return policy.Occurrence{
		Name: p.Name, Start: p.At, End: p.At.Add(time.Duration(p.For)), Ramp: time.Duration(p.Ramp), Floor: p.Floor, Factor: p.Factor,
	}
}

// String is the plan in the words that Parse takes.
func (p Plan) String() string {
	s := "at " + p.At.Format(time.RFC3339)
	if p.Floor > 0 {
		s += fmt.Sprintf(", %d edges", p.Floor)
	} else {
		s += fmt.Sprintf(", x%v", p.Factor)
	}
	if p.Ramp > 0 {
		s += ", ramp " + p.Ramp.String()
	}
	return s + ", for " + p.For.String()
}

// FromEvent is the plan that an event on the bus announces.
func FromEvent(e events.Plan, by string) Plan {
	return Plan{
		Name: e.Name, At: e.At.UTC(), Ramp: Duration(time.Duration(e.RampS) * time.Second), For: Duration(time.Duration(e.ForS) * time.Second),
		Factor: e.Factor, Floor: e.Floor, Note: e.Note, By: by,
	}
}

func clip(s string) string { return s[:min(len(s), 64)] }
