package autoscale

import (
	"fmt"

	"github.com/surgewall/surgewall/controllers/policy"
)

// Floor is a need that is known before the load shows it: a planned event, a
// window of the calendar, or a forecast. The zero Floor asks for nothing. The first
// two are orders of the operator like min-replicas, so they raise without a signal
// too, and to the edge; a forecast is an estimate, and has the tolerance of one.
type Floor struct {
	Path     Path    // PathPlan, PathCalendar or PathForecast
	Name     string  // of the plan or the window, or the method of the forecast
	Replicas int     // edges that serve at least, within max-replicas; and
	Demand   float64 // load that they serve at least, in requests per second
}

// edges is the need of the floor in whole edges.
func (f *Floor) edges(p *policy.Policy, dispersion float64) int {
	if f.Demand <= 0 {
		return f.Replicas
	}
	return max(f.Replicas, edges(need(p, f.Demand, dispersion)))
}

// floorReason is the reason of a decision that a floor won.
func floorReason(p *policy.Policy, d *Decision, needs string) string {
	f := &d.Inputs.Floor
	text := fmt.Sprintf("%s: %s asks for %s", d.Path, f.Name, count(f.edges(p, d.Inputs.Dispersion)))
	if f.Demand > 0 {
		text += fmt.Sprintf(", for %s rps", rps(f.Demand))
	}
	return text + fmt.Sprintf("; now %s rps %s", rps(d.Inputs.Demand), needs)
}
