package autoscale

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// reason explains a decision in one line: what was seen, what it needs, what
// limited it.
func reason(p *policy.Policy, d *Decision) string {
	in := &d.Inputs
	needs := "needs " + count(edges(in.need(p, in.Demand))) + " at " + rps(p.TargetRPSPerEdge) + " rps"
	var text string
	switch d.Path {
	case PathSpike:
		text = fmt.Sprintf("spike: %s rps is %.1f times the %s rps before", rps(in.Fast), in.Ratio, rps(in.Base)) + growth(in) + " " + needs
	case PathShift:
		text = fmt.Sprintf("shift: %s rps is %.1f times the %s rps before", rps(in.Level), in.Ratio, rps(in.Base)) + growth(in) + " " + needs
	case PathPlan, PathCalendar, PathForecast:
		text = floorReason(p, d, needs)
	case PathBounds:
		text = fmt.Sprintf("bounds: %s asked for, outside min-replicas %d and max-replicas %d", count(d.From), p.MinReplicas, p.MaxReplicas)
	case PathPin:
		text = fmt.Sprintf("pin: hold-replicas is %d", p.HoldReplicas)
		if !p.HoldUntil.IsZero() {
			text += " until " + p.HoldUntil.Format(time.RFC3339)
		}
	case PathHold:
		text = fmt.Sprintf("hold: %s rps of %s ago are remembered for %s; now %s rps %s",
			rps(in.HeldDemand), short(in.HeldAge), short(p.ScaleDownHold), rps(in.Demand), needs)
		if slices.Contains(d.Limits, LimitWarmUp) {
			text = fmt.Sprintf("hold: what runs is kept for %s after a start, a gap of the signal or a foreign raise, %s of it passed; %s rps %s",
				short(warmUp(p)), short(in.HeldAge), rps(in.Demand), needs)
		}
	case PathFreeze:
		text = "freeze: " + freezeReason(p, d)
	default:
		text = "stable: " + rps(in.Level) + " rps over " + short(in.Span) + growth(in) + " " + needs
	}
	return text + limits(p, d) + because(p, in)
}

// because says what else than requests per second counted, and what did not.
func because(p *policy.Policy, in *Inputs) (text string) {
	switch in.Metric {
	case MetricInFlight:
		text = fmt.Sprintf("; counted by in-flight: %s requests at %s for an edge are as %s rps", rps(in.InFlight), rps(p.TargetInFlightPerEdge), rps(in.Counted))
	case MetricEgress:
		text = fmt.Sprintf("; counted by egress: %s Mbit/s at %s for an edge are as %s rps", rps(in.Egress), rps(p.TargetMbpsPerEdge), rps(in.Counted))
	}
	switch in.Cause {
	case CauseScan:
		text += fmt.Sprintf("; cause scan: %s of %s rps ask for ever new keys and buy no edges", rps(in.Scan), rps(in.Offered))
	case CauseSlowOrigin:
		text += fmt.Sprintf("; cause slow origin: %s requests under way wait for it, which edges do not mend", rps(in.InFlight))
	case CauseEdgeLoss:
		text += fmt.Sprintf("; cause edge loss: %s fell silent and their clients went to the others", count(in.Lost))
	}
	return text
}

// growth is what the start time of a pod adds.
func growth(in *Inputs) string {
	if in.Slope <= 0 {
		return ""
	}
	return fmt.Sprintf(" and grows by %s rps/s; %s rps after the %s that a pod takes to start", rps(in.Slope), rps(in.Demand), short(in.Lead))
}

func freezeReason(p *policy.Policy, d *Decision) string {
	switch d.Limits[len(d.Limits)-1] {
	case LimitScaledToZero:
		return "the Deployment is scaled to zero and stays so until somebody scales it up"
	case LimitPause:
		return "the policy pauses changes (pause: " + string(p.Pause) + ")"
	case LimitSignalBlind:
		return "the signal is BLIND: replicas stay as they are"
	case LimitRollout:
		return "a rollout is under way: no edge is removed until its pods have replaced the older ones"
	}
	return "the signal is PARTIAL: silence is not an absence of load, no edge is removed"
}

// limits names the rules that made the result differ from the need, each with
// its value.
func limits(p *policy.Policy, d *Decision) string {
	var parts []string
	for _, l := range d.Limits {
		switch l {
		case LimitMin:
			if d.To == p.MinReplicas && d.Path != PathBounds {
				parts = append(parts, fmt.Sprintf("min-replicas %d", p.MinReplicas))
			}
		case LimitMax:
			parts = append(parts, fmt.Sprintf("max-replicas %d", p.MaxReplicas))
		case LimitTolerance:
			parts = append(parts, "tolerance "+strconv.FormatFloat(p.Tolerance, 'f', -1, 64))
		case LimitStepUp:
			parts = append(parts, fmt.Sprintf("scale-up-max-step %v", p.ScaleUpMaxStep))
		case LimitStepDown:
			parts = append(parts, fmt.Sprintf("scale-down-max-step %v", p.ScaleDownMaxStep))
		case LimitStepPause:
			parts = append(parts, "the pause of "+short(downPause)+" between two scale-ins")
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "; limited by " + strings.Join(parts, ", ")
}

func count(n int) string {
	if n == 1 {
		return "1 edge"
	}
	return strconv.Itoa(n) + " edges"
}

func rps(x float64) string {
	if x < 10 {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

func short(d time.Duration) string {
	unit := time.Second
	if d < 10*time.Second {
		unit = 100 * time.Millisecond
	}
	return policy.FormatDuration(d.Round(unit))
}
