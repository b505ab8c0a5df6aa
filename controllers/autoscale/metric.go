package autoscale

import "github.com/surgewall/surgewall/controllers/policy"

// Metric names one measure of how busy a fleet is.
type Metric string

// The metrics. Each has a target for one edge in the policy; the one that needs
// the most edges counts.
const (
	MetricOffered  Metric = "offered"   // requests per second, by target-rps-per-edge
	MetricInFlight Metric = "in-flight" // requests under way, by target-in-flight-per-edge
	MetricEgress   Metric = "egress"    // megabits per second to clients, by target-mbps-per-edge
)

// busiest is the metric that needs the most edges, and the requests per second
// that would need as many. Offered is the load without what buys no edges; slow
// means that requests wait for the origin, and not for an edge.
func busiest(p *policy.Policy, l *Load, offered float64, slow bool) (Metric, float64) {
	winner, most := MetricOffered, offered
	if x := equivalent(p, l.Egress, p.TargetMbpsPerEdge); x > most {
		winner, most = MetricEgress, x
	}
	if x := equivalent(p, l.InFlight, p.TargetInFlightPerEdge); x > most && !slow {
		winner, most = MetricInFlight, x
	}
	return winner, most
}

func equivalent(p *policy.Policy, value, target float64) float64 {
	if target <= 0 || !(value > 0) {
		return 0
	}
	return value / target * p.TargetRPSPerEdge
}
