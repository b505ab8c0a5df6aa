package policy

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Key documents one key of a policy ConfigMap. The table of keys is the only
// place that knows their names: the parser, Values, Diff and the documentation
// read it.
type Key struct {
	Name    string
	Unit    string // of the value; empty where it has none
	Allowed string // the allowed values, as an error message names them
	Default string // under the preset "balanced"; empty: see Meaning
	Meaning string // one sentence

	set func(p *Policy, value string) error
	get func(p Policy) string
}

// MaxReplicas is the most edges that any policy can ask for.
const MaxReplicas = 5000

// Keys returns the documented keys in the order of the documentation.
func Keys() []Key { return slices.Clone(keys) }

var keys = []Key{
	{
		Name: "target-deployment", Allowed: dnsNameAllowed,
		Meaning: "Deployment whose scale is written; without it, the one named like the fleet.",
		set:     func(p *Policy, v string) (err error) { p.TargetDeployment, err = parseName(v); return },
		get:     func(p Policy) string { return p.TargetDeployment },
	},
	oneOf("mode", "direct", []Mode{Observe, Direct, Floor},
		"direct writes the scale; observe decides, explains and writes nothing; floor writes minReplicas of the HorizontalPodAutoscaler of the Deployment.",
		func(p *Policy) *Mode { return &p.Mode }),
	oneOf("preset", "balanced", []Preset{Rapid, Balanced, Steady},
		"Set of defaults that every other key overrides: rapid is quicker and dearer, steady calmer and cheaper.",
		func(p *Policy) *Preset { return &p.Preset }),
	number("target-rps-per-edge", "requests per second", "100", 0.1, 1e6,
		"Offered load at which one edge is as busy as you want it.",
		func(p *Policy) *float64 { return &p.TargetRPSPerEdge }),
	number("target-in-flight-per-edge", "requests under way", "0", 0, 1e6,
		"Requests under way at which one edge is as busy as you want it, where they say more than their rate; 0 does not count them.",
		func(p *Policy) *float64 { return &p.TargetInFlightPerEdge }),
	number("target-mbps-per-edge", "megabits per second", "0", 0, 1e6,
		"Megabits per second to clients at which one edge is as busy as you want it; 0 does not count them. The target that needs the most edges wins.",
		func(p *Policy) *float64 { return &p.TargetMbpsPerEdge }),
	number("capacity-rps-per-edge", "requests per second", "0", 0, 1e7,
		"Most that one edge serves well, for the margin that a small fleet needs above its target; 0 is target-rps-per-edge divided by 0.7.",
		func(p *Policy) *float64 { return &p.CapacityRPSPerEdge }),
	number("max-rps-per-edge", "requests per second", "0", 0, 1e7,
		"Most that the report of one edge may claim; 0 is 50 times target-rps-per-edge. In-flight and egress may be as many times their targets.",
		func(p *Policy) *float64 { return &p.MaxRPSPerEdge }),
	count("min-replicas", "2", 1, MaxReplicas,
		"Edges that always run, whatever the load and the state of the signal.",
		func(p *Policy) *int { return &p.MinReplicas }),
	count("max-replicas", "20", 1, MaxReplicas,
		"Edges that are never exceeded.",
		func(p *Policy) *int { return &p.MaxReplicas }),
	number("spike-ratio", "times the edges that run", "1.4", 1.05, 100,
		"Need, in parts of the edges asked for, from which a rise is believed and extended in its first seconds; smaller ones are followed as they come.",
		func(p *Policy) *float64 { return &p.SpikeRatio }),
	duration("spike-false-alarm-interval", "24h", time.Minute, 365*24*time.Hour,
		"Mean time between false spike alarms on steady traffic; longer needs stronger evidence, so detection is slower.",
		func(p *Policy) *time.Duration { return &p.SpikeFalseAlarmInterval }),
	duration("stable-window", "1m", 5*time.Second, 2*time.Minute,
		"Longest time over which load is averaged; a change of the load shortens it at once.",
		func(p *Policy) *time.Duration { return &p.StableWindow }),
	step("scale-up-max-step", "4900%", 1, 100000,
		"Most edges added within 30 seconds, as a number or as a percentage of what ran before.",
		func(p *Policy) *Step { return &p.ScaleUpMaxStep }),
	step("scale-down-max-step", "50%", 1, 100,
		"Most edges removed within 30 seconds, as a number or as a percentage of what ran before.",
		func(p *Policy) *Step { return &p.ScaleDownMaxStep }),
	duration("scale-down-hold", "6m", 0, 24*time.Hour,
		"Time for which the highest need is remembered before edges are removed: after a fifth of it up to 1.2 times what came since, and wholly while load comes and goes.",
		func(p *Policy) *time.Duration { return &p.ScaleDownHold }),
	number("tolerance", "fraction of the target", "0.18", 0, 0.5,
		"Deviation from the target that adds no edge. As a part of 0.4 of the fleet and three edges more it removes none: with 0.18 a fleet of 40 keeps up to 3 too many.",
		func(p *Policy) *float64 { return &p.Tolerance }),
	{
		Name: "calendar", Allowed: calendarAllowed,
		Meaning: "Times that come back for which edges are asked for ahead of the load: floor is a number of edges, factor multiplies the load of when the ramp begins. The ramp ends when the window begins. The zone is UTC unless given.",
		set:     func(p *Policy, v string) (err error) { p.Calendar, err = parseCalendar(v); return },
		get:     func(p Policy) string { return string(p.Calendar) },
	},
	oneOf("forecast", "shadow", []Forecast{ForecastOff, ForecastShadow, ForecastAuto},
		"shadow forecasts the load by the days and weeks before and shows its score; auto also keeps edges for it while the score is good.",
		func(p *Policy) *Forecast { return &p.Forecast }),
	number("forecast-budget", "fraction of the edges", "0.05", 0, 1,
		"Edges that a forecast may add to those that run anyhow; a forecast that would add more keeps none.",
		func(p *Policy) *float64 { return &p.ForecastBudget }),
	oneOf("pause", "false", []Pause{PauseNone, PauseAll, PauseScaleDown, PauseScaleUp},
		"Stops changes in both directions or in one, while decisions go on and are explained.",
		func(p *Policy) *Pause { return &p.Pause }),
	count("hold-replicas", "0", 0, MaxReplicas,
		"Pins the number of edges within min-replicas and max-replicas; 0 pins nothing.",
		func(p *Policy) *int { return &p.HoldReplicas }),
	{
		Name: "hold-until", Allowed: "a time in RFC 3339 such as 2026-06-14T23:30:00Z, or empty",
		Meaning: "End of hold-replicas; empty is until it is taken out.",
		set: func(p *Policy, v string) error {
			if v == "" {
				p.HoldUntil = time.Time{}
				return nil
			}
			t, err := parseTime(v)
			if err != nil {
				return err
			}
			p.HoldUntil = t
			return nil
		},
		get: func(p Policy) string {
			if p.HoldUntil.IsZero() {
				return ""
			}
			return p.HoldUntil.Format(time.RFC3339)
		},
	},
}

func oneOf[T ~string](name, def string, allowed []T, meaning string, field func(*Policy) *T) Key {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	return Key{
		Name: name, Allowed: "one of " + strings.Join(names, ", "), Default: def, Meaning: meaning,
		set: func(p *Policy, v string) error {
			if !slices.Contains(allowed, T(v)) {
				return errNotAllowed
			}
			*field(p) = T(v)
			return nil
		},
		get: func(p Policy) string { return string(*field(&p)) },
	}
}

func number(name, unit, def string, low, high float64, meaning string, field func(*Policy) *float64) Key {
	return Key{
		Name: name, Unit: unit, Allowed: formatFloat(low) + " to " + formatFloat(high) + " " + unit, Default: def, Meaning: meaning,
		set: func(p *Policy, v string) error {
			x, err := parseFloat(v)
			if err != nil {
				return err
			}
			if math.IsNaN(x) || x < low || x > high {
				return errOutOfRange
			}
			*field(p) = x
			return nil
		},
		get: func(p Policy) string { return formatFloat(*field(&p)) },
	}
}

func count(name, def string, low, high int, meaning string, field func(*Policy) *int) Key {
	return Key{
		Name: name, Unit: "replicas", Allowed: formatInt(low) + " to " + formatInt(high) + " replicas", Default: def, Meaning: meaning,
		set: func(p *Policy, v string) error {
			n, err := parseInt(v)
			if err != nil {
				return err
			}
			if n < low || n > high {
				return errOutOfRange
			}
			*field(p) = n
			return nil
		},
		get: func(p Policy) string { return formatInt(*field(&p)) },
	}
}

func duration(name, def string, low, high time.Duration, meaning string, field func(*Policy) *time.Duration) Key {
	return Key{
		Name: name, Unit: "duration", Allowed: "a duration from " + FormatDuration(low) + " to " + FormatDuration(high), Default: def, Meaning: meaning,
		set: func(p *Policy, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil {
				return errNotADuration
			}
			if d < low || d > high {
				return errOutOfRange
			}
			*field(p) = d
			return nil
		},
		get: func(p Policy) string { return FormatDuration(*field(&p)) },
	}
}

func step(name, def string, low, high int, meaning string, field func(*Policy) *Step) Key {
	return Key{
		Name: name, Unit: "replicas or %", Default: def, Meaning: meaning,
		Allowed: "1 to 5000 replicas, or " + formatInt(low) + "% to " + formatInt(high) + "%",
		set: func(p *Policy, v string) error {
			s, err := parseStep(v)
			if err != nil {
				return err
			}
			if s.Replicas > MaxReplicas || (s.Replicas < 1 && (s.Percent < low || s.Percent > high)) {
				return errOutOfRange
			}
			*field(p) = s
			return nil
		},
		get: func(p Policy) string { return field(&p).String() },
	}
}
